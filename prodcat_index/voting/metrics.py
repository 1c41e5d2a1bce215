"""How good predictions are. Pure functions over category codes, or over sequences of labels."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from prodcat_index.types import Float64Array, Int64Array


def accuracy(true: Int64Array, predicted: Int64Array) -> float:
    """Share of right predictions.

    Parameters
    ----------
    true
        int64, shape (n,): category codes; n at least 1.
    predicted
        int64, shape (n,); -1 where nothing was predicted.
    """
    return float(np.mean(true == predicted))


def category_f1(true: Int64Array, predicted: Int64Array, categories: int) -> Float64Array:
    """F1 of every category: 2 TP / (2 TP + FP + FN)."""
    hits = np.bincount(true[true == predicted], minlength=categories)
    named = np.bincount(predicted[predicted >= 0], minlength=categories)
    both = np.bincount(true, minlength=categories) + named
    return np.divide(2.0 * hits, both, out=np.zeros(categories), where=both > 0)


def weighted_f1(true: Int64Array, predicted: Int64Array, categories: int) -> float:
    """Mean F1 of the categories, weighted by their numbers of true cards."""
    sizes = np.bincount(true, minlength=categories)
    return float(category_f1(true, predicted, categories) @ sizes / len(true))


def macro_f1(true: Int64Array, predicted: Int64Array, categories: int) -> float:
    """Mean F1 of the categories that have true cards."""
    sizes = np.bincount(true, minlength=categories)
    return float(category_f1(true, predicted, categories)[sizes > 0].mean())


DRAWS = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A range that holds the value 95 times in 100."""

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        """Return whether a value lies in the range."""
        return self.low <= value <= self.high


class Sample(NamedTuple):
    """Answers for n cards."""

    true: Int64Array
    predicted: Int64Array
    clusters: Int64Array


def cluster_codes(groups: Sequence[str]) -> Int64Array:
    """Give a number to each group of cards that is drawn together."""
    keys = [group or row for row, group in enumerate(groups)]
    code = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    return np.array([code[key] for key in keys], dtype=np.int64)


def draw_weighted_f1(
    samples: Sequence[Sample], categories: int, *, draws: int = DRAWS, seed: int = 0
) -> Float64Array:
    """Weighted F1 of resampled cards: clusters are drawn with replacement."""
    clusters = 1 + max(int(sample.clusters.max()) for sample in samples)
    means = [_mean_f1(samples, counts, categories) for counts in _counts(clusters, draws, seed)]
    return np.array(means, dtype=np.float64)


def _counts(clusters: int, draws: int, seed: int) -> Iterator[Int64Array]:
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        yield np.bincount(rng.integers(clusters, size=clusters), minlength=clusters)


def _mean_f1(samples: Sequence[Sample], counts: Int64Array, categories: int) -> float:
    weighed = [(sample, counts[sample.clusters]) for sample in samples]
    scores = [weighted_f1_of(s.true, s.predicted, w, categories) for s, w in weighed if w.any()]
    return sum(scores) / len(scores) if scores else np.nan


def weighted_f1_of(
    true: Int64Array, predicted: Int64Array, counts: Int64Array, categories: int
) -> float:
    """Weighted F1 when each card counts several times."""
    hit, named = true == predicted, predicted >= 0
    hits = np.bincount(true[hit], counts[hit], categories)
    sizes = np.bincount(true, counts, categories)
    both = sizes + np.bincount(predicted[named], counts[named], categories)
    f1 = np.divide(2.0 * hits, both, out=np.zeros(categories), where=both > 0)
    return float(f1 @ sizes / sizes.sum())


def percentile_interval(values: Float64Array) -> Interval:
    """Return the range between the 2.5th and the 97.5th percentile."""
    low, high = np.nanpercentile(values, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Interval(float(low), float(high))


NOTHING = -1


@dataclass(frozen=True)
class Outcome:
    """What was answered for n cards, in codes of C categories."""

    true: Int64Array
    predicted: Int64Array
    reachable: npt.NDArray[np.bool_]
    ranked: Int64Array | None = None
    neighbours: Int64Array | None = None

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
        fields = vars(self) | {"unreachable_share": self.unreachable_share}
        ends = [self.interval.low, self.interval.high] if self.interval else None
        rounded = {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in fields.items()
        }
        return rounded | {"interval": ends and [round(end, 4) for end in ends]}

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
    """Judge answers."""
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


def _share_among(
    true: Int64Array, candidates: Int64Array | None, first: int | None
) -> float | None:
    if candidates is None:
        return None
    return float(np.any(candidates[:, :first] == true[:, None], axis=1).mean())


def score_predictions(
    y_true: Sequence[str],
    y_pred: Sequence[str],
    known: Collection[str],
    *,
    ranked: Sequence[Sequence[str]] | None = None,
    neighbours: Sequence[Sequence[str]] | None = None,
    groups: Sequence[str] | None = None,
    seed: int = 0,
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
    ranked
        Each card's categories, best first.
    neighbours
        Categories of each card's neighbours.
    groups
        Equal for variants of one product, which are then drawn together for the interval; by
        default every card is drawn alone.
    seed
        Of the draws for the interval.

    Returns
    -------
    Score
        With its interval.
    """
    code = _codes({*y_true, *y_pred, *known, *_flat(ranked), *_flat(neighbours)})
    outcome = Outcome(
        true=_encode(y_true, code),
        predicted=_encode(y_pred, code),
        reachable=np.isin(np.arange(len(code)), [code[name] for name in known if name]),
        ranked=_encode_rows(ranked, code),
        neighbours=_encode_rows(neighbours, code),
    )
    clusters = cluster_codes(groups if groups is not None else [""] * len(y_true))
    sample = Sample(outcome.true, outcome.predicted, clusters)
    drawn = draw_weighted_f1([sample], outcome.categories, seed=seed)
    return score_outcome(outcome, percentile_interval(drawn))


def _flat(rows: Sequence[Sequence[str]] | None) -> list[str]:
    return [name for row in rows or () for name in row]


def _codes(names: Collection[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(sorted(set(names) - {""}))}


def _encode(names: Sequence[str], code: dict[str, int]) -> Int64Array:
    return np.array([code.get(name, NOTHING) for name in names], dtype=np.int64)


def _encode_rows(rows: Sequence[Sequence[str]] | None, code: dict[str, int]) -> Int64Array | None:
    if rows is None:
        return None
    longest = max((len(row) for row in rows), default=0)
    return np.stack([_encode([*row, *[""] * (longest - len(row))], code) for row in rows])
