"""Whether what is judged is what the index answers."""

from __future__ import annotations

from typing import Any

import arena
import made
import numpy as np
import pytest

from prodcat_index.evaluation.held_out import Answer, HeldOutSplit, Method
from prodcat_index.evaluation.methods import EQUAL, PROJECTED, make_methods
from prodcat_index.evaluation.result import TUNED
from prodcat_index.index.search import find_neighbours
from prodcat_index.voting.calibration import fit_calibration
from prodcat_index.voting.vote import VoteParameters, vote


@pytest.fixture
def trial() -> HeldOutSplit:
    catalogue = arena.shop(noise=3)
    return arena.trial(catalogue, arena.alternating(catalogue))


def predicted(answer: Answer, trial: HeldOutSplit) -> list[str]:
    return [trial.names[code] if code >= 0 else "" for code in answer.outcome.predicted]


@pytest.mark.parametrize("weights", [{"title": 1.0}, {"description": 1.0}, {"title": 0.3}])
@pytest.mark.parametrize("k", [1, 5])
def test_a_vote_answers_as_the_index_does(
    trial: HeldOutSplit, weights: dict[str, float], k: int
) -> None:
    """Users would choose by figures that their index does not deliver."""
    weights = {"description": 1 - sum(weights.values()), **weights}
    answer = trial.vote(weights, VoteParameters(k=k))
    expected = trial.index.predict(trial.test, weights=weights, k=k)
    assert predicted(answer, trial) == expected.categories
    assert answer.shares is not None
    assert answer.shares[:, 0] == pytest.approx([p.confidence for p in expected])
    assert list(answer.nearest) == [p.neighbours[0].id for p in expected]


def test_a_calibration_tells_the_probability_of_the_vote_that_was_judged() -> None:
    """Calibrated figures would be those of other answers."""
    catalogue = arena.shop(80, title_spread=1.2, noise=3)
    trial = arena.trial(catalogue, arena.alternating(catalogue, 2))
    parameters = VoteParameters(k=3)
    raw = trial.vote({"description": 1.0}, parameters)
    assert raw.calibrated is None
    queries, labels = trial.queries, trial.index.parts.labels
    found = find_neighbours(
        trial.index.parts.space, queries, trial.present, np.array([0.0, 1.0]), 3
    )
    decided = vote(found.similarities, labels.codes[found.rows], labels.sizes, parameters)
    calibration = fit_calibration(decided, found.similarities, trial.true, labels.names)
    assert calibration is not None
    told = trial.vote({"description": 1.0}, parameters, calibration).calibrated
    assert told is not None
    assert told.tolist() == calibration.confidence(decided, found.similarities).tolist()
    assert told.tolist() != raw.shares[:, 0].tolist()  # type: ignore[index]


def test_answers_are_accepted_as_the_index_accepts_them() -> None:
    """The evaluation would promise a share of automatic answers that predict does not give."""
    catalogue = arena.shop(180, title_spread=0.5, noise=3)
    trial = arena.trial(catalogue, arena.alternating(catalogue))
    index = trial.index.tuned(trial.index.tune())
    parts = index.parts
    assert parts.calibration is not None
    answer = trial.vote(parts.weights, parts.vote, parts.calibration)
    expected = index.predict(trial.test, precision=0.95)
    assert answer.accepted is not None
    assert answer.accepted.tolist() == [p.decision == "accept" for p in expected]


def test_codes_are_those_of_all_categories_not_of_the_training_part() -> None:
    """A category that training lacks would shift all others by one."""
    catalogue = arena.shop(4)
    first = [category == made.LAMPS for category in catalogue.values("category")]
    parts = ["test" if lamp or row % 2 else "train" for row, lamp in enumerate(first)]
    trial = arena.trial(catalogue, arena.split_of(catalogue, parts))
    assert sorted(arena.SHELVES)[0] == made.LAMPS
    answer = trial.vote({"title": 1.0}, VoteParameters(k=1))
    assert trial.training_sizes.tolist() == [0, 2, 2]
    assert answer.outcome.reachable.tolist() == [False, True, True]
    others = answer.outcome.true != 0
    assert answer.outcome.true[others].tolist() == answer.outcome.predicted[others].tolist()
    assert answer.outcome.ranked is not None
    assert 0 not in answer.outcome.ranked


def test_a_card_without_anything_that_is_weighed_gets_no_answer() -> None:
    """A modality that few cards have would look as good as on those few."""
    rows = [dict(row) for row in arena.shop(4).cards.to_dict(orient="records")]
    rows[0]["title"] = ""
    catalogue = made.catalogue(rows)
    trial = arena.trial(catalogue, arena.alternating(catalogue))
    answer = trial.vote({"title": 1.0}, VoteParameters())
    assert predicted(answer, trial)[0] == ""
    assert answer.shares is not None
    assert (answer.shares[0, 0], answer.nearest[0]) == (0.0, "")
    assert trial.vote({"description": 1.0}, VoteParameters()).outcome.predicted[0] >= 0


def test_unlabelled_training_cards_neither_vote_nor_teach() -> None:
    catalogue = arena.shop(4)
    cards = catalogue.cards.copy()
    split = arena.alternating(catalogue)
    cards.loc[1, "category"] = ""
    catalogue = made.catalogue(cards.to_dict(orient="records"))
    trial = arena.trial(catalogue, split)
    assert trial.training_sizes.sum() == len(trial.index) - 1
    assert len(trial.features[0]) == len(trial.index) - 1
    answer = trial.vote({"title": 1.0}, VoteParameters(k=1))
    assert cards.loc[1, "id"] not in answer.nearest


def test_features_are_the_blocks_side_by_side() -> None:
    """Classifiers would be compared on other embeddings than the neighbours."""
    rows = [dict(row) for row in arena.shop(4).cards.to_dict(orient="records")]
    rows[0]["description"] = ""
    catalogue = made.catalogue(rows)
    trial = arena.trial(catalogue, arena.alternating(catalogue))
    train, test = trial.features
    title, description = (block.vectors for block in trial.index.parts.blocks)
    assert np.array_equal(train, np.hstack([title, description]).astype(np.float32))
    assert train.dtype == test.dtype == np.float32
    assert test[0, 2:].tolist() == [0.0, 0.0]
    assert np.linalg.norm(test[1]) == pytest.approx(2**0.5, abs=1e-6)


def enter(modalities: list[str], **options: Any) -> list[Method]:
    usual = {"baselines": False, "objective": "accuracy", "seed": 0, "projection": "none"}
    return make_methods(modalities, **{**usual, **options})


def test_the_rows_are_modalities_votes_and_classifiers_in_this_order() -> None:
    entered = enter(["image", "title"], baselines=True, projection="lda")
    assert [c.name for c in entered][:5] == ["image", "title", EQUAL, PROJECTED, TUNED]
    assert [c.kind for c in entered] == ["modality"] * 2 + ["vote"] * 3 + ["classifier"] * 3


def test_one_modality_is_not_weighed_against_itself() -> None:
    entered = enter(["title"])
    assert [c.name for c in entered] == ["title", TUNED]


def test_a_modality_alone_is_judged_by_itself(trial: HeldOutSplit) -> None:
    """Titles are never wrong here, every third description is."""
    answers = {c.name: c.answer(trial) for c in enter(["title", "description"])}
    right = {n: np.mean(a.outcome.predicted == a.outcome.true) for n, a in answers.items()}
    assert right["title"] == right[TUNED] == 1.0
    assert right["description"] < 0.8
    assert answers["title"].settings["weights"] == {"title": 1.0}
    assert answers[EQUAL].settings["weights"] == {"title": 0.5, "description": 0.5}
    tuned = trial.index.tuned(trial.index.tune(objective="accuracy", seed=0)).parts
    assert answers[TUNED].settings["weights"] == pytest.approx(tuned.weights, abs=1e-4)
    assert answers[TUNED].settings["k"] == tuned.vote.k


def test_the_learned_row_is_what_an_index_answers_that_is_not_tuned() -> None:
    """Users would be promised a projection that their index does not use."""
    catalogue = arena.shop(60, noise=3)
    trial = arena.trial(catalogue, arena.alternating(catalogue), projection="lda")
    entered = enter(["title", "description"], projection="lda")
    (learned,) = (c.answer(trial) for c in entered if c.name == PROJECTED)
    assert predicted(learned, trial) == trial.index.predict(trial.test).categories
    assert learned.settings["weights"] == {"learned": 1.0}
    (alone,) = (c.answer(trial) for c in entered if c.name == "title")
    assert alone.settings["weights"] == {"title": 1.0}
    assert trial.features[0].shape[1] == trial.features[1].shape[1] == 4
