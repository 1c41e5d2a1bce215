"""Finding the nearest cards: FAISS proposes, exact similarities decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.index.fusion import (
    block_similarities,
    effective_weights,
    expected_similarities,
    fuse_cards,
    fuse_queries,
    weighted_similarity,
)
from prodcat_index.types import BoolArray, Float32Array, Int64Array

ADD_CHUNK = 8192


def flat_index(blocks: Sequence[npt.NDArray[np.floating]], present: BoolArray) -> Any:
    """Index the fused rows of some blocks."""
    import faiss

    index = faiss.IndexFlatIP(sum(block.shape[1] for block in blocks) + len(blocks))
    for start in range(0, len(present), ADD_CHUNK):
        part = slice(start, start + ADD_CHUNK)
        index.add(fuse_cards([block[part] for block in blocks], present[part]))
    return index


# FAISS sums in float32, in an order of its own: its scores are trusted to this much.
SCORE_ERROR = 1e-5
SPARE = 32
QUERY_CHUNK = 1024


@dataclass(frozen=True)
class Neighbours:
    """The nearest cards of some queries, nearest first; equal ones in the order of their ids."""

    rows: Int64Array
    similarities: npt.NDArray[np.float64]
    by_block: Float32Array
    weights: npt.NDArray[np.float64]
    learned: Sequence[Float32Array] = ()


@dataclass(frozen=True)
class SearchSpace:
    """Everything that a search reads."""

    faiss_index: Any
    blocks: Sequence[npt.NDArray[np.floating]]
    present: BoolArray
    references: Sequence[Int64Array]
    order: Int64Array
    covered: Sequence[int] | None = None
    _made: dict[tuple[int, ...], Any] = field(default_factory=dict, repr=False)

    def index_of(self, weighed: Sequence[int]) -> tuple[Any, Sequence[int]]:
        """Return a FAISS index that holds the weighed blocks, and the blocks that it is made of."""
        covered = range(len(self.blocks)) if self.covered is None else self.covered
        if set(weighed) <= set(covered):
            return self.faiss_index, covered
        key = tuple(weighed)
        if key not in self._made:
            chosen = [self.blocks[b] for b in key]
            self._made[key] = flat_index(chosen, self.present[:, key])
        return self._made[key], key

    def expected_similarities(
        self, queries: Sequence[Float32Array], weighed: npt.NDArray[np.bool_] | None = None
    ) -> npt.NDArray[np.float64]:
        """Return what an absent block counts as for each query: float64, shape (n, B)."""
        told = np.ones(len(self.blocks), dtype=bool) if weighed is None else weighed
        samples = [rows if w else rows[:0] for rows, w in zip(self._samples, told, strict=True)]
        return expected_similarities(queries, samples)

    @cached_property
    def _samples(self) -> list[Float32Array]:
        rows = zip(self.blocks, self.references, strict=True)
        return [block[chosen].astype(np.float32) for block, chosen in rows]


def find_neighbours(
    space: SearchSpace,
    queries: Sequence[Float32Array],
    present: BoolArray,
    weights: npt.NDArray[np.float64],
    k: int,
    eligible: BoolArray | None = None,
) -> Neighbours:
    """Find the k nearest cards of each query."""
    shared = effective_weights(weights, present)
    weighed = weights > 0
    expected = space.expected_similarities(queries, weighed)
    index, made_of = space.index_of(np.flatnonzero(weighed).tolist())
    fused = fuse_queries([queries[b] for b in made_of], shared[:, made_of], expected[:, made_of])
    found = _empty(len(fused), k, shared)
    answerable = np.flatnonzero(shared.any(axis=1))
    for chunk in np.array_split(answerable, max(1, -(-len(answerable) // QUERY_CHUNK))):
        for query, candidates in _candidates(index, fused, chunk, k, eligible):
            one = [block[query] for block in queries]
            _settle(space, one, expected[query], candidates, found, query)
    return found


def _empty(n: int, k: int, weights: npt.NDArray[np.float64]) -> Neighbours:
    blocks = weights.shape[1]
    return Neighbours(
        rows=np.full((n, k), -1, dtype=np.int64),
        similarities=np.full((n, k), np.nan),
        by_block=np.full((n, k, blocks), np.nan, dtype=np.float32),
        weights=weights,
    )


def _candidates(
    index: Any, fused: Float32Array, chunk: Int64Array, k: int, eligible: BoolArray | None
) -> list[tuple[int, Int64Array]]:
    """Pair each query with every card that can be among its k nearest, ties at the cut included."""
    total = index.ntotal
    done: list[tuple[int, Int64Array]] = []
    fetch = min(k + SPARE, total)
    waiting = chunk
    while len(waiting):
        scores, rows = index.search(np.ascontiguousarray(fused[waiting]), fetch)
        allowed = (rows >= 0) if eligible is None else (rows >= 0) & eligible[rows]
        complete = _is_complete(scores, allowed, k) | (fetch == total)
        done += [
            (int(query), rows[i][allowed[i]]) for i, query in enumerate(waiting) if complete[i]
        ]
        waiting = waiting[~complete]
        fetch = min(4 * fetch, total)
    return done


def _is_complete(scores: Float32Array, allowed: BoolArray, k: int) -> BoolArray:
    """Whether no card outside the fetched ones can reach the k-th allowed score."""
    kth_place = np.cumsum(allowed, axis=1) == k
    has_k = kth_place.any(axis=1)
    kth_score = scores[np.arange(len(scores)), kth_place.argmax(axis=1)]
    complete: BoolArray = has_k & (scores[:, -1] < kth_score - 2 * SCORE_ERROR)
    return complete


def _settle(
    space: SearchSpace,
    query: Sequence[Float32Array],
    expected: npt.NDArray[np.float64],
    candidates: Int64Array,
    found: Neighbours,
    position: int,
) -> None:
    weights, k = found.weights[position], found.rows.shape[1]
    weighed = np.flatnonzero(weights)
    similarity = weighted_similarity(
        _cosines(space, query, candidates, weighed), weights[weighed], expected[weighed]
    )
    best = np.lexsort((space.order[candidates], -similarity))[:k]
    rows = candidates[best]
    every = _cosines(space, query, rows, np.arange(len(query)))
    found.rows[position, : len(best)] = rows
    # Cut at 1 only once they are ranked: FAISS, which proposed them, does not cut.
    found.similarities[position, : len(best)] = np.clip(similarity[best], -1.0, 1.0)
    found.by_block[position, : len(best)] = np.clip(every, -1.0, 1.0)


def _cosines(
    space: SearchSpace, query: Sequence[Float32Array], rows: Int64Array, blocks: Int64Array
) -> Float32Array:
    return block_similarities(
        [query[b] for b in blocks],
        [space.blocks[b][rows] for b in blocks],
        space.present[np.ix_(rows, blocks)],
    )
