"""The candidates of many queries, with everything that weights and votes are tuned on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.types import Float64Array, Int64Array
from prodcat_index.voting.vote import first_of_category

# What an equally near candidate falls behind by for every one before it: less than any rounding.
TIE_EPSILON = 1e-11


@dataclass(frozen=True)
class Pool:
    """For each of n labelled queries, P cards that may be among its nearest for some weights."""

    similarities: npt.NDArray[np.float32]
    categories: npt.NDArray[np.int32]
    present: npt.NDArray[np.bool_]
    true: Int64Array
    sizes: Int64Array
    head_log_proba: npt.NDArray[np.float32]

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.true)

    def select(self, rows: Int64Array) -> Pool:
        """Return the pool of these queries only."""
        return Pool(
            similarities=self.similarities[rows],
            categories=self.categories[rows],
            present=self.present[rows],
            true=self.true[rows],
            sizes=self.sizes,
            head_log_proba=self.head_log_proba[rows],
        )


def join_pools(pools: Sequence[Pool], places: Sequence[Int64Array]) -> Pool:
    """Put pools over the same categories together."""
    order = np.argsort(np.concatenate(places))
    width = max(pool.categories.shape[1] for pool in pools)

    def joined(parts: list[npt.NDArray[Any]], padding: int) -> npt.NDArray[Any]:
        padded = [
            np.pad(
                part,
                [(0, 0), (0, width - part.shape[1]), *[(0, 0)] * (part.ndim - 2)],
                constant_values=padding,
            )
            for part in parts
        ]
        return np.concatenate(padded)[order]

    return Pool(
        similarities=joined([pool.similarities for pool in pools], 0),
        categories=joined([pool.categories for pool in pools], -1),
        present=np.concatenate([pool.present for pool in pools])[order],
        true=np.concatenate([pool.true for pool in pools])[order],
        sizes=pools[0].sizes,
        head_log_proba=joined([pool.head_log_proba for pool in pools], 0),
    )


@dataclass(frozen=True)
class Ranked:
    """The nearest candidates under some weights, nearest first."""

    similarities: Float64Array
    categories: Int64Array
    first: Int64Array
    log_sizes: Float64Array
    head_log_proba: Float64Array


def rank(pool: Pool, weights: Float64Array, k: int) -> Ranked:
    """Order the candidates by weighted similarity and keep the k nearest, ties by id."""
    similarity = _weighted(pool, weights)
    k = min(k, similarity.shape[1])
    distance = TIE_EPSILON * np.arange(similarity.shape[1]) - similarity
    nearest = np.argpartition(distance, k - 1, axis=1)[:, :k]
    sorting = np.argsort(np.take_along_axis(distance, nearest, axis=1), axis=1)
    rows = np.take_along_axis(nearest, sorting, axis=1)
    categories = np.take_along_axis(pool.categories, rows, axis=1).astype(np.int64)
    kept = np.take_along_axis(similarity, rows, axis=1).astype(np.float64)
    return Ranked(
        similarities=np.where(categories >= 0, kept, np.nan),
        categories=categories,
        first=first_of_category(categories),
        log_sizes=np.log(np.where(categories >= 0, pool.sizes[categories], 1)),
        head_log_proba=weights[-1] * np.take_along_axis(pool.head_log_proba, rows, axis=1),
    )


def _weighted(pool: Pool, weights: Float64Array) -> npt.NDArray[np.float32]:
    kept = np.where(pool.present, weights, 0.0)
    totals = kept.sum(axis=1, keepdims=True)
    shared = np.divide(kept, totals, out=np.zeros_like(kept), where=totals > 0)
    similarity = np.matmul(pool.similarities, shared.astype(np.float32)[:, :, None])[:, :, 0]
    return np.where(pool.categories >= 0, similarity, -np.inf)
