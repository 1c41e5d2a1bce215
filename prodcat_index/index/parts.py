"""The parts that an index consists of, and listings as its queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from prodcat_index.cards.card import Card, Catalogue
from prodcat_index.cards.duplicates import encode
from prodcat_index.errors import QueryError
from prodcat_index.index.block import Block
from prodcat_index.index.fusion import weight_vector
from prodcat_index.index.learned import LearnedBlock
from prodcat_index.index.manifest import LEARNED, DriftRecord, Manifest
from prodcat_index.index.search import FlatSearcher, SearchSpace
from prodcat_index.types import MISSING, BoolArray, Float32Array, Float64Array, Int64Array
from prodcat_index.voting.calibration import Calibration
from prodcat_index.voting.tuning import Tuning
from prodcat_index.voting.vote import VoteParameters

Listings = Catalogue | Sequence[Card]


@dataclass(frozen=True)
class Labels:
    """The categories of the cards as numbers."""

    names: tuple[str, ...]  # the C categories, sorted
    codes: Int64Array  # (N,): position in names, MISSING for an unlabelled card
    keys: tuple[str, ...]  # the shop's own key of each category, or empty

    @classmethod
    def from_catalogue(cls, catalogue: Catalogue) -> Labels:
        """Give numbers to the categories of a catalogue."""
        categories = catalogue.values("category")
        named = zip(categories, catalogue.values("category_id"), strict=True)
        keys = {category: key for category, key in named if key}
        names = tuple(sorted(set(categories) - {""}))
        return cls(names, encode(categories), tuple(keys.get(name, "") for name in names))

    @cached_property
    def sizes(self) -> Int64Array:
        """Number of cards of each category: (C,)."""
        return np.bincount(self.codes[self.labelled], minlength=len(self.names)).astype(np.int64)

    @cached_property
    def labelled(self) -> BoolArray:
        """Mask of the cards that have a category: (N,)."""
        return self.codes != MISSING


class Queries(NamedTuple):
    """Embedded listings in all B blocks of an index, the learned block last."""

    vectors: Sequence[Float32Array]  # one array a block, (n, dim): unit rows, zeros where absent
    present: BoolArray  # (n, B)
    parts: Sequence[Float32Array] = ()  # added by each block to the projected rows, not yet scaled


@dataclass(frozen=True)
class IndexParts:
    """What an index folder stores. Row i is the same card in every part."""

    catalogue: Catalogue
    blocks: Sequence[Block]
    weights: Mapping[str, float]  # of all blocks by name, summing to 1
    vote: VoteParameters
    searcher: FlatSearcher | None = None  # None before it is built
    covered: Sequence[str] = ()  # names of the blocks that the searcher is made of
    learned: LearnedBlock | None = None
    tuning: Tuning | None = None  # None where weights and vote were given
    calibration: Calibration | None = None
    drift: DriftRecord | None = None  # None where no card was added since the index was built
    opened: Manifest | None = None  # of the folder that the parts, or their origin, were read from

    @cached_property
    def labels(self) -> Labels:
        """The cards' categories."""
        return Labels.from_catalogue(self.catalogue)

    @cached_property
    def order(self) -> Int64Array:
        """Place of each card when they are sorted by id: (N,)."""
        ids = self.catalogue.ids
        order = np.empty(len(ids), dtype=np.int64)
        order[sorted(range(len(ids)), key=ids.__getitem__)] = np.arange(len(ids))
        return order

    @cached_property
    def space(self) -> SearchSpace:
        """The arrays and the searcher that a search reads."""
        covered = [self.block_names.index(name) for name in self.covered]
        return replace(self.space_of(self.all_blocks), searcher=self.searcher, covered=covered)

    def space_of(self, blocks: Sequence[Block | LearnedBlock]) -> SearchSpace:
        """Return other blocks of these cards as a space without a searcher."""
        present = np.stack([block.present for block in blocks], axis=1)
        return SearchSpace(None, [block.vectors for block in blocks], present, self.order)

    @property
    def all_blocks(self) -> list[Block | LearnedBlock]:
        """The blocks and, last, the learned one where there is one."""
        return [*self.blocks, *([self.learned] if self.learned else [])]

    @property
    def block_names(self) -> list[str]:
        """Names of all blocks, in order."""
        return [block.name for block in self.all_blocks]

    @property
    def modalities(self) -> list[str]:
        """Modalities that are embedded, in order."""
        return list(dict.fromkeys(block.modality for block in self.blocks))

    def weighed(self, weights: Mapping[str, float]) -> IndexParts:
        """Return these parts with other weights of their blocks; those not named weigh nothing."""
        named = {name: float(weights.get(name, 0.0)) for name in self.block_names}
        return replace(self, weights=named)

    def weight_vector(self, weights: Mapping[str, float] | None) -> Float64Array:
        """Return weights of modalities or blocks, by default the index's own, as an array: (B,).

        The blocks of a modality share its weight.
        """
        expanded: dict[str, float] = {}
        for name, weight in (self.weights if weights is None else weights).items():
            of_modality = [b.name for b in self.blocks if b.modality == name] or [name]
            for block in of_modality:
                expanded[block] = expanded.get(block, 0.0) + weight / len(of_modality)
        return weight_vector(expanded, self.block_names)

    def weighed_modalities(self, weights: Mapping[str, float] | None) -> list[str]:
        """Return the modalities that count under some weights; the learned block reads them all."""
        blocks = zip(self.all_blocks, self.weight_vector(weights), strict=True)
        weighed = dict.fromkeys(block.modality for block, weight in blocks if weight)
        return self.modalities if LEARNED in weighed else list(weighed)

    def indexed(self) -> IndexParts:
        """Return these parts with a searcher of the blocks that are weighed, and of no other."""
        weighed = [name for name in self.block_names if self.weights[name] > 0]
        if list(self.covered) == weighed and self.searcher is not None:
            return self
        chosen = [block for block in self.all_blocks if block.name in weighed]
        present = np.stack([block.present for block in chosen], axis=1)
        searcher = FlatSearcher.build([block.vectors for block in chosen], present)
        return replace(self, searcher=searcher, covered=tuple(weighed))

    def encode(self, listings: Listings) -> Queries:
        """Embed listings in all blocks."""
        return self.with_learned(*encode_listings(self.blocks, listings))

    def with_learned(self, vectors: Sequence[Float32Array], present: BoolArray) -> Queries:
        """Complete queries, given in the encoders' blocks, by the learned block."""
        projection = self.learned and self.learned.model.projection
        parts = projection.parts(vectors, present) if projection else []
        return self._complete(vectors, present, parts)

    def without(self, queries: Queries, modality: str) -> Queries:
        """Return queries as if they lacked a modality. Nothing is projected again."""
        lacked = np.array([block.modality == modality for block in self.blocks])

        def zeroed(arrays: Sequence[Float32Array]) -> list[Float32Array]:
            pairs = zip(arrays, lacked, strict=False)
            return [np.zeros_like(array) if out else array for array, out in pairs]

        present = queries.present[:, : len(lacked)] & ~lacked
        return self._complete(zeroed(queries.vectors), present, zeroed(queries.parts))

    def _complete(
        self, vectors: Sequence[Float32Array], present: BoolArray, parts: Sequence[Float32Array]
    ) -> Queries:
        if self.learned is None:
            return Queries(vectors, present)
        rows, known = self.learned.model.query_rows(parts)
        return Queries([*vectors, rows], np.column_stack([present, known]), parts)


def check_comparable(parts: IndexParts, listings: Listings) -> None:
    """Check that some listing has something that the index embeds."""
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
    """Embed listings as the cards of an index were: arrays of (n, dim), and present, (n, B)."""
    label = "embedding {}" if len(listings) > 1 else ""
    encoded = [
        block.encode_queries(_values(listings, block.modality), label.format(block.name))
        for block in blocks
    ]
    return [e.vectors for e in encoded], np.stack([e.present for e in encoded], axis=1)


def _values(listings: Listings, modality: str) -> list[str]:
    if isinstance(listings, Catalogue):
        return listings.values(modality)
    return [card.value(modality) for card in listings]
