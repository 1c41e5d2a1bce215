"""Scores against scikit-learn and by hand, and the intervals of resampled cards."""

from __future__ import annotations

from unittest.mock import patch

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as oracle
from sklearn.metrics import f1_score

from prodcat_index.voting.metrics import (
    Interval,
    Outcome,
    Score,
    category_f1,
    draw_weighted_f1,
    macro_f1,
    percentile_interval,
    score_outcome,
    score_predictions,
    weighted_f1,
)

CATEGORIES = 5
Codes = npt.NDArray[np.int64]
CARDS = st.lists(
    st.tuples(st.integers(0, CATEGORIES - 1), st.integers(-1, CATEGORIES - 1)),
    min_size=1,
    max_size=40,
).map(lambda pairs: tuple(np.array(pairs, dtype=np.int64).T))


def outcome_of(true: list[int] | Codes, predicted: list[int] | Codes) -> Outcome:
    return Outcome(np.array(true), np.array(predicted), np.ones(CATEGORIES, dtype=bool))


def draw(
    outcomes: list[Outcome], clusters: list[Codes] | None = None, draws: int = 1000, seed: int = 0
) -> npt.NDArray[np.float64]:
    """Draw the weighted F1; without clusters, every card is drawn alone."""
    alone = [np.arange(len(outcome.true)) for outcome in outcomes]
    with patch("prodcat_index.voting.metrics.DRAWS", draws):
        return draw_weighted_f1(outcomes, clusters or alone, seed)


def sklearn_f1(true: Codes, predicted: Codes, average: str, labels: Codes | None = None) -> float:
    score = f1_score(true, predicted, average=average, labels=labels, zero_division=0.0)
    return float(score)


@settings(max_examples=150, deadline=None)
@given(CARDS)
def test_the_scores_are_scikit_learns(cards: tuple[Codes, Codes]) -> None:
    """Figures would not compare with anybody else's; unanswered cards (-1) count as wrong."""
    true, predicted = cards
    assert weighted_f1(true, predicted, CATEGORIES) == pytest.approx(
        sklearn_f1(true, predicted, "weighted")
    )
    assert macro_f1(true, predicted, CATEGORIES) == pytest.approx(
        sklearn_f1(true, predicted, "macro", np.unique(true))
    )


def test_the_true_categories_come_first() -> None:
    """A score of 0.884 is told of this task that comes from arguments in the wrong order."""
    true, predicted = np.array([0, 0, 0, 1, 2]), np.array([0, 0, 1, 1, 1])
    assert weighted_f1(true, predicted, 3) == pytest.approx(0.58)
    assert weighted_f1(predicted, true, 3) == pytest.approx(0.62)
    assert macro_f1(true, predicted, 3) == pytest.approx((0.8 + 0.5 + 0) / 3)
    assert macro_f1(predicted, true, 3) == pytest.approx((0.8 + 0.5) / 2)


def test_a_worked_f1() -> None:
    """Category 0: 2 hits of 3 true and 2 named; 1: one of one true and 3 named; 3: nowhere."""
    true, predicted = np.array([0, 0, 0, 1, 2]), np.array([0, 0, 1, 1, 1])
    assert category_f1(true, predicted, 4).tolist() == pytest.approx([0.8, 0.5, 0.0, 0.0])


def test_no_answer_is_an_answer_of_no_category() -> None:
    """To numpy, -1 is the last one: its F1 would suffer for cards that nobody answered."""
    true, predicted = np.array([0, 0, 2]), np.array([0, -1, 2])
    assert category_f1(true, predicted, 3).tolist() == pytest.approx([2 / 3, 0.0, 1.0])


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


@settings(deadline=None)
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
    ranked = np.array(
        [[0, 1, 2, 3, 4, 5], [1, 0, 2, 3, 4, 5], [1, 2, 3, 0, 4, 5], [1, 2, 3, 4, 5, 0]]
    )
    neighbours = np.array([[0, 0, 1], [1, 1, 0], [2, 2, 2], [1, 1, 1]])
    true, reachable = np.zeros(4, np.int64), np.ones(6, dtype=bool)
    score = score_outcome(Outcome(true, ranked[:, 0], reachable, ranked, neighbours))
    assert (score.accuracy, score.top3, score.top5, score.oracle) == (0.25, 0.5, 0.75, 0.5)


def test_what_is_not_ranked_has_no_top_3() -> None:
    """A classifier that names one category would look as if its second guess were always wrong."""
    score = score_predictions(TRUE, PREDICTED, {"a", "b"})
    assert (score.top3, score.top5, score.oracle) == (None, None, None)


def test_short_rankings_and_cards_without_answer_are_counted_as_wrong() -> None:
    found = np.array([[0], [-1]])
    score = score_outcome(
        Outcome(np.zeros(2, np.int64), found[:, 0], np.ones(1, bool), found, found)
    )
    assert (score.accuracy, score.top3, score.oracle) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize(
    ("y_true", "sentence"),
    [
        (["a", "x"], "on 2 cards of 2 categories (1 card is of a category that the index"),
        (["x", "x"], "on 2 cards of 1 category (2 cards are of a category that the index"),
        (["a"], "on 1 card of 1 category"),
    ],
)
def test_the_sentence_counts_what_no_setting_can_reach(y_true: list[str], sentence: str) -> None:
    """Users would tune for what cannot be had."""
    score = score_predictions(y_true, ["a"] * len(y_true), {"a"})
    assert sentence in str(score)
    assert ("does not have" in str(score)) == ("x" in y_true)
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
    true, predicted = (np.repeat(codes, 50) for codes in ([0, 0, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1]))
    alone, grouped = (
        percentile_interval(draw([outcome_of(true, predicted)], [clusters]))
        for clusters in (np.arange(300), np.arange(300) // 50)
    )
    assert grouped.high - grouped.low > 3 * (alone.high - alone.low)


def test_as_dict_is_ready_for_json() -> None:
    outcome = Outcome(np.array([0, 1]), np.array([0, 0]), np.array([True, False]))
    score = score_outcome(outcome, Interval(0.25, 0.75))
    assert score == Score(2, 2, 1, 0.5, 1 / 3, 1 / 3, interval=Interval(0.25, 0.75))
    record = score.as_dict()
    assert record["weighted_f1"] == 0.3333
    assert record["interval"] == [0.25, 0.75]
    assert record["unreachable_share"] == 0.5
    assert record["top3"] is None


COUNTED_CARDS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(-1, 3), st.integers(0, 3)), min_size=1, max_size=25
)


@settings(deadline=None)
@given(COUNTED_CARDS)
def test_counted_cards_score_as_repeated_ones(cards: list[tuple[int, int, int]]) -> None:
    """Intervals would belong to another figure than the score that they stand beside."""
    true, predicted, counts = (np.array(column) for column in zip(*cards, strict=True))
    if not counts.any():
        counts = counts + 1
    expected = f1_score(
        np.repeat(true, counts), np.repeat(predicted, counts), average="weighted", zero_division=0
    )
    assert weighted_f1(true, predicted, 4, counts) == pytest.approx(expected)


@settings(deadline=None)
@given(COUNTED_CARDS, st.integers(0, 5))
def test_the_interval_lies_between_0_and_1(cards: list[tuple[int, int, int]], seed: int) -> None:
    true, predicted, _ = (list(column) for column in zip(*cards, strict=True))
    drawn = draw([outcome_of(true, predicted)], draws=20, seed=seed)
    interval = percentile_interval(drawn)
    assert 0 <= interval.low <= interval.high <= 1


def test_the_width_is_that_of_a_share() -> None:
    """Two even categories, 400 cards, 80 % right: half of it is 1.96 sqrt(0.8 * 0.2 / 400)."""
    rng = np.random.default_rng(1)
    true = np.arange(400) % 2
    predicted = np.where(rng.permutation(400) < 320, true, 1 - true)
    interval = percentile_interval(draw([outcome_of(true, predicted)]))
    assert (interval.high - interval.low) / 2 == pytest.approx(0.039, abs=0.004)


def test_the_same_seed_gives_the_same_draws() -> None:
    """A report that is made twice would contradict itself."""
    outcome = outcome_of([0, 1, 0, 1], [0, 1, 1, 1])
    first, again, other = (draw([outcome], draws=50, seed=s) for s in (3, 3, 4))
    assert first.tolist() == again.tolist()
    assert first.tolist() != other.tolist()


def test_a_small_but_steady_lead_is_found_by_pairs() -> None:
    """One predictor is right wherever the other is, and on 12 cards more: no tie.

    Compared without pairs, their intervals would overlap.
    """
    rng = np.random.default_rng(0)
    true = rng.integers(0, 4, 400)
    base = np.where(rng.random(400) < 0.7, true, (true + 1) % 4)
    wrong = np.flatnonzero(base != true)[:12]
    better = base.copy()
    better[wrong] = true[wrong]
    first, second = (draw([outcome_of(true, p)]) for p in (base, better))
    assert percentile_interval(first).high > percentile_interval(second).low
    assert percentile_interval(second - first).low > 0
    assert 0 in percentile_interval(first - first)


def test_two_coins_tie() -> None:
    """A random difference would be reported as a lead."""
    rng = np.random.default_rng(5)
    true = rng.integers(0, 4, 300)
    coins = [np.where(rng.random(300) < 0.8, true, (true + 1) % 4) for _ in range(2)]
    first, second = (draw([outcome_of(true, p)]) for p in coins)
    assert 0 in percentile_interval(second - first)


def test_splits_that_share_cards_move_together() -> None:
    """A card that is judged five times would count as five cards, and halve the interval."""
    rng = np.random.default_rng(2)
    true = rng.integers(0, 3, 200)
    predicted = np.where(rng.random(200) < 0.7, true, (true + 1) % 3)
    outcome = outcome_of(true, predicted)
    once = percentile_interval(draw([outcome]))
    five_times = percentile_interval(draw([outcome] * 5))
    assert (five_times.low, five_times.high) == pytest.approx((once.low, once.high))


def test_a_split_without_drawn_cards_is_left_out_of_that_draw() -> None:
    """With one card a split, half of the draws know one split only; none is undefined."""
    right, wrong = outcome_of([0], [0]), outcome_of([0], [1])
    drawn = draw([right, wrong], [np.array([0]), np.array([1])], draws=200)
    assert set(drawn) == {0.0, 0.5, 1.0}


def test_ends_are_percentiles_and_belong_to_the_interval() -> None:
    interval = percentile_interval(np.arange(1001) / 1000)
    assert (interval.low, interval.high) == pytest.approx((0.025, 0.975))
    assert 0.5 in Interval(0.5, 0.6)
    assert 0.6001 not in Interval(0.5, 0.6)
