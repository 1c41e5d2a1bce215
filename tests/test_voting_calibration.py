"""Confidence learned from cards of known category."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, replace
from math import exp
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from prodcat_index.voting.calibration import (
    LEAST_CONFIDENCE,
    Calibration,
    ProbabilityModel,
    fit_calibration,
)
from prodcat_index.voting.evidence import Evidence, EvidenceModel
from prodcat_index.voting.metrics import score_confidence
from prodcat_index.voting.vote import Vote

MODEL = ProbabilityModel(2.0, -1.0, 3.0, 0.5)
NAMES = ["Bags", "Shoes > Boots", "Shoes > Sandals"]


def vote_of(shares: list[list[float]]) -> Vote:
    """Make a vote of codes 0, 1, 2 in this order."""
    array = np.array(shares)
    codes = np.tile(np.arange(array.shape[1]), (len(array), 1))
    return Vote(array, np.where(array > 0, codes, -1), array)


def similarities(*nearest: float, k: int = 3) -> np.ndarray:
    return np.array(nearest)[:, None] - 0.01 * np.arange(k)


def test_probabilities_are_their_formula() -> None:
    """Found: -1 + 3 * 0.8 + 0.5 * 0.6 = 1.7. Squares of the shares: 0.36, 0.09, 0.01."""
    probabilities = MODEL.probabilities(vote_of([[0.6, 0.3, 0.1]]), similarities(0.8))
    found = 1 / (1 + exp(-1.7))
    assert probabilities[0].tolist() == pytest.approx(
        [found * 0.36 / 0.46, found * 0.09 / 0.46, found * 0.01 / 0.46]
    )


def test_the_confidence_moves_the_log_odds_of_the_first() -> None:
    model = replace(MODEL, offset=0.5, slope=2.0)
    confidence = model.confidence(np.array([[0.8, 0.1], [0.0, 0.0]]))
    assert confidence.tolist() == pytest.approx([1 / (1 + exp(-0.5) / 16), 0.0])


def test_where_nobody_voted_there_is_no_confidence() -> None:
    nothing = Vote(np.zeros((1, 3)), np.full((1, 3), -1), np.zeros((1, 3)))
    probabilities = MODEL.probabilities(nothing, np.full((1, 3), np.nan))
    assert probabilities.tolist() == [[0, 0, 0]]
    assert replace(MODEL, offset=9).confidence(probabilities).tolist() == [0]


MODELS = st.builds(
    ProbabilityModel,
    sharpness=st.floats(0.05, 20),
    intercept=st.floats(-20, 20),
    similarity_weight=st.floats(0, 30),
    share_weight=st.floats(0, 30),
    offset=st.floats(-5, 5),
    slope=st.floats(0, 5),
)


@settings(max_examples=100, deadline=None)
@given(MODELS, st.floats(0, 1), st.floats(0, 0.3), st.floats(0.34, 0.9), st.floats(0, 0.1))
def test_nearer_neighbours_and_larger_shares_never_lower_confidence(
    model: ProbabilityModel, near: float, nearer: float, share: float, more: float
) -> None:
    """A person would not believe a confidence that falls while the evidence grows."""
    shares = [[s, 1 - s, 0.0] for s in (max(share, 0.5), max(share, 0.5) + more)]
    vote = vote_of([shares[0], shares[0], shares[1]])
    found = similarities(near, min(1.0, near + nearer), near)
    probabilities = model.probabilities(vote, found)
    confidence = model.confidence(probabilities)
    assert confidence[1] >= confidence[0] - 1e-12
    assert confidence[2] >= confidence[0] - 1e-9
    assert np.all((probabilities >= 0) & (probabilities.sum(axis=1, keepdims=True) <= 1 + 1e-9))
    assert np.all((confidence >= 0) & (confidence <= 1))


def made_votes(n: int, seed: int = 0) -> tuple[Vote, np.ndarray, np.ndarray]:
    """Draw votes that are too sure, on cards that are of no known category when far away."""
    rng = np.random.default_rng(seed)
    nearest = rng.uniform(0.2, 1.0, n)
    first = rng.uniform(0.5, 1.0, n)
    shares = np.stack([first, 0.7 * (1 - first), 0.3 * (1 - first)], axis=1)
    codes = rng.permuted(np.tile(np.arange(3), (n, 1)), axis=1)
    softened = np.sqrt(shares) / np.sqrt(shares).sum(axis=1, keepdims=True)
    place = (softened.cumsum(axis=1) < rng.random(n)[:, None]).sum(axis=1)
    known = rng.random(n) < 1 / (1 + np.exp(3 - 8 * nearest))
    true = np.where(known, np.take_along_axis(codes, place[:, None], axis=1)[:, 0], -1)
    return Vote(shares, codes, shares), similarities(*nearest), true


def fitted(n: int, seed: int = 0) -> Calibration:
    calibration = fit_calibration(*made_votes(n, seed), NAMES, np.arange(n))
    assert calibration is not None
    return calibration


def confidence_of(calibration: Calibration, vote: Vote, near: np.ndarray) -> np.ndarray:
    return calibration.model.confidence(calibration.model.probabilities(vote, near))


def test_what_made_the_votes_is_found_again() -> None:
    """The true ones: sharpness 1/2, found with logistic(8 * s_1 - 3), no further correction."""
    model = fitted(20_000).model
    assert model.sharpness == pytest.approx(0.5, abs=0.05)
    assert model.similarity_weight == pytest.approx(8, abs=0.7)
    assert model.intercept == pytest.approx(-3, abs=0.5)
    assert model.share_weight == pytest.approx(0, abs=0.4)
    assert (model.offset, model.slope) == pytest.approx((0, 1), abs=0.1)


@pytest.mark.parametrize("cards", [100, 300, 3000])
def test_calibrated_confidence_is_better_than_raw_shares(cards: int) -> None:
    """Even from as few cards as are allowed."""
    vote, near, true = made_votes(4000, seed=99)
    right = vote.categories[:, 0] == true
    for seed in range(3):
        confidence = confidence_of(fitted(cards, seed), vote, near)
        calibrated = score_confidence("calibrated", confidence, right)
        raw = score_confidence("confidence", vote.shares[:, 0], right)
        for figure in ("ece", "brier", "nll"):
            assert getattr(calibrated, figure) < getattr(raw, figure)
        assert calibrated.ece < 0.12 / (cards / 100) ** 0.5 + 0.02


def test_cards_far_from_everything_are_not_trusted_though_neighbours_agree() -> None:
    """A listing of a category that the shop does not have."""
    calibration = fitted(3000)
    vote = vote_of([[0.98, 0.02, 0.0]] * 2)
    near, far = confidence_of(calibration, vote, similarities(0.95, 0.25))
    assert near > 0.8
    assert far < 0.4


def test_few_cards_teach_nothing() -> None:
    assert fit_calibration(*made_votes(99), NAMES, np.arange(99)) is None
    assert fit_calibration(*made_votes(100), NAMES, np.arange(100)) is not None


def test_cards_without_a_vote_do_not_count_towards_the_fewest() -> None:
    vote, near, true = made_votes(120)
    silent = np.arange(120) < 30
    vote = Vote(
        np.where(silent[:, None], 0, vote.neighbour_shares),
        np.where(silent[:, None], -1, vote.categories),
        np.where(silent[:, None], 0, vote.shares),
    )
    assert fit_calibration(vote, near, true, NAMES, np.arange(120)) is None


def test_all_right_and_all_wrong_cards_stay_within_reason() -> None:
    """From 100 right answers, certainty of 1 must not follow."""
    vote, near, _ = made_votes(100)
    right = fit_calibration(vote, near, vote.categories[:, 0], NAMES, np.arange(100))
    wrong = fit_calibration(vote, near, np.full(100, -1), NAMES, np.arange(100))
    assert right is not None
    assert wrong is not None
    assert 0.9 < confidence_of(right, vote, near).mean() < 0.9999
    assert 0 < confidence_of(wrong, vote, near).mean() < 0.1
    assert wrong.precision.accept_at(0.5) is None


def test_equal_features_of_all_cards_do_no_harm() -> None:
    vote = vote_of([[1.0]] * 200)
    true = (np.arange(200) % 4 == 0).astype(np.int64) - 1
    calibration = fit_calibration(vote, np.full((200, 1), 0.5), true, NAMES, np.arange(200))
    assert calibration is not None
    assert confidence_of(calibration, vote, np.full((200, 1), 0.5))[0] == pytest.approx(
        0.25, abs=0.02
    )


def test_it_keeps_curves_for_precision_prefixes_and_sets() -> None:
    calibration = fitted(3000)
    assert calibration.cards == calibration.precision.cards == calibration.sets.cards == 3000
    assert calibration.precision.accept_at(0.6) is not None
    assert calibration.prefixes is not None
    assert len(calibration.prefixes.precisions) > 5
    assert 0.6 < calibration.sets.highest_coverage < 0.95
    assert len(json.dumps(asdict(calibration))) < 40_000


def test_a_calibration_is_the_same_when_it_is_read_again() -> None:
    """An index on disk would accept other answers than the one that was tuned."""
    adapter = TypeAdapter(Calibration)
    calibration = fitted(3000)
    text = adapter.dump_json(calibration)
    assert adapter.validate_json(text, strict=True) == calibration


def test_a_calibration_of_an_earlier_version_is_read() -> None:
    """Every index out there would have to be built again."""
    record = asdict(fitted(300))
    del record["categories"], record["precision"]["independent"]
    read = TypeAdapter(Calibration).validate_json(json.dumps(record), strict=True)
    assert read.categories is None
    assert read.precision.independent is None


def test_groups_lower_what_is_shown_and_categories_are_kept_by_name() -> None:
    vote, near, true = made_votes(3000)
    alike = fit_calibration(vote, near, true, NAMES, np.arange(3000) // 60)
    assert alike is not None
    assert alike.precision.independent is not None
    assert alike.precision.independent[-1] == 50
    alone = fitted(3000)
    assert alone.categories
    assert set(alone.categories) <= set(NAMES)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("sharpness", 0.0),
        ("sharpness", np.nan),
        ("similarity_weight", -0.1),
        ("share_weight", -0.1),
        ("slope", -1.0),
    ],
)
def test_a_model_in_which_more_evidence_lowers_confidence_is_refused(
    field: str, value: float
) -> None:
    with pytest.raises(ValidationError, match=field):
        TypeAdapter(ProbabilityModel).validate_python(asdict(MODEL) | {field: value})


def test_plain_labels_have_no_prefixes() -> None:
    calibration = fit_calibration(*made_votes(200), ["Bags", "Boots", "Sandals"], np.arange(200))
    assert calibration is not None
    assert calibration.prefixes is None


def test_swapped_or_unfit_arguments_are_refused() -> None:
    vote, near, true = made_votes(150)
    for wrong in (
        (vote, near[:, :2], true),
        (vote, near, true[:-1]),
        (vote, near, true + 1),
        (vote, near, true.astype(float)),
        (vote, true, near),
        (vote, near * 3, true),
    ):
        with pytest.raises(ValueError, match=r"must be|need"):
            fit_calibration(*wrong, NAMES, np.arange(150))
    with pytest.raises(ValueError, match="Groups must be"):
        fit_calibration(vote, near, true, NAMES, np.arange(149))


def test_applying_a_calibration_needs_numpy_alone() -> None:
    """A look-up by text would take seconds longer."""
    code = (
        "import sys, numpy as np\n"
        "import calibrated as made\n"
        "from prodcat_index.voting.decision import accept_or_review\n"
        "from prodcat_index.voting.vote import Vote\n"
        "one = np.ones((1, 1))\n"
        "accept_or_review(made.PLAIN, Vote(one, one.astype(int) - 1, one), one, ['A'], 0.9, 0.9)\n"
        "print('scipy' in sys.modules, 'sklearn' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parent,
    )
    assert done.stdout.split() == ["False", "False"]


def evidence_on(cards: int) -> tuple[Vote, np.ndarray, np.ndarray, np.ndarray]:
    """Return equally sure votes, of which those on cards with evidence are mostly right."""
    rng = np.random.default_rng(6)
    scores = rng.normal(size=cards)
    right = rng.random(cards) < 1 / (1 + np.exp(-3 * scores))
    votes = vote_of([[0.7, 0.3, 0.0]] * cards)
    # Code 2 got no vote: the true category is none of those that did.
    return votes, similarities(*[0.8] * cards), np.where(right, 0, 2), scores[:, None]


def test_evidence_lowers_every_probability_and_keeps_the_confidence_true() -> None:
    """Worked by hand: known with 1 / (1 + exp(-2)). A foreign listing would be as sure as any."""
    known = EvidenceModel(0.0, (2.0,), (0.5,))
    model = replace(MODEL, evidence=known)
    votes, near = vote_of([[0.6, 0.3, 0.1]] * 2), similarities(0.8, 0.8)
    plain = MODEL.probabilities(votes, near)
    found = model.probabilities(votes, near, np.array([[1.5], [np.nan]]))
    np.testing.assert_allclose(found[0], plain[0] / (1 + exp(-2)), rtol=1e-12)
    np.testing.assert_allclose(found[1], plain[1] / 2, rtol=1e-12)
    votes, near, true, scores = evidence_on(2000)
    alone = np.arange(2000)
    fitted = fit_calibration(votes, near, true, NAMES, alone, Evidence(known, scores))
    assert fitted is not None and fitted.model.evidence == known
    confidence = fitted.model.confidence(fitted.model.probabilities(votes, near, scores))
    for part in np.array_split(np.argsort(confidence), 5):
        assert confidence[part].mean() == pytest.approx((true[part] == 0).mean(), abs=0.06)
    without = fit_calibration(votes, near, true, NAMES, alone)
    assert without is not None and without.model.evidence is None


def test_sure_answers_do_not_pay_for_unsure_ones() -> None:
    """Where nearly all are right, listings of unknown categories would be accepted with them."""
    votes, near, _, scores = evidence_on(2000)
    alone = np.arange(2000)
    right = np.zeros(2000, dtype=np.int64)
    right[:100] = 2  # one in twenty is wrong: all of them may be accepted at 0.9
    known = EvidenceModel(0.0, (2.0,), (0.5,))
    scores[:100] -= 3
    fitted = fit_calibration(votes, near, right, NAMES, alone, Evidence(known, scores))
    without = fit_calibration(votes, near, right, NAMES, alone)
    assert fitted is not None and without is not None
    accepted, whole = fitted.precision.accept_at(0.9), without.precision.accept_at(0.9)
    assert accepted is not None and whole is not None
    assert accepted.threshold >= LEAST_CONFIDENCE and accepted.coverage < whole.coverage == 1.0
    assert min(fitted.precision.thresholds) >= LEAST_CONFIDENCE


def test_the_first_of_ranked_probabilities_is_the_confidence() -> None:
    """By hand: the log odds of 0.5 and 0.8 raised by log 4 are those of 0.8 and of 16/17."""
    model = ProbabilityModel(1.0, 0.0, 0.0, 0.0, offset=float(np.log(4)))
    ranked = model.ranked(np.array([[0.5, 0.3, 0.1], [0.8, 0.0, 0.0], [0.0, 0.0, 0.0]]))
    expected = [[0.8, 0.12, 0.04], [16 / 17, 0.0, 0.0], [0.0, 0.0, 0.0]]
    np.testing.assert_allclose(ranked, expected, atol=1e-9)
    lower = ProbabilityModel(1.0, 0.0, 0.0, 0.0, offset=-float(np.log(4)))
    np.testing.assert_allclose(lower.ranked(np.array([[0.5, 0.3]])), [[0.2, 0.3]], atol=1e-9)
