"""The methods that an evaluation compares; the classifiers are those of scikit-learn."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import arena
import made
import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from sklearn.svm import LinearSVC

from prodcat_index.cards.card import Catalogue
from prodcat_index.evaluation.held_out import (
    CLASSIFIERS,
    EQUAL,
    PROJECTED,
    TUNED,
    Answer,
    HeldOutSplit,
    Method,
    list_methods,
)
from prodcat_index.evaluation.text_classifier import NO_WORD, TEXT_CLASSIFIER, classify_texts
from prodcat_index.index.product_index import ProductIndex

ORACLES: dict[str, Any] = {
    "KNeighborsClassifier": KNeighborsClassifier(5),
    "LogisticRegression": LogisticRegression(C=100, max_iter=300),
    "LinearSVC": LinearSVC(C=1, dual="auto", random_state=0),
}


@pytest.fixture(params=[3, 2], ids=["three categories", "two categories"])
def held_out(request: pytest.FixtureRequest) -> HeldOutSplit:
    """A split in which only descriptions are embedded, of three categories or two."""
    catalogue = arena.shop(noise=2, title_spread=9.0)
    kept = sorted(arena.SHELVES)[: request.param]
    catalogue = catalogue.select([c in kept for c in catalogue.values("category")])
    return arena.held_out(catalogue, arena.alternating(catalogue), {"description": "numbers"})


def test_all_classifiers_have_an_oracle() -> None:
    assert set(ORACLES) == set(CLASSIFIERS)


@pytest.mark.parametrize("name", ORACLES)
def test_answers_are_those_of_scikit_learn(held_out: HeldOutSplit, name: str) -> None:
    """The comparison would flatter the index, or slander it."""
    train, test = held_out.features
    labels = np.array(held_out.index.parts.catalogue.values("category"), dtype=str)
    expected = ORACLES[name].fit(train, labels).predict(test)
    outcome = held_out.classify(name, 0).outcome
    assert [held_out.names[code] for code in outcome.predicted] == expected.tolist()
    assert outcome.ranked is not None
    for ranked in outcome.ranked:
        assert sorted(ranked.tolist()) == list(range(len(held_out.names)))


def test_only_neighbours_have_an_oracle(held_out: HeldOutSplit) -> None:
    """An oracle of a classifier would mean nothing."""
    found = {name: held_out.classify(name, 0).outcome.neighbours for name in CLASSIFIERS}
    assert found["LinearSVC"] is found["LogisticRegression"] is None
    near = found["KNeighborsClassifier"]
    assert near is not None
    assert near.shape == (len(held_out.test), 5)


def test_a_fit_that_did_not_converge_is_told(
    held_out: HeldOutSplit, monkeypatch: pytest.MonkeyPatch, recwarn: pytest.WarningsRecorder
) -> None:
    """An unfinished rival is no rival."""
    assert held_out.classify("LogisticRegression", 0).note == ""
    monkeypatch.setattr("prodcat_index.evaluation.held_out.MAX_ITERATIONS", 2)
    assert held_out.classify("LogisticRegression", 0).note == "did not converge in 2 iterations"
    assert not recwarn.list


def test_fewer_cards_than_neighbours_are_enough() -> None:
    catalogue = arena.shop(2)
    held_out = arena.held_out(catalogue, arena.alternating(catalogue, 2))
    assert len(held_out.index) == 3
    assert held_out.classify("KNeighborsClassifier", 0).settings["n_neighbors"] == 3


def answers_of(held_out: HeldOutSplit, methods: list[Method]) -> dict[str, Answer]:
    return {method.name: held_out.answer(method, "accuracy", 0) for method in methods}


def having(*modalities: str) -> Catalogue:
    return made.catalogue([made.row("1", **dict.fromkeys(modalities, "x"))])


def test_the_rows_are_modalities_votes_and_classifiers_in_this_order() -> None:
    methods = list_methods(having("image", "title"), "lda", baselines=True)
    assert [c.name for c in methods][:5] == ["image", "title", EQUAL, PROJECTED, TUNED]
    kinds = ["modality"] * 2 + ["vote"] * 3 + ["classifier"] * 3 + ["texts"]
    assert [c.kind for c in methods] == kinds
    assert methods[-1].name == "TF-IDF + LinearSVC"


def test_pictures_alone_have_no_classifier_on_texts() -> None:
    """A row of zeros would tell a shop of pictures that texts are worth nothing."""
    methods = list_methods(having("image"), "none", baselines=True)
    assert [c.kind for c in methods] == ["modality", "vote", *["classifier"] * 3]
    assert not any(
        c.kind == "texts" for c in list_methods(having("title"), "none", baselines=False)
    )


def test_the_row_of_texts_is_the_classifier_of_the_training_cards() -> None:
    """The rival would be fitted to other cards, or its answers be taken for other categories."""
    catalogue = arena.shop(24, noise=2)
    cards = catalogue.cards.assign(title=[f"thing {c}" for c in catalogue.values("category")])
    cards.loc[1, "category"] = ""
    catalogue = made.catalogue(cards.to_dict(orient="records"))
    split, encoders = arena.alternating(catalogue), {"title": "lexical:8", "description": "numbers"}
    held_out = arena.held_out(catalogue, split, encoders)
    answer = held_out.answer(Method(TEXT_CLASSIFIER, "texts"), "accuracy", 3)
    train, groups = held_out.index.parts.catalogue, np.arange(len(catalogue))
    own = groups[split.rows(catalogue, "train")]
    found = classify_texts(train, own, held_out.test, seed=3)
    assert found.scores is not None and answer.outcome.ranked is not None
    assert answer.outcome.predicted.tolist() == found.scores.argmax(axis=1).tolist()
    assert np.mean(answer.outcome.predicted == answer.outcome.true) == 1.0
    best = np.take_along_axis(found.scores, answer.outcome.ranked, axis=1)
    assert np.all(np.diff(best, axis=1) <= 0)
    assert answer.settings["C"] == found.settings["C"]
    assert answer.settings["random_state"] == 3
    assert answer.outcome.neighbours is answer.shares is None


def test_texts_that_teach_nothing_are_answered_with_nothing() -> None:
    catalogue = arena.shop(6)
    held_out = arena.held_out(catalogue, arena.alternating(catalogue))
    cards = held_out.index.parts.catalogue.cards.assign(title="", description="")
    parts = replace(held_out.index.parts, catalogue=made.catalogue(cards.to_dict("records")))
    answer = replace(held_out, index=ProductIndex(parts)).classify_texts(0)
    assert set(answer.outcome.predicted.tolist()) == {-1}
    assert answer.note == NO_WORD


def test_one_modality_is_not_weighed_against_itself() -> None:
    methods = list_methods(having("title"), "none", baselines=False)
    assert [c.name for c in methods] == ["title", TUNED]


def test_a_modality_alone_is_judged_by_itself() -> None:
    """Titles are never wrong here, every third description is."""
    catalogue = arena.shop(noise=3)
    held_out = arena.held_out(catalogue, arena.alternating(catalogue))
    answers = answers_of(
        held_out, list_methods(having("title", "description"), "none", baselines=False)
    )
    right = {n: np.mean(a.outcome.predicted == a.outcome.true) for n, a in answers.items()}
    assert right["title"] == right[TUNED] == 1.0
    assert right["description"] < 0.8
    assert answers["title"].settings["weights"] == {"title": 1.0}
    assert answers[EQUAL].settings["weights"] == {"title": 0.5, "description": 0.5}
    tuned = held_out.index.tuned(held_out.index.tune(objective="accuracy", seed=0)).parts
    assert answers[TUNED].settings["weights"] == pytest.approx(tuned.weights, abs=1e-4)
    assert answers[TUNED].settings["k"] == tuned.vote.k


def test_the_tuned_row_is_what_a_tuned_index_answers() -> None:
    """Users would be shown a gain of tuning that they do not get."""
    catalogue = arena.shop(24, title_spread=6.0, noise=3)
    held_out = arena.held_out(catalogue, arena.alternating(catalogue))
    index = held_out.index.tuned(held_out.index.tune(objective="accuracy", seed=0))
    assert index.parts.vote != held_out.index.parts.vote
    answer = held_out.answer(Method(TUNED, "vote"), "accuracy", 0)
    assert answer.settings["k"] == index.parts.vote.k == 1
    codes = answer.outcome.predicted
    assert [held_out.names[code] for code in codes] == index.predict(held_out.test).categories


def test_the_learned_row_is_what_an_index_answers_that_is_not_tuned() -> None:
    """Users would be promised a projection that their index does not use."""
    catalogue = arena.shop(60, noise=3)
    held_out = arena.held_out(catalogue, arena.alternating(catalogue), projection="lda")
    answers = answers_of(
        held_out, list_methods(having("title", "description"), "lda", baselines=False)
    )
    learned = answers[PROJECTED]
    codes = learned.outcome.predicted
    assert [held_out.names[code] for code in codes] == held_out.index.predict(
        held_out.test
    ).categories
    assert learned.settings["weights"] == {"learned": 1.0}
    assert answers["title"].settings["weights"] == {"title": 1.0}
    assert answers[EQUAL].settings["weights"] == {"title": 0.5, "description": 0.5}
    assert held_out.features[0].shape[1] == held_out.features[1].shape[1] == 4
