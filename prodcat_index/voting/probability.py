"""From shares of a vote to probabilities. Pure; numpy alone to apply, scipy to fit."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from prodcat_index.voting.reliability import BoolArray, FloatArray
from prodcat_index.voting.vote import Vote

# Of the logarithm: an exponent of 0.05 makes shares equal, one of 20 leaves the largest alone.
SHARPNESS_RANGE = (-3.0, 3.0)
# Before any card is seen: half a card that was found and half a card that was not; weights and
# log sharpness around 0 with a variance of 1; a correction that is smaller still.
PRIOR_CARDS = 0.5
PRIOR_OF_CORRECTION = 30.0
LEAST_DOUBT = 1e-6
SMALLEST_SPREAD = 1e-9


@dataclass(frozen=True)
class ProbabilityModel:
    """What shares of a vote are worth.

    The true category is among those that got a vote with the probability
    found = logistic(intercept + similarity_weight * s_1 + share_weight * share_1), for s_1 the
    similarity of the nearest neighbour and share_1 the largest share. Each category then has the
    probability found * share ** sharpness, divided by the sum of these powers. The confidence in
    the first one is logistic(offset + slope * its log-odds).

    Attributes
    ----------
    sharpness
        Above 1 where votes are too cautious, below 1 where they are too sure.
    intercept, similarity_weight, share_weight
        Of the first logistic; neither weight is negative.
    offset, slope
        Of the second logistic; the slope is not negative.
    """

    sharpness: float
    intercept: float
    similarity_weight: float
    share_weight: float
    offset: float = 0.0
    slope: float = 1.0

    def probabilities(self, vote: Vote, similarities: FloatArray) -> FloatArray:
        """Return the probability of each category that got a vote.

        Parameters
        ----------
        vote
            Of n queries.
        similarities
            float64, shape (n, k): of the neighbours that voted, nearest first.

        Returns
        -------
        numpy.ndarray
            float64, shape (n, k): of ``vote.categories``, falling along a row. A row sums to the
            probability that the true category is among them, and to 0 where nobody voted.
        """
        weights = np.array([self.similarity_weight, self.share_weight])
        found = _logistic(self.intercept + _features(vote, similarities) @ weights)
        return found[:, None] * _sharpened(vote.shares, self.sharpness)

    def confidence(self, probabilities: FloatArray) -> FloatArray:
        """Return how probably the first category is the true one.

        Parameters
        ----------
        probabilities
            float64, shape (n, k): from :meth:`probabilities`.

        Returns
        -------
        numpy.ndarray
            float64, shape (n,); 0 where nobody voted.
        """
        first = probabilities[:, 0]
        confidence = _logistic(self.offset + self.slope * _log_odds(first))
        return np.where(first > 0, confidence, 0.0)


def fit_probability_model(
    vote: Vote, similarities: FloatArray, is_true: BoolArray
) -> ProbabilityModel:
    """Learn what shares are worth by maximum likelihood.

    Parameters
    ----------
    vote, similarities
        Of n cards, each with a vote; as for :meth:`ProbabilityModel.probabilities`.
    is_true
        bool, shape (n, k): which of ``vote.categories`` is the true one.
    """
    found = np.any(is_true, axis=1)
    sharpness = _fit_sharpness(vote.shares[found], is_true[found, 0])
    rough = ProbabilityModel(sharpness, *_fit_found(_features(vote, similarities), found))
    first = _log_odds(rough.probabilities(vote, similarities)[:, 0])
    offset, slope = _fit_correction(first, is_true[:, 0])
    return replace(rough, offset=offset, slope=slope)


def _features(vote: Vote, similarities: FloatArray) -> FloatArray:
    return np.stack([np.nan_to_num(similarities[:, 0]), vote.shares[:, 0]], axis=1)


def _logistic(log_odds: FloatArray) -> FloatArray:
    return 0.5 * (1 + np.tanh(0.5 * log_odds))


def _log_odds(probability: FloatArray) -> FloatArray:
    bounded = np.clip(probability, LEAST_DOUBT, 1 - LEAST_DOUBT)
    return np.log(bounded) - np.log1p(-bounded)


def _sharpened(shares: FloatArray, sharpness: float) -> FloatArray:
    voted = shares > 0
    logs = np.log(np.where(voted, shares, 1.0))
    powers = np.where(voted, np.exp(sharpness * (logs - logs[:, :1])), 0.0)
    totals = powers.sum(axis=1, keepdims=True)
    return np.divide(powers, totals, out=np.zeros_like(powers), where=totals > 0)


def _fit_sharpness(shares: FloatArray, first_is_true: BoolArray) -> float:
    from scipy.optimize import minimize_scalar

    def loss(log_sharpness: float) -> float:
        first = _sharpened(shares, np.exp(log_sharpness))[:, 0]
        likelihood = np.where(first_is_true, first, 1 - first)
        return float(-np.log(np.maximum(likelihood, LEAST_DOUBT)).sum() + log_sharpness**2 / 2)

    return float(np.exp(minimize_scalar(loss, bounds=SHARPNESS_RANGE, method="bounded").x))


def _fit_found(features: FloatArray, found: BoolArray) -> list[float]:
    """Return the intercept and the weights of the similarity and the share."""
    mean, spread = features.mean(axis=0), features.std(axis=0)
    spread = np.where(spread > SMALLEST_SPREAD, spread, 1.0)
    # The prior's cards stand at the mean.
    scaled = np.pad((features - mean) / spread, ((0, 2), (0, 0)))
    truth = np.append(found, [1.0, 0.0])
    counts = np.append(np.ones(len(found)), [PRIOR_CARDS] * 2)
    intercept, *scaled_weights = _fit_logistic(
        scaled, truth, counts, usual=np.zeros(3), strength=np.array([0.0, 1.0, 1.0])
    )
    weights = np.array(scaled_weights) / spread
    return [intercept - float(weights @ mean), *weights.tolist()]


def _fit_correction(log_odds: FloatArray, right: BoolArray) -> list[float]:
    """Return offset and slope, 0 and 1 unless many cards say otherwise."""
    return _fit_logistic(
        log_odds[:, None],
        right.astype(np.float64),
        np.ones(len(right)),
        usual=np.array([0.0, 1.0]),
        strength=np.full(2, PRIOR_OF_CORRECTION),
    )


def _fit_logistic(
    features: FloatArray,
    truth: FloatArray,
    counts: FloatArray,
    usual: FloatArray,
    strength: FloatArray,
) -> list[float]:
    """Return the intercept and weights, none negative, that are drawn to the usual ones."""
    from scipy.optimize import minimize

    rows = np.column_stack([np.ones(len(features)), features])

    def loss(weights: FloatArray) -> tuple[float, FloatArray]:
        log_odds, away = rows @ weights, weights - usual
        value = counts @ (np.logaddexp(0.0, log_odds) - truth * log_odds)
        slopes = rows.T @ (counts * (_logistic(log_odds) - truth)) + strength * away
        return float(value + strength @ away**2 / 2), slopes

    bounds = [(None, None)] + [(0.0, None)] * features.shape[1]
    found: list[float] = minimize(
        loss, usual, jac=True, bounds=bounds, method="L-BFGS-B"
    ).x.tolist()
    return found
