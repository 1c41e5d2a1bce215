"""A split: the part of each card, its file, and reading it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.cleaning import clean_id, column_texts
from prodcat_index.cards.codes import encode, join_codes, order_codes
from prodcat_index.cards.readers import read_table
from prodcat_index.cards.roles import find_repeated, list_columns
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import Finding, counted, name_first
from prodcat_index.types import Int64Array

PARTS = ("train", "valid", "test")
NEW = "its cards are not in the split"
GONE = "the cards of the split are not in it"


@dataclass(frozen=True)
class PartSummary:
    """The counts of one part of a split."""

    part: str
    cards: int
    groups: int
    categories: int
    unlabelled: int  # cards without category, which cannot be scored
    unreachable: int  # cards of categories that train does not have, which are always wrong


@dataclass(frozen=True, eq=False)
class Split:
    """The part of each card of a catalogue.

    Parameters
    ----------
    ids
        Identifiers of N cards.
    parts
        ``"train"``, ``"valid"`` or ``"test"``, one a card.
    groups
        int64, shape (N,): cards of equal group are in one part.
    made
        Description of the method, for people.
    findings
        Cards that could not be split as requested.
    """

    ids: tuple[str, ...]
    parts: tuple[str, ...]
    groups: Int64Array
    made: str = ""
    findings: tuple[Finding, ...] = ()

    def rows(self, catalogue: Catalogue, part: str) -> Int64Array:
        """Return the ascending rows of a catalogue, or of some of it in any order, in a part.

        Raises CatalogueError if a card is not in the split, or none of them is in the part.
        """
        self._check_contained(catalogue.ids, self._part_of, NEW, catalogue)
        rows = [row for row, card in enumerate(catalogue.ids) if self._part_of[card] == part]
        if not rows:
            there = ", ".join(f"{name} ({n})" for name, n in Counter(self.parts).items())
            raise CatalogueError(f"No card of this split is in {part!r}; its parts are {there}.")
        return np.array(rows, dtype=np.int64)

    def select(self, catalogue: Catalogue, part: str) -> Catalogue:
        """Return the cards of a part as a catalogue, in their order; raises as :meth:`rows`."""
        return catalogue.select(self.rows(catalogue, part).tolist())

    def check(self, catalogue: Catalogue) -> None:
        """Raise CatalogueError unless the split names exactly the cards of a catalogue."""
        self._check_contained(catalogue.ids, self._part_of, NEW, catalogue)
        self._check_contained(self.ids, set(catalogue.ids), GONE, catalogue)

    def summary(self, catalogue: Catalogue) -> list[PartSummary]:
        """Count the cards of each part that has one; raises as :meth:`rows`."""
        trained = set(self.select(catalogue, "train").values("category"))
        group_of = dict(zip(self.ids, self.groups.tolist(), strict=True))
        summaries = []
        for part in (part for part in PARTS if part in self.parts):
            cards = self.select(catalogue, part)
            labels = [label for label in cards.values("category") if label]
            groups = {group_of[card] for card in cards.ids}
            unlabelled = len(cards) - len(labels)
            unreachable = sum(label not in trained for label in labels)
            counts = len(cards), len(groups), len(set(labels)), unlabelled, unreachable
            summaries.append(PartSummary(part, *counts))
        return summaries

    def save(self, path: str | Path) -> Path:
        """Write a CSV file with the columns ``id``, ``part`` and ``group``."""
        import pandas as pd

        table = pd.DataFrame({"id": self.ids, "part": self.parts, "group": self.groups})
        try:
            Path(path).parent.mkdir(parents=True, exist_ok=True)
            table.to_csv(path, index=False)
        except OSError as error:
            cause = error.strerror or error
            raise CatalogueError(f"The split cannot be written to {path}: {cause}.") from None
        return Path(path)

    @cached_property
    def _part_of(self) -> dict[str, str]:
        return dict(zip(self.ids, self.parts, strict=True))

    def _check_contained(
        self, cards: Sequence[str], there: Container[str], what: str, catalogue: Catalogue
    ) -> None:
        absent = [card for card in cards if card not in there]
        if absent:
            raise CatalogueError(
                f"The split does not fit {catalogue.source}: {len(absent)} of {what} "
                f"({name_first(absent)}); make a new one with prodcat split, or use the catalogue "
                "and the id column that it was made of."
            )


def read_split(path: str | Path) -> Split:
    """Read a file with a card and its part a row.

    Parameters
    ----------
    path
        A file written by :meth:`Split.save`, or of any format that a catalogue may have, with the
        columns ``id`` and ``part``, and ``group`` where cards belong together.

    Returns
    -------
    Split
        Its groups are numbered in the order of their smallest ids.

    Raises
    ------
    CatalogueError
        If it cannot be read, is empty, has other columns or parts, names a card twice, or has a
        group in two parts.
    """
    table = read_table(Path(path)).frame
    columns = {"group": [""] * len(table)}
    for name in table.columns.intersection(["id", "part", "group"]):
        columns[name] = list(map(clean_id, column_texts(table[name])))
    for name in ("id", "part"):
        if name not in columns:
            seen = list_columns(list(map(str, table.columns)))
            raise CatalogueError(f"The split {path} has no column {name!r}. {seen}")
    ids, parts = columns["id"], columns["part"]
    if "" in ids:
        raise CatalogueError(f"The split {path} has a row without id: row {ids.index('') + 1}.")
    if repeated := find_repeated(ids):
        raise CatalogueError(
            f"The split {path} names {counted(len(repeated), 'cards')} more than once "
            f"({name_first(repeated)}): each must be in one part."
        )
    if unknown := sorted(map(repr, set(parts).difference(PARTS))):
        raise CatalogueError(
            f"The split {path} has parts of another name ({name_first(unknown)}): "
            f"they must be {', '.join(PARTS)}."
        )
    groups = order_codes(join_codes([encode(columns["group"])]), ids)
    part_of: dict[int, str] = {}
    rows = zip(ids, groups.tolist(), parts, strict=True)
    if torn := [card for card, group, part in rows if part_of.setdefault(group, part) != part]:
        raise CatalogueError(
            f"The split {path} has groups in more than one part (see the cards "
            f"{name_first(torn)}): scores would be too good, so put each into one."
        )
    return Split(tuple(ids), tuple(parts), groups, f"read from {path}")
