"""What is fitted is fitted again to the cards as they are, and nothing is embedded for it."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from made import catalogue, row
from test_index_learned import THINGS, indexed, shop
from test_index_relabel import LISTINGS, nothing_is_embedded

from prodcat_index.cards.card import Catalogue
from prodcat_index.errors import QueryError
from prodcat_index.index.folder import read_manifest
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.voting.vote import VoteParameters

__all__ = ["nothing_is_embedded"]  # a fixture


def wrong(cards: Catalogue) -> Catalogue:
    """Give every tenth card the category of another thing."""
    labels = cards.values("category")
    other = [THINGS[(THINGS.index(each) + 1) % 5] for each in labels]
    given = [b if n % 10 == 0 else a for n, (a, b) in enumerate(zip(labels, other, strict=True))]
    return Catalogue(cards.cards.assign(category=given), source="wrong cards")


def right() -> ProductIndex:
    return indexed(200)


@cache
def mended() -> ProductIndex:
    """An index of wrong labels that were put right."""
    true = dict(zip(shop(200).ids, shop(200).values("category"), strict=True))
    return ProductIndex.build(wrong(shop(200))).relabel(true)


def answers(index: ProductIndex) -> list[object]:
    return [answer.as_dict() for answer in index.predict(LISTINGS, explain=True)]


def check_same(one: ProductIndex, other: ProductIndex) -> None:
    for name in ("weights", "vote", "calibration", "tuning", "chosen_search_weights", "drift"):
        assert getattr(one.parts, name) == getattr(other.parts, name), name
    for block, its in zip(one.parts.all_blocks, other.parts.all_blocks, strict=True):
        for name in ("vectors", "present", "references"):
            own, others = np.asarray(getattr(block, name)), np.asarray(getattr(its, name))
            assert np.array_equal(own, others), (block.name, name)
    assert np.array_equal(one.parts.log_reliability, other.parts.log_reliability)
    assert answers(one) == answers(other)
    assert one.search("red kettle") == other.search("red kettle")


@pytest.mark.usefixtures("nothing_is_embedded")
def test_nothing_is_embedded_to_fit_again() -> None:
    """A night of a graphics card would be spent on rows that are there."""
    index = mended()
    fitted = index.refit()
    for before, after in zip(index.parts.encoder_blocks, fitted.parts.encoder_blocks, strict=True):
        assert after.vectors is before.vectors and after.slot is before.slot


def test_a_refitted_index_answers_as_one_that_is_built() -> None:
    """What wrong labels taught would stay in the projection, the scores and the confidence."""
    assert answers(mended()) != answers(right())
    check_same(mended().refit(), right())


def test_an_index_that_is_fitted_already_stays_as_it_is() -> None:
    check_same(right().refit(), right())


def test_cards_that_came_are_fitted_as_if_they_had_been_there() -> None:
    """Building again would answer better than fitting again, by the same encoders."""
    late = shop(200).select(range(140, 200))
    grown = right().remove(late.ids).add(late)
    assert grown.parts.scores and right().parts.scores
    assert not np.array_equal(grown.parts.scores.vectors, right().parts.scores.vectors)
    fitted = grown.refit()
    # Their texts came after the encoders were fitted: nothing else is left of it.
    drift = fitted.parts.drift
    assert drift and (drift.fitted_cards, drift.encoded_cards) == (200, 140)
    check_same(ProductIndex(replace(fitted.parts, drift=None)), right())


def test_new_names_are_fitted_by_themselves() -> None:
    """A name that was given up and comes back would be taken for what it was once."""
    cards = shop(200)
    names = cards.cards.replace({"category": {"boots": "mug", "mug": "boots"}})
    fitted = right().relabel({"boots": "mug", "mug": "boots"}).refit()
    assert fitted.parts.aliases == {}
    check_same(fitted, ProductIndex.build(Catalogue(names, source="renamed")))


def test_cards_that_came_are_learned_from() -> None:
    """New categories would stay ones that nothing was fitted on."""
    sleds = [
        row(f"s{n}", f"{colour} sled {n}", f"sled in {colour}", category="sled")
        for n, colour in enumerate(["red", "blue", "green", "grey"] * 6)
    ]
    grown = right().add(catalogue(sleds))
    assert "sled" not in grown.parts.text_scores.categories
    fitted = grown.refit()
    assert "sled" in fitted.parts.text_scores.categories
    assert fitted.parts.learned and "sled" in fitted.parts.learned.categories
    assert fitted.parts.drift is not None
    assert (fitted.parts.drift.fitted_cards, fitted.parts.drift.encoded_cards) == (224, 200)
    assert fitted.parts.drift.new_category_cards == 0
    # Whatever came later, the encoders have seen the first cards alone.
    later = fitted.remove(["c000", "s1"]).add(catalogue([row("z", "red sled", category="sled")]))
    assert later.parts.drift is not None
    assert (later.parts.drift.fitted_cards, later.parts.drift.encoded_cards) == (222, 199)


# What was tuned or given.


def test_tuned_settings_are_kept_and_calibrated_anew(tmp_path: Path) -> None:
    """Every relabelled card would cost the shop its tuning."""
    index = mended()
    tuned = index.tuned(index.tune(objective="nll"))
    fitted = tuned.refit()
    assert fitted.parts.tuning == tuned.parts.tuning and tuned.parts.tuning is not None
    assert (fitted.parts.weights, fitted.parts.vote) == (tuned.parts.weights, tuned.parts.vote)
    check_same(fitted, right().tuned_like(tuned))
    folder = fitted.save(tmp_path / "index")
    assert answers(ProductIndex.load(folder)) == answers(fitted)
    assert read_manifest(folder).tuning == fitted.parts.tuning


def test_doubts_are_worked_out_again_beside_a_tuning() -> None:
    """Wrong labels would count in full from the first refit of a tuned index on."""
    index = ProductIndex.build(wrong(shop(200)))
    assert index.parts.log_reliability.any()
    tuned = index.tuned(index.tune(objective="nll"))
    assert np.array_equal(tuned.refit().parts.log_reliability, index.parts.log_reliability)


def test_where_many_cards_came_it_is_tuned_again() -> None:
    """Weights that were best for a fifth of the cards would be those of all."""
    cards = shop(200)
    index = ProductIndex.build(cards.select(range(150)))
    tuned = index.tuned(index.tune(objective="nll"))
    more = tuned.add(cards.select(range(150, 180)))
    kept = more.refit().parts
    assert kept.tuning == tuned.parts.tuning
    assert kept.drift is not None and kept.drift.tuned_cards == 150
    many = more.add(cards.select(range(180, 200)))
    again = many.refit()
    assert again.parts.tuning is not None and again.parts.tuning != tuned.parts.tuning
    assert (again.parts.tuning.objective, again.parts.tuning.cards > 100) == ("nll", True)
    assert again.parts.drift is not None and again.parts.drift.tuned_cards == 200
    assert many.refit(tune=False).parts.tuning == tuned.parts.tuning


def test_what_was_given_is_kept(tmp_path: Path) -> None:
    """A shop that weighs titles alone would find that pictures count after a night."""
    vote = VoteParameters(k=3, temperature=0.2)
    index = ProductIndex.build(shop(120), weights={"title": 1}, vote_parameters=vote)
    loaded = ProductIndex.load(index.save(tmp_path / "index"))
    fitted = loaded.remove(["c000"]).refit()
    assert (fitted.parts.weights, fitted.parts.vote) == (index.parts.weights, vote)
    plain = ProductIndex.build(shop(120), projection="none", index="sq8")
    plain = ProductIndex.load(plain.save(tmp_path / "plain"))
    again = plain.refit().parts
    assert (again.learned, again.asked.kind) == (None, "sq8")


def test_an_index_that_has_grown_begins_to_learn() -> None:
    """It would stay one of a dozen cards, whatever came."""
    few = indexed(90)
    assert few.parts.learned is None
    tuned = few.tuned(few.tune())
    grown = tuned.add(shop(120).select(range(90, 120)))
    fitted = grown.refit(tune=False)
    assert fitted.parts.block_names == ["title", "description", "scores", "learned"]
    assert fitted.parts.tuning is None
    assert "what was tuned or given is dropped" in str(fitted.findings[0])


def test_tuning_is_kept_where_blocks_are_the_same() -> None:
    tuned = right().tuned(right().tune(objective="nll"))
    built = mended().refit().tuned_like(tuned)
    assert built.parts.tuning == tuned.parts.tuning
    few = indexed(90)
    with pytest.raises(QueryError, match="the other index is not tuned"):
        right().tuned_like(few)
    with pytest.raises(QueryError, match="the other index has other blocks"):
        few.tuned_like(tuned)
