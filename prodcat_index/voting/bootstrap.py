"""How far a weighted F1 would move on other cards of the same kind. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]
DRAWS = 1000
LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A range that holds the value 95 times in 100.

    Attributes
    ----------
    low, high
        The ends, both inside.
    """

    low: float
    high: float

    def __contains__(self, value: float) -> bool:
        """Return whether a value lies in the range."""
        return self.low <= value <= self.high


class Sample(NamedTuple):
    """Answers for n cards.

    Attributes
    ----------
    true
        int64, shape (n,): category codes; n at least 1.
    predicted
        int64, shape (n,); -1 where nothing was predicted.
    clusters
        int64, shape (n,): equal for cards that are drawn together, numbered from 0.
    """

    true: IntArray
    predicted: IntArray
    clusters: IntArray


def cluster_codes(groups: Sequence[str]) -> IntArray:
    """Give a number to each group of cards that is drawn together.

    Parameters
    ----------
    groups
        Equal for variants of one product; an empty one stands alone.

    Returns
    -------
    numpy.ndarray
        int64, shape (n,).
    """
    keys = [group or row for row, group in enumerate(groups)]
    code = {key: place for place, key in enumerate(dict.fromkeys(keys))}
    return np.array([code[key] for key in keys], dtype=np.int64)


def draw_weighted_f1(
    samples: Sequence[Sample], categories: int, *, draws: int = DRAWS, seed: int = 0
) -> FloatArray:
    """Weighted F1 of resampled cards: clusters are drawn with replacement.

    The draws depend on the seed and on the largest cluster number alone, so that two predictors
    on the same cards get the same draws and may be subtracted.

    Parameters
    ----------
    samples
        One, or one for each of several splits, whose clusters are numbered alike; the F1 of a
        draw is the mean over the splits that it has cards of.
    categories
        Number of categories.
    draws, seed
        How many, and from where.

    Returns
    -------
    numpy.ndarray
        float64, shape (draws,).
    """
    clusters = 1 + max(int(sample.clusters.max()) for sample in samples)
    means = [_mean_f1(samples, counts, categories) for counts in _counts(clusters, draws, seed)]
    return np.array(means, dtype=np.float64)


def _counts(clusters: int, draws: int, seed: int) -> Iterator[IntArray]:
    rng = np.random.default_rng(seed)
    for _ in range(draws):
        yield np.bincount(rng.integers(clusters, size=clusters), minlength=clusters)


def _mean_f1(samples: Sequence[Sample], counts: IntArray, categories: int) -> float:
    weighed = [(sample, counts[sample.clusters]) for sample in samples]
    scores = [weighted_f1_of(s.true, s.predicted, w, categories) for s, w in weighed if w.any()]
    return sum(scores) / len(scores) if scores else np.nan


def weighted_f1_of(true: IntArray, predicted: IntArray, counts: IntArray, categories: int) -> float:
    """Weighted F1 when each card counts several times.

    Parameters
    ----------
    true, predicted
        As in :class:`Sample`.
    counts
        int64, shape (n,): how often each card counts; not all 0.
    categories
        Number of categories.
    """
    hit, named = true == predicted, predicted >= 0
    hits = np.bincount(true[hit], counts[hit], categories)
    sizes = np.bincount(true, counts, categories)
    both = sizes + np.bincount(predicted[named], counts[named], categories)
    f1 = np.divide(2.0 * hits, both, out=np.zeros(categories), where=both > 0)
    return float(f1 @ sizes / sizes.sum())


def percentile_interval(values: FloatArray) -> Interval:
    """Return the range between the 2.5th and the 97.5th percentile.

    Parameters
    ----------
    values
        float64, shape (draws,): drawn scores, or differences of drawn scores; NaN is left out.
    """
    low, high = np.nanpercentile(values, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return Interval(float(low), float(high))
