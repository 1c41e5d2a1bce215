"""Sets of categories that hold the true one."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from prodcat_index.voting.sets import SetCurve, category_sets, set_curve

PROBABILITIES = np.array([[0.7, 0.2, 0.0], [0.5, 0.4, 0.1], [0.9, 0.0, 0.0], [0.6, 0.3, 0.0]])
CATEGORIES = np.array([[2, 0, -1], [1, 2, 0], [0, -1, -1], [0, 1, -1]])


def test_the_set_curve_by_hand() -> None:
    """The true categories have 0.2, 0.5 and 0.9; the fourth card's got no vote."""
    curve = set_curve(PROBABILITIES, CATEGORIES, np.array([0, 1, 0, 2]))
    assert curve == SetCurve(4, (1, 2, 3), (0.9, 0.5, 0.2))


def test_an_unknown_category_is_nowhere() -> None:
    """-1 must not be found where a row of categories has ended."""
    curve = set_curve(PROBABILITIES, CATEGORIES, np.full(4, -1))
    assert curve == SetCurve(4, (), ())
    assert curve.highest_coverage == 0
    assert curve.least_probability(0.01) is None


def test_one_card_more_than_the_share_is_needed() -> None:
    """Of n cards, the rank is level * (n + 1), rounded up: 0.6 * 5 = 3."""
    curve = SetCurve(4, (1, 2, 3, 4), (0.9, 0.5, 0.2, 0.1))
    assert curve.least_probability(0.2) == 0.9
    assert curve.least_probability(0.21) == 0.5
    assert curve.least_probability(0.6) == 0.2
    assert curve.least_probability(0.8) == 0.1
    assert curve.least_probability(0.81) is None


def test_where_too_many_true_categories_got_no_vote_the_level_is_refused() -> None:
    """A promise that cannot be kept must not be made."""
    curve = SetCurve(99, (50, 90), (0.5, 0.01))
    assert curve.highest_coverage == pytest.approx(0.9)
    assert curve.least_probability(0.9) == 0.01
    assert curve.least_probability(0.91) is None


def test_between_kept_places_the_set_is_rather_larger() -> None:
    assert SetCurve(99, (10, 50, 90), (0.9, 0.5, 0.1)).least_probability(0.2) == 0.5


@pytest.mark.parametrize("coverage", [0.0, 1.0, -1, 2, np.nan])
def test_a_coverage_is_a_share(coverage: float) -> None:
    with pytest.raises(ValueError, match="coverage"):
        SetCurve(9, (1,), (0.5,)).least_probability(coverage)


def test_the_set_curve_is_short_however_many_cards_there_are() -> None:
    rng = np.random.default_rng(0)
    curve = set_curve(rng.random((5000, 1)), np.zeros((5000, 1), int), np.zeros(5000, int))
    assert len(curve.ranks) <= 200
    assert curve.ranks[-1] == 5000


@settings(max_examples=50, deadline=None)
@given(st.floats(0.01, 0.99), st.floats(0.01, 0.99), st.integers(1, 60))
def test_a_higher_level_never_makes_sets_smaller(one: float, other: float, cards: int) -> None:
    rng = np.random.default_rng(cards)
    curve = set_curve(rng.random((cards, 1)), np.zeros((cards, 1), int), np.zeros(cards, int))
    low, high = sorted((one, other))
    loose, tight = curve.least_probability(high), curve.least_probability(low)
    assert loose is None or (tight is not None and loose <= tight)


def test_sets_by_hand() -> None:
    """The first category is always in, an empty place never is."""
    sets = category_sets(PROBABILITIES, CATEGORIES, 0.4)
    assert sets.tolist() == [
        [True, False, False],
        [True, True, False],
        [True, False, False],
        [True, False, False],
    ]
    assert category_sets(PROBABILITIES, CATEGORIES, 0.95)[:, 0].tolist() == [True] * 4
    assert category_sets(np.zeros((1, 2)), np.full((1, 2), -1), 0.0).tolist() == [[False, False]]


@pytest.mark.parametrize("level", [0.8, 0.9])
def test_new_sets_hold_the_true_category_as_often_as_asked(level: float) -> None:
    """The promise of --set, simulated over 300 shops of 80 calibration cards and 80 new ones."""
    rng = np.random.default_rng(7)
    held = []
    for _ in range(300):
        probabilities = -np.sort(-rng.dirichlet(np.full(6, 0.5), 160), axis=1)
        categories = np.tile(np.arange(6), (160, 1))
        # Sharper than what is told, so that probabilities alone would not do.
        truth = np.array([rng.choice(6, p=p**2 / (p**2).sum()) for p in probabilities])
        truth = np.where(rng.random(160) < 0.03, -1, truth)
        least = set_curve(probabilities[:80], categories[:80], truth[:80]).least_probability(level)
        assert least is not None
        sets = category_sets(probabilities[80:], categories[80:], least)
        held.append((sets & (categories[80:] == truth[80:, None])).any(axis=1).mean())
    assert level - 0.01 <= np.mean(held) <= level + 0.03


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ((9, [1, 2], [0.5]), "same length"),
        ((9, [2, 1], [0.5, 0.4]), "must rise"),
        ((9, [1, 10], [0.5, 0.4]), "must rise"),
        ((9, [1, 2], [0.4, 0.5]), "must fall"),
        ((9, [1, 2], [1.5, 0.5]), "less than or equal to 1"),
    ],
)
def test_a_curve_that_nothing_can_have_fitted_is_refused(columns, sentence) -> None:
    """A damaged manifest would promise a precision that no card supports."""
    names = [field.name for field in fields(SetCurve)]
    with pytest.raises(ValidationError, match=sentence):
        TypeAdapter(SetCurve).validate_python(dict(zip(names, columns, strict=True)))
