"""The learned block: all blocks of a card projected into one that separates the categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from prodcat_index.index.block import Block
from prodcat_index.index.fusion import reference_rows
from prodcat_index.index.manifest import LEARNED, SCORES
from prodcat_index.learning.head import LinearHead, fit_head
from prodcat_index.learning.projection import (
    HubnessCorrection,
    Projection,
    first_columns,
    fit_projection,
    unit_parts,
)
from prodcat_index.types import (
    MISSING,
    BoolArray,
    Float32Array,
    FloatingArray,
    Int64Array,
    RowsLike,
    chunks,
)

ProjectionKind = Literal["lda", "none"]
# A dozen cards fit any projection.
MIN_CARDS_TO_LEARN = 100
# Rows whose probabilities of all categories are in memory at a time.
ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class FittedModel:
    """A projection fitted to labelled cards, and what is fitted to the projected rows."""

    projection: Projection
    head: LinearHead | None  # None for fewer than two categories, and in indexes of format 1
    hubness: HubnessCorrection | None  # None for fewer than two rows, and in indexes of format 1

    @property
    def dim(self) -> int:
        """Length of a row: that of a projected one, and one for the hubness correction."""
        return self.projection.dim + (self.hubness is not None)

    def card_rows(
        self, blocks: Sequence[RowsLike], present: BoolArray
    ) -> tuple[FloatingArray, BoolArray]:
        """Project cards: float16 (n, dim), zeros where a card has no block; which have one, (n,).

        The last column takes half of a card's hubness off its similarity with every query.
        """
        rows, known = self.projection.project(blocks, present)
        if self.hubness is None:
            return rows.astype(np.float16), known
        penalty = np.where(known, -self.hubness.mean_similarity(rows) / 2, 0.0)
        return np.column_stack([rows, penalty]).astype(np.float16), known

    def query_rows(self, parts: Sequence[Float32Array]) -> tuple[Float32Array, BoolArray]:
        """Return rows of queries, float32 (n, dim), from the parts that their blocks add."""
        rows: Float32Array = np.sum(unit_parts(parts), axis=0)
        known: BoolArray = np.any(rows, axis=1)
        if self.hubness is None:
            return rows, known
        return np.concatenate([rows, known[:, None]], axis=1, dtype=np.float32), known


@dataclass(frozen=True)
class LearnedBlock:
    """The projected cards, and the model that projects queries."""

    model: FittedModel
    vectors: RowsLike  # float16, (N, dim)
    present: BoolArray  # (N,)
    # float16, (N,): logarithm of what the vote of a card counts; None where all count in full.
    log_reliability: FloatingArray | None = None
    # float16, (R, dim): as of a block of an encoder.
    references: FloatingArray | None = None
    categories: tuple[str, ...] = ()  # name that each category of the head was fitted by
    name: str = LEARNED
    modality: str = LEARNED

    @property
    def dim(self) -> int:
        """Length of a row."""
        return self.model.dim

    def referenced(self) -> LearnedBlock:
        """Return this block with some of its cards as references."""
        return replace(self, references=np.asarray(self.vectors[reference_rows(self.present)]))

    def recoded(self, code_of: Mapping[str, int], aliases: Mapping[str, str]) -> LearnedBlock:
        """Return this block with a head of the codes that categories have now, by their names.

        A category that is no longer there gets -1; those that were merged have the same code.
        """
        if self.model.head is None:
            return self
        names = [aliases.get(name, name) for name in self.categories]
        codes = np.array([code_of.get(name, MISSING) for name in names], dtype=np.int64)
        head = replace(self.model.head, categories=codes)
        return replace(self, model=replace(self.model, head=head))


def as_queries(block: Block | LearnedBlock, rows: Int64Array) -> Float32Array:
    """Return cards of a block as queries to the others: float32, (n, dim)."""
    queries = block.vectors[rows].astype(np.float32)
    if isinstance(block, LearnedBlock) and block.model.hubness:
        queries[:, -1] = block.present[rows]
    return queries


def learn(blocks: Sequence[Block], codes: Int64Array, names: Sequence[str]) -> LearnedBlock | None:
    """Fit a model to labelled cards and project all cards; None where there is nothing to fit."""
    model = fit_on_cards(blocks, codes)
    if model is None:
        return None
    fitted = tuple(names[code] for code in model.head.categories) if model.head else ()
    return replace(project_cards(model, blocks), categories=fitted).referenced()


def fit_on_cards(blocks: Sequence[Block], codes: Int64Array) -> FittedModel | None:
    """Fit what is learned to labelled cards."""
    vectors, present = _arrays(blocks)
    return fit_model(vectors, present, codes, [b.projected_dim for b in blocks[: len(vectors)]])


def fit_model(
    vectors: Sequence[RowsLike], present: BoolArray, codes: Int64Array, widths: Sequence[int | None]
) -> FittedModel | None:
    """Fit a projection to labelled rows, and a head and a hubness correction to its rows."""
    read = [
        rows
        if rows.dtype == np.float16 and width in (None, rows.shape[1])
        else first_columns(rows, width).astype(np.float16)
        for rows, width in zip(vectors, widths, strict=True)
    ]
    projection = fit_projection(read, present, codes)
    if projection is None:
        return None
    rows, known = projection.project(vectors, present)
    hubness = HubnessCorrection.fit(rows[known & (codes >= 0)])
    return FittedModel(projection, fit_head(rows, codes), hubness)


def project_cards(model: FittedModel, blocks: Sequence[Block]) -> LearnedBlock:
    """Project all cards by a model that was fitted to some of them."""
    return LearnedBlock(model, *model.card_rows(*_arrays(blocks)))


def head_log_proba(
    model: FittedModel | None, vectors: Sequence[Float32Array], codes: Int64Array
) -> Float32Array:
    """Return the head's log probability of some categories, codes (n, k), for each query.

    0 where there is no head or no category. The learned block is the last of the vectors.
    """
    logarithms = np.zeros(codes.shape, dtype=np.float32)
    head = model.head if model else None
    if head is None or not codes.size:
        return logarithms
    count = 1 + max(int(codes.max()), int(head.categories.max()))
    for part in chunks(len(codes), ROWS_AT_ONCE):
        every = head.log_probabilities(vectors[-1][part, : len(head.coefficients)], count)
        logarithms[part] = np.take_along_axis(every, np.maximum(codes[part], 0), axis=1)
    return np.where(codes >= 0, logarithms, np.float32(0))


def _arrays(blocks: Sequence[Block]) -> tuple[list[RowsLike], BoolArray]:
    # Text scores are fitted to labels themselves, and are weighed beside what is learned here.
    blocks = [block for block in blocks if block.name != SCORES]
    present = np.stack([block.present for block in blocks], axis=1)
    return [block.vectors for block in blocks], present
