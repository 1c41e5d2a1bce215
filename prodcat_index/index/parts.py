"""What an index consists of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import Card, Catalogue
from prodcat_index.cards.codes import encode
from prodcat_index.errors import QueryError
from prodcat_index.index.block import Block
from prodcat_index.index.fusion import weight_vector
from prodcat_index.index.learned import LearnedBlock
from prodcat_index.index.manifest import LEARNED, DriftRecord, Manifest
from prodcat_index.index.search import SearchSpace, flat_index
from prodcat_index.types import MISSING, BoolArray, Float32Array, Int64Array, evenly_spaced
from prodcat_index.voting.calibration import Calibration
from prodcat_index.voting.tuning import Tuning
from prodcat_index.voting.vote import VoteParameters

UNLABELLED = MISSING
REFERENCES = 1000


@dataclass(frozen=True)
class Labels:
    """The categories of the cards as numbers."""

    names: tuple[str, ...]
    codes: Int64Array
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
    """The pieces that an index folder stores."""

    catalogue: Catalogue
    blocks: Sequence[Block]
    weights: Mapping[str, float]
    vote: VoteParameters
    faiss_index: Any = None
    covered: Sequence[str] = ()
    learned: LearnedBlock | None = None
    tuning: Tuning | None = None
    calibration: Calibration | None = None
    drift: DriftRecord | None = None
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
        """Return weights of modalities or blocks as one number a block."""
        expanded: dict[str, float] = {}
        for name, weight in (self.weights if weights is None else weights).items():
            of_modality = [b.name for b in self.blocks if b.modality == name] or [name]
            for block in of_modality:
                expanded[block] = expanded.get(block, 0.0) + weight / len(of_modality)
        return weight_vector(expanded, self.block_names)

    def weighed_modalities(self, weights: Mapping[str, float] | None) -> list[str]:
        """List the modalities that weights let have a say."""
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
        self, vectors: Sequence[Float32Array], present: BoolArray
    ) -> tuple[list[Float32Array], BoolArray]:
        """Add what is learned to the blocks of queries."""
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
    """Gather what a search reads."""
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


def reference_rows(present: BoolArray) -> Int64Array:
    """Choose evenly spaced cards among those that have a block, if any card lacks it."""
    having = np.flatnonzero(present)
    if len(having) == len(present):
        return having[:0]
    return having[evenly_spaced(len(having), REFERENCES)]


Listings = Catalogue | Sequence[Card]


def check_comparable(parts: IndexParts, listings: Listings) -> None:
    """Refuse listings that have nothing that an index embeds."""
    if len(listings) == 0:
        raise QueryError("There is no listing to look up.")
    if not any(any(_values(listings, modality)) for modality in parts.modalities):
        raise QueryError(
            f"This index embeds {', '.join(parts.modalities)}, and the query has none of "
            "these; give one of them, or build an index with what it has."
        )


def encode_listings(
    blocks: Sequence[Block], listings: Listings
) -> tuple[list[Float32Array], BoolArray]:
    """Embed listings as the cards of an index were."""
    label = "embedding {}" if len(listings) > 1 else ""
    encoded = [
        block.encode_queries(_values(listings, block.modality), label.format(block.name))
        for block in blocks
    ]
    return [e.vectors for e in encoded], np.stack([e.present for e in encoded], axis=1)


def without_modality(
    modality: str, blocks: Sequence[Block], vectors: Sequence[Float32Array], present: BoolArray
) -> tuple[list[Float32Array], BoolArray]:
    """Return embedded listings as if they lacked a modality."""
    lacked = np.array([block.modality == modality for block in blocks])
    kept = [np.zeros_like(rows) if out else rows for rows, out in zip(vectors, lacked, strict=True)]
    return kept, present & ~lacked


def listing_ids(listings: Listings) -> list[str]:
    """Return the ids of listings, in their order."""
    return listings.ids if isinstance(listings, Catalogue) else [card.id for card in listings]


def _values(listings: Listings, modality: str) -> list[str]:
    if isinstance(listings, Catalogue):
        return listings.values(modality)
    return [card.value(modality) for card in listings]
