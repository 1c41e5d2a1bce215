"""A shrinkage linear discriminant over the concatenated blocks, and a correction for its hubs.

Fisher's discriminant (R. A. Fisher, 1936) with the within-category covariance shrunk towards a
multiple of the identity (J. H. Friedman, "Regularized Discriminant Analysis", 1989), solved by a
Cholesky factor and the eigenvectors of a matrix as large as there are categories. Directions that
separate categories better are stretched a little.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from prodcat_index.encoders.base import unit_rows
from prodcat_index.types import (
    BoolArray,
    Float32Array,
    Float64Array,
    FloatingArray,
    Int64Array,
    RowsLike,
    chunks,
    evenly_spaced,
)

SHRINKAGE = 0.65
# Directions are stretched by their strength to this power. Why so: docs/decisions.md.
STRETCH = 0.2
MAX_DIMENSIONS = 256
# A direction along which categories differ this little, beside the largest, is rounding.
SMALLEST_RATIO = 1e-9
# Cards of a category that differ this little, beside the categories, are alike but for rounding.
SMALLEST_SPREAD = 1e-5
MINIMUM_LENGTH = 1e-6
ROWS_AT_ONCE = 8192
HUBNESS_NEIGHBOURS = 20
# Beyond this, more cards to compare with make it no better, only slower.
MOST_REFERENCES = 4_000
# Their cosines with this many rows, float32, are in memory at a time: 16 MB.
HUBNESS_ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class Projection:
    """A linear map that separates the categories, with one part for each of B blocks."""

    matrices: Sequence[Float32Array]  # B arrays of shape (columns read of the block, d)
    offsets: Sequence[Float32Array]  # B arrays of the same columns: the mean rows

    @property
    def dim(self) -> int:
        """Length d of a projected row."""
        return int(self.matrices[0].shape[1])

    def parts(self, blocks: Sequence[FloatingArray], present: BoolArray) -> list[Float32Array]:
        """Return what each block adds to a projected row before it is scaled: B arrays (n, d).

        `blocks` are B arrays of centred unit rows, (n, dim of the block), of which the first
        columns are read, as many as the projection has; `present` is (n, B).
        """
        # Rows in float64 take more room than what they are projected to: few are made at a time.
        # A product of float32 would depend on how many rows and threads there are.
        return [
            np.concatenate(
                [
                    np.where(
                        present[p, b, None],
                        (
                            (first_columns(rows[p], len(offset)) - offset).astype(float) @ matrix
                        ).astype(np.float32),
                        np.float32(0),
                    )
                    for p in chunks(len(rows), ROWS_AT_ONCE)
                ]
            )
            for b, (rows, offset, matrix) in enumerate(
                zip(blocks, self.offsets, self.matrices, strict=True)
            )
        ]

    def project(
        self, blocks: Sequence[RowsLike], present: BoolArray
    ) -> tuple[Float32Array, BoolArray]:
        """Return unit rows, (n, d), zeros for a row without a block; and which are not zero."""
        rows = [
            np.sum(unit_parts(self.parts([block[p] for block in blocks], present[p])), axis=0)
            for p in chunks(len(present), ROWS_AT_ONCE)
        ]
        projected: Float32Array = np.concatenate(rows).astype(np.float32)
        return projected, np.any(projected != 0, axis=1)


def first_columns(rows: RowsLike, width: int | None) -> Float32Array:
    """Return the first columns of rows, scaled to unit length; all of them as they are."""
    part = rows[:, :width].astype(np.float32)
    return part if part.shape == rows.shape else unit_rows(part)


def unit_parts(parts: Sequence[Float32Array]) -> list[Float32Array]:
    """Scale the parts of each row by one number, so that they add up to a unit row or to zeros."""
    lengths = np.linalg.norm(np.sum(parts, axis=0), axis=1, keepdims=True)
    known = lengths > MINIMUM_LENGTH
    return [
        np.divide(part, lengths, out=np.zeros_like(part), where=known).astype(np.float32)
        for part in parts
    ]


def fit_projection(
    blocks: Sequence[RowsLike],
    present: BoolArray,
    codes: Int64Array,  # (n,); rows of -1 are left out
    shrinkage: float = SHRINKAGE,
    stretch: float = STRETCH,
) -> Projection | None:
    """Fit a projection to labelled rows; None where all cards of each category are alike.

    `shrinkage`, up to 1, draws the covariance within categories towards a multiple of the identity.
    Directions are multiplied by their strength, variance between over within, to the `stretch`.
    """
    from scipy.linalg import cho_factor, cho_solve

    rows = np.flatnonzero((codes >= 0) & present.any(axis=1))
    _, codes = np.unique(codes[rows], return_inverse=True)
    if len(rows) == 0 or codes.max() == 0:
        return None
    labelled, present = [block[rows] for block in blocks], present[rows]
    offsets = [_mean(block, present[:, b]) for b, block in enumerate(labelled)]
    within, between = _moments(labelled, present, offsets, codes)
    spread = float(np.trace(within))
    if spread <= SMALLEST_SPREAD * float(np.sum(between**2)):
        return None
    shrunk = (1 - shrinkage) * within
    shrunk[np.diag_indices_from(shrunk)] += shrinkage * spread / len(within)
    solved = cho_solve(cho_factor(shrunk, lower=True), between.T)
    strengths, directions = np.linalg.eigh(between @ solved)
    kept = np.flatnonzero(strengths > SMALLEST_RATIO * strengths[-1])[::-1][:MAX_DIMENSIONS]
    if not len(kept) or strengths[-1] <= 0:
        return None
    scales = strengths[kept] ** (stretch - 0.5)
    matrix = (solved @ directions[:, kept] * scales).astype(np.float32)
    edges = np.cumsum([block.shape[1] for block in blocks])[:-1]
    return Projection(np.split(matrix, edges), offsets)


def _mean(block: FloatingArray, present: BoolArray) -> Float32Array:
    total = np.zeros(block.shape[1])
    for part in chunks(len(block), ROWS_AT_ONCE):
        total += block[part][present[part]].sum(axis=0, dtype=np.float64)
    return (total / max(1, int(present.sum()))).astype(np.float32)


def _moments(
    blocks: Sequence[FloatingArray],
    present: BoolArray,
    offsets: Sequence[Float32Array],
    codes: Int64Array,
) -> tuple[Float64Array, Float64Array]:
    """Return the covariance within categories, and means weighted by the root of their share."""
    from scipy.sparse import csr_array

    sizes = np.bincount(codes)
    dim = sum(block.shape[1] for block in blocks)
    sums, products = np.zeros((len(sizes), dim)), np.zeros((dim, dim))
    for part in chunks(len(codes), ROWS_AT_ONCE):
        centred = [
            np.where(present[part, b, None], block[part] - offset, 0.0)
            for b, (block, offset) in enumerate(zip(blocks, offsets, strict=True))
        ]
        rows = np.concatenate(centred, axis=1).astype(np.float32)
        products += rows.T @ rows
        cells = (codes[part], np.arange(len(rows)))
        # Adds row after row in double precision, as numpy.add.at does, in a tenth of the time.
        sums += csr_array((np.ones(len(rows)), cells), shape=(len(sizes), len(rows))) @ rows
    means = sums / sizes[:, None]
    within = (products - (sums.T @ means)) / len(codes)
    return within, means * np.sqrt(sizes / len(codes))[:, None]


@dataclass(frozen=True)
class HubnessCorrection:
    """Correction for hubness: some cards are among the nearest of everything."""

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
        share = round(HUBNESS_NEIGHBOURS * len(places) / len(rows))
        return cls(rows[places], min(max(1, share), len(places) - 1))

    @cached_property
    def _columns(self) -> Float64Array:
        """The references in double precision, (d, m): to convert them would delay each query."""
        return self.references.T.astype(float)

    def mean_similarity(self, rows: Float32Array) -> Float32Array:
        """Return the mean cosine of unit rows, (n, d), with their nearest references, (n,).

        Half of it is what cross-domain similarity local scaling (A. Conneau and others, 2018) takes
        off a cosine for one side. The very nearest is left out: it may be the row itself.
        """
        means = np.empty(len(rows), dtype=np.float32)
        for part in chunks(len(rows), HUBNESS_ROWS_AT_ONCE):
            distance = -(rows[part].astype(float) @ self._columns).astype(np.float32)
            nearest = np.partition(distance, self.near, axis=1)[:, : self.near + 1]
            means[part] = (nearest.min(axis=1) - nearest.sum(axis=1)) / self.near
        return means
