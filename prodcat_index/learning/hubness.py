"""Correction for hubness: some cards are among the nearest of everything."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prodcat_index.types import Float32Array, chunks, evenly_spaced

NEIGHBOURS = 20
# Beyond this, more cards to compare with make it no better, only slower.
MOST_REFERENCES = 10_000
# Their cosines with this many rows, float32, are in memory at a time: 40 MB.
ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class HubnessCorrection:
    """Cards by which hubness is measured."""

    references: Float32Array  # (m, d): unit rows
    near: int  # number of nearest references that count, from 1 to m - 1

    @classmethod
    def fit(cls, rows: Float32Array) -> HubnessCorrection | None:
        """Choose evenly spaced unit rows, shape (n, d), as references; None below two rows.

        The nearest 20 of all rows count; where only some rows are references, in proportion.
        """
        if len(rows) < 2:
            return None
        places = evenly_spaced(len(rows), MOST_REFERENCES)
        share = round(NEIGHBOURS * len(places) / len(rows))
        return cls(rows[places], min(max(1, share), len(places) - 1))

    def mean_similarity(self, rows: Float32Array) -> Float32Array:
        """Return the mean cosine of unit rows, (n, d), with their nearest references, (n,).

        The very nearest is left out, because it may be the row itself. Half of this mean is what
        cross-domain similarity local scaling subtracts from a cosine for one of its two sides
        (A. Conneau and others, "Word Translation Without Parallel Data", 2018).
        """
        means = np.empty(len(rows), dtype=np.float32)
        for part in chunks(len(rows), ROWS_AT_ONCE):
            distance = -(rows[part] @ self.references.T)
            nearest = np.partition(distance, self.near, axis=1)[:, : self.near + 1]
            means[part] = (nearest.min(axis=1) - nearest.sum(axis=1)) / self.near
        return means
