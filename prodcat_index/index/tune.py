"""Tuning an index by leave-one-out over its own cards. Nothing is embedded or built again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from prodcat_index.errors import QueryError
from prodcat_index.index.build import equal_weights
from prodcat_index.index.leave_one_out import LeaveOneOut
from prodcat_index.index.manifest import LEARNED
from prodcat_index.index.parts import IndexParts
from prodcat_index.types import BoolArray, Int64Array
from prodcat_index.voting.calibration import MINIMUM_CARDS, Calibration, fit_calibration
from prodcat_index.voting.pool import Pool, rank
from prodcat_index.voting.tuning import (
    OBJECTIVES,
    Objective,
    Search,
    Setting,
    Step,
    Tuning,
    vote_surface,
    weight_surface,
)
from prodcat_index.voting.vote import vote

SAMPLE = 10_000
DEPTH = 100
RECALL_SAMPLE = 500
ENOUGH_RECALL = 0.99
SAME_SIMILARITY = 1e-5
MAX_DEPTH = 400
# Of the asking cards; tuning does not see them.
CALIBRATION_SHARE = 1 / 3


def tune(
    parts: IndexParts,
    *,
    objective: Objective = "weighted-f1",
    sample: int = SAMPLE,
    seed: int = 0,
    label: str = "",
) -> Tuning:
    """Find the weights and the vote that predict the index's own cards best."""
    if objective not in OBJECTIVES:
        raise QueryError(f"There is no objective {objective!r}; choose {', '.join(OBJECTIVES)}.")
    rng = np.random.default_rng(seed)
    asked = LeaveOneOut.of(parts, sample, rng)
    before = Setting(_vector(parts, parts.weights), parts.vote)
    equal = Setting(_vector(parts, equal_weights(parts.blocks)), parts.vote)
    held_out = _held_out(asked.groups[asked.rows], rng)
    starts = tuple(dict.fromkeys((before, equal, *_with_learned(parts))))
    whole, recall, search, best = _search(asked, ~held_out, objective, starts, label)
    pool, calibrating = search.pool, whole.select(np.flatnonzero(held_out))
    return Tuning(
        objective=objective,
        cards=len(pool),
        categories=len(np.unique(pool.true)),
        before=Step(before.weights, before.vote, search.value(before)),
        equal=Step(equal.weights, equal.vote, search.value(equal)),
        after=best,
        recall=recall,
        path=_path(search.steps, best),
        weight_surface=weight_surface(pool, best.setting, objective),
        vote_surface=vote_surface(pool, best.setting, objective),
        calibration=_calibrate(calibrating, best.setting, parts.labels.names),
    )


def _vector(parts: IndexParts, weights: Mapping[str, float]) -> tuple[float, ...]:
    return tuple(weights.get(name, 0.0) for name in parts.block_names)


def _with_learned(parts: IndexParts) -> list[Setting]:
    """Start also from the learned block alone, and from half of it."""
    if parts.learned is None:
        return []
    halved = {name: weight / 2 for name, weight in equal_weights(parts.blocks).items()}
    weights = ({LEARNED: 1.0}, {LEARNED: 0.5, **halved})
    return [Setting(_vector(parts, chosen), parts.vote) for chosen in weights]


def _held_out(groups: Int64Array, rng: np.random.Generator) -> BoolArray:
    """Draw a third of the cards by group to calibrate on; none where that is too few."""
    drawn: BoolArray = rng.random(int(groups.max()) + 1)[groups] < CALIBRATION_SHARE
    return drawn if drawn.sum() >= MINIMUM_CARDS else np.zeros_like(drawn)


def _calibrate(pool: Pool, setting: Setting, names: Sequence[str]) -> Calibration | None:
    """Learn how far the votes of a setting can be trusted, on cards that it has not seen."""
    if not len(pool):
        return None
    ranked = rank(pool, np.array(setting.weights), setting.vote.k)
    cast = vote(
        ranked.similarities, ranked.categories, pool.sizes, setting.vote, ranked.head_log_proba
    )
    return fit_calibration(cast, np.clip(ranked.similarities, -1, 1), pool.true, names)


def _search(
    asked: LeaveOneOut,
    tuned_on: BoolArray,
    objective: Objective,
    starts: Sequence[Setting],
    label: str,
) -> tuple[Pool, float, Search, Step]:
    """Tune on a pool, and again on a deeper one while it lacks what the new weights call near."""
    blocks = len(starts[0].weights)
    directions = [*np.eye(blocks), *(np.array(start.weights) for start in starts)]
    depth = max(DEPTH, *(start.vote.k for start in starts))
    while True:
        pool = asked.collect(directions, depth, label)
        search = Search(pool.select(np.flatnonzero(tuned_on)), objective)
        best = search.run(starts)
        recall = _recall(asked, pool, best.setting)
        if recall >= ENOUGH_RECALL or depth >= MAX_DEPTH:
            return pool, recall, search, best
        directions.append(np.array(best.setting.weights))
        depth *= 2


def _recall(asked: LeaveOneOut, pool: Pool, setting: Setting) -> float:
    """Part of the true nearest cards that the pool ranks as such, over some queries."""
    rows = np.arange(len(pool))[:: max(1, len(pool) // RECALL_SAMPLE)]
    weights, k = np.array(setting.weights), setting.vote.k
    nearest = rank(asked.select(rows).collect([weights], k), weights, k)
    pooled = rank(pool.select(rows), weights, k)
    wanted = (nearest.categories >= 0).sum(axis=1)
    farthest = np.fmin.reduce(nearest.similarities, axis=1)
    # What is as near as the farthest of the nearest is one of them, or as good as.
    found = (pooled.similarities >= farthest[:, None] - SAME_SIMILARITY).sum(axis=1)
    return float(np.minimum(found, wanted).sum() / max(1, wanted.sum()))


def _path(steps: Sequence[Step], best: Step) -> tuple[Step, ...]:
    path: list[Step] = []
    for step in steps:
        if step.value <= best.value and (not path or step.value > path[-1].value):
            path.append(step)
    return tuple(path) if path[-1] == best else (*path, best)
