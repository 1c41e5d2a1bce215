"""Matching of two catalogues: candidates, probabilities, thresholds, partners."""

from __future__ import annotations

from itertools import permutations

import made
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodcat_index import CatalogueError, Matcher, match, pair_probabilities
from prodcat_index.audit.matching import assign, best_threshold, read_pairs
from prodcat_index.types import BoolArray, Int64Array


def labelled(matcher: Matcher) -> tuple[Int64Array, BoolArray]:
    pairs = matcher.candidates(5)
    return pairs, pairs[:, 0] == pairs[:, 1]


def test_the_same_products_of_two_shops_are_found() -> None:
    """Two catalogues could not be linked without labelling pairs first."""
    left, right = made.two_shops()
    found = match(left, right, one_to_one=True)
    right_ones = (found.pairs[:, 0] == found.pairs[:, 1]).sum()
    assert right_ones >= 57
    assert right_ones / len(found) >= 0.95
    assert found.compared == len(Matcher(left, right).candidates())
    assert (np.diff(found.probability) <= 0).all()


def test_a_match_is_named_by_its_ids_and_explained() -> None:
    """Nobody could check a pair that has row numbers and no reason."""
    left = pd.DataFrame({"id": ["a"], "title": ["Bosch drill GSB-13"], "price": ["79"]})
    right = pd.DataFrame(
        {"id": ["x", "y"], "title": ["Lamp", "BOSCH GSB13 impact drill"], "price": ["5", "75"]}
    )
    row = match(left, right).to_frame().iloc[0]
    assert (row["left_id"], row["right_id"]) == ("a", "y")
    assert (row["left_title"], row["right_title"]) == (left.title[0], right.title[1])
    assert row["why"] == "code gsb13; words bosch, drill; prices 79 and 75"


def test_the_likeliest_pair_is_one_with_itself() -> None:
    """An offer copied from the other shop would not be found."""
    left, _ = made.two_shops(20)
    matcher = Matcher(left, left.copy())
    pairs = np.array([(row, other) for row in range(20) for other in range(20)])
    probability = matcher.predict_proba(pairs).reshape(20, 20)
    assert (probability.argmax(axis=1) == np.arange(20)).all()
    assert probability.diagonal().min() > matcher.threshold


def test_probabilities_are_the_same_from_either_side_and_in_any_order_or_batch() -> None:
    """The same pair would be a match in one run and none in the next."""
    left, right = made.two_shops(40)
    matcher = Matcher(left, right)
    pairs = matcher.candidates(6)
    probability = matcher.predict_proba(pairs)
    swapped = Matcher(right, left).predict_proba(pairs[:, ::-1])
    np.testing.assert_allclose(swapped, probability, atol=1e-9)
    order = np.random.default_rng(1).permutation(40)
    shuffled = Matcher(left.iloc[order], right)
    place = np.argsort(order)
    moved = np.column_stack([place[pairs[:, 0]], pairs[:, 1]])
    np.testing.assert_allclose(shuffled.predict_proba(moved), probability, atol=1e-9)
    alone = np.concatenate([matcher.predict_proba(pairs[[n]]) for n in range(10)])
    np.testing.assert_allclose(alone, probability[:10], atol=1e-12)


def test_learning_from_labelled_pairs_is_calibrated_and_repeatable() -> None:
    """Labelled pairs would make the answers worse, or other ones each time."""
    left, right = made.two_shops(80)
    matcher = Matcher(left, right)
    pairs, truth = labelled(matcher)
    half = pairs[:, 0] % 2 == 0
    first = matcher.fit(pairs[half], truth[half])
    assert first.is_fitted
    probability = first.predict_proba(pairs[~half])
    accepted = probability >= first.threshold
    f1 = 2 * (accepted & truth[~half]).sum() / (accepted.sum() + truth[~half].sum())
    assert f1 > 0.9
    assert abs(probability.mean() - truth[~half].mean()) < 0.05
    again = Matcher(left, right).fit(pairs[half], truth[half])
    assert again.predict_proba(pairs[~half]).tolist() == probability.tolist()
    assert again.threshold == first.threshold


def test_easy_labelled_pairs_are_noted_and_leave_an_order() -> None:
    """All pairs would have one probability, and any of them would be the partner."""
    left, right = made.two_shops(60)
    easy = [(f"l{n}", f"r{m}", int(n == m)) for n in range(30) for m in (n, (n + 11) % 60)]
    table = pd.DataFrame(easy, columns=["left_id", "right_id", "label"])
    found = match(left, right, pairs=table, threshold=0)
    assert len(np.unique(found.probability.round(9))) < len(found)
    assert any("told apart without an error" in note for note in found.notes)
    usual = Matcher(left, right).predict_proba(found.pairs)
    tied = np.diff(found.probability.round(9)) == 0
    assert (np.diff(usual)[tied] <= 1e-12).all()
    partners = match(left, right, pairs=table, one_to_one=True)
    assert (partners.pairs[:, 0] == partners.pairs[:, 1]).mean() > 0.95
    # Labels that contradict each other are not easy.
    hard = table.assign(label=[n % 3 % 2 for n in range(60)])
    assert match(left, right, pairs=hard).notes == ()


def test_a_brand_is_no_code() -> None:
    """Pairs would seem to have a model number in common where only the brand is."""
    left = pd.DataFrame({"id": ["a"], "title": ["Vega-7 kettle KT-450"], "brand": ["Vega-7"]})
    right = pd.DataFrame({"id": ["x"], "title": ["VEGA7 kettle kt450"], "brand": ["Vega 7"]})
    matcher = Matcher(left, right)
    assert matcher.why(0, 0).startswith("code kt450; ")
    other = Matcher(left, right.assign(title="Vega-7 lamp"))
    assert "code" not in other.why(0, 0)


def test_too_few_or_wrong_pairs_are_refused_in_a_sentence() -> None:
    """A model of five pairs would be believed."""
    left, right = made.two_shops(30)
    matcher = Matcher(left, right)
    with pytest.raises(CatalogueError, match=r"needs 20 pairs .* there are 5 and 25"):
        matcher.fit([(n, n) for n in range(30)], [n < 5 for n in range(30)])
    with pytest.raises(ValueError, match="30 pairs and labels of shape"):
        matcher.fit([(n, n) for n in range(30)], [True])
    with pytest.raises(ValueError, match="of no row"):
        matcher.predict_proba([(0, 30)])
    with pytest.raises(ValueError, match=r"of shape \(P, 2\)"):
        matcher.predict_proba([(0.5, 1.0)])
    with pytest.raises(ValueError, match="at least one candidate"):
        match(left, right, k=0)
    assert matcher.predict_proba([]).shape == (0,)


def test_pairs_are_read_by_ids_and_unknown_ones_named() -> None:
    """A label would be given to another pair, or be lost without a word."""
    left, right = made.two_shops(3)
    matcher = Matcher(left, right)
    table = pd.DataFrame(
        {"right_id": ["r1", "r2", "r9"], "left_id": ["l1", "l0", "l0"], "label": ["yes", "0", "1"]}
    )
    rows, labels, notes = read_pairs(table, matcher.left, matcher.right)
    assert (rows.tolist(), labels.tolist()) == ([[1, 1], [0, 2]], [True, False])
    assert notes == ["1 labelled pair has an id that its catalogue lacks (left out): l0 and r9"]
    with pytest.raises(CatalogueError, match="the table lacks label: "):
        read_pairs(table.drop(columns="label"), matcher.left, matcher.right)
    with pytest.raises(CatalogueError, match="has maybe; use 1 and 0"):
        read_pairs(table.assign(label="maybe"), matcher.left, matcher.right)


def test_pairs_of_both_labels_are_left_out_and_what_is_lacking_is_explained() -> None:
    """Contradicting labels would make every candidate a partner."""
    left, right = made.two_shops(3)
    table = pd.DataFrame(
        {"left_id": ["l0", "l0", "l1", "x"], "right_id": ["r0", "r0", "r1", "r1"], "label": "1"}
    )
    table.loc[1, "label"] = "0"
    rows, labels, notes = read_pairs(table, Matcher(left, right).left, Matcher(left, right).right)
    assert (rows.tolist(), labels.tolist()) == ([[1, 1]], [True])
    assert notes[1] == "1 labelled pair is of both labels (left out): l0 and r0"
    with pytest.raises(CatalogueError, match=r"there are 1 and 0\. .*lacks \(left out\): x and r1"):
        match(left, right, pairs=table)
    with pytest.raises(CatalogueError, match="has empty values; use 1 and 0"):
        read_pairs(table.assign(label=""), Matcher(left, right).left, Matcher(left, right).right)


def test_the_threshold_has_the_largest_expected_f1() -> None:
    """Of 0.9, 0.6, 0.1: 1 accepted 2·0.9/2.6, 2 accepted 2·1.5/3.6, 3 accepted 2·1.6/4.6."""
    assert best_threshold(np.array([0.1, 0.9, 0.6])) == 0.6
    assert best_threshold(np.array([0.9, 0.2, 0.2])) == 0.9


@settings(max_examples=40, deadline=None)
@given(st.dictionaries(st.tuples(st.integers(0, 3), st.integers(0, 3)), st.floats(0.01, 1)))
def test_partners_have_the_largest_sum(given_pairs: dict[tuple[int, int], float]) -> None:
    """The best partner of one card would take that of another."""
    pairs = np.array(list(given_pairs), dtype=np.int64).reshape(-1, 2)
    probability = np.array(list(given_pairs.values()))
    chosen = assign(pairs, probability)
    taken = pairs[chosen]
    assert len(set(taken[:, 0])) == len(set(taken[:, 1])) == len(taken)
    best = max(sum(given_pairs.get(p, 0.0) for p in enumerate(o)) for o in permutations(range(4)))
    assert probability[chosen].sum() == pytest.approx(best)


def test_near_duplicates_of_one_catalogue_are_told_from_other_products() -> None:
    """Each card that is listed twice would have to be found by hand."""
    left, right = made.two_shops(40)
    both = pd.concat([left, right], ignore_index=True)
    same = [(n, n + 40) for n in range(40)]
    others = [(n, (n + 7) % 40 + 40) for n in range(40)]
    probability = pair_probabilities(both, same + others)
    assert probability[:40].min() > probability[40:].max()
    back = pair_probabilities(both, [(b, a) for a, b in same + others])
    np.testing.assert_allclose(back, probability, atol=1e-9)
