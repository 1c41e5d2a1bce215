"""What speaks for a listing being of a known category, learned from hidden categories."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from sklearn.metrics import roc_auc_score

from prodcat_index.voting.evidence import (
    FALSE_ALARMS,
    FEWEST_UNSEEN,
    TOO_LITTLE,
    EvidenceModel,
    fit_evidence,
)

MODEL = EvidenceModel(intercept=0.5, weights=(2.0, 1.0), usual=(0.4, 0.7))


def drawn(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return known and unseen cards, told apart by the first kind of evidence alone."""
    rng = np.random.default_rng(seed)
    known, unseen = rng.normal(size=(400, 2)), rng.normal(size=(60, 2))
    known[:, 0] += 3
    return known, unseen


def test_the_probability_is_its_formula() -> None:
    """Worked by hand: 0.5 + 2 * (0.1 - 0.4) + 1 * (0.9 - 0.7) = 0.1."""
    found = MODEL.known(np.array([[0.1, 0.9]]))
    assert found.tolist() == pytest.approx([1 / (1 + exp(-0.1))])


def test_missing_evidence_counts_as_usual() -> None:
    """A listing without a picture would be taken for one of an unknown category."""
    found = MODEL.known(np.array([[np.nan, 0.9], [0.4, 0.9], [np.nan, np.nan]]))
    assert found[0] == found[1]
    assert found[2] == pytest.approx(1 / (1 + exp(-0.5)))


@settings(deadline=None, max_examples=50)
@given(st.lists(st.floats(-5, 5), min_size=2, max_size=2), st.floats(0, 5), st.integers(0, 1))
def test_more_evidence_never_lowers_the_probability(
    evidence: list[float], more: float, kind: int
) -> None:
    model = fit_evidence(*drawn())
    assert model is not None
    raised = list(evidence)
    raised[kind] += more
    low, high = model.known(np.array([evidence, raised]))
    assert low <= high


def test_hidden_categories_are_told_from_known_ones() -> None:
    known, unseen = drawn()
    model = fit_evidence(known, unseen)
    assert model is not None
    probability = model.known(np.concatenate(drawn(seed=1)))
    truth = np.repeat([True, False], [400, 60])
    assert roc_auc_score(truth, probability) > 0.97
    assert model.weights[0] > 5 * model.weights[1]


def test_known_and_hidden_cards_count_the_same_however_many_they_are() -> None:
    """A shop of few categories would trust every listing more than a shop of many."""
    known, unseen = drawn()
    model = fit_evidence(known, unseen)
    assert model is not None
    # Maximum likelihood with a free intercept: as much is expected as there is.
    assert model.known(known).mean() + model.known(unseen).mean() == pytest.approx(1, abs=1e-3)


def test_no_more_listings_of_known_categories_are_called_new_than_promised() -> None:
    """A person would search the new listings for those of old categories.

    Over many draws of few cards, the mean of what is promised is kept, and not far undercut.
    """
    rng, shares = np.random.default_rng(0), []
    for _ in range(200):
        model = fit_evidence(rng.normal(1, 1, (39, 1)), rng.normal(0, 1, (40, 1)))
        assert model is not None and model.new_below < 0.5
        shares.append((model.known(rng.normal(1, 1, (2000, 1))) < model.new_below).mean())
    # The second lowest of 39: 2 / 40.
    assert np.mean(shares) == pytest.approx(FALSE_ALARMS, abs=0.007)


def test_what_is_likely_to_be_known_is_not_new() -> None:
    """Where the two are far apart, one of twenty good listings would be called new."""
    rng = np.random.default_rng(0)
    model = fit_evidence(rng.normal(20, 1, (400, 1)), rng.normal(0, 1, (400, 1)))
    assert model is not None and model.new_below == 0.5
    few = fit_evidence(rng.normal(1, 1, (FEWEST_UNSEEN, 1)), rng.normal(0, 1, (40, 1)))
    assert few is not None and few.new_below < 0.5


def test_a_model_of_an_earlier_version_warns_as_it_did() -> None:
    """An index of an earlier version would not load, or call many listings new."""
    record = {"intercept": 0.5, "weights": [2.0, 1.0], "usual": [0.4, 0.7]}
    assert TypeAdapter(EvidenceModel).validate_python(record) == MODEL
    assert MODEL.new_below == TOO_LITTLE


def test_evidence_that_speaks_the_wrong_way_is_not_used() -> None:
    known, unseen = drawn()
    model = fit_evidence(known * [1, -1] - [0, 3], unseen)
    assert model is not None and model.weights[1] == 0.0


def test_a_kind_that_no_card_has_says_nothing() -> None:
    """An index without pictures, or without texts, would have no evidence at all."""
    known, unseen = drawn()
    known[:, 1] = unseen[:, 1] = np.nan
    model = fit_evidence(known, unseen)
    assert model is not None and model.weights[1] == 0.0
    alone = fit_evidence(known[:, :1], unseen[:, :1])
    assert alone is not None
    np.testing.assert_allclose(model.known(known), alone.known(known[:, :1]), atol=1e-6)


def test_too_few_cards_show_nothing() -> None:
    known, unseen = drawn()
    assert fit_evidence(known, unseen[: FEWEST_UNSEEN - 1]) is None
    assert fit_evidence(known[: FEWEST_UNSEEN - 1], unseen) is None
    assert fit_evidence(known, unseen[:FEWEST_UNSEEN]) is not None
    assert fit_evidence(known * np.nan, unseen * np.nan) is None


@pytest.mark.parametrize(
    ("weights", "usual"), [((-1.0,), (0.0,)), ((1.0,), ()), ((1.0,) * 11, (0.0,) * 11)]
)
def test_a_damaged_model_is_refused(weights: tuple[float, ...], usual: tuple[float, ...]) -> None:
    """A stored index would answer with any confidence."""
    record = {"intercept": 0.0, "weights": weights, "usual": usual}
    with pytest.raises(ValidationError):
        TypeAdapter(EvidenceModel).validate_python(record)
