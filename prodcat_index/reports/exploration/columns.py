"""What every column of a catalogue holds, and how long its texts are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.cleaning import column_texts
from prodcat_index.reports.exploration.spread import Extreme, Spread, find_extremes, spread_of

UNLISTED_WHERE_EMPTY = ("category_id", "group")


@dataclass(frozen=True)
class Column:
    """How full a column is.

    Attributes
    ----------
    name
        Of the column.
    filled, missing
        Cards with and without a value; blanks and words for nothing are no value.
    distinct
        How many different values there are.
    """

    name: str
    filled: int
    missing: int
    distinct: int

    @property
    def missing_share(self) -> float:
        """Share of the cards without a value."""
        return self.missing / (self.filled + self.missing)

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers by name."""
        return {**asdict(self), "missing_share": self.missing_share}


@dataclass(frozen=True)
class TextLengths:
    """How long the texts of a column are, in characters.

    Attributes
    ----------
    name
        Of the text modality.
    lengths
        Shape (n,), int64: of the texts that are not empty.
    spread
        Their quantiles; ``None`` where all are empty.
    shortest, longest
        The cards at both ends.
    """

    name: str
    lengths: npt.NDArray[np.int64]
    spread: Spread | None
    shortest: tuple[Extreme, ...]
    longest: tuple[Extreme, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the quantiles and the cards at both ends."""
        return {
            "characters": self.spread.as_dict() if self.spread else None,
            "shortest": [card.as_dict() for card in self.shortest],
            "longest": [card.as_dict() for card in self.longest],
        }


def describe_columns(catalogue: Catalogue) -> tuple[Column, ...]:
    """Count the missing and the different values of every column.

    Parameters
    ----------
    catalogue
        The cards.

    Returns
    -------
    tuple of Column
        In the order of the catalogue. ``category_id`` and ``group``, which few files have, are
        left out where they are empty.
    """
    described = (_describe(catalogue, str(name)) for name in catalogue.cards.columns)
    return tuple(c for c in described if c.filled or c.name not in UNLISTED_WHERE_EMPTY)


def _describe(catalogue: Catalogue, name: str) -> Column:
    values = [value for value in column_texts(catalogue.cards[name]) if value]
    return Column(name, len(values), len(catalogue) - len(values), len(set(values)))


def measure_texts(catalogue: Catalogue) -> tuple[TextLengths, ...]:
    """Measure the texts of every text modality.

    Parameters
    ----------
    catalogue
        The cards.

    Returns
    -------
    tuple of TextLengths
        One a text modality, in order.
    """
    ids = catalogue.ids
    return tuple(_measure(name, catalogue.values(name), ids) for name in catalogue.text_modalities)


def _measure(name: str, texts: list[str], ids: list[str]) -> TextLengths:
    rows = [row for row, text in enumerate(texts) if text]
    lengths = np.array([len(texts[row]) for row in rows], dtype=np.int64)
    shortest, longest = (find_extremes(lengths, rows, ids, most=most) for most in (False, True))
    return TextLengths(name, lengths, spread_of(lengths), shortest, longest)
