"""Neighbours into category shares."""

from __future__ import annotations

from collections.abc import Sequence
from math import exp

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from prodcat_index.errors import QueryError
from prodcat_index.voting.vote import Vote, VoteParameters, vote

NAN, INFINITE = float("nan"), float("inf")
SIZES = np.array([4, 1, 2, 9], dtype=np.int64)


def vote_once(
    similarities: Sequence[float],
    categories: Sequence[int],
    parameters: VoteParameters,
    sizes: npt.NDArray[np.int64] = SIZES,
) -> Vote:
    return vote(
        np.array([similarities], dtype=np.float64),
        np.array([categories], dtype=np.int64),
        sizes,
        parameters,
    )


def shares_by_category(outcome: Vote) -> dict[int, float]:
    pairs = zip(outcome.categories[0].tolist(), outcome.shares[0].tolist(), strict=True)
    return {category: share for category, share in pairs if category >= 0}


def test_a_worked_vote() -> None:
    """Temperature 0.1: the votes are e^0 = 1, e^-1, e^-2 and e^-3 of the nearest one's.

    Category 0 gets 1 + e^-3, category 1 gets e^-1 + e^-2, of a total of their sum.
    """
    outcome = vote_once([0.9, 0.8, 0.7, 0.6], [0, 1, 1, 0], VoteParameters(k=4, temperature=0.1))
    total = 1 + exp(-1) + exp(-2) + exp(-3)
    assert outcome.neighbour_shares[0].tolist() == pytest.approx(
        [1 / total, exp(-1) / total, exp(-2) / total, exp(-3) / total]
    )
    assert outcome.categories[0].tolist() == [0, 1, -1, -1]
    assert outcome.shares[0].tolist() == pytest.approx(
        [(1 + exp(-3)) / total, (exp(-1) + exp(-2)) / total, 0, 0]
    )


def test_many_farther_neighbours_may_outvote_the_nearest() -> None:
    """3 * e^-0.5 = 1.82 against 1."""
    outcome = vote_once([0.9, 0.85, 0.85, 0.85], [3, 2, 2, 2], VoteParameters(k=4, temperature=0.1))
    assert outcome.categories[0].tolist() == [2, 3, -1, -1]
    assert outcome.shares[0, 0] == pytest.approx(3 * exp(-0.5) / (1 + 3 * exp(-0.5)))


def test_the_prior_divides_by_a_power_of_the_category_size() -> None:
    """Equal similarities, sizes 4 and 1, exponent 1/2: votes 1/2 and 1, of 3/2."""
    parameters = VoteParameters(k=2, temperature=0.1, prior_exponent=0.5)
    outcome = vote_once([0.5, 0.5], [0, 1], parameters)
    assert shares_by_category(outcome) == pytest.approx({1: 2 / 3, 0: 1 / 3})
    assert vote_once([0.5, 0.5], [0, 1], VoteParameters(k=2)).shares[0].tolist() == [0.5, 0.5]


def test_the_head_multiplies_votes_by_its_probabilities() -> None:
    """Equal similarities; the head gives 0.8 and 0.2. Exponent 1/2: votes as 2 to 1."""
    parameters = VoteParameters(k=2, head_exponent=0.5)
    heads = np.log([[0.8, 0.2]])
    pair = np.array([[0.5, 0.5]]), np.array([[0, 1]])
    assert vote(*pair, SIZES, parameters, heads).shares[0].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert vote(*pair, SIZES, VoteParameters(k=2), heads).shares[0].tolist() == [0.5, 0.5]
    assert vote(*pair, SIZES, parameters).shares[0].tolist() == [0.5, 0.5]


def test_a_neighbour_of_half_reliability_counts_half() -> None:
    """A card with a wrong label would vote as loudly as the others."""
    pair = np.array([[0.5, 0.5]]), np.array([[0, 1]])
    outcome = vote(*pair, SIZES, VoteParameters(k=2), None, np.log([[1.0, 0.5]]))
    assert outcome.shares[0].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert outcome.neighbour_shares[0].tolist() == pytest.approx([2 / 3, 1 / 3])


def test_the_head_finds_no_category_that_has_no_neighbour() -> None:
    """Every answer must have a card behind it that people can look at."""
    heads = np.log([[1e-9, 1e-9]])
    parameters = VoteParameters(k=2, head_exponent=4.0)
    outcome = vote(np.array([[0.5, 0.4]]), np.array([[2, 2]]), SIZES, parameters, heads)
    assert outcome.categories[0].tolist() == [2, -1]
    assert outcome.shares[0].tolist() == [1.0, 0.0]


@pytest.mark.parametrize(
    ("parameters", "sentence"),
    [
        ({"k": 0}, "k must be 1 or more; it is 0"),
        *[({"temperature": t}, "temperature must be above 0") for t in (0, -1, NAN, INFINITE)],
        *[({"prior_exponent": p}, "prior exponent must be a number") for p in (NAN, INFINITE)],
        *[({"head_exponent": h}, "exponent must be 0 or more") for h in (-0.1, NAN, INFINITE)],
    ],
)
def test_parameters_that_mean_nothing_are_refused(
    parameters: dict[str, float], sentence: str
) -> None:
    """Votes would be NaN, which is an empty answer; a manifest with them is damaged."""
    with pytest.raises(QueryError, match=sentence):
        VoteParameters(**parameters)  # type: ignore[arg-type]
    with pytest.raises(ValidationError):
        TypeAdapter(VoteParameters).validate_python(parameters)


@settings(max_examples=50, deadline=None)
@given(st.floats(0, 3), st.floats(0.01, 1))
def test_more_prior_never_helps_the_larger_category(exponent: float, step: float) -> None:
    """The seller's long tail depends on it."""
    weaker, stronger = (
        shares_by_category(vote_once([0.9, 0.8], [3, 1], VoteParameters(k=2, prior_exponent=tau)))[
            1
        ]
        for tau in (exponent, exponent + step)
    )
    assert stronger > weaker


def test_a_duplicate_does_not_decide_alone() -> None:
    """With 1/distance, a listing that copies one wrongly shelved card would copy its shelf.

    Distances 0 and 4 * 0.02: 1/distance gives the duplicate everything; here it is 1 against
    4 * e^-0.2 = 3.27.
    """
    outcome = vote_once([1.0, *[0.98] * 4], [0, 1, 1, 1, 1], VoteParameters(k=5, temperature=0.1))
    assert outcome.categories[0, 0] == 1
    assert shares_by_category(outcome)[0] == pytest.approx(1 / (1 + 4 * exp(-0.2)))


def test_an_empty_place_does_not_vote_for_the_last_category() -> None:
    """To numpy, category -1 is the last one."""
    outcome = vote_once([0.9, 0.1, NAN, NAN], [0, 1, -1, -1], VoteParameters(k=4, temperature=1))
    total = 1 + exp(-0.8)
    assert shares_by_category(outcome) == pytest.approx({0: 1 / total, 1: exp(-0.8) / total})
    assert outcome.neighbour_shares[0, 2:].tolist() == [0, 0]


def test_an_unlabelled_neighbour_does_not_vote_though_it_is_the_nearest() -> None:
    """Nor does it set the scale: the nearest *labelled* one counts 1."""
    outcome = vote_once([0.99, 0.5, 0.4], [-1, 2, 0], VoteParameters(k=3, temperature=0.1))
    total = 1 + exp(-1)
    assert outcome.neighbour_shares[0].tolist() == pytest.approx([0, 1 / total, exp(-1) / total])
    assert shares_by_category(outcome) == pytest.approx({2: 1 / total, 0: exp(-1) / total})


def test_nobody_votes_for_nothing() -> None:
    outcome = vote_once([NAN, NAN], [-1, -1], VoteParameters(k=2))
    assert outcome.categories[0].tolist() == [-1, -1]
    assert outcome.shares[0].tolist() == [0, 0]
    assert outcome.neighbour_shares[0].tolist() == [0, 0]


def test_only_the_first_k_vote() -> None:
    outcome = vote_once([0.9, 0.8, 0.8, 0.8], [0, 1, 1, 1], VoteParameters(k=2, temperature=0.1))
    assert outcome.neighbour_shares.shape == (1, 2)
    assert shares_by_category(outcome) == pytest.approx(
        {0: 1 / (1 + exp(-1)), 1: exp(-1) / (1 + exp(-1))}
    )


def test_equal_shares_stand_in_the_order_of_their_nearest_neighbours() -> None:
    outcome = vote_once([0.5] * 6, [2, 0, 3, 3, 0, 2], VoteParameters(k=6))
    assert outcome.categories[0].tolist() == [2, 0, 3, -1, -1, -1]
    assert outcome.shares[0, :3].tolist() == pytest.approx([1 / 3] * 3)


def test_even_many_equal_shares_stand_in_the_order_of_their_neighbours() -> None:
    """Sorting that is not stable shows only beyond a dozen or two: half of 100 have size 4."""
    categories = np.random.default_rng(0).permutation(100).tolist()
    sizes = np.array([1, 4] * 50, dtype=np.int64)
    parameters = VoteParameters(k=100, prior_exponent=0.5)
    outcome = vote_once([0.5] * 100, categories, parameters, sizes)
    small_first = sorted(categories, key=lambda category: sizes[category])
    assert outcome.categories[0].tolist() == small_first


def test_a_category_whose_vote_faded_to_nothing_is_still_named() -> None:
    """After those with a vote, and before the places where there is none."""
    outcome = vote_once([0.9, 0.8, 0.1], [1, -1, 0], VoteParameters(k=3, temperature=1e-4))
    assert outcome.categories[0].tolist() == [1, 0, -1]
    assert outcome.shares[0].tolist() == [1.0, 0.0, 0.0]


def test_the_queries_of_a_batch_do_not_mix() -> None:
    similarities = np.array([[0.9, 0.8], [0.7, NAN], [NAN, NAN]])
    categories = np.array([[0, 1], [3, -1], [-1, -1]])
    outcome = vote(similarities, categories, SIZES, VoteParameters(k=2, temperature=0.1))
    assert outcome.categories.tolist() == [[0, 1], [3, -1], [-1, -1]]
    assert outcome.shares[1].tolist() == [1, 0]
    assert outcome.shares[0].sum() == pytest.approx(1)


NEIGHBOURS = st.lists(st.tuples(st.floats(-1, 1), st.integers(-1, 3)), min_size=1, max_size=12).map(
    lambda pairs: sorted(pairs, key=lambda pair: -pair[0])
)
PARAMETERS = st.builds(
    VoteParameters, k=st.just(12), temperature=st.floats(1e-3, 10), prior_exponent=st.floats(-2, 2)
)


@settings(max_examples=150, deadline=None)
@given(NEIGHBOURS, PARAMETERS)
def test_shares_sum_to_one_and_fall(
    neighbours: list[tuple[float, int]], parameters: VoteParameters
) -> None:
    similarities, categories = zip(*neighbours, strict=True)
    outcome = vote_once(similarities, categories, parameters)
    voted = {category for category in categories if category >= 0}
    assert set(shares_by_category(outcome)) == voted
    assert outcome.shares.sum() == pytest.approx(1.0 if voted else 0.0)
    assert outcome.neighbour_shares.sum() == pytest.approx(1.0 if voted else 0.0)
    assert np.all(np.diff(outcome.shares[0]) <= 0)


@settings(max_examples=100, deadline=None)
@given(NEIGHBOURS, PARAMETERS)
def test_the_vote_is_its_formula(
    neighbours: list[tuple[float, int]], parameters: VoteParameters
) -> None:
    similarities, categories = zip(*neighbours, strict=True)
    voting = [(s, c) for s, c in neighbours if c >= 0]
    nearest = max((s for s, _ in voting), default=0.0)
    scores: dict[int, float] = {}
    for similarity, category in voting:
        share = exp((similarity - nearest) / parameters.temperature)
        share *= float(SIZES[category]) ** -parameters.prior_exponent
        scores[category] = scores.get(category, 0.0) + share
    total = sum(scores.values())
    expected = {category: score / total for category, score in scores.items()}
    assert shares_by_category(vote_once(similarities, categories, parameters)) == pytest.approx(
        expected
    )


@settings(max_examples=50, deadline=None)
@given(st.permutations([0, 0, 0, 1, 1, 2, 3, -1]))
def test_the_order_of_equal_neighbours_changes_no_share(categories: list[int]) -> None:
    outcome = vote_once([0.4] * 8, categories, VoteParameters(k=8, prior_exponent=0.3))
    votes = {0: 3 * 4**-0.3, 1: 2.0, 2: 2**-0.3, 3: 9**-0.3}
    total = sum(votes.values())
    expected = {category: count / total for category, count in votes.items()}
    assert shares_by_category(outcome) == pytest.approx(expected)


@settings(max_examples=50, deadline=None)
@given(NEIGHBOURS, st.floats(-0.5, 0.5))
def test_only_differences_of_similarity_count(
    neighbours: list[tuple[float, int]], shift: float
) -> None:
    """Scores of -0.3 and 0.7 are as good a pair as 0 and 1: nothing overflows, nothing flips."""
    similarities, categories = zip(*neighbours, strict=True)
    parameters = VoteParameters(k=12, temperature=0.2)
    one = vote_once(similarities, categories, parameters)
    other = vote_once([s + shift for s in similarities], categories, parameters)
    np.testing.assert_allclose(one.neighbour_shares, other.neighbour_shares, atol=1e-9)


def test_a_tiny_temperature_lets_the_nearest_alone_decide() -> None:
    """Its extremes must not become NaN, which would be an empty category."""
    with np.errstate(over="ignore"):
        outcome = vote_once([0.9, 0.9, 0.8], [1, 2, 0], VoteParameters(k=3, temperature=1e-300))
    assert outcome.categories[0].tolist() == [1, 2, 0]
    assert outcome.shares[0].tolist() == [0.5, 0.5, 0.0]


def test_a_great_temperature_counts_heads() -> None:
    outcome = vote_once([0.9, -0.5, -0.6], [1, 2, 2], VoteParameters(k=3, temperature=1e9))
    assert shares_by_category(outcome) == pytest.approx({2: 2 / 3, 1: 1 / 3})


@pytest.mark.parametrize("exponent", [-2000.0, 2000.0])
def test_an_extreme_prior_still_gives_a_vote(exponent: float) -> None:
    """Sizes 4 and 9 to such a power leave the range of floats; the answer must not be NaN."""
    outcome = vote_once([0.9, 0.8], [0, 3], VoteParameters(k=2, prior_exponent=exponent))
    smaller_wins = exponent > 0
    assert outcome.categories[0].tolist() == ([0, 3] if smaller_wins else [3, 0])
    assert outcome.shares[0].tolist() == [1.0, 0.0]


def test_many_queries_are_voted_on_in_parts_with_the_same_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Predicting a whole catalogue would need gigabytes, or differ from card by card."""
    rng = np.random.default_rng(0)
    similarities = -np.sort(-rng.random((50, 6)), axis=1)
    categories = rng.integers(-1, 4, (50, 6))
    sizes = np.array([3, 1, 8, 2])
    whole = vote(similarities, categories, sizes, VoteParameters(k=6))
    monkeypatch.setattr("prodcat_index.voting.vote.PAIRS_AT_ONCE", 7 * 36)
    parts = vote(similarities, categories, sizes, VoteParameters(k=6))
    np.testing.assert_array_equal(whole.shares, parts.shares)
    np.testing.assert_array_equal(whole.categories, parts.categories)
    np.testing.assert_array_equal(whole.neighbour_shares, parts.neighbour_shares)
