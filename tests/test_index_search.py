"""The search finds what comparing with every card finds."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace

import faiss
import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import Made, random_cards, random_rows

from prodcat_index.encoders.base import unit_rows
from prodcat_index.index.search import (
    MADE_SEARCHERS,
    QUERY_CHUNK,
    Neighbours,
    SearchSpace,
    find_neighbours,
)
from prodcat_index.index.searchers import SPARE, FlatSearcher, HalfSearcher, scan_rows

Rows = Sequence[npt.NDArray[np.float32]]
Mask = npt.NDArray[np.bool_]

# Rows whose cosines are exact in every precision, so that equal similarities are truly equal.
LATTICE = np.array(
    [[a, b, c, d] for a in (1, -1) for b in (1, -1) for c in (1, -1) for d in (1, -1)]
)
EXACT_WEIGHTS = ([0.5, 0.5], [0.75, 0.25], [1.0, 0.0], [0.0, 1.0], [0.125, 0.875])


def lattice_rows(rng: np.random.Generator, present: Mask) -> npt.NDArray[np.float32]:
    rows = LATTICE[rng.integers(0, len(LATTICE), len(present))] / 2
    return (rows * present[:, None]).astype(np.float32)


def lattice_cards(rng: np.random.Generator, n: int, missing: float = 0.2) -> Made:
    present = rng.random((n, 2)) >= missing
    vectors = [lattice_rows(rng, present[:, b]).astype(np.float16) for b in range(2)]
    return Made(vectors, present, rng.permutation(n))


def brute_force(
    cards: Made, queries: Rows, present: Mask, weights: npt.NDArray[np.float64], k: int, may: Mask
) -> tuple[list[list[int]], list[list[float]]]:
    rows, values = [], []
    for similarities in cards.similarities(queries, present, weights):
        ranked = sorted(
            (row for row in np.flatnonzero(may) if not np.isnan(similarities[row])),
            key=lambda row: (-similarities[row], cards.order[row]),
        )[:k]
        rows.append([int(row) for row in ranked] + [-1] * (k - len(ranked)))
        values.append([similarities[row] for row in ranked] + [np.nan] * (k - len(ranked)))
    return rows, values


def check_against_brute_force(
    cards: Made, queries: Rows, present: Mask, weights: Sequence[float], k: int, may: Mask
) -> Neighbours:
    vector = np.array(weights)
    rows, values = brute_force(cards, queries, present, vector, k, may)
    found = find_neighbours(cards.space, queries, present, vector, k, may)
    assert found.rows.tolist() == rows
    np.testing.assert_array_equal(found.similarities, values)
    return found


def test_a_made_index_scores_the_rows_as_they_are() -> None:
    """Its 16 bits are those of the blocks, so it may round no more than sums of float32 do."""
    rng = np.random.default_rng(11)
    cards = random_cards(rng, 9000, (40, 1, 7))
    searcher = HalfSearcher(cards.vectors, cards.present)
    assert searcher.faiss_index.d == 64 > 40 + 1 + 7 + 3
    query = rng.normal(size=(5, 51)).astype(np.float32)
    query /= np.linalg.norm(query, axis=1, keepdims=True)
    scores, rows = searcher.faiss_index.search(np.pad(query, ((0, 0), (0, 13))), 9000)
    fused = np.concatenate([*cards.vectors, ~cards.present], axis=1, dtype=np.float64)
    exact = np.take_along_axis(query.astype(np.float64) @ fused.T, rows, axis=1)
    np.testing.assert_allclose(scores, exact, atol=1e-6)
    one = HalfSearcher([cards.vectors[1]], cards.present[:, 1:2]).faiss_index
    assert one.ntotal == 9000 and one.sa_code_size() == 2 * 16


@pytest.mark.parametrize("share", [1.0, 0.3])
def test_a_first_query_needs_no_copy_and_finds_the_same(share: float) -> None:
    """A copy of all rows takes longer than all else of a query from the command line."""
    rng = np.random.default_rng(12)
    cards = random_cards(rng, 2500, (40, 1))
    may = rng.random(2500) < share
    query = rng.normal(size=(1, 43)).astype(np.float32)
    searcher = HalfSearcher(cards.vectors, cards.present)
    first = searcher.search(query, 10, may)[0]
    assert "faiss_index" not in vars(searcher)
    np.testing.assert_array_equal(searcher.search(query, 10, may)[0], first)
    assert searcher.faiss_index.ntotal == 2500
    several = HalfSearcher(cards.vectors, cards.present)
    several.search(np.repeat(query, 2, axis=0), 10)
    assert "faiss_index" in vars(several)


def test_rows_of_32_bits_keep_them_in_a_made_index() -> None:
    """The classifier takes rows of any origin; narrow ones are not told apart in 16 bits."""
    rows = (1 + np.arange(50, dtype=np.float32)[:, None] * 1e-6) * [[0.6, 0.8]]
    space = SearchSpace(None, [rows.astype(np.float32)], np.ones((50, 1), bool), ids=np.asarray)
    searcher, _ = space.searcher_of([0])
    np.testing.assert_array_equal(searcher.rows[:, :2], rows.astype(np.float32))


def everyone(cards: Made) -> Mask:
    return np.ones(len(cards.present), bool)


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32),
    n=st.integers(1, 120),
    k=st.integers(1, 60),
    weights=st.sampled_from(EXACT_WEIGHTS),
    missing=st.sampled_from([0.0, 0.2, 0.8]),
    share=st.sampled_from([1.0, 0.5, 0.02]),
    stored=st.booleans(),
)
def test_the_same_cards_in_the_same_order_as_brute_force(
    seed: int, n: int, k: int, weights: list[float], missing: float, share: float, stored: bool
) -> None:
    """Among 256 possible cards most similarities are tied: the ids must settle every tie.

    By the stored index, and by the one of 16 bits that is made where that has other blocks.
    """
    rng = np.random.default_rng(seed)
    cards = replace(lattice_cards(rng, n, missing), is_stored=stored)
    present = rng.random((4, 2)) >= missing
    queries = [lattice_rows(rng, present[:, b]) for b in range(2)]
    check_against_brute_force(cards, queries, present, weights, k, rng.random(n) < share)


@pytest.mark.parametrize("weights", [[0.2, 0.3, 0.5], [0.7, 0.0, 0.3]])
def test_similarities_of_real_valued_rows_are_those_of_brute_force(weights: list[float]) -> None:
    rng = np.random.default_rng(0)
    cards = random_cards(rng, 500, (16, 40, 3))
    present = rng.random((20, 3)) > 0.2
    queries = [random_rows(rng, 20, d, present[:, b]) for b, d in enumerate((16, 40, 3))]
    vector = np.array(weights)
    truth = cards.similarities(queries, present, vector)
    found = find_neighbours(cards.space, queries, present, vector, 12)
    for query, rows in enumerate(found.rows):
        if np.isnan(truth[query]).all():
            assert rows.tolist() == [-1] * 12
            continue
        nearest = np.sort(truth[query])[::-1][:12]
        np.testing.assert_allclose(found.similarities[query], nearest, atol=1e-6)
        np.testing.assert_allclose(truth[query, rows], nearest, atol=1e-6)
        assert len(set(rows)) == 12
        assert np.all(np.diff(found.similarities[query]) <= 0)


def test_more_equal_cards_at_the_cut_than_are_fetched_at_first() -> None:
    """Three times the spare: FAISS drops some of the equal cards, and not those of later ids."""
    rng = np.random.default_rng(1)
    copies = 3 * SPARE
    n = copies + 40
    cards = lattice_cards(rng, n, missing=0.0)
    places = rng.permutation(n)[:copies]
    for vectors in cards.vectors:
        vectors[places] = vectors[places[0]]
    queries = [vectors[[places[0]]].astype(np.float32) for vectors in cards.vectors]
    here = np.ones((1, 2), bool)
    found = check_against_brute_force(cards, queries, here, [0.5, 0.5], 5, everyone(cards))
    equal = np.flatnonzero(
        (cards.vectors[0] == queries[0][0]).all(1) & (cards.vectors[1] == queries[1][0]).all(1)
    )
    first_ids = sorted(equal, key=cards.order.__getitem__)[:5]
    assert found.rows[0].tolist() == first_ids
    assert found.similarities[0].tolist() == [1.0] * 5


def test_a_catalogue_of_one_card_repeated() -> None:
    n = 200
    one = np.tile(np.array([[0.5, 0.5, 0.5, -0.5]], np.float16), (n, 1))
    order = np.random.default_rng(2).permutation(n)
    everyone_has_it = np.ones((n, 1), bool)
    cards = Made([one], everyone_has_it, order)
    found = find_neighbours(
        cards.space, [one[:1].astype(np.float32)], np.ones((1, 1), bool), np.ones(1), 7
    )
    assert cards.order[found.rows[0]].tolist() == list(range(7))


def test_fewer_cards_than_asked_for_leave_the_rest_empty() -> None:
    """FAISS fills up with -1, and -1 is the last card to numpy."""
    cards = lattice_cards(np.random.default_rng(3), 4, missing=0.0)
    queries = [vectors[:1].astype(np.float32) for vectors in cards.vectors]
    found = check_against_brute_force(
        cards, queries, np.ones((1, 2), bool), [0.5, 0.5], 9, everyone(cards)
    )
    assert sorted(found.rows[0, :4]) == [0, 1, 2, 3]
    assert found.rows[0, 4:].tolist() == [-1] * 5
    assert np.isnan(found.by_block[0, 4:]).all()


def test_the_one_eligible_card_is_found_though_it_is_the_farthest() -> None:
    """The only labelled card of a large catalogue must get its vote."""
    rng = np.random.default_rng(4)
    cards = random_cards(rng, 400, (8,), missing=0.0)
    query = [random_rows(rng, 1, 8, np.ones(1, bool))]
    here, weights = np.ones((1, 1), bool), np.ones(1)
    farthest = int(np.argmin(cards.similarities(query, here, weights)[0]))
    found = find_neighbours(cards.space, query, here, weights, 3, np.arange(400) == farthest)
    assert found.rows[0].tolist() == [farthest, -1, -1]


def test_a_searcher_of_some_cards_finds_what_one_of_all_does() -> None:
    """Answers out of fold would name other cards, or those of the fold itself."""
    cards = random_cards(np.random.default_rng(3), 60, [5, 4])
    eligible = np.arange(60) % 3 > 0
    every = FlatSearcher.build(cards.vectors, cards.present)
    queries = np.random.default_rng(4).normal(size=(7, every.dim)).astype(np.float32)
    some = FlatSearcher.build(cards.vectors, cards.present, np.flatnonzero(eligible))
    assert len(some.rows) == eligible.sum()
    found, expected = (s.search(queries, 5, eligible)[0] for s in (some, every))
    assert np.isin(found, np.append(np.flatnonzero(eligible), -1)).all()
    for one, other in zip(found, expected, strict=True):
        assert len(set(one) - {-1}) >= 5
        assert set(one) - {-1} == set(other) - {-1}


def test_nobody_eligible_is_nobody_found() -> None:
    cards = random_cards(np.random.default_rng(5), 50, (8,), missing=0.0)
    query = [cards.vectors[0][:1].astype(np.float32)]
    found = find_neighbours(
        cards.space, query, np.ones((1, 1), bool), np.ones(1), 3, np.zeros(50, bool)
    )
    assert found.rows.tolist() == [[-1, -1, -1]]


def test_a_query_without_anything_does_not_disturb_the_others() -> None:
    rng = np.random.default_rng(6)
    cards = lattice_cards(rng, 60)
    present = np.array([[False, False], [True, True], [False, False]])
    queries = [lattice_rows(rng, present[:, b]) for b in range(2)]
    found = check_against_brute_force(cards, queries, present, [0.5, 0.5], 4, everyone(cards))
    assert found.rows[0].tolist() == found.rows[2].tolist() == [-1] * 4
    assert found.weights.tolist() == [[0, 0], [0.5, 0.5], [0, 0]]


def test_a_block_of_no_weight_is_shown_but_decides_nothing() -> None:
    """Two cards equal in the weighted block: the unweighted one must not settle their order."""
    rows = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]], np.float16)
    silent = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0]], np.float16)
    there = np.ones((3, 2), bool)
    cards = Made([rows, silent], there, np.arange(3))
    query = [np.array([[1.0, 0.0]], np.float32)] * 2
    found = find_neighbours(cards.space, query, np.ones((1, 2), bool), np.array([1.0, 0.0]), 3)
    assert found.rows[0].tolist() == [0, 1, 2]
    assert found.similarities[0].tolist() == [1.0, 1.0, 0.0]
    assert found.by_block[0].tolist() == [[1.0, 0.0], [1.0, 1.0], [0.0, 1.0]]


def test_the_cosine_of_a_missing_block_is_nan_and_its_expectation_counts() -> None:
    """The other cards' cosines are 0, 0.5 and 1; their 90th percentile, rounded down, is 0.5."""
    titles = np.ones((4, 1), np.float16)
    texts = np.array([[0.0, 0.0], [0.0, 1.0], [0.5, 0.75**0.5], [1.0, 0.0]], np.float16)
    present = np.array([[True, row > 0] for row in range(4)])
    cards = Made([titles, texts], present, np.arange(4))
    query = [np.ones((1, 1), np.float32), np.array([[1.0, 0.0]], np.float32)]
    found = find_neighbours(cards.space, query, np.ones((1, 2), bool), np.array([0.5, 0.5]), 4)
    assert found.rows[0].tolist() == [3, 0, 2, 1]
    assert found.similarities[0].tolist() == [1.0, 0.75, 0.75, 0.5]
    np.testing.assert_array_equal(found.by_block[0, :, 1], [1.0, np.nan, 0.5, 0.0])


def test_cosines_are_nan_where_a_side_is_missing() -> None:
    queries = [np.array([[1.0, 0.0], [0.0, 1.0]], np.float32), np.array([[0.0], [1.0]], np.float32)]
    titles = np.array([[0.6, 0.8], [-1.0, 0.0], [0.0, 0.0]], np.float16)
    present = np.array([[True, True], [True, True], [False, True]])
    space = SearchSpace(None, [titles, np.ones((3, 1), np.float16)], present, ids=np.asarray)
    found = space.compare(queries, np.array([[1, 2, 0], [0, -1, 1]]))
    titles_found, ones_found = [[-1, np.nan, 0.6], [0.8, np.nan, 0]], [[np.nan] * 3, [1, np.nan, 1]]
    np.testing.assert_allclose(found, np.stack([titles_found, ones_found], axis=2), atol=1e-3)
    only = space.compare(queries, np.array([[0], [1]]), [1])
    np.testing.assert_array_equal(only, [[[np.nan, np.nan]], [[np.nan, 1]]])


def many_queries(n: int) -> tuple[Made, Rows, Mask, npt.NDArray[np.float64]]:
    rng = np.random.default_rng(7)
    cards = random_cards(rng, 300, (24, 5))
    present = rng.random((n, 2)) > 0.2
    queries = [random_rows(rng, n, d, present[:, b]) for b, d in enumerate((24, 5))]
    return cards, queries, present, np.array([0.3, 0.7])


def check_identical(one: Neighbours, other: Neighbours) -> None:
    np.testing.assert_array_equal(one.rows, other.rows)
    assert one.similarities.tobytes() == other.similarities.tobytes()
    assert one.by_block.tobytes() == other.by_block.tobytes()


@pytest.mark.parametrize("k", [1, 10])
def test_a_listing_gets_the_same_answer_alone_and_in_a_batch(k: int) -> None:
    """Bit for bit: a nightly batch and the look-up page must not disagree."""
    cards, queries, present, weights = many_queries(64)
    space = cards.space
    together = find_neighbours(space, queries, present, weights, k)
    alone = [
        find_neighbours(space, [q[[i]] for q in queries], present[[i]], weights, k)
        for i in range(64)
    ]
    fields = ("rows", "similarities", "by_block", "weights")
    joined = {name: np.concatenate([getattr(a, name) for a in alone]) for name in fields}
    check_identical(together, replace(together, **joined))


def test_more_queries_than_one_chunk_are_all_answered() -> None:
    cards, queries, present, weights = many_queries(QUERY_CHUNK + 7)
    space = cards.space
    together = find_neighbours(space, queries, present, weights, 2)
    last = slice(QUERY_CHUNK - 3, None)
    alone = find_neighbours(space, [q[last] for q in queries], present[last], weights, 2)
    np.testing.assert_array_equal(together.rows[last], alone.rows)
    assert (together.rows[present.any(axis=1)] >= 0).all()


@pytest.fixture
def threads() -> Iterator[None]:
    before = faiss.omp_get_max_threads()
    yield
    faiss.omp_set_num_threads(before)


@pytest.mark.usefixtures("threads")
def test_the_number_of_threads_changes_nothing() -> None:
    """Else an answer depends on the machine."""
    cards, queries, present, weights = many_queries(64)
    answers = []
    for threads in (1, 2, 5):
        faiss.omp_set_num_threads(threads)
        answers.append(find_neighbours(cards.space, queries, present, weights, 10))
    check_identical(answers[0], answers[1])
    check_identical(answers[0], answers[2])


def test_nearly_equal_cards_at_the_cut_are_those_of_brute_force() -> None:
    """Rounded to 16 bits rows are up to 0.0005 too long: their similarity must not be cut at 1.

    FAISS does not cut it, and would propose other cards than those that rank first.
    """
    rng = np.random.default_rng(8)
    n = 400
    near = unit_rows(np.ones(6) + rng.normal(scale=0.01, size=(n, 6))).astype(np.float16)
    there = np.ones((n, 1), bool)
    cards = Made([near], there, rng.permutation(n))
    query = [near[:1].astype(np.float32)]
    found = find_neighbours(cards.space, query, there[:1], np.ones(1), 5)
    truth = cards.similarities(query, there[:1], np.ones(1))[0]
    ranked = sorted(range(n), key=lambda row: (-truth[row], cards.order[row]))[:5]
    np.testing.assert_allclose(truth[found.rows[0]], truth[ranked], atol=1e-6)
    assert found.similarities[0].tolist() == [1.0] * 5
    assert found.by_block[0, :, 0].tolist() == [1.0] * 5


def test_scores_of_faiss_are_not_trusted_to_the_last_bit() -> None:
    """Of cards that are equal but for rounding, FAISS would choose which are found at all.

    Every card holds the same numbers in another order: its true similarity is the same, and what
    is added up in float32 depends on the order of the sum.
    """
    rng = np.random.default_rng(9)
    n, dim, k = 600, 63, 5
    numbers = unit_rows(rng.normal(size=(1, dim)))[0].astype(np.float16)
    rows = np.stack([rng.permutation(numbers) for _ in range(n)])
    there = np.ones((n, 1), bool)
    cards = Made([rows], there, rng.permutation(n))
    query = unit_rows(np.ones((1, dim)))
    exact = np.vecdot(rows.astype(np.float32), query[0])
    expected = np.lexsort((cards.order, -exact.astype(np.float64)))[:k]
    fused = np.concatenate([query, [[0]]], axis=1, dtype=np.float32)
    scores, proposed = faiss.knn(fused, cards.space.searcher.rows, n, faiss.METRIC_INNER_PRODUCT)
    assert 0 < scores.max() - scores.min() < 1e-5
    assert not set(expected) <= set(proposed[0, : k + SPARE])
    found = find_neighbours(cards.space, [query], there[:1], np.ones(1), k)
    assert found.rows[0].tolist() == expected.tolist()


def of_two_blocks(n: int) -> tuple[Made, Rows, Mask]:
    """Cards whose nearest in one block are others than in the other; more than are fetched."""
    rng = np.random.default_rng(10)
    cards = random_cards(rng, n, (8, 8, 8), missing=0.0)
    return cards, [random_rows(rng, 4, 8, np.ones(4, bool)) for _ in range(3)], cards.present[:4]


def test_weights_that_the_stored_index_does_not_hold_find_what_they_call_near() -> None:
    """Another index is made in memory: of those blocks, kept under those, and never mixed up."""
    cards, queries, present = of_two_blocks(600)
    stored = FlatSearcher.build(cards.vectors[:1], cards.present[:, :1])
    space = replace(cards.space, searcher=stored, covered=[0])
    weightings = ([0, 1, 0], [0, 0, 1], [0, 0.1, 0.9], [0.1, 0.9, 0], [0.1, 0, 0.9], [1, 0, 0])
    for weights in (*weightings, *reversed(weightings)):
        vector = np.array(weights, dtype=float)
        expected = np.argsort(-cards.similarities(queries, present, vector), axis=1)[:, :3]
        found = find_neighbours(space, queries, present, vector, 3)
        assert found.rows.tolist() == expected.tolist(), weights


def test_few_indexes_of_other_weights_are_kept_in_memory() -> None:
    """Each is as large as the catalogue: whoever tries weights would run out of memory."""
    cards, _, _ = of_two_blocks(10)
    space = replace(cards.space, searcher=None)
    keys = [[0], [1], [2], [0, 1], [0, 2], [1, 2], [0, 1, 2]]
    made = [space.searcher_of(key)[0] for key in keys]
    assert len(space._made) == MADE_SEARCHERS == 3
    assert space.searcher_of(keys[-3])[0] is made[-3]
    space.searcher_of([0])
    # The least recently used one made room.
    assert list(space._made) == [(0, 1, 2), (0, 2), (0,)]
    assert [searcher.faiss_index.d for searcher in space._made.values()] == [32, 32, 16]


def test_a_searcher_that_may_miss_cards_is_noted() -> None:
    """Answers of an approximate index would be taken for exact ones."""

    class Nearly:
        def search(self, queries: Rows, k: int, eligible: Mask | None = None) -> object:
            return np.tile([7, -1, 3], (len(queries), 1)), False

    cards, queries, present = of_two_blocks(10)
    vector = np.array([0.2, 0.3, 0.5])
    found = find_neighbours(replace(cards.space, searcher=Nearly()), queries, present, vector, 3)
    assert not found.is_exact
    assert find_neighbours(cards.space, queries, present, vector, 3).is_exact
    truth = cards.similarities(queries, present, vector)
    for query, rows in enumerate(found.rows):
        assert rows.tolist() == [*sorted([3, 7], key=lambda row: -truth[query, row]), -1]
        np.testing.assert_allclose(found.similarities[query, :2], truth[query, rows[:2]], atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), share=st.sampled_from([0.02, 0.3, 1.0]), k=st.integers(1, 40))
def test_rows_that_were_removed_and_added_are_searched_like_others(
    seed: int, share: float, k: int
) -> None:
    """Cards that left the catalogue would be found, or those that came would not."""
    rng = np.random.default_rng(seed)
    old, new = lattice_cards(rng, 150), lattice_cards(rng, 40)
    kept = np.flatnonzero(rng.random(150) < 0.7)
    searcher = FlatSearcher.build(old.vectors, old.present)
    searcher = searcher.select(kept).extended(new.vectors, new.present)
    n = len(kept) + 40
    cards = Made(
        [np.concatenate([a[kept], b]) for a, b in zip(old.vectors, new.vectors, strict=True)],
        np.concatenate([old.present[kept], new.present]),
        rng.permutation(n),
    )
    np.testing.assert_array_equal(
        np.asarray(searcher.rows), FlatSearcher.build(cards.vectors, cards.present).rows
    )
    present = rng.random((5, 2)) >= 0.2
    queries = [lattice_rows(rng, present[:, b]) for b in range(2)]
    weights, may = np.array([0.75, 0.25]), rng.random(n) < share
    space = replace(cards.space, searcher=searcher)
    found = find_neighbours(space, queries, present, weights, k, may)
    rows, values = brute_force(cards, queries, present, weights, k, may)
    assert found.rows.tolist() == rows
    np.testing.assert_array_equal(found.similarities, values)


def test_few_eligible_cards_are_compared_whatever_the_searcher_proposes() -> None:
    """A filter that few cards match would find nothing in an approximate index."""
    cards, queries, present = of_two_blocks(600)
    may = np.zeros(600, bool)
    may[[3, 77, 500]] = True
    space = replace(cards.space, searcher=None)
    found = find_neighbours(space, queries, present, np.array([0.2, 0.3, 0.5]), 5, may)
    assert np.sort(found.rows).tolist() == [[-1, -1, 3, 77, 500]] * 4
    assert found.is_exact and not space._made


def test_ids_are_read_of_no_other_cards_than_those_that_tie() -> None:
    """A first query would read the ids of a million cards."""
    rows = np.array([[1, 0], [0.5, 0], [0.5, 0], [0, 0], [-1, 0], [-1, 0]], np.float16)
    asked: list[int] = []

    def ids(chosen: npt.NDArray[np.int64]) -> list[str]:
        asked.extend(chosen.tolist())
        return ["bcafed"[row] for row in chosen]

    space = SearchSpace(None, [rows], np.ones((6, 1), bool), ids)
    query, here = [np.array([[1.0, 0.0]], np.float32)], np.ones((1, 1), bool)
    found = find_neighbours(space, query, here, np.ones(1), 1)
    assert (found.rows.tolist(), asked) == ([[0]], [])
    found = find_neighbours(space, query, here, np.ones(1), 4)
    assert found.rows.tolist() == [[0, 2, 1, 3]]
    assert set(asked) == {1, 2}


@pytest.mark.parametrize("pieces", [2, 15, 16, 17, 70])
def test_rows_in_any_number_of_pieces_are_scanned_as_in_one(pieces: int) -> None:
    """What is found in millions of cards would lack some of the nearest without a sign of it."""
    rng = np.random.default_rng(5)
    rows, queries = (random_rows(rng, n, 8, np.ones(n, dtype=bool)) for n in (400, 20))
    scores, places = scan_rows([rows], queries, 30)
    found = scan_rows(np.array_split(rows, pieces), queries, 30)
    np.testing.assert_array_equal(found[1], places)
    np.testing.assert_allclose(found[0], scores, atol=1e-6)


def test_a_search_leaves_the_setting_of_faiss_as_it_was() -> None:
    """Other indexes of the same process would be searched in another way, for better or worse."""
    before = faiss.cvar.distance_compute_blas_threshold
    cards, queries, present, weights = many_queries(64)
    find_neighbours(cards.space, queries, present, weights, 10)
    assert faiss.cvar.distance_compute_blas_threshold == before


FORK = """
import os, signal
import numpy as np
from prodcat_index.index.searchers import FlatSearcher

rows = np.random.default_rng(0).normal(size=(500, 8)).astype(np.float32)
searcher = FlatSearcher.build([rows], np.ones((500, 1), dtype=bool))
queries = np.pad(rows, ((0, 0), (0, 1)))
found = np.sort(searcher.search(queries, 5)[0]).tolist()
if not (child := os.fork()):
    signal.alarm(60)
    again = np.sort(searcher.search(queries, 5)[0]).tolist()
    os._exit(0 if again == found else 1)
print(os.waitpid(child, 0)[1])
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="processes cannot be forked here")
def test_a_forked_process_finds_what_its_parent_finds() -> None:
    """A worker of a web server or of multiprocessing would hang for ever."""
    # More than one thread: those of FAISS exist in the parent only.
    ended = subprocess.run(
        [sys.executable, "-c", FORK],
        env=os.environ | {"OMP_NUM_THREADS": "2"},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert ended.stdout == "0\n"
