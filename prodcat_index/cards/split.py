"""Which cards teach and which are scored: a split, its file, and reading it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.cleaning import column_texts, without_invisible
from prodcat_index.cards.codes import encode, join_codes, order_codes
from prodcat_index.cards.columns import list_columns
from prodcat_index.cards.readers import read_table
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import Finding, name_first
from prodcat_index.types import Int64Array

if TYPE_CHECKING:
    import pandas as pd


PARTS = ("train", "valid", "test")
NEW = "its cards are not in the split"
GONE = "the cards of the split are not in it"


@dataclass(frozen=True)
class PartSummary:
    """What is in one part of a split."""

    part: str
    cards: int
    groups: int
    categories: int
    unlabelled: int
    unreachable: int


@dataclass(frozen=True, eq=False)
class Split:
    """Which part each card of a catalogue is in.

    Attributes
    ----------
    ids
        The N cards.
    parts
        ``"train"``, ``"valid"`` or ``"test"``, one a card.
    groups
        int64, shape (N,): cards of equal group are in one part.
    made
        How the split was made, for people.
    findings
        What was noticed while it was made.
    """

    ids: tuple[str, ...]
    parts: tuple[str, ...]
    groups: Int64Array
    made: str = ""
    findings: tuple[Finding, ...] = ()

    def rows(self, catalogue: Catalogue, part: str) -> Int64Array:
        """Return the rows of a catalogue that are in a part.

        Parameters
        ----------
        catalogue
            The cards that were split, or some of them, in any order.
        part
            ``"train"``, ``"valid"`` or ``"test"``.

        Returns
        -------
        int64
            At least one row number, ascending.

        Raises
        ------
        CatalogueError
            If the split does not name every card of the catalogue, or none of them is in the part.
        """
        self._refuse([card for card in catalogue.ids if card not in self._part_of], NEW, catalogue)
        rows = [row for row, card in enumerate(catalogue.ids) if self._part_of[card] == part]
        if not rows:
            there = ", ".join(f"{name} ({n})" for name, n in Counter(self.parts).items())
            raise CatalogueError(f"No card of this split is in {part!r}; its parts are {there}.")
        return np.array(rows, dtype=np.int64)

    def select(self, catalogue: Catalogue, part: str) -> Catalogue:
        """Return the cards of a part as a catalogue, in their order; raises as :meth:`rows`."""
        return catalogue.select(self.rows(catalogue, part).tolist())

    def check(self, catalogue: Catalogue) -> None:
        """Make sure that the split names the very cards of a catalogue.

        Raises
        ------
        CatalogueError
            If a card of one is not in the other.
        """
        there = set(catalogue.ids)
        self._refuse([card for card in catalogue.ids if card not in self._part_of], NEW, catalogue)
        self._refuse([card for card in self.ids if card not in there], GONE, catalogue)

    def summary(self, catalogue: Catalogue) -> list[PartSummary]:
        """Count what is in each part that has a card; raises as :meth:`rows`."""
        taught = set(self.select(catalogue, "train").values("category"))
        group_of = dict(zip(self.ids, self.groups.tolist(), strict=True))
        used = [part for part in PARTS if part in self.parts]
        return [_summarise(part, self.select(catalogue, part), taught, group_of) for part in used]

    def save(self, path: str | Path) -> Path:
        """Write a CSV file with the columns ``id``, ``part`` and ``group``.

        Raises
        ------
        CatalogueError
            If it cannot be written.
        """
        import pandas as pd

        table = pd.DataFrame({"id": self.ids, "part": self.parts, "group": self.groups})
        try:
            table.to_csv(path, index=False)
        except OSError as error:
            raise CatalogueError(
                f"The split cannot be written to {path}: {error.strerror or error}."
            ) from None
        return Path(path)

    @cached_property
    def _part_of(self) -> dict[str, str]:
        return dict(zip(self.ids, self.parts, strict=True))

    def _refuse(self, cards: Sequence[str], what: str, catalogue: Catalogue) -> None:
        if cards:
            raise CatalogueError(
                f"The split does not fit {catalogue.source}: {len(cards)} of {what} "
                f"({name_first(cards)}); make a new one with prodcat split, or use the "
                "catalogue and the id column that it was made of."
            )


def read_split(path: str | Path) -> Split:
    """Read a file with a card and its part a row.

    Parameters
    ----------
    path
        Written by :meth:`Split.save`, or any file that a catalogue can be, with the columns
        ``id`` and ``part``, and ``group`` where cards belong together.

    Raises
    ------
    CatalogueError
        If it cannot be read, is empty, has other columns or parts, names a card twice, or has a
        group in two parts.
    """
    table = read_table(Path(path), None)
    ids, parts, named = (_column(table, name, path) for name in ("id", "part", "group"))
    _check_ids(ids, path)
    _check_parts(parts, path)
    groups = order_codes(join_codes([encode(named)]), ids)
    _check_groups(groups, parts, ids, path)
    return Split(tuple(ids), tuple(parts), groups, f"read from {path}")


def _column(table: pd.DataFrame, name: str, path: str | Path) -> list[str]:
    if name in table.columns:
        return [without_invisible(value).strip() for value in column_texts(table[name])]
    if name == "group":
        return [""] * len(table)
    seen = [str(column) for column in table.columns]
    raise CatalogueError(f"The split {path} has no column {name!r}. {list_columns(seen)}")


def _check_ids(ids: Sequence[str], path: str | Path) -> None:
    if not all(ids):
        raise CatalogueError(f"The split {path} has a row without id: row {ids.index('') + 1}.")
    repeated = [card for card, count in Counter(ids).items() if count > 1]
    if repeated:
        raise CatalogueError(
            f"The split {path} names {len(repeated)} cards more than once "
            f"({name_first(repeated)}): each must be in one part."
        )


def _check_parts(parts: Sequence[str], path: str | Path) -> None:
    unknown = sorted(set(parts).difference(PARTS))
    if unknown:
        raise CatalogueError(
            f"The split {path} has parts of another name ({name_first(list(map(repr, unknown)))}): "
            f"they must be {', '.join(PARTS)}."
        )


def _check_groups(
    groups: Int64Array, parts: Sequence[str], ids: Sequence[str], path: str | Path
) -> None:
    part_of: dict[int, str] = {}
    torn = [
        card
        for card, group, part in zip(ids, groups.tolist(), parts, strict=True)
        if part_of.setdefault(group, part) != part
    ]
    if torn:
        raise CatalogueError(
            f"The split {path} has groups in more than one part (see the cards "
            f"{name_first(torn)}): scores would be too good, so put each into one."
        )


def _summarise(
    part: str, cards: Catalogue, taught: set[str], group_of: dict[str, int]
) -> PartSummary:
    labels = cards.values("category")
    told = [label for label in labels if label]
    return PartSummary(
        part=part,
        cards=len(cards),
        groups=len({group_of[card] for card in cards.ids}),
        categories=len(set(told)),
        unlabelled=len(labels) - len(told),
        unreachable=sum(label not in taught for label in told),
    )
