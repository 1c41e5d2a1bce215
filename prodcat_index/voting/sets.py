"""Sets of categories that hold the true one with a target coverage (split conformal prediction)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prodcat_index.types import BoolArray, Float64Array, Int64Array
from prodcat_index.voting.thresholds import (
    CardCount,
    CardCounts,
    Shares,
    check_columns,
    check_share,
    is_rising,
    subsample_evenly,
)


@dataclass(frozen=True)
class SetCurve:
    """Probability of the true category of the calibration cards."""

    cards: CardCount  # calibration cards, those whose true category got no vote included
    ranks: CardCounts  # rising places, from 1, in the order of falling probability
    probabilities: Shares  # of the true category at these places, falling

    def __post_init__(self) -> None:
        check_columns(self.ranks, self.probabilities)
        if not is_rising((*self.ranks, self.cards)):
            raise ValueError("The ranks of a set curve must rise, to the number of cards at most.")
        if not is_rising(reversed(self.probabilities)):
            raise ValueError("The probabilities of a set curve must fall.")

    @property
    def highest_coverage(self) -> float:
        """The highest coverage that sets can keep; the other true categories got no vote."""
        return self.ranks[-1] / (self.cards + 1) if self.ranks else 0.0

    def least_probability(self, coverage: float) -> float | None:
        """Return the least probability of a category in a set, None above the highest coverage."""
        check_share("coverage of sets", coverage)
        # Rounded up, but not for an error of rounding: 0.55 * 20 is 11.000000000000002.
        rank = np.ceil(coverage * (self.cards + 1) - 1e-9)
        place = int(np.searchsorted(self.ranks, rank))
        return self.probabilities[place] if place < len(self.ranks) else None


def set_curve(
    probabilities: Float64Array, categories: Int64Array, true_codes: Int64Array
) -> SetCurve:
    """Rank the probabilities of the true categories of the calibration cards."""
    is_true = (categories == true_codes[:, None]) & (categories >= 0)
    falling = -np.sort(-probabilities[is_true])
    ranks = np.arange(1, len(falling) + 1)
    kept = subsample_evenly(ranks)
    return SetCurve(len(true_codes), tuple(ranks[kept].tolist()), tuple(falling[kept].tolist()))


def category_sets(
    probabilities: Float64Array, categories: Int64Array, least_probability: float
) -> BoolArray:
    """Return which categories belong to each set, (n, k); the most probable one always does."""
    chosen: BoolArray = (categories >= 0) & (probabilities >= least_probability)
    chosen[:, 0] = categories[:, 0] >= 0
    return chosen
