"""The candidates of many queries, with everything that weights and votes are tuned on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.types import (
    MISSING,
    BoolArray,
    Float32Array,
    Float64Array,
    Int64Array,
    shares_of,
)
from prodcat_index.voting.vote import first_of_category

# Added to the distance for every candidate before it, so that equally near ones keep their order:
# even hundreds of them add less than the rounding of a float32 similarity.
TIE_EPSILON = 1e-11


@dataclass(frozen=True)
class Pool:
    """For each of n labelled queries, P cards that may be among its nearest for some weights."""

    # (n, P, B): cosine in each block; the expected one where the card lacks the block, 0 where
    # the query does. Candidates stand in the order of their ids, which settles ties.
    similarities: Float32Array
    categories: npt.NDArray[np.int32]  # (n, P), -1 where there is no further candidate
    present: BoolArray  # (n, B): blocks that the query has
    true: Int64Array  # (n,): category of the query
    # (number of categories,): cards of each, those left out too: a category that looked smaller
    # to its own cards alone would be known by its size.
    sizes: Int64Array
    head_log_proba: Float32Array  # (n, P): of each candidate's category; 0 without a head
    log_reliability: Float32Array  # (n, P): of each candidate; 0 for one that counts in full
    head_blocks: int = 1  # number of the last blocks whose weight decides how much the head counts

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.true)

    def select(self, rows: Int64Array) -> Pool:
        """Return the pool of these queries only."""
        return replace(
            self,
            similarities=self.similarities[rows],
            categories=self.categories[rows],
            present=self.present[rows],
            true=self.true[rows],
            head_log_proba=self.head_log_proba[rows],
            log_reliability=self.log_reliability[rows],
        )


def join_pools(pools: Sequence[Pool], places: Sequence[Int64Array]) -> Pool:
    """Put pools over the same categories together; places are the queries' rows in the result."""
    order = np.argsort(np.concatenate(places))

    def joined(name: str, padding: int = 0) -> npt.NDArray[Any]:
        return stack_padded([getattr(pool, name) for pool in pools], padding)[order]

    return replace(
        pools[0],
        similarities=joined("similarities"),
        categories=joined("categories", MISSING),
        present=joined("present"),
        true=np.concatenate([pool.true for pool in pools])[order],
        head_log_proba=joined("head_log_proba"),
        log_reliability=joined("log_reliability"),
    )


def stack_padded(parts: Sequence[npt.NDArray[Any]], padding: int) -> npt.NDArray[Any]:
    """Put arrays of different widths below each other."""
    width = max(part.shape[1] for part in parts)
    shape = (sum(map(len, parts)), width, *parts[0].shape[2:])
    whole = np.full(shape, padding, dtype=parts[0].dtype)
    start = 0
    for part in parts:
        whole[start : start + len(part), : part.shape[1]] = part
        start += len(part)
    return whole


@dataclass(frozen=True)
class Ranked:
    """The k nearest candidates under some weights, nearest first; all arrays of shape (n, k)."""

    places: Int64Array  # among the candidates of the pool
    similarities: Float64Array  # NaN where there is no candidate
    categories: Int64Array  # -1 there
    first: Int64Array  # place of the first one of the same category
    log_sizes: Float64Array  # natural logarithm of the size of the category
    head_log_proba: Float64Array  # times the weight of the blocks that it goes with
    log_reliability: Float64Array


def rank(pool: Pool, weights: Float64Array, k: int) -> Ranked:
    """Order the candidates by weighted similarity and keep the k nearest, ties by id."""
    similarity = np.where(pool.categories >= 0, _weighted(pool, weights), -np.inf)
    k = min(k, similarity.shape[1])
    distance = TIE_EPSILON * np.arange(similarity.shape[1]) - similarity
    # A partition first: sorting all of some hundred candidates takes several times as long.
    nearest = np.argpartition(distance, k - 1, axis=1)[:, :k]
    sorting = np.argsort(np.take_along_axis(distance, nearest, axis=1), axis=1)
    rows = np.take_along_axis(nearest, sorting, axis=1)
    categories = np.take_along_axis(pool.categories, rows, axis=1).astype(np.int64)
    similarities = np.take_along_axis(similarity, rows, axis=1).astype(np.float64)
    return Ranked(
        places=rows,
        similarities=np.where(categories >= 0, similarities, np.nan),
        categories=categories,
        first=first_of_category(categories),
        log_sizes=np.log(np.where(categories >= 0, pool.sizes[categories], 1)),
        head_log_proba=weights[-pool.head_blocks :].sum()
        * np.take_along_axis(pool.head_log_proba, rows, axis=1),
        log_reliability=np.take_along_axis(pool.log_reliability, rows, axis=1).astype(np.float64),
    )


def _weighted(pool: Pool, weights: Float64Array) -> Float32Array:
    shared = shares_of(np.where(pool.present, weights, 0.0))
    weighted: Float32Array = np.matmul(pool.similarities, shared.astype(np.float32)[:, :, None])
    return weighted[:, :, 0]


def nearest_by(pool: Pool, ranked: Ranked, weights: Float64Array) -> Float64Array:
    """Return the largest similarity by other weights among the ranked candidates, NaN for none."""
    taken = np.take_along_axis(_weighted(pool, weights), ranked.places, axis=1)
    comparable = (ranked.categories >= 0) & np.any(pool.present & (weights > 0), axis=1)[:, None]
    nearest = np.where(comparable, taken, -np.inf).max(axis=1).astype(np.float64)
    return np.where(np.isfinite(nearest), nearest, np.nan)
