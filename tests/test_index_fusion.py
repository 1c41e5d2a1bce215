"""The inner product of fused rows is the weighted similarity."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import random_cards, random_rows

from prodcat_index.encoders.base import unit_rows
from prodcat_index.errors import QueryError
from prodcat_index.index.fusion import (
    centre,
    effective_weights,
    expected_similarities,
    fuse_cards,
    fuse_queries,
    training_mean,
    weight_vector,
)

A, B = 0.6, 0.8
WEIGHTS = st.lists(st.floats(0, 1), min_size=3, max_size=3).filter(lambda w: sum(w) > 1e-3)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), raw=WEIGHTS, missing=st.sampled_from([0.0, 0.3, 0.9]))
def test_the_inner_product_is_the_weighted_sum(seed: int, raw: list[float], missing: float) -> None:
    """Else FAISS proposes other cards than those that are nearest by the user's weights."""
    rng = np.random.default_rng(seed)
    dims = (3, 7, 1)
    cards = random_cards(rng, 6, dims, missing)
    present = rng.random((5, 3)) >= missing
    queries = [random_rows(rng, 5, d, present[:, b]) for b, d in enumerate(dims)]
    weights = weight_vector(dict(zip("abc", raw, strict=True)), "abc")
    fused = fuse_queries(
        queries, effective_weights(weights, present), cards.space.expected_similarities(queries)
    )
    product = fused @ fuse_cards(cards.vectors, cards.present).T
    definition = np.nan_to_num(cards.similarities(queries, present, weights), nan=0.0)
    np.testing.assert_allclose(product, definition, atol=1e-6)


def test_a_worked_example_of_the_inner_product() -> None:
    """Weights 3/4 and 1/4; the second card lacks the second block, expected to be 0.2 near.

    First card: 3/4 * (0.6*1 + 0.8*0) + 1/4 * (-1) = 0.2; second: 3/4 * 0.8 + 1/4 * 0.2 = 0.65.
    """
    cards = [np.array([[A, B], [B, A]], np.float32), np.array([[-1.0], [0.0]], np.float32)]
    query = [np.array([[1.0, 0.0]], np.float32), np.array([[1.0]], np.float32)]
    weights = np.array([[0.75, 0.25]])
    fused_cards = fuse_cards(cards, np.array([[True, True], [True, False]]))
    assert fused_cards.tolist() == [pytest.approx([A, B, -1, 0, 0]), pytest.approx([B, A, 0, 0, 1])]
    fused = fuse_queries(query, weights, np.array([[0.5, 0.2]]))
    assert fused[0].tolist() == pytest.approx([0.75, 0, 0.25, 0.375, 0.05])
    assert (fused @ fused_cards.T)[0].tolist() == pytest.approx([0.2, 0.65])


def test_the_weight_of_a_missing_block_goes_to_the_others() -> None:
    """A listing without a picture must not look half as similar to everything."""
    present = np.array([[True, True, True], [True, True, False], [False, False, True], [False] * 3])
    shared = effective_weights(np.array([0.5, 0.3, 0.2]), present)
    assert shared[0].tolist() == [0.5, 0.3, 0.2]
    assert shared[1].tolist() == pytest.approx([0.625, 0.375, 0.0])
    assert shared[2].tolist() == [0.0, 0.0, 1.0]
    assert shared[3].tolist() == [0.0, 0.0, 0.0]


def test_a_query_of_unweighted_blocks_only_has_no_weights() -> None:
    assert effective_weights(np.array([1.0, 0.0]), np.array([[False, True]])).tolist() == [[0, 0]]


def test_weights_are_scaled_to_sum_to_one() -> None:
    assert weight_vector({"b": 1, "a": 3}, ["a", "b", "c"]).tolist() == [0.75, 0.25, 0.0]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 1e300), min_size=1, max_size=4).filter(any))
def test_any_weights_sum_to_one(raw: list[float]) -> None:
    names = "abcd"[: len(raw)]
    vector = weight_vector(dict(zip(names, raw, strict=True)), names)
    assert vector.sum() == pytest.approx(1.0)
    assert np.argmax(vector) == np.argmax(raw)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.floats(0, 10), min_size=1, max_size=4).filter(any))
def test_scaling_twice_is_scaling_once(raw: list[float]) -> None:
    """To the last bit: an index stores scaled weights, and scales again when it is asked."""
    once = weight_vector(dict(zip("abcd", raw, strict=False)), "abcd")
    assert weight_vector(dict(zip("abcd", once, strict=True)), "abcd").tolist() == once.tolist()


@pytest.mark.parametrize(
    "weights",
    [
        {"a": -1.0, "b": 2.0},
        {"a": 0.0},
        {"a": float("nan")},
        {"a": float("inf")},
        {"a": 1e308, "b": 1e308},
    ],
)
def test_impossible_weights_are_refused_with_what_was_given(weights: dict[str, float]) -> None:
    with pytest.raises(QueryError) as caught:
        weight_vector(weights, ["a", "b"])
    given_ones = ", ".join(f"{name}={value}" for name, value in weights.items())
    assert str(caught.value) == (
        f"Weights must be zero or more, and at least one above zero; these are {given_ones}."
    )


def test_no_weights_are_refused() -> None:
    with pytest.raises(QueryError, match="at least one above zero; these are none"):
        weight_vector({}, ["a"])


def test_an_unknown_block_is_named_beside_the_known_ones() -> None:
    with pytest.raises(QueryError) as caught:
        weight_vector({"a": 1, "titel": 1}, ["a", "title"])
    assert str(caught.value) == (
        "This index has no block 'titel' to weigh; its blocks are a, title. Did you mean 'title'?"
    )


def test_the_training_mean_counts_present_rows_only() -> None:
    """A zero row for every card without a picture would pull the mean to nothing."""
    vectors = np.array([[1.0, 0.0], [0.0, 1.0], [9.0, 9.0]], np.float32)
    assert training_mean(vectors, np.array([True, True, False])).tolist() == [0.5, 0.5]
    assert training_mean(vectors, np.zeros(3, bool)).tolist() == [0.0, 0.0]


def test_centred_rows_point_away_from_the_mean() -> None:
    """(1, 0) - (0.4, 0.8) = (0.6, -0.8), already of length 1; what was absent stays absent."""
    vectors = np.array([[1.0, 0.0], [0.0, 0.0]], np.float32)
    mean = np.array([0.4, 0.8], np.float32)
    rows, present = centre(vectors, np.array([True, False]), mean)
    np.testing.assert_allclose(rows, [[0.6, -0.8], [0, 0]], atol=1e-6)
    assert present.tolist() == [True, False]


def test_a_row_that_is_the_mean_counts_as_absent() -> None:
    """Else rounding noise, scaled to length 1, would be taken for content."""
    mean = np.array([0.6, 0.8], np.float32)
    vectors = np.stack([mean, mean + np.float32(5e-7), mean + np.float32(1e-3)])
    rows, present = centre(vectors, np.ones(3, bool), mean)
    assert present.tolist() == [False, False, True]
    assert rows[:2].tolist() == [[0, 0], [0, 0]]
    assert np.linalg.norm(rows[2]) == pytest.approx(1.0)


def test_unit_rows_have_length_one_and_zeros_stay_zeros() -> None:
    rows = unit_rows(np.array([[3.0, 4.0], [0.0, 0.0]], np.float32))
    np.testing.assert_allclose(rows, [[0.6, 0.8], [0, 0]], rtol=1e-6)
    assert rows.dtype == np.float32


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_a_row_that_is_no_number_becomes_zeros(broken: float) -> None:
    """One overflowing picture would otherwise make the training mean, hence every card, NaN."""
    with np.errstate(invalid="ignore"):
        rows = unit_rows(np.array([[broken, 1.0], [3.0, 4.0]], np.float32))
    np.testing.assert_allclose(rows, [[0, 0], [0.6, 0.8]], rtol=1e-6)


def test_a_missing_block_counts_as_the_90th_percentile_of_the_querys_cosines() -> None:
    """Of 0.0, 0.1 … 1.0 that is 0.9; of nothing, or for a query without the block, it is 0."""
    sample = np.array([[n / 10, 1.0] for n in (3, 10, 0, 7, 1, 9, 4, 2, 6, 8, 5)], np.float32)
    queries = [np.array([[1.0, 0.0], [0.0, 0.0]], np.float32)] * 2
    expected = expected_similarities(queries, [sample, sample[:0]])
    np.testing.assert_allclose(expected, [[0.9, 0.0], [0.0, 0.0]], atol=1e-6)


def test_what_is_expected_of_one_query_does_not_depend_on_the_others() -> None:
    rng = np.random.default_rng(0)
    sample = [random_rows(rng, 30, 12, np.ones(30, bool)).astype(np.float16)]
    queries = random_rows(rng, 9, 12, np.ones(9, bool))
    together = expected_similarities([queries], sample)
    alone = [expected_similarities([queries[[i]]], sample)[0] for i in range(9)]
    assert together.tolist() == [row.tolist() for row in alone]


def test_an_absent_block_counts_as_the_cosine_at_the_ninetieth_percentile() -> None:
    """Of 0.00, 0.01, ... 0.20 the one at place int(0.9 * 20) = 18, in whatever order they stand."""
    cosines = np.random.default_rng(0).permutation(np.arange(21)) / 100
    sample = np.stack([cosines, np.zeros(21)], axis=1)
    queries = [np.array([[1.0, 0.0], [0.0, 0.0]], np.float32)] * 2
    expected = expected_similarities(queries, [sample, sample[:0]])
    np.testing.assert_allclose(expected, [[0.18, 0.0], [0.0, 0.0]], atol=1e-7)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), n=st.integers(1, 40), references=st.integers(1, 300))
def test_what_is_expected_is_the_percentile_of_cosines_bit_for_bit_in_any_batch(
    seed: int, n: int, references: int
) -> None:
    """Products of matrices round by the batch: an answer would depend on its neighbours."""
    rng = np.random.default_rng(seed)
    # Few directions, so that many cosines are equal or nearly so.
    sample = unit_rows(rng.integers(-1, 2, (references, 37)) + 1e-7 * rng.normal(size=(1, 37)))
    queries = unit_rows(rng.normal(size=(n, 37)))
    found = expected_similarities([queries], [sample])
    cosines = [np.sort(np.vecdot(sample, query)) for query in queries]
    place = int(0.9 * (references - 1))
    np.testing.assert_array_equal(found[:, 0], [each[place] for each in cosines])
    assert expected_similarities([queries[:0]], [sample]).shape == (0, 1)
    assert expected_similarities([queries], [sample[:0]]).tolist() == [[0.0]] * n
