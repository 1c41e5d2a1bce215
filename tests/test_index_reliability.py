"""Cards that are contradicted by what has not seen them count less."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from made import catalogue, row

from prodcat_index.cards.card import Card
from prodcat_index.index.calibrate import (
    CONTRADICTED,
    ENOUGH_CARDS,
    LEAST_LOG_RELIABILITY,
    MOST_CONTRADICTED,
    _log_reliability,
)
from prodcat_index.index.leave_one_out import LeaveOneOut
from prodcat_index.index.product_index import ProductIndex

WRONG = ("clock 7", "mug 3", "lamp 11")


@cache
def mislabelled() -> ProductIndex:
    """240 cards in six categories; three clocks, mugs and lamps are labelled as something else."""
    rng, rows = np.random.default_rng(4), []
    things = ("clock", "mug", "lamp", "scarf", "boot", "pillow")
    for n in range(240):
        thing, own = things[n % 6], f"{things[n % 6]} {n // 6}"
        title = f"{' '.join(rng.choice(['red', 'blue', 'wall', 'small', 'new'], 2))} {own}"
        category = "pillow" if own in WRONG else thing
        rows.append(row(own, title, "", category=category))
    return ProductIndex.build(catalogue(rows))


def reliability(index: ProductIndex) -> dict[str, float]:
    return dict(zip(index.parts.catalogue.ids, index.parts.log_reliability.tolist(), strict=True))


def test_wrong_labels_count_little_and_right_ones_in_full() -> None:
    """A clock would be a pillow because one of six clocks is labelled so."""
    found = reliability(mislabelled())
    assert all(found[own] < -1 for own in WRONG)
    others = [value for own, value in found.items() if own not in WRONG]
    assert np.mean(np.array(others) == 0) > 0.95
    assert min(found.values()) >= LEAST_LOG_RELIABILITY


def test_an_exact_copy_of_a_mislabelled_card_gets_the_answer_of_the_others() -> None:
    index = mislabelled()
    copies = [Card(title=index.card(own).title) for own in WRONG]
    answers = index.predict(copies)
    assert answers.categories == [own.split()[0] for own in WRONG]
    trusting = replace(index.parts, learned=replace(index.parts.learned, log_reliability=None))
    for doubting, answer in zip(answers, ProductIndex(trusting).predict(copies), strict=True):
        shares = dict(doubting.ranked)["pillow"], dict(answer.ranked)["pillow"]
        assert shares[0] < shares[1] / 2


def test_a_card_is_compared_by_heads_that_have_not_seen_it() -> None:
    """A head that has learned a wrong label would defend it."""
    parts = mislabelled().parts
    asked = LeaveOneOut.from_index(parts, 1000, np.random.default_rng(0), every_fold=True)
    odds, codes = asked.own_log_odds(), parts.labels.codes
    scores, names = parts.scores, parts.labels.names
    assert scores is not None
    for card in (0, 42, 100):
        model = asked.models[asked.fold[card]]
        assert model is not None and model.head is not None
        rows, _ = model.projection.project(
            [parts.blocks[0].vectors[[card]]], np.ones((1, 1), dtype=bool)
        )
        learned = np.exp(model.head.log_probabilities(rows, len(names))[0])
        text = scores.vectors[card].astype(np.float64) ** 2
        mean = (learned + text / text.sum()) / 2
        expected = np.log(mean[codes[card]] / mean.max())
        assert odds[card] == pytest.approx(expected, abs=2e-3)
    assert np.quantile(odds, MOST_CONTRADICTED) > np.log(CONTRADICTED)
    others = parts.labels.sizes[codes] - 1
    doubted = np.clip(odds - np.log(CONTRADICTED), LEAST_LOG_RELIABILITY, 0)
    expected_all = doubted * others / (others + ENOUGH_CARDS)
    np.testing.assert_allclose(parts.log_reliability, expected_all, atol=5e-3)


def test_where_many_cards_are_hard_only_the_least_probable_labels_are_doubted() -> None:
    """In a shop of vague categories, right cards of all of them would count less."""
    parts = mislabelled().parts
    odds = np.linspace(-5, 0, len(parts.catalogue)).astype(np.float32)
    assert np.mean(_log_reliability(parts, odds) < 0) == pytest.approx(MOST_CONTRADICTED, abs=0.01)
    sure = np.where(np.arange(len(odds)) < 5, -3, 0).astype(np.float32)
    others = parts.labels.sizes[parts.labels.codes[:5]] - 1
    expected = (-3 - np.log(CONTRADICTED)) * others / (others + ENOUGH_CARDS)
    np.testing.assert_allclose(_log_reliability(parts, sure)[:5], expected, rtol=1e-5)


def test_the_vote_of_a_neighbour_is_weighed_by_its_reliability() -> None:
    parts = mislabelled().parts
    assert parts.learned is not None
    listing = [Card(title="small wall clock 8")]
    near = mislabelled().predict(listing)[0].neighbours
    doubted = np.zeros(len(parts.catalogue), dtype=np.float16)
    doubted[parts.catalogue.ids.index(near[0].id)] = np.log(0.25)
    full = ProductIndex(replace(parts, learned=replace(parts.learned, log_reliability=None)))
    less = ProductIndex(replace(parts, learned=replace(parts.learned, log_reliability=doubted)))
    before, after = (
        {n.id: n.vote_share for n in index.predict(listing)[0].neighbours} for index in (full, less)
    )
    scale = {own: after[own] / before[own] for own in before}
    ratio = scale[near[0].id] / scale[near[1].id]
    assert ratio == pytest.approx(0.25, rel=1e-2)


def test_it_is_stored_and_new_cards_count_in_full(tmp_path: Path) -> None:
    """The index would answer otherwise after it was loaded, or an added card would be doubted."""
    index = mislabelled()
    loaded = ProductIndex.load(index.save(tmp_path / "i"))
    assert reliability(loaded) == reliability(index)
    grown = loaded.add(catalogue([row("new", "red clock 99", "", category="pillow")]))
    assert reliability(grown) == reliability(index) | {"new": 0.0}
    listing = [Card(title="small clock 7")]
    assert list(loaded.predict(listing)) == list(index.predict(listing))
