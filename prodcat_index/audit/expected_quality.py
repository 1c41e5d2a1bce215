"""Accuracy and F1 of answers whose truth is not known, from their calibrated confidence. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prodcat_index.types import Float64Array, Int64Array
from prodcat_index.voting.metrics import Interval, percentile_interval, weighted_f1

DRAWS = 300
SEED = 0


@dataclass(frozen=True)
class ExpectedQuality:
    """What is expected of n answers, with 95 % intervals."""

    accuracy: float
    accuracy_interval: Interval
    weighted_f1: float
    f1_interval: Interval


def expect_quality(
    confidence: Float64Array,  # (n,): of the first category of each card
    posterior: Float64Array,  # (n, k): probabilities of the categories, if one is the true one
    categories: Int64Array,  # (n, k): their codes, best first; -1 after the last
    groups: Int64Array,  # (n,)
    count: int,
    error: float = 0.0,
) -> ExpectedQuality:
    """Draw the true categories again and again by their probabilities, and score the answers.

    Cards of one group are right or wrong together. `error` is the standard error of the
    confidence's own mean, which no number of cards makes up for. Where the first category is
    wrong, the true one is another that got a vote, or one that is not known.
    """
    rng = np.random.default_rng(SEED)
    _, group = np.unique(groups, return_inverse=True)
    predicted = categories[:, 0]
    rest = np.where(categories[:, 1:] >= 0, posterior[:, 1:], 0.0).cumsum(axis=1)
    totals = rest[:, -1:].sum(axis=1)
    scores = np.empty((DRAWS, 2))
    for draw in range(DRAWS):
        chance = rng.random(int(group.max()) + 1)[group]
        sure = np.clip(confidence + error * rng.standard_normal(), 0.0, 1.0)
        right = (chance < sure) & (predicted >= 0)
        place = (rest <= (rng.random(len(rest)) * totals)[:, None]).sum(axis=1) + 1
        others = np.take_along_axis(
            categories, np.minimum(place, categories.shape[1] - 1)[:, None], axis=1
        )[:, 0]
        unknown = (totals <= 0) | (others < 0)
        true = np.where(right, predicted, np.where(unknown, count, others))
        scores[draw] = right.mean(), weighted_f1(true, predicted, count + 1)
    accuracy, f1 = (percentile_interval(column) for column in scores.T)
    means = scores.mean(axis=0)
    return ExpectedQuality(float(np.mean(confidence)), accuracy, float(means[1]), f1)
