"""Quality of predictions. Pure functions over category codes, or over sequences of labels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from prodcat_index.types import MISSING, BoolArray, Float64Array, Int64Array

DRAWS = 1000
LEVEL = 0.95


def accuracy(true: Int64Array, predicted: Int64Array) -> float:
    """Return the share of right predictions; -1 where nothing was predicted."""
    return float(np.mean(true == predicted))


def category_f1(
    true: Int64Array, predicted: Int64Array, categories: int, counts: Int64Array | None = None
) -> Float64Array:
    """Return the F1 of every category: 2 TP / (2 TP + FP + FN); each card may count several times.

    scikit-learn's f1_score gives the same numbers; tuning calls this thousands of times.
    """

    def count(codes: Int64Array, cards: BoolArray) -> npt.NDArray[Any]:
        return np.bincount(codes[cards], None if counts is None else counts[cards], categories)

    both = np.bincount(true, counts, categories) + count(predicted, predicted >= 0)
    hits = count(true, true == predicted)
    return np.divide(2.0 * hits, both, out=np.zeros(categories), where=both > 0)


def weighted_f1(
    true: Int64Array, predicted: Int64Array, categories: int, counts: Int64Array | None = None
) -> float:
    """Return the mean F1 of the categories, weighted by their numbers of true cards."""
    sizes = np.bincount(true, counts, categories)
    return float(category_f1(true, predicted, categories, counts) @ sizes / sizes.sum())


def macro_f1(true: Int64Array, predicted: Int64Array, categories: int) -> float:
    """Return the mean F1 of the categories that have true cards."""
    sizes = np.bincount(true, minlength=categories)
    return float(category_f1(true, predicted, categories)[sizes > 0].mean())


@dataclass(frozen=True)
class Interval:
    """A range that holds the value 95 times in 100, both ends included."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        """Return whether a value lies in the range."""
        return self.low <= value <= self.high


class Sample(NamedTuple):
    """Predictions for n cards."""

    true: Int64Array
    predicted: Int64Array  # -1 where nothing was predicted
    clusters: Int64Array  # equal for cards that are drawn together, numbered from 0


def draw_weighted_f1(
    samples: Sequence[Sample], categories: int, *, draws: int = DRAWS, seed: int = 0
) -> Float64Array:
    """Return the weighted F1 of resampled cards, shape (draws,), the mean over the samples.

    Clusters, numbered alike in all samples, are drawn with replacement. The draws depend on the
    seed and the number of clusters alone, so that those of two predictors may be subtracted.
    """
    rng = np.random.default_rng(seed)
    clusters = 1 + max(int(sample.clusters.max()) for sample in samples)
    means = np.full(draws, np.nan)
    for draw in range(draws):
        drawn = np.bincount(rng.integers(clusters, size=clusters), minlength=clusters)
        weighed = [(sample, drawn[sample.clusters]) for sample in samples]
        scores = [
            weighted_f1(sample.true, sample.predicted, categories, counts)
            for sample, counts in weighed
            if counts.any()
        ]
        if scores:
            means[draw] = sum(scores) / len(scores)
    return means


def percentile_interval(values: Float64Array) -> Interval:
    """Return the range between the 2.5th and the 97.5th percentile."""
    low, high = np.nanpercentile(values, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Interval(float(low), float(high))


@dataclass(frozen=True)
class Outcome:
    """Predictions for n cards, at least 1, in codes of C categories."""

    true: Int64Array  # (n,)
    predicted: Int64Array  # (n,), -1 where nothing was predicted
    reachable: BoolArray  # (C,): categories that could have been predicted
    ranked: Int64Array | None = None  # (n, r): best category first, -1 after the last
    neighbours: Int64Array | None = None  # (n, k): their categories, -1 where there is none

    @property
    def categories(self) -> int:
        """C, the number of categories that codes may stand for."""
        return len(self.reachable)


@dataclass(frozen=True)
class Score:
    """The quality of some predictions.

    Attributes
    ----------
    cards
        Number of predictions.
    categories
        Number of different true categories.
    unreachable
        Predictions whose true category the index does not have; no setting can get them right.
    accuracy, weighted_f1, macro_f1
        From 0 to 1; weighted by the number of true cards, and every category alike.
    top3, top5
        Share of cards whose category is among the best 3 or 5; None where answers are not ranked.
    oracle
        Share of cards with a neighbour of the true category, which no vote can exceed; None
        where there are no neighbours.
    interval
        95 % interval of the weighted F1; None where none was drawn.
    """

    cards: int
    categories: int
    unreachable: int
    accuracy: float
    weighted_f1: float
    macro_f1: float
    top3: float | None = None
    top5: float | None = None
    oracle: float | None = None
    interval: Interval | None = None

    @property
    def unreachable_share(self) -> float:
        """Share of the predictions that no setting can get right."""
        return self.unreachable / self.cards

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON, rounded to 4 digits; the interval as two numbers."""
        ends = self.interval and [self.interval.low, self.interval.high]
        fields = {
            **vars(self),
            "interval": ends and [round(end, 4) for end in ends],
            "unreachable_share": self.unreachable_share,
        }
        return {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in fields.items()
        }

    def __str__(self) -> str:
        """Return the sentence that people read."""
        interval = self.interval
        within = f" ({interval.low:.3f} to {interval.high:.3f})" if interval else ""
        be = "card is of a category" if self.unreachable == 1 else "cards are of categories"
        return (
            f"weighted F1 {self.weighted_f1:.3f}{within}, macro F1 {self.macro_f1:.3f}, accuracy "
            f"{self.accuracy:.3f} on {_count(self.cards, 'card', 'cards')} of "
            f"{_count(self.categories, 'category', 'categories')} "
            f"({self.unreachable} {be} that the index does not have)"
        )


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def score_outcome(outcome: Outcome, interval: Interval | None = None) -> Score:
    """Score predictions that are given as codes."""
    true, predicted, categories = outcome.true, outcome.predicted, outcome.categories
    return Score(
        cards=len(true),
        categories=len(np.unique(true)),
        unreachable=int(np.sum(~outcome.reachable[true])),
        accuracy=accuracy(true, predicted),
        weighted_f1=weighted_f1(true, predicted, categories),
        macro_f1=macro_f1(true, predicted, categories),
        top3=_share_among(true, outcome.ranked, 3),
        top5=_share_among(true, outcome.ranked, 5),
        oracle=_share_among(true, outcome.neighbours, None),
        interval=interval,
    )


def _share_among(true: Int64Array, found: Int64Array | None, first: int | None) -> float | None:
    if found is None:
        return None
    return float(np.any(found[:, :first] == true[:, None], axis=1).mean())


def score_predictions(
    y_true: Sequence[str], y_pred: Sequence[str], known: Collection[str]
) -> Score:
    """Compare predicted with true categories.

    Parameters
    ----------
    y_true
        True categories; at least one.
    y_pred
        Predicted categories, in the same order; empty where nothing was predicted.
    known
        Categories that could have been predicted.

    Returns
    -------
    Score
        With an interval for which every card is drawn alone.
    """
    reachable = set(known)
    names = sorted({*y_true, *y_pred, *reachable} - {""})
    code = {name: place for place, name in enumerate(names)}
    true, predicted = (
        np.array([code.get(name, MISSING) for name in column], dtype=np.int64)
        for column in (y_true, y_pred)
    )
    outcome = Outcome(true, predicted, np.array([name in reachable for name in names]))
    sample = Sample(true, predicted, clusters=np.arange(len(true)))
    return score_outcome(outcome, percentile_interval(draw_weighted_f1([sample], len(names))))
