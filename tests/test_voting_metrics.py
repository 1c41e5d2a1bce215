"""Whether the figures that users choose by are the ones that they are called."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as oracle

from prodcat_index.voting.metrics import Interval, Outcome, Score, score_outcome, score_predictions

# Two categories: a is right twice and predicted three times, b is right once of two.
TRUE = ["a", "a", "b", "b", "b", "b"]
PREDICTED = ["a", "a", "a", "a", "b", "b"]

labels = st.sampled_from("abcd")
pairs = st.lists(st.tuples(labels, st.sampled_from(["", *"abcd"])), min_size=1, max_size=30)


def test_f1_by_hand() -> None:
    """F1 of a: 2*2/(2+4) = 2/3; of b: 2*2/(4+2) = 2/3."""
    score = score_predictions(TRUE, PREDICTED, {"a", "b"})
    assert score.weighted_f1 == pytest.approx(2 / 3)
    assert (score.cards, score.categories, score.unreachable) == (6, 2, 0)


def test_true_categories_come_first() -> None:
    """Swapped arguments weigh by predicted sizes, and flatter whoever names the large ones."""
    y_true, y_pred = ["a", "b", "b", "b", "c"], ["a", "a", "a", "b", "a"]
    score = score_predictions(y_true, y_pred, {"a", "b", "c"})
    a, b = 2 / (1 + 4), 2 / (3 + 1)
    assert score.weighted_f1 == pytest.approx((1 * a + 3 * b + 1 * 0) / 5)
    assert score.weighted_f1 != pytest.approx((4 * a + 1 * b + 0) / 5)
    swapped = score_predictions(y_pred, y_true, {"a", "b", "c"})
    assert swapped.weighted_f1 == pytest.approx((4 * a + 1 * b) / 5)


@given(pairs)
def test_scores_are_those_of_sklearn(answers: list[tuple[str, str]]) -> None:
    """Figures could not be compared with those of anybody else."""
    y_true, y_pred = map(list, zip(*answers, strict=True))
    score = score_predictions(y_true, y_pred, set("abcd"))
    known = sorted(set(y_true))
    options = {"zero_division": 0}
    assert score.accuracy == pytest.approx(oracle.accuracy_score(y_true, y_pred))
    weighted = oracle.f1_score(y_true, y_pred, average="weighted", **options)
    assert score.weighted_f1 == pytest.approx(weighted)
    macro = oracle.f1_score(y_true, y_pred, average="macro", labels=known, **options)
    assert score.macro_f1 == pytest.approx(macro)


def test_the_best_three_and_five_and_the_neighbours_are_counted() -> None:
    """A user could not tell a vote that ranks badly from neighbours that are wrong."""
    ranked = [list("abcdef"), list("bacdef"), list("bcdaef"), list("bcdefa")]
    neighbours = [list("aab"), list("bba"), list("ccc"), list("bbb")]
    score = score_predictions(
        list("aaaa"), [r[0] for r in ranked], set("abcdef"), ranked=ranked, neighbours=neighbours
    )
    assert (score.accuracy, score.top3, score.top5, score.oracle) == (0.25, 0.5, 0.75, 0.5)


def test_what_is_not_ranked_has_no_top_3() -> None:
    """A classifier that names one category would look as if its second guess were always wrong."""
    score = score_predictions(TRUE, PREDICTED, {"a", "b"})
    assert (score.top3, score.top5, score.oracle) == (None, None, None)


def test_short_rankings_and_cards_without_answer_are_counted_as_wrong() -> None:
    score = score_predictions(
        ["a", "a"], ["a", ""], {"a"}, ranked=[["a"], []], neighbours=[["a"], []]
    )
    assert (score.accuracy, score.top3, score.oracle) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("y_true", "sentence"),
    [
        (["a", "x"], "on 2 cards of 2 categories (1 card is of a category that the index"),
        (["x", "x"], "on 2 cards of 1 category (2 cards are of categories that the index"),
        (["a"], "on 1 card of 1 category (0 cards are of categories that the index"),
    ],
)
def test_the_sentence_counts_what_no_setting_can_reach(y_true: list[str], sentence: str) -> None:
    """Users would tune for what cannot be had."""
    score = score_predictions(y_true, ["a"] * len(y_true), {"a"})
    assert sentence in str(score)
    assert score.unreachable_share == y_true.count("x") / len(y_true)


def test_the_interval_is_around_the_score_and_in_the_sentence() -> None:
    """Noise of a few hundred cards would be taken for progress."""
    score = score_predictions(TRUE * 50, PREDICTED * 50, {"a", "b"})
    assert score.interval is not None
    assert score.weighted_f1 in score.interval
    assert 0.03 < score.interval.high - score.interval.low < 0.2
    low, high = score.interval.low, score.interval.high
    assert f"weighted F1 0.667 ({low:.3f} to {high:.3f})" in str(score)


def test_cards_of_one_group_are_drawn_together() -> None:
    """Fifty variants of a product would count as fifty independent cards."""
    alone = score_predictions(TRUE * 50, PREDICTED * 50, {"a", "b"})
    groups = [str(i // 50) for i in range(300)]
    order = sorted(range(300), key=lambda i: i % 6)
    y_true, y_pred = [(TRUE * 50)[i] for i in order], [(PREDICTED * 50)[i] for i in order]
    grouped = score_predictions(y_true, y_pred, {"a", "b"}, groups=groups)
    assert alone.interval is not None
    assert grouped.interval is not None
    assert grouped.weighted_f1 == alone.weighted_f1
    width = alone.interval.high - alone.interval.low
    assert grouped.interval.high - grouped.interval.low > 3 * width


def test_as_dict_is_ready_for_json() -> None:
    outcome = Outcome(np.array([0, 1]), np.array([0, 0]), np.array([True, False]))
    score = score_outcome(outcome, Interval(0.25, 0.75))
    assert score == Score(2, 2, 1, 0.5, 1 / 3, 1 / 3, interval=Interval(0.25, 0.75))
    record = score.as_dict()
    assert record["weighted_f1"] == 0.3333
    assert record["interval"] == [0.25, 0.75]
    assert record["unreachable_share"] == 0.5
    assert record["top3"] is None
