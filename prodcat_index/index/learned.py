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
from prodcat_index.learning.head import LinearHead, fit_head
from prodcat_index.learning.projection import Projection, fit_projection

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
    """

    projection: Projection
    head: LinearHead | None

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
        float16, shape (N, d): unit rows, zeros where a card has no block.
    present
        bool, shape (N,).
    """

    learner: Learner
    vectors: npt.NDArray[np.float16]
    present: BoolArray
    name: str = LEARNED
    modality: str = LEARNED

    @property
    def projection(self) -> Projection:
        """From all other blocks into this one."""
        return self.learner.projection

    @property
    def dim(self) -> int:
        """Length d of a row."""
        return self.projection.dim


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
    """Learn a projection, and a head over what it projects, from labelled cards.

    Parameters
    ----------
    blocks, codes
        As for :func:`learn`.
    """
    vectors, present = _arrays(blocks)
    projection = fit_projection(vectors, present, codes)
    if projection is None:
        return None
    rows, _ = projection.project(vectors, present)
    return Learner(projection, fit_head(rows, codes))


def project_cards(learner: Learner, blocks: Sequence[Block]) -> LearnedBlock:
    """Project all cards by what was learned from some of them.

    Parameters
    ----------
    learner
        Learned from blocks like these.
    blocks
        Of N cards.
    """
    rows, known = learner.projection.project(*_arrays(blocks))
    return LearnedBlock(learner, rows.astype(np.float16), known)


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
        every = head.log_probabilities(vectors[-1][part], count)
        logarithms[part] = np.take_along_axis(every, np.maximum(codes[part], 0), axis=1)
    return np.where(codes >= 0, logarithms, np.float32(0))


def _arrays(blocks: Sequence[Block]) -> tuple[list[npt.NDArray[np.float16]], BoolArray]:
    present = np.stack([block.present for block in blocks], axis=1)
    return [block.vectors for block in blocks], present
