"""Quality of predictions, in category codes, and reliability of their confidence. Pure.

Everywhere `confidence` is float64, shape (n,), from 0 to 1, and `right` is bool, shape (n,):
whether each answer was right; n is at least 1.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.findings import counted
from prodcat_index.types import MISSING, BoolArray, Float64Array, Int64Array, rounded

# Draws of an interval, and the part of them that it holds.
DRAWS = 1000
LEVEL = 0.95
# Bins of the calibration error, as is usual.
BINS = 15
# Shares of answers kept, at which the risk is given.
COVERAGES = tuple(tenth / 10 for tenth in range(1, 11))
# A wrong answer with confidence 1 counts as one with this little doubt, so that nll stays finite.
LEAST_DOUBT = 1e-4


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
class Outcome:
    """Predictions for n cards, at least 1, in codes of C categories."""

    true: Int64Array  # (n,)
    predicted: Int64Array  # (n,), -1 where nothing was predicted
    reachable: BoolArray  # (C,): categories that could have been predicted
    ranked: Int64Array | None = None  # (n, r): best category first, -1 after the last
    neighbours: Int64Array | None = None  # (n, k): their categories, -1 where there is none


@dataclass(frozen=True)
class Interval:
    """A range that holds the value 95 times in 100, both ends included."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        """Return whether a value lies in the range."""
        return self.low <= value <= self.high


def draw_weighted_f1(
    outcomes: Sequence[Outcome], clusters: Sequence[Int64Array], seed: int = 0
) -> Float64Array:
    """Return the weighted F1 of resampled cards, shape (DRAWS,), the mean over the outcomes.

    Cards of one cluster, numbered from 0 and alike in all outcomes, are drawn together. The draws
    depend on seed and number of clusters alone, so those of two predictors may be subtracted.
    """
    rng = np.random.default_rng(seed)
    count = 1 + max(int(each.max()) for each in clusters)
    means = np.full(DRAWS, np.nan)
    for draw in range(DRAWS):
        drawn = np.bincount(rng.integers(count, size=count), minlength=count)
        scores = [
            weighted_f1(outcome.true, outcome.predicted, len(outcome.reachable), counts)
            for outcome, each in zip(outcomes, clusters, strict=True)
            if (counts := drawn[each]).any()
        ]
        if scores:
            means[draw] = sum(scores) / len(scores)
    return means


def percentile_interval(values: Float64Array) -> Interval:
    """Return the range between the 2.5th and the 97.5th percentile."""
    low, high = np.nanpercentile(values, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Interval(float(low), float(high))


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
        fields = {"interval": ends, "unreachable_share": self.unreachable_share}
        record: dict[str, Any] = rounded(vars(self) | fields)
        return record

    def __str__(self) -> str:
        """Return the sentence that people read."""
        interval = self.interval
        within = f" ({interval.low:.3f} to {interval.high:.3f})" if interval else ""
        lost = counted(self.unreachable, "cards are of a category that the index does not have")
        lost = f" ({lost})" if self.unreachable else ""
        return (
            f"weighted F1 {self.weighted_f1:.3f}{within}, macro F1 {self.macro_f1:.3f}, accuracy "
            f"{self.accuracy:.3f} on {counted(self.cards, 'cards')} of "
            f"{counted(self.categories, 'categories')}{lost}"
        )


def score_outcome(outcome: Outcome, interval: Interval | None = None) -> Score:
    """Score predictions that are given as codes."""
    true, predicted, categories = outcome.true, outcome.predicted, len(outcome.reachable)
    return Score(
        cards=len(true),
        categories=len(np.unique(true)),
        unreachable=int(np.sum(~outcome.reachable[true])),
        accuracy=float(np.mean(true == predicted)),
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
    """Compare predicted with true categories, with an interval for which each card is drawn alone.

    `y_pred` is empty where nothing was predicted; `known` categories could have been predicted.
    """
    reachable = set(known)
    names = sorted({*y_true, *y_pred, *reachable} - {""})
    code = {name: place for place, name in enumerate(names)}
    true, predicted = (
        np.array([code.get(name, MISSING) for name in column], dtype=np.int64)
        for column in (y_true, y_pred)
    )
    outcome = Outcome(true, predicted, np.array([name in reachable for name in names]))
    drawn = draw_weighted_f1([outcome], [np.arange(len(true))])
    return score_outcome(outcome, percentile_interval(drawn))


@dataclass(frozen=True)
class ReliabilityBin:
    """Answers of about the same confidence; both figures are means over them."""

    answers: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class RiskCoverage:
    """Share of wrong answers against the share of answers that are kept, surest first."""

    coverage: Float64Array  # (m,): up to each of m different confidences
    risk: Float64Array  # (m,)
    area: float  # under the curve, as if equally sure answers came in random order


@dataclass(frozen=True)
class ConfidenceScore:
    """The quality of one kind of confidence."""

    kind: str  # "confidence", the share of the vote, or "calibrated", the probability
    ece: float  # expected calibration error: mean |confidence - accuracy| over equal-mass bins
    brier: float  # mean squared distance of confidence from 1 where right and 0 where wrong
    nll: float  # mean negative natural logarithm of the confidence in what came true
    area: float  # under the curve
    curve: RiskCoverage
    risk: Sequence[float]  # share of wrong answers at each of ``COVERAGES``
    bins: Sequence[ReliabilityBin]  # of equally many answers, least confident first

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON, rounded to 4 digits but for the bins."""
        numbers = {name: getattr(self, name) for name in ("kind", "ece", "brier", "nll", "area")}
        risk = {f"{share:.1f}": risk for share, risk in zip(COVERAGES, self.risk, strict=True)}
        record: dict[str, Any] = rounded(numbers | {"risk_at_coverage": risk})
        return record | {"reliability": [vars(each) for each in self.bins]}


def score_confidence(kind: str, confidence: Float64Array, right: BoolArray) -> ConfidenceScore:
    """Score one kind of confidence by whether each answer is right."""
    curve = risk_coverage(confidence, right)
    order = np.argsort(confidence, kind="stable")
    bins = [
        ReliabilityBin(len(rows), float(confidence[rows].mean()), float(right[rows].mean()))
        for rows in np.array_split(order, min(BINS, len(order)))
    ]
    gaps = sum(each.answers * abs(each.confidence - each.accuracy) for each in bins)
    bounded = np.clip(confidence, LEAST_DOUBT, 1 - LEAST_DOUBT)
    # A tenth and the coverage that reaches it are quotients, which are rounded alike.
    places = np.searchsorted(curve.coverage, COVERAGES)
    return ConfidenceScore(
        kind=kind,
        ece=gaps / len(right),
        brier=float(np.mean((confidence - right) ** 2)),
        nll=float(-np.mean(np.log(np.where(right, bounded, 1 - bounded)))),
        area=curve.area,
        curve=curve,
        risk=curve.risk[places].tolist(),
        bins=bins,
    )


def risk_coverage(confidence: Float64Array, right: BoolArray) -> RiskCoverage:
    """Return the share of wrong answers when only the most confident ones are kept."""
    check_confidence(confidence, right)
    order = np.argsort(-confidence, kind="stable")
    _, starts, answers = np.unique(-confidence[order], return_index=True, return_counts=True)
    wrong = np.add.reduceat(~right[order], starts, dtype=np.int64)
    ends = np.cumsum(answers)
    expected = np.cumsum(np.repeat(wrong / answers, answers))
    return RiskCoverage(
        coverage=ends / len(right),
        risk=np.cumsum(wrong) / ends,
        area=float(np.mean(expected / np.arange(1, len(right) + 1))),
    )


def check_confidence(confidence: Float64Array, right: BoolArray) -> None:
    """Raise ValueError if the arguments are swapped or are no confidence."""
    if right.dtype != np.bool_:
        raise ValueError(f"right must be boolean; it is {right.dtype}. Are the arguments swapped?")
    if confidence.shape != right.shape or right.ndim != 1 or not len(right):
        shapes = f"{confidence.shape} and {right.shape}"
        raise ValueError(f"confidence and right must be equally long rows; they are {shapes}.")
    if not np.all((confidence >= 0) & (confidence <= 1)):
        raise ValueError("confidence must be from 0 to 1.")
