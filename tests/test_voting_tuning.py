"""The search for weights and a vote: honest values, and never a step backwards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from math import log
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from prodcat_index.errors import QueryError
from prodcat_index.voting import tuning
from prodcat_index.voting.pool import Pool, rank
from prodcat_index.voting.tuning import (
    NEIGHBOURS,
    OBJECTIVES,
    TEMPERATURES,
    UNSEEN,
    VOTE_SURFACE,
    Objective,
    Search,
    Setting,
    Step,
    Tuning,
    evaluate_vote,
    outcome,
    vary_vote,
    vary_weights,
)
from prodcat_index.voting.vote import VoteParameters, vote

CATEGORIES = 4
SIZES = np.array([40, 5, 11, 2])
VOTES = st.builds(
    VoteParameters,
    k=st.integers(1, 12),
    temperature=st.floats(0.02, 1),
    prior_exponent=st.floats(0, 1),
    head_exponent=st.sampled_from([0.0, 0.5, 2.0]),
)


def planted(
    signal: Sequence[float],
    n: int = 200,
    width: int = 30,
    seed: int = 0,
    missing: float = 0.0,
    head: float = 0.0,
) -> Pool:
    """Candidates of the true category are nearer by ``signal`` in each block; the rest is noise.

    A linear head finds the true category more probable by ``head``, a natural logarithm.
    """
    rng = np.random.default_rng(seed)
    true = rng.integers(0, CATEGORIES, n)
    categories = rng.integers(0, CATEGORIES, (n, width))
    same = categories == true[:, None]
    noise = rng.normal(size=(n, width, len(signal)))
    near = 0.5 + 0.1 * (noise + same[:, :, None] * np.array(signal))
    present = rng.random((n, len(signal))) >= missing
    return Pool(
        similarities=(near * present[:, None, :]).astype(np.float32),
        categories=np.where(rng.random((n, width)) < 0.05, -1, categories).astype(np.int32),
        present=present,
        true=true,
        sizes=SIZES,
        head_log_proba=np.where(same, head, 0).astype(np.float32),
        log_reliability=-rng.random(categories.shape, dtype=np.float32),
    )


def setting(*weights: float, k: int = 10, temperature: float = 0.1, prior: float = 0.0) -> Setting:
    return Setting(weights, VoteParameters(k, temperature, prior))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), VOTES)
def test_a_trial_is_the_vote_that_predictions_are_made_by(
    seed: int, parameters: VoteParameters
) -> None:
    """Tuning would find the best setting of something else than what the index does."""
    pool = planted([1, 0.5], n=30, width=15, seed=seed)
    heads = np.random.default_rng(seed).normal(size=pool.head_log_proba.shape).astype(np.float32)
    ranked = rank(replace(pool, head_log_proba=heads), np.array([0.7, 0.3]), 12)
    predicted, share = outcome(ranked, pool.true, parameters)
    factors = ranked.head_log_proba, ranked.log_reliability
    voted = vote(ranked.similarities, ranked.categories, SIZES, parameters, *factors)
    assert predicted.tolist() == voted.categories[:, 0].tolist()
    expected = np.where(voted.categories == pool.true[:, None], voted.shares, 0).sum(axis=1)
    np.testing.assert_allclose(share, expected, atol=1e-12)


def test_where_nobody_votes_nothing_is_predicted() -> None:
    """Such a card would count as right whenever it is of the first category."""
    pool = planted([1.0], n=5)
    nobody = replace(pool, categories=np.full_like(pool.categories, -1), true=np.zeros(5, np.int64))
    ranked = rank(nobody, np.ones(1), 5)
    predicted, share = outcome(ranked, nobody.true, VoteParameters(k=5))
    assert predicted.tolist() == [-1] * 5
    assert share.tolist() == [0.0] * 5
    assert evaluate_vote(ranked, nobody.true, 4, VoteParameters(k=5), "accuracy") == 0.0


def test_the_objectives_are_what_their_names_say() -> None:
    """An objective that is swapped for another one would be noticed by nobody."""
    from sklearn.metrics import f1_score

    pool = planted([0.6, 0.3])
    ranked, parameters = rank(pool, np.array([0.5, 0.5]), 10), VoteParameters()
    predicted, share = outcome(ranked, pool.true, parameters)
    nll = [log((1 - UNSEEN) * s + UNSEEN / CATEGORIES) for s in share.tolist()]
    expected = {
        "weighted-f1": f1_score(pool.true, predicted, average="weighted"),
        "macro-f1": f1_score(pool.true, predicted, average="macro"),
        "accuracy": float(np.mean(pool.true == predicted)),
        "nll": float(np.mean(nll)),
    }
    assert {
        name: evaluate_vote(ranked, pool.true, CATEGORIES, parameters, name)  # type: ignore[arg-type]
        for name in OBJECTIVES
    } == pytest.approx(expected)
    assert len(set(expected.values())) == 4


@pytest.mark.parametrize("objective", OBJECTIVES)
def test_a_block_of_noise_loses_its_weight(objective: Objective) -> None:
    """What tuning is for: a modality that says nothing must not be heard."""
    pool = planted([0.7, 0.0, 0.9])
    best = Search(pool, objective).run([setting(1 / 3, 1 / 3, 1 / 3)])
    assert best.weights[1] < 0.15
    assert min(best.weights[0], best.weights[2]) > 0.25


def test_a_head_that_knows_is_listened_to() -> None:
    """On broad categories, what the head knows is the larger part of all answers that are right."""
    start = setting(0.5, 0.5)
    deaf = Search(planted([0.3, 0.3]), "accuracy").run([start])
    heard = Search(planted([0.3, 0.3], head=1.0), "accuracy").run([start])
    assert heard.vote.head_exponent > 0
    assert heard.value > deaf.value + 0.05


def test_a_head_that_errs_is_not_listened_to() -> None:
    pool = planted([1.0, 1.0], head=-3.0)
    start = replace(setting(0.5, 0.5), vote=VoteParameters(head_exponent=1.0))
    assert Search(pool, "accuracy").run([start]).setting.vote.head_exponent == 0


def test_where_there_is_no_head_none_is_tried() -> None:
    """Nothing is promised that a stored index cannot keep, and no time is lost."""
    search = Search(planted([0.7, 0.3]), "accuracy")
    search.run([setting(0.5, 0.5)])
    assert {step.vote.head_exponent for step in search.steps.values()} == {0.0}


@settings(max_examples=8, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(OBJECTIVES), st.sampled_from([0.0, 0.3]))
def test_no_start_is_better_than_the_end(seed: int, objective: Objective, missing: float) -> None:
    """Whoever tunes an index must not get a worse one, by the very measure that he chose."""
    rng = np.random.default_rng(seed)
    pool = planted(rng.random(3).tolist(), n=40, width=12, seed=seed, missing=missing)
    starts = [
        setting(*rng.dirichlet(np.ones(3)).tolist(), k=int(rng.integers(1, 13))),
        setting(1 / 3, 1 / 3, 1 / 3, temperature=0.37, prior=0.9),
    ]
    search = Search(pool, objective)
    best = search.run(starts)
    assert best.value >= max(step.value for step in search.try_all(starts))
    assert best.value == Search(pool, objective).try_all([best.setting])[0].value
    assert sum(best.weights) == pytest.approx(1)
    assert min(best.weights) >= 0


def test_no_setting_is_tried_twice() -> None:
    """Every round would pay again for the votes of weights that did not change."""
    pool, calls = planted([0.7, 0.2], n=40), []
    with patch.object(tuning, "evaluate_vote", side_effect=lambda *a: calls.append(a[3]) or 0.0):
        search = Search(pool, "accuracy")
        search.run([setting(0.5, 0.5)])
        search.run([setting(0.5, 0.5)])
    assert len(calls) == len(search.steps)
    assert len({step.setting for step in search.steps.values()}) == len(search.steps)


def test_every_setting_gets_its_own_value() -> None:
    """Settings of the same weights share a ranking; their values must not be mixed up."""
    pool = planted([0.7, 0.2])
    wanted = [
        setting(0.5, 0.5, k=3),
        setting(0.9, 0.1, k=30, temperature=0.5),
        setting(0.5, 0.5, k=30, prior=1.0),
        setting(0.5, 0.5, k=3),
    ]
    together = Search(pool, "nll").try_all(wanted)
    assert [step.setting for step in together] == wanted
    for step in together:
        weights, parameters = np.array(step.weights), step.vote
        alone = evaluate_vote(
            rank(pool, weights, parameters.k), pool.true, CATEGORIES, parameters, "nll"
        )
        assert step.value == pytest.approx(alone, abs=1e-12)


def test_the_same_pool_gives_the_same_answer() -> None:
    pool, start = planted([0.5, 0.4, 0.1], seed=3), setting(1 / 3, 1 / 3, 1 / 3)
    assert Search(pool, "macro-f1").run([start]) == Search(pool, "macro-f1").run([start])


def test_one_block_has_all_the_weight() -> None:
    assert Search(planted([0.6]), "accuracy").run([setting(1.0)]).setting.weights == (1.0,)


def test_the_vote_surface_is_k_and_temperature_alone() -> None:
    """A figure of it shows the chosen cell among its alternatives."""
    pool, best = planted([0.7, 0.2], n=50), setting(0.8, 0.2, k=7, prior=0.25)
    surface = Search(pool, "accuracy").try_all(vary_vote(best, VOTE_SURFACE))
    votes = [step.vote for step in surface]
    assert [(v.k, v.temperature) for v in votes] == [
        (k, t) for k in NEIGHBOURS for t in TEMPERATURES
    ]
    assert {v.prior_exponent for v in votes} == {0.25}
    assert {step.weights for step in surface} == {(0.8, 0.2)}
    own = next(s for s in surface if s.setting == best)
    assert own.value == Search(pool, "accuracy").try_all([best])[0].value


@pytest.mark.parametrize(("blocks", "count"), [(1, 1), (2, 11), (3, 66)])
def test_the_weight_surface_is_every_mixture_in_tenths(blocks: int, count: int) -> None:
    pool, best = planted([0.5] * blocks, n=30), setting(*[1 / blocks] * blocks, k=5)
    surface = Search(pool, "accuracy").try_all(vary_weights(best))
    mixtures = {step.weights for step in surface}
    assert len(mixtures) == len(surface) == count
    assert all(sum(weights) == pytest.approx(1) for weights in mixtures)
    assert all(abs(10 * w - round(10 * w)) < 1e-9 for weights in mixtures for w in weights)
    assert {step.vote for step in surface} == {best.vote}


def test_of_many_blocks_the_weight_surface_shows_each_beside_the_others() -> None:
    """The others keep their proportion: 0.2 beside 0.6 and 0.2 as 0.5 beside 0.375 and 0.125."""
    pool, best = planted([0.5] * 4, n=30), setting(0.2, 0.6, 0.2, 0.0, k=5)
    surface = Search(pool, "accuracy").try_all(vary_weights(best))
    shown = [step.weights for step in surface]
    assert any(w == pytest.approx((0.5, 0.375, 0.125, 0.0)) for w in shown)
    assert len(shown) == 4 * 11
    assert all(sum(weights) == pytest.approx(1) for weights in shown)


def test_beside_a_block_that_has_all_the_weight_the_others_are_alike() -> None:
    pool, best = planted([0.5] * 4, n=30), setting(1.0, 0.0, 0.0, 0.0, k=5)
    shown = [step.weights for step in Search(pool, "accuracy").try_all(vary_weights(best))]
    assert len(shown) == 4 * 11
    assert any(w == pytest.approx((0.4, 0.2, 0.2, 0.2)) for w in shown)


@pytest.mark.parametrize("weights", [(), (0.5, -0.5), (1.5,), (float("nan"),)])
def test_weights_are_shares(weights: tuple[float, ...]) -> None:
    """A negative weight would rank the farthest cards first."""
    with pytest.raises(ValidationError, match="weights"):
        TypeAdapter(Setting).validate_python({"weights": weights, "vote": VoteParameters()})


def test_a_tuning_is_the_same_when_it_is_read_again() -> None:
    """An index that is loaded must be able to restore what it was before it was tuned."""
    step = Step((0.25, 0.75), VoteParameters(k=7, head_exponent=0.5), 0.875)
    other = replace(step, weights=(1.0, 0.0), value=0.1)
    found = Tuning("nll", 40, 3, other, step, step, 1.0, (other, step), (step,), (other,))
    adapter = TypeAdapter(Tuning)
    assert adapter.validate_json(adapter.dump_json(found), strict=True) == found
    assert found.steps == (other, step, step, other, step, step, other)
    assert step.setting == Setting((0.25, 0.75), VoteParameters(k=7, head_exponent=0.5))
    for wrong in ({"recall": 1.5}, {"cards": -1}, {"categories": -1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            adapter.validate_python(asdict(found) | wrong)


def test_a_value_that_is_no_number_ends_the_search() -> None:
    """It is neither better nor worse than any other, so that climbing would not end."""
    nobody = planted([0.6]).select(np.empty(0, dtype=np.int64))
    with pytest.raises(QueryError, match="not a number"), np.errstate(invalid="ignore"):
        Search(nobody, "weighted-f1").run([setting(1.0)])
