"""Searchers that compare codes of a quarter of the memory, or few of them, instead of all rows.

They propose candidates, of which exact similarities decide. How widely they look is chosen at
build time: as widely as it takes to find what an exact search finds of cards held out, under the
weights of the index and under weights far from these.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from prodcat_index.index.block import Block
from prodcat_index.index.effort import choose_effort, weighed_queries
from prodcat_index.index.fusion import fuse_cards
from prodcat_index.index.kinds import ApproximateKind, count_held_out
from prodcat_index.index.learned import LearnedBlock, as_queries
from prodcat_index.index.quantized import Codes, Effort, add_rows, fill_index, trained_index
from prodcat_index.index.rows import as_rows
from prodcat_index.index.search import SearchSpace
from prodcat_index.index.searchers import ROWS_AT_ONCE, SPARE, FlatSearcher, padded
from prodcat_index.index.stores import StoreTable
from prodcat_index.types import (
    MISSING,
    BoolArray,
    Float32Array,
    Float64Array,
    Int64Array,
    RowsLike,
    chunks,
    evenly_spaced,
)

# Cells, for n rows, by the square root of n; and rows that each is trained on.
CELLS_A_ROOT = 2
ROWS_A_CELL = 32
# More cards than this share that came after the coding, or coded ones that went: code them again.
LARGE_TAIL = 0.1
MANY_DEAD = 0.25


@dataclass(frozen=True, eq=False)
class ApproximateSearcher:
    """An approximate search of N cards, of which m were coded when the index was built.

    Cards that came later are compared one by one, and removed ones are passed over.
    """

    codes: Codes | StoreTable
    cards: Int64Array  # (m,): row of each coded card, MISSING for one that was removed
    blocks: Sequence[RowsLike]  # (N, dim of the block) each
    present: BoolArray  # (N, blocks)
    effort: Effort

    @property
    def dim(self) -> int:
        """Length of a fused row."""
        return sum(block.shape[1] for block in self.blocks) + len(self.blocks)

    def select(self, rows: Int64Array | BoolArray) -> ApproximateSearcher:
        """Return a searcher of some of the cards, which keep their order or take another."""
        chosen = np.arange(len(self.present))[rows]
        new_row = np.full(len(self.present) + 1, MISSING, dtype=np.int64)
        new_row[chosen] = np.arange(len(chosen))
        return replace(
            self,
            cards=new_row[self.cards],  # the last is MISSING
            blocks=[as_rows(block).select(rows) for block in self.blocks],
            present=self.present[rows],
        )

    def extended(self, blocks: Sequence[RowsLike], present: BoolArray) -> ApproximateSearcher:
        """Return a searcher of these and further cards."""
        joined = [as_rows(own).extended(new) for own, new in zip(self.blocks, blocks, strict=True)]
        present = np.concatenate([self.present, present])
        return replace(self, blocks=joined, present=present)

    def search(
        self, queries: Float32Array, k: int, eligible: BoolArray | None = None
    ) -> tuple[Int64Array, bool]:
        """Propose candidates for fused queries, (n, d), among the eligible cards, (N,).

        They are certain to hold the k nearest only where hardly more cards are eligible. Of a few
        in a hundred, the search space compares every one and does not ask here.
        """
        allowed = len(self.present) if eligible is None else np.count_nonzero(eligible)
        eligible = None if allowed == len(self.present) else eligible
        if allowed <= k + SPARE:
            chosen = np.arange(allowed) if eligible is None else np.flatnonzero(eligible)
            return self._exact(queries, k, chosen)
        found = self._coded(queries, k, eligible, allowed / len(self.present))
        return np.concatenate([found, *self._later(queries, k, eligible)], axis=1), False

    def _later(
        self, queries: Float32Array, k: int, eligible: BoolArray | None
    ) -> Iterator[Int64Array]:
        """Yield the cards of the tail that are proposed, if there are any."""
        if len(self.tail):
            own = None if eligible is None else eligible[self.tail]
            rows, _ = self._tail_searcher.search(queries, k, own)
            yield np.where(rows >= 0, self.tail[rows], MISSING)

    def _exact(self, queries: Float32Array, k: int, chosen: Int64Array) -> tuple[Int64Array, bool]:
        if not len(chosen):
            return np.full((len(queries), 0), MISSING, dtype=np.int64), True
        rows, is_certain = self._flat(chosen).search(queries, min(k, len(chosen)))
        return np.where(rows >= 0, chosen[rows], MISSING), is_certain

    def _coded(
        self, queries: Float32Array, k: int, eligible: BoolArray | None, share: float
    ) -> Int64Array:
        """Return the coded cards that are proposed."""
        assert isinstance(self.codes, Codes), "a store is searched otherwise"
        alive = self._alive
        if eligible is not None:
            own = eligible[self.cards]
            alive = own if alive is None else own & alive
        # The nearest of few cards are farther away, in more cells.
        wider = 1 + np.log10(1 / share)
        effort = replace(
            self.effort,
            margin=self.effort.margin * wider,
            walk=int(np.ceil(self.effort.walk / share)),
        )
        numbers = self.codes.search(queries, k, effort, alive)
        return np.where(numbers >= 0, self.cards[numbers], MISSING)

    @cached_property
    def _alive(self) -> BoolArray | None:
        """Mask of the coded cards that are there, (m,); None for all."""
        there = self.cards != MISSING
        return None if there.all() else there

    @cached_property
    def tail(self) -> Int64Array:
        """Rows of the cards that are not coded."""
        is_coded = np.zeros(len(self.present) + 1, dtype=bool)
        is_coded[self.cards] = True  # the last stands for MISSING
        return np.flatnonzero(~is_coded[:-1])

    @cached_property
    def _tail_searcher(self) -> FlatSearcher:
        return self._flat(self.tail)

    def _flat(self, rows: Int64Array) -> FlatSearcher:
        return FlatSearcher.build([block[rows] for block in self.blocks], self.present[rows])


def is_due(searcher: FlatSearcher | ApproximateSearcher | None) -> bool:
    """Check whether a searcher is missing, or was coded before many cards came or went."""
    if not isinstance(searcher, ApproximateSearcher):
        return searcher is None
    dead, n = int((searcher.cards == MISSING).sum()), len(searcher.present)
    return len(searcher.tail) > LARGE_TAIL * n or dead > MANY_DEAD * len(searcher.cards)


def build_searcher(
    kind: ApproximateKind,
    blocks: Sequence[Block | LearnedBlock],
    space: SearchSpace,
    weights: Float64Array,
    recall: float,
    spill: Path | None = None,
) -> ApproximateSearcher:
    """Code the cards of a space that is made of some blocks.

    The recall, a share of the nearest 10 and 30, is reached under the weights, (B,), and under
    weights far from them. With `spill`, a folder, large codes lie in a file there.
    """
    rows, present = space.blocks, space.present
    held_out = evenly_spaced(len(present), count_held_out(len(present)))
    others = np.setdiff1d(np.arange(len(present)), held_out)
    index = _trained(kind, rows, present, others)
    fill_index(kind, index, lambda: fused_parts(rows, present, others))
    vectors = [as_queries(block, held_out) for block in blocks]
    queries = weighed_queries(space, vectors, present[held_out], weights)
    effort = choose_effort(kind, index, fused_parts(rows, present, others), queries, recall)
    for fused in fused_parts(rows, present, held_out):
        add_rows(kind, index, fused)
    cards = np.concatenate([others, held_out])
    return ApproximateSearcher(Codes.from_index(kind, index, spill), cards, rows, present, effort)


def fused_parts(
    blocks: Sequence[RowsLike], present: BoolArray, rows: Int64Array
) -> Iterator[Float32Array]:
    """Yield the fused rows of some cards, padded, a few at a time."""
    for part in chunks(len(rows), ROWS_AT_ONCE):
        own = rows[part]
        yield padded(fuse_cards([block[own] for block in blocks], present[own]))


def _trained(
    kind: ApproximateKind, blocks: Sequence[RowsLike], present: BoolArray, rows: Int64Array
) -> Any:
    """Return an empty FAISS index made for some cards."""
    extremes = [(part.min(axis=0), part.max(axis=0)) for part in fused_parts(blocks, present, rows)]
    low, high = (np.min([e[0] for e in extremes], axis=0), np.max([e[1] for e in extremes], axis=0))
    cells = int(2 ** np.round(np.log2(CELLS_A_ROOT * np.sqrt(len(rows)))))
    sample = rows[evenly_spaced(len(rows), ROWS_A_CELL * cells)] if kind == "ivf" else rows[:0]
    chosen = np.concatenate(list(fused_parts(blocks, present, sample)))
    return trained_index(kind, np.stack([low, high - low]), chosen, min(cells, len(chosen)))
