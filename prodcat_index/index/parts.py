"""What an index consists of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.codes import NO_CODE, encode
from prodcat_index.encoders.base import BoolArray, FloatArray
from prodcat_index.index.block import Block
from prodcat_index.index.flat import flat_index
from prodcat_index.index.fusion import weight_vector
from prodcat_index.index.learned import LearnedBlock
from prodcat_index.index.manifest import LEARNED, GrowthRecord, Manifest
from prodcat_index.index.neighbours import IntArray, SearchSpace
from prodcat_index.voting.calibration import Calibration
from prodcat_index.voting.tuning import Tuning
from prodcat_index.voting.vote import VoteParameters

UNLABELLED = NO_CODE
REFERENCES = 1000


@dataclass(frozen=True)
class Labels:
    """The categories of the cards as numbers.

    Attributes
    ----------
    names
        The C categories, sorted.
    codes
        int64, shape (N,): position in ``names``; -1 for an unlabelled card.
    keys
        The shop's own key of each category, or an empty string.
    """

    names: tuple[str, ...]
    codes: IntArray
    keys: tuple[str, ...]

    @classmethod
    def of(cls, catalogue: Catalogue) -> Labels:
        """Return the labels of a catalogue, its categories numbered."""
        categories = catalogue.values("category")
        named = zip(categories, catalogue.values("category_id"), strict=True)
        keys = {category: key for category, key in named if key}
        names = tuple(sorted(set(categories) - {""}))
        return cls(names, encode(categories), tuple(keys.get(name, "") for name in names))

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """int64, shape (C,): cards of each category."""
        return np.bincount(self.codes[self.labelled], minlength=len(self.names)).astype(np.int64)

    @cached_property
    def labelled(self) -> BoolArray:
        """bool, shape (N,): which cards have a category."""
        return self.codes != UNLABELLED


@dataclass(frozen=True)
class IndexParts:
    """The pieces that an index folder stores.

    Attributes
    ----------
    catalogue
        The cards, row by row as in every array here.
    blocks
        The embeddings.
    weights
        Block name -> weight, summing to 1.
    vote
        How neighbours vote.
    learned
        All blocks projected into one; None where nothing was learned.
    faiss_index
        Inner-product index over the fused rows of the blocks named in `covered`; None before
        there is one.
    covered
        Names of the blocks that `faiss_index` is made of.
    tuning
        How the weights and the vote were found; None where they were given.
    calibration
        How far votes with these weights can be trusted; None where that is not known.
    growth
        What was added since the index was built; None where nothing was.
    opened
        The manifest that the parts were read by, or that those they were made of were; None
        where they never were in a folder.
    """

    catalogue: Catalogue
    blocks: Sequence[Block]
    weights: Mapping[str, float]
    vote: VoteParameters
    faiss_index: Any = None
    covered: Sequence[str] = ()
    learned: LearnedBlock | None = None
    tuning: Tuning | None = None
    calibration: Calibration | None = None
    growth: GrowthRecord | None = None
    opened: Manifest | None = None

    @cached_property
    def labels(self) -> Labels:
        """The cards' categories."""
        return Labels.of(self.catalogue)

    @cached_property
    def space(self) -> SearchSpace:
        """What a search reads."""
        covered = [self.block_names.index(name) for name in self.covered]
        return search_space(self.catalogue, self.all_blocks, self.faiss_index, covered)

    @property
    def all_blocks(self) -> list[Block | LearnedBlock]:
        """The blocks and, last, the learned one where there is one."""
        return [*self.blocks, *([self.learned] if self.learned else [])]

    @property
    def block_names(self) -> list[str]:
        """Names of all blocks, in order."""
        return [block.name for block in self.all_blocks]

    def weighed(self, weights: Mapping[str, float]) -> IndexParts:
        """Return these parts with other weights of their blocks; those not named weigh nothing."""
        named = {name: float(weights.get(name, 0.0)) for name in self.block_names}
        return replace(self, weights=named)

    def weight_vector(self, weights: Mapping[str, float] | None) -> npt.NDArray[np.float64]:
        """Return weights of modalities or blocks as one number a block.

        Parameters
        ----------
        weights
            Modality or block -> weight; a modality's is shared among its blocks. Those of the
            index by default.

        Returns
        -------
        numpy.ndarray
            float64, shape (B,), summing to 1.

        Raises
        ------
        QueryError
            If a name is unknown, or a weight is not a share.
        """
        expanded: dict[str, float] = {}
        for name, weight in (self.weights if weights is None else weights).items():
            of_modality = [b.name for b in self.blocks if b.modality == name] or [name]
            for block in of_modality:
                expanded[block] = expanded.get(block, 0.0) + weight / len(of_modality)
        return weight_vector(expanded, self.block_names)

    def weighed_modalities(self, weights: Mapping[str, float] | None) -> list[str]:
        """List the modalities that weights let have a say.

        Parameters
        ----------
        weights
            As for :meth:`weight_vector`; what is learned reads all modalities.
        """
        blocks = zip(self.all_blocks, self.weight_vector(weights), strict=True)
        weighed = dict.fromkeys(block.modality for block, weight in blocks if weight)
        return self.modalities if LEARNED in weighed else list(weighed)

    def indexed(self) -> IndexParts:
        """Return these parts with a FAISS index of the blocks that are weighed, and of no other."""
        weighed = [name for name in self.block_names if self.weights[name] > 0]
        if list(self.covered) == weighed and self.faiss_index is not None:
            return self
        chosen = [block for block in self.all_blocks if block.name in weighed]
        present = np.stack([block.present for block in chosen], axis=1)
        index = flat_index([block.vectors for block in chosen], present)
        return replace(self, faiss_index=index, covered=tuple(weighed))

    def with_learned(
        self, vectors: Sequence[FloatArray], present: BoolArray
    ) -> tuple[list[FloatArray], BoolArray]:
        """Add what is learned to the blocks of queries.

        Parameters
        ----------
        vectors
            B float32 arrays of shape (n, dim of the block): centred unit rows, zeros where absent.
        present
            bool, shape (n, B).

        Returns
        -------
        tuple
            Arrays and columns for all blocks; those that are given where nothing is learned.
        """
        if self.learned is None:
            return list(vectors), present
        rows, known = self.learned.learner.query_rows(vectors, present)
        return [*vectors, rows], np.column_stack([present, known])

    @property
    def modalities(self) -> list[str]:
        """Modalities that are embedded, in order."""
        return list(dict.fromkeys(block.modality for block in self.blocks))


def search_space(
    catalogue: Catalogue,
    blocks: Sequence[Block | LearnedBlock],
    faiss_index: Any,
    covered: Sequence[int] | None = None,
) -> SearchSpace:
    """Gather what a search reads.

    Parameters
    ----------
    catalogue, blocks, faiss_index
        As in :class:`IndexParts`.
    covered
        Numbers of the blocks that the FAISS index is made of; all by default.
    """
    ids = catalogue.ids
    by_id = sorted(range(len(ids)), key=ids.__getitem__)
    order = np.empty(len(by_id), dtype=np.int64)
    order[by_id] = np.arange(len(by_id))
    return SearchSpace(
        faiss_index=faiss_index,
        blocks=[block.vectors for block in blocks],
        present=np.stack([block.present for block in blocks], axis=1),
        references=[reference_rows(block.present) for block in blocks],
        order=order,
        covered=covered,
    )


def reference_rows(present: BoolArray) -> IntArray:
    """Choose evenly spaced cards among those that have a block, if any card lacks it.

    Parameters
    ----------
    present
        bool, shape (N,): which cards have the block.
    """
    having = np.flatnonzero(present)
    if len(having) == len(present):
        return having[:0]
    places = np.linspace(0, len(having) - 1, min(len(having), REFERENCES))
    return having[places.astype(np.int64)]
