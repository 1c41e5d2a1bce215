"""Labelled cards of an index as queries to its other cards, their own groups excluded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from prodcat_index.cards.card import Catalogue, modality_kind
from prodcat_index.cards.duplicates import find_groups
from prodcat_index.errors import QueryError
from prodcat_index.index.block import Block
from prodcat_index.index.fusion import effective_weights
from prodcat_index.index.learned import (
    FittedModel,
    LearnedBlock,
    as_queries,
    fit_on_cards,
    project_cards,
)
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.search import SearchSpace, order_by_id
from prodcat_index.learning.folds import assign_folds
from prodcat_index.progress import progress_bar
from prodcat_index.types import (
    MISSING,
    BoolArray,
    Float32Array,
    Float64Array,
    Int64Array,
    RowsLike,
    chunks,
)
from prodcat_index.voting.pool import Pool, join_pools, stack_padded

# Queries whose similarities with all cards are in memory at a time: 47 MB a block at 91k cards.
QUERIES_AT_ONCE = 128
ROWS_AT_ONCE = 8192
# Rows whose probabilities of all categories are in memory at a time.
HEAD_ROWS_AT_ONCE = 2048
# The more groups of cards, the closer the bound below which none of them is looked at.
GROUPS_FOR_EACH = 8
FEWEST_CARDS = 20
# Cosine of two pictures from which they count as one: the same file, or as good as.
SAME_PICTURE = 0.99
# A picture that cards of more categories than this share is a placeholder, and says nothing.
PLACEHOLDER_CATEGORIES = 5


@dataclass(frozen=True)
class LabelledQueries:
    """n queries whose categories are known."""

    vectors: Sequence[Float32Array]  # one array a block, (n, dim): unit rows, zeros where absent
    present: BoolArray  # (n, B)
    true: Int64Array  # (n,): category codes
    # (m queries, rows of M cards, their similarities (B, m, M)) -> the cards that each query must
    # not see: (m, M).
    exclude: Callable[[slice, Int64Array, Float32Array], BoolArray]
    # (vectors, category codes (n, k)) -> the linear head's log probability of these categories.
    head_log_proba: Callable[[Sequence[Float32Array], Int64Array], Float32Array] | None = None
    head_blocks: int = 1  # number of the last blocks whose weight decides how much the head counts

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.true)


def collect_pool(
    space: SearchSpace,
    codes: Int64Array,
    queries: LabelledQueries,
    directions: Sequence[Float64Array],
    depth: int,
    label: str = "",
    log_reliability: Float32Array | None = None,
) -> Pool:
    """Collect the `depth` nearest cards of each query under each of some weights, (B,).

    Cards whose code, (N,), is MISSING are no candidates. The reliability of cards is (N,).
    """
    labelled = np.flatnonzero(codes >= 0)
    # Of equally near cards the first are taken: those of the first ids.
    rows = labelled[order_by_id(space.ids(labelled))]
    cards = [_single_precision(block, rows) for block in space.blocks]
    absent = ~space.present[rows]
    expected = space.expected_similarities(queries.vectors)
    # Used again and again: fresh memory of such a size costs more time than the products.
    room = np.empty((len(cards), QUERIES_AT_ONCE, len(rows)), dtype=np.float32)
    similarities: list[Float32Array] = []
    places: list[Int64Array] = []
    with progress_bar(len(queries), label) as bar:
        for part in chunks(len(queries), QUERIES_AT_ONCE):
            near = room[:, : part.stop - part.start]
            for b, cosines in enumerate(near):
                np.matmul(queries.vectors[b][part], cards[b].T, out=cosines)
                cosines[:, absent[:, b]] = expected[part, b, None]
            excluded = queries.exclude(part, rows, near)
            shared = [effective_weights(w, queries.present[part]) for w in directions]
            picked = _pick(near, excluded, np.stack(shared, axis=1), min(depth, len(rows)))
            taken = np.take_along_axis(near, picked[None], axis=2)
            similarities.append(np.ascontiguousarray(np.moveaxis(taken, 0, 2)))
            places.append(picked)
            bar.update(len(picked))
    picked = stack_padded(places, MISSING)
    categories = np.where(picked >= 0, codes[rows][picked], MISSING)
    reliability = np.zeros(len(codes)) if log_reliability is None else log_reliability
    return Pool(
        similarities=stack_padded(similarities, 0),
        categories=categories.astype(np.int32),
        present=queries.present,
        true=queries.true,
        sizes=np.bincount(codes[rows]),
        head_log_proba=queries.head_log_proba(queries.vectors, categories)
        if queries.head_log_proba
        else np.zeros(categories.shape, dtype=np.float32),
        log_reliability=np.where(picked >= 0, reliability[rows][picked], 0.0).astype(np.float32),
        head_blocks=queries.head_blocks,
    )


def _single_precision(block: RowsLike, rows: Int64Array) -> Float32Array:
    """Copy some rows, few at once: whole, they would for a moment be in memory twice."""
    copied = np.empty((len(rows), block.shape[1]), dtype=np.float32)
    for part in chunks(len(rows), ROWS_AT_ONCE):
        copied[part] = block[rows[part]]
    return copied


def _pick(
    similarities: Float32Array, excluded: BoolArray, directions: Float64Array, depth: int
) -> Int64Array:
    """Return the places of the nearest cards of each query under any direction: rising, then -1.

    Similarities are (B, m, M), excluded (m, M), directions (m, D, B).
    """
    nowhere = similarities.shape[2]
    picked = np.full((*directions.shape[:2], depth), nowhere, dtype=np.int64)
    for query, direction in np.argwhere(directions.any(axis=2)):
        total = directions[query, direction].astype(np.float32) @ similarities[:, query]
        total[excluded[query]] = -np.inf
        near = _nearest(total, depth)
        picked[query, direction, : len(near)] = near
    together = np.sort(picked.reshape(len(picked), -1), axis=1)
    together[:, 1:][together[:, 1:] == together[:, :-1]] = nowhere
    together.sort(axis=1)
    widest = int((together < nowhere).sum(axis=1).max())
    return np.where(together < nowhere, together, MISSING)[:, : max(1, widest)]


def _nearest(similarities: Float32Array, depth: int) -> Int64Array:
    """Return the places of the `depth` largest finite values, of equal ones the first.

    Values are dealt into groups. Where `depth` groups have a maximum that reaches a bound, as
    many values do, so that only these are ordered.
    """
    groups = min(len(similarities), GROUPS_FOR_EACH * depth)
    dealt = similarities[: len(similarities) // groups * groups].reshape(-1, groups)
    bound = np.partition(dealt.max(axis=0), groups - depth)[groups - depth]
    near = np.flatnonzero(similarities >= np.maximum(bound, np.finfo(np.float32).min))
    nearest: Int64Array = near[np.argsort(-similarities[near], kind="stable")[:depth]]
    return nearest


@dataclass(frozen=True)
class LeaveOneOut:
    """Labelled cards of an index as queries to its other cards."""

    parts: IndexParts
    groups: Int64Array  # (N,): cards of one group must not see each other
    rows: Int64Array  # (n,): the cards that are queries
    fold: Int64Array  # (N,): what is fitted for the queries of a fold does not see its cards
    models: Sequence[FittedModel | None] = ()  # fitted without each fold, where anything is learned

    @classmethod
    def from_index(
        cls, parts: IndexParts, sample: int, rng: np.random.Generator, every_fold: bool = False
    ) -> LeaveOneOut:
        """Draw at most `sample` labelled cards that have something to compare.

        With `every_fold`, cards that are no queries are dealt into folds as well.
        """
        if sample < FEWEST_CARDS:
            raise QueryError(f"The sample must be {FEWEST_CARDS} cards or more; it is {sample}.")
        rows = np.flatnonzero(parts.voter_codes >= 0)
        if len(rows) < FEWEST_CARDS:
            raise QueryError(
                f"Tuning needs at least {FEWEST_CARDS} labelled cards, and this index has "
                f"{len(rows)}."
            )
        if len(rows) > sample:
            rows = np.sort(rng.choice(rows, sample, replace=False))
        groups = leave_out_groups(parts.catalogue)
        return cls.in_folds(parts, groups, rows, assign_folds(groups, None if every_fold else rows))

    @classmethod
    def in_folds(
        cls, parts: IndexParts, groups: Int64Array, rows: Int64Array, fold: Int64Array
    ) -> LeaveOneOut:
        """Fit what is learned without the cards of each fold, (N,), MISSING for one in none."""
        return cls(parts, groups, rows, fold, _fit_without_each(parts, fold))

    def collect(
        self,
        directions: Sequence[Float64Array],
        depth: int,
        label: str = "",
        chosen: Int64Array | slice = slice(None),
    ) -> Pool:
        """Collect the candidates of all queries, or of those at chosen positions."""
        rows, labels = self.rows[chosen], self.parts.labels
        if not self.parts.learned:
            queries = self._queries(rows, self.parts.blocks)
            codes = self.parts.voter_codes
            return collect_pool(self.parts.space, codes, queries, directions, depth, label)
        pools, positions = [], []
        for fold in self._folds:
            of_fold = np.flatnonzero(self.fold[rows] == fold)
            if len(of_fold):
                blocks = self.blocks_without(fold)
                queries = self._queries(rows[of_fold], blocks)
                codes = np.where(self.fold == fold, MISSING, self.parts.voter_codes)
                space = self.parts.space_of(blocks)
                pool = collect_pool(
                    space, codes, queries, directions, depth, label, self.parts.log_reliability
                )
                pools.append(replace(pool, sizes=labels.sizes))
                positions.append(of_fold)
        return join_pools(pools, positions)

    def own_log_odds(self) -> Float32Array:
        """Compare each card's own category with the likeliest to both heads: float32, (N,).

        The logarithm of the ratio of their mean probabilities, by heads that have not seen its
        group; 0 for a card without a category or a fold.
        """
        log_odds = np.zeros(len(self.fold), dtype=np.float32)
        for rows, log_proba in self.head_log_proba():
            own = np.take_along_axis(log_proba, self.parts.labels.codes[rows, None], axis=1)
            log_odds[rows] = own[:, 0] - log_proba.max(axis=1)
        return log_odds

    def head_log_proba(
        self, least: float | None = None
    ) -> Iterator[tuple[Int64Array, Float32Array]]:
        """Yield labelled cards, some at a time, and their log probabilities by both heads, (n, C).

        The heads have not seen the groups of the cards. `least` is as for `mean_log_proba`.
        """
        parts, count = self.parts, len(self.parts.labels.names)
        for fold in self._folds:
            chosen = np.flatnonzero((self.fold == fold) & parts.labels.labelled)
            model = self.models[fold]
            for part in chunks(len(chosen), HEAD_ROWS_AT_ONCE):
                rows = chosen[part]
                vectors = [as_queries(block, rows) for block in parts.blocks]
                if model is not None:
                    own = [block.vectors[rows] for block in parts.encoder_blocks]
                    present = [block.present[rows] for block in parts.encoder_blocks]
                    vectors.append(model.projection.project(own, np.stack(present, axis=1))[0])
                every = np.broadcast_to(np.arange(count), (len(rows), count))
                yield rows, parts.mean_log_proba(vectors, every, model, least)

    def _queries(self, rows: Int64Array, blocks: Sequence[Block | LearnedBlock]) -> LabelledQueries:
        codes, groups = self.parts.labels.codes, self.groups
        present = np.stack([block.present for block in blocks], axis=1)
        pictures = [
            b for b, block in enumerate(blocks) if modality_kind(block.modality) == "picture"
        ]

        def exclude(part: slice, cards: Int64Array, similarities: Float32Array) -> BoolArray:
            excluded: BoolArray = groups[rows[part], None] == groups[cards]
            for b in pictures[:1]:
                compared = present[rows[part], b, None] & present[cards, b]
                excluded |= _same_picture(similarities[b], compared, codes[cards])
            return excluded

        last = blocks[-1]
        return LabelledQueries(
            vectors=[as_queries(block, rows) for block in blocks],
            present=present[rows],
            true=codes[rows],
            exclude=exclude,
            head_log_proba=partial(
                self.parts.head_log_proba,
                model=last.model if isinstance(last, LearnedBlock) else None,
            ),
            head_blocks=self.parts.head_blocks,
        )

    def blocks_without(self, fold: int) -> list[Block | LearnedBlock]:
        """Return the blocks of all cards, the learned one fitted without those of a fold."""
        blocks, learned, model = self.parts.blocks, self.parts.learned, self.models[fold]
        assert learned is not None, "something is learned without a fold"
        # Projected whenever they are needed: kept for every fold, they would fill the memory.
        if model is not None:
            return [*blocks, project_cards(model, blocks)]
        nothing = np.zeros(learned.vectors.shape, dtype=learned.vectors.dtype)
        return [*blocks, replace(learned, vectors=nothing, present=np.zeros_like(learned.present))]

    @property
    def _folds(self) -> range:
        return range(int(self.fold.max()) + 1)


def _fit_without_each(parts: IndexParts, fold: Int64Array) -> list[FittedModel | None]:
    if parts.learned is None:
        return []
    folds, codes = range(int(fold.max()) + 1), parts.labels.codes
    models = []
    with progress_bar(len(folds), "fitting again without some of the cards", "part") as bar:
        for each in folds:
            models.append(fit_on_cards(parts.blocks, np.where(fold == each, MISSING, codes)))
            bar.update()
    return models


def leave_out_groups(catalogue: Catalogue) -> Int64Array:
    """Give cards that are one product by their group or texts the same number: (N,).

    Equal pictures are found among the embeddings, so that no file is read.
    """
    return find_groups(catalogue, pictures=False).codes


def _same_picture(similarities: Float32Array, compared: BoolArray, codes: Int64Array) -> BoolArray:
    same: BoolArray = (similarities >= SAME_PICTURE) & compared
    for row in np.flatnonzero(same.sum(axis=1) > PLACEHOLDER_CATEGORIES):
        if len(np.unique(codes[same[row]])) > PLACEHOLDER_CATEGORIES:
            same[row] = False
    return same
