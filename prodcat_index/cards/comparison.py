"""Comparisons of the columns of a catalogue with values, as numbers or as texts."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from prodcat_index.cards.card import DIGEST, IMAGE, LABELS
from prodcat_index.cards.categories import PATH_SEPARATOR, clean_category
from prodcat_index.cards.cleaning import raw_text, tidy
from prodcat_index.cards.numbers import read_numbers
from prodcat_index.errors import QueryError, did_you_mean
from prodcat_index.findings import Finding

if TYPE_CHECKING:
    from prodcat_index.cards.card import Catalogue
    from prodcat_index.types import BoolArray, Float64Array, Int64Array

# A value that no card has is compared with all others of the column, if they are no more.
MOST_COMPARED = 2000


class Value(NamedTuple):
    """What a column is compared with: as a number, where it is one, or else as a text."""

    text: str
    number: float | None
    is_quoted: bool


@dataclass(frozen=True)
class Comparison:
    """A column compared with values: ``in``, ``<``, ``<=``, ``contains`` or ``under``."""

    column: str
    operator: str
    values: tuple[Value, ...]
    levels: int = 1


def find_column(catalogue: Catalogue, name: str, purpose: str) -> str:
    """Find a column by its name among the cards, then in their source, then in other case."""
    table = [column for column in catalogue.pieces.names if column != DIGEST]
    known = {column: part for part, column in catalogue.columns.items() if column}
    known |= {column: column for column in table}
    part = known.get(name) or {k.casefold(): v for k, v in known.items()}.get(name.casefold())
    if part is None:
        raise QueryError(
            f"There is no column {name!r} to {purpose}.{did_you_mean(name, known)} "
            f"The columns are {', '.join(table)}."
        )
    return part


@dataclass(frozen=True)
class Column:
    """The values of a column, each once: u of N cards."""

    catalogue: Catalogue
    name: str  # as it is asked for
    is_category: bool
    is_text: bool  # whether it is a part of a card: equal to texts alone, also where it is a number
    texts: Sequence[str]  # (u,)
    places: Int64Array  # (N,): of the value of each card

    @classmethod
    def of(cls, catalogue: Catalogue, name: str) -> Column:
        """Read a column that is found by its name; raise QueryError if there is none."""
        part = find_column(catalogue, name, "filter by")
        is_text = part in ("id", *catalogue.text_modalities, IMAGE, *LABELS)
        values = catalogue.values(part) if is_text else map(raw_text, catalogue.pieces.read(part))
        number: dict[str, int] = {}
        places = [number.setdefault(value, len(number)) for value in values]
        texts = list(number) if is_text else list(map(tidy, number))
        return cls(catalogue, name, part == "category", is_text, texts, np.array(places, np.int64))

    @cached_property
    def numbers(self) -> Float64Array:
        """The values as numbers, NaN for others: (u,)."""
        return read_numbers(self.texts)

    @cached_property
    def paths(self) -> list[str]:
        """The values as paths of categories, without the keys that tell those of one name apart."""
        if not self.is_category:
            return list(map(clean_category, self.texts))
        labels, keys = self.catalogue.values("category"), self.catalogue.values("category_id")
        key = dict(zip(labels, keys, strict=True))
        return [text.removesuffix(f" [{key[text]}]") for text in self.texts]

    def is_by_number(self, test: Comparison) -> bool:
        """Check whether a test compares numbers."""
        as_text = self.is_text and test.operator == "in"
        return not as_text and any(value.number is not None for value in test.values)

    def compare(self, test: Comparison) -> tuple[BoolArray, BoolArray]:
        """Return which cards pass a test and which do not: (N,) each."""
        yes = np.array(self._passes(test), dtype=bool)
        unknown = np.isnan(self.numbers) if self.is_by_number(test) else False
        return yes[self.places], ~(yes | unknown)[self.places]

    def _passes(self, test: Comparison) -> Any:
        text, number, _ = test.values[0]
        if test.operator == "in":
            wanted = {value.text for value in test.values}
            equal = np.array([each in wanted for each in self.texts], dtype=bool)
            if not self.is_by_number(test):
                return equal
            numbers = [value.number for value in test.values if value.number is not None]
            return equal | np.isin(self.numbers, numbers)
        if test.operator == "contains":
            return [text.casefold() in each.casefold() for each in self.texts]
        if test.operator == "under":
            top = clean_category(text, self.catalogue.category_separator)
            below = top + PATH_SEPARATOR
            return [each == top or each.startswith(below) for each in self.paths]
        compare = operator.lt if test.operator == "<" else operator.le
        if number is not None:
            return compare(self.numbers, number)
        return [compare(each, text) for each in self.texts]

    def nearest(self, test: Comparison) -> str:
        """Return a question for the value that may be meant by one that no card has."""
        values = self.paths if test.operator == "under" else self.texts
        is_exact = test.operator in ("in", "under") and not self.is_by_number(test)
        if not is_exact or len(values) > MOST_COMPARED or any(self._passes(test)):
            return ""
        return "".join(did_you_mean(value.text, values) for value in test.values)

    def left_out(self, unsure: BoolArray) -> Finding:
        """Return the cards of a mask, (N,), whose value is no number, where it had to be one."""
        rows = np.flatnonzero(unsure & np.isnan(self.numbers)[self.places])
        values = (self.texts[place] for place in self.places[rows])
        example = next(filter(None, values), "")
        such = f"such as {example!r}" if example else "it is empty"
        what = f"cards are left out because their {self.name} is no number ({such})"
        return Finding(what, tuple(self.catalogue.ids[row] for row in rows))
