"""Every card of an index as a query to the others, its kin left out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from prodcat_index.cards.card import IMAGE
from prodcat_index.cards.codes import encode, join_codes
from prodcat_index.encoders.base import BoolArray, FloatArray
from prodcat_index.encoders.registry import make_encoder
from prodcat_index.errors import QueryError
from prodcat_index.index.block import Block, build_block
from prodcat_index.index.learned import (
    LearnedBlock,
    Learner,
    as_queries,
    fit_on_cards,
    project_cards,
)
from prodcat_index.index.neighbours import IntArray
from prodcat_index.index.parts import UNLABELLED, IndexParts, search_space
from prodcat_index.index.pooling import Asking, Weights, collect_pool
from prodcat_index.voting.pool import Pool, join_pools

FEWEST_CARDS = 20
# Cosine of two pictures from which they count as one: the same file, or as good as.
SAME_PICTURE = 0.99
# A picture that cards of more categories than this share is a placeholder, and says nothing.
PLACEHOLDER_CATEGORIES = 5
# What is fitted is fitted so many times, each time without the cards that then ask.
FOLDS = 5
# The fewer cards there are, the more does a fold miss those that ask with it.
FOLDS_OF_FEW_CARDS = 10
# In a large catalogue, one card more or less changes nothing about an encoder of words.
REFITTED_CARDS = 3000


@dataclass(frozen=True)
class LeaveOneOut:
    """Labelled cards of an index that ask the others for their categories.

    Attributes
    ----------
    parts
        The index of N cards.
    kin
        int64, shape (N,), from :func:`kin_of`.
    rows
        int64, shape (n,): the cards that ask.
    fold
        int64, shape (N,): which cards ask together where something is fitted, kin together; -1
        for those that never do.
    """

    parts: IndexParts
    kin: IntArray
    rows: IntArray
    fold: IntArray

    @classmethod
    def of(cls, parts: IndexParts, sample: int, rng: np.random.Generator) -> LeaveOneOut:
        """Draw the cards that ask.

        Parameters
        ----------
        parts
            The index.
        sample
            At most so many.
        rng
            Draws them, and the folds.

        Raises
        ------
        QueryError
            If fewer than 20 labelled cards have anything to compare.
        """
        rows = _askers(parts, sample, rng)
        kin = kin_of(parts)
        return cls(parts, kin, rows, _deal(kin, rows, rng))

    def select(self, positions: IntArray) -> LeaveOneOut:
        """Return only some of the cards that ask."""
        chosen = replace(self, rows=self.rows[positions])
        # Cached properties live in the dictionary: nothing is fitted twice.
        vars(chosen).update({name: kept for name, kept in vars(self).items() if name == "_fitted"})
        return chosen

    def collect(self, directions: Sequence[Weights], depth: int, label: str = "") -> Pool:
        """Collect the candidates of every card that asks.

        Parameters
        ----------
        directions, depth, label
            As for :func:`~prodcat_index.index.pooling.collect_pool`.
        """
        if not (self.parts.learned or self._is_refitted):
            everybody = np.arange(len(self.rows))
            asking = self._asking(everybody, self.parts.blocks)
            return collect_pool(
                self.parts.space, self.parts.labels.codes, asking, directions, depth, label
            )
        turns = [np.flatnonzero(self.fold[self.rows] == fold) for fold in self._folds]
        taken = [(fold, places) for fold, places in enumerate(turns) if len(places)]
        pools = [self._collect(f, places, directions, depth, label) for f, places in taken]
        return join_pools(pools, [places for _, places in taken])

    def _collect(
        self,
        fold: int,
        places: IntArray,
        directions: Sequence[Weights],
        depth: int,
        label: str,
    ) -> Pool:
        """Let one fold ask the others, by what was fitted on these."""
        codes, blocks = self._codes_without(fold), self._blocks_without(fold)
        space = search_space(self.parts.catalogue, blocks, None)
        asking = self._asking(places, blocks)
        pool = collect_pool(space, codes, asking, directions, depth, label)
        return replace(pool, sizes=self.parts.labels.sizes)

    def _asking(self, places: IntArray, blocks: Sequence[Block | LearnedBlock]) -> Asking:
        rows, codes, kin = self.rows[places], self.parts.labels.codes, self.kin
        present = np.stack([block.present for block in blocks], axis=1)
        pictures = [b for b, block in enumerate(blocks) if block.modality == IMAGE][:1]
        learners = [block.learner for block in blocks if isinstance(block, LearnedBlock)]

        def hide(chosen: IntArray, cards: IntArray, similarities: FloatArray) -> BoolArray:
            hidden: BoolArray = kin[rows[chosen], None] == kin[cards]
            for b in pictures:
                compared = present[rows[chosen], b, None] & present[cards, b]
                hidden |= _same_picture(similarities[b], compared, codes[cards])
            return hidden

        return Asking(
            vectors=[as_queries(block, rows) for block in blocks],
            present=present[rows],
            true=codes[rows],
            hide=hide,
            learner=learners[0] if learners else None,
        )

    def _codes_without(self, fold: int) -> IntArray:
        return np.where(self.fold == fold, UNLABELLED, self.parts.labels.codes)

    @property
    def _is_refitted(self) -> bool:
        """Whether encoders are fitted again for each fold: where it matters, it is quick."""
        fitted = (not block.slot.load().cached for block in self.parts.blocks)
        return len(self.parts.catalogue) <= REFITTED_CARDS and any(fitted)

    def _blocks_without(self, fold: int) -> list[Block | LearnedBlock]:
        """Return all cards, embedded by what is fitted on the cards outside of a fold."""
        blocks, learner = self._fitted[fold]
        if self.parts.learned is None:
            return [*blocks]
        # Projected whenever they are needed: kept for every fold, they would fill the memory.
        learned = project_cards(learner, blocks) if learner else _nothing(self.parts.learned)
        return [*blocks, learned]

    @cached_property
    def _fitted(self) -> list[tuple[list[Block], Learner | None]]:
        return [self._fit_without(fold) for fold in self._folds]

    @property
    def _folds(self) -> range:
        return range(int(self.fold.max()) + 1)

    def _fit_without(self, fold: int) -> tuple[list[Block], Learner | None]:
        blocks = list(self.parts.blocks)
        if self._is_refitted:
            blocks = [self._refitted(block, self.fold != fold) for block in blocks]
        learned = self.parts.learned
        return blocks, fit_on_cards(blocks, self._codes_without(fold)) if learned else None

    def _refitted(self, block: Block, kept: BoolArray) -> Block:
        encoder = block.slot.load()
        if encoder.cached:
            return block
        values = self.parts.catalogue.values(block.modality)
        return build_block(
            block.name, block.modality, make_encoder(encoder.spec), values, kept=kept
        )


def _deal(kin: IntArray, rows: IntArray, rng: np.random.Generator) -> IntArray:
    """Deal cards into folds, kin together; few of many cards ask all at once."""
    if len(kin) > REFITTED_CARDS and len(rows) * FOLDS <= len(kin):
        return np.where(np.isin(kin, kin[rows]), 0, -1)
    folds = FOLDS_OF_FEW_CARDS if len(kin) <= REFITTED_CARDS else FOLDS
    return rng.integers(0, folds, int(kin.max()) + 1)[kin]


def _nothing(learned: LearnedBlock) -> LearnedBlock:
    return replace(
        learned, vectors=np.zeros_like(learned.vectors), present=np.zeros_like(learned.present)
    )


def kin_of(parts: IndexParts) -> IntArray:
    """Give cards that are variants of one product or have the same texts the same number.

    Parameters
    ----------
    parts
        Of an index of N cards.

    Returns
    -------
    numpy.ndarray
        int64, shape (N,).
    """
    catalogue = parts.catalogue
    texts = zip(*(catalogue.values(m) for m in catalogue.text_modalities), strict=True)
    joined = [" ".join(own).strip().casefold() for own in texts]
    return join_codes([encode(catalogue.values("group")), encode(joined)])


def _askers(parts: IndexParts, sample: int, rng: np.random.Generator) -> IntArray:
    """Draw labelled cards that have something to compare."""
    rows = np.flatnonzero(parts.labels.labelled & parts.space.present.any(axis=1))
    if len(rows) < FEWEST_CARDS:
        raise QueryError(
            f"Tuning needs at least {FEWEST_CARDS} labelled cards, and this index has {len(rows)}."
        )
    if len(rows) > sample:
        rows = np.sort(rng.choice(rows, sample, replace=False))
    return rows


def _same_picture(similarities: FloatArray, compared: BoolArray, codes: IntArray) -> BoolArray:
    same: BoolArray = (similarities >= SAME_PICTURE) & compared
    for row in np.flatnonzero(same.sum(axis=1) > PLACEHOLDER_CATEGORIES):
        if len(np.unique(codes[same[row]])) > PLACEHOLDER_CATEGORIES:
            same[row] = False
    return same
