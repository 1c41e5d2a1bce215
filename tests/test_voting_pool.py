"""Ranking the candidates of many queries under any weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodcat_index.voting.pool import Pool, join_pools, nearest_by, rank


def random_pool(seed: int, n: int = 12, width: int = 9, blocks: int = 3, grain: int = 4) -> Pool:
    """Coarse similarities, so that many are equal; some places are empty, some blocks absent."""
    rng = np.random.default_rng(seed)
    present = rng.random((n, blocks)) < 0.8
    similarities = rng.integers(-grain, grain + 1, (n, width, blocks)) / grain
    return Pool(
        similarities=(similarities * present[:, None, :]).astype(np.float32),
        categories=rng.integers(-1, 4, (n, width)).astype(np.int32),
        present=present,
        true=rng.integers(0, 4, n),
        sizes=np.array([9, 4, 30, 2]),
        head_log_proba=-rng.random((n, width), dtype=np.float32),
        log_reliability=-rng.random((n, width), dtype=np.float32),
    )


def ranked_one_by_one(pool: Pool, weights: list[float], query: int) -> list[tuple[float, int]]:
    """Similarity and category of each candidate, nearest first, by the definition."""
    own = [w if there else 0.0 for w, there in zip(weights, pool.present[query], strict=True)]
    total = sum(own) or 1.0
    found = [
        (sum(w / total * float(s) for w, s in zip(own, row, strict=True)), -place, int(c))
        for place, (row, c) in enumerate(
            zip(pool.similarities[query], pool.categories[query], strict=True)
        )
        if c >= 0
    ]
    return [(similarity, category) for similarity, _, category in sorted(found, reverse=True)]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_candidates_stand_in_the_order_of_their_weighted_similarity(seed: int, k: int) -> None:
    """Tuning would judge weights by neighbours that nobody has. Weights in eighths are exact."""
    pool = random_pool(seed)
    weights = np.random.default_rng(seed).multinomial(8, [1 / 3] * 3) / 8
    # An absent block shares out its weight, which need not be exact: no ties there.
    pool = replace(pool, present=np.ones_like(pool.present))
    ranked = rank(pool, weights, k)
    for query in range(len(pool)):
        expected = ranked_one_by_one(pool, weights.tolist(), query)[:k]
        kept = ranked.categories[query] >= 0
        assert ranked.categories[query][kept].tolist() == [c for _, c in expected]
        assert ranked.similarities[query][kept].tolist() == pytest.approx([s for s, _ in expected])
        assert np.isnan(ranked.similarities[query][~kept]).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6))
def test_a_query_shares_out_the_weights_of_the_blocks_that_it_lacks(seed: int) -> None:
    pool = random_pool(seed, grain=10**6)
    weights = np.random.default_rng(seed).dirichlet(np.ones(3))
    ranked = rank(pool, weights, 9)
    for query in range(len(pool)):
        expected = ranked_one_by_one(pool, weights.tolist(), query)
        kept = ranked.categories[query] >= 0
        found = ranked.similarities[query][kept].tolist()
        assert found == pytest.approx([s for s, _ in expected], abs=1e-5)


def test_a_category_counts_as_large_to_its_own_cards_as_to_all_others() -> None:
    """Without itself, a card would see its own category smaller, and know it by that."""
    pool = replace(
        random_pool(0, n=2, width=3),
        categories=np.array([[1, 2, 1], [3, 0, -1]], dtype=np.int32),
        true=np.array([1, 3]),
        similarities=np.zeros((2, 3, 3), dtype=np.float32),
    )
    ranked = rank(pool, np.ones(3) / 3, 3)
    assert np.exp(ranked.log_sizes).tolist() == pytest.approx(np.array([[4, 30, 4], [2, 9, 1]]))


def test_first_is_the_place_of_the_first_neighbour_of_a_category() -> None:
    pool = replace(
        random_pool(0, n=1, width=4),
        similarities=np.array([[[0.9], [0.8], [0.7], [0.6]]], dtype=np.float32),
        categories=np.array([[2, 0, 2, 0]], dtype=np.int32),
        present=np.ones((1, 1), dtype=bool),
    )
    assert rank(pool, np.ones(1), 4).first.tolist() == [[0, 1, 0, 1]]


def test_selected_queries_keep_all_that_is_theirs() -> None:
    """Recall is judged over some queries only."""
    pool, rows, weights = random_pool(1), np.array([7, 2]), np.array([0.5, 0.25, 0.25])
    whole, part = rank(pool, weights, 5), rank(pool.select(rows), weights, 5)
    np.testing.assert_array_equal(part.similarities, whole.similarities[rows])
    np.testing.assert_array_equal(part.categories, whole.categories[rows])
    np.testing.assert_array_equal(part.log_sizes, whole.log_sizes[rows])
    np.testing.assert_array_equal(part.head_log_proba, whole.head_log_proba[rows])
    assert len(pool.select(rows)) == 2


def test_more_neighbours_than_candidates_are_no_error() -> None:
    assert rank(random_pool(2, width=4), np.ones(3) / 3, 50).categories.shape == (12, 4)


def test_the_head_is_heard_as_far_as_the_block_that_it_reads_is_weighed() -> None:
    """Whoever weighs pictures alone must not get answers that a title had a say in."""
    pool = replace(
        random_pool(0, n=1, width=3, blocks=2),
        similarities=np.array([[[0, 0.2], [0, 0.9], [0, 0.5]]], dtype=np.float32),
        categories=np.array([[2, 0, 1]], dtype=np.int32),
        present=np.ones((1, 2), dtype=bool),
        head_log_proba=np.array([[-1.0, -2.0, -3.0]], dtype=np.float32),
    )
    pool = replace(pool, log_reliability=np.array([[-0.1, -0.2, -0.3]], dtype=np.float32))
    reliability = rank(pool, np.array([0.0, 1.0]), 3).log_reliability
    np.testing.assert_allclose(reliability, [[-0.2, -0.3, -0.1]])
    nearest_first = np.array([[-2.0, -3.0, -1.0]])
    np.testing.assert_allclose(rank(pool, np.array([0.0, 1.0]), 3).head_log_proba, nearest_first)
    np.testing.assert_allclose(
        rank(pool, np.array([0.75, 0.25]), 3).head_log_proba, nearest_first / 4
    )
    assert not rank(pool, np.array([1.0, 0.0]), 3).head_log_proba.any()


def test_joined_pools_keep_what_the_head_says_of_each_candidate() -> None:
    """A head's word that slips to another candidate is a wrong word, and tuning trusts it."""
    narrow, wide = random_pool(1, n=2, width=3), random_pool(2, n=1, width=5)
    joined = join_pools([narrow, wide], [np.array([2, 0]), np.array([1])])
    assert joined.head_log_proba[1].tolist() == wide.head_log_proba[0].tolist()
    assert joined.head_log_proba[2].tolist() == [*narrow.head_log_proba[0].tolist(), 0.0, 0.0]
    reliability = joined.log_reliability
    assert reliability[1].tolist() == wide.log_reliability[0].tolist()
    assert reliability[2].tolist() == [*narrow.log_reliability[0].tolist(), 0.0, 0.0]
    assert joined.categories[0].tolist() == [*narrow.categories[1].tolist(), -1, -1]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 12))
def test_the_nearest_by_other_weights_is_among_the_ranked_only(seed: int, k: int) -> None:
    """Indexed cards would have evidence that no query can get, and queries never enough."""
    pool = random_pool(seed)
    weights, others = np.array([1.0, 2.0, 0.0]), np.array([0.0, 1.0, 3.0])
    ranked = rank(pool, weights, k)
    found = nearest_by(pool, ranked, others)
    for query in range(len(pool)):
        own = np.where(pool.present[query], others, 0.0)
        places = ranked.places[query][ranked.categories[query] >= 0]
        if not own.any() or not len(places):
            assert np.isnan(found[query])
            continue
        expected = max(pool.similarities[query, places] @ (own / own.sum()))
        assert found[query] == pytest.approx(expected, abs=1e-5)
