"""Finding the nearest cards: a searcher proposes candidates, exact similarities decide."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from typing import Any

import numpy as np

from prodcat_index.errors import IndexFolderError
from prodcat_index.index.fusion import (
    effective_weights,
    expected_similarities,
    fuse_cards,
    fuse_queries,
    reference_rows,
)
from prodcat_index.index.searchers import (
    ROWS_AT_ONCE,
    FlatSearcher,
    HalfSearcher,
    Scanner,
    Searcher,
    fetch,
    scan_rows,
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

# Where fewer of the cards are eligible, these alone are compared: docs/decisions/index.md.
SCANNED = 0.1
# So few are compared in a store, however large their share is.
FEW_IN_A_STORE = 1000
# Queries of one call: bounds the scores that are in memory at a time.
QUERY_CHUNK = 1024
# Numbers of cards that are in single precision at a time, to be compared with their queries.
NUMBERS_AT_ONCE = 2**20
# Searchers made for other weights that are kept. Each is a float16 copy of its blocks: 330 MB
# for 91,000 cards of 1,792 dimensions.
MADE_SEARCHERS = 3


@dataclass(frozen=True)
class Neighbours:
    """The nearest cards of n queries, nearest first; equal ones in the order of their ids."""

    rows: Int64Array  # (n, k): row of each card, MISSING after the last
    similarities: Float64Array  # (n, k): from -1 to 1; NaN after the last
    contributions: Float64Array  # (n, k, B): they sum to the similarity before it is clipped
    weights: Float64Array  # (n, B): effective weights
    # (n, k, B): cosine from -1 to 1, NaN where either side lacks the block; None if not asked for
    by_block: Float32Array | None = None
    is_exact: bool = True  # False if the searcher may have missed a near card


@dataclass(frozen=True)
class SearchSpace:
    """Everything that a search reads of N cards in B blocks."""

    searcher: Searcher | None  # of the covered blocks
    blocks: Sequence[RowsLike]  # (N, dim of the block) each
    present: BoolArray  # (N, B)
    ids: Callable[[Int64Array], Sequence[Any]]  # ids of some rows; asked where cards are tied
    covered: Sequence[int] | None = None  # numbers of blocks; None for all
    # (R, dim) of each block: what an absent block counts as is taken of these; by default, and
    # where it is None, of some of the rows.
    references: Sequence[FloatingArray | None] | None = None
    similar: tuple[Sequence[int], Searcher] | None = None  # numbers of blocks, and their searcher
    is_exact: bool = False  # whether every eligible card is compared, whatever the searchers are
    _made: dict[tuple[int, ...], Searcher] = field(default_factory=dict, repr=False)

    def searcher_of(self, weighed: Sequence[int]) -> tuple[Searcher, Sequence[int]]:
        """Return a searcher that holds the weighed blocks, and the blocks that it is made of."""
        covered = range(len(self.blocks)) if self.covered is None else self.covered
        if self.searcher is not None and set(weighed) <= set(covered):
            return self.searcher, covered
        if self.similar is not None and set(weighed) <= set(self.similar[0]):
            return self.similar[1], self.similar[0]
        # Weights do not count: rows are stored unweighted, so the blocks tell all.
        key = tuple(weighed)
        searcher = self._made.pop(key, None) or self._make(key)
        self._made[key] = searcher
        # The dictionary is in the order of use. Two threads may drop the same searcher.
        for unused in list(self._made)[:-MADE_SEARCHERS]:
            self._made.pop(unused, None)
        return searcher, key

    def _make(self, key: tuple[int, ...]) -> Searcher:
        blocks, present = [self.blocks[b] for b in key], self.present[:, key]
        is_half = all(block.dtype == np.float16 for block in blocks)
        return HalfSearcher(blocks, present) if is_half else FlatSearcher.build(blocks, present)

    def candidates(
        self, weighed: Sequence[int], eligible: BoolArray | None
    ) -> tuple[Callable[[Float32Array, int], tuple[Int64Array, bool]], Sequence[int]]:
        """Return a search among the eligible cards, (N,), and the blocks that it reads.

        Where few are eligible, or the space is exact, these are compared one by one whatever the
        searcher is.
        """
        every = len(self.present)
        allowed = every if eligible is None else int(eligible.sum())
        is_few = allowed <= FEW_IN_A_STORE and isinstance(self.searcher, Scanner)
        if allowed >= SCANNED * every and not is_few:
            searcher, covered = self.searcher_of(weighed)
            if not self.is_exact or isinstance(searcher, (FlatSearcher, HalfSearcher)):
                some = None if allowed == every else eligible
                return partial(searcher.search, eligible=some), covered
        if isinstance(self.searcher, Scanner):
            return partial(self.searcher.scan, eligible=eligible), range(len(self.blocks))
        compared = np.arange(every) if eligible is None else np.flatnonzero(eligible)
        key = np.array(weighed, dtype=np.int64)

        def scan(queries: Float32Array, count: int) -> tuple[Float32Array, Int64Array]:
            rows = (compared[part] for part in chunks(allowed, ROWS_AT_ONCE))
            fused = (
                fuse_cards([self.blocks[b][r] for b in key], self.present[np.ix_(r, key)])
                for r in rows
            )
            return scan_rows(fused, queries, count)

        return (
            lambda queries, k: (fetch(scan, allowed, queries, k, compared, None), True)
        ), weighed

    def expected_similarities(
        self, queries: Sequence[Float32Array], weighed: BoolArray | None = None
    ) -> Float64Array:
        """Return what an absent block counts as for each query: (n, B); 0 if it is not weighed."""
        samples = self._samples
        if weighed is not None:
            samples = [rows if w else rows[:0] for rows, w in zip(samples, weighed, strict=True)]
        return expected_similarities(queries, samples)

    def compare(
        self, queries: Sequence[Float32Array], rows: Int64Array, blocks: Iterable[int] | None = None
    ) -> Float32Array:
        """Compare queries with m cards each, (n, m), in some blocks, by default in all.

        Returns cosines, (n, m, B), NaN where either side lacks the block or it is left out.
        """
        cosines = np.full((*rows.shape, len(self.blocks)), np.nan, dtype=np.float32)
        query, place = np.nonzero(rows >= 0)
        for b in range(len(self.blocks)) if blocks is None else blocks:
            cosine = self.cosines(b, queries[b], query, rows[query, place])
            there: BoolArray = np.any(queries[b], axis=1)
            cosine[~there[query]] = np.nan
            cosines[query, place, b] = np.clip(cosine, -1.0, 1.0)
        return cosines

    def cosines(
        self, block: int, queries: Float32Array, query: Int64Array, rows: Int64Array
    ) -> Float32Array:
        """Compare P pairs of a query and a card, (P,) each; NaN where the card lacks the block.

        Raises IndexFolderError for rows that are no numbers, which nothing has checked before.
        """
        cards = self.blocks[block]
        cosines = np.empty(len(rows), dtype=np.float32)
        for part in chunks(len(rows), max(1, NUMBERS_AT_ONCE // max(1, cards.shape[1]))):
            # Pair by pair: a product of matrices would round differently in each batch.
            near = cards[rows[part]].astype(np.float32)
            np.vecdot(near, queries[query[part]], out=cosines[part])
        if not np.isfinite(cosines).all():
            raise IndexFolderError(
                "The index is damaged (rows of its cards hold values that are no numbers); copy it "
                "again or build it again."
            )
        cosines[~self.present[rows, block]] = np.nan
        return cosines

    @cached_property
    def _samples(self) -> list[Float32Array]:
        samples = []
        references = self.references or [None] * len(self.blocks)
        for block, there, rows in zip(self.blocks, self.present.T, references, strict=True):
            if there.all():  # No card has anything absent there.
                rows = np.zeros((0, block.shape[1]))
            samples.append(
                (block[reference_rows(there)] if rows is None else rows).astype(np.float32)
            )
        return samples


def find_neighbours(
    space: SearchSpace,
    queries: Sequence[Float32Array],
    present: BoolArray,
    weights: Float64Array,
    k: int,
    eligible: BoolArray | None = None,
    *,
    by_block: bool = True,
) -> Neighbours:
    """Find the k nearest eligible cards, (N,), of each query.

    Queries are arrays of (n, dim of the block), zeros where not present, (n, B). To compare the
    nearest by block takes time, mostly for the blocks that weigh nothing.
    """
    shared = effective_weights(weights, present)
    weighed = weights > 0
    expected = space.expected_similarities(queries, weighed)
    search, covered = space.candidates(np.flatnonzero(weighed).tolist(), eligible)
    fused = fuse_queries([queries[b] for b in covered], shared[:, covered], expected[:, covered])
    n, blocks = shared.shape
    found = Neighbours(
        rows=np.full((n, k), MISSING, dtype=np.int64),
        similarities=np.full((n, k), np.nan),
        contributions=np.zeros((n, k, blocks)),
        weights=shared,
    )
    answerable = np.flatnonzero(shared.any(axis=1))
    is_exact = True
    for part in chunks(len(answerable), QUERY_CHUNK):
        candidates, is_certain = search(fused[answerable[part]], k)
        is_exact &= is_certain
        for some in chunks(len(candidates), max(1, NUMBERS_AT_ONCE // (1 + candidates.shape[1]))):
            chosen = answerable[part][some]
            _rescore(space, queries, expected, chosen, candidates[some], found)
    compared = space.compare(queries, found.rows) if by_block else None
    return replace(found, by_block=compared, is_exact=is_exact)


def _rescore(
    space: SearchSpace,
    queries: Sequence[Float32Array],
    expected: Float64Array,
    chosen: Int64Array,
    candidates: Int64Array,
    found: Neighbours,
) -> None:
    """Rank the candidates, (c, m), of the chosen queries, (c,), and keep the k nearest."""
    place, column = np.nonzero(candidates >= 0)
    query, rows = chosen[place], candidates[place, column]
    added = np.zeros((*candidates.shape, len(queries)))
    for b in np.flatnonzero(found.weights[chosen].any(axis=0)).tolist():
        cosines = space.cosines(b, queries[b], query, rows).astype(np.float64)
        cosines = np.where(np.isnan(cosines), expected[query, b], cosines)
        added[place, column, b] = cosines * found.weights[query, b]
    similarities = np.where(candidates >= 0, added.sum(axis=2), -np.inf)
    best = _nearest_first(space, candidates, similarities, found.rows.shape[1])
    rows, kept = np.take_along_axis(candidates, best, axis=1), slice(best.shape[1])
    found.rows[chosen, kept] = rows
    # Clipped only once they are ranked: the searcher, which proposed them, does not clip.
    nearest = np.clip(np.take_along_axis(similarities, best, axis=1), -1.0, 1.0)
    found.similarities[chosen, kept] = np.where(rows >= 0, nearest, np.nan)
    found.contributions[chosen, kept] = np.take_along_axis(added, best[:, :, None], axis=1)


def _nearest_first(
    space: SearchSpace, candidates: Int64Array, similarities: Float64Array, k: int
) -> Int64Array:
    """Return the columns of the k nearest of the candidates, (c, m); equal ones by their ids."""
    order = np.argsort(-similarities, axis=1, kind="stable")
    falling = np.take_along_axis(similarities, order, axis=1)
    is_equal = (falling[:, 1:] == falling[:, :-1]) & np.isfinite(falling[:, 1:])
    # What is equal beyond the k-th and the first that is left out need not be settled.
    tied = np.flatnonzero(is_equal[:, :k].any(axis=1))
    if len(tied):
        is_tied = np.zeros((len(tied), falling.shape[1]), dtype=bool)
        is_tied[:, 1:] = is_equal[tied]
        is_tied[:, :-1] |= is_equal[tied]
        cards = np.take_along_axis(candidates[tied], order[tied], axis=1)[is_tied]
        unique, number = np.unique(cards, return_inverse=True)
        rank = np.empty(len(unique), dtype=np.int64)
        rank[order_by_id(space.ids(unique))] = np.arange(len(unique))
        ranks = np.zeros(is_tied.shape, dtype=np.int64)
        ranks[is_tied] = rank[number]
        settled = np.lexsort((ranks, -falling[tied]), axis=1)
        order[tied] = np.take_along_axis(order[tied], settled, axis=1)
    return order[:, :k]


def order_by_id(ids: Sequence[Any]) -> Int64Array:
    """Return the places of ids in their order."""
    return np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.int64)
