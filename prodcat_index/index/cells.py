"""Cells of rows: centres that are found by k-means, and the centre that each row is nearest to.

Products of matrices find it: sooner than one distance after another would, but rounded otherwise
in each batch. So what they leave open is settled pair by pair.
"""

from __future__ import annotations

import numpy as np

from prodcat_index.index.fusion import SCORE_ERROR
from prodcat_index.types import Float32Array, Int64Array, chunks

ROUNDS = 10
SEED = 1
# Scores of rows and centres that are there at a time: they stay in the cache of the processor.
NUMBERS_AT_ONCE = 2**20


def find_centres(rows: Float32Array, cells: int) -> Float32Array:
    """Return the centres of cells about some rows, of which there are at least so many."""
    drawn = np.random.default_rng(SEED).choice(len(rows), cells, replace=False)
    centres = rows[np.sort(drawn)]
    for _ in range(ROUNDS):
        nearest = nearest_centres(rows, centres)
        sizes = np.bincount(nearest, minlength=cells)
        members = np.split(np.argsort(nearest, kind="stable"), np.cumsum(sizes)[:-1])
        # An empty cell begins anew at a row of a large one.
        empty, large = np.flatnonzero(sizes == 0), np.argsort(-sizes, kind="stable")
        for cell, other in zip(empty, large[sizes[large] > 1], strict=False):
            centres[cell] = rows[members[other][-1]]
        for cell in np.flatnonzero(sizes):
            mean = rows[members[cell]].mean(axis=0, dtype=np.float64)
            # As they are stored. Products of smaller numbers would take ten times as long.
            centres[cell] = mean.astype(np.float16)
    return centres


def nearest_centres(rows: Float32Array, centres: Float32Array) -> Int64Array:
    """Return the nearest centre of each row, the first of equal ones: (n,)."""
    halves = np.vecdot(centres, centres, dtype=np.float64) / 2
    cells = np.empty(len(rows), dtype=np.int64)
    for part in chunks(len(rows), max(1, NUMBERS_AT_ONCE // len(centres))):
        own = rows[part]
        # Half of the squared distance, but for what all centres of a row have in common.
        rough = halves.astype(np.float32) - own @ centres.T
        found = rough.argmin(axis=1)
        least = np.take_along_axis(rough, found[:, None], axis=1)
        near = rough <= least + 2 * SCORE_ERROR
        row, cell = np.nonzero(near & (np.count_nonzero(near, axis=1) > 1)[:, None])
        if len(row):
            halved = halves[cell] - np.vecdot(centres[cell], own[row], dtype=np.float64)
            order = np.lexsort((cell, halved, row))
            open_rows, firsts = np.unique(row[order], return_index=True)
            found[open_rows] = cell[order][firsts]
        cells[part] = found
    return cells
