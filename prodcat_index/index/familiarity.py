"""What speaks for a listing being of a known category, by what tells of it.

The projection is fitted to labels, and looks only at what tells known categories apart: it places
anything foreign near some of them. So does a block of texts whose encoder was fitted to this
catalogue, because what it does not know is left out of its rows; text scores take it into account.
Hence pictures are compared in their encoder's block, and count beside the text scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from prodcat_index.cards.card import ModalityKind
from prodcat_index.index.block import listing_values
from prodcat_index.index.fusion import effective_weights
from prodcat_index.index.leave_one_out import LeaveOneOut
from prodcat_index.index.manifest import SCORES
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.search import Neighbours
from prodcat_index.learning.text_scores import largest_score
from prodcat_index.types import (
    MISSING,
    BoolArray,
    Float32Array,
    Float64Array,
    FloatingArray,
    Int64Array,
    evenly_spaced,
)
from prodcat_index.voting.evidence import FEWEST_UNSEEN, EvidenceModel, fit_evidence
from prodcat_index.voting.pool import Pool, nearest_by, rank
from prodcat_index.voting.vote import VoteParameters

# One category in so many is hidden, to learn what a listing of an unknown category looks like.
ONE_IN = 5
FIRST_HIDDEN = 2
# Cards of hidden categories that are queries, at most.
SAMPLE = 1000
# The kinds of evidence, which are the columns, NaN where they are missing: the largest text score
# of a category, over that of none, and the cosine of the nearest picture among the neighbours'.
SCORE, NEAREST = range(2)


def of_cards(
    queries: LeaveOneOut, pool: Pool, weights: Float64Array, vote: VoteParameters
) -> Float64Array:
    """Return the evidence on cards of an index as queries to its other cards: (n, 2)."""
    parts = queries.parts
    nearest = nearest_by(pool, rank(pool, weights, vote.k), _picture_weights(parts))
    rows = parts.scores.vectors[queries.rows] if parts.scores else None
    return np.column_stack([_scores(parts, rows, pool.present), nearest])


def of_queries(
    parts: IndexParts,
    vectors: Sequence[Float32Array],
    present: BoolArray,
    found: Neighbours,
    answers: Int64Array,
) -> Float64Array:
    """Return the evidence on n queries with their neighbours and answers, (n,): (n, 2).

    An answer of a category that was added since the scores were fitted has no score.
    """
    scores = _scores(parts, vectors[len(parts.blocks) - 1] if parts.scores else None, present)
    if parts.scores:
        scores[(answers >= 0) & (parts.score_columns[answers] == MISSING)] = np.nan
    return np.column_stack([scores, _nearest_picture(parts, vectors, present, found)])


def _nearest_picture(
    parts: IndexParts, vectors: Sequence[Float32Array], present: BoolArray, found: Neighbours
) -> Float64Array:
    weights = _picture_weights(parts)
    shared = effective_weights(weights, present)
    by_block = found.by_block
    if by_block is None:
        by_block = parts.space.compare(vectors, found.rows, np.flatnonzero(weights).tolist())
    # What is expected of a card that lacks pictures, by the queries that have one near.
    lacking = np.flatnonzero(np.isnan(by_block[:, :, weights > 0]).any(axis=(1, 2)))
    expected = np.zeros(shared.shape)
    expected[lacking] = parts.space.expected_similarities(
        [rows[lacking] for rows in vectors], weights > 0
    )
    cosines = np.where(np.isnan(by_block), expected[:, None, :], by_block)
    similarities = np.einsum("nkb,nb->nk", cosines, shared)
    comparable = (found.rows >= 0) & np.any(shared, axis=1, keepdims=True)
    nearest = np.where(comparable, similarities, -np.inf).max(axis=1)
    return np.where(np.isfinite(nearest), nearest, np.nan)


def _scores(parts: IndexParts, rows: FloatingArray | None, present: BoolArray) -> Float64Array:
    """Return the largest scores; a text of which nothing is known has the least, no text has none.

    `rows` are those of the text scores, (n, H), and `present` of all blocks, (n, B).
    """
    if rows is None:
        return np.full(len(present), np.nan)
    # Texts beside given vectors are no block of their own.
    has_text: BoolArray = np.any(present[:, _of_kind(parts, "text")], axis=1) | rows.any(axis=1)
    return np.where(has_text, largest_score(parts.merged_scores(rows)), np.nan)


def _picture_weights(parts: IndexParts) -> Float64Array:
    """Weigh the blocks of pictures alike, and no others; all zero where there are none."""
    is_picture = _of_kind(parts, "picture")
    return is_picture / max(1, int(is_picture.sum()))


def _of_kind(parts: IndexParts, kind: ModalityKind) -> BoolArray:
    """Tell which of all B blocks an encoder made of values of that kind: (B,)."""
    kinds = [block.kind == kind for block in parts.encoder_blocks]
    return np.array([*kinds, *[False] * (len(parts.block_names) - len(kinds))], dtype=bool)


def fit(
    queries: LeaveOneOut, pool: Pool, weights: Float64Array, vote: VoteParameters
) -> EvidenceModel | None:
    """Learn what known categories look like, and those that are hidden for the purpose.

    Cards whose category has no other card than those left out with them count as hidden, too.
    """
    if queries.parts.learned is None:
        return None
    hidden = _hide_categories(queries)
    if hidden is None and not queries.parts.scores:
        return None
    is_known = _has_others(queries)
    evidence = of_cards(queries, pool, weights, vote)
    if hidden is None:
        # With two categories, or small ones beside them, none can be hidden: machines that are
        # undecided, as on what is foreign, stand for it.
        unseen = np.full(evidence.shape, np.nan)
        unseen[:, SCORE] = 0.0
    else:
        unseen = of_cards(hidden, hidden.collect([weights], vote.k), weights, vote)
    return fit_evidence(evidence[is_known], np.concatenate([unseen, evidence[~is_known]]))


def _has_others(queries: LeaveOneOut) -> BoolArray:
    """Check whether a category has labelled cards of another group than the query's."""
    codes, groups = queries.parts.labels.codes, queries.groups
    labelled = codes >= 0
    pairs = np.unique(np.stack([codes[labelled], groups[labelled]]), axis=1)
    counts = np.bincount(pairs[0], minlength=len(queries.parts.labels.names))
    has_others: BoolArray = counts[codes[queries.rows]] > 1
    return has_others


def _hide_categories(queries: LeaveOneOut) -> LeaveOneOut | None:
    """Return cards of some categories as queries to what is fitted without these categories.

    None where these are too few.
    """
    parts, codes = queries.parts, queries.parts.labels.codes
    is_hidden = np.isin(codes, hidden_categories(parts.labels.sizes))
    rows = np.flatnonzero(is_hidden & parts.space.present.any(axis=1))
    if len(rows) < FEWEST_UNSEEN:
        return None
    rows = rows[evenly_spaced(len(rows), SAMPLE)]
    if parts.scores:
        parts = _score_without(parts, is_hidden, rows)
    fold = np.where(is_hidden, 0, MISSING)
    return LeaveOneOut.in_folds(parts, queries.groups, rows, fold)


def hidden_categories(sizes: Int64Array) -> Int64Array:
    """Return the codes of a fifth of the categories, large and small, by their sizes, (C,)."""
    codes: Int64Array = np.argsort(-sizes, kind="stable")[FIRST_HIDDEN::ONE_IN]
    return codes


def _score_without(parts: IndexParts, is_hidden: BoolArray, rows: Int64Array) -> IndexParts:
    """Return parts with text scores of some hidden cards by a model that never saw the hidden."""
    assert parts.scores is not None, "there are text scores"
    codes = np.where(parts.labels.labelled, parts.score_columns[parts.labels.codes], MISSING)
    values = listing_values(parts.catalogue, SCORES)
    vectors = np.array(parts.scores.vectors)
    vectors[rows] = parts.text_scores.rows_without(values, codes, is_hidden, rows)
    return replace(parts, blocks=[*parts.encoder_blocks, replace(parts.scores, vectors=vectors)])
