"""Thresholds that keep a target precision, and prefixes to back off to."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy.stats import binom

from prodcat_index.voting.thresholds import (
    BackOffCurve,
    CategoryTree,
    PrecisionCurve,
    Prefixes,
    SetCurve,
    back_off_curve,
    binomial_tail,
    likeliest_prefixes,
    precision_curve,
    set_curve,
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


def test_each_of_two_walks_may_err_with_half_of_what_certainty_leaves() -> None:
    """Two chances of 10 % to be lucky would break the promise of 90 % certainty.

    18 mistakes or fewer of 500 have a probability of 0.087 at a precision of 0.95: little enough
    for a single walk, too much for one of two. 16 mistakes have 0.034.
    """
    assert PrecisionCurve(1000, (0.8,), (500,), (18,)).accept_at(0.95) is not None
    assert PrecisionCurve(1000, (0.9, 0.8), (60, 500), (2, 18)).accept_at(0.95) is None
    found = PrecisionCurve(1000, (0.9, 0.8), (60, 500), (2, 16)).accept_at(0.95)
    assert found is not None
    assert found.threshold == 0.8


def test_what_cannot_be_reached_is_none() -> None:
    rng = np.random.default_rng(0)
    curve = precision_curve(rng.random(500), rng.random(500) < 0.7)
    assert curve.accept_at(0.95) is None
    assert PrecisionCurve(0, (), (), ()).accept_at(0.5) is None


@pytest.mark.parametrize("precision", [0, 1, 95, np.nan])
def test_a_precision_is_a_share(precision: float) -> None:
    with pytest.raises(ValueError, match="above 0 and below 1"):
        PrecisionCurve(1, (0.5,), (1,), (0,)).accept_at(precision)


def test_more_certainty_accepts_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(1)
    confidence = rng.random(2000) ** 0.3
    curve = precision_curve(confidence, rng.random(2000) < confidence)
    covered = []
    for certainty in (0.5, 0.9, 0.99):
        monkeypatch.setattr("prodcat_index.voting.thresholds.CERTAINTY", certainty)
        covered.append(curve.accept_at(0.9))
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


def test_thinning_keeps_the_last_and_few_values_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A curve would end before the last card, or hold a million rows."""
    assert subsample_evenly(np.array([3, 5, 9])).tolist() == [0, 1, 2]
    assert subsample_evenly(np.zeros(0, np.int64)).tolist() == []
    monkeypatch.setattr("prodcat_index.voting.thresholds.POINTS", 5)
    assert subsample_evenly(np.arange(1000)).tolist() == [0, 250, 500, 750, 999]


NAMES = ["Bags", "Shoes > Boots", "Shoes > Sandals", "Shoes > Sandals > Beach"]
BAGS, BOOTS, SANDALS, BEACH = range(4)


def likeliest(tree: CategoryTree, prefixes: Prefixes, row: int) -> list[str]:
    return [tree.names[code] for code in prefixes.codes[row] if code >= 0]


def test_the_prefixes_of_categories() -> None:
    """A category that is itself above others counts among what is below its name."""
    tree = CategoryTree.from_categories(NAMES)
    assert tree.names == ("Shoes", "Shoes > Sandals")
    assert tree.above.tolist() == [[-1, -1], [0, -1], [0, 1], [0, 1]]


@pytest.mark.parametrize(
    "names",
    [
        ["Все категории > Обувь > Ботинки", "Все категории > Сумки"],
        ["Все категории", "Все категории > Обувь > Ботинки", "Все категории > Сумки"],
    ],
)
def test_a_root_that_all_categories_share_is_no_answer(names: list[str]) -> None:
    """It is always right and says nothing."""
    assert CategoryTree.from_categories(names).names == ("Все категории > Обувь",)
    assert CategoryTree.from_categories(names).above[:, 0].max() == 0


@pytest.mark.parametrize("names", [["Bags", "Boots"], ["Shoes > Boots"], []])
def test_without_a_tree_there_are_no_prefixes(names: list[str]) -> None:
    tree = CategoryTree.from_categories(names)
    assert (tree.names, tree.above.shape) == ((), (len(names), 0))


def test_the_probabilities_below_a_prefix_add_up() -> None:
    tree = CategoryTree.from_categories(NAMES)
    probabilities = np.array([[0.4, 0.3, 0.2, 0.05], [0.8, 0.0, 0.0, 0.0]])
    categories = np.array([[BAGS, BOOTS, BEACH, SANDALS], [BAGS, -1, -1, -1]])
    prefixes = likeliest_prefixes(probabilities, categories, tree)
    assert likeliest(tree, prefixes, 0) == ["Shoes", "Shoes > Sandals"]
    assert prefixes.confidence[0].tolist() == pytest.approx([0.55, 0.25])
    assert likeliest(tree, prefixes, 1) == []
    assert prefixes.confidence[1].tolist() == [0, 0]


def test_the_longest_prefix_that_is_sure_enough_is_taken() -> None:
    prefixes = Prefixes(np.array([[0, 1], [0, -1]]), np.array([[0.9, 0.6], [0.7, 0.0]]))
    assert prefixes.deepest(0.6).tolist() == [1, 0]
    assert prefixes.deepest(0.65).tolist() == [0, 0]
    assert prefixes.deepest(0.8).tolist() == [0, -1]
    assert prefixes.deepest(0.95).tolist() == [-1, -1]


def test_nobody_voted_so_there_is_no_prefix() -> None:
    tree = CategoryTree.from_categories(NAMES)
    prefixes = likeliest_prefixes(np.zeros((1, 2)), np.full((1, 2), -1), tree)
    assert prefixes.deepest(0.51).tolist() == [-1]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0.01, 1), min_size=4, max_size=4), st.permutations(range(4)))
def test_a_longer_prefix_is_never_surer(shares: list[float], order: list[int]) -> None:
    tree = CategoryTree.from_categories(NAMES)
    probabilities = -np.sort(-np.array([shares]) / sum(shares), axis=1)
    prefixes = likeliest_prefixes(probabilities, np.array([order]), tree)
    assert np.all(np.diff(prefixes.confidence, axis=1) <= 1e-12)
    assert np.all((prefixes.confidence >= 0) & (prefixes.confidence <= 1))
    named = dict(zip(order, probabilities[0].tolist(), strict=True))
    assert prefixes.confidence[0, 0] == pytest.approx(1 - named[BAGS])


def made_cards(
    n: int, trust: float = 1.0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, CategoryTree]:
    """Draw cards whose shelf is sure with a probability, and boots or sandals is a toss-up."""
    rng = np.random.default_rng(n)
    shoes = rng.uniform(0.6, 1.0, n)
    probabilities = np.stack([shoes * 0.6, shoes * 0.4, 1 - shoes], axis=1)
    categories = np.tile([BOOTS, SANDALS, BAGS], (n, 1))
    is_shoe = rng.random(n) < shoes * trust
    true = np.where(is_shoe, np.where(rng.random(n) < 0.6, BOOTS, SANDALS), BAGS)
    return probabilities, categories, true, CategoryTree.from_categories(NAMES[:3])


def curve_of(n: int, trust: float = 1.0) -> BackOffCurve:
    probabilities, categories, true, tree = made_cards(n, trust)
    whole = precision_curve(probabilities[:, 0], categories[:, 0] == true)
    prefixes = likeliest_prefixes(probabilities, categories, tree)
    curve = back_off_curve(whole, probabilities[:, 0], prefixes, true, tree)
    assert curve is not None
    return curve


def test_where_the_category_is_a_toss_up_its_shelf_is_kept_to_the_precision() -> None:
    """Whole categories are right at 60 % at most; the shelf at (1 + threshold) / 2."""
    found = curve_of(4000).accept_at(0.9)
    assert found is not None
    assert 0.8 <= found.threshold <= 0.9
    assert found.precision >= 0.9
    assert 0.3 <= found.coverage <= 0.5
    probabilities, categories, true, tree = made_cards(9000)
    sure = likeliest_prefixes(probabilities, categories, tree).deepest(found.threshold)
    assert np.mean(true[sure >= 0] != BAGS) >= 0.89


def test_a_precision_between_two_hundredths_is_kept_like_the_higher_one() -> None:
    curve = curve_of(4000)
    assert curve.accept_at(0.891) == curve.accept_at(0.9)
    assert curve.accept_at(0.995) is None


def test_prefixes_that_are_often_wrong_are_not_offered() -> None:
    assert curve_of(4000, trust=0.5).accept_at(0.9) is None


def test_cards_that_are_accepted_whole_do_not_lend_their_precision_to_prefixes() -> None:
    """Half the cards are sure and right; the prefixes of the others are wrong half the time."""
    n = 1000
    tree = CategoryTree.from_categories(NAMES[:3])
    easy = np.arange(n) % 2 == 0
    confidence = np.where(easy, 0.99, 0.4)
    prefixes = Prefixes(np.zeros((n, 1), int), np.where(easy, 0.995, 0.9)[:, None])
    true = np.where(easy | (np.arange(n) % 4 == 1), BOOTS, BAGS)
    whole = precision_curve(confidence, easy)
    curve = back_off_curve(whole, confidence, prefixes, true, tree)
    assert curve is not None
    assert whole.accept_at(0.95) is not None
    assert curve.accept_at(0.95) is None


@pytest.mark.parametrize(
    ("surest", "mistakes", "is_kept"), [(0, 18, True), (60, 18, False), (60, 16, True)]
)
def test_each_of_two_walks_over_prefixes_may_err_with_half_of_what_certainty_leaves(
    surest: int, mistakes: int, is_kept: bool
) -> None:
    """Of 1000 prefixes 60 are surer than 440, two of them wrong: the first walk ends at once."""
    tree = CategoryTree.from_categories(NAMES[:3])
    place = np.arange(1000)
    confidence = np.where(place < surest, 0.95, np.where(place < 500, 0.8, 0.1))
    true = np.where((place < 2) | (place >= 500 - mistakes + 2), BAGS, BOOTS)
    prefixes = Prefixes(np.zeros((1000, 1), int), confidence[:, None])
    empty = PrecisionCurve(1000, (), (), ())
    curve = back_off_curve(empty, np.full(1000, 0.1), prefixes, true, tree)
    assert curve is not None
    assert (curve.accept_at(0.95) is not None) == is_kept


def test_an_unknown_category_makes_a_prefix_wrong() -> None:
    tree = CategoryTree.from_categories(NAMES[:3])
    prefixes = Prefixes(np.zeros((500, 1), int), np.full((500, 1), 0.99))
    empty = PrecisionCurve(500, (), (), ())
    curves = [
        back_off_curve(empty, np.full(500, 0.1), prefixes, np.full(500, true), tree)
        for true in (BOOTS, -1)
    ]
    assert [c is not None and c.accept_at(0.9) is not None for c in curves] == [True, False]


def test_plain_labels_have_no_curve() -> None:
    tree = CategoryTree.from_categories(["Bags", "Boots"])
    prefixes = likeliest_prefixes(np.ones((1, 1)), np.zeros((1, 1), int), tree)
    assert prefixes.deepest(0.9).tolist() == [-1]
    assert back_off_curve(PrecisionCurve(0, (), (), ()), np.ones(1), prefixes, [0], tree) is None


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


@pytest.mark.parametrize(
    ("curve", "columns", "sentence"),
    [
        (PrecisionCurve, (9, [0.9, 0.5], [1], [0, 0]), "same length"),
        (PrecisionCurve, (9, [0.5, 0.9], [1, 2], [0, 0]), "must fall"),
        (PrecisionCurve, (9, [1.1, 0.9], [1, 2], [0, 0]), "less than or equal to 1"),
        (PrecisionCurve, (9, [np.nan, 0.9], [1, 2], [0, 0]), "thresholds"),
        (PrecisionCurve, (9, [0.9, 0.5], [2, 1], [0, 0]), "fit together"),
        (PrecisionCurve, (9, [0.9, 0.5], [1, 10], [0, 0]), "fit together"),
        (PrecisionCurve, (9, [0.9, 0.5], [0, 1], [0, 0]), "fit together"),
        (PrecisionCurve, (9, [0.9, 0.5], [1, 2], [0, 3]), "fit together"),
        (PrecisionCurve, (9, [0.9, 0.5], [1, 2], [-1, 0]), "greater than or equal to 0"),
        (PrecisionCurve, (2**30, [], [], []), "less than or equal to 4194304"),
        (BackOffCurve, ([0.8], [0.6], [0.1], []), "same length"),
        (BackOffCurve, ([0.8], [0.6], [0.1], [1.1]), "less than or equal to 1"),
        (BackOffCurve, ([0.8], [-0.6], [0.1], [0.9]), "greater than or equal to 0"),
        (SetCurve, (9, [1, 2], [0.5]), "same length"),
        (SetCurve, (9, [2, 1], [0.5, 0.4]), "must rise"),
        (SetCurve, (9, [1, 10], [0.5, 0.4]), "must rise"),
        (SetCurve, (9, [1, 2], [0.4, 0.5]), "must fall"),
        (SetCurve, (9, [1, 2], [1.5, 0.5]), "less than or equal to 1"),
    ],
)
def test_a_curve_that_nothing_can_have_fitted_is_refused(curve, columns, sentence) -> None:
    """A damaged manifest would promise a precision that no card supports."""
    names = [field.name for field in fields(curve)]
    with pytest.raises(ValidationError, match=sentence):
        TypeAdapter(curve).validate_python(dict(zip(names, columns, strict=True)))
