"""Searchers: what proposes the cards that may be nearest to a query. FAISS is called here only."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any, Protocol, runtime_checkable

import numpy as np

from prodcat_index.index.fusion import SCORE_ERROR, fuse_cards
from prodcat_index.index.rows import Rows, Selection, as_rows
from prodcat_index.types import (
    MISSING,
    BoolArray,
    Float32Array,
    FloatingArray,
    Int64Array,
    RowsLike,
    chunks,
)

# Cards that are fused or gathered at a time: as a whole they would be in memory twice.
ROWS_AT_ONCE = 8192
# Cards that a first query is compared with at a time: they stay in the cache of the processor.
SCANNED_AT_ONCE = 1024
# Arrays of which the highest scores are kept one by one, before the highest of all of them are.
MERGED_AT_ONCE = 16
# Cards fetched beyond k: ties at the cut seldom need a second search then.
SPARE = 16
# From so many queries on, FAISS is told to multiply matrices: ten times faster for 64 of them.
# By itself it does so from 128,000 numbers on, which are 880 queries of 146 dimensions.
MATRIX_QUERIES = 4
# Rows of 8 or 16 bits are compared this many columns at a time; of another length, 10 times slower.
SIMD_COLUMNS = 16


def _use_one_thread() -> None:
    """Search a forked process without the threads of FAISS, which stayed with its parent."""
    if "faiss" in sys.modules:
        sys.modules["faiss"].omp_set_num_threads(1)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_use_one_thread)


class Searcher(Protocol):
    """A search index over the fused rows of N cards. FAISS is called behind it only."""

    def search(
        self, queries: Float32Array, k: int, eligible: BoolArray | None = None
    ) -> tuple[Int64Array, bool]:
        """Propose candidates for each fused query, (n, d), among the eligible cards, (N,).

        Returns the rows of each query's candidates, (n, m) in any order and MISSING where there
        is none, and whether its k nearest and all that tie with the last of these are certain to
        be among them.
        """
        ...


@runtime_checkable
class Scanner(Searcher, Protocol):
    """A searcher of all blocks that compares eligible cards where their rows are."""

    def scan(
        self, queries: Float32Array, k: int, eligible: BoolArray | None = None
    ) -> tuple[Int64Array, bool]:
        """Compare every eligible card, and propose candidates as by :meth:`search`."""
        ...


# (queries, how many) -> the highest scores, falling along a row, and the numbers of their rows.
Scan = Callable[[Float32Array, int], tuple[Float32Array, Int64Array]]


@dataclass(frozen=True)
class FlatSearcher:
    """An exhaustive search over fused rows of 32 bits."""

    rows: RowsLike  # (N, d), or (n, d) of some cards
    # (n,): numbers of these, rising. Their searcher is used once: it is not stored, nor changed.
    cards: Int64Array | None = None

    @classmethod
    def build(
        cls, blocks: Sequence[RowsLike], present: BoolArray, cards: Int64Array | None = None
    ) -> FlatSearcher:
        """Fuse the rows of some blocks, or of some cards of them.

        Blocks are arrays of (N, dim), present (N, blocks), cards (n,).
        """
        dim = sum(block.shape[1] for block in blocks) + len(blocks)
        fused = np.empty((len(present) if cards is None else len(cards), dim), dtype=np.float32)
        for part in chunks(len(fused), ROWS_AT_ONCE):
            rows = part if cards is None else cards[part]
            fused[part] = fuse_cards([block[rows] for block in blocks], present[rows])
        return cls(fused, cards)

    @property
    def dim(self) -> int:
        """Length of a fused row."""
        return self.rows.shape[1]

    def select(self, rows: Selection) -> FlatSearcher:
        """Return the searcher of some of the cards; no row is copied."""
        return FlatSearcher(as_rows(self.rows).select(rows))

    def extended(self, blocks: Sequence[RowsLike], present: BoolArray) -> FlatSearcher:
        """Return the searcher of these cards and others, given as for :meth:`build`."""
        return FlatSearcher(as_rows(self.rows).extended(self.build(blocks, present).rows))

    @cached_property
    def _card_of(self) -> Int64Array | None:
        """Card of each stored row, MISSING for one that is no more; None where all are cards."""
        if not isinstance(self.rows, Rows) or self.rows.positions is None:
            return self.cards
        cards = np.full(self.rows.edges[-1], MISSING, dtype=np.int64)
        cards[self.rows.positions] = np.arange(len(self.rows))
        return cards

    def search(
        self, queries: Float32Array, k: int, eligible: BoolArray | None = None
    ) -> tuple[Int64Array, bool]:
        """Fetch ever more rows until no other can be among the k nearest; always exact."""
        pieces = self.rows.pieces if isinstance(self.rows, Rows) else (np.asarray(self.rows),)
        stored = sum(map(len, pieces))
        scan = partial(scan_rows, pieces)
        return fetch(scan, stored, queries, k, self._card_of, eligible), True


@dataclass(eq=False)
class HalfSearcher:
    """An exhaustive search over rows of 16 bits.

    A first query, if it comes alone, is compared with the rows where they are. For others they are
    copied into an index, which takes as long as five such queries.
    """

    blocks: Sequence[RowsLike]  # float16, (N, dim of the block) each
    present: BoolArray  # (N, blocks)
    _is_used: bool = False

    @cached_property
    def faiss_index(self) -> Any:
        """The rows side by side."""
        index = self._empty_index()
        for part in chunks(len(self.present), ROWS_AT_ONCE):
            self._add(index, part)
        return index

    def _empty_index(self) -> Any:
        import faiss

        dim = sum(block.shape[1] for block in self.blocks) + len(self.blocks)
        half, metric = faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        return faiss.IndexScalarQuantizer(padded_length(dim), half, metric)

    def _add(self, index: Any, part: slice) -> None:
        blocks = [block[part] for block in self.blocks]
        index.add_sa_codes(
            padded(fuse_cards(blocks, self.present[part], np.float16)).view(np.uint8)
        )

    def search(
        self, queries: Float32Array, k: int, eligible: BoolArray | None = None
    ) -> tuple[Int64Array, bool]:
        """Search as :meth:`FlatSearcher.search` does."""
        is_first, self._is_used = not self._is_used, True
        scan = self._scan if is_first and len(queries) == 1 else self.faiss_index.search
        return fetch(scan, len(self.present), padded(queries), k, None, eligible), True

    def _scan(self, queries: Float32Array, count: int) -> tuple[Float32Array, Int64Array]:
        """Compare queries with the rows of one chunk after another."""
        index, found = self._empty_index(), []
        for part in chunks(len(self.present), SCANNED_AT_ONCE):
            index.reset()  # The memory is used again.
            self._add(index, part)
            scores, rows = index.search(queries, min(count, index.ntotal))
            found.append((scores, rows + part.start))
        return _highest(found, count)


def padded_length(dim: int) -> int:
    """Return the length of rows that FAISS is fast at."""
    return -(-dim // SIMD_COLUMNS) * SIMD_COLUMNS


def padded(rows: FloatingArray, length: int | None = None) -> FloatingArray:
    """Return rows with columns of zeros to a length, by default the next that FAISS is fast at."""
    missing = (length or padded_length(rows.shape[1])) - rows.shape[1]
    return np.ascontiguousarray(np.pad(rows, ((0, 0), (0, missing))) if missing else rows)


@cache
def _usual_threshold() -> int:
    import faiss

    return int(faiss.cvar.distance_compute_blas_threshold)


def scan_rows(
    pieces: Iterable[FloatingArray], queries: Float32Array, count: int
) -> tuple[Float32Array, Int64Array]:
    """Compare queries with all rows of some arrays, which are below one another."""
    import faiss

    usual, found, start = _usual_threshold(), [], 0
    for piece in pieces:
        # Of the whole process: other calls may meet it, and are only faster or slower by it.
        faiss.cvar.distance_compute_blas_threshold = MATRIX_QUERIES * piece.shape[1]
        try:
            scores, rows = faiss.knn(
                queries, piece, min(count, len(piece)), faiss.METRIC_INNER_PRODUCT
            )
        finally:
            faiss.cvar.distance_compute_blas_threshold = usual
        found.append((scores, np.where(rows >= 0, rows + start, MISSING) if start else rows))
        if len(found) == MERGED_AT_ONCE:
            found = [_highest(found, count)]
        start += len(piece)
    return found[0] if len(found) == 1 else _highest(found, count)


def _highest(
    found: Iterable[tuple[Float32Array, Int64Array]], count: int
) -> tuple[Float32Array, Int64Array]:
    """Return so many of the highest scores that were found in several arrays, and their rows."""
    scores, rows = (np.concatenate(columns, axis=1) for columns in zip(*found, strict=True))
    best = np.argsort(-scores, axis=1, kind="stable")[:, :count]
    return np.take_along_axis(scores, best, axis=1), np.take_along_axis(rows, best, axis=1)


def fetch(
    scan: Scan,
    stored: int,
    queries: Float32Array,
    k: int,
    card_of: Int64Array | None,
    eligible: BoolArray | None,
) -> Int64Array:
    """Return the cards that may be among the k nearest, and ties: (n, m), MISSING for none.

    Of so many stored rows some may be of no card, and some cards may not be eligible.
    """
    cards = stored if card_of is None else int((card_of >= 0).sum())
    allowed = cards if eligible is None else int(eligible.sum())
    count = min(stored, (k + SPARE) * stored // max(1, allowed))
    waiting, found = np.arange(len(queries)), []
    while len(waiting) and count:
        scores, rows = scan(np.ascontiguousarray(queries[waiting]), count)
        # FAISS fills up with -1, which to numpy is the last card.
        if card_of is not None:
            rows = np.where(rows >= 0, card_of[rows], MISSING)
        if eligible is not None:
            rows = np.where((rows >= 0) & eligible[rows], rows, MISSING)
        least = _least_score(scores, rows >= 0, k)
        complete = (scores[:, -1] < least) | (count == stored)
        near = np.where(scores >= least[:, None], rows, MISSING)[complete]
        width = 1 + np.flatnonzero((near >= 0).any(axis=0)).max(initial=-1)
        found.append((waiting[complete], near[:, :width]))
        waiting = waiting[~complete]
        count = min(4 * count, stored)
    candidates = np.full((len(queries), max((n.shape[1] for _, n in found), default=0)), MISSING)
    for places, near in found:
        candidates[places, : near.shape[1]] = near
    return candidates


def _least_score(scores: Float32Array, allowed: BoolArray, k: int) -> Float32Array:
    """Return the score below which no card is among the k nearest: (n,); -inf below k of them."""
    has_k = np.cumsum(allowed, axis=1) >= k
    kth = scores[np.arange(len(scores)), has_k.argmax(axis=1)]
    # Both scores may be wrong, in opposite directions.
    return np.where(has_k[:, -1], kth - np.float32(2 * SCORE_ERROR), np.float32(-np.inf))
