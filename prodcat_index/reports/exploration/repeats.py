"""Cards that are one product, or look like it: how many, and which."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import Catalogue

if TYPE_CHECKING:
    from prodcat_index.cards.duplicates import Groups

LISTED = 8
NAMED = 20


@dataclass(frozen=True)
class Repeat:
    """Cards of one group.

    Attributes
    ----------
    rows
        Their rows in the catalogue.
    ids
        Their identifiers.
    categories
        Their categories, the most frequent first; empty where none is labelled.
    """

    rows: tuple[int, ...]
    ids: tuple[str, ...]
    categories: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return size, first ids and categories."""
        return {
            "cards": len(self.ids),
            "ids": list(self.ids[:NAMED]),
            "categories": list(self.categories),
        }


@dataclass(frozen=True)
class Rule:
    """What one rule joins.

    Attributes
    ----------
    name
        Such as ``equal texts``.
    groups
        Groups of two or more cards.
    cards
        Cards in these groups.
    """

    name: str
    groups: int
    cards: int


@dataclass(frozen=True)
class Repeats:
    """The groups of two or more cards.

    Attributes
    ----------
    rules
        One a rule.
    groups
        By all rules together, transitively.
    cards
        Cards in these groups.
    mixed_groups
        How many of them have cards of different categories.
    largest
        The largest groups, largest first.
    mixed
        The groups of different categories, largest first.
    notes
        What was left out, and why.
    """

    rules: tuple[Rule, ...]
    groups: int
    cards: int
    mixed_groups: int
    largest: tuple[Repeat, ...]
    mixed: tuple[Repeat, ...]
    notes: tuple[str, ...]

    @property
    def superfluous(self) -> int:
        """Cards that would go if one of each group stayed."""
        return self.cards - self.groups

    def as_dict(self) -> dict[str, Any]:
        """Return the counts and the groups that are listed."""
        return {
            "groups": self.groups,
            "cards": self.cards,
            "superfluous": self.superfluous,
            "groups_of_several_categories": self.mixed_groups,
            "by_rule": {r.name: {"groups": r.groups, "cards": r.cards} for r in self.rules},
            "largest": [repeat.as_dict() for repeat in self.largest],
            "of_several_categories": [repeat.as_dict() for repeat in self.mixed],
            "notes": list(self.notes),
        }


def describe_repeats(catalogue: Catalogue, groups: Groups) -> Repeats:
    """Count the groups of a catalogue, and list the largest.

    Parameters
    ----------
    catalogue
        The cards.
    groups
        What :func:`~prodcat_index.cards.duplicates.find_groups` found in them.

    Returns
    -------
    Repeats
        Groups of two or more cards; ``LISTED`` of each kind are listed.
    """
    found = _repeats(catalogue, groups.codes)
    mixed = [repeat for repeat in found if len(repeat.categories) > 1]
    return Repeats(
        _describe_rules(groups.by_rule),
        len(found),
        sum(len(repeat.rows) for repeat in found),
        len(mixed),
        tuple(found[:LISTED]),
        tuple(mixed[:LISTED]),
        tuple(str(finding) for finding in groups.findings),
    )


def _describe_rules(by_rule: Mapping[str, npt.NDArray[np.int64]]) -> tuple[Rule, ...]:
    described = []
    for name, codes in by_rule.items():
        members = _members(codes)
        described.append(Rule(name, len(members), sum(map(len, members))))
    return tuple(described)


def _repeats(catalogue: Catalogue, codes: npt.NDArray[np.int64]) -> list[Repeat]:
    ids, labels = catalogue.ids, catalogue.values("category")
    return [
        Repeat(tuple(rows), tuple(ids[row] for row in rows), _ranked([labels[r] for r in rows]))
        for rows in _members(codes)
    ]


def _members(codes: npt.NDArray[np.int64]) -> list[list[int]]:
    """Return the rows of every code that occurs more than once, most rows first."""
    order = np.argsort(codes, kind="stable")
    order = order[codes[order] >= 0]
    parts = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    groups = [part.tolist() for part in parts if len(part) > 1]
    return sorted(groups, key=lambda rows: (-len(rows), rows))


def _ranked(labels: Sequence[str]) -> tuple[str, ...]:
    counts = Counter(label for label in labels if label)
    return tuple(sorted(counts, key=lambda label: (-counts[label], label)))
