"""The learned block: all blocks of a card projected into one, in which categories are apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from prodcat_index.encoders.base import BoolArray, FloatArray
from prodcat_index.index.block import Block
from prodcat_index.index.manifest import LEARNED
from prodcat_index.learning.crowding import Crowding
from prodcat_index.learning.head import LinearHead, fit_head
from prodcat_index.learning.projection import Projection, Rows, fit_projection

ProjectionKind = Literal["lda", "none"]
IntArray = npt.NDArray[np.int64]
# Rows whose probabilities of all categories are in memory at a time.
ROWS_AT_ONCE = 4096


@dataclass(frozen=True)
class Learner:
    """What is learned from labelled cards.

    Attributes
    ----------
    projection
        From all other blocks into the learned one.
    head
        How probable each category is by a projected row; None where there are no two categories
        of rows that are not zero, and in indexes of format 1.
    crowding
        Takes half of how crowded it is around a card off its similarity; None where there are no
        two rows, and in indexes of format 1.
    """

    projection: Projection
    head: LinearHead | None
    crowding: Crowding | None

    @property
    def dim(self) -> int:
        """Length of a row: that of a projected one, and one for crowding."""
        return self.projection.dim + (self.crowding is not None)

    def card_rows(
        self, blocks: Sequence[Rows], present: BoolArray
    ) -> tuple[npt.NDArray[np.float16], BoolArray]:
        """Project cards.

        Parameters
        ----------
        blocks
            B arrays of shape (n, dim of the block): centred unit rows, zeros where absent.
        present
            bool, shape (n, B).

        Returns
        -------
        tuple
            float16, shape (n, dim): unit rows and, last, minus half of the crowding; zeros where
            a card has no block. And bool of shape (n,): which have one.
        """
        rows, known = self.projection.project(blocks, present)
        if self.crowding is None:
            return rows.astype(np.float16), known
        penalty = np.where(known, -self.crowding.of(rows) / 2, 0.0)
        return np.column_stack([rows, penalty]).astype(np.float16), known

    def query_rows(
        self, blocks: Sequence[FloatArray], present: BoolArray
    ) -> tuple[FloatArray, BoolArray]:
        """Project queries, as :meth:`card_rows` but float32 and ending in 1 for the crowding."""
        rows, known = self.projection.project(blocks, present)
        if self.crowding is None:
            return rows, known
        return np.column_stack([rows, known]).astype(np.float32), known

    def renumbered(self, codes: IntArray) -> Learner:
        """Return this under other category codes.

        Parameters
        ----------
        codes
            int64, shape (C,): the new code of each old one.
        """
        if self.head is None:
            return self
        head = replace(self.head, categories=codes[self.head.categories])
        return replace(self, head=head)


@dataclass(frozen=True)
class LearnedBlock:
    """The projected cards, and what projects queries.

    Attributes
    ----------
    learner
        What was learned.
    vectors
        float16, shape (N, dim), from :meth:`Learner.card_rows`.
    present
        bool, shape (N,).
    """

    learner: Learner
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


def as_queries(block: Block | LearnedBlock, rows: IntArray) -> FloatArray:
    """Return cards of a block as queries to the others.

    Parameters
    ----------
    block
        Of N cards.
    rows
        int64, shape (n,): their numbers.

    Returns
    -------
    numpy.ndarray
        float32, shape (n, dim of the block).
    """
    queries = block.vectors[rows].astype(np.float32)
    if isinstance(block, LearnedBlock) and block.learner.crowding:
        queries[:, -1] = block.present[rows]
    return queries


def learn(blocks: Sequence[Block], codes: IntArray) -> LearnedBlock | None:
    """Learn a projection from labelled cards and project all cards.

    Parameters
    ----------
    blocks
        Of N cards.
    codes
        int64, shape (N,): category codes; -1 for unlabelled cards.

    Returns
    -------
    LearnedBlock or None
        None where there are no two categories to tell apart.
    """
    learner = fit_on_cards(blocks, codes)
    return None if learner is None else project_cards(learner, blocks)


def fit_on_cards(blocks: Sequence[Block], codes: IntArray) -> Learner | None:
    """Learn a projection from labelled cards, and a head and crowding over what it projects.

    Parameters
    ----------
    blocks, codes
        As for :func:`learn`.
    """
    vectors, present = _arrays(blocks)
    projection = fit_projection(vectors, present, codes)
    if projection is None:
        return None
    rows, known = projection.project(vectors, present)
    return Learner(projection, fit_head(rows, codes), Crowding.among(rows[known & (codes >= 0)]))


def project_cards(learner: Learner, blocks: Sequence[Block]) -> LearnedBlock:
    """Project all cards by what was learned from some of them.

    Parameters
    ----------
    learner
        Learned from blocks like these.
    blocks
        Of N cards.
    """
    return LearnedBlock(learner, *learner.card_rows(*_arrays(blocks)))


def log_heads(
    learner: Learner | None, vectors: Sequence[FloatArray], codes: IntArray
) -> npt.NDArray[np.float32]:
    """Return the natural logarithm of how probable the head finds some categories.

    Parameters
    ----------
    learner
        Of the last block, if it is learned.
    vectors
        B float32 arrays of shape (n, dim of the block).
    codes
        int64, shape (n, k): category codes; -1 for none.

    Returns
    -------
    numpy.ndarray
        float32, shape (n, k); 0 for no category, and where there is no head.
    """
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
