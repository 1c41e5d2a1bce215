"""Whether two samples of cards differ, and how good the answers to one are expected to be."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from prodcat_index.audit.two_samples import (
    ExpectedQuality,
    compare_categories,
    expect_quality,
    grouped_auc,
    share_difference,
    tell_apart,
    wilson_interval,
)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.integers(2, 60), st.integers(1, 4))
def test_the_auc_is_that_of_scikit_learn_fold_by_fold(seed: int, n: int, folds: int) -> None:
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 5, n) / 4  # with ties
    is_new, fold = rng.random(n) < 0.5, rng.integers(0, folds, n)
    found = grouped_auc(scores, is_new, np.arange(n), fold)
    expected, sizes = [], []
    for each in range(folds):
        own = fold == each
        if 0 < is_new[own].sum() < own.sum():
            expected.append(roc_auc_score(is_new[own], scores[own]))
            sizes.append(own.sum())
    if expected:
        assert found.value == pytest.approx(np.average(expected, weights=sizes))
        assert found.low <= found.value <= found.high
    else:
        assert (found.value, found.p) == (0.5, 1.0)


def test_the_error_of_the_auc_is_that_of_delong_by_hand() -> None:
    """New 1, 3 and old 0, 2: new ones beat 1/2 and 1 of the old, AUC 3/4.

    Components of the new: 1/2 and 1; of the old: 1 and 1/2. Each has squared deviations from 3/4
    of 1/16 + 1/16, over 2 squared: variance 1/32 for either, 1/16 together, error 1/4.
    """
    scores, is_new = np.array([1.0, 3.0, 0.0, 2.0]), np.array([True, True, False, False])
    found = grouped_auc(scores, is_new, np.arange(4), np.zeros(4, dtype=np.int64))
    assert found.value == 0.75
    assert found.low == pytest.approx(0.75 - 1.96 / 4)
    assert found.p == pytest.approx(0.158655, abs=1e-5)  # of one standard error above 0.5


def test_copies_of_a_card_make_nothing_surer() -> None:
    """Ten variants of each product would let any chance look like drift."""
    rng = np.random.default_rng(0)
    scores, is_new = rng.random(60), np.arange(60) < 30
    folds = np.zeros(60, dtype=np.int64)
    alone = grouped_auc(scores, is_new, np.arange(60), folds)
    ten = [np.repeat(each, 10) for each in (scores, is_new, np.arange(60), folds)]
    assert grouped_auc(*ten).low == pytest.approx(alone.low)
    shares = share_difference(scores, is_new, np.arange(60))
    assert share_difference(*ten[:3]).p == pytest.approx(shares.p)


def test_intervals_hold_the_truth_and_no_difference_is_rarely_found() -> None:
    """The check would cry wolf at every delivery, or its intervals would be too narrow."""
    alarms = inside = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        scores, is_new = rng.normal(size=80), np.arange(80) < 40
        folds, groups = np.arange(80) % 4, np.arange(80)
        alarms += grouped_auc(scores, is_new, groups, folds).p < 0.05
        # Two normal laws 1 apart: the AUC is the normal law's at 1 / sqrt(2), 0.7602.
        found = grouped_auc(scores + is_new, is_new, groups, folds)
        inside += found.low <= 0.7602 <= found.high
    assert alarms <= 18
    assert inside >= 180


def test_a_share_by_hand() -> None:
    """Means 3/4 and 1/4, each with the variance 3/16 over 4: the error is sqrt(3/32)."""
    values = np.array([1.0, 1, 1, 0, 1, 0, 0, 0])
    found = share_difference(values, np.arange(8) < 4, np.arange(8))
    assert found.value == 0.5
    assert found.high - found.low == pytest.approx(2 * 1.96 * (3 / 32) ** 0.5)
    nothing = share_difference(np.zeros(8), np.arange(8) < 4, np.arange(8))
    assert (nothing.value, nothing.p) == (0.0, 1.0)


def test_products_on_both_sides_are_not_told_apart() -> None:
    """A delivery that repeats the catalogue would be told apart by cards that were learned."""
    rows = np.repeat(np.eye(40), 2, axis=0)
    is_new = np.tile([False, True], 40)
    assert tell_apart(rows, is_new, np.repeat(np.arange(40), 2)).auc.value == 0.5
    rng = np.random.default_rng(0)
    moved = rng.normal(size=(200, 3)) + np.outer(np.arange(200) < 100, [1, 0, 0])
    found = tell_apart(moved, np.arange(200) < 100, np.arange(200))
    assert found.auc.value == pytest.approx(0.76, abs=0.08)
    assert found.auc.p < 1e-6
    assert found.scores[:100].mean() > found.scores[100:].mean()


def test_categories_by_hand() -> None:
    """3 of 4 against 1 of 4: total variation 1/2."""
    codes = np.array([0, 0, 0, 1, 0, 1, 1, 1, -1])
    found = compare_categories(codes, np.arange(9) < 4, np.arange(9), 3)
    assert found.new.tolist() == [0.75, 0.25, 0]
    assert found.old.tolist() == [0.25, 0.75, 0]
    assert found.distance == 0.5
    # Of the 70 ways to draw 4 of 8 with 4 of each kind, 34 are as far apart or farther:
    # 2 (all of one kind) and 2 times 16.
    assert found.p == pytest.approx(34 / 70, abs=0.05)
    assert not found.changed.any()


def test_a_category_that_grew_is_named_and_others_are_not() -> None:
    rng = np.random.default_rng(0)
    old, new = rng.integers(0, 10, 600), rng.integers(0, 10, 400)
    new[:80] = 3
    codes, is_new = np.concatenate([old, new]), np.repeat([False, True], [600, 400])
    found = compare_categories(codes, is_new, np.arange(1000), 10)
    assert found.p <= 0.002
    assert np.flatnonzero(found.changed & (found.new > found.old)).tolist() == [3]
    order = rng.permutation(1000)
    other = compare_categories(codes[order], is_new[order], order, 10)
    assert other.p == found.p
    assert other.changed.tolist() == found.changed.tolist()


def test_one_product_of_many_variants_is_no_shift() -> None:
    """A product of 50 sizes is one decision of the shop, not fifty."""
    codes = np.concatenate([np.arange(200) % 4, np.zeros(50, dtype=np.int64)])
    is_new = np.repeat([False, True], [150, 100])
    groups = np.concatenate([np.arange(200), np.full(50, 200)])
    assert compare_categories(codes, is_new, groups, 4).p > 0.05
    assert compare_categories(codes, is_new, np.arange(250), 4).p < 0.01


def test_cards_without_an_answer_change_nothing() -> None:
    nothing = compare_categories(np.full(6, -1), np.arange(6) < 3, np.arange(6), 2)
    assert (nothing.p, nothing.distance) == (1.0, 0.0)


def expect(confidence: list[float], error: float = 0.0, grouped: bool = False) -> ExpectedQuality:
    """Expect it of cards of categories 0 and 1 in turn, each the other's only alternative."""
    n = len(confidence)
    first = np.arange(n) % 2
    sure = np.array(confidence)
    codes = np.stack([first, 1 - first], axis=1)
    posterior = np.stack([sure, 1 - sure], axis=1)
    groups = np.zeros(n, dtype=np.int64) if grouped else np.arange(n)
    return expect_quality(sure, posterior, codes, groups, 2, error)


def test_the_accuracy_is_the_mean_confidence_with_the_interval_of_a_share() -> None:
    found = expect([0.8] * 400)
    assert found.accuracy == pytest.approx(0.8)
    half = 1.96 * (0.8 * 0.2 / 400) ** 0.5
    assert found.accuracy_interval.high - found.accuracy == pytest.approx(half, rel=0.25)
    # Both categories alike: the F1 of either is the accuracy.
    assert found.weighted_f1 == pytest.approx(0.8, abs=0.01)


def test_answers_that_are_sure_have_no_interval() -> None:
    found = expect([1.0] * 50)
    assert found.accuracy_interval.low == found.f1_interval.low == found.weighted_f1 == 1.0


def test_variants_and_an_error_of_the_confidence_widen_the_interval() -> None:
    """Cards that are right or wrong together say less; and no number of cards mends a bias."""

    def width(found: ExpectedQuality) -> float:
        return found.accuracy_interval.high - found.accuracy_interval.low

    alone = width(expect([0.8] * 400))
    assert width(expect([0.8] * 400, grouped=True)) == 1.0
    assert width(expect([0.8] * 400, error=0.05)) > 2 * alone


def test_a_card_without_an_answer_is_wrong() -> None:
    """Nothing is predicted: the expected F1 of one sure card of two is 1/2."""
    codes = np.array([[0, -1], [-1, -1]])
    found = expect_quality(
        np.array([1.0, 0.0]), np.array([[1.0, 0], [0, 0]]), codes, np.arange(2), 2
    )
    assert found.accuracy == 0.5
    assert found.weighted_f1 == pytest.approx(0.5)


def test_what_is_wrong_is_of_the_others_that_got_a_vote() -> None:
    """By hand: category 0 is predicted for all and is never right, so that all F1 are 0."""
    codes = np.tile([0, 1, -1], (30, 1))
    posterior = np.tile([0.5, 0.5, 0.0], (30, 1))
    found = expect_quality(np.zeros(30), posterior, codes, np.arange(30), 2)
    assert found.weighted_f1 == found.accuracy == 0.0


def test_the_interval_of_a_share_is_that_of_wilsons_example() -> None:
    low, high = wilson_interval(0.5, 10)
    assert low == pytest.approx(0.2366, abs=1e-4)
    assert high == pytest.approx(0.7634, abs=1e-4)
    assert wilson_interval(1.0, 10)[1] == pytest.approx(1.0)
