"""The effort of an approximate search: the cheapest that reaches the recall, and no guess."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from prodcat_index.encoders.base import unit_rows
from prodcat_index.index import effort as efforts
from prodcat_index.index.effort import FETCHES, Trial, choose_effort, far_weights, share_found
from prodcat_index.index.kinds import RECALL_AT, ApproximateKind
from prodcat_index.index.quantized import (
    Effort,
    cells_of_rows,
    centre_gaps,
    fill_index,
    search_index,
    trained_index,
)
from prodcat_index.index.searchers import padded, scan_rows

N, DIM = 2500, 24


def rows_of(seed: int, n: int, noise: float = 0.3) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    about = np.random.default_rng(0).normal(size=(12, DIM))
    return padded(unit_rows(about[rng.integers(0, 12, n)] + noise * rng.normal(size=(n, DIM))))


ROWS = rows_of(1, N)
# The second batch asks for a part of the columns alone, as the weights of one block do.
QUERIES = [rows_of(2, 120), rows_of(3, 80) * (np.arange(32) < 3).astype(np.float32)]
INDEXES: dict[tuple[ApproximateKind, float], Any] = {}


def index_of(kind: ApproximateKind, coarse: float = 0.0) -> Any:
    """Index the rows; coarse codes are of ranges that are wider than the values by so much."""
    if (kind, coarse) not in INDEXES:
        low, high = ROWS.min(axis=0) - coarse, ROWS.max(axis=0) + coarse
        index = trained_index(kind, np.stack([low, high - low]), ROWS, 48)
        fill_index(kind, index, lambda: [ROWS[:1000], ROWS[1000:]])
        INDEXES[kind, coarse] = index
    return INDEXES[kind, coarse]


def chosen(kind: ApproximateKind, recall: float, coarse: float = 0.0) -> Effort:
    return choose_effort(kind, index_of(kind, coarse), [ROWS], QUERIES, recall)


def recall_of(kind: ApproximateKind, effort: Effort, coarse: float = 0.0) -> float:
    """Return the lowest recall of an effort, by a search for each number of neighbours."""
    lowest = 1.0
    for queries in QUERIES:
        truth = scan_rows([ROWS], queries, 64)
        for k in RECALL_AT:
            found = search_index(kind, index_of(kind, coarse), queries, k, effort)
            lowest = min(lowest, share_found(found, *truth, k))
    return lowest


@pytest.mark.parametrize("recall", [0.5, 0.9, 0.99, 1.0])
def test_the_margin_is_the_least_that_reaches_the_recall(recall: float) -> None:
    """A wider one compares more cards at every query, and a narrower one breaks the promise."""
    effort = chosen("ivf", recall)
    assert effort.recall >= recall
    assert effort.recall == pytest.approx(recall_of("ivf", effort), abs=1e-12)
    assert effort.fetch == 1 or recall == 1
    gaps = np.concatenate([centre_gaps(index_of("ivf"), queries) for queries in QUERIES])
    sizes = np.bincount(cells_of_rows(index_of("ivf")), minlength=48)
    within = (gaps <= np.float32(effort.margin)) @ sizes
    assert effort.compared == pytest.approx(within.mean() / N)
    narrower = Effort(effort.fetch, round(effort.margin - efforts.MARGIN_STEP, 3))
    assert recall_of("ivf", narrower) < recall


@pytest.mark.parametrize("coarse", [0.5, 4.0, 10.0])
def test_what_codes_lose_is_made_up_for_by_the_cheapest_effort(coarse: float) -> None:
    effort = chosen("ivf", 0.97, coarse)
    assert effort.recall >= 0.97
    assert effort.recall == pytest.approx(recall_of("ivf", effort, coarse), abs=1e-12)
    # Compared with all that was not tried.
    gaps = [centre_gaps(index_of("ivf", coarse), queries) for queries in QUERIES]
    sizes = np.bincount(cells_of_rows(index_of("ivf", coarse)), minlength=48)

    def cost(fetch: int, margin: float) -> float:
        compared = np.concatenate([(each <= np.float32(margin)) @ sizes for each in gaps])
        return float(compared.mean()) + efforts.CANDIDATE * fetch * 30

    own = cost(effort.fetch, effort.margin)
    margins = np.round(np.arange(efforts.MARGINS) * efforts.MARGIN_STEP, 3).tolist()
    for fetch in FETCHES:
        cheaper = [margin for margin in margins if cost(fetch, margin) < own - 1e-6]
        if cheaper:
            assert recall_of("ivf", Effort(fetch, cheaper[-1]), coarse) < 0.97


@pytest.mark.parametrize(("widest", "expected"), [(1900, Effort(1, 0.06)), (2000, Effort(2, 0.02))])
def test_wider_cells_or_more_candidates_whichever_cost_less(
    widest: int, expected: Effort, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Cells of four margins hold 90, 95, 97 and 100 % of the nearest, and codes lose 5 %."""
    within = [0.90, 0.95, 0.97, 1.0]
    monkeypatch.setattr(Trial, "steps_at", lambda *_: np.repeat(range(4), [90, 5, 2, 3]))
    trial = Trial(QUERIES[0], *scan_rows([ROWS], QUERIES[0], 64), np.zeros((120, 64), np.int64))
    compared = np.array([0, 1000, 1100, widest])

    def search(kind: Any, index: Any, queries: Any, k: int, effort: Effort) -> Any:
        return np.full((1, effort.fetch * k + 16), round(effort.margin / efforts.MARGIN_STEP))

    def share(found: Any, scores: Any, places: Any, k: int) -> float:
        return within[found[0, 0]] - 0.05 * (found.shape[1] == k + 16)

    monkeypatch.setattr(efforts, "_trials", lambda *_: ([trial], compared))
    monkeypatch.setattr(
        efforts, "_widths", lambda *_: [{"margin": m} for m in (0, 0.02, 0.04, 0.06)]
    )
    monkeypatch.setattr(efforts, "search_index", search)
    monkeypatch.setattr(efforts, "share_found", share)
    found = choose_effort("ivf", index_of("ivf"), [ROWS], QUERIES[:1], 0.94)
    # 960 or 1,920 candidates' worth of codes beside those that are compared.
    assert (found.fetch, found.margin) == (expected.fetch, expected.margin)
    assert found.recall == pytest.approx(0.95)


def test_codes_that_are_compared_are_those_of_cells_within_the_margin() -> None:
    index = index_of("ivf")
    widths = efforts._widths("ivf", index)
    truths = [scan_rows([ROWS], queries, 64) for queries in QUERIES]
    trials, compared = efforts._trials("ivf", index, widths, QUERIES, truths)
    gaps = np.concatenate([centre_gaps(index, queries) for queries in QUERIES])
    sizes = np.bincount(cells_of_rows(index), minlength=48)
    expected = [((gaps <= np.float32(w["margin"])) @ sizes).mean() for w in widths]
    np.testing.assert_allclose(compared, expected)
    margins = np.array([width["margin"] for width in widths], dtype=np.float32)
    for trial, queries in zip(trials, QUERIES, strict=True):
        cells = cells_of_rows(index)[trial.places]
        needed = np.take_along_axis(centre_gaps(index, queries), cells, axis=1)
        assert (needed <= margins[trial.steps]).all()
        assert (needed > margins[trial.steps - 1])[trial.steps > 0].all()


def test_few_searches_choose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Searches for all margins one after another took hours with a million cards."""
    searched = []

    def counted(*given: Any) -> Any:
        searched.append(given[-1])
        return search_index(*given)

    monkeypatch.setattr(efforts, "search_index", counted)
    assert chosen("ivf", 0.99).fetch == 1
    assert len(searched) <= 2 * len(QUERIES)
    searched.clear()
    assert chosen("ivf", 0.97, 4.0).fetch > 1
    assert len(searched) <= 3 * len(QUERIES)
    # Codes that lose too many, whatever is compared, are not searched again and again.
    searched.clear()
    assert chosen("sq8", 1.0, 1000.0).recall < 1
    assert len(searched) <= 2 * len(QUERIES)


@pytest.mark.parametrize("kind", ["sq8", "hnsw"])
def test_other_kinds_reach_the_recall_as_well(kind: ApproximateKind) -> None:
    for recall in (0.9, 0.99):
        effort = chosen(kind, recall)
        assert effort.recall >= recall
        assert effort.recall == pytest.approx(recall_of(kind, effort), abs=1e-12)
        assert effort.compared is None
    assert chosen("hnsw", 0.999).walk >= chosen("hnsw", 0.6).walk


def test_a_recall_that_no_effort_reaches_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efforts, "FETCHES", (1,))
    effort = chosen("ivf", 1.0, 4.0)
    assert (effort.fetch, effort.margin) == (1, 2.0)
    assert effort.recall == pytest.approx(recall_of("ivf", effort, 4.0), abs=1e-12)
    assert effort.recall < 1


def test_without_queries_everything_is_compared() -> None:
    effort = choose_effort("ivf", index_of("ivf"), [ROWS], [], 0.99)
    assert effort == Effort(FETCHES[-1], 2.0)


def test_steps_at_which_the_nearest_are_reached_worked_by_hand() -> None:
    trial = Trial(
        np.zeros((2, 4), np.float32),
        np.array([[0.9, 0.8, 0.8, 0.1], [0.9, 0.8, 0.7, 0.6]], dtype=np.float32),
        np.zeros((2, 4), np.int64),
        np.array([[7, 5, 3, 0], [2, 9, 4, 1]]),
    )
    assert trial.steps_at(1).tolist() == [2, 7]
    # The third is as near as the second, and is found two steps before it.
    assert trial.steps_at(2).tolist() == [2, 3, 5, 9]


def test_gaps_are_those_between_the_scores_of_centres() -> None:
    index = index_of("ivf")
    centres = index.quantizer.reconstruct_n(0, index.nlist).astype(float)
    scores = QUERIES[0].astype(float) @ centres.T
    expected = scores.max(axis=1, keepdims=True) - scores
    np.testing.assert_allclose(centre_gaps(index, QUERIES[0]), expected, atol=1e-6)
    nearest = ((ROWS[:, None] - centres[None]) ** 2).sum(axis=2).argmin(axis=1)
    np.testing.assert_array_equal(cells_of_rows(index), nearest)


def test_far_weights_are_the_own_their_opposite_and_each_block_alone() -> None:
    weights = far_weights(np.array([0.6, 0.3, 0.1]))
    expected = [[0, 0, 1], [0, 1, 0], [0.2, 0.35, 0.45], [0.6, 0.3, 0.1], [1, 0, 0]]
    np.testing.assert_allclose(weights, expected)
    np.testing.assert_array_equal(far_weights(np.array([1.0])), [[1.0]])
    np.testing.assert_array_equal(far_weights(np.array([1.0, 0.0])), [[0.0, 1.0], [1.0, 0.0]])
