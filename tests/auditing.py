"""Made-up checks, whose items a test writes by hand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from prodcat_index.audit.check import CheckName, CheckResult, Item
from prodcat_index.audit.graph import AuditGraph, NewCards
from prodcat_index.errors import QueryError


@dataclass(frozen=True)
class MadeCheck:
    """A check that finds what it was made with."""

    name: CheckName
    items: Sequence[Item] = ()
    details: dict[str, Any] = field(default_factory=dict)
    needs_new: bool = False

    def run(self, graph: AuditGraph, new: NewCards | None = None) -> CheckResult:
        """Return the items; the cards are those of the new catalogue where it is needed."""
        if self.needs_new and new is None:
            raise QueryError("The check needs new cards; name their file after the index.")
        ids = new.catalogue.ids if self.needs_new and new else graph.ids
        flagged = {card for item in self.items for card in item.cards}
        return CheckResult(
            self.name,
            ids,
            np.array([0.1 if card in flagged else 0.9 for card in ids]),
            np.array([card in flagged for card in ids]),
            self.items,
            f"{len(self.items)} made items.",
            self.details,
            ("made by hand",),
        )


def item(check: CheckName, *cards: str, **more: Any) -> Item:
    """Make an item."""
    kinds = {"labels": "wrong label", "duplicates": "same product", "novelty": "new category"}
    named: dict[str, Any] = {"kind": kinds.get(check, "advice"), "score": 0.2, **more}
    return Item(check, cards=cards, **named)
