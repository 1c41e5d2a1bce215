"""Whether the intervals say what moves by chance, and what does not."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from prodcat_index.voting.metrics import (
    Interval,
    Sample,
    cluster_codes,
    draw_weighted_f1,
    percentile_interval,
    weighted_f1_of,
)

CARDS = st.lists(
    st.tuples(st.integers(0, 3), st.integers(-1, 3), st.integers(0, 3)), min_size=1, max_size=25
)


def sample_of(
    true: list[int] | npt.NDArray[np.int64], predicted: list[int] | npt.NDArray[np.int64]
) -> Sample:
    return Sample(np.array(true), np.array(predicted), np.arange(len(true)))


def test_groups_are_numbered_and_an_empty_one_stands_alone() -> None:
    """All cards without group would be drawn as one."""
    assert cluster_codes(["x", "", "y", "", "x"]).tolist() == [0, 1, 2, 3, 0]


def test_a_group_named_like_a_row_is_not_that_row() -> None:
    assert cluster_codes(["1", "", "1"]).tolist() == [0, 1, 0]


@given(CARDS)
def test_counted_cards_score_as_repeated_ones(cards: list[tuple[int, int, int]]) -> None:
    """Intervals would belong to another figure than the score that they stand beside."""
    true, predicted, counts = (np.array(column) for column in zip(*cards, strict=True))
    if not counts.any():
        counts = counts + 1
    expected = f1_score(
        np.repeat(true, counts), np.repeat(predicted, counts), average="weighted", zero_division=0
    )
    assert weighted_f1_of(true, predicted, counts, 4) == pytest.approx(expected)


@given(CARDS, st.integers(0, 5))
def test_the_interval_lies_between_0_and_1(cards: list[tuple[int, int, int]], seed: int) -> None:
    true, predicted, _ = (list(column) for column in zip(*cards, strict=True))
    drawn = draw_weighted_f1([sample_of(true, predicted)], 4, draws=20, seed=seed)
    interval = percentile_interval(drawn)
    assert 0 <= interval.low <= interval.high <= 1


def test_the_width_is_that_of_a_share() -> None:
    """Two even categories, 400 cards, 80 % right: half of it is 1.96 sqrt(0.8 * 0.2 / 400)."""
    rng = np.random.default_rng(1)
    true = np.arange(400) % 2
    predicted = np.where(rng.permutation(400) < 320, true, 1 - true)
    interval = percentile_interval(draw_weighted_f1([sample_of(true, predicted)], 2))
    assert (interval.high - interval.low) / 2 == pytest.approx(0.039, abs=0.004)


def test_the_same_seed_gives_the_same_draws() -> None:
    """A report that is made twice would contradict itself."""
    sample = sample_of([0, 1, 0, 1], [0, 1, 1, 1])
    first, again, other = (draw_weighted_f1([sample], 2, draws=50, seed=s) for s in (3, 3, 4))
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
    first, second = (draw_weighted_f1([sample_of(true, p)], 4) for p in (base, better))
    assert percentile_interval(first).high > percentile_interval(second).low
    assert percentile_interval(second - first).low > 0
    assert 0 in percentile_interval(first - first)


def test_two_coins_tie() -> None:
    """A random difference would be reported as a lead."""
    rng = np.random.default_rng(5)
    true = rng.integers(0, 4, 300)
    coins = [np.where(rng.random(300) < 0.8, true, (true + 1) % 4) for _ in range(2)]
    first, second = (draw_weighted_f1([sample_of(true, p)], 4) for p in coins)
    assert 0 in percentile_interval(second - first)


def test_splits_that_share_cards_move_together() -> None:
    """A card that is judged five times would count as five cards, and halve the interval."""
    rng = np.random.default_rng(2)
    true = rng.integers(0, 3, 200)
    predicted = np.where(rng.random(200) < 0.7, true, (true + 1) % 3)
    sample = sample_of(true, predicted)
    once = percentile_interval(draw_weighted_f1([sample], 3))
    five_times = percentile_interval(draw_weighted_f1([sample] * 5, 3))
    assert (five_times.low, five_times.high) == pytest.approx((once.low, once.high))


def test_a_split_without_drawn_cards_is_left_out_of_that_draw() -> None:
    """With one card a split, half of the draws know one split only; none is undefined."""
    right = Sample(np.array([0]), np.array([0]), np.array([0]))
    wrong = Sample(np.array([0]), np.array([1]), np.array([1]))
    drawn = draw_weighted_f1([right, wrong], 2, draws=200)
    assert set(drawn) == {0.0, 0.5, 1.0}


def test_ends_are_percentiles_and_belong_to_the_interval() -> None:
    interval = percentile_interval(np.arange(1001) / 1000)
    assert (interval.low, interval.high) == pytest.approx((0.025, 0.975))
    assert 0.5 in Interval(0.5, 0.6)
    assert 0.6001 not in Interval(0.5, 0.6)
