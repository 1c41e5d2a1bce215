"""Weights of a search are chosen on known pairs, and a search finds the product."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import NamesEncoder, catalogue, read_json, row

from prodcat_index.cards.card import Card
from prodcat_index.encoders.registry import SCHEMES
from prodcat_index.index.folder import read_manifest
from prodcat_index.index.folder_card import index_card
from prodcat_index.index.parts import equal_weights
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.index.search_weights import Pairs, choose_search_weights

NOUNS = ("battery", "backpack", "kettle", "lamp", "boots", "scarf", "mug", "chair")
KINDS = ("steel", "leather", "red", "blue", "winter", "garden", "kids", "travel", "office")


def goods(seed: int = 0, count: int = 240) -> list[dict[str, str]]:
    """Make cards with a number of their own in the title; a third lack a description."""
    draw = random.Random(seed)
    rows = []
    for number in range(count):
        kinds, noun = draw.sample(KINDS, 3), draw.choice(NOUNS)
        title = f"{' '.join(kinds)} {noun} model {draw.randrange(1000, 9999)}"
        text = " ".join(draw.choices(KINDS, k=8)) if number % 3 else ""
        rows.append(row(f"g{number:03}", title, text, category="A" if noun < "c" else "B"))
    return rows


def families(told_by: str, other: str, count: int = 60) -> list[dict[str, str]]:
    """Make groups of three cards whose one text tells the group, and whose other is noise."""
    draw = random.Random(1)
    rows = []
    for group in range(count):
        name = " ".join(draw.sample(KINDS, 3)) + f" {draw.choice(NOUNS)}{group}"
        for variant in range(3):
            noise = " ".join(draw.choices(KINDS + NOUNS, k=4))
            texts = {told_by: f"{name} {variant}", other: noise}
            more = {"category": NOUNS[group % 4], "group": f"family {group}", **texts}
            rows.append({**row(f"f{group:02}{variant}"), **more})
    return rows


@cache
def shop() -> ProductIndex:
    return ProductIndex.build(catalogue(goods()))


@cache
def variants(told_by: str, other: str) -> ProductIndex:
    return ProductIndex.build(catalogue(families(told_by, other)), projection="none")


@pytest.mark.parametrize("both", [False, True])
def test_a_card_is_found_first_by_its_own_title_and_alike_in_full(both: bool) -> None:
    """Whoever pastes a title wants that product, and 1.00 beside it: also where the card has more
    than the query, which compares nothing else, and where the card lacks a description as well.
    """
    for card in goods()[::7]:
        asked = Card(title=card["title"], description=card["description"] if both else "")
        nearest = shop().search(asked, 3)[0]
        assert nearest.id == card["id"]
        assert nearest.similarity == pytest.approx(1.0, abs=2e-3)
        assert sum(nearest.contributions.values()) == pytest.approx(nearest.similarity, abs=1e-6)


def test_a_title_with_a_word_dropped_and_one_mistyped_is_found() -> None:
    draw, ranks = random.Random(2), []
    for card in goods():
        words = card["title"].split()
        words.remove(draw.choice(words[:3]))
        place = words.index(next(word for word in words if word in NOUNS))
        words[place] = words[place][1] + words[place][0] + words[place][2:]
        ids = [near.id for near in shop().search(" ".join(words))]
        ranks.append(ids.index(card["id"]) if card["id"] in ids else 99)
    assert np.mean(np.array(ranks) == 0) >= 0.97
    assert np.mean(np.array(ranks) < 10) >= 0.99


def test_a_battery_is_asked_for_and_no_backpack_comes_first() -> None:
    """Backpacks are of the same category, which is what tells votes what is near."""
    found = shop().search("battery", 10)
    assert all("battery" in near.title for near in found)


def test_the_text_that_tells_variants_apart_weighs_more() -> None:
    """The page of a product would show neighbours by noise beside its variants."""
    for told_by, other in (("title", "description"), ("description", "title")):
        index = variants(told_by, other)
        weights = index.parts.search_weights
        assert weights[told_by] > 1.5 * weights[other] > 0
        assert sum(weights.values()) == pytest.approx(1.0)
        assert index.parts.weights == {"title": 0.5, "description": 0.5}
        found = index.similar("f100", 2)
        assert {near.id for near in found} == {"f101", "f102"}


def test_they_are_chosen_without_chance() -> None:
    """The same file must not make another index."""
    again = ProductIndex.build(
        catalogue(families("title", "description")), projection="none"
    ).parts.search_weights
    assert again == variants("title", "description").parts.search_weights


def test_where_nothing_is_known_all_modalities_weigh_the_same() -> None:
    """Few pairs, or none that other weights find better, are no reason to leave a text out."""
    few = families("title", "description")[:36]
    alone = [{**card, "group": ""} for card in few]
    for rows in (few, alone, [{**card, "description": ""} for card in few]):
        parts = ProductIndex.build(catalogue(rows), projection="none").parts
        assert parts.search_weights == equal_weights(parts.blocks)
    assert shop().parts.search_weights == {"title": 0.5, "description": 0.5}


class NoiseEncoder(NamesEncoder):
    """Makes rows of the letters of a text, which one dropped word makes quite other rows."""

    reads = "text"
    spec = fingerprint = "noise"


@pytest.mark.parametrize("name", ["description", "attributes"])
def test_of_several_encoders_the_one_that_bears_dropped_words_weighs_more(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the weight of the other modalities, which such texts say nothing about, stays."""
    monkeypatch.setitem(SCHEMES, "noise", f"{__name__}:NoiseEncoder")
    rows = [{**card, "description": "", name: card["title"]} for card in goods()]
    cards = catalogue(rows, texts=("title", name))
    encoders = {name: ["lexical", "noise"]}
    weights = ProductIndex.build(cards, encoders=encoders, projection="none").parts.search_weights
    assert weights["title"] == pytest.approx(0.5)
    assert weights[f"{name}:lexical"] > 3 * weights[f"{name}:noise"] > 0
    assert sum(weights.values()) == pytest.approx(1.0)


def test_weights_that_are_given_hold_for_a_search_too() -> None:
    rows = families("title", "description")
    parts = ProductIndex.build(
        catalogue(rows), projection="none", weights={"title": 1, "description": 3}
    ).parts
    assert parts.search_weights == {"title": 0.25, "description": 0.75}
    fitted = ProductIndex.build(catalogue(rows), weights={"learned": 1}).parts
    assert fitted.search_weights == {"title": 0.5, "description": 0.5}


def test_they_are_stored_shown_and_kept_when_votes_are_tuned(tmp_path: Path) -> None:
    """They would be lost with the process, or with the next `prodcat tune`."""
    index = variants("title", "description")
    own = index.parts.search_weights
    folder = index.save(tmp_path / "i")
    loaded = ProductIndex.load(folder)
    assert loaded.parts.search_weights == own
    tuned = loaded.tuned(loaded.tune(sample=60))
    tuned.save_settings(folder)
    again = ProductIndex.load(folder)
    assert again.parts.search_weights == own
    assert [n.id for n in again.similar("f100")] == [n.id for n in index.similar("f100")]
    stored = read_json(folder / "manifest.json")["blocks"]
    assert {block["name"]: block["search_weight"] for block in stored} == own
    page = index_card(read_manifest(folder))
    assert "| weight in votes | weight in a search |" in page
    assert f"| {again.parts.weights['title']:.3f} | {own['title']:.3f} |" in page
    more = again.add(catalogue([row("new", "green kettle", category="kettle")]))
    assert more.parts.search_weights == own


def test_weights_of_a_query_take_the_place_of_both() -> None:
    index = variants("title", "description")
    found = index.similar("f100", 5, weights={"description": 1})
    assert all(near.contributions.keys() == {"description"} for near in found)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), weights=st.sampled_from([(1, 0), (0.5, 0.5), (0.2, 0.8)]))
def test_what_is_found_is_counted_as_by_hand(seed: int, weights: tuple[float, float]) -> None:
    rng = np.random.default_rng(seed)
    n, candidates = 6, 15
    places = [rng.permutation(candidates)[: rng.integers(2, 5)] for _ in range(n)]
    mates = np.full((n, 3), -1)
    for own, line in zip(places, mates, strict=True):
        line[: len(own) - 1] = own[1:]
    pairs = Pairs(
        similarities=rng.random((2, n, candidates), dtype=np.float32),
        present=rng.random((n, 2)) > 0.2,
        excluded=np.array([own[0] if q % 2 else -1 for q, own in enumerate(places)]),
        mates=mates,
        halves=np.arange(n) % 2 == 0,
    )
    found = pairs.found(np.array(weights))
    for query, own in enumerate(places):
        shares = np.array(weights) * pairs.present[query]
        if not shares.sum():
            continue
        total = (shares / shares.sum()) @ pairs.similarities[:, query]
        ranked = [c for c in np.argsort(-total) if c != pairs.excluded[query]]
        wanted = set(own[1:].tolist())
        nearest = {int(c) for c in ranked[: len(wanted)]}
        assert found[query] == pytest.approx(len(wanted & nearest) / len(wanted))


def test_queries_without_any_block_find_nothing() -> None:
    """Every card would be equally near, and all of its mates count as found."""
    pairs = Pairs(
        similarities=np.ones((1, 1, 4), np.float32),
        present=np.zeros((1, 1), bool),
        excluded=np.array([-1]),
        mates=np.array([[2]]),
        halves=np.array([True]),
    )
    assert pairs.found(np.ones(1)).tolist() == [0.0]


def test_choosing_reads_no_label() -> None:
    """Weights of a search must not lean on what tells categories apart."""
    rows = families("title", "description")
    others = [{**card, "category": f"{n % 5}"} for n, card in enumerate(rows)]
    parts = ProductIndex.build(catalogue(others), projection="none").parts
    assert choose_search_weights(parts) == variants("title", "description").parts.search_weights
