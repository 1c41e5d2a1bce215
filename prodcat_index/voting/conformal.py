"""Sets of categories that hold the true one as often as asked: split conformal prediction. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prodcat_index.voting.reliability import BoolArray, FloatArray
from prodcat_index.voting.thresholds import POINTS, thin_out
from prodcat_index.voting.vote import IntRows


@dataclass(frozen=True)
class SetCurve:
    """How probable the true category was to the calibration cards.

    Attributes
    ----------
    cards
        Number of calibration cards, n.
    ranks
        Rising places, from 1, in the order from the most probable true category down. The cards
        whose true category got no vote have no place.
    probabilities
        Probability of the true category at these places, falling.
    """

    cards: int
    ranks: tuple[int, ...]
    probabilities: tuple[float, ...]

    @property
    def highest_level(self) -> float:
        """The highest level that can be kept; above it too many true categories got no vote."""
        return self.ranks[-1] / (self.cards + 1) if self.ranks else 0.0

    def least_probability(self, level: float) -> float | None:
        """Return how probable a category must be to belong to the set.

        Parameters
        ----------
        level
            Asked share of sets that hold the true category, above 0 and below 1.

        Returns
        -------
        float or None
            None above :attr:`highest_level`.

        Raises
        ------
        ValueError
            If the level is not above 0 and below 1.
        """
        if not 0 < level < 1:
            raise ValueError(f"The level of a set must be above 0 and below 1; it is {level}.")
        place = int(np.searchsorted(self.ranks, np.ceil(level * (self.cards + 1) - 1e-9)))
        return self.probabilities[place] if place < len(self.ranks) else None


def set_curve(
    probabilities: FloatArray, categories: IntRows, true_codes: IntRows, points: int = POINTS
) -> SetCurve:
    """Note how probable the true categories of the calibration cards were.

    Parameters
    ----------
    probabilities
        float64, shape (n, k): of ``categories``.
    categories
        int64, shape (n, k): category codes, each once a row; -1 after the last.
    true_codes
        int64, shape (n,); -1 for an unknown category.
    points
        Number of places to keep at most.
    """
    is_true = (categories == true_codes[:, None]) & (categories >= 0)
    falling = -np.sort(-probabilities[is_true])
    ranks = np.arange(1, len(falling) + 1)
    kept = thin_out(ranks, points)
    return SetCurve(
        cards=len(true_codes),
        ranks=tuple(ranks[kept].tolist()),
        probabilities=tuple(falling[kept].tolist()),
    )


def category_sets(
    probabilities: FloatArray, categories: IntRows, least_probability: float
) -> BoolArray:
    """Say which categories belong to each set.

    Parameters
    ----------
    probabilities, categories
        As for :func:`set_curve`, the most probable category first.
    least_probability
        From :meth:`SetCurve.least_probability`.

    Returns
    -------
    numpy.ndarray
        bool, shape (n, k). The most probable category always belongs.
    """
    chosen: BoolArray = (categories >= 0) & (probabilities >= least_probability)
    chosen[:, 0] = categories[:, 0] >= 0
    return chosen
