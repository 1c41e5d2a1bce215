"""The answers that are scored are those that the index gives."""

from __future__ import annotations

import arena
import made
import numpy as np
import pytest

from prodcat_index.evaluation.held_out import PRECISION, Answer, HeldOutSplit
from prodcat_index.index.answers import search_and_vote
from prodcat_index.index.search import find_neighbours
from prodcat_index.voting.calibration import fit_calibration
from prodcat_index.voting.vote import VoteParameters, vote


@pytest.fixture
def held_out() -> HeldOutSplit:
    catalogue = arena.shop(noise=3)
    return arena.held_out(catalogue, arena.alternating(catalogue))


def predicted(answer: Answer, held_out: HeldOutSplit) -> list[str]:
    return [held_out.names[code] if code >= 0 else "" for code in answer.outcome.predicted]


@pytest.mark.parametrize("weights", [{"title": 1.0}, {"description": 1.0}, {"title": 0.3}])
@pytest.mark.parametrize("k", [1, 5])
def test_a_vote_answers_as_the_index_does(
    held_out: HeldOutSplit, weights: dict[str, float], k: int
) -> None:
    """Users would choose by figures that their index does not deliver."""
    weights = {"description": 1 - sum(weights.values()), **weights}
    answer = held_out.vote(weights, VoteParameters(k=k))
    expected = held_out.index.predict(held_out.test, weights=weights, k=k)
    assert predicted(answer, held_out) == expected.categories
    assert answer.shares is not None
    assert answer.shares[:, 0] == pytest.approx([p.confidence for p in expected])
    assert list(answer.nearest) == [p.neighbours[0].id for p in expected]


def test_a_calibration_tells_the_probability_of_the_vote_that_was_judged() -> None:
    """Calibrated figures would be those of other answers."""
    catalogue = arena.shop(80, title_spread=1.2, noise=3)
    held_out = arena.held_out(catalogue, arena.alternating(catalogue, 2))
    parameters = VoteParameters(k=3)
    raw = held_out.vote({"description": 1.0}, parameters)
    assert raw.calibrated is None
    queries, labels = held_out.queries.vectors, held_out.index.parts.labels
    found = find_neighbours(
        held_out.index.parts.space, queries, held_out.queries.present, np.array([0.0, 1.0]), 3
    )
    decided = vote(found.similarities, labels.codes[found.rows], labels.sizes, parameters)
    calibration = fit_calibration(
        decided, found.similarities, held_out.true, labels.names, np.arange(len(held_out.true))
    )
    assert calibration is not None
    probabilities = calibration.model.probabilities(decided, found.similarities)
    told = held_out.vote({"description": 1.0}, parameters, calibration).calibrated
    assert told is not None
    assert told.tolist() == calibration.model.confidence(probabilities).tolist()
    assert told.tolist() != raw.shares[:, 0].tolist()  # type: ignore[index]


def test_answers_are_accepted_as_the_index_accepts_them() -> None:
    """The evaluation would promise a share of automatic answers that predict does not give."""
    catalogue = arena.shop(180, title_spread=0.5, noise=3)
    held_out = arena.held_out(catalogue, arena.alternating(catalogue))
    index = held_out.index.tuned(held_out.index.tune())
    parts = index.parts
    assert parts.calibration is not None
    answer = held_out.vote(parts.weights, parts.vote, parts.calibration)
    expected = index.predict(held_out.test, precision=0.95)
    assert answer.accepted is not None
    assert answer.accepted.tolist() == [p.decision == "accept" for p in expected]


def test_answers_are_accepted_by_their_probability_and_not_by_their_share_of_the_vote() -> None:
    """The evaluation would promise an acceptance that `predict --precision` never reaches."""
    catalogue = arena.shop(160, title_spread=1.2, noise=7)
    held_out = arena.held_out(catalogue, arena.alternating(catalogue, 2))
    parts, parameters = held_out.index.parts, VoteParameters(k=10)
    weights = {"title": 0.2, "description": 0.8}
    result = search_and_vote(
        parts, held_out.queries.vectors, held_out.queries.present, np.array([0.2, 0.8]), parameters
    )
    calibration = fit_calibration(
        result.vote,
        result.found.similarities,
        held_out.true,
        parts.labels.names,
        np.arange(len(held_out.true)),
    )
    assert calibration is not None
    acceptance = calibration.precision.accept_at(PRECISION)
    assert acceptance is not None
    answer = held_out.vote(weights, parameters, calibration)
    assert answer.accepted is not None and answer.calibrated is not None
    assert answer.shares is not None
    assert answer.accepted.tolist() == (answer.calibrated >= acceptance.threshold).tolist()
    by_share = answer.shares[:, 0] >= acceptance.threshold
    assert np.sum(by_share != answer.accepted) > 20
    right = answer.outcome.predicted == answer.outcome.true
    assert np.mean(right[answer.accepted]) > PRECISION


def test_codes_are_those_of_all_categories_not_of_the_training_part() -> None:
    """A category that training lacks would shift all others by one."""
    catalogue = arena.shop(4)
    first = [category == made.LAMPS for category in catalogue.values("category")]
    parts = ["test" if lamp or row % 2 else "train" for row, lamp in enumerate(first)]
    held_out = arena.held_out(catalogue, arena.split_of(catalogue, parts))
    assert sorted(arena.SHELVES)[0] == made.LAMPS
    answer = held_out.vote({"title": 1.0}, VoteParameters(k=1))
    assert held_out.training_sizes.tolist() == [0, 2, 2]
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
    held_out = arena.held_out(catalogue, arena.alternating(catalogue))
    answer = held_out.vote({"title": 1.0}, VoteParameters())
    assert predicted(answer, held_out)[0] == ""
    assert answer.shares is not None
    assert (answer.shares[0, 0], answer.nearest[0]) == (0.0, "")
    assert held_out.vote({"description": 1.0}, VoteParameters()).outcome.predicted[0] >= 0


def test_unlabelled_training_cards_neither_vote_nor_teach() -> None:
    catalogue = arena.shop(4)
    cards = catalogue.cards.copy()
    split = arena.alternating(catalogue)
    cards.loc[1, "category"] = ""
    catalogue = made.catalogue(cards.to_dict(orient="records"))
    held_out = arena.held_out(catalogue, split)
    assert held_out.training_sizes.sum() == len(held_out.index) - 1
    assert len(held_out.features[0]) == len(held_out.index) - 1
    answer = held_out.vote({"title": 1.0}, VoteParameters(k=1))
    assert cards.loc[1, "id"] not in answer.nearest


def test_features_are_the_blocks_side_by_side() -> None:
    """Classifiers would be compared on other embeddings than the neighbours."""
    rows = [dict(row) for row in arena.shop(4).cards.to_dict(orient="records")]
    rows[0]["description"] = ""
    catalogue = made.catalogue(rows)
    held_out = arena.held_out(catalogue, arena.alternating(catalogue))
    train, test = held_out.features
    title, description = (block.vectors for block in held_out.index.parts.blocks)
    assert np.array_equal(train, np.hstack([title, description]).astype(np.float32))
    assert train.dtype == test.dtype == np.float32
    assert test[0, 2:].tolist() == [0.0, 0.0]
    assert np.linalg.norm(test[1]) == pytest.approx(2**0.5, abs=1e-6)
