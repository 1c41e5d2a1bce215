"""Calibrated confidence and sets, learned from votes on cards of known category. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import Field

from prodcat_index.types import BoolArray, Float64Array, Int64Array
from prodcat_index.voting.thresholds import (
    POINTS,
    BackOffCurve,
    CardCount,
    CardCounts,
    CategoryTree,
    PrecisionCurve,
    Shares,
    back_off_curve,
    check_columns,
    is_rising,
    likeliest_prefixes,
    precision_curve,
    subsample_evenly,
)
from prodcat_index.voting.vote import Vote

MINIMUM_CARDS = 100
# Of the logarithm: an exponent of 0.05 makes shares equal, one of 20 leaves the largest alone.
SHARPNESS_RANGE = (-3.0, 3.0)
# The prior: half a card that was found and half a card that was not; weights and log sharpness
# around 0 with a variance of 1; a correction around none with a variance of 1/30.
PRIOR_CARDS = 0.5
PRIOR_OF_CORRECTION = 30.0
# Probabilities are kept this far from 0 and 1 where their logarithm is taken.
LEAST_DOUBT = 1e-6
# A feature that varies less is constant, but for rounding.
SMALLEST_SPREAD = 1e-9


@dataclass(frozen=True)
class ProbabilityModel:
    """Probabilities from the shares of a vote and the nearest neighbour's similarity.

    The true category got a vote ("is found") with a probability logistic in that similarity and in
    the largest share; that is dealt out by the shares to the power of the sharpness.
    """

    sharpness: Annotated[float, Field(gt=0)]
    intercept: float
    # None is negative: a nearer neighbour or a larger share never lowers the confidence.
    similarity_weight: Annotated[float, Field(ge=0)]
    share_weight: Annotated[float, Field(ge=0)]
    offset: float = 0.0  # of the log odds of the first category, for the confidence
    slope: Annotated[float, Field(ge=0)] = 1.0

    def probabilities(self, vote: Vote, similarities: Float64Array) -> Float64Array:
        """Return the probability of each category that got a vote, shape (n, k)."""
        weights = np.array([self.similarity_weight, self.share_weight])
        found = _logistic(self.intercept + _features(vote, similarities) @ weights)
        return found[:, None] * _sharpened(vote.shares, self.sharpness)

    def confidence(self, probabilities: Float64Array) -> Float64Array:
        """Return the probability that the first category is the true one, shape (n,)."""
        first = probabilities[:, 0]
        confidence = _logistic(self.offset + self.slope * _log_odds(first))
        return np.where(first > 0, confidence, 0.0)


@dataclass(frozen=True)
class SetCurve:
    """Probability of the true category of the calibration cards (split conformal prediction)."""

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
        if not 0 < coverage < 1:
            raise ValueError(f"The coverage must be above 0 and below 1; it is {coverage}.")
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
    kept = subsample_evenly(ranks, POINTS)
    return SetCurve(len(true_codes), tuple(ranks[kept].tolist()), tuple(falling[kept].tolist()))


def category_sets(
    probabilities: Float64Array, categories: Int64Array, least_probability: float
) -> BoolArray:
    """Return which categories belong to each set, (n, k); the most probable one always does."""
    chosen: BoolArray = (categories >= 0) & (probabilities >= least_probability)
    chosen[:, 0] = categories[:, 0] >= 0
    return chosen


@dataclass(frozen=True)
class Calibration:
    """Reliability of the vote, for one setting of an index."""

    cards: CardCount  # that it was learned from
    model: ProbabilityModel  # probabilities from shares
    precision: PrecisionCurve  # confidence that a target precision needs
    prefixes: BackOffCurve | None  # likewise for prefixes; None where categories are no paths
    sets: SetCurve  # sets of categories for a target coverage


def fit_calibration(
    vote: Vote, similarities: Float64Array, true_codes: Int64Array, names: Sequence[str]
) -> Calibration | None:
    """Learn the reliability of votes from cards of known category.

    The votes must be such as new cards will get: on cards that neither voted for themselves nor
    had a part in choosing how to vote. `similarities`, shape (n, k), are those of the neighbours,
    NaN where there is none; `true_codes` are positions in `names`, the categories, or -1 for
    another one. None where fewer than 100 cards got a vote.
    """
    _check(vote, similarities, true_codes, len(names))
    voted = vote.categories[:, 0] >= 0
    if voted.sum() < MINIMUM_CARDS:
        return None
    is_true = (vote.categories == true_codes[:, None]) & (vote.categories >= 0)
    some = Vote(vote.neighbour_shares[voted], vote.categories[voted], vote.shares[voted])
    model = _fit_model(some, similarities[voted], is_true[voted])
    probabilities = model.probabilities(vote, similarities)
    confidence = model.confidence(probabilities)
    curve = precision_curve(confidence, is_true[:, 0])
    tree = CategoryTree.from_categories(names)
    prefixes = likeliest_prefixes(probabilities, vote.categories, tree)
    return Calibration(
        cards=len(true_codes),
        model=model,
        precision=curve,
        prefixes=back_off_curve(curve, confidence, prefixes, true_codes, tree),
        sets=set_curve(probabilities, vote.categories, true_codes),
    )


def _check(vote: Vote, similarities: Float64Array, true_codes: Int64Array, names: int) -> None:
    if similarities.shape != vote.shares.shape or true_codes.shape != vote.shares.shape[:1]:
        raise ValueError(
            f"Shares of shape {vote.shares.shape} need similarities of the same shape and one "
            f"true category a row; these are {similarities.shape} and {true_codes.shape}."
        )
    if true_codes.dtype.kind != "i" or not np.all((true_codes >= -1) & (true_codes < names)):
        raise ValueError("True categories must be whole numbers from -1 to their number less one.")
    if np.any(np.abs(similarities) > 1):
        raise ValueError("Similarities must be from -1 to 1.")


def _fit_model(vote: Vote, similarities: Float64Array, is_true: BoolArray) -> ProbabilityModel:
    """Fit by maximum likelihood with priors: sharpness, then what is found, then a correction."""
    found = np.any(is_true, axis=1)
    sharpness = _fit_sharpness(vote.shares[found], is_true[found, 0])
    rough = ProbabilityModel(sharpness, *_fit_found(_features(vote, similarities), found))
    offset, slope = _fit_logistic(
        _log_odds(rough.probabilities(vote, similarities)[:, :1]),
        is_true[:, 0].astype(np.float64),
        np.ones(len(is_true)),
        prior=np.array([0.0, 1.0]),
        strength=np.full(2, PRIOR_OF_CORRECTION),
    )
    return replace(rough, offset=offset, slope=slope)


def _fit_sharpness(shares: Float64Array, first_is_true: BoolArray) -> float:
    from scipy.optimize import minimize_scalar

    def loss(log_sharpness: float) -> float:
        first = _sharpened(shares, np.exp(log_sharpness))[:, 0]
        likelihood = np.where(first_is_true, first, 1 - first)
        return float(-np.log(np.maximum(likelihood, LEAST_DOUBT)).sum() + log_sharpness**2 / 2)

    return float(np.exp(minimize_scalar(loss, bounds=SHARPNESS_RANGE, method="bounded").x))


def _fit_found(features: Float64Array, found: BoolArray) -> list[float]:
    """Return the intercept and the weights of the similarity and the share."""
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > SMALLEST_SPREAD, spread, 1.0)
    # The prior's cards stand at the mean.
    scaled = np.pad((features - mean) / spread, ((0, 2), (0, 0)))
    truth = np.append(found, [1.0, 0.0])
    counts = np.append(np.ones(len(found)), [PRIOR_CARDS] * 2)
    strength = np.array([0.0, 1.0, 1.0])
    intercept, *scaled_weights = _fit_logistic(scaled, truth, counts, np.zeros(3), strength)
    weights = np.array(scaled_weights) / spread
    return [intercept - float(weights @ mean), *weights.tolist()]


def _fit_logistic(
    features: Float64Array,
    truth: Float64Array,
    counts: Float64Array,
    prior: Float64Array,
    strength: Float64Array,
) -> list[float]:
    """Return an intercept and weights, none negative, drawn to the prior by a squared penalty."""
    from scipy.optimize import minimize

    rows = np.column_stack([np.ones(len(features)), features])

    def loss(weights: Float64Array) -> tuple[float, Float64Array]:
        log_odds, away = rows @ weights, weights - prior
        value = counts @ (np.logaddexp(0.0, log_odds) - truth * log_odds)
        slopes = rows.T @ (counts * (_logistic(log_odds) - truth)) + strength * away
        return float(value + strength @ away**2 / 2), slopes

    bounds = [(None, None)] + [(0.0, None)] * features.shape[1]
    fitted = minimize(loss, prior, jac=True, bounds=bounds, method="L-BFGS-B")
    weights: list[float] = fitted.x.tolist()
    return weights


def _features(vote: Vote, similarities: Float64Array) -> Float64Array:
    return np.stack([np.nan_to_num(similarities[:, 0]), vote.shares[:, 0]], axis=1)


def _logistic(log_odds: Float64Array) -> Float64Array:
    # By tanh, which does not overflow.
    return 0.5 * (1 + np.tanh(0.5 * log_odds))


def _log_odds(probability: Float64Array) -> Float64Array:
    bounded = np.clip(probability, LEAST_DOUBT, 1 - LEAST_DOUBT)
    return np.log(bounded) - np.log1p(-bounded)


def _sharpened(shares: Float64Array, sharpness: float) -> Float64Array:
    voted = shares > 0
    logs = np.log(np.where(voted, shares, 1.0))
    powers = np.where(voted, np.exp(sharpness * (logs - logs[:, :1])), 0.0)
    totals = powers.sum(axis=1, keepdims=True)
    return np.divide(powers, totals, out=np.zeros_like(powers), where=totals > 0)
