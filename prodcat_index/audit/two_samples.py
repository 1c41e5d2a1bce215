"""Whether two samples of cards differ, and how good the answers to one are expected to be. Pure.

Samples are compared by a classifier, in a share, and in their categories. Cards of one group, such
as variants, are one observation, and are never divided between what is fitted and what it is
judged on.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from math import erfc, sqrt
from typing import Any

import numpy as np

from prodcat_index.learning.folds import assign_folds
from prodcat_index.types import BoolArray, Float64Array, Int64Array
from prodcat_index.voting.metrics import LEVEL, Interval, percentile_interval, weighted_f1

# Draws of the groups that are new, and of the true categories.
DRAWS, QUALITY_DRAWS = 999, 300
# Standard errors that an interval holds at each side.
DEVIATIONS = 1.96
SEED = 0


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % score interval (Wilson, 1927) of a share of so many."""
    z = DEVIATIONS
    spread = z * np.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    low, high = (share + z**2 / (2 * count) + side * spread for side in (-1, 1))
    return float(low / (1 + z**2 / count)), float(high / (1 + z**2 / count))


@dataclass(frozen=True)
class Difference:
    """A number, its 95 % interval, and how likely it is to be so large where nothing differs."""

    value: float
    low: float
    high: float
    p: float

    @property
    def is_known(self) -> bool:
        """Whether the interval of an area leaves out any."""
        return (self.low, self.high) != (0.0, 1.0)


def grouped_auc(
    scores: Float64Array, is_new: BoolArray, groups: Int64Array, folds: Int64Array
) -> Difference:
    """Return how often a new card scores above an old one of its fold: 0.5 where nothing differs.

    The area under the ROC curve is the mean over the folds, whose scores are of several models.
    Its error is DeLong's (1988), with whole groups as observations (N. Obuchowski, 1997).
    """
    parts = []
    for fold in np.unique(folds):
        own = np.flatnonzero(folds == fold)
        new, old = own[is_new[own]], own[~is_new[own]]
        if len(new) and len(old):
            # The share of the others that each card is right beside.
            above = share_below(scores[new], scores[old])
            below = 1 - share_below(scores[old], scores[new])
            area = float(above.mean())
            influence = np.zeros(len(scores))
            influence[new] = (above - area) / len(new)
            influence[old] = (below - area) / len(old)
            parts.append((area, group_variance(influence[own], groups[own]), len(own)))
    if not parts:
        return Difference(0.5, 0.0, 1.0, 1.0)
    areas, variances, sizes = np.array(parts).T
    weights = sizes / sizes.sum()
    area = float(weights @ areas)
    error = sqrt(float(weights**2 @ variances))
    # Only an area above that of no difference speaks for one.
    away = area - 0.5
    p = erfc(away / error / sqrt(2)) / 2 if error > 0 else float(away <= 0)
    spread = DEVIATIONS * error
    return Difference(area, max(0.0, area - spread), min(1.0, area + spread), p)


def share_below(scores: Float64Array, others: Float64Array) -> Float64Array:
    """Return which share of the others is below each score; equal ones count half."""
    ordered = np.sort(others)
    below, up_to = (np.searchsorted(ordered, scores, side) for side in ("left", "right"))
    return (below + up_to) / (2 * len(others))


def group_variance(influence: Float64Array, groups: Int64Array) -> float:
    """Return the variance of a sum to which n cards, (n,), add, where groups are observations."""
    _, group = np.unique(groups, return_inverse=True)
    sums = np.bincount(group, influence)
    return float(sums @ sums)


def share_difference(values: Float64Array, is_new: BoolArray, groups: Int64Array) -> Difference:
    """Return how much the mean of the new cards is above that of the old ones."""
    means, variance = [], 0.0
    for side in (is_new, ~is_new):
        mean = float(values[side].mean())
        means.append(mean)
        variance += group_variance((values[side] - mean) / side.sum(), groups[side])
    away, error = means[0] - means[1], sqrt(variance)
    p = erfc(abs(away) / error / sqrt(2)) if error > 0 else float(away == 0)
    return Difference(away, away - DEVIATIONS * error, away + DEVIATIONS * error, p)


@dataclass(frozen=True, eq=False)
class Typicality:
    """How well n cards can be told apart as old and new ones."""

    auc: Difference
    scores: Float64Array  # (n,): probability of a new card, by what has not seen its group
    coefficients: Float64Array  # (dim,): of a logistic regression over all cards


def tell_apart(rows: Any, is_new: BoolArray, groups: Int64Array) -> Typicality:
    """Fit a logistic regression to rows, (n, dim), dense or sparse, and judge it by folds."""
    from sklearn.linear_model import LogisticRegression

    folds = assign_folds(groups)
    scores = np.full(len(is_new), 0.5)

    def fit(chosen: BoolArray) -> Any:
        model = LogisticRegression(solver="liblinear", class_weight="balanced", random_state=SEED)
        return model.fit(rows[np.flatnonzero(chosen)], is_new[chosen])

    for fold in np.unique(folds):
        others = folds != fold
        if len(np.unique(is_new[others])) == 2:
            scores[~others] = fit(others).predict_proba(rows[np.flatnonzero(~others)])[:, 1]
    whole = fit(np.ones(len(is_new), dtype=bool)).coef_[0]
    return Typicality(grouped_auc(scores, is_new, groups, folds), scores, whole)


@dataclass(frozen=True, eq=False)
class CategoryShift:
    """How the shares of C categories differ between old and new cards."""

    old: Float64Array  # (C,): shares among the old cards
    new: Float64Array  # (C,)
    distance: float  # total variation, from 0 to 1
    by_chance: float  # that chance alone exceeds 5 times in 100
    p: float  # how likely chance alone changes any category as much as the most changed one
    changed: BoolArray  # (C,): so much that chance changes any category so once in 20 times


def compare_categories(
    codes: Int64Array, is_new: BoolArray, groups: Int64Array, count: int
) -> CategoryShift:
    """Compare the categories, (n,), of old and new cards by drawing anew which groups are new.

    A category is held to have changed by the largest change of any in each draw (P. Westfall and
    S. Young, 1993), of the roots of its cards, whose chance is the same for large and small ones.
    The distance is no test: a category of one product is never answered out of fold, which adds up
    over many of them.
    """
    from scipy.sparse import csr_array

    known = codes >= 0
    codes, is_new = codes[known], is_new[known]
    _, group = np.unique(np.stack([groups[known], is_new]), axis=1, return_inverse=True)
    group = group.ravel()
    ones = np.ones(len(codes))
    cards = csr_array((ones, (group, codes)), shape=(int(group.max(initial=-1)) + 1, count))
    side = np.zeros(cards.shape[0], dtype=bool)
    side[group[is_new]] = True
    if not side.any() or side.all():
        nothing = np.zeros(count)
        return CategoryShift(nothing, nothing, 0.0, 1.0, 1.0, nothing > 0)
    total = np.asarray(cards.sum(axis=0))
    rng = np.random.default_rng(SEED)
    # One draw after the other: all of them, for every group, would fill the memory.
    drawn = chain([side], (rng.permutation(side) for _ in range(DRAWS)))
    new = np.stack([cards.T @ each for each in drawn])
    old = total - new
    sizes = new.sum(axis=1, keepdims=True), old.sum(axis=1, keepdims=True)
    shares = new / np.maximum(sizes[0], 1), old / np.maximum(sizes[1], 1)
    distances = np.abs(shares[0] - shares[1]).sum(axis=1) / 2
    expected = total / total.sum()
    change = np.abs(np.sqrt(new) - np.sqrt(sizes[0] * expected))
    largest = change.max(axis=1)
    return CategoryShift(
        old=shares[1][0],
        new=shares[0][0],
        distance=float(distances[0]),
        by_chance=float(np.quantile(distances[1:], LEVEL)),
        p=float(np.mean(largest >= largest[0])),
        changed=change[0] > np.quantile(largest[1:], LEVEL),
    )


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
    scores = np.empty((QUALITY_DRAWS, 2))
    for draw in range(QUALITY_DRAWS):
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
