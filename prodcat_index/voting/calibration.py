"""Calibrated confidence of votes.

It is fitted to votes on cards of known category, and applied with numpy alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import numpy as np
from pydantic import Field

from prodcat_index.types import BoolArray, Float64Array, Int64Array, shares_of
from prodcat_index.voting.evidence import Evidence, EvidenceModel
from prodcat_index.voting.logistic import SMALLEST_SPREAD, fit_logistic, logistic
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
# around 0 with a variance of 1; a correction around none with a variance of 1/30, and of 1 where
# evidence has lowered all probabilities, as if every second listing were of no known category.
PRIOR_CARDS = 0.5
PRIOR_OF_CORRECTION = 30.0
PRIOR_WITH_EVIDENCE = 1.0
# An answer that is less sure than this is for a person, though the others may be so sure that they
# would pay for it: most listings of unknown categories are among these.
LEAST_CONFIDENCE = 0.7
Share = Annotated[float, Field(ge=0, le=1)]
# Probabilities are kept this far from 0 and 1 where their logarithm is taken.
LEAST_DOUBT = 1e-6


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
    evidence: EvidenceModel | None = None  # None in calibrations by earlier versions

    def probabilities(
        self, vote: Vote, similarities: Float64Array, evidence: Float64Array | None = None
    ) -> Float64Array:
        """Return the probability of each category that got a vote, shape (n, k).

        Evidence, (n, F), lowers that of all of them where none is likely to be the true one.
        """
        weights = np.array([self.similarity_weight, self.share_weight])
        found = logistic(self.intercept + _features(vote, similarities) @ weights)
        if self.evidence is not None and evidence is not None:
            found = found * self.evidence.known(evidence)
        return found[:, None] * sharpened(vote.shares, self.sharpness)

    def confidence(self, probabilities: Float64Array) -> Float64Array:
        """Return the probability that the first category is the true one, shape (n,)."""
        first = probabilities[:, 0]
        confidence = logistic(self.offset + self.slope * _log_odds(first))
        return np.where(first > 0, confidence, 0.0)

    def ranked(self, probabilities: Float64Array) -> Float64Array:
        """Return the probabilities with the confidence as the first, shape (n, k).

        What that adds is taken off the others; what it takes off goes to none of them.
        """
        confidence, first = self.confidence(probabilities), probabilities[:, 0]
        left = np.divide(1 - confidence, 1 - first, out=np.zeros_like(first), where=first < 1)
        others = probabilities[:, 1:] * np.minimum(left, 1.0)[:, None]
        return np.column_stack([confidence, others])


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
    # Mean probability of each category over the cards, by which label shift is told; None likewise.
    answered: Annotated[Mapping[str, Share], Field(max_length=2**20)] | None = None


def fit_calibration(
    vote: Vote,
    similarities: Float64Array,  # (n, k), of the neighbours
    true_codes: Int64Array,  # positions in the names, or -1
    names: Sequence[str],
    groups: Int64Array,  # (n,): cards of a group are likely to be right or wrong together
    evidence: Evidence | None = None,
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
    its_evidence = evidence and evidence._replace(rows=evidence.rows[voted])
    model = _fit_model(some, similarities[voted], is_true[voted], its_evidence)
    probabilities = model.probabilities(vote, similarities, evidence and evidence.rows)
    confidence = model.confidence(probabilities)
    right, predicted = is_true[:, 0], vote.categories[:, 0]
    least = LEAST_CONFIDENCE if model.evidence else 0.0
    curve = precision_curve(confidence, right, groups, least)
    tree = CategoryTree.from_categories(names)
    likeliest = likeliest_prefixes(probabilities, vote.categories, tree)
    prefixes = back_off_curve(curve, confidence, likeliest, true_codes, groups, tree)
    sets = set_curve(probabilities, vote.categories, true_codes)
    categories = category_thresholds(confidence, right, predicted, groups, names, least)
    means = mean_posterior(sharpened(some.shares, model.sharpness), some.categories, len(names))
    answered = {name: mean for name, mean in zip(names, means.tolist(), strict=True) if mean > 0}
    return Calibration(len(true_codes), model, curve, prefixes, sets, categories, answered)


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


def _fit_model(
    vote: Vote, similarities: Float64Array, is_true: BoolArray, evidence: Evidence | None
) -> ProbabilityModel:
    """Fit by maximum likelihood with priors: sharpness, then what is found, then a correction."""
    found = np.any(is_true, axis=1)
    sharpness = _fit_sharpness(vote.shares[found], is_true[found, 0])
    intercept, *weights = _fit_found(_features(vote, similarities), found)
    rough = ProbabilityModel(sharpness, intercept, weights[0], weights[1])
    if evidence:
        rough = replace(rough, evidence=evidence.model)
    seen = evidence and evidence.rows
    log_odds = _log_odds(rough.probabilities(vote, similarities, seen)[:, :1])
    truth, counts = is_true[:, 0].astype(np.float64), np.ones(len(is_true))
    strongly = PRIOR_WITH_EVIDENCE if evidence else PRIOR_OF_CORRECTION
    prior, strength = np.array([0.0, 1.0]), np.full(2, strongly)
    offset, slope = fit_logistic(log_odds, truth, counts, prior, strength)
    return replace(rough, offset=offset, slope=slope)


def _fit_sharpness(shares: Float64Array, first_is_true: BoolArray) -> float:
    from scipy.optimize import minimize_scalar

    def loss(log_sharpness: float) -> float:
        first = sharpened(shares, np.exp(log_sharpness))[:, 0]
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
    intercept, *scaled_weights = fit_logistic(scaled, truth, counts, np.zeros(3), strength)
    weights = np.array(scaled_weights) / spread
    return [intercept - float(weights @ mean), *weights.tolist()]


def _features(vote: Vote, similarities: Float64Array) -> Float64Array:
    return np.stack([np.nan_to_num(similarities[:, 0]), vote.shares[:, 0]], axis=1)


def mean_posterior(posterior: Float64Array, categories: Int64Array, count: int) -> Float64Array:
    """Return the mean probability of `count` categories over listings that got a vote: (C,)."""
    voted = categories >= 0
    totals = np.bincount(categories[voted], posterior[voted], minlength=count)
    mean: Float64Array = totals / max(1, int(voted.any(axis=1).sum()))
    return np.minimum(mean, 1.0)


def _log_odds(probability: Float64Array) -> Float64Array:
    bounded = np.clip(probability, LEAST_DOUBT, 1 - LEAST_DOUBT)
    return np.log(bounded) - np.log1p(-bounded)


def sharpened(shares: Float64Array, sharpness: float) -> Float64Array:
    """Return shares to the power of the sharpness, each row summing to 1 where any is above 0."""
    voted = shares > 0
    logs = np.log(np.where(voted, shares, 1.0))
    powers = np.where(voted, np.exp(sharpness * (logs - logs[:, :1])), 0.0)
    return shares_of(powers)
