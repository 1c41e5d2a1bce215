"""Every card of an index as a query to the others, its group left out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import IMAGE
from prodcat_index.cards.codes import encode, join_codes
from prodcat_index.encoders.registry import make_encoder
from prodcat_index.errors import QueryError
from prodcat_index.index.block import Block, build_block
from prodcat_index.index.fusion import effective_weights
from prodcat_index.index.learned import (
    FittedModel,
    LearnedBlock,
    as_queries,
    fit_on_cards,
    head_log_proba,
    project_cards,
)
from prodcat_index.index.parts import UNLABELLED, IndexParts, search_space
from prodcat_index.index.search import SearchSpace
from prodcat_index.progress import progress_bar
from prodcat_index.types import BoolArray, Float32Array, Float64Array, Int64Array
from prodcat_index.voting.pool import Pool, join_pools

QUERIES_AT_ONCE = 128
ROWS_AT_ONCE = 8192
# The more groups of cards, the closer the bound below which none of them is looked at.
GROUPS_FOR_EACH = 8
_Number = TypeVar("_Number", np.float32, np.int64)
Hide = Callable[[Int64Array, Int64Array, Float32Array], BoolArray]


@dataclass(frozen=True)
class LabelledQueries:
    """Queries whose categories are known."""

    vectors: Sequence[Float32Array]
    present: BoolArray
    true: Int64Array
    hide: Hide
    learner: FittedModel | None = None

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.true)

    def select(self, rows: Int64Array) -> LabelledQueries:
        """Return these queries only."""
        return LabelledQueries(
            vectors=[block[rows] for block in self.vectors],
            present=self.present[rows],
            true=self.true[rows],
            hide=lambda chosen, cards, similarities: self.hide(rows[chosen], cards, similarities),
            learner=self.learner,
        )


def collect_pool(
    space: SearchSpace,
    codes: Int64Array,
    asking: LabelledQueries,
    directions: Sequence[Float64Array],
    depth: int,
    label: str = "",
) -> Pool:
    """Collect, for each query, the nearest labelled cards under each of some weights."""
    rows = _in_order_of_ids(np.flatnonzero(codes >= 0), space.order)
    cards = [_single_precision(block, rows) for block in space.blocks]
    lacking = ~space.present[rows]
    expected = space.expected_similarities(asking.vectors)
    depth = min(depth, len(rows))
    parts: list[tuple[npt.NDArray[np.float32], Int64Array]] = []
    # Used again and again: fresh memory of such a size costs more time than the products.
    room = np.empty((len(cards), QUERIES_AT_ONCE, len(rows)), dtype=np.float32)
    with progress_bar(len(asking), label) as bar:
        for chunk in _chunks(len(asking)):
            similarities = room[:, : len(chunk)]
            for b, found in enumerate(similarities):
                np.matmul(asking.vectors[b][chunk], cards[b].T, out=found)
                found[:, lacking[:, b]] = expected[chunk, b, None]
            hidden = asking.hide(chunk, rows, similarities)
            shared = [effective_weights(w, asking.present[chunk]) for w in directions]
            picked = _pick(similarities, hidden, np.stack(shared, axis=1), depth)
            parts.append((_take(similarities, picked), picked))
            bar.update(len(chunk))
    picked = _stack([part[1] for part in parts], -1)
    categories = np.where(picked >= 0, codes[rows][picked], -1)
    return Pool(
        similarities=_stack([part[0] for part in parts], 0),
        categories=categories.astype(np.int32),
        present=asking.present,
        true=asking.true,
        sizes=np.bincount(codes[rows]),
        head_log_proba=head_log_proba(asking.learner, asking.vectors, categories),
    )


def _in_order_of_ids(rows: Int64Array, order: Int64Array) -> Int64Array:
    sorted_rows: Int64Array = rows[np.argsort(order[rows])]
    return sorted_rows


def _single_precision(block: npt.NDArray[np.floating], rows: Int64Array) -> Float32Array:
    """Copy some rows, few at once: whole, they would for a moment be in memory twice."""
    copied = np.empty((len(rows), block.shape[1]), dtype=np.float32)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        piece = slice(start, start + ROWS_AT_ONCE)
        copied[piece] = block[rows[piece]]
    return copied


def _chunks(n: int) -> list[Int64Array]:
    return [np.arange(i, min(i + QUERIES_AT_ONCE, n)) for i in range(0, n, QUERIES_AT_ONCE)]


def _pick(
    similarities: Float32Array, hidden: BoolArray, directions: Float64Array, depth: int
) -> Int64Array:
    """Return the nearest visible cards of each query under any direction: rising, then -1."""
    nowhere = similarities.shape[2]
    picked = np.full((*directions.shape[:2], depth), nowhere, dtype=np.int64)
    for query, direction in np.argwhere(directions.any(axis=2)):
        total = directions[query, direction].astype(np.float32) @ similarities[:, query]
        total[hidden[query]] = -np.inf
        near = _nearest(total, depth)
        picked[query, direction, : len(near)] = near
    together = np.sort(picked.reshape(len(picked), -1), axis=1)
    together[:, 1:][together[:, 1:] == together[:, :-1]] = nowhere
    together.sort(axis=1)
    widest = int((together < nowhere).sum(axis=1).max())
    return np.where(together < nowhere, together, -1)[:, : max(1, widest)]


def _nearest(similarities: Float32Array, depth: int) -> Int64Array:
    """Return the places of the ``depth`` largest finite values, of equal ones the first."""
    near = np.flatnonzero(similarities >= _bound(similarities, depth))
    nearest: Int64Array = near[np.argsort(-similarities[near], kind="stable")[:depth]]
    return nearest


def _bound(similarities: Float32Array, depth: int) -> np.float32:
    """Return a finite value that the ``depth`` largest finite ones reach, in time for one look."""
    groups = min(len(similarities), GROUPS_FOR_EACH * depth)
    dealt = similarities[: len(similarities) // groups * groups].reshape(-1, groups)
    bound = np.partition(dealt.max(axis=0), groups - depth)[groups - depth]
    return np.maximum(bound, np.finfo(np.float32).min)


def _take(similarities: Float32Array, picked: Int64Array) -> npt.NDArray[np.float32]:
    taken = np.take_along_axis(similarities, picked[None], axis=2)
    return np.ascontiguousarray(np.moveaxis(taken, 0, 2))


def _stack(parts: Sequence[npt.NDArray[_Number]], padding: int) -> npt.NDArray[_Number]:
    """Put parts of different widths below each other."""
    width = max(part.shape[1] for part in parts)
    shape = (sum(map(len, parts)), width, *parts[0].shape[2:])
    whole = np.full(shape, padding, dtype=parts[0].dtype)
    start = 0
    for part in parts:
        whole[start : start + len(part), : part.shape[1]] = part
        start += len(part)
    return whole


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
    """Labelled cards of an index that ask the others for their categories."""

    parts: IndexParts
    groups: Int64Array
    rows: Int64Array
    fold: Int64Array

    @classmethod
    def of(cls, parts: IndexParts, sample: int, rng: np.random.Generator) -> LeaveOneOut:
        """Draw the cards that ask."""
        rows = _sample_queries(parts, sample, rng)
        groups = leave_out_groups(parts)
        return cls(parts, groups, rows, _assign_folds(groups, rows, rng))

    def select(self, positions: Int64Array) -> LeaveOneOut:
        """Return only some of the cards that ask."""
        chosen = replace(self, rows=self.rows[positions])
        # Cached properties live in the dictionary: nothing is fitted twice.
        vars(chosen).update({name: kept for name, kept in vars(self).items() if name == "_fitted"})
        return chosen

    def collect(self, directions: Sequence[Float64Array], depth: int, label: str = "") -> Pool:
        """Collect the candidates of every card that asks."""
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
        places: Int64Array,
        directions: Sequence[Float64Array],
        depth: int,
        label: str,
    ) -> Pool:
        """Let one fold ask the others, by what was fitted on these."""
        codes, blocks = self._codes_without(fold), self._blocks_without(fold)
        space = search_space(self.parts.catalogue, blocks, None)
        asking = self._asking(places, blocks)
        pool = collect_pool(space, codes, asking, directions, depth, label)
        return replace(pool, sizes=self.parts.labels.sizes)

    def _asking(
        self, places: Int64Array, blocks: Sequence[Block | LearnedBlock]
    ) -> LabelledQueries:
        rows, codes, groups = self.rows[places], self.parts.labels.codes, self.groups
        present = np.stack([block.present for block in blocks], axis=1)
        pictures = [b for b, block in enumerate(blocks) if block.modality == IMAGE][:1]
        learners = [block.learner for block in blocks if isinstance(block, LearnedBlock)]

        def hide(chosen: Int64Array, cards: Int64Array, similarities: Float32Array) -> BoolArray:
            hidden: BoolArray = groups[rows[chosen], None] == groups[cards]
            for b in pictures:
                compared = present[rows[chosen], b, None] & present[cards, b]
                hidden |= _same_picture(similarities[b], compared, codes[cards])
            return hidden

        return LabelledQueries(
            vectors=[as_queries(block, rows) for block in blocks],
            present=present[rows],
            true=codes[rows],
            hide=hide,
            learner=learners[0] if learners else None,
        )

    def _codes_without(self, fold: int) -> Int64Array:
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
    def _fitted(self) -> list[tuple[list[Block], FittedModel | None]]:
        return [self._fit_without(fold) for fold in self._folds]

    @property
    def _folds(self) -> range:
        return range(int(self.fold.max()) + 1)

    def _fit_without(self, fold: int) -> tuple[list[Block], FittedModel | None]:
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
        fresh = make_encoder(encoder.spec)
        return build_block(block.name, block.modality, fresh, values, kept)[0]


def _assign_folds(groups: Int64Array, rows: Int64Array, rng: np.random.Generator) -> Int64Array:
    """Deal cards into folds, groups kept together; few of many cards ask all at once."""
    if len(groups) > REFITTED_CARDS and len(rows) * FOLDS <= len(groups):
        return np.where(np.isin(groups, groups[rows]), 0, -1)
    folds = FOLDS_OF_FEW_CARDS if len(groups) <= REFITTED_CARDS else FOLDS
    return rng.integers(0, folds, int(groups.max()) + 1)[groups]


def _nothing(learned: LearnedBlock) -> LearnedBlock:
    return replace(
        learned, vectors=np.zeros_like(learned.vectors), present=np.zeros_like(learned.present)
    )


def leave_out_groups(parts: IndexParts) -> Int64Array:
    """Give cards that are variants of one product or have the same texts the same number."""
    catalogue = parts.catalogue
    texts = zip(*(catalogue.values(m) for m in catalogue.text_modalities), strict=True)
    joined = [" ".join(own).strip().casefold() for own in texts]
    return join_codes([encode(catalogue.values("group")), encode(joined)])


def _sample_queries(parts: IndexParts, sample: int, rng: np.random.Generator) -> Int64Array:
    """Draw labelled cards that have something to compare."""
    rows = np.flatnonzero(parts.labels.labelled & parts.space.present.any(axis=1))
    if len(rows) < FEWEST_CARDS:
        raise QueryError(
            f"Tuning needs at least {FEWEST_CARDS} labelled cards, and this index has {len(rows)}."
        )
    if len(rows) > sample:
        rows = np.sort(rng.choice(rows, sample, replace=False))
    return rows


def _same_picture(similarities: Float32Array, compared: BoolArray, codes: Int64Array) -> BoolArray:
    same: BoolArray = (similarities >= SAME_PICTURE) & compared
    for row in np.flatnonzero(same.sum(axis=1) > PLACEHOLDER_CATEGORIES):
        if len(np.unique(codes[same[row]])) > PLACEHOLDER_CATEGORIES:
            same[row] = False
    return same
