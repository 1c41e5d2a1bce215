"""How widely an approximate index searches: the least that reaches a recall on cards held out.

Exact neighbours of these are found once. A row is only compared if its cell is, so that the cells
of the neighbours tell which margins are too narrow without a search; what codes lose is searched.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import heappop, heappush
from typing import Any

import numpy as np

from prodcat_index.index.fusion import SCORE_ERROR, effective_weights, fuse_queries
from prodcat_index.index.kinds import RECALL_AT, ApproximateKind
from prodcat_index.index.quantized import LINKS, Effort, cells_of_rows, centre_gaps, search_index
from prodcat_index.index.search import SearchSpace
from prodcat_index.index.searchers import SPARE, padded, scan_rows
from prodcat_index.types import (
    MISSING,
    BoolArray,
    Float32Array,
    Float64Array,
    FloatingArray,
    Int64Array,
)

# Neighbours that are kept of each card that recall is measured on, so that equal ones count.
KEPT = 64
# Candidates for each neighbour that is wanted: tried in turn.
FETCHES = (1, 2, 8, 32, 128)
# A candidate is fetched and compared exactly in the time of so many codes.
CANDIDATE = 32
# Of centres whose scores are between -1 and 1; and powers of 2 of cards that a walk keeps.
MARGIN_STEP, MARGINS = 0.02, 101
LONGEST_WALK = 13
# Shares that are counted are off by less.
ROUNDING = 1e-9


@dataclass(frozen=True)
class Trial:
    """Queries by some weights, and what an exact search finds of each."""

    queries: Float32Array  # (n, d)
    scores: Float32Array  # (n, m): of the nearest rows, falling
    places: Int64Array  # (n, m): of these
    steps: Int64Array  # (n, m): from which on the cells of these are compared

    def steps_at(self, k: int) -> Int64Array:
        """Return the steps that reach the k nearest, or any as near, of all queries: rising."""
        reached = np.where(_is_near(self.scores, k), self.steps, MARGINS)
        return np.sort(np.sort(reached, axis=1)[:, :k], axis=None)


class Measurement:
    """What efforts find of what is to be found. A search that serves several is done once."""

    def __init__(self, kind: ApproximateKind, index: Any, trials: Sequence[Trial]) -> None:
        self.kind, self.index, self.trials = kind, index, trials
        self._order = [*range(len(trials))]
        self._found: dict[tuple[int, Effort, int], Int64Array] = {}

    def shares(self, effort: Effort, least: float) -> Float64Array:
        """Return the shares found, (trials, k): NaN after a trial with one that is too low."""
        shares = np.full((len(self.trials), len(RECALL_AT)), np.nan)
        for number in self._order:
            trial = self.trials[number]
            for column, k in enumerate(RECALL_AT):
                rows = self._rows(number, effort, k)
                shares[number, column] = share_found(rows, trial.scores, trial.places, k)
            if shares[number].min() < least:
                # The next effort most likely fails by the same queries, if it does.
                self._order.remove(number)
                self._order.insert(0, number)
                break
        return shares

    def _rows(self, number: int, effort: Effort, k: int) -> Int64Array:
        """Return the rows that are found for the queries of a trial, best first."""
        if self.kind == "hnsw":
            # A walk for fewer rows is shorter.
            return self._search(number, effort, k)
        # Whatever is fetched, the same rows are compared: one search serves all.
        most = self._search(number, replace(effort, fetch=FETCHES[-1]), max(RECALL_AT))
        return most[:, : effort.fetch * k + SPARE]

    def _search(self, number: int, effort: Effort, k: int) -> Int64Array:
        key = number, effort, k
        if key not in self._found:
            queries = self.trials[number].queries
            self._found[key] = search_index(self.kind, self.index, queries, k, effort)
        return self._found[key]


def far_weights(weights: Float64Array) -> Float64Array:
    """Return weights to measure recall under, (S, B): the own, their opposite, each block alone."""
    if len(weights) == 1:
        return weights[None]
    opposite = (1 - weights) / (len(weights) - 1)
    return np.unique([weights, opposite, *np.eye(len(weights))], axis=0)


def weighed_queries(
    space: SearchSpace, vectors: Sequence[Float32Array], present: BoolArray, weights: Float64Array
) -> list[Float32Array]:
    """Return queries fused by weights as they were given, and by weights far from these."""
    expected = space.expected_similarities(vectors)
    fused = []
    for row in far_weights(weights):
        shared = effective_weights(row, present)
        asked = shared.any(axis=1)
        fused.append(fuse_queries(vectors, shared, expected)[asked])
    return [queries for queries in fused if len(queries)]


def scan_together(
    rows: Iterable[FloatingArray], queries: Sequence[Float32Array], count: int
) -> list[tuple[Float32Array, Int64Array]]:
    """Return scores and places of the nearest rows of several batches of queries, in one scan."""
    scores, places = scan_rows(rows, padded(np.concatenate(queries)), count)
    ends = np.cumsum([len(batch) for batch in queries])[:-1]
    return list(zip(np.split(scores, ends), np.split(places, ends), strict=True))


def choose_effort(
    kind: ApproximateKind,
    index: Any,
    rows: Iterable[Float32Array],
    queries: Sequence[Float32Array],
    recall: float,
) -> Effort:
    """Find the effort that costs least of those that reach a recall for all batches of queries.

    What is tried costs more and more, so that the first that reaches it is the one.
    """
    widths = _widths(kind, index)
    if not queries:
        # Too few cards to hold some out are all compared.
        return Effort(FETCHES[-1], **widths[-1])
    truths = scan_together(rows, queries, KEPT)
    trials, compared = _trials(kind, index, widths, queries, truths)
    reached = [[trial.steps_at(k) for k in RECALL_AT] for trial in trials]
    measurement = Measurement(kind, index, trials)

    def chosen(effort: Effort, step: int, shares: Float64Array) -> Effort:
        share = min(1.0, float(compared[step]) / index.ntotal) if kind == "ivf" else None
        return replace(effort, recall=float(shares.min()), compared=share)

    def cost(fetch: int, step: int) -> float:
        return float(compared[step]) + CANDIDATE * fetch * max(RECALL_AT)

    nothing = np.zeros((len(trials), len(RECALL_AT)))
    lost = dict.fromkeys(FETCHES, nothing)
    step = _first_step(reached, recall + nothing)
    waiting = [(cost(fetch, step), fetch, step) for fetch in FETCHES if step < len(widths)]
    while waiting:
        _, fetch, step = heappop(waiting)
        effort = Effort(fetch, **widths[step])
        shares = measurement.shares(effort, recall)
        if shares.min() >= recall:  # NaN is not
            return chosen(effort, step, shares)
        # What the codes of some cells lose, those of more cells lose as well.
        within = np.array([[np.mean(steps <= step) for steps in own] for own in reached])
        lost[fetch] = np.fmax(lost[fetch], within - shares)
        step = max(step + 1, _first_step(reached, recall + lost[fetch]))
        if step < len(widths):
            heappush(waiting, (cost(fetch, step), fetch, step))
    widest = Effort(FETCHES[-1], **widths[-1])
    return chosen(widest, -1, measurement.shares(widest, 0.0))


def _widths(kind: ApproximateKind, index: Any) -> list[dict[str, Any]]:
    """Return what an effort may be of, in the order of what it costs."""
    if kind == "ivf":
        return [{"margin": round(step * MARGIN_STEP, 3)} for step in range(MARGINS)]
    if kind == "hnsw":
        return [{"walk": min(2**n, index.ntotal)} for n in range(3, LONGEST_WALK)]
    return [{}]


def _trials(
    kind: ApproximateKind,
    index: Any,
    widths: Sequence[Mapping[str, Any]],
    queries: Sequence[Float32Array],
    truths: Sequence[tuple[Float32Array, Int64Array]],
) -> tuple[list[Trial], Float64Array]:
    """Return what is to be found, and how many codes a query is compared with, by the step."""
    if kind != "ivf":
        pairs = zip(queries, truths, strict=True)
        trials = [Trial(own, *truth, np.zeros_like(truth[1])) for own, truth in pairs]
        return trials, np.array([LINKS * width.get("walk", index.ntotal) for width in widths])
    margins = np.array([width["margin"] for width in widths], dtype=np.float32)
    cell, trials, compared = cells_of_rows(index), [], np.zeros(len(widths) + 1)
    sizes = np.bincount(cell, minlength=index.nlist)
    for own, (scores, places) in zip(queries, truths, strict=True):
        steps = np.searchsorted(margins, centre_gaps(index, own))
        trials.append(Trial(own, scores, places, np.take_along_axis(steps, cell[places], axis=1)))
        for row in steps:
            compared += np.bincount(row, weights=sizes, minlength=len(compared))
    return trials, np.cumsum(compared)[:-1] / sum(map(len, queries))


def _first_step(reached: Sequence[Sequence[Int64Array]], needed: Float64Array) -> int:
    """Return the first step whose cells hold the needed share, (trials, k), of each trial."""
    firsts = [0]
    for own, shares in zip(reached, needed, strict=True):
        for steps, share in zip(own, shares, strict=True):
            count = int(np.ceil(share * len(steps) - ROUNDING))
            firsts.append(int(steps[count - 1]) if count <= len(steps) else MARGINS)
    return max(firsts)


def share_found(found: Int64Array, scores: Float32Array, places: Int64Array, k: int) -> float:
    """Return which share of the k nearest, or of any as near as the last of them, was found."""
    k = min(k, scores.shape[1])
    near = np.where(_is_near(scores, k), places, MISSING)
    hits = [np.isin(own[own >= 0], rows).sum() for own, rows in zip(near, found, strict=True)]
    return float(np.minimum(hits, k).mean()) / k


def _is_near(scores: Float32Array, k: int) -> BoolArray:
    """Return which of the nearest, whose scores fall along a row, are as near as the k-th."""
    near: BoolArray = scores >= scores[:, [min(k, scores.shape[1]) - 1]] - SCORE_ERROR
    return near
