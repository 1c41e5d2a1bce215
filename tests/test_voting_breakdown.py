"""Whether users are shown where the predictions fail."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodcat_index.voting.breakdown import (
    Bucket,
    Confusion,
    mean_buckets,
    size_buckets,
    worst_confusions,
)
from prodcat_index.voting.metrics import weighted_f1


def test_buckets_by_hand() -> None:
    """Categories of 1, 2, 5, 150 and 0 training cards."""
    true = np.array([0, 1, 2, 2, 3, 3, 3, 4])
    predicted = np.array([0, 1, 2, 3, 3, 3, -1, 3])
    buckets = size_buckets(true, predicted, np.array([1, 2, 5, 150, 0]))
    f1_of_third, f1_of_fourth = 2 / (2 + 1), 4 / (3 + 4)
    assert [b for b in buckets if b.cards] == [
        Bucket("none", 1, 1, 0.0),
        Bucket("1", 1, 1, 1.0),
        Bucket("2-5", 3, 2, pytest.approx((1 + 2 * f1_of_third) / 3)),
        Bucket(">100", 3, 1, pytest.approx(f1_of_fourth)),
    ]


@pytest.mark.parametrize(
    ("size", "bucket"),
    [
        (0, "none"),
        (1, "1"),
        (2, "2-5"),
        (5, "2-5"),
        (6, "6-20"),
        (20, "6-20"),
        (21, "21-100"),
        (100, "21-100"),
        (101, ">100"),
    ],
)
def test_the_ends_of_the_buckets(size: int, bucket: str) -> None:
    buckets = size_buckets(np.array([0]), np.array([0]), np.array([size]))
    assert [b.training_cards for b in buckets if b.cards] == [bucket]


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(-1, 4)), min_size=1, max_size=40),
    st.lists(st.integers(0, 200), min_size=5, max_size=5),
)
def test_the_buckets_add_up_to_the_whole(
    answers: list[tuple[int, int]], training: list[int]
) -> None:
    """A user who looks for the lost points would not find them in the table."""
    true, predicted = (np.array(column) for column in zip(*answers, strict=True))
    buckets = size_buckets(true, predicted, np.array(training))
    assert sum(b.cards for b in buckets) == len(true)
    assert sum(b.categories for b in buckets) == len(set(true.tolist()))
    total = sum(b.weighted_f1 * b.cards for b in buckets) / len(true)
    assert total == pytest.approx(weighted_f1(true, predicted, 5))


def test_splits_are_put_together_by_cards() -> None:
    first = [Bucket("1", 1, 1, 1.0), Bucket("2-5", 0, 0, 0.0)]
    second = [Bucket("1", 3, 2, 0.5), Bucket("2-5", 0, 0, 0.0)]
    assert mean_buckets([first, second]) == [Bucket("1", 2, 1.5, 0.625)]


def test_confusions_by_hand() -> None:
    """Users would not learn which shelves to tell apart, or would be shown the wrong cards."""
    true = ["a", "a", "a", "a", "b", "b", "c", "d"]
    predicted = ["a", "b", "b", "c", "b", "a", "", "d"]
    assert worst_confusions(true, predicted, list("12345678")) == [
        Confusion("a", "b", 2, 0.5, ("2", "3")),
        Confusion("c", "", 1, 1.0, ("7",)),
        Confusion("b", "a", 1, 0.5, ("6",)),
        Confusion("a", "c", 1, 0.25, ("4",)),
    ]


def test_a_card_that_is_judged_twice_is_named_once() -> None:
    found = worst_confusions(["a"] * 5, ["b"] * 5, ["1", "2", "1", "3", "4"], examples=3)
    assert found == [Confusion("a", "b", 5, 1.0, ("1", "2", "3"))]


def test_only_the_worst_are_returned() -> None:
    true = ["a"] * 3 + ["b"] * 2 + ["c"]
    found = worst_confusions(true, ["x"] * 6, list("123456"), limit=2)
    assert [(c.true, c.count) for c in found] == [("a", 3), ("b", 2)]
