"""Thresholds that keep a target precision, of all answers or of each category."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy.stats import binom

from prodcat_index.voting.thresholds import (
    TARGET_PRECISIONS,
    CategoryThresholds,
    PrecisionCurve,
    binomial_tail,
    category_thresholds,
    independent_cards,
    precision_curve,
    subsample_evenly,
)

SHOPS = 200


def ungrouped(confidence: np.ndarray, right: np.ndarray) -> PrecisionCurve:
    return precision_curve(confidence, right, np.arange(len(right)))


def test_the_curve_counts_answers_and_mistakes_above_each_threshold() -> None:
    curve = ungrouped(np.array([0.3, 0.9, 0.6]), np.array([False, True, True]))
    assert curve == PrecisionCurve(3, (0.9, 0.6, 0.3), (1, 2, 3), (0, 0, 1), (1, 2, 3))


def test_a_threshold_takes_all_equally_confident_cards() -> None:
    """One in the middle of them could not be applied to new listings."""
    curve = ungrouped(np.array([0.9, 0.5, 0.5, 0.5]), np.array([True, True, False, True]))
    assert (curve.thresholds, curve.answered, curve.wrong) == ((0.9, 0.5), (1, 4), (0, 1))


def test_the_curve_is_short_however_many_cards_there_are() -> None:
    """It lies in the manifest of the index."""
    rng = np.random.default_rng(0)
    confidence = rng.random(5000)
    curve = ungrouped(confidence, rng.random(5000) < confidence)
    assert 150 <= len(curve.thresholds) <= 200
    assert curve.answered[-1] == curve.cards == 5000
    counted = int((confidence >= curve.thresholds[70]).sum())
    assert curve.answered[70] == counted


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 400), st.data(), st.floats(0.5, 0.999))
def test_the_binomial_tail_is_scipys(answered: int, data: st.DataObject, precision: float) -> None:
    wrong = data.draw(st.integers(0, answered))
    assert binomial_tail(wrong, answered, precision) == pytest.approx(
        binom.cdf(wrong, answered, 1 - precision), abs=1e-9
    )


def test_the_tail_of_many_cards_stays_a_number() -> None:
    assert binomial_tail(4_000, 91_120, 0.95) == pytest.approx(
        binom.cdf(4_000, 91_120, 0.05), rel=1e-6
    )


def test_no_mistake_among_few_cards_shows_nothing() -> None:
    """A walk begins where it could pass at all: 0.95 ** 44 = 0.105, 0.95 ** 45 = 0.099."""
    assert PrecisionCurve(44, (0.9,), (44,), (0,)).accept_at(0.95) is None
    assert PrecisionCurve(45, (0.9,), (45,), (0,)).accept_at(0.95) is not None


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


@pytest.mark.parametrize(("answered", "threshold"), [((60, 250, 300), 0.8), ((60, 500, 600), 0.8)])
def test_wrong_labels_among_the_surest_cards_do_not_end_everything(
    answered: tuple[int, ...], threshold: float
) -> None:
    """Further walks start with a quarter and with half of the cards."""
    found = PrecisionCurve(1000, (0.99, 0.9, 0.8), answered, (2, 2, 3)).accept_at(0.95)
    assert found is not None
    assert found.threshold == threshold


def test_no_walk_starts_anywhere_else() -> None:
    """Every further chance to be lucky would break the promise of 90 % certainty."""
    answered = (60, 240, 260, 490, 600)
    curve = PrecisionCurve(1000, (0.9, 0.8, 0.7, 0.6, 0.5), answered, (3, 1, 60, 1, 60))
    assert curve.accept_at(0.95) is None


@pytest.mark.parametrize(("surest", "reached"), [(0, 0.7), (1, None)])
def test_what_a_walk_may_err_with_goes_to_the_next_only_if_it_gets_there(
    surest: int, reached: float | None
) -> None:
    """The walks may err with 0.05, 0.025 and 0.025, in this order.

    7 mistakes of 250 have a probability of 0.066 at a precision of 0.95, 17 of 500 one of 0.055:
    too much for the later walks alone, and enough with what the first one passes on.
    """
    assert 0.025 < binomial_tail(7, 250, 0.95) < 0.075
    assert 0.025 < binomial_tail(17, 500, 0.95) < 0.1
    curve = PrecisionCurve(1000, (0.9, 0.8, 0.7), (60, 250, 500), (surest, 7, 17))
    found = curve.accept_at(0.95)
    assert (found and found.threshold) == reached


def test_all_walks_together_may_err_with_what_certainty_leaves() -> None:
    """18 mistakes of 500 have a probability of 0.087, 19 have 0.13."""
    for mistakes, is_kept in ((18, True), (19, False)):
        curve = PrecisionCurve(1000, (0.9, 0.8, 0.7), (60, 250, 500), (0, 5, mistakes))
        found = curve.accept_at(0.95)
        assert found is not None
        assert (found.threshold == 0.7) == is_kept


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=40))
def test_independent_cards_are_kishs_number(groups: list[int]) -> None:
    heads = [groups[:m] for m in range(1, len(groups) + 1)]
    expected = [len(head) ** 2 // sum(head.count(g) ** 2 for g in set(head)) for head in heads]
    assert independent_cards(np.array(groups, dtype=np.int64)).tolist() == expected


def test_cards_of_a_group_tell_as_much_as_one() -> None:
    """Fifty variants of one product, all right, do not show that the next product will be."""
    confidence, right = np.linspace(0.9, 0.8, 200), np.ones(200, dtype=bool)
    alike = precision_curve(confidence, right, np.arange(200) // 5)
    assert alike.independent is not None
    assert alike.independent[-1] == 40
    assert alike.accept_at(0.95) is None
    assert ungrouped(confidence, right).accept_at(0.95) is not None


def test_mistakes_count_in_proportion_where_cards_are_alike() -> None:
    """4 of 300 cards are 1.4 of 100, rounded up; 2 of 100 have a probability of 0.118."""
    few = PrecisionCurve(300, (0.9,), (300,), (3,), (100,)).accept_at(0.95)
    assert few is not None
    assert few.precision == pytest.approx(0.99)
    assert PrecisionCurve(300, (0.9,), (300,), (4,), (100,)).accept_at(0.95) is None


def test_a_curve_of_an_earlier_version_takes_all_cards_to_be_unrelated() -> None:
    old = PrecisionCurve(300, (0.9,), (300,), (4,))
    assert old.independent_cards == (300,)
    assert old.accept_at(0.95) == PrecisionCurve(300, (0.9,), (300,), (4,), (300,)).accept_at(0.95)


@pytest.mark.parametrize(
    ("counts", "precision", "lacking"),
    [
        # ln 20 / -ln 0.99 = 298.07 cards without a mistake.
        (((150,), (0,)), 0.99, 597 - 300),
        (((150,), (0,), (75,)), 0.99, 1193 - 300),
        # One mistake of 100: 0.99 ln(0.99 / 0.95) + 0.01 ln(0.01 / 0.05) = 0.02474.
        (((100,), (1,)), 0.95, 364 - 300),
        (((300,), (0,)), 0.95, 30),
        (((200, 300), (4, 20)), 0.99, None),
        (((200,), (10,)), 0.95, None),
        (((), ()), 0.95, None),
    ],
)
def test_how_many_more_cards_would_show_a_precision(
    counts: tuple[tuple[int, ...], ...], precision: float, lacking: int | None
) -> None:
    """Users of 0.99 must know whether a day of labelling is enough."""
    thresholds = (0.9, 0.8)[: len(counts[0])]
    assert PrecisionCurve(300, thresholds, *counts).cards_lacking(precision) == lacking


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(0, 8), st.sampled_from([0.9, 0.95, 0.99]))
def test_with_the_cards_that_lacked_the_precision_is_shown(
    answered: int, wrong: int, precision: float
) -> None:
    curve = PrecisionCurve(400, (0.9,), (answered,), (min(wrong, answered),))
    lacking = curve.cards_lacking(precision)
    if lacking is not None:
        # Twice as many, since whole mistakes and cards are rounded against it.
        many = 2 * (400 + lacking) / 400
        more = PrecisionCurve(
            round(400 * many),
            (0.9,),
            (round(answered * many),),
            (round(min(wrong, answered) * many),),
        )
        assert more.accept_at(precision) is not None


def test_what_cannot_be_reached_is_none() -> None:
    rng = np.random.default_rng(0)
    curve = ungrouped(rng.random(500), rng.random(500) < 0.7)
    assert curve.accept_at(0.95) is None
    assert PrecisionCurve(0, (), (), ()).accept_at(0.5) is None


@pytest.mark.parametrize("precision", [0, 1, 95, np.nan])
def test_a_precision_is_a_share(precision: float) -> None:
    with pytest.raises(ValueError, match="above 0 and below 1"):
        PrecisionCurve(1, (0.5,), (1,), (0,)).accept_at(precision)


def test_more_certainty_accepts_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    confidence = rng.random(2000) ** 0.3
    curve = ungrouped(confidence, rng.random(2000) < confidence)
    covered = []
    for certainty in (0.5, 0.9, 0.99):
        monkeypatch.setattr("prodcat_index.voting.thresholds.CERTAINTY", certainty)
        covered.append(curve.accept_at(0.9))
    shares = [0.0 if found is None else found.coverage for found in covered]
    assert shares[0] >= shares[1] >= shares[2] > 0


@pytest.mark.parametrize("cards", [150, 1000])
def test_new_answers_are_as_precise_as_asked_with_the_certainty_told(cards: int) -> None:
    """The promise of --precision, simulated: of the shops, at most about 10 % are let down.

    The precision of answers above a threshold is worked out exactly: confidence c is uniform on
    [1/2, 1] and right with probability c, so that it is (1 + threshold) / 2.
    """
    rng = np.random.default_rng(cards)
    let_down = 0
    for _ in range(SHOPS):
        confidence = rng.uniform(0.5, 1, cards)
        found = ungrouped(confidence, rng.random(cards) < confidence).accept_at(0.85)
        let_down += found is not None and (1 + found.threshold) / 2 < 0.85
    assert let_down / SHOPS <= 0.1 + 0.03


@pytest.mark.parametrize("size", [1, 6])
def test_new_answers_are_as_precise_where_cards_are_alike_and_the_surest_are_wrong(
    size: int,
) -> None:
    """Groups of six are right or wrong together; of the surest 5 %, a quarter is wrong.

    The others are right with a probability that falls evenly from 1 to 0.8: the precision is
    known for every share that is accepted.
    """
    rng = np.random.default_rng(size)
    let_down, accepted, cards = 0, 0.0, 2400
    for _ in range(SHOPS):
        rank = np.repeat(rng.random(cards // size), size)
        right = np.repeat(rng.random(cards // size), size) < np.where(
            rank < 0.05, 0.75, 1 - 0.2 * (rank - 0.05)
        )
        groups = np.repeat(np.arange(cards // size), size)
        found = precision_curve(1 - rank, right, groups).accept_at(0.9)
        if found is not None:
            share = 1 - found.threshold
            good = 0.05 * 0.75 + (share - 0.05) * (1 - 0.1 * (share - 0.05))
            let_down += share < 0.05 or good / share < 0.9
            accepted += share
    assert let_down / SHOPS <= 0.1 + 0.03
    assert accepted / SHOPS > (0.7 if size == 1 else 0.15)


def test_thinning_keeps_the_last_and_few_values_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A curve would end before the last card, or hold a million rows."""
    assert subsample_evenly(np.array([3, 5, 9])).tolist() == [0, 1, 2]
    assert subsample_evenly(np.zeros(0, np.int64)).tolist() == []
    monkeypatch.setattr("prodcat_index.voting.thresholds.POINTS", 5)
    assert subsample_evenly(np.arange(1000)).tolist() == [0, 250, 500, 750, 999]


SHOP = ("Bags", "Boots", "Lamps", "Mugs")


def answers(*cards: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Make answers of categories from (code, cards, wrong ones, the least confident), falling."""
    confidence = [np.linspace(0.9, 0.5, n) for _, n, _ in cards]
    right = [np.arange(n) < n - wrong for _, n, wrong in cards]
    predicted = [np.full(n, code) for code, n, _ in cards]
    return np.concatenate(confidence), np.concatenate(right), np.concatenate(predicted)


def test_each_category_has_thresholds_of_its_own_where_its_cards_show_them() -> None:
    """Good bags must not carry bad boots over the threshold; ten lamps show little.

    No answer, -1, is no category: not the last one either.
    """
    confidence, right, predicted = answers((0, 60, 0), (1, 60, 30), (2, 10, 0), (-1, 60, 0))
    found = category_thresholds(confidence, right, predicted, np.arange(190), SHOP)
    assert set(found) == {"Bags", "Boots", "Lamps"}
    assert found["Lamps"].accept_at(0.8) is None
    # 60 cards without a mistake show 0.96 ** 60 = 0.086, and 30 show 0.92 ** 30 = 0.082.
    assert found["Bags"].accept_at(0.95) == found["Bags"].accept_at(0.96) == (0.5, 60)
    assert found["Bags"].accept_at(0.97) is None
    assert found["Boots"].accept_at(0.95) is None
    boots = found["Boots"].accept_at(0.9)
    assert boots is not None
    assert 30 <= boots[1] < 33
    assert boots[0] == pytest.approx(confidence[60 + boots[1] - 1])


def test_thresholds_of_a_category_are_those_of_its_curve() -> None:
    rng = np.random.default_rng(5)
    confidence = rng.random(900) ** 0.2
    right, predicted = rng.random(900) < confidence, rng.integers(0, 2, 900)
    found = category_thresholds(confidence, right, predicted, np.arange(900), SHOP)
    for code in (0, 1):
        own = predicted == code
        curve = ungrouped(confidence[own], right[own])
        for precision in TARGET_PRECISIONS:
            expected, told = curve.accept_at(precision), found[SHOP[code]].accept_at(precision)
            higher = [curve.accept_at(p) for p in TARGET_PRECISIONS if p >= precision]
            assert (expected is None) <= (told is None or any(higher))
            if told is not None:
                assert told[0] == min(each.threshold for each in higher if each)
                assert told[1] == (confidence[own] >= told[0]).sum()
    assert found["Bags"].accept_at(0.3) == found["Bags"].accept_at(0.5)


def test_variants_of_one_product_do_not_show_a_category() -> None:
    confidence, right, predicted = answers((0, 60, 0))
    found = category_thresholds(confidence, right, predicted, np.arange(60) // 10, SHOP)
    assert found["Bags"].accept_at(0.7) is None


def test_every_category_keeps_the_precision_with_the_certainty_told() -> None:
    """The promise of --per category: of 400 categories about 10 % are let down at most."""
    rng = np.random.default_rng(8)
    let_down = accepted = 0
    for _ in range(20):
        confidence, predicted = rng.uniform(0.5, 1, 2400), rng.integers(0, 20, 2400)
        right = rng.random(2400) < confidence
        names = [str(code) for code in range(20)]
        found = category_thresholds(confidence, right, predicted, np.arange(2400), names)
        kept = [each.accept_at(0.9) for each in found.values()]
        let_down += sum((1 + each[0]) / 2 < 0.9 for each in kept if each)
        accepted += sum(each is not None for each in kept)
    assert let_down / 400 <= 0.1 + 0.03
    assert accepted > 40


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (([0.9], [0.5], []), "same length"),
        (([0.95, 0.9], [0.5, 0.6], [9, 8]), "accept less"),
        (([0.9, 0.95], [0.6, 0.5], [9, 8]), "accept less"),
        (([0.9, 0.95], [0.5, 0.6], [8, 9]), "accept less"),
        (([1.5], [0.5], [9]), "less than or equal to 1"),
        (([0.9], [0.5], [2**30]), "less than or equal to 4194304"),
    ],
)
def test_thresholds_of_a_category_that_nothing_can_have_found_are_refused(
    columns: tuple[list[float], ...], sentence: str
) -> None:
    names = [field.name for field in fields(CategoryThresholds)]
    with pytest.raises(ValidationError, match=sentence):
        TypeAdapter(CategoryThresholds).validate_python(dict(zip(names, columns, strict=True)))


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        ((9, [0.9, 0.5], [1], [0, 0]), "same length"),
        ((9, [0.5, 0.9], [1, 2], [0, 0]), "must fall"),
        ((9, [1.1, 0.9], [1, 2], [0, 0]), "less than or equal to 1"),
        ((9, [np.nan, 0.9], [1, 2], [0, 0]), "thresholds"),
        ((9, [0.9, 0.5], [2, 1], [0, 0]), "fit together"),
        ((9, [0.9, 0.5], [1, 10], [0, 0]), "fit together"),
        ((9, [0.9, 0.5], [0, 1], [0, 0]), "fit together"),
        ((9, [0.9, 0.5], [1, 2], [0, 3]), "fit together"),
        ((9, [0.9, 0.5], [1, 2], [-1, 0]), "greater than or equal to 0"),
        ((2**30, [], [], []), "less than or equal to 4194304"),
        ((9, [0.9, 0.5], [1, 2], [0, 0], [1]), "same length"),
        ((9, [0.9, 0.5], [1, 2], [0, 0], [1, 3]), "fit together"),
        ((9, [0.9, 0.5], [1, 2], [0, 0], [0, 2]), "fit together"),
    ],
)
def test_a_curve_that_nothing_can_have_fitted_is_refused(columns, sentence) -> None:
    """A damaged manifest would promise a precision that no card supports."""
    names = [field.name for field in fields(PrecisionCurve)]
    with pytest.raises(ValidationError, match=sentence):
        TypeAdapter(PrecisionCurve).validate_python(dict(zip(names, columns, strict=False)))
