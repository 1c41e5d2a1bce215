"""Thresholds that keep an asked precision."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from prodcat_index.voting.thresholds import (
    PrecisionCurve,
    binomial_tail,
    precision_curve,
    subsample_evenly,
)


def test_the_curve_counts_answers_and_mistakes_above_each_threshold() -> None:
    curve = precision_curve(np.array([0.3, 0.9, 0.6]), np.array([False, True, True]))
    assert curve == PrecisionCurve(3, (0.9, 0.6, 0.3), (1, 2, 3), (0, 0, 1))


def test_a_threshold_takes_all_equally_confident_cards() -> None:
    """One in the middle of them could not be applied to new listings."""
    curve = precision_curve(np.array([0.9, 0.5, 0.5, 0.5]), np.array([True, True, False, True]))
    assert (curve.thresholds, curve.answered, curve.wrong) == ((0.9, 0.5), (1, 4), (0, 1))


def test_the_curve_is_short_however_many_cards_there_are() -> None:
    """It lies in the manifest of the index."""
    rng = np.random.default_rng(0)
    confidence = rng.random(5000)
    curve = precision_curve(confidence, rng.random(5000) < confidence)
    assert 150 <= len(curve.thresholds) <= 200
    assert curve.answered[-1] == curve.cards == 5000
    counted = int((confidence >= curve.thresholds[70]).sum())
    assert curve.answered[70] == counted


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 400), st.data(), st.floats(0.5, 0.999))
def test_luck_is_the_binomial_tail(answered: int, data: st.DataObject, precision: float) -> None:
    wrong = data.draw(st.integers(0, answered))
    assert binomial_tail(wrong, answered, precision) == pytest.approx(
        binom.cdf(wrong, answered, 1 - precision), abs=1e-9
    )


def test_luck_of_many_cards_stays_a_number() -> None:
    assert binomial_tail(4_000, 91_120, 0.95) == pytest.approx(
        binom.cdf(4_000, 91_120, 0.05), rel=1e-6
    )


def test_no_mistake_among_few_cards_shows_nothing() -> None:
    """A sequence begins where it could pass at all: 0.95 ** 58 = 0.051, 0.95 ** 59 = 0.048."""
    assert PrecisionCurve(58, (0.9,), (58,), (0,)).accept_at(0.95) is None
    assert PrecisionCurve(59, (0.9,), (59,), (0,)).accept_at(0.95) is not None


def test_the_lowest_threshold_that_passes_is_taken() -> None:
    thresholds = (0.95, 0.9, 0.8, 0.7, 0.6)
    curve = PrecisionCurve(1000, thresholds, (200, 400, 600, 800, 1000), (1, 4, 18, 60, 120))
    found = curve.accept_at(0.95)
    assert found is not None
    assert (found.threshold, found.coverage) == (0.8, 0.6)
    assert found.precision == pytest.approx(1 - 18 / 600)


def test_a_later_lucky_threshold_is_not_reached_past_a_failure() -> None:
    """Taking any that passes would try until one is lucky."""
    curve = PrecisionCurve(1000, (0.9, 0.8, 0.7), (500, 600, 700), (2, 60, 5))
    found = curve.accept_at(0.95)
    assert found is not None
    assert found.threshold == 0.9


def test_wrong_labels_among_the_surest_cards_do_not_end_everything() -> None:
    """The second sequence starts with half of the cards."""
    curve = PrecisionCurve(1000, (0.99, 0.9, 0.8), (60, 500, 600), (2, 12, 16))
    found = curve.accept_at(0.95)
    assert found is not None
    assert found.threshold == 0.8


def test_what_cannot_be_reached_is_none() -> None:
    rng = np.random.default_rng(0)
    curve = precision_curve(rng.random(500), rng.random(500) < 0.7)
    assert curve.accept_at(0.95) is None
    assert PrecisionCurve(0, (), (), ()).accept_at(0.5) is None


@pytest.mark.parametrize(("precision", "certainty"), [(0, 0.9), (1, 0.9), (0.9, 0), (0.9, 1)])
def test_certainty_and_precision_are_shares(precision: float, certainty: float) -> None:
    with pytest.raises(ValueError, match="above 0 and below 1"):
        PrecisionCurve(1, (0.5,), (1,), (0,)).accept_at(precision, certainty)


def test_more_certainty_accepts_no_more() -> None:
    rng = np.random.default_rng(1)
    confidence = rng.random(2000) ** 0.3
    curve = precision_curve(confidence, rng.random(2000) < confidence)
    covered = [curve.accept_at(0.9, certainty) for certainty in (0.5, 0.9, 0.99)]
    shares = [0.0 if found is None else found.coverage for found in covered]
    assert shares[0] >= shares[1] >= shares[2] > 0


@pytest.mark.parametrize("cards", [150, 1000])
def test_new_answers_are_as_precise_as_asked_with_the_certainty_told(cards: int) -> None:
    """The promise of --precision, simulated: of 400 shops, at most about 10 % are let down.

    The precision of answers above a threshold is worked out exactly: confidence c is uniform on
    [1/2, 1] and right with probability c, so that it is (1 + threshold) / 2.
    """
    rng = np.random.default_rng(cards)
    let_down = 0
    for _ in range(400):
        confidence = rng.uniform(0.5, 1, cards)
        found = precision_curve(confidence, rng.random(cards) < confidence).accept_at(0.85)
        let_down += found is not None and (1 + found.threshold) / 2 < 0.85
    assert let_down / 400 <= 0.1 + 0.03


def test_thinning_keeps_the_last_and_few_values_as_they_are() -> None:
    assert subsample_evenly([3, 5, 9], 10).tolist() == [0, 1, 2]
    assert subsample_evenly(list(range(1000)), 5).tolist() == [0, 250, 500, 750, 999]
    assert subsample_evenly([], 5).tolist() == []
