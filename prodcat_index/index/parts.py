"""What an index consists of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import Catalogue
from prodcat_index.encoders.base import BoolArray
from prodcat_index.index.block import Block
from prodcat_index.index.neighbours import IntArray, SearchSpace
from prodcat_index.voting.tuning import Tuning
from prodcat_index.voting.vote import VoteParameters

UNLABELLED = -1
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
        code = {name: position for position, name in enumerate(names)}
        codes = np.array([code.get(c, UNLABELLED) for c in categories], dtype=np.int64)
        return cls(names, codes, tuple(keys.get(name, "") for name in names))

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
    faiss_index
        Inner-product index over the fused blocks.
    tuning
        How the weights and the vote were found; None where they were given.
    """

    catalogue: Catalogue
    blocks: Sequence[Block]
    weights: Mapping[str, float]
    vote: VoteParameters
    faiss_index: Any
    tuning: Tuning | None = None

    @cached_property
    def labels(self) -> Labels:
        """The cards' categories."""
        return Labels.of(self.catalogue)

    @cached_property
    def space(self) -> SearchSpace:
        """What a search reads."""
        return search_space(self.catalogue, self.blocks, self.faiss_index)

    @property
    def block_names(self) -> list[str]:
        """Names of the blocks, in order."""
        return [block.name for block in self.blocks]

    @property
    def modalities(self) -> list[str]:
        """Modalities that are embedded, in order."""
        return list(dict.fromkeys(block.modality for block in self.blocks))


def search_space(catalogue: Catalogue, blocks: Sequence[Block], faiss_index: Any) -> SearchSpace:
    """Gather what a search reads.

    Parameters
    ----------
    catalogue, blocks, faiss_index
        As in :class:`IndexParts`.
    """
    ids = catalogue.ids
    by_id = sorted(range(len(ids)), key=ids.__getitem__)
    order = np.empty(len(by_id), dtype=np.int64)
    order[by_id] = np.arange(len(by_id))
    return SearchSpace(
        faiss_index=faiss_index,
        blocks=[block.vectors for block in blocks],
        present=np.stack([block.present for block in blocks], axis=1),
        references=[_references(block.present) for block in blocks],
        order=order,
    )


def _references(present: BoolArray) -> IntArray:
    """Choose evenly spaced cards among those that have a block, if any card lacks it."""
    having = np.flatnonzero(present)
    if len(having) == len(present):
        return having[:0]
    places = np.linspace(0, len(having) - 1, min(len(having), REFERENCES))
    return having[places.astype(np.int64)]
