"""The setting and the confidence of an index as built, from out-of-fold answers to its cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from prodcat_index.index import familiarity
from prodcat_index.index.leave_one_out import LeaveOneOut
from prodcat_index.index.manifest import LEARNED, SCORES
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.review import confirmed
from prodcat_index.types import Float32Array, Float64Array
from prodcat_index.voting.calibration import Calibration, fit_calibration
from prodcat_index.voting.evidence import Evidence, EvidenceModel
from prodcat_index.voting.pool import Pool, rank
from prodcat_index.voting.tuning import Search, Setting, vary_vote
from prodcat_index.voting.vote import VoteParameters, vote

# Cards whose answers are looked at, at most; all are candidates.
SAMPLE = 10_000
# Few enough that the best of them is not the best by chance.
SCORE_WEIGHTS = (0.0, 0.3, 0.7)
# Only categories of neighbours can be answered: where there are many, ten leave out some that the
# head prefers.
NEIGHBOURS = (10, 30)
# Sharper votes believe the nearest card, even with a wrong label.
TEMPERATURES = (0.05, 0.1)
HEAD_EXPONENTS = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)
VOTE_GRIDS = {"k": NEIGHBOURS, "temperature": TEMPERATURES, "head_exponent": HEAD_EXPONENTS}
# The label of a card is contradicted where models that have not seen the card give it less than
# this share of the probability of the likeliest one. Where that holds for many cards, it is the
# cards that are hard, and only the least probable labels count.
CONTRADICTED = 0.5
MOST_CONTRADICTED = 0.1
LEAST_LOG_RELIABILITY = -6.0
ENOUGH_CARDS = 5


def calibrate(parts: IndexParts, *, choose: bool, reweigh: bool = True) -> IndexParts:
    """Return the parts with a calibrated confidence; `choose` how texts and neighbours count first.

    With `reweigh`, cards whose labels are contradicted count less from now on. Every card is
    answered by what is fitted without its group, so nothing is held out.
    """
    queries = LeaveOneOut.from_index(parts, SAMPLE, np.random.default_rng(0), every_fold=True)
    if parts.learned and reweigh:
        reliability = _log_reliability(parts, queries.own_log_odds())
        learned = replace(parts.learned, log_reliability=reliability.astype(np.float16))
        parts = replace(parts, learned=learned)
        queries = replace(queries, parts=parts)
    directions = [parts.weight_vector(None)]
    grids: Mapping[str, Sequence[float]] = {}
    if choose and parts.scores:
        directions = [
            parts.weight_vector({LEARNED: 1 - share, SCORES: share}) for share in SCORE_WEIGHTS
        ]
        grids = VOTE_GRIDS
    starts = [Setting(tuple(weights.tolist()), parts.vote) for weights in directions]
    settings = [setting for start in starts for setting in vary_vote(start, grids)]
    pool = queries.collect(directions, max(each.vote.k for each in settings), "calibrating")
    if not pool.categories.size:
        return parts  # All cards are of one group, so that none answers for another.
    best = settings[0]
    if len(settings) > 1:
        tried = Search(pool, "weighted-f1").try_all(settings)
        best = max(tried, key=lambda step: step.value).setting
    weights = np.array(best.weights)
    model = familiarity.fit(queries, pool, weights, best.vote)
    calibration = fit_votes(queries, pool, weights, best.vote, model)
    return replace(parts.with_setting(best), calibration=calibration)


def _log_reliability(parts: IndexParts, log_odds: Float32Array) -> Float64Array:
    """Return the logarithm of what each card's vote counts: (N,)."""
    labels = parts.labels
    usual = np.quantile(log_odds[labels.labelled], MOST_CONTRADICTED)
    least = min(np.log(CONTRADICTED), float(usual))
    contradicted = np.clip(log_odds - least, LEAST_LOG_RELIABILITY, 0.0)
    # What has seen few cards of a category contradicts the right ones too.
    others = labels.sizes[labels.codes] - 1
    doubted = labels.labelled & ~confirmed(parts)
    return np.where(doubted, contradicted * others / (others + ENOUGH_CARDS), 0.0)


def fit_votes(
    queries: LeaveOneOut,
    pool: Pool,  # of the queries
    weights: Float64Array,
    parameters: VoteParameters,
    model: EvidenceModel | None,
) -> Calibration | None:
    """Fit the confidence of one setting to its votes on a pool; None where they are too few."""
    if not len(pool):
        return None
    ranked = rank(pool, weights, parameters.k)
    cast = vote(
        ranked.similarities,
        ranked.categories,
        pool.sizes,
        parameters,
        ranked.head_log_proba,
        ranked.log_reliability,
    )
    seen, groups = None, queries.groups[queries.rows]
    if model is not None:
        seen = Evidence(model, familiarity.of_cards(queries, pool, weights, parameters))
    similarities, names = np.clip(ranked.similarities, -1, 1), queries.parts.labels.names
    return fit_calibration(cast, similarities, pool.true, names, groups, seen)
