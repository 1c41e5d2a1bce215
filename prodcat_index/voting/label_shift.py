"""Shares of the categories among listings without labels, and votes weighed by them. Pure.

Label shift: categories come more or less often than in the catalogue, and the listings of a
category look as they did. The shares are found by expectation maximization over the calibrated
probabilities (M. Saerens, P. Latinne and C. Decaestecker, 2002), with a Dirichlet prior around the
shares in the catalogue. Why so, and what it gains: docs/decisions/audit.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from prodcat_index.errors import QueryError
from prodcat_index.types import Float64Array, Int64Array, shares_of
from prodcat_index.voting.calibration import Calibration, sharpened
from prodcat_index.voting.vote import Vote

# The weights of votes are the ratio of the shares to this power: the probabilities that they rest
# on are not exact, and an answer that they change wrongly costs as much as one they mend gains.
DAMPING = 1 / 3
# Of a category that no card of the calibration was answered with, half a card counts.
LEAST_CARDS = 0.5
# Fewer listings say next to nothing about hundreds of categories.
FEWEST_LISTINGS = 30
STEPS = 1000
TOLERANCE = 1e-6


@dataclass(frozen=True)
class LabelShift:
    """Shares of C categories."""

    source: Float64Array  # (C,): among the answers that the confidence was calibrated by
    estimated: Float64Array  # (C,): among the listings; both sum to 1

    @property
    def distance(self) -> float:
        """Total variation between the two: the part of the listings that moved, from 0 to 1."""
        return float(np.abs(self.estimated - self.source).sum() / 2)

    @property
    def factors(self) -> Float64Array:
        """What the probability of each category is to be multiplied by: (C,)."""
        ratio: Float64Array = (self.estimated / self.source) ** DAMPING
        return ratio


def source_shares(answered: Float64Array, cards: int, sizes: Int64Array) -> Float64Array:
    """Return the shares that the answers to the index's own cards rest on: (C,).

    They are the mean of two: that of the probabilities, (C,), out of fold over some cards, which
    says what votes favour; and that of the labels, whose numbers are (C,), since a category of one
    product is never answered out of fold.
    """
    smoothed = answered * cards + LEAST_CARDS
    shares: Float64Array = (smoothed / smoothed.sum() + sizes / sizes.sum()) / 2
    return shares


def estimate_shift(
    posterior: Float64Array,  # (n, k)
    categories: Int64Array,  # (n, k): their codes, -1 after the last
    source: Float64Array,  # (C,)
    strength: float | None = None,
) -> LabelShift:
    """Estimate the shares of the categories among n listings.

    The prior weighs as much as `strength` listings: by default the root of n times C, more than
    the listings where these are few, and little where they are many.
    """
    voted = (categories >= 0) & (posterior > 0)
    listings, places = np.nonzero(voted)
    codes, values = categories[listings, places], posterior[listings, places]
    n = len(np.unique(listings))
    if n == 0:
        return LabelShift(source, source)
    strength = float(np.sqrt(n * len(source))) if strength is None else strength
    estimated = source
    for _ in range(STEPS):
        weighed = values * (estimated / source)[codes]
        totals = np.bincount(listings, weighed, minlength=len(categories))
        counts = np.bincount(codes, weighed / totals[listings], minlength=len(source))
        better = (counts + strength * source) / (n + strength)
        moved = float(np.abs(better - estimated).sum())
        estimated = better
        if moved < TOLERANCE:
            break
    return LabelShift(source, estimated)


def check_adjustable(trusted: Calibration | str) -> None:
    """Raise QueryError if a calibration, or the reason why there is none, tells no shift."""
    if isinstance(trusted, str):
        raise QueryError(f"The shares of the categories cannot be estimated: {trusted}.")
    if trusted.answered is None:
        raise QueryError(
            "An earlier version calibrated this index, without the shares that those of the "
            "listings are compared with. Build it again, or run prodcat tune INDEX, to adjust them."
        )


def estimate_for(
    calibration: Calibration, names: Sequence[str], sizes: Int64Array, vote: Vote
) -> LabelShift:
    """Estimate the shares among listings from their votes; too few count as not shifted at all."""
    answered = np.array([(calibration.answered or {}).get(name, 0.0) for name in names])
    source = source_shares(answered, calibration.cards, sizes)
    if np.sum(vote.categories[:, 0] >= 0) < FEWEST_LISTINGS:
        return LabelShift(source, source)
    posterior = sharpened(vote.shares, calibration.model.sharpness)
    return estimate_shift(posterior, vote.categories, source)


def reweigh(
    vote: Vote, factors: Float64Array, sharpness: float, codes: Int64Array | None = None
) -> Vote:
    """Return votes whose probabilities are multiplied by factors of the categories, (C,).

    The parts of the neighbours follow, where their categories are given, (n, k).
    """
    powers = np.append(factors ** (1 / sharpness), 0.0)  # the last is for the code -1

    shares = shares_of(vote.shares * powers[vote.categories])
    # Stable, so that equal shares stay in the order that they had.
    order = np.argsort(np.where(vote.categories >= 0, -shares, np.inf), axis=1, kind="stable")
    voters = vote.neighbour_shares
    return replace(
        vote,
        neighbour_shares=voters if codes is None else shares_of(voters * powers[codes]),
        categories=np.take_along_axis(vote.categories, order, axis=1),
        shares=np.take_along_axis(shares, order, axis=1),
    )
