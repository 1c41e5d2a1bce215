"""The neighbour graph and the out-of-fold answers that all checks read, built once."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.catalogue import as_listings
from prodcat_index.cards.inputs import CardSource
from prodcat_index.index.answers import LazyAnswers, VoteResult
from prodcat_index.index.encoded_listings import Queries
from prodcat_index.index.kinds import MOST_EXACT_VALUES
from prodcat_index.index.learned import as_queries
from prodcat_index.index.leave_one_out import FEWEST_CARDS, LeaveOneOut, leave_out_groups
from prodcat_index.index.own_cards import MANY, Voting, join_rows, vote_as_new, with_rows
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.principal_axes import AxesSearcher
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.index.search import SearchSpace, find_neighbours
from prodcat_index.index.searchers import HalfSearcher
from prodcat_index.learning.folds import assign_folds
from prodcat_index.progress import progress_bar, quiet
from prodcat_index.types import MISSING, BoolArray, Float32Array, Float64Array, Int64Array, chunks
from prodcat_index.voting.decision import Decision, accept_or_review, trusted_calibration
from prodcat_index.voting.vote import Vote

NEIGHBOURS = 30
# Cards that look for their neighbours at a time.
CARDS_AT_ONCE = 1024
# Categories whose probabilities are kept of each card, and the least that counts of one.
LIKELY = 10
LEAST_PROBABILITY = 1e-4


@dataclass(frozen=True, eq=False)
class AuditGraph:
    """The N cards of an index, each answered without its group, and their nearest cards."""

    index: ProductIndex
    groups: Int64Array  # (N,): cards of one group are one product or its variants
    neighbours: Int64Array  # (N, K): rows of the most similar cards, the card itself left out; -1
    similarities: Float32Array  # (N, K): under the weights of a search; NaN after the last
    # Out of fold, by what has not seen the group of the card:
    ranked: Int64Array  # (N, R): categories that got a vote, the likeliest first; -1
    shares: Float64Array  # (N, R): of the vote; 0 after the last
    confidence: Float64Array  # (N,): calibrated probability of the best category; 0 where none is
    # (N, R): the likeliest categories by the mean log probability of both heads, where there are
    # any, else by the vote; -1 after the last.
    likely: Int64Array
    log_likely: Float32Array  # (N, R): natural logarithms of their probabilities; -inf after them
    own_log_likely: Float32Array  # (N,): that of the own category; 0 without an answer
    notes: tuple[str, ...] = ()  # what the answers rest on less than was given

    @property
    def parts(self) -> IndexParts:
        """Cards, embeddings, labels and what is fitted."""
        return self.index.parts

    @cached_property
    def ids(self) -> Sequence[str]:
        """The ids of the cards."""
        return self.parts.catalogue.ids

    @property
    def predicted(self) -> Int64Array:
        """The best category of each card, -1 where nothing is known: (N,)."""
        return self.ranked[:, 0]

    @property
    def own_log_odds(self) -> Float32Array:
        """Log of the own category's probability over the likeliest one's: (N,)."""
        odds = self.own_log_likely - self.log_likely[:, 0]
        return np.where(self.likely[:, 0] >= 0, odds, np.float32(0))


@dataclass(frozen=True, eq=False)
class NewCards:
    """The m cards of a new catalogue, embedded and answered by the index."""

    catalogue: Catalogue
    queries: Queries
    result: VoteResult
    decision: Decision
    neighbours: Int64Array  # (m, K): rows of the most similar cards of the index; -1
    similarities: Float32Array  # (m, K): under the weights of a search; NaN after the last
    notes: tuple[str, ...] = ()  # what was noticed while answering


class FoldAnswers(NamedTuple):
    """How the n labelled cards of a fold are answered by all other folds."""

    vote: Vote
    similarities: Float64Array  # (n, k): of the cards that vote
    evidence: Float64Array | None  # (n, F)
    likely: Int64Array  # (n, R)
    log_likely: Float32Array  # (n, R)
    own_log_likely: Float32Array  # (n,)


@dataclass(frozen=True, eq=False)
class GraphCards:
    """The cards of an index, and what of the graph is found of some without the others."""

    parts: IndexParts
    neighbours: int  # of each card, where there are as many other cards

    @classmethod
    def load(cls, folder: Path, neighbours: int) -> GraphCards:
        """Open the index in a folder."""
        return cls(ProductIndex.load(folder, verify=False).parts, neighbours)

    @property
    def k(self) -> int:
        """Neighbours of each card."""
        return max(1, min(self.neighbours, len(self.parts.catalogue) - 1))

    @cached_property
    def groups(self) -> Int64Array:
        """Number of the group of each card: (N,)."""
        return leave_out_groups(self.parts.catalogue)

    @cached_property
    def voters(self) -> Int64Array:
        """The cards that vote, which are those that are answered."""
        return np.flatnonzero(self.parts.voter_codes >= 0)

    @cached_property
    def fold(self) -> Int64Array:
        """Fold of each card: (N,)."""
        return assign_folds(self.groups)

    @cached_property
    def _space(self) -> SearchSpace:
        return _space_for(self.parts, len(self.parts.catalogue))

    def find_near(self, rows: Int64Array) -> tuple[Int64Array, Float32Array]:
        """Return the nearest cards of n cards, (n, K), and how similar they are, likewise."""
        queries = _as_queries(self.parts, rows)
        near, similarities = _find_near(self.parts, self._space, queries, self.k + 1)
        is_other = ~own_places(near, rows)
        return near[is_other].reshape(-1, self.k), similarities[is_other].reshape(-1, self.k)

    def rows_of(self, number: int) -> Int64Array:
        """Return the cards of a fold that are answered."""
        return self.voters[self.fold[self.voters] == number]

    def answer_fold(self, number: int) -> FoldAnswers:
        """Answer the cards of a fold by what has not seen them."""
        parts, rows = self.parts, self.rows_of(number)
        alone = np.where(self.fold == number, 0, MISSING)
        asked = LeaveOneOut.in_folds(parts, self.groups, rows, alone)
        voting = Voting(parts.weight_vector(None), parts.vote)
        result, _ = vote_as_new(parts, _as_queries(parts, rows), rows, voting, asked)
        count = len(parts.labels.names)
        likely = np.full((len(rows), min(LIKELY, count)), MISSING, dtype=np.int64)
        log_likely = np.full(likely.shape, -np.inf, dtype=np.float32)
        own = np.zeros(len(rows), dtype=np.float32)
        for some, log_proba in _log_probabilities(asked, result.vote):
            # Labelled cards with nothing that is embedded are not answered.
            is_asked = np.isin(some, rows)
            some, log_proba = some[is_asked], log_proba[is_asked]
            at = np.searchsorted(rows, some)
            best = np.argsort(-log_proba, axis=1, kind="stable")[:, : likely.shape[1]]
            likely[at], log_likely[at] = best, np.take_along_axis(log_proba, best, axis=1)
            codes = parts.labels.codes[some, None]
            own[at] = np.take_along_axis(log_proba, codes, axis=1)[:, 0]
        found = result.found.similarities
        return FoldAnswers(result.vote, found, result.evidence, likely, log_likely, own)


Work = Callable[[GraphCards, Any], Any]
# Does the work for each of some items, anywhere, and yields what comes of them in their order; it
# is given a label and a unit for people.
Spread = Callable[[Work, Sequence[Any], str, str], Iterable[Any]]


def build_graph(
    index: ProductIndex, *, neighbours: int = NEIGHBOURS, spread: Spread | None = None
) -> AuditGraph:
    """Find the nearest cards of each card of an index, and answer each labelled one out of fold."""
    parts, count = index.parts, len(index)
    cards = GraphCards(parts, neighbours)

    def here(work: Work, items: Sequence[Any], label: str, unit: str) -> Iterator[Any]:
        with progress_bar(len(items), label, unit) as bar:
            for item in items:
                with quiet():
                    found = work(cards, item)
                yield found
                bar.update()

    do, rows = spread or here, cards.voters
    every = [np.arange(part.start, part.stop) for part in chunks(count, CARDS_AT_ONCE)]
    label = "finding the nearest cards of each card"
    near, similarities = map(
        np.concatenate, zip(*do(GraphCards.find_near, every, label, "part"), strict=True)
    )
    notes = _left_out(parts)
    ranked = np.full((count, max(1, parts.vote.k)), MISSING, dtype=np.int64)
    shares = np.zeros(ranked.shape)
    confidence, own = np.zeros(count), np.zeros(count, dtype=np.float32)
    likely = np.full((count, min(LIKELY, max(1, len(parts.labels.names)))), MISSING, dtype=np.int64)
    log_likely = np.full(likely.shape, -np.inf, dtype=np.float32)
    if len(rows) >= FEWEST_CARDS and len(parts.labels.names) > 1:
        folds = np.unique(cards.fold[rows]).tolist()
        label = "answering the cards of each part without it"
        found = [*do(GraphCards.answer_fold, folds, label, "part")]
        order = np.argsort(np.concatenate([cards.rows_of(fold) for fold in folds]))
        answers: FoldAnswers = join_rows(found, order)
        vote = answers.vote
        # By the setting of the index, as for new cards.
        decision = accept_or_review(
            trusted_calibration(parts.calibration, is_own=True),
            vote,
            answers.similarities,
            parts.labels.names,
            evidence=answers.evidence,
            is_new=False,
        )
        ranked[rows, : vote.categories.shape[1]] = vote.categories
        shares[rows, : vote.shares.shape[1]] = vote.shares
        confidence[rows] = decision.confidence
        likely[rows], log_likely[rows] = answers.likely, answers.log_likely
        own[rows] = answers.own_log_likely
        if parts.calibration is None:
            notes += decision.notes
    kept = (ranked, shares, confidence, likely, log_likely, own)
    return AuditGraph(index, cards.groups, near, similarities, *kept, notes)


def _left_out(parts: IndexParts) -> tuple[str, ...]:
    """Say which cards get no answer, and why."""
    labels, notes = parts.labels, []
    voters = int((parts.voter_codes >= 0).sum())
    if unlabelled := int((~labels.labelled).sum()):
        notes.append(f"cards without a category, which have no answer to compare: {unlabelled:,}")
    if blank := int((labels.labelled & ~parts.found).sum()):
        notes.append(f"labelled cards with nothing that is embedded, left out: {blank:,}")
    if voters < FEWEST_CARDS:
        notes.append(
            f"no card is answered by the others: that takes {FEWEST_CARDS} labelled cards, and "
            f"this index has {voters}"
        )
    elif len(labels.names) < 2:
        notes.append("no card is answered by the others: all are of one category")
    return tuple(notes)


def _as_queries(parts: IndexParts, rows: Int64Array) -> Queries:
    blocks = parts.all_blocks
    present = np.stack([block.present[rows] for block in blocks], axis=1)
    return Queries([as_queries(block, rows) for block in blocks], present)


def _space_for(parts: IndexParts, queries: int) -> SearchSpace:
    """Return the cards with a searcher for the nearest of so many queries.

    Cards of many values are compared by their principal axes first.
    """
    space, weights = parts.space, parts.weight_vector(parts.search_weights)
    weighed = np.flatnonzero(weights > 0).tolist()
    if queries < MANY or parts.is_stored:
        return space
    blocks, present = [space.blocks[b] for b in weighed], space.present[:, weighed]
    if len(present) * sum(block.shape[1] for block in blocks) <= MOST_EXACT_VALUES:
        is_half = isinstance(space.searcher_of(weighed)[0], HalfSearcher)
        return with_rows(parts, weights).space if is_half else space
    cards = np.flatnonzero(parts.found)
    searcher = AxesSearcher.build(blocks, present, weights[weighed], cards)
    return replace(space, searcher=searcher, covered=weighed)


def _find_near(
    parts: IndexParts, space: SearchSpace, queries: Queries, k: int
) -> tuple[Int64Array, Float32Array]:
    """Return the nearest cards of n queries under the weights of a search: (n, k), likewise."""
    weights, present = parts.weight_vector(parts.search_weights), queries.present
    found = find_neighbours(
        space, queries.vectors, present, weights, k, parts.found, by_block=False
    )
    return found.rows, found.similarities.astype(np.float32)


def own_places(near: Int64Array, rows: Int64Array) -> BoolArray:
    """Find each card itself among its nearest ones, (n, k): where others tie before it, at last."""
    is_own = near == rows[:, None]
    is_own[~is_own.any(axis=1), -1] = True
    return is_own


def _log_probabilities(asked: LeaveOneOut, vote: Vote) -> Iterator[tuple[Int64Array, Float32Array]]:
    """Yield labelled cards, some at a time, and the log probabilities of all categories, (n, C)."""
    least = float(np.log(LEAST_PROBABILITY))
    if asked.models:
        yield from ((rows, _normalised(each, least)) for rows, each in asked.head_log_proba(least))
        return
    count = len(asked.parts.labels.names)
    for part in chunks(len(asked.rows), CARDS_AT_ONCE):
        rows = asked.rows[part]
        proba = np.zeros((len(rows), count + 1), dtype=np.float32)
        # What is no category, -1, falls into the last column.
        shares = vote.shares[part].astype(np.float32)
        np.put_along_axis(proba, vote.categories[part], shares, axis=1)
        with np.errstate(divide="ignore"):
            yield rows, _normalised(np.log(proba[:, :-1]), least)


def _normalised(log_proba: Float32Array, least: float) -> Float32Array:
    bounded = np.maximum(log_proba, np.float32(least))
    return bounded - np.log(np.exp(bounded).sum(axis=1, keepdims=True))


def answer_new(index: ProductIndex, catalogue: CardSource, graph: AuditGraph) -> NewCards:
    """Answer new cards as ``index.predict`` does, and find as many near ones as the graph has."""
    parts = index.parts
    read = as_listings(catalogue, parts.catalogue)
    predictions = index.predict(read)
    answers = predictions.answers
    assert isinstance(answers, LazyAnswers), "they were just made"
    space = _space_for(parts, len(read))
    near = _find_near(parts, space, answers.queries, graph.neighbours.shape[1])
    notes = (*read.notes, *map(str, read.findings), *predictions.notes)
    return NewCards(read, answers.queries, answers.result, answers.decision, *near, notes)
