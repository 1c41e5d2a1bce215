"""Calibrated confidence of votes.

It is fitted to votes on cards of known category, and applied with numpy alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import Field

from prodcat_index.types import BoolArray, Float64Array, Int64Array
from prodcat_index.voting.prefixes import (
    BackOffCurve,
    CategoryTree,
    back_off_curve,
    likeliest_prefixes,
)
from prodcat_index.voting.sets import SetCurve, set_curve
from prodcat_index.voting.thresholds import (
    CardCount,
    CategoryThresholds,
    PrecisionCurve,
    category_thresholds,
    precision_curve,
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
class Calibration:
    """Reliability of the vote, for one setting of an index."""

    cards: CardCount  # that it was learned from
    model: ProbabilityModel  # probabilities from shares
    precision: PrecisionCurve  # confidence that a target precision needs
    prefixes: BackOffCurve | None  # likewise for prefixes; None where categories are no paths
    sets: SetCurve  # sets of categories for a target coverage
    # Of each category by itself; None in calibrations by earlier versions.
    categories: Annotated[Mapping[str, CategoryThresholds], Field(max_length=2**20)] | None = None


def fit_calibration(
    vote: Vote,
    similarities: Float64Array,  # (n, k), of the neighbours
    true_codes: Int64Array,  # positions in the names, or -1
    names: Sequence[str],
    groups: Int64Array,  # (n,): cards of a group are likely to be right or wrong together
) -> Calibration | None:
    """Learn the reliability of votes; None where fewer than MINIMUM_CARDS cards got one.

    They must be such as new cards will get: no card voted for itself or chose how to vote.
    """
    _check(vote, similarities, true_codes, len(names))
    if groups.shape != true_codes.shape:
        raise ValueError(f"Groups must be as many as cards; they are {groups.shape}.")
    voted = vote.categories[:, 0] >= 0
    if voted.sum() < MINIMUM_CARDS:
        return None
    is_true = (vote.categories == true_codes[:, None]) & (vote.categories >= 0)
    some = Vote(vote.neighbour_shares[voted], vote.categories[voted], vote.shares[voted])
    model = _fit_model(some, similarities[voted], is_true[voted])
    probabilities = model.probabilities(vote, similarities)
    confidence = model.confidence(probabilities)
    right, predicted = is_true[:, 0], vote.categories[:, 0]
    curve = precision_curve(confidence, right, groups)
    tree = CategoryTree.from_categories(names)
    likeliest = likeliest_prefixes(probabilities, vote.categories, tree)
    prefixes = back_off_curve(curve, confidence, likeliest, true_codes, groups, tree)
    sets = set_curve(probabilities, vote.categories, true_codes)
    categories = category_thresholds(confidence, right, predicted, groups, names)
    return Calibration(len(true_codes), model, curve, prefixes, sets, categories)


def _check(vote: Vote, similarities: Float64Array, true_codes: Int64Array, names: int) -> None:
    if similarities.shape != vote.shares.shape or true_codes.shape != vote.shares.shape[:1]:
        shapes = f"{similarities.shape} and {true_codes.shape}"
        raise ValueError(
            f"Similarities and true categories must be as many as shares; they are {shapes}."
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
    log_odds = _log_odds(rough.probabilities(vote, similarities)[:, :1])
    truth, counts = is_true[:, 0].astype(np.float64), np.ones(len(is_true))
    prior, strength = np.array([0.0, 1.0]), np.full(2, PRIOR_OF_CORRECTION)
    offset, slope = _fit_logistic(log_odds, truth, counts, prior, strength)
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
