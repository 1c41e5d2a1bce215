"""A searcher for many queries at once, which compares cards by their first principal axes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from prodcat_index.index.fusion import fuse_cards
from prodcat_index.index.searchers import fetch, scan_rows
from prodcat_index.types import (
    BoolArray,
    Float32Array,
    Float64Array,
    Int64Array,
    RowsLike,
    chunks,
    evenly_spaced,
)

AXES, SAMPLE, ROWS_AT_ONCE = 384, 10_000, 8192
# Candidates for each of the k nearest: docs/decisions/audit.md says why.
CANDIDATES = 4
# Coordinates are whole numbers of rows that are no longer than this. The sums of their products
# are below 2**24 then, which float32 holds without rounding: what is found does not depend on
# batches and threads.
LONGEST = 4080.0


@dataclass(frozen=True, eq=False)
class AxesSearcher:
    """Proposes cards by the principal axes of their weighed rows, and may miss a near one."""

    axes: Float64Array  # (d, a)
    scale: Float64Array  # (d,): what the columns of fused rows are multiplied by
    rows: Float32Array  # (n, a): whole numbers
    cards: Int64Array  # (n,): their numbers

    @classmethod
    def build(
        cls,
        blocks: Sequence[RowsLike],
        present: BoolArray,
        weights: Float64Array,
        cards: Int64Array,
        axes: int = AXES,
    ) -> AxesSearcher:
        """Find the axes of some cards, (n,), of blocks, (N, dim) each, with weights above 0."""
        widths = [block.shape[1] for block in blocks]
        # Half of a weight on either side: the axes are those of the weighed similarity.
        scale = np.sqrt(np.concatenate([np.repeat(weights, widths), weights]))

        def weighed(rows: Int64Array) -> Float64Array:
            return fuse_cards([block[rows] for block in blocks], present[rows]) * scale

        products = np.zeros((len(scale), len(scale)))
        some = cards[evenly_spaced(len(cards), SAMPLE)]
        for part in chunks(len(some), ROWS_AT_ONCE):
            rows = weighed(some[part])
            products += rows.T @ rows
        directions = np.linalg.eigh(products)[1][:, -axes:]
        reduced = np.empty((len(cards), directions.shape[1]), dtype=np.float32)
        for part in chunks(len(cards), ROWS_AT_ONCE):
            reduced[part] = weighed(cards[part]) @ directions
        longest = np.sqrt(np.square(reduced).sum(axis=1).max(initial=0.0)) or 1.0
        np.rint(reduced * np.float32(LONGEST / longest), out=reduced)
        return cls(directions, scale, reduced, cards)

    def search(
        self, queries: Float32Array, k: int, eligible: BoolArray | None = None
    ) -> tuple[Int64Array, bool]:
        """Propose the cards that are nearest by the axes."""
        near = (queries / self.scale) @ self.axes
        lengths = np.linalg.norm(near, axis=1, keepdims=True)
        whole = np.rint(near * (LONGEST / np.maximum(lengths, 1e-12))).astype(np.float32)
        scan = partial(scan_rows, (self.rows,))
        count = min(CANDIDATES * k, len(self.rows))
        return fetch(scan, len(self.rows), whole, count, self.cards, eligible), False
