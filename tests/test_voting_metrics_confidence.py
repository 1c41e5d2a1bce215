"""The score of confidence: whether it can be trusted."""

from __future__ import annotations

from math import log
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodcat_index.types import BoolArray, Float64Array
from prodcat_index.voting.metrics import ConfidenceScore, risk_coverage, score_confidence

CONFIDENCE = np.array([0.9, 0.6, 0.8, 0.3])
RIGHT = np.array([True, False, True, False])

ANSWERS = st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=40)


def score(confidence: Float64Array, right: BoolArray, bins: int = 15) -> ConfidenceScore:
    with patch("prodcat_index.voting.metrics.BINS", bins):
        return score_confidence("calibrated", confidence, right)


def test_the_table_has_bins_of_equally_many_answers_least_confident_first() -> None:
    low, high = score(CONFIDENCE, RIGHT, bins=2).bins
    assert (low.answers, low.accuracy) == (2, 0.0)
    assert low.confidence == pytest.approx(0.45)
    assert (high.answers, high.accuracy) == (2, 1.0)
    assert high.confidence == pytest.approx(0.85)


def test_the_calibration_error_is_the_mean_gap() -> None:
    """2 of 4 answers are off by 0.45, 2 by 0.15."""
    assert score(CONFIDENCE, RIGHT, bins=2).ece == pytest.approx(0.3)
    assert score(CONFIDENCE, RIGHT, bins=1).ece == pytest.approx(0.65 - 0.5)


def test_bins_of_different_sizes_weigh_by_their_answers() -> None:
    """3 answers: bins of 2 (gap 0.45) and of 1 (gap 0.1)."""
    found = score(np.array([0.3, 0.6, 0.9]), np.array([False, False, True]), bins=2)
    assert found.ece == pytest.approx((2 * 0.45 + 0.1) / 3)


def test_the_brier_score_by_hand() -> None:
    assert score(CONFIDENCE, RIGHT).brier == pytest.approx((0.01 + 0.36 + 0.04 + 0.09) / 4)


def test_the_log_likelihood_by_hand() -> None:
    expected = -(log(0.9) + log(0.4) + log(0.8) + log(0.7)) / 4
    assert score(CONFIDENCE, RIGHT).nll == pytest.approx(expected)


def test_a_sure_mistake_costs_much_but_not_everything() -> None:
    assert score(np.array([1.0]), np.array([False])).nll == pytest.approx(-log(1e-4))


def test_risk_rises_as_less_confident_answers_are_kept() -> None:
    curve = risk_coverage(CONFIDENCE, RIGHT)
    assert curve.coverage.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.risk.tolist() == pytest.approx([0, 0, 1 / 3, 1 / 2])
    assert curve.area == pytest.approx((0 + 0 + 1 / 3 + 1 / 2) / 4)


def test_equally_confident_answers_count_as_if_in_random_order() -> None:
    """Otherwise the area would depend on the order of the file."""
    one = risk_coverage(np.array([0.5, 0.5]), np.array([True, False]))
    other = risk_coverage(np.array([0.5, 0.5]), np.array([False, True]))
    assert one.coverage.tolist() == [1.0]
    assert one.area == other.area == 0.5


def test_confidence_by_hand() -> None:
    """Four answers; the surest is wrong, so all risk is in the first quarter."""
    found = score(np.array([0.9, 0.8, 0.6, 0.5]), np.array([False, True, True, True]))
    assert found.brier == pytest.approx((0.81 + 0.04 + 0.16 + 0.25) / 4)
    assert found.ece == pytest.approx((0.9 + 0.2 + 0.4 + 0.5) / 4)
    assert found.area == pytest.approx((1 + 1 / 2 + 1 / 3 + 1 / 4) / 4)
    halves = [found.risk[0], found.risk[4], found.risk[9]]
    assert halves == pytest.approx([1.0, 1 / 2, 1 / 4])
    assert found.as_dict()["risk_at_coverage"]["1.0"] == 0.25


@settings(max_examples=60, deadline=None)
@given(ANSWERS)
def test_figures_stay_in_their_range(answers: list[tuple[float, bool]]) -> None:
    confidence, right = map(np.array, zip(*answers, strict=True))
    found = score(confidence, right)
    curve = found.curve
    assert 0 <= found.ece <= 1
    assert 0 <= found.brier <= 1
    assert 0 <= found.area <= 1
    assert curve.coverage[-1] == 1
    assert curve.risk[-1] == pytest.approx(1 - right.mean())
    assert sum(b.answers for b in found.bins) == len(answers)


@settings(max_examples=60, deadline=None)
@given(ANSWERS, st.floats(0.2, 3))
def test_the_order_alone_decides_the_area(answers: list[tuple[float, bool]], power: float) -> None:
    confidence, right = map(np.array, zip(*answers, strict=True))
    coarse = np.round(confidence, 2)
    assert risk_coverage(coarse**power, right).area == pytest.approx(
        risk_coverage(coarse, right).area
    )


@pytest.mark.parametrize("figure", [score, risk_coverage])
def test_swapped_arguments_are_refused(figure) -> None:
    """The well-known wrong score of this very task came from swapped arguments."""
    with pytest.raises(ValueError, match="swapped"):
        figure(RIGHT, CONFIDENCE)


@pytest.mark.parametrize(
    ("confidence", "right"),
    [
        (np.array([0.5, 1.1]), np.array([True, False])),
        (np.array([0.5, np.nan]), np.array([True, False])),
        (np.array([0.5]), np.array([True, False])),
        (np.zeros(0), np.zeros(0, dtype=bool)),
    ],
)
def test_what_is_no_confidence_is_refused(confidence, right) -> None:
    with pytest.raises(ValueError, match="confidence"):
        score(confidence, right)
