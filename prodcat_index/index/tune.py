"""Tuning an index by leave-one-out over its own cards. Nothing is embedded or built again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence

import numpy as np

from prodcat_index.errors import QueryError, check_type, whole_number
from prodcat_index.index import familiarity
from prodcat_index.index.calibrate import fit_votes
from prodcat_index.index.leave_one_out import LeaveOneOut
from prodcat_index.index.manifest import LEARNED
from prodcat_index.index.parts import IndexParts, equal_weights
from prodcat_index.types import BoolArray, Int64Array
from prodcat_index.voting.pool import Pool, rank
from prodcat_index.voting.tuning import (
    OBJECTIVES,
    SAMPLE,
    VOTE_SURFACE,
    Objective,
    Search,
    Setting,
    Step,
    Tuning,
    vary_vote,
    vary_weights,
)

# Candidates for each of the weights that a pool is collected under, at first and at most.
DEPTH, MAX_DEPTH = 100, 400
RECALL_SAMPLE = 500
ENOUGH_RECALL = 0.99
# Similarities that differ by no more are equal: the pool is float32, and adds up in its own order.
SAME_SIMILARITY = 1e-5
# Part of the queries that the search does not see: the best setting has to win on them as well.
UNSEEN_SHARE = 1 / 3
FEWEST_UNSEEN = 30


def tune(
    parts: IndexParts, objective: Objective = "weighted-f1", sample: int = SAMPLE, seed: int = 0
) -> Tuning:
    """Find the weights and the vote that predict the index's own cards best.

    Documented at :meth:`~prodcat_index.index.product_index.ProductIndex.tune`.
    """
    if objective not in OBJECTIVES:
        raise QueryError(f"There is no objective {objective!r}; choose {', '.join(OBJECTIVES)}.")
    sample, seed = whole_number("sample", sample), whole_number("seed", seed)
    if seed < 0:
        raise QueryError(f"The seed must be 0 or more; it is {seed}.")
    rng = np.random.default_rng(seed)
    queries = LeaveOneOut.from_index(parts, sample, rng)
    groups = queries.groups[queries.rows]
    if len(np.unique(queries.groups[parts.labels.labelled])) < 2:
        raise QueryError(
            "All labelled cards of this index are of one group, so none can answer for another; "
            "check the group column, and build the index again."
        )
    if len(parts.labels.names) < 2:
        raise QueryError(
            "All labelled cards of this index are of one category, so there is nothing to tune."
        )
    held_out = _held_out(groups, rng)
    chosen = [parts.weights, equal_weights(parts.blocks)]
    if parts.learned is not None:
        halved = {name: weight / 2 for name, weight in chosen[1].items()}
        chosen += [{LEARNED: 1.0}, {LEARNED: 0.5, **halved}]
    vectors = [tuple(weights.get(name, 0.0) for name in parts.block_names) for weights in chosen]
    starts = [Setting(vector, parts.vote) for vector in vectors]
    unique = list(dict.fromkeys(starts))
    whole, recall, search, best = _search(queries, ~held_out, objective, unique)
    before, equal = search.try_all(starts[:2])
    pool, unseen = search.pool, whole.select(np.flatnonzero(held_out))
    check = _check(unseen, objective, before.setting, best.setting)
    if check and check[1] <= check[0]:
        best = before
    # What known categories look like hardly depends on weights and vote.
    evidence = parts.calibration.model.evidence if parts.calibration else None
    if evidence is None:
        evidence = familiarity.fit(queries, whole, np.array(before.weights), before.vote)
    return Tuning(
        objective=objective,
        cards=len(pool),
        categories=len(np.unique(pool.true)),
        before=before,
        equal=equal,
        after=best,
        recall=recall,
        path=_path(list(search.steps.values()), best),
        weight_surface=search.try_all(vary_weights(best.setting)),
        vote_surface=search.try_all(vary_vote(best.setting, VOTE_SURFACE)),
        check=check,
        # On all cards: a third shows too little, and few settings are chosen among.
        calibration=fit_votes(
            queries, whole, np.array(best.setting.weights), best.setting.vote, evidence
        ),
        tuned_on=_digest(parts),
    )


def check_tuning(tuning: Tuning, parts: IndexParts) -> None:
    """Raise an error unless a tuning is of this index: its weights and calibration are its own."""
    check_type(tuning, Tuning, "An index is tuned by the result of tune()")
    fits = len(tuning.after.weights) == len(parts.block_names)
    if not fits or tuning.tuned_on not in ("", _digest(parts)):
        raise QueryError(
            "This is the tuning of an index of other cards, categories or encoders; tune this "
            "index, and give it the result."
        )


def _digest(parts: IndexParts) -> str:
    blocks = [(b.slot.fingerprint, b.mean.tobytes().hex()) for b in parts.blocks]
    columns = [parts.catalogue.values(column) for column in ("id", "category")]
    content = json.dumps([parts.block_names, blocks, columns])
    return hashlib.sha256(content.encode()).hexdigest()


def _held_out(groups: Int64Array, rng: np.random.Generator) -> BoolArray:
    """Draw a third of the cards, groups kept together.

    None where that is too few to judge by, or where groups are so large that it is most cards.
    """
    drawn: BoolArray = rng.random(int(groups.max()) + 1)[groups] < UNSEEN_SHARE
    is_usable = FEWEST_UNSEEN <= drawn.sum() <= len(drawn) / 2
    return drawn if is_usable else np.zeros_like(drawn)


def _check(
    unseen: Pool, objective: Objective, before: Setting, best: Setting
) -> tuple[float, float] | None:
    """Return what two settings are worth on cards that tuning did not see; None without any."""
    if not len(unseen):
        return None
    first, second = Search(unseen, objective).try_all([before, best])
    return first.value, second.value


def _search(
    queries: LeaveOneOut, tuned_on: BoolArray, objective: Objective, starts: Sequence[Setting]
) -> tuple[Pool, float, Search, Step]:
    """Tune on a pool, and again on a deeper one while it lacks what the new weights call near."""
    blocks = len(starts[0].weights)
    directions = [*np.eye(blocks), *(np.array(start.weights) for start in starts)]
    depth = max(DEPTH, *(start.vote.k for start in starts))
    while True:
        pool = queries.collect(directions, depth, "tuning")
        search = Search(pool.select(np.flatnonzero(tuned_on)), objective)
        best = search.run(starts)
        recall = _recall(queries, pool, best.setting)
        if recall >= ENOUGH_RECALL or depth >= MAX_DEPTH:
            return pool, recall, search, best
        directions.append(np.array(best.setting.weights))
        depth *= 2


def _recall(queries: LeaveOneOut, pool: Pool, setting: Setting) -> float:
    """Return the part of the true nearest cards that the pool ranks as such, over some queries."""
    some = np.arange(len(pool))[:: max(1, len(pool) // RECALL_SAMPLE)]
    weights, k = np.array(setting.weights), setting.vote.k
    nearest = rank(queries.collect([weights], k, chosen=some), weights, k)
    pooled = rank(pool.select(some), weights, k)
    wanted = (nearest.categories >= 0).sum(axis=1)
    farthest = np.fmin.reduce(nearest.similarities, axis=1)
    # What is as near as the farthest of the nearest is one of them, or as good as.
    found = (pooled.similarities >= farthest[:, None] - SAME_SIMILARITY).sum(axis=1)
    return float(np.minimum(found, wanted).sum() / max(1, wanted.sum()))


def _path(steps: Sequence[Step], best: Step) -> tuple[Step, ...]:
    """Return the steps that were better than all before them, up to the best."""
    path: list[Step] = []
    for step in steps:
        if step.value <= best.value and (not path or step.value > path[-1].value):
            path.append(step)
    return tuple(path) if path[-1] == best else (*path, best)
