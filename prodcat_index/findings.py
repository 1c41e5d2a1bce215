"""Cards that were skipped or corrected on the way, counted and named."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

NAMED = 5
PLURAL = re.compile("^(card|row|line|column|sheet)s (have|are|name) ")
SINGULAR = {"have": "has", "are": "is", "name": "names"}


def name_first(names: Sequence[str], limit: int = NAMED) -> str:
    """Join the first few names, and count the others."""
    shown = ", ".join(names[:limit])
    rest = len(names) - limit
    return f"{shown} and {rest} more" if rest > 0 else shown


@dataclass(frozen=True)
class Finding:
    """One kind of thing that was noticed, with its cards.

    Attributes
    ----------
    what
        A clause after the count that begins with ``cards have``, ``are`` or ``name``, such as
        ``"cards have no usable picture (the file is truncated)"``; or so of rows, lines, columns.
    ids
        Identifiers of the cards, in catalogue order, or the names of what else is counted, such as
        ``"line 5"``.
    """

    what: str
    ids: tuple[str, ...]

    @property
    def count(self) -> int:
        """Number of cards."""
        return len(self.ids)

    def __str__(self) -> str:
        """Return the sentence with the count and the first few ids."""
        what = self.what
        if self.count == 1:
            what = PLURAL.sub(lambda found: f"{found[1]} {SINGULAR[found[2]]} ", what)
            what = what.replace("new categories", "new category")
        return f"{self.count} {what}: {name_first(self.ids)}"


def list_findings(noticed: Mapping[str, Iterable[bool]], ids: Sequence[str]) -> tuple[Finding, ...]:
    """Return a finding for each clause whose mask marks at least one of the cards."""
    found = (Finding(what, tuple(compress(ids, marked))) for what, marked in noticed.items())
    return tuple(finding for finding in found if finding.ids)
