"""Accuracy and F1 of answers whose truth is not known."""

from __future__ import annotations

import numpy as np
import pytest

from prodcat_index.audit.expected_quality import ExpectedQuality, expect_quality


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
