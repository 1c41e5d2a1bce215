"""Embeddings that the user brings: a modality like any other, but for what cannot be."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from made import catalogue, row

from prodcat_index import Card, ProductIndex, evaluate, report
from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.catalogue import as_listings
from prodcat_index.errors import CatalogueError, EncoderError, QueryError
from prodcat_index.index import familiarity
from prodcat_index.index.search import find_neighbours

Rows = npt.NDArray[np.float64]
SHELVES = ("boots", "kettles", "lamps")
HINT = (
    " The index holds vectors that came with its cards, which no text or picture is compared "
    "with: give vectors={'clip': rows of 6 numbers}."
)


def cards(n: int = 150) -> Catalogue:
    """Titles that tell nothing of the shelf."""
    numbers = np.random.default_rng(1).permutation(900) + 100
    return catalogue(
        row(f"c{i:03}", f"article {numbers[i]}", category=SHELVES[i % 3]) for i in range(n)
    )


def rows(n: int = 150) -> Rows:
    """Vectors that tell the shelf; the tenth card has none."""
    vectors = np.eye(6)[np.arange(n) % 3] + np.random.default_rng(0).normal(0, 0.3, size=(n, 6))
    vectors[10] = np.nan
    return vectors


@cache
def shop() -> ProductIndex:
    return ProductIndex.build(cards(), vectors={"clip": rows()})


def new(n: int = 9) -> tuple[list[dict[str, str]], Rows]:
    listings = [{"id": f"n{i}", "title": f"article n{i}"} for i in range(n)]
    return listings, rows(300)[150 : 150 + n]


def test_a_search_is_brute_force_over_the_centred_vectors() -> None:
    """Products would be said to be alike that are not."""
    vectors = rows()
    unit = np.nan_to_num(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    there = unit.any(axis=1)
    mean = unit[there].mean(axis=0)
    query = new()[1][0]
    centred = unit - mean
    asked = query / np.linalg.norm(query) - mean
    cosines = centred @ asked / np.linalg.norm(centred, axis=1) / np.linalg.norm(asked)
    nearest = [f"c{i:03}" for i in np.argsort(-np.where(there, cosines, -2))[:5]]
    found = shop().search(vectors={"clip": query}, k=np.int64(5), weights={"clip": 1})
    assert [neighbour.id for neighbour in found] == nearest
    assert [n.similarity for n in found] == pytest.approx(
        np.sort(cosines[there])[::-1][:5], abs=2e-3
    )


def test_they_answer_what_the_texts_cannot() -> None:
    listings, vectors = new(30)
    predictions = shop().predict(listings, vectors={"clip": vectors}, explain=True)
    right = [p.category == SHELVES[i % 3] for i, p in enumerate(predictions)]
    assert np.mean(right) > 0.9
    reasons = [p.explanation.decided_by for p in predictions]
    assert reasons.count("clip") > 20
    assert all(
        sum(n.contributions.values()) == pytest.approx(n.similarity, abs=1e-6)
        for p in predictions
        for n in p.neighbours
    )
    assert shop().predict(listings).categories != predictions.categories


def test_the_folder_is_all_that_is_needed(tmp_path: Path) -> None:
    """The model that made them may be a paid service."""
    loaded = ProductIndex.load(shop().save(tmp_path / "index"))
    listings, vectors = new()
    told = [
        index.predict(listings, vectors={"clip": vectors}).to_frame() for index in (shop(), loaded)
    ]
    assert told[0].equals(told[1])
    assert [n.id for n in loaded.similar("c003", 4)] == [n.id for n in shop().similar("c003", 4)]
    assert loaded.catalogue.modalities == ("title", "clip")


def test_in_place_of_an_encoder_the_texts_still_have_their_scores() -> None:
    """Vectors named title stand for the title, whose words still count among the scores."""
    index = ProductIndex.build(cards(), vectors={"title": rows()})
    assert index.parts.block_names == ["title", "scores", "learned"]
    told = index.predict(new()[0], vectors={"title": new()[1]})
    assert told.categories == [SHELVES[i % 3] for i in range(9)]


def test_vectors_alone_are_an_index() -> None:
    listings = [{"id": card, "category": SHELVES[i % 3]} for i, card in enumerate(cards().ids)]
    index = ProductIndex.build(listings, vectors={"clip": rows()})
    assert str(index.findings[-1]).startswith("1 card has nothing that this index can embed")
    told = index.predict([Card() for _ in range(9)], vectors={"clip": new()[1]})
    assert told.categories == [SHELVES[i % 3] for i in range(9)]
    assert index.tune().after.value > 0.9


def test_they_are_evaluated_and_reported_like_any_modality(tmp_path: Path) -> None:
    found = evaluate(cards(), vectors={"clip": rows()}, baselines=False)
    scores = {row.name: row.weighted_f1 for row in found.rows}
    assert scores["clip"] > 0.9 > 0.6 > scores["title"]
    loaded = ProductIndex.load(shop().save(tmp_path / "index"))
    told = {row.name: row.weighted_f1 for row in report(loaded, baselines=False).evaluation.rows}
    # The index holds them centred and in 16 bits.
    assert told["clip"] == pytest.approx(scores["clip"], abs=0.05)


def test_new_cards_come_with_theirs() -> None:
    listings, vectors = new()
    delivery = [listing | {"category": "boots"} for listing in listings]
    larger = shop().add(delivery, vectors={"clip": vectors})
    assert len(larger) == 159
    assert larger.search(vectors={"clip": vectors[4]}, k=1, weights={"clip": 1})[0].id == "n4"
    with pytest.raises(CatalogueError) as caught:
        shop().add(delivery)
    assert str(caught.value) == f"The cards of the list have no vectors of clip.{HINT}"


def test_a_card_whose_vector_changed_is_another_card() -> None:
    """A delivery embedded by another model would be passed over without a word."""
    same = shop().add(cards(), vectors={"clip": rows()})
    assert len(same) == 150
    assert same.parts is shop().parts
    changed = rows()
    changed[7] = changed[8]
    found = shop().compare(cards(), vectors={"clip": changed})
    assert found.changed_parts == {"vectors of clip": ("c007",)}
    grown = shop().apply(found)
    assert grown.search(vectors={"clip": changed[8]}, k=2, weights={"clip": 1})[0].id == "c007"
    with pytest.raises(CatalogueError, match=r"149 of 150 cards .* another model made them"):
        shop().compare(cards(), vectors={"clip": -rows()})


def test_what_no_vector_is_given_for_is_said() -> None:
    notes = shop().predict(new()[0]).notes
    what = "no listing has vectors of clip, so only the rest is compared."
    assert f"{what}{HINT}" in notes
    with pytest.raises(QueryError) as caught:
        shop().search("red boots", weights={"clip": 1})
    assert str(caught.value) == (
        "This query has no clip that can be compared, and nothing else is weighed; give other "
        f"weights.{HINT}"
    )
    index = ProductIndex.build(cards(), vectors={"title": rows()})
    with pytest.raises(QueryError) as caught:
        index.search("red boots")
    assert str(caught.value) == (
        "This index embeds title, and the query has none of these; give one of them, or build an "
        f"index with what it has.{HINT.replace('clip', 'title')}"
    )


@pytest.mark.parametrize(
    ("vectors", "told"),
    [
        (
            {"clip": np.ones((9, 5))},
            "compare vectors of clip with 5 numbers; its own vectors are clip (6 numbers).",
        ),
        (
            {"title": np.ones((9, 6))},
            "compare vectors of title with 6 numbers; its own vectors are clip (6",
        ),
    ],
)
def test_vectors_of_another_model_are_refused(vectors: dict[str, Any], told: str) -> None:
    with pytest.raises(QueryError) as caught:
        shop().predict(new()[0], vectors=vectors)
    assert f"This index cannot {told}" in str(caught.value)
    with pytest.raises(QueryError):
        shop().add(new()[0], vectors=vectors)


def test_an_index_without_vectors_compares_none(index: ProductIndex) -> None:
    with pytest.raises(QueryError, match="its own vectors are none"):
        index.predict("boots", vectors={"title": [1.0, 2.0]})


def test_an_encoder_beside_them_is_refused() -> None:
    with pytest.raises(EncoderError) as caught:
        ProductIndex.build(cards(), vectors={"title": rows()}, encoders={"title": "lexical"})
    assert str(caught.value) == (
        "Both an encoder and vectors are given for title; leave out one of them."
    )


def test_parts_of_a_catalogue_keep_their_own() -> None:
    """A split would train on the vectors of other cards."""
    whole = ProductIndex.build(cards(), vectors={"clip": rows()}).catalogue
    part = whole.select([5, 3])
    assert np.array_equal(part.vectors["clip"], whole.vectors["clip"][[5, 3]])
    assert part.has("clip").tolist() == [True, True]
    assert not whole.has("clip")[10]
    assert len(whole.select([]).vectors["clip"]) == 0


def test_texts_beside_vectors_are_evidence_as_before() -> None:
    """Whatever is written in a title, the confidence would not know of it."""
    parts = ProductIndex.build(cards(), vectors={"title": rows()}).parts
    asked = as_listings([Card(title=cards().values("title")[4]), Card()], None)
    queries = parts.encode(asked)
    answers = np.zeros(2, dtype=np.int64)
    weights = parts.weight_vector(None)
    found = find_neighbours(parts.space, queries.vectors, queries.present, weights, 3)
    seen = familiarity.of_queries(parts, queries.vectors, queries.present, found, answers)
    assert np.isfinite(seen[:, familiarity.SCORE]).tolist() == [True, False]
