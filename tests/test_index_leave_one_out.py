"""Candidates for tuning: exactly the neighbours that a search would find."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import random_cards

from prodcat_index.index import leave_one_out as pooling
from prodcat_index.index.leave_one_out import LabelledQueries, collect_pool
from prodcat_index.index.search import find_neighbours
from prodcat_index.voting.pool import Pool, rank

DIMS = (5, 3)


class Case:
    """Cards some of which ask the others, each with some that it must not see."""

    def __init__(self, seed: int, n: int = 40, missing: float = 0.2) -> None:
        rng = np.random.default_rng(seed)
        self.cards = random_cards(rng, n, DIMS, missing)
        self.codes = rng.integers(-1, 4, n)
        self.codes[:4] = range(4)
        self.rows = rng.permutation(n)[: n // 2]
        self.excluded = rng.random((n, n)) < 0.3
        self.weights = rng.dirichlet(np.ones(len(DIMS)))

    @property
    def queries(self) -> LabelledQueries:
        return LabelledQueries(
            vectors=[block[self.rows].astype(np.float32) for block in self.cards.vectors],
            present=self.cards.present[self.rows],
            true=self.codes[self.rows],
            exclude=lambda chosen, cards, _: self.excluded[self.rows[chosen]][:, cards],
        )

    def pool(self, *directions: npt.NDArray[np.float64], depth: int = 1000) -> Pool:
        return collect_pool(self.cards.space, self.codes, self.queries, directions, depth)

    def nearest(self, query: int, weights: npt.NDArray[np.float64], k: int) -> tuple[Any, Any]:
        """Similarities and categories of the neighbours that a search finds, and no others."""
        row = self.rows[query : query + 1]
        vectors = [block[row].astype(np.float32) for block in self.cards.vectors]
        eligible = (self.codes >= 0) & ~self.excluded[row[0]]
        found = find_neighbours(
            self.cards.space, vectors, self.cards.present[row], weights, k, eligible
        )
        kept = found.rows[0][found.rows[0] >= 0]
        return found.similarities[0][: len(kept)], self.codes[kept]


def check_ranking(case: Case, pool: Pool, weights: npt.NDArray[np.float64], k: int) -> None:
    ranked = rank(pool, weights, k)
    for query in np.flatnonzero((pool.present & (weights > 0)).any(axis=1)):
        similarities, categories = case.nearest(query, weights, k + 1)
        there = ranked.categories[query] >= 0
        found = np.clip(ranked.similarities[query][there], -1, 1)
        np.testing.assert_allclose(found, similarities[:k], atol=1e-6)
        # An expected similarity is some card's own cosine, but for the rounding.
        apart = np.diff(similarities, prepend=np.inf, append=-np.inf) < -1e-6
        clear = (apart[1:] & apart[:-1])[:k]
        assert ranked.categories[query][there][clear].tolist() == categories[:k][clear].tolist()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 15))
def test_a_pool_of_all_cards_ranks_them_as_a_search_does_under_any_weights(
    seed: int, k: int
) -> None:
    """Weights would be tuned on neighbours that the index never finds."""
    case = Case(seed)
    check_ranking(case, case.pool(np.array([0.5, 0.5])), case.weights, k)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8))
def test_a_small_pool_holds_the_nearest_cards_under_each_of_its_directions(
    seed: int, depth: int
) -> None:
    """The setting before, and each modality alone, would be judged worse than they are."""
    case = Case(seed)
    directions = (case.weights, np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    pool = case.pool(*directions, depth=depth)
    assert pool.categories.shape[1] <= 3 * depth
    for weights in directions:
        check_ranking(case, pool, weights, depth)


@pytest.mark.parametrize("depth", [1, 3, 6, 100])
def test_of_equally_near_cards_the_first_ids_are_taken(depth: int) -> None:
    """The index settles ties by id; another choice here would be judged by other categories."""
    case = Case(0, missing=0.0)
    for block in case.cards.vectors:
        block[:] = block[0]
    case.excluded[:] = False
    pool = case.pool(np.array([0.5, 0.5]), depth=depth)
    labelled = np.flatnonzero(case.codes >= 0)
    by_id = labelled[np.argsort(case.cards.order[labelled])]
    expected = case.codes[by_id][:depth].tolist()
    assert [row.tolist() for row in pool.categories] == [expected] * len(pool)
    assert rank(pool, np.array([0.3, 0.7]), depth).categories.tolist() == [expected] * len(pool)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_candidates_are_labelled_visible_and_named_once(seed: int) -> None:
    """A card that asks itself is always right: leave-one-out would be a fiction."""
    case = Case(seed)
    pool = case.pool(case.weights, np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    for query, row in enumerate(case.rows):
        visible = (case.codes >= 0) & ~case.excluded[row]
        expected = case.codes[visible].tolist() if case.cards.present[row].any() else []
        found = pool.categories[query]
        assert sorted(found[found >= 0].tolist()) == sorted(expected)


def test_sizes_are_those_of_all_labelled_cards() -> None:
    """Those that a query must not see as well: or it would know its own category by its size."""
    case = Case(5)
    sizes = case.pool(case.weights).sizes
    assert sizes.tolist() == np.bincount(case.codes[case.codes >= 0]).tolist()


def test_a_query_without_a_block_is_told_so_and_gets_no_candidates_of_it() -> None:
    case = Case(1, missing=0.5)
    lacking = ~case.cards.present[case.rows][:, 1]
    assert lacking.any()
    pool = case.pool(np.array([0.0, 1.0]), depth=5)
    assert (pool.categories[lacking] == -1).all()
    assert pool.present.tolist() == case.cards.present[case.rows].tolist()


def test_a_card_without_a_block_counts_as_expected() -> None:
    """As in a search: cards with gaps would crowd out the others, or never be found."""
    case = Case(2, missing=0.4)
    pool = case.pool(np.array([0.5, 0.5]))
    expected = case.cards.space.expected_similarities(case.queries.vectors)
    for query in np.flatnonzero(case.queries.present.all(axis=1)):
        seen = np.isclose(pool.similarities[query], expected[query], atol=1e-6).sum(axis=0)
        lacking = (
            ~case.cards.present & ((case.codes >= 0) & ~case.excluded[case.rows[query]])[:, None]
        )
        assert (seen >= lacking.sum(axis=0)).all()


def test_the_number_of_queries_at_once_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last, shorter part, and what the one before it left in memory."""
    case = Case(3, n=60)
    directions = (case.weights, np.array([1.0, 0.0]))
    whole = case.pool(*directions, depth=6)
    monkeypatch.setattr(pooling, "QUERIES_AT_ONCE", 7)
    monkeypatch.setattr(pooling, "ROWS_AT_ONCE", 11)
    parts = case.pool(*directions, depth=6)
    np.testing.assert_array_equal(parts.categories, whole.categories)
    there = whole.categories >= 0
    np.testing.assert_allclose(parts.similarities[there], whole.similarities[there], atol=1e-6)


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.integers(-4, 4), min_size=1, max_size=400), st.integers(1, 30), st.integers(0, 9)
)
def test_the_nearest_are_the_largest_values(values: list[int], depth: int, invisible: int) -> None:
    """The short cut past most cards must not lose one. Few distinct values: many are equal."""
    similarities = np.array(values, dtype=np.float32)
    similarities[:: invisible + 1] = -np.inf
    depth = min(depth, len(values))
    visible = [place for place in range(len(values)) if np.isfinite(similarities[place])]
    expected = sorted(visible, key=lambda place: -similarities[place])[:depth]
    assert pooling._nearest(similarities, depth).tolist() == expected
