"""Prefixes of category paths to back off to."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from prodcat_index.voting.prefixes import (
    BackOffCurve,
    CategoryTree,
    Prefixes,
    back_off_curve,
    likeliest_prefixes,
)
from prodcat_index.voting.thresholds import PrecisionCurve, precision_curve

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


def curve_of(n: int, trust: float = 1.0, products: int | None = None) -> BackOffCurve:
    probabilities, categories, true, tree = made_cards(n, trust)
    groups = np.arange(n) % (products or n)
    whole = precision_curve(probabilities[:, 0], categories[:, 0] == true, groups)
    prefixes = likeliest_prefixes(probabilities, categories, tree)
    curve = back_off_curve(whole, probabilities[:, 0], prefixes, true, groups, tree)
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
    assert curve.accept_at(0.9991) is None


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
    whole = precision_curve(confidence, easy, np.arange(n))
    curve = back_off_curve(whole, confidence, prefixes, true, np.arange(n), tree)
    assert curve is not None
    assert whole.accept_at(0.95) is not None
    assert curve.accept_at(0.95) is None


@pytest.mark.parametrize(
    ("surest", "mistakes", "is_kept"), [(0, 18, True), (60, 18, False), (60, 14, True)]
)
def test_walks_over_prefixes_may_err_with_what_certainty_leaves(
    surest: int, mistakes: int, is_kept: bool
) -> None:
    """Of 1000 prefixes 60 are surer than 440, two of them wrong: the first walk ends at once.

    The last may err with 0.05 then: 14 mistakes of 500 have a probability of 0.01, 18 of 0.087.
    """
    tree = CategoryTree.from_categories(NAMES[:3])
    place = np.arange(1000)
    confidence = np.where(place < surest, 0.95, np.where(place < 500, 0.8, 0.1))
    true = np.where((place < 2) | (place >= 500 - mistakes + 2), BAGS, BOOTS)
    prefixes = Prefixes(np.zeros((1000, 1), int), confidence[:, None])
    empty = PrecisionCurve(1000, (), (), ())
    curve = back_off_curve(empty, np.full(1000, 0.1), prefixes, true, place, tree)
    assert curve is not None
    assert (curve.accept_at(0.95) is not None) == is_kept


def test_prefixes_of_variants_tell_less() -> None:
    """Cards of 20 products show no precision, however many variants each has."""
    assert curve_of(4000).accept_at(0.9) is not None
    assert curve_of(4000, products=20).accept_at(0.9) is None


def test_an_unknown_category_makes_a_prefix_wrong() -> None:
    tree = CategoryTree.from_categories(NAMES[:3])
    prefixes = Prefixes(np.zeros((500, 1), int), np.full((500, 1), 0.99))
    empty = PrecisionCurve(500, (), (), ())
    curves = [
        back_off_curve(empty, np.full(500, 0.1), prefixes, np.full(500, true), np.arange(500), tree)
        for true in (BOOTS, -1)
    ]
    assert [c is not None and c.accept_at(0.9) is not None for c in curves] == [True, False]


def test_plain_labels_have_no_curve() -> None:
    tree = CategoryTree.from_categories(["Bags", "Boots"])
    prefixes = likeliest_prefixes(np.ones((1, 1)), np.zeros((1, 1), int), tree)
    assert prefixes.deepest(0.9).tolist() == [-1]
    empty = PrecisionCurve(0, (), (), ())
    assert back_off_curve(empty, np.ones(1), prefixes, [0], [0], tree) is None


@pytest.mark.parametrize(
    ("columns", "sentence"),
    [
        (([0.8], [0.6], [0.1], []), "same length"),
        (([0.8], [0.6], [0.1], [1.1]), "less than or equal to 1"),
        (([0.8], [-0.6], [0.1], [0.9]), "greater than or equal to 0"),
    ],
)
def test_a_curve_that_nothing_can_have_fitted_is_refused(columns, sentence) -> None:
    """A damaged manifest would promise a precision that no card supports."""
    names = [field.name for field in fields(BackOffCurve)]
    with pytest.raises(ValidationError, match=sentence):
        TypeAdapter(BackOffCurve).validate_python(dict(zip(names, columns, strict=True)))
