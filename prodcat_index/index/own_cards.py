"""Listings that are labelled cards of the index: each is answered without itself and its group."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.cards.variants import words_of
from prodcat_index.index import familiarity
from prodcat_index.index.answers import Reasons, VoteResult, find_reasons, search_and_vote
from prodcat_index.index.block import listing_values
from prodcat_index.index.encoded_listings import Queries
from prodcat_index.index.learned import LearnedBlock, as_queries
from prodcat_index.index.leave_one_out import LeaveOneOut, leave_out_groups
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.searchers import FlatSearcher
from prodcat_index.learning.folds import assign_folds
from prodcat_index.progress import progress_bar
from prodcat_index.types import MISSING, BoolArray, Float64Array, Int64Array
from prodcat_index.voting.vote import VoteParameters

# So many listings at once are compared with rows of 32 bits, which take twice the memory of 16 bits
# and a quarter of the time: `scripts/bench kinds`.
MANY = 1000


class Voting(NamedTuple):
    """How listings are voted on."""

    weights: Float64Array  # of all blocks
    parameters: VoteParameters
    explained: Sequence[str] = ()  # modalities that the vote is repeated without
    voters: BoolArray | None = None  # (N,): the cards that may vote; None for all
    by_block: bool = False  # whether the neighbours are compared by block at once
    is_judged: bool = True  # whether it is asked how much speaks for a known category


def find_own(parts: IndexParts, row_of: Mapping[str, int], listings: Catalogue) -> Int64Array:
    """Return the row of each listing that is a labelled card, MISSING for another one: (n,).

    Such a listing has the id of the card, which may be but the number of a row, and the same title
    or, where either has none, the same further text or picture.
    """
    rows = np.array([row_of.get(card, MISSING) for card in listings.ids], dtype=np.int64)
    rows[~parts.labels.labelled[rows]] = MISSING
    there = np.flatnonzero(rows >= 0)
    if len(there):
        names = (*parts.catalogue.text_modalities, IMAGE)
        theirs = [listing_values(listings, name) for name in names]
        ours = [parts.catalogue.values_at(name, rows[there]) for name in names]
        for at, place in enumerate(there):
            pairs = zip(theirs, ours, strict=True)
            values = [(their[place], our[at]) for their, our in pairs]
            if not _are_same(values):
                rows[place] = MISSING
    return rows


def _are_same(values: Sequence[tuple[str, str]]) -> bool:
    """Compare two cards by the first modality that both have, the picture last."""
    shared = [place for place, (one, other) in enumerate(values) if one and other]
    if not shared:
        return False
    one, other = values[shared[0]]
    if shared[0] == len(values) - 1:
        return Path(one).name == Path(other).name
    return words_of(one) == words_of(other)


def describe_own(own: Int64Array) -> tuple[str, ...]:
    """Return a note that counts the listings that are cards of the index, if any is."""
    count = int((own >= 0).sum())
    if not count:
        return ()
    return (
        f"labelled cards of this index among the listings: {count:,} of {len(own):,}; "
        "each is answered as a new one, without itself, its group and what was learned from them",
    )


def vote_as_new(
    parts: IndexParts,
    queries: Queries,
    own: Int64Array,
    voting: Voting,
    asked: LeaveOneOut | None = None,
) -> tuple[VoteResult, Reasons | None]:
    """Vote on n listings, of which some are cards, (n,); also the reasons if they are explained.

    What is fitted without these cards may be given; their neighbours are not compared by block then
    unless it is asked for.
    """
    if np.all(own < 0):
        return _vote(parts, queries, voting)
    rows = np.flatnonzero(own >= 0)
    if asked is None:
        asked = _fit_without(parts, own[rows])
        # Compared at once by block, for the blocks of a fold are not kept.
        voting = voting._replace(by_block=True)
    fold = asked.fold
    places, found = [], []
    others = np.flatnonzero(own < 0)
    if len(others):
        places.append(others)
        found.append(_vote(parts, queries.select(others), voting))
    with progress_bar(len(rows), "answering cards of the index without themselves") as bar:
        for number in np.unique(fold[own[rows]]).tolist():
            place = rows[fold[own[rows]] == number]
            learned = _learned_without(asked, number)
            rest = replace(parts, learned=learned, searcher=None, covered=())
            if len(place) >= MANY:
                rest = with_rows(rest, voting.weights, fold != number)
            new = _as_new(rest, queries.select(place), own[place])
            places.append(place)
            found.append(_vote(rest, new, voting, fold != number))
            bar.update(len(place))
    order = np.argsort(np.concatenate(places))
    results, reasons = zip(*found, strict=True)
    return join_rows(results, order), join_rows(reasons, order) if voting.explained else None


def with_rows(
    parts: IndexParts, weights: Float64Array, eligible: BoolArray | None = None
) -> IndexParts:
    """Return parts with a searcher of 32 bits over the weighed blocks, of eligible cards, (N,)."""
    blocks = [block for block, w in zip(parts.all_blocks, weights, strict=True) if w > 0]
    present = np.stack([block.present for block in blocks], axis=1)
    cards = None if eligible is None else np.flatnonzero(eligible)
    searcher = FlatSearcher.build([block.vectors for block in blocks], present, cards)
    return replace(parts, searcher=searcher, covered=[block.name for block in blocks])


def _fit_without(parts: IndexParts, rows: Int64Array) -> LeaveOneOut:
    """Fit what is learned without each fold of some cards, which are queries."""
    groups = leave_out_groups(parts.catalogue)
    # The folds are the same whatever the other listings are; only those of these cards are fitted.
    fold = assign_folds(groups)
    folds = np.unique(fold[rows])
    fold = np.where(np.isin(fold, folds), np.searchsorted(folds, fold), MISSING)
    return LeaveOneOut.in_folds(parts, groups, rows, fold)


def _learned_without(asked: LeaveOneOut, fold: int) -> LearnedBlock | None:
    if asked.parts.learned is None:
        return None
    learned = asked.blocks_without(fold)[-1]
    assert isinstance(learned, LearnedBlock), "the learned block is the last"
    return replace(learned, log_reliability=asked.parts.learned.log_reliability)


def _vote(
    parts: IndexParts, queries: Queries, voting: Voting, eligible: Any = None
) -> tuple[VoteResult, Reasons | None]:
    weights, parameters, explained, voters, by_block, is_judged = voting
    if voters is not None:
        parts = parts.voted_by(voters)
    vectors, present = queries.vectors, queries.present
    result = search_and_vote(
        parts, vectors, present, weights, parameters, eligible, by_block=by_block
    )
    if is_judged and parts.calibration and parts.calibration.model.evidence:
        answers = result.vote.categories[:, 0]
        seen = familiarity.of_queries(parts, vectors, present, result.found, answers)
        result = result._replace(evidence=seen)
    if not explained:
        return result, None
    return result, find_reasons(parts, queries, result, weights, parameters, explained, eligible)


def _as_new(parts: IndexParts, queries: Queries, rows: Int64Array) -> Queries:
    """Return queries by text scores that have not seen them, and by the parts' own projection.

    The texts are left out: the model of all cards, which knows them, would score them again.
    """
    count = len(parts.blocks)
    vectors, present = list(queries.vectors[:count]), queries.present[:, :count].copy()
    if parts.scores:
        vectors[-1] = as_queries(parts.scores, rows)
        present[:, -1] = parts.scores.present[rows]
    return parts.with_learned(vectors, present)


def share_out(results: Any, counts: Sequence[int]) -> list[Any]:
    """Return what was found of many listings, as from :func:`vote_as_new`, by parts of them."""
    if len(counts) == 1:
        return [results]
    ends = np.cumsum(counts).tolist()
    return [
        join_rows([results], np.arange(end - count, end))
        for end, count in zip(ends, counts, strict=True)
    ]


def join_rows(pieces: Sequence[Any], order: Int64Array) -> Any:
    """Put arrays of listings below each other, also those within objects, and order the rows."""
    first = pieces[0]
    if first is None:
        return None
    if isinstance(first, tuple) and not hasattr(first, "_fields"):
        return tuple(join_rows(several, order) for several in zip(*pieces, strict=True))
    if isinstance(first, np.ndarray):
        return np.concatenate(pieces)[order]
    if isinstance(first, bool):
        return all(pieces)
    if isinstance(first, Mapping):
        return {name: join_rows([piece[name] for piece in pieces], order) for name in first}
    names = [f.name for f in fields(first)] if is_dataclass(first) else first._fields
    joined = {name: join_rows([getattr(p, name) for p in pieces], order) for name in names}
    return type(first)(**joined)
