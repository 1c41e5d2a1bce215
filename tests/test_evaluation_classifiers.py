"""Whether the classifiers that the index is compared with are the ones of scikit-learn."""

from __future__ import annotations

from typing import Any

import arena
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from prodcat_index.evaluation import methods as classifiers
from prodcat_index.evaluation.held_out import HeldOutSplit
from prodcat_index.evaluation.methods import CLASSIFIERS, classify

ORACLES: dict[str, Any] = {
    "KNeighborsClassifier": KNeighborsClassifier(5),
    "LogisticRegression": LogisticRegression(C=100, max_iter=300),
    "LinearSVC": LinearSVC(C=1, dual="auto", random_state=0),
}


@pytest.fixture(params=[3, 2], ids=["three categories", "two categories"])
def trial(request: pytest.FixtureRequest) -> HeldOutSplit:
    catalogue = arena.shop(noise=2, title_spread=9.0)
    kept = sorted(arena.SHELVES)[: request.param]
    catalogue = catalogue.select([c in kept for c in catalogue.values("category")])
    return arena.trial(catalogue, arena.alternating(catalogue), {"description": "numbers"})


def test_all_classifiers_have_an_oracle() -> None:
    assert set(ORACLES) == set(CLASSIFIERS)


@pytest.mark.parametrize("name", ORACLES)
def test_answers_are_those_of_scikit_learn(trial: HeldOutSplit, name: str) -> None:
    """The comparison would flatter the index, or slander it."""
    train, test = trial.features
    labels = np.array(trial.index.parts.catalogue.values("category"), dtype=str)
    expected = ORACLES[name].fit(train, labels).predict(test)
    outcome = classify(name, 0, trial).outcome
    assert [trial.names[code] for code in outcome.predicted] == expected.tolist()
    assert outcome.ranked is not None
    for ranked in outcome.ranked:
        assert sorted(ranked.tolist()) == list(range(len(trial.names)))


def test_only_neighbours_have_an_oracle(trial: HeldOutSplit) -> None:
    """An oracle of a classifier would mean nothing."""
    found = {name: classify(name, 0, trial).outcome.neighbours for name in CLASSIFIERS}
    assert found["LinearSVC"] is found["LogisticRegression"] is None
    near = found["KNeighborsClassifier"]
    assert near is not None
    assert near.shape == (len(trial.test), 5)


def test_a_fit_that_did_not_converge_is_told(
    trial: HeldOutSplit, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    """An unfinished rival is no rival."""
    assert classify("LogisticRegression", 0, trial).note == ""
    monkeypatch.setattr(classifiers, "MAX_ITERATIONS", 2)
    assert classify("LogisticRegression", 0, trial).note == "did not converge in 2 iterations"
    assert not recwarn.list


def test_fewer_cards_than_neighbours_are_enough() -> None:
    catalogue = arena.shop(2)
    trial = arena.trial(catalogue, arena.alternating(catalogue, 2))
    assert len(trial.index) == 3
    assert classify("KNeighborsClassifier", 0, trial).settings["n_neighbors"] == 3
