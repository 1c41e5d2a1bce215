"""The learned block: all blocks of a card projected into one, in which categories are apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from prodcat_index.encoders.base import BoolArray
from prodcat_index.index.block import Block
from prodcat_index.index.manifest import LEARNED
from prodcat_index.learning.projection import Projection, fit_projection

ProjectionKind = Literal["lda", "none"]


@dataclass(frozen=True)
class LearnedBlock:
    """The projected cards, and what projects queries.

    Attributes
    ----------
    projection
        From all other blocks into this one.
    vectors
        float16, shape (N, d): unit rows, zeros where a card has no block.
    present
        bool, shape (N,).
    """

    projection: Projection
    vectors: npt.NDArray[np.float16]
    present: BoolArray
    name: str = LEARNED
    modality: str = LEARNED

    @property
    def dim(self) -> int:
        """Length d of a row."""
        return self.projection.dim


def learn(blocks: Sequence[Block], codes: npt.NDArray[np.int64]) -> LearnedBlock | None:
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
    projection = fit_on_cards(blocks, codes)
    return None if projection is None else project_cards(projection, blocks)


def fit_on_cards(blocks: Sequence[Block], codes: npt.NDArray[np.int64]) -> Projection | None:
    """Learn a projection from labelled cards.

    Parameters
    ----------
    blocks, codes
        As for :func:`learn`.
    """
    return fit_projection(*_arrays(blocks), codes)


def project_cards(projection: Projection, blocks: Sequence[Block]) -> LearnedBlock:
    """Project all cards by what was learned from some of them.

    Parameters
    ----------
    projection
        Learned from blocks like these.
    blocks
        Of N cards.
    """
    rows, known = projection.project(*_arrays(blocks))
    return LearnedBlock(projection, rows.astype(np.float16), known)


def _arrays(blocks: Sequence[Block]) -> tuple[list[npt.NDArray[np.float16]], BoolArray]:
    present = np.stack([block.present for block in blocks], axis=1)
    return [block.vectors for block in blocks], present
