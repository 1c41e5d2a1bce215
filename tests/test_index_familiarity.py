"""Listings that the index knows nothing of get no confidence, whatever the vote says."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from made import catalogue, row

from prodcat_index.cards.card import Card
from prodcat_index.cards.catalogue import as_listings
from prodcat_index.index import familiarity
from prodcat_index.index.answers import search_and_vote
from prodcat_index.index.leave_one_out import LeaveOneOut
from prodcat_index.index.product_index import ProductIndex

WORDS = ["boots", "kettle", "lamp", "scarf", "pizza", "plate", "towel", "chair"]
COLOURS = ["red", "blue", "green", "white", "black"]
FOREIGN = ["zzzzqqq", "12345 98765", "qwfp zxcv", "ъыжщ эюхф"]


@cache
def shop() -> ProductIndex:
    """Four hundred titles that tell their category in one word."""
    rng = np.random.default_rng(7)
    rows = [
        row(
            f"c{n:03}",
            f"{rng.choice(COLOURS)} {WORDS[n % 8]} {rng.choice(['big', 'small'])} size {n % 11}",
            category=WORDS[n % 8],
        )
        for n in range(400)
    ]
    return ProductIndex.build(catalogue(rows))


def without_evidence(index: ProductIndex) -> ProductIndex:
    calibration = index.parts.calibration
    assert calibration is not None
    model = replace(calibration.model, evidence=None)
    return ProductIndex(replace(index.parts, calibration=replace(calibration, model=model)))


def test_foreign_strings_are_not_accepted_and_say_why() -> None:
    """A string of consonants would become kitchen tools because of "zz" in pizza."""
    answers = shop().predict([Card(title=text) for text in FOREIGN], precision=0.9)
    for answer in answers:
        assert answer.confidence < 0.1
        assert answer.decision == ("new" if answer.category else "review")
        if answer.category:
            assert answer.familiarity is not None and answer.familiarity.words is not None
            assert answer.familiarity.words < 0.4
            assert answer.note.startswith("new, like no category of the index: known words ")
            assert answer.as_row()["note"] == answer.as_dict()["note"] == answer.note
    assert any(note.startswith("new, like no category of the index: ") for note in answers.notes)


def test_the_shops_own_listings_keep_their_confidence() -> None:
    titles = [f"{colour} {word} small size 3" for colour in COLOURS for word in WORDS]
    answers = shop().predict([Card(title=title) for title in titles])
    assert np.mean([answer.confidence for answer in answers]) > 0.9
    assert not any(answer.note for answer in answers)
    assert answers.notes == ()
    assert all(a.familiarity is not None and a.familiarity.words is None for a in answers)


def test_an_explained_answer_shows_its_evidence() -> None:
    [answer] = shop().predict([Card(title="red boots")], explain=True)
    evidence = answer.as_dict()["evidence"]
    assert set(evidence) == {"known_category", "known_words"}
    assert evidence["known_words"] > 0.9
    assert answer.familiarity is not None
    assert answer.familiarity.describe().startswith("known words ")


def test_a_calibration_of_an_earlier_version_answers_as_before() -> None:
    index = without_evidence(shop())
    [answer] = index.predict([Card(title="red boots")])
    assert answer.familiarity is None and answer.note == ""
    assert "evidence" not in answer.as_dict()


def test_what_was_learned_is_stored(tmp_path: Path) -> None:
    """A loaded index would trust what the built one did not."""
    shop().save(tmp_path / "shop")
    loaded = ProductIndex.load(tmp_path / "shop")
    assert loaded.parts.calibration == shop().parts.calibration
    listings = [Card(title=text) for text in [*FOREIGN, "red boots"]]
    same = [a.confidence for a in loaded.predict(listings)]
    assert same == [a.confidence for a in shop().predict(listings)]
    manifest = json.loads((tmp_path / "shop" / "manifest.json").read_text(encoding="utf-8"))
    assert len(manifest["calibration"]["model"]["evidence"]["weights"]) == 2


def test_tuning_keeps_what_was_learned() -> None:
    index = shop()
    tuned = index.tuned(index.tune())
    assert tuned.parts.calibration is not None and index.parts.calibration is not None
    assert tuned.parts.calibration.model.evidence == index.parts.calibration.model.evidence


def test_hidden_categories_are_hidden_whole() -> None:
    """Half a hidden category would still be known by the other half."""
    parts = shop().parts
    queries = LeaveOneOut.from_index(parts, 400, np.random.default_rng(0))
    hidden = familiarity._hide_categories(queries)
    assert hidden is not None
    codes = parts.labels.codes
    names = set(codes[hidden.rows])
    assert len(names) == 2
    np.testing.assert_array_equal(np.flatnonzero(np.isin(codes, list(names))), hidden.rows)
    pool = hidden.collect([parts.weight_vector(None)], 10)
    assert not names & set(pool.categories[pool.categories >= 0].tolist())
    # Their text scores are those of a model without them; the others' stay as they are.
    assert hidden.parts.scores is not None and parts.scores is not None
    columns = parts.score_columns[list(names)]
    assert not hidden.parts.scores.vectors[hidden.rows][:, columns].any()
    others = np.setdiff1d(np.arange(400), hidden.rows)
    np.testing.assert_array_equal(hidden.parts.scores.vectors[others], parts.scores.vectors[others])


def test_cards_without_another_group_of_their_category_count_as_hidden() -> None:
    queries = LeaveOneOut.from_index(shop().parts, 400, np.random.default_rng(0))
    assert familiarity._has_others(queries).all()
    codes = shop().parts.labels.codes
    alone = replace(queries, groups=np.where(codes == 2, 1000, queries.groups))
    np.testing.assert_array_equal(familiarity._has_others(alone), codes != 2)


def test_the_evidence_on_queries_is_that_of_their_scores() -> None:
    """A text of which nothing is known has the least, no text at all none."""
    parts = shop().parts
    listings = [Card(title="red boots"), Card(title="zzzzqqq size"), Card(title="")]
    queries = parts.encode(as_listings(listings, None))
    result = search_and_vote(
        parts, queries.vectors, queries.present, parts.weight_vector(None), parts.vote
    )
    found = familiarity.of_queries(
        parts, queries.vectors, queries.present, result.found, result.vote.categories[:, 0]
    )
    assert found[0, familiarity.SCORE] > 0.3 > -1 > found[1, familiarity.SCORE]
    assert np.isnan(found[2]).all() and np.isnan(found[:, familiarity.NEAREST]).all()


def test_a_card_of_the_index_is_called_new_by_what_has_not_seen_it() -> None:
    """The odd card of a catalogue would look known, for the index knows its words from itself."""
    cards = [
        row(f"c{n}", f"{WORDS[n % 4]} {COLOURS[n % 5]} {n}", category=WORDS[n % 4])
        for n in range(200)
    ]
    odd = row("odd", "qwerty asdfgh zxcvbn", category=WORDS[0])
    index = ProductIndex.build(catalogue([*cards, odd]))
    own, usual = index.predict(
        [Card(id="odd", title="qwerty asdfgh zxcvbn"), Card(id="c7", title=cards[7]["title"])]
    )
    assert own.familiarity is not None and own.familiarity.is_new
    assert usual.familiarity is not None and not usual.familiarity.is_new


@pytest.mark.parametrize("third", [0, 2])
def test_what_is_foreign_to_two_categories_is_not_accepted(third: int) -> None:
    """A shop of boots and kettles would take a garden hose for a boot, sure of it."""
    rng = np.random.default_rng(0)
    colours = ("red", "blue", "black", "small", "steel", "leather", "rubber", "warm")
    nouns = {"boots": ("hiking boots", "ankle boots"), "kettles": ("tea kettle", "camping kettle")}
    cards = [
        row(f"{name}{n}", f"{rng.choice(colours)} {rng.choice(own)} {n}", category=name)
        for name, own in nouns.items()
        for n in range(80)
    ]
    cards += [row(f"other{n}", f"wool scarf {n}", category="scarves") for n in range(third)]
    index = ProductIndex.build(catalogue(cards))
    foreign = ["asdf jkl", "garden hose reel", "laptop computer 16gb", "12345"]
    answers = index.predict([Card(title=title) for title in foreign])
    assert max(answer.confidence for answer in answers) < 0.2
    own = index.predict([Card(title="black ankle boots 99")])[0]
    assert own.category == "boots" and own.confidence > 0.9
