"""Finding the nearest cards: a searcher proposes candidates, exact similarities decide."""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from prodcat_index.files import Output, damaged_file
from prodcat_index.index.fusion import (
    effective_weights,
    expected_similarities,
    fuse_cards,
    fuse_queries,
    reference_rows,
)
from prodcat_index.types import (
    MISSING,
    BoolArray,
    Float32Array,
    Float64Array,
    FloatingArray,
    Int64Array,
    RowsLike,
    chunks,
)

# Cards that are fused at a time: fused as a whole they would be in memory twice.
ADD_CHUNK = 8192
# FAISS adds up float32 products in an order of its own: its scores are trusted to this much.
SCORE_ERROR = 1e-5
# Cards fetched beyond k: ties at the cut seldom need a second search then.
SPARE = 32
# Queries of one call: bounds the scores that are in memory at a time.
QUERY_CHUNK = 1024
# Searchers made for other weights that are kept. Each is a float16 copy of its blocks: 330 MB
# for 91,000 cards of 1,792 dimensions.
MADE_SEARCHERS = 3
# Rows of 16 bits are compared this many columns at a time; of any other length, 10 times slower.
SIMD_COLUMNS = 16
# The letters, the dimension, the count, two unused numbers, is it trained, the metric, the length.
FLAT_HEADER = struct.Struct("<4siqqq?iQ")
FLAT_FOURCC = b"IxFI"


def _use_one_thread() -> None:
    """Search a forked process without the threads of FAISS, which stayed with its parent."""
    if "faiss" in sys.modules:
        sys.modules["faiss"].omp_set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_use_one_thread)


class Searcher(Protocol):
    """A search index over the fused rows of N cards. FAISS objects live behind it only."""

    def search(
        self, queries: Float32Array, k: int, eligible: BoolArray | None = None
    ) -> tuple[list[Int64Array], bool]:
        """Propose candidates for each fused query, (n, d), among the eligible cards, (N,).

        Returns each query's rows, in any order, and whether its k nearest and all that tie with
        the last of these are certain to be among them.
        """
        ...


@dataclass(frozen=True)
class FlatSearcher:
    """An exhaustive search by FAISS."""

    faiss_index: Any

    @classmethod
    def build(cls, blocks: Sequence[RowsLike], present: BoolArray) -> FlatSearcher:
        """Index the fused rows of some blocks: arrays of (N, dim), present (N, blocks)."""
        import faiss

        index = faiss.IndexFlatIP(sum(block.shape[1] for block in blocks) + len(blocks))
        for part in chunks(len(present), ADD_CHUNK):
            index.add(fuse_cards([block[part] for block in blocks], present[part]))
        return cls(index)

    @classmethod
    def copy(cls, blocks: Sequence[RowsLike], present: BoolArray) -> FlatSearcher:
        """Index float16 blocks as they are: made at once, and faster for one query than for many.

        Rows of higher precision are indexed as by :meth:`build`.
        """
        import faiss

        if any(block.dtype != np.float16 for block in blocks):
            return cls.build(blocks, present)
        dim = sum(block.shape[1] for block in blocks) + len(blocks)
        padded = -(-dim // SIMD_COLUMNS) * SIMD_COLUMNS
        half = faiss.ScalarQuantizer.QT_fp16
        index = faiss.IndexScalarQuantizer(padded, half, faiss.METRIC_INNER_PRODUCT)
        for part in chunks(len(present), ADD_CHUNK):
            rows = fuse_cards([block[part] for block in blocks], present[part], np.float16)
            index.add_sa_codes(_padded(rows, padded).view(np.uint8))
        return cls(index)

    @classmethod
    def open(cls, path: Path, dim: int, n: int) -> FlatSearcher:
        """Open a file of n vectors, which stay on disk.

        FAISS believes what it reads, so a wrong header would crash the process: check it first.
        """
        import faiss

        with path.open("rb") as file:
            header = file.read(FLAT_HEADER.size)
        fields = FLAT_HEADER.unpack(header) if len(header) == FLAT_HEADER.size else ()
        promised = (FLAT_FOURCC, dim, n, True, faiss.METRIC_INNER_PRODUCT, dim * n)
        if (*fields[:3], *fields[5:]) != promised:
            raise damaged_file(path, "it is not the flat inner-product index of the manifest")
        if path.stat().st_size != FLAT_HEADER.size + 4 * dim * n:
            raise damaged_file(path, "its length is not that of its vectors")
        return cls(faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC))

    def write(self, file: Output) -> None:
        """Write the index into a file."""
        import faiss

        writer: Any = vars(faiss)["PyCallbackIOWriter"](file.write)
        faiss.write_index(self.faiss_index, writer)

    @property
    def dim(self) -> int:
        """Length of a fused row, and of what it is padded by."""
        return int(self.faiss_index.d)

    def search(
        self, queries: Float32Array, k: int, eligible: BoolArray | None = None
    ) -> tuple[list[Int64Array], bool]:
        """Fetch ever more cards until none outside can be among the k nearest; always exact."""
        total, queries = self.faiss_index.ntotal, _padded(queries, self.dim)
        candidates = [np.empty(0, dtype=np.int64)] * len(queries)
        waiting = np.arange(len(queries))
        fetch = min(k + SPARE, total)
        while len(waiting):
            scores, rows = self.faiss_index.search(np.ascontiguousarray(queries[waiting]), fetch)
            # FAISS fills up with -1, which to numpy is the last card.
            allowed = (rows >= 0) if eligible is None else (rows >= 0) & eligible[rows]
            complete = _is_complete(scores, allowed, k) | (fetch == total)
            for place in np.flatnonzero(complete):
                candidates[waiting[place]] = rows[place][allowed[place]]
            waiting = waiting[~complete]
            fetch = min(4 * fetch, total)
        return candidates, True


def _padded(rows: FloatingArray, dim: int) -> FloatingArray:
    missing = dim - rows.shape[1]
    return np.pad(rows, ((0, 0), (0, missing))) if missing else rows


def _is_complete(scores: Float32Array, allowed: BoolArray, k: int) -> BoolArray:
    """Check for each query that no card beyond those fetched can reach the k-th allowed score."""
    kth_place = np.cumsum(allowed, axis=1) == k
    has_k = kth_place.any(axis=1)
    kth_score = scores[np.arange(len(scores)), kth_place.argmax(axis=1)]
    # Both scores may be wrong, in opposite directions.
    complete: BoolArray = has_k & (scores[:, -1] < kth_score - 2 * SCORE_ERROR)
    return complete


@dataclass(frozen=True)
class Neighbours:
    """The nearest cards of n queries, nearest first; equal ones in the order of their ids."""

    rows: Int64Array  # (n, k): row of each card, MISSING after the last
    similarities: Float64Array  # (n, k): from -1 to 1; NaN after the last
    by_block: Float32Array  # (n, k, B): cosine from -1 to 1; NaN where either side lacks the block
    contributions: Float64Array  # (n, k, B): they sum to the similarity before it is clipped
    weights: Float64Array  # (n, B): effective weights
    is_exact: bool = True  # False if the searcher may have missed a near card


@dataclass(frozen=True)
class SearchSpace:
    """Everything that a search reads of N cards in B blocks."""

    searcher: Searcher | None  # of the covered blocks
    blocks: Sequence[RowsLike]  # (N, dim of the block) each
    present: BoolArray  # (N, B)
    order: Int64Array  # (N,): place of each card when sorted by id; settles ties
    covered: Sequence[int] | None = None  # numbers of blocks; None for all
    # (R, dim) of each block: what an absent block counts as is taken of these; by default, and
    # where it is None, of some of the rows.
    references: Sequence[FloatingArray | None] | None = None
    _made: dict[tuple[int, ...], Searcher] = field(default_factory=dict, repr=False)

    def searcher_of(self, weighed: Sequence[int]) -> tuple[Searcher, Sequence[int]]:
        """Return a searcher that holds the weighed blocks, and the blocks that it is made of."""
        covered = range(len(self.blocks)) if self.covered is None else self.covered
        if self.searcher is not None and set(weighed) <= set(covered):
            return self.searcher, covered
        # Weights do not count: rows are stored unweighted, so the blocks tell all.
        key = tuple(weighed)
        searcher = self._made.pop(key, None) or FlatSearcher.copy(
            [self.blocks[b] for b in key], self.present[:, key]
        )
        self._made[key] = searcher
        # The dictionary is in the order of use. Two threads may drop the same searcher.
        for unused in list(self._made)[:-MADE_SEARCHERS]:
            self._made.pop(unused, None)
        return searcher, key

    def expected_similarities(
        self, queries: Sequence[Float32Array], weighed: BoolArray | None = None
    ) -> Float64Array:
        """Return what an absent block counts as for each query: (n, B); 0 if it is not weighed."""
        samples = self._samples
        if weighed is not None:
            samples = [rows if w else rows[:0] for rows, w in zip(samples, weighed, strict=True)]
        return expected_similarities(queries, samples)

    def cosines(
        self, query: Sequence[Float32Array], rows: Int64Array, blocks: Int64Array
    ) -> Float32Array:
        """Compare one query with m cards in b blocks: (m, b), NaN where either lacks the block."""
        cosines = np.full((len(rows), len(blocks)), np.nan, dtype=np.float32)
        for place, b in enumerate(blocks):
            if query[b].any():
                cosines[:, place] = np.vecdot(self.blocks[b][rows].astype(np.float32), query[b])
        cosines[~self.present[np.ix_(rows, blocks)]] = np.nan
        return cosines

    @cached_property
    def _samples(self) -> list[Float32Array]:
        return [
            self._sample(block, there, references)
            for block, there, references in zip(
                self.blocks,
                self.present.T,
                self.references or [None] * len(self.blocks),
                strict=True,
            )
        ]

    def _sample(
        self, block: RowsLike, there: BoolArray, references: FloatingArray | None
    ) -> Float32Array:
        if there.all():  # No card has anything absent there.
            return np.zeros((0, block.shape[1]), dtype=np.float32)
        rows = block[reference_rows(there)] if references is None else references
        return rows.astype(np.float32)


def find_neighbours(
    space: SearchSpace,
    queries: Sequence[Float32Array],
    present: BoolArray,
    weights: Float64Array,
    k: int,
    eligible: BoolArray | None = None,
) -> Neighbours:
    """Find the k nearest eligible cards, (N,), of each query.

    Queries are arrays of (n, dim of the block), zeros where not present, (n, B).
    """
    shared = effective_weights(weights, present)
    weighed = weights > 0
    expected = space.expected_similarities(queries, weighed)
    searcher, covered = space.searcher_of(np.flatnonzero(weighed).tolist())
    fused = fuse_queries([queries[b] for b in covered], shared[:, covered], expected[:, covered])
    n, blocks = shared.shape
    found = Neighbours(
        rows=np.full((n, k), MISSING, dtype=np.int64),
        similarities=np.full((n, k), np.nan),
        by_block=np.full((n, k, blocks), np.nan, dtype=np.float32),
        contributions=np.zeros((n, k, blocks)),
        weights=shared,
    )
    answerable = np.flatnonzero(shared.any(axis=1))
    is_exact = True
    for part in chunks(len(answerable), QUERY_CHUNK):
        positions = answerable[part]
        candidates, is_certain = searcher.search(fused[positions], k, eligible)
        is_exact &= is_certain
        for position, rows in zip(positions, candidates, strict=True):
            query = [block[position] for block in queries]
            _rescore(space, query, expected[position], rows, found, position)
    return replace(found, is_exact=is_exact)


def _rescore(
    space: SearchSpace,
    query: Sequence[Float32Array],
    expected: Float64Array,
    candidates: Int64Array,
    found: Neighbours,
    position: int,
) -> None:
    """Rank the candidates of one query by their exact similarity and keep the k nearest."""
    weighed = np.flatnonzero(found.weights[position])
    weights = found.weights[position, weighed]
    cosines = space.cosines(query, candidates, weighed).astype(np.float64)
    cosines = np.where(np.isnan(cosines), expected[weighed], cosines)
    similarity = np.einsum("mb,b->m", cosines, weights)
    best = np.lexsort((space.order[candidates], -similarity))[: found.rows.shape[1]]
    rows, kept = candidates[best], slice(len(best))
    every = space.cosines(query, rows, np.arange(len(query)))
    found.rows[position, kept] = rows
    # Clipped only once they are ranked: the searcher, which proposed them, does not clip.
    found.similarities[position, kept] = np.clip(similarity[best], -1.0, 1.0)
    found.by_block[position, kept] = np.clip(every, -1.0, 1.0)
    found.contributions[position, kept, weighed] = (cosines[best] * weights).T
