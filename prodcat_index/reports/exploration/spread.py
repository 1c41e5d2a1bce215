"""How numbers of cards spread: quantiles, far outliers, and the cards at both ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)
# Tukey's fence for what is far out, in interquartile ranges.
FAR = 3.0
EXTREMES = 5


@dataclass(frozen=True)
class Spread:
    """Quantiles of positive numbers.

    Attributes
    ----------
    count
        How many numbers there are.
    least, low, median, high, most
        The quantiles 0, 5 %, 50 %, 95 % and 100 %.
    far_out
        How many lie beyond three interquartile ranges from the quartiles, on a logarithmic scale.
    """

    count: int
    least: float
    low: float
    median: float
    high: float
    most: float
    far_out: int

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers by name."""
        return asdict(self)


@dataclass(frozen=True)
class Extreme:
    """A card at an end of a scale.

    Attributes
    ----------
    id
        The card.
    row
        Its row in the catalogue.
    value
        Where it stands.
    """

    id: str
    row: int
    value: float

    def as_dict(self) -> dict[str, Any]:
        """Return the card and its value."""
        return {"id": self.id, "value": self.value}


def spread_of(values: npt.ArrayLike) -> Spread | None:
    """Summarize positive numbers.

    Parameters
    ----------
    values
        Shape (n,), each above 0.

    Returns
    -------
    Spread or None
        ``None`` where there are no numbers.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if not numbers.size:
        return None
    least, low, median, high, most = map(float, np.quantile(numbers, QUANTILES))
    return Spread(numbers.size, least, low, median, high, most, int(is_far_out(numbers).sum()))


def is_far_out(values: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Mark the numbers beyond Tukey's far fences on a logarithmic scale.

    Parameters
    ----------
    values
        Shape (n,), each above 0.

    Returns
    -------
    numpy.ndarray
        Shape (n,), bool. Where half of the numbers are equal, every other is far out.
    """
    logs = np.log(np.asarray(values, dtype=np.float64))
    if not logs.size:
        return np.zeros(0, dtype=bool)
    first, third = np.quantile(logs, (0.25, 0.75))
    reach = FAR * (third - first)
    # What equals a quartile is never beyond it, whatever interpolation rounds to.
    slack = 1e-9
    return np.asarray((logs < first - reach - slack) | (logs > third + reach + slack))


def find_extremes(
    values: npt.ArrayLike, rows: Sequence[int], ids: Sequence[str], *, most: bool
) -> tuple[Extreme, ...]:
    """Name the cards with the least or the most of something.

    Parameters
    ----------
    values
        Shape (n,).
    rows
        Row in the catalogue of each value, length n.
    ids
        Identifiers of all cards of the catalogue.
    most
        Whether the largest values are wanted, or the smallest.

    Returns
    -------
    tuple of Extreme
        At most ``EXTREMES`` that lie beyond the median, the most extreme first; equal ones in
        catalogue order.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if not numbers.size:
        return ()
    beyond = (numbers - np.median(numbers)) * (1 if most else -1)
    order = np.argsort(-beyond, kind="stable")[:EXTREMES]
    named = [i for i in order if beyond[i] > 0]
    return tuple(Extreme(ids[rows[i]], int(rows[i]), float(numbers[i])) for i in named)


def spaced_rows(count: int, limit: int) -> list[int]:
    """Choose at most `limit` of the numbers below `count`, evenly spaced, the first among them."""
    return [int(row) for row in np.linspace(0, count, min(count, limit), endpoint=False)]
