"""Breakdown of mistakes: rare categories, confused pairs, and the tree of categories."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodcat_index.voting.breakdown import (
    Bucket,
    Confusion,
    category_paths,
    mean_buckets,
    score_hierarchy,
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
    found = worst_confusions(["a"] * 5, ["b"] * 5, ["1", "2", "1", "3", "4"])
    assert found == [Confusion("a", "b", 5, 1.0, ("1", "2", "3"))]


def test_only_the_worst_are_returned() -> None:
    """A page of confusions that happened once would hide those that matter."""
    names = list("abcdefghijkl")
    true = [name for count, name in enumerate(names, 1) for _ in range(count)]
    found = worst_confusions(true, ["x"] * len(true), ["1"] * len(true))
    expected = [(name, count) for count, name in enumerate(names, 1)][:1:-1]
    assert [(c.true, c.count) for c in found] == expected


#            all
#      shoes       home
#  boots  clogs   lamps > desk, floor
NAMES = ["all > shoes > boots", "all > shoes > clogs", "all > home > lamps > desk"]
NAMES += ["all > home > lamps > floor"]
BOOTS, CLOGS, DESK, FLOOR = range(4)


def score(true: list[int], predicted: list[int], names: list[str] = NAMES):  # type: ignore[no-untyped-def]
    return score_hierarchy(np.array(true), np.array(predicted), names)


def test_the_common_root_is_left_out() -> None:
    """Everything would be right in part, for everything shares the root."""
    assert category_paths(NAMES)[0] == ("shoes", "boots")


def test_a_category_keeps_its_own_name() -> None:
    """In a shop of one category, or whose root is one, a category would have no name."""
    assert category_paths(["all > shoes"]) == [("shoes",)]
    assert category_paths(["all", "all > shoes"]) == [("all",), ("all", "shoes")]


def test_plain_labels_and_labels_right_below_the_root_are_no_tree() -> None:
    """Hierarchical figures would repeat the accuracy and look like news."""
    assert score([0, 1], [0, 0], ["boots", "lamps"]) is None
    assert score([0, 1], [0, 0], ["all > boots", "all > lamps"]) is None


def test_precision_and_recall_by_hand() -> None:
    """Boots for clogs shares shoes; desk for boots shares nothing; boots are right.

    Shared nodes 1 + 0 + 2 = 3; predicted 2 + 3 + 2 = 7; true 2 + 2 + 2 = 6.
    """
    found = score([CLOGS, BOOTS, BOOTS], [BOOTS, DESK, BOOTS])
    assert (found.precision, found.recall) == pytest.approx((3 / 7, 3 / 6))
    assert found.f1 == pytest.approx(2 * 3 / 13)


def test_severity_is_the_mean_height_of_the_common_ancestor() -> None:
    """Siblings meet at height 1; shoes and lamps at the root, whose farthest leaf is 3 below."""
    found = score([CLOGS, DESK, BOOTS, BOOTS], [BOOTS, FLOOR, DESK, BOOTS])
    assert found.severity == pytest.approx((1 + 1 + 3) / 3)
    assert (found.mistakes, found.height) == (3, 3)


def test_a_parent_that_is_a_category_is_the_common_ancestor_itself() -> None:
    names = ["home", "home > lamps", "garden"]
    found = score([1, 0], [0, 1], names)
    assert found.severity == 1
    assert (found.precision, found.recall) == pytest.approx((2 / 3, 2 / 3))


def test_no_prediction_is_as_bad_as_the_other_end_of_the_tree() -> None:
    """A predictor that stays silent would seem harmless."""
    found = score([BOOTS, BOOTS], [-1, BOOTS])
    assert (found.severity, found.mistakes) == (3, 1)
    assert (found.precision, found.recall) == (1.0, 0.5)


def test_all_right_has_no_severity() -> None:
    found = score([0, 1, 2, 3], [0, 1, 2, 3])
    assert (found.precision, found.recall, found.f1, found.severity) == (1, 1, 1, None)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=20))
def test_near_misses_only_help(answers: list[tuple[int, int]]) -> None:
    """Hierarchical figures below the accuracy of equally deep paths would punish near misses."""
    names = ["x > a > 1", "x > a > 2", "x > b > 1", "x > b > 2"]
    true, predicted = map(list, zip(*answers, strict=True))
    found = score(true, predicted, names)
    accuracy = np.mean(np.array(true) == np.array(predicted))
    assert accuracy - 1e-12 <= found.f1 <= 1
    assert found.precision == pytest.approx(found.recall)
