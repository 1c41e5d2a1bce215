"""Shares of the categories among listings without labels, and votes weighed by them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import made
import numpy as np
import pytest
from calibrated import PLAIN
from command import call
from hypothesis import given, settings
from hypothesis import strategies as st

from prodcat_index.errors import QueryError
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.voting.calibration import ProbabilityModel, mean_posterior
from prodcat_index.voting.label_shift import (
    DAMPING,
    LabelShift,
    estimate_for,
    estimate_shift,
    reweigh,
    source_shares,
)
from prodcat_index.voting.vote import Vote

NAMES = ("Bags", "Boots", "Lamps")


def drawn(n: int, shares: list[float], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Draw listings of 3 categories, and their exact posteriors under equal shares.

    A listing of category c is one of 3 signs, its own with probability 0.6 and others with 0.2.
    """
    rng = np.random.default_rng(seed)
    true = rng.choice(3, n, p=shares)
    sign = np.where(rng.random(n) < 0.4, (true + rng.integers(1, 3, n)) % 3, true)
    posterior = np.where(np.arange(3) == sign[:, None], 0.6, 0.2)
    return posterior, np.tile(np.arange(3), (n, 1))


def test_one_listing_by_hand() -> None:
    """Without a prior, all of the mass goes to the likelier category; one as strong halves it."""
    posterior, codes = np.array([[0.75, 0.25]]), np.array([[0, 1]])
    source = np.array([0.5, 0.5])
    alone = estimate_shift(posterior, codes, source, strength=0)
    assert alone.estimated == pytest.approx([1, 0], abs=1e-4)
    # p = (r + 1/2) / 2 with r = 0.75 p / (0.75 p + 0.25 (1 - p)) = 3 p / (2 p + 1), so that
    # 4 p^2 - 2 p - 1/2 = 0, and p = (1 + sqrt(3)) / 4.
    both = estimate_shift(posterior, codes, source, strength=1)
    assert both.estimated[0] == pytest.approx((1 + 3**0.5) / 4, abs=1e-4)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.5, 50))
def test_the_estimate_has_the_largest_posterior_of_all_shares(seed: int, strength: float) -> None:
    """Expectation maximization that stopped short, or elsewhere, would shift answers at random."""
    rng = np.random.default_rng(seed)
    posterior = rng.dirichlet([0.5, 0.5], size=12)
    source = rng.dirichlet([5, 5])
    codes = np.tile([0, 1], (12, 1))
    found = estimate_shift(posterior, codes, source, strength).estimated
    first = np.linspace(1e-4, 1 - 1e-4, 4001)
    shares = np.stack([first, 1 - first], axis=1)
    likelihood = np.log(shares / source @ posterior.T).sum(axis=1)
    prior = strength * np.log(shares) @ source
    assert found[0] == pytest.approx(first[np.argmax(likelihood + prior)], abs=2e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 40), st.integers(2, 6))
def test_shares_sum_to_one_in_any_order_of_listings(seed: int, n: int, count: int) -> None:
    """Another order of the file must not give other answers."""
    rng = np.random.default_rng(seed)
    posterior = rng.dirichlet(np.full(count, 0.5), size=n)
    codes = rng.permuted(np.tile(np.arange(count), (n, 1)), axis=1)
    codes[:, -1], posterior[:, -1] = -1, 0.0
    source = rng.dirichlet(np.full(count, 2.0))
    shift = estimate_shift(posterior, codes, source)
    order = rng.permutation(n)
    other = estimate_shift(posterior[order], codes[order], source)
    assert shift.estimated.sum() == pytest.approx(1, abs=1e-9)
    assert shift.estimated.min() > 0
    assert other.estimated == pytest.approx(shift.estimated, abs=1e-9)
    assert 0 <= shift.distance <= 1


def test_a_shift_is_found_and_none_is_made_up() -> None:
    """This is what --adjust-prior is for."""
    source = np.full(3, 1 / 3)
    moved = estimate_shift(*drawn(4000, [0.8, 0.15, 0.05]), source, strength=1)
    assert moved.estimated == pytest.approx([0.8, 0.15, 0.05], abs=0.05)
    still = estimate_shift(*drawn(4000, [1 / 3, 1 / 3, 1 / 3]), source)
    assert still.distance < 0.03


def test_few_listings_move_the_shares_little() -> None:
    """Ten boots in a row are no proof that nothing else is sold."""
    posterior, codes = drawn(1000, [1.0, 0.0, 0.0])
    source = np.full(3, 1 / 3)
    few = estimate_shift(posterior[:2], codes[:2], source)
    assert few.distance < 0.35 < estimate_shift(posterior, codes, source).distance


def test_where_the_posteriors_mean_the_source_nothing_moves() -> None:
    posterior, codes = drawn(900, [0.5, 0.3, 0.2])
    mean = mean_posterior(posterior, codes, 3)
    assert estimate_shift(posterior, codes, mean).distance < 0.05
    nobody = Vote(np.zeros((40, 3)), np.full((40, 3), -1), np.zeros((40, 3)))
    assert estimate_for(replace(PLAIN, answered={}), NAMES, np.ones(3), nobody).distance == 0


def test_source_shares_are_the_mean_of_answers_and_labels() -> None:
    """By hand: (60.5, 40.5, 0.5) / 101.5 and (2, 2, 1) / 5."""
    found = source_shares(np.array([0.6, 0.4, 0.0]), 100, np.array([2, 2, 1]))
    expected = [(60.5 / 101.5 + 0.4) / 2, (40.5 / 101.5 + 0.4) / 2, (0.5 / 101.5 + 0.2) / 2]
    assert found == pytest.approx(expected)


MODEL = ProbabilityModel(sharpness=0.5, intercept=50.0, similarity_weight=0.0, share_weight=0.0)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.2, 5))
def test_weighed_votes_have_the_weighed_probabilities(seed: int, sharpness: float) -> None:
    """The confidence is of the same model: it would be wrong by as much as the votes are."""
    rng = np.random.default_rng(seed)
    shares = -np.sort(-rng.dirichlet(np.ones(4), size=6), axis=1)
    shares[:, 3] = 0
    shares /= shares.sum(axis=1, keepdims=True)
    codes = rng.permuted(np.tile(np.arange(4), (6, 1)), axis=1)
    codes[:, 3] = -1
    factors, model = rng.uniform(0.2, 5, 4), replace(MODEL, sharpness=sharpness)
    vote = Vote(shares, codes, shares)
    weighed = reweigh(vote, factors, sharpness, codes)
    before = model.probabilities(vote, np.ones((6, 4)))
    after = model.probabilities(weighed, np.ones((6, 4)))
    for row in range(6):
        expected = {c: before[row, i] * factors[c] for i, c in enumerate(codes[row]) if c >= 0}
        total = sum(expected.values())
        got = dict(zip(weighed.categories[row].tolist(), after[row].tolist(), strict=True))
        assert got.pop(-1) == 0
        assert got == pytest.approx({c: p / total for c, p in expected.items()}, abs=1e-6)
        assert np.all(np.diff(weighed.shares[row]) <= 1e-12)
        totals = dict.fromkeys(got, 0.0)
        for place, c in enumerate(codes[row].tolist()):
            totals[c] = totals.get(c, 0) + weighed.neighbour_shares[row, place]
        named = zip(weighed.categories[row].tolist(), weighed.shares[row].tolist(), strict=True)
        assert {c: totals[c] for c in got} == pytest.approx({c: s for c, s in named if c >= 0})


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000))
def test_equal_factors_leave_every_ranking_as_it_is(seed: int) -> None:
    """Where nothing shifted, no answer may change."""
    rng = np.random.default_rng(seed)
    shares = -np.sort(-rng.dirichlet(np.ones(5), size=8), axis=1)
    codes = rng.permuted(np.tile(np.arange(5), (8, 1)), axis=1)
    weighed = reweigh(Vote(shares, codes, shares), np.full(5, 1.7), 0.7)
    assert weighed.categories.tolist() == codes.tolist()
    assert weighed.shares == pytest.approx(shares)


def test_factors_are_damped_ratios() -> None:
    shift = LabelShift(np.array([0.5, 0.5]), np.array([0.8, 0.2]))
    assert shift.factors == pytest.approx([1.6**DAMPING, 0.4**DAMPING])
    assert shift.distance == pytest.approx(0.3)


def cards(boots: int, kettles: int, start: int = 0) -> list[dict[str, str]]:
    """Cards of two categories; every third title fits both, and names no other."""
    rows = []
    for category, count in (("Boots", boots), ("Kettles", kettles)):
        for n in range(start, start + count):
            own = f"{'leather' if category == 'Boots' else 'steel'} {n % 7}x"
            title = f"{own if n % 3 else 'sale'} item w{n} v{n * n % 97}"
            rows.append(made.row(f"{category[0]}{n}", title, category=category))
    return rows


@pytest.fixture(scope="module")
def mixed() -> ProductIndex:
    return ProductIndex.build(made.catalogue(cards(90, 90)))


def test_doubtful_listings_go_to_the_category_that_came_most(mixed: ProductIndex) -> None:
    """A shop that delivers kettles only would be answered with boots for every doubtful one."""
    delivered = made.catalogue(cards(5, 120, start=300))
    plain = mixed.predict(delivered)
    adjusted = mixed.predict(delivered, adjust_prior=True)
    true = delivered.values("category")

    def right(categories: list[str]) -> int:
        return sum(a == b for a, b in zip(categories, true, strict=True))

    assert right(adjusted.categories) > right(plain.categories)
    note = next(note for note in adjusted.notes if "weighed by the shares" in note)
    assert "125 listings: the mix of categories differs from the index's by" in note
    assert "(Kettles 5" in note or ", Kettles 5" in note
    shares = [sum(n.vote_share or 0 for n in each.neighbours) for each in adjusted]
    assert shares == pytest.approx([1.0] * 125)
    explained = mixed.predict(delivered, adjust_prior=True, explain=True)
    assert explained.categories == adjusted.categories
    for each in explained:
        assert each.explanation is not None


def test_few_listings_are_answered_as_they_are(mixed: ProductIndex) -> None:
    delivered = made.catalogue(cards(0, 29, start=300))
    adjusted = mixed.predict(delivered, adjust_prior=True)
    assert adjusted.to_rows() == mixed.predict(delivered).to_rows()
    assert any("not adjusted: it takes 30 listings" in note for note in adjusted.notes)
    assert not any("weighed by" in note for note in adjusted.notes)


def test_an_index_that_cannot_tell_says_so(index: ProductIndex, mixed: ProductIndex) -> None:
    with pytest.raises(QueryError, match="cannot be estimated: the index is not calibrated"):
        index.predict("red boots", adjust_prior=True)
    assert mixed.parts.calibration is not None
    old = replace(mixed.parts.calibration, answered=None)
    with pytest.raises(QueryError, match="An earlier version calibrated this index"):
        ProductIndex(replace(mixed.parts, calibration=old)).predict("sale", adjust_prior=True)


def test_shares_are_stored_and_follow_renamed_categories(
    mixed: ProductIndex, tmp_path: Path
) -> None:
    """After a renaming, the category would count as one that nothing was answered with."""
    calibration = ProductIndex.load(mixed.save(tmp_path / "shop")).parts.calibration
    assert calibration is not None
    answered = calibration.answered
    assert answered is not None
    assert sum(answered.values()) == pytest.approx(1)
    renamed = mixed.relabel({card: "Shoes" for card in mixed.catalogue.ids if card[0] == "B"})
    assert renamed.parts.calibration is not None
    assert renamed.parts.calibration.answered == {
        "Shoes": answered["Boots"],
        "Kettles": answered["Kettles"],
    }


def test_the_command_adjusts(
    mixed: ProductIndex,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    mixed.save("shop")
    made.catalogue(cards(5, 60, start=300)).to_frame().to_csv("new.csv", index=False)
    asked = "predict new.csv --adjust-prior --index shop"
    code, _, told = call(f"{asked} -o out.jsonl", monkeypatch, capsys)
    assert code == 0, told
    assert "weighed by the shares" in told
    code, _, told = call(f"{asked} -k 3", monkeypatch, capsys)
    assert code == 2
    assert "--adjust-prior hold for the vote" in told
