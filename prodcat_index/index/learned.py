"""The learned block: all blocks of a card projected into one, in which categories are apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from prodcat_index.index.block import Block
from prodcat_index.index.manifest import LEARNED
from prodcat_index.learning.head import LinearHead, fit_head
from prodcat_index.learning.hubness import HubnessCorrection
from prodcat_index.learning.projection import Projection, fit_projection
from prodcat_index.types import BoolArray, Float32Array, FloatingArray, Int64Array

ProjectionKind = Literal["lda", "none"]
# Rows whose probabilities of all categories are in memory at a time.
ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class FittedModel:
    """What is learned from labelled cards."""

    projection: Projection
    head: LinearHead | None
    hubness: HubnessCorrection | None

    @property
    def dim(self) -> int:
        """Length of a row: that of a projected one, and one for hubness."""
        return self.projection.dim + (self.hubness is not None)

    def card_rows(
        self, blocks: Sequence[FloatingArray], present: BoolArray
    ) -> tuple[npt.NDArray[np.float16], BoolArray]:
        """Project cards."""
        rows, known = self.projection.project(blocks, present)
        if self.hubness is None:
            return rows.astype(np.float16), known
        penalty = np.where(known, -self.hubness.mean_similarity(rows) / 2, 0.0)
        return np.column_stack([rows, penalty]).astype(np.float16), known

    def query_rows(
        self, blocks: Sequence[Float32Array], present: BoolArray
    ) -> tuple[Float32Array, BoolArray]:
        """Project queries, as :meth:`card_rows` but float32 and ending in 1 for the hubness."""
        rows, known = self.projection.project(blocks, present)
        if self.hubness is None:
            return rows, known
        return np.column_stack([rows, known]).astype(np.float32), known

    def renumbered(self, codes: Int64Array) -> FittedModel:
        """Return this under other category codes."""
        if self.head is None:
            return self
        head = replace(self.head, categories=codes[self.head.categories])
        return replace(self, head=head)


@dataclass(frozen=True)
class LearnedBlock:
    """The projected cards, and what projects queries."""

    learner: FittedModel
    vectors: npt.NDArray[np.float16]
    present: BoolArray
    name: str = LEARNED
    modality: str = LEARNED

    @property
    def dim(self) -> int:
        """Length of a row."""
        return self.learner.dim

    @property
    def unit_rows(self) -> npt.NDArray[np.float16]:
        """The projected rows alone: float16, shape (N, d)."""
        return self.vectors[:, : self.learner.projection.dim]


def as_queries(block: Block | LearnedBlock, rows: Int64Array) -> Float32Array:
    """Return cards of a block as queries to the others."""
    queries = block.vectors[rows].astype(np.float32)
    if isinstance(block, LearnedBlock) and block.learner.hubness:
        queries[:, -1] = block.present[rows]
    return queries


def learn(blocks: Sequence[Block], codes: Int64Array) -> LearnedBlock | None:
    """Learn a projection from labelled cards and project all cards."""
    learner = fit_on_cards(blocks, codes)
    return None if learner is None else project_cards(learner, blocks)


def fit_on_cards(blocks: Sequence[Block], codes: Int64Array) -> FittedModel | None:
    """Learn a projection from labelled cards, and a head and a hubness correction over it."""
    vectors, present = _arrays(blocks)
    projection = fit_projection(vectors, present, codes)
    if projection is None:
        return None
    rows, known = projection.project(vectors, present)
    return FittedModel(
        projection, fit_head(rows, codes), HubnessCorrection.fit(rows[known & (codes >= 0)])
    )


def project_cards(learner: FittedModel, blocks: Sequence[Block]) -> LearnedBlock:
    """Project all cards by what was learned from some of them."""
    return LearnedBlock(learner, *learner.card_rows(*_arrays(blocks)))


def head_log_proba(
    learner: FittedModel | None, vectors: Sequence[Float32Array], codes: Int64Array
) -> npt.NDArray[np.float32]:
    """Return the natural logarithm of how probable the head finds some categories."""
    logarithms = np.zeros(codes.shape, dtype=np.float32)
    head = learner.head if learner else None
    if head is None or not codes.size:
        return logarithms
    count = 1 + max(int(codes.max()), int(head.categories.max()))
    for start in range(0, len(codes), ROWS_AT_ONCE):
        part = slice(start, start + ROWS_AT_ONCE)
        every = head.log_probabilities(vectors[-1][part, : len(head.coefficients)], count)
        logarithms[part] = np.take_along_axis(every, np.maximum(codes[part], 0), axis=1)
    return np.where(codes >= 0, logarithms, np.float32(0))


def _arrays(blocks: Sequence[Block]) -> tuple[list[npt.NDArray[np.float16]], BoolArray]:
    present = np.stack([block.present for block in blocks], axis=1)
    return [block.vectors for block in blocks], present
