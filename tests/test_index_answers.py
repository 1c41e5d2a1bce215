"""Answers that people can check: what is shown adds up to what is answered."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import catalogue, draw_pictures, row

from prodcat_index.cards.card import Card
from prodcat_index.errors import QueryError
from prodcat_index.index.answers import Answers
from prodcat_index.index.leave_one_out import LeaveOneOut
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.voting.prediction import Neighbour

THINGS = ("boots", "kettle", "lamp", "scarf", "mug")
COLOURS = ("red", "blue", "green", "black", "white", "grey", "pink")
WEIGHTS = st.fixed_dictionaries(
    {
        name: st.sampled_from([0.0, 0.1, 0.5, 1.0])
        for name in ("title", "description", "scores", "learned")
    }
).filter(lambda weights: sum(weights.values()) > 0)
TEXTS = st.lists(st.sampled_from((*THINGS, *COLOURS, "unheard")), max_size=3).map(" ".join)


@cache
def shop() -> ProductIndex:
    """120 cards, some without a title or a description, with text scores and a learned block."""
    rows = []
    for n in range(120):
        thing, colour = THINGS[n % 5], COLOURS[n % 7]
        title = f"{colour} {thing} {n * 37 % 101}" if n % 4 else ""
        text = f"{thing} in {colour}" if n % 3 or not n % 4 else ""
        rows.append(row(f"c{n:03}", title, text, category=thing))
    return ProductIndex.build(catalogue(rows))


def total(neighbour: Neighbour) -> float:
    return sum(neighbour.contributions.values())


@settings(max_examples=30, deadline=None)
@given(WEIGHTS, TEXTS, TEXTS, st.integers(0, 119))
def test_contributions_sum_to_the_similarity(
    weights: dict[str, float], title: str, description: str, card: int
) -> None:
    """Whoever checks an answer by the numbers shown would find that they do not explain it."""
    index, found = shop(), []
    queries = [Card(title=title, description=description), index.card(f"c{card:03}")]
    if any(query.title or query.description for query in queries):
        for prediction in index.predict(queries, k=20, weights=weights):
            found += prediction.neighbours
    own = index.parts.catalogue.card(card)
    if weights["learned"] or (weights["title"] and own.title):
        found += index.similar(own.id, 20, weights=weights)
    for neighbour in found:
        assert total(neighbour) == pytest.approx(neighbour.similarity, abs=1e-6)


def test_a_worked_example_of_contributions() -> None:
    """Of weights 3 to 1 the title counts 0.75; of a query without a title, the description all.

    A card without a description counts there as the 90th percentile of the others' cosines: of
    1, 0, 0 and -1 that is 0.
    """
    numbers = {"title": "numbers", "description": "numbers"}
    east, north, west, south = "1 0", "0 1", "-1 0", "0 -1"
    rows = [
        row(name, text, text, category=name)
        for name, text in zip("enws", (east, north, west, south), strict=True)
    ]
    plain = ProductIndex.build(
        catalogue(rows), encoders=numbers, weights={"title": 3, "description": 1}
    )
    near = plain.search(Card(title=east, description=north), k=4)
    assert {n.id: n.contributions for n in near} == {
        "e": pytest.approx({"title": 0.75, "description": 0.0}),
        "n": pytest.approx({"title": 0.0, "description": 0.25}),
        "w": pytest.approx({"title": -0.75, "description": 0.0}),
        "s": pytest.approx({"title": 0.0, "description": -0.25}),
    }
    alone = plain.search(Card(description=north), k=1)[0]
    assert alone.contributions == pytest.approx({"description": 1.0})
    lacking = ProductIndex.build(
        catalogue([*rows, row("x", north, category="x"), row("y", south, category="y")]),
        encoders=numbers,
    )
    found = {n.id: n for n in lacking.search(Card(title=north, description=east), k=6)}
    assert found["x"].by_block == pytest.approx({"title": 1.0})
    assert found["x"].contributions == pytest.approx({"title": 0.5, "description": 0.0})


def test_the_learned_block_is_split_by_where_it_comes_from() -> None:
    """Half of the weight on it halves its parts: hubness is taken off, blocks add."""
    query = Card(title="red kettle", description="kettle in blue")
    whole = {n.id: n for n in shop().search(query, 20, weights={"learned": 1})}
    mixed = shop().search(query, 20, weights={"learned": 1, "title": 1})
    shared = [(whole[n.id], n) for n in mixed if n.id in whole]
    assert len(shared) > 5
    for alone, half in shared:
        assert list(alone.contributions) == [
            "learned:title",
            "learned:description",
            "learned:hubness",
        ]
        assert list(half.contributions) == ["title", *alone.contributions]
        for name, value in alone.contributions.items():
            assert half.contributions[name] == pytest.approx(value / 2, abs=1e-6)
        assert alone.contributions["learned:hubness"] < 0


def test_a_part_of_the_learned_block_is_what_the_block_projects_to() -> None:
    """A modality would be praised for what another one has found."""
    parts, query = shop().parts, Card(title="red kettle", description="kettle in blue")
    assert parts.learned is not None
    vectors = [b.encode_queries([query.value(b.modality)]).vectors[0] for b in parts.encoder_blocks]
    projection = parts.learned.model.projection
    pieces = zip(vectors, projection.offsets, projection.matrices, strict=True)
    own = []
    for vector, offset, matrix in pieces:
        # What is hashed is no part of it, so that the rest is made a unit row again.
        read = vector[: len(offset)].astype(float)
        own.append((read / np.linalg.norm(read) - offset) @ matrix)
    for near in shop().search(query, 10, weights={"learned": 1}):
        card = parts.learned.vectors[:, :-1][parts.catalogue.ids.index(near.id)].astype(float)
        for name, part in zip(("title", "description"), own, strict=True):
            expected = part @ card / np.linalg.norm(sum(own))
            assert near.contributions[f"learned:{name}"] == pytest.approx(expected, abs=1e-5)


def test_a_similarity_that_is_cut_at_one_is_split_in_proportion() -> None:
    """Rows of 16 bits are up to 0.0005 too long: parts would sum to more than the whole."""
    rng = np.random.default_rng(0)
    drawn = rng.normal(size=(40, 2, 2))
    rows = [
        row(f"c{n}", *(f"{a:.3f} {b:.3f}" for a, b in pair), category="A")
        for n, pair in enumerate(drawn)
    ]
    numbers = {"title": "numbers", "description": "numbers"}
    index = ProductIndex.build(
        catalogue(rows), encoders=numbers, weights={"title": 3, "description": 1}
    )
    title, text = (b.vectors.astype(np.float64) for b in index.parts.blocks)
    raw = np.stack([0.75 * (title**2).sum(axis=1), 0.25 * (text**2).sum(axis=1)])
    longest = int(raw.sum(axis=0).argmax())
    assert raw[:, longest].sum() > 1 + 1e-4
    vectors = [rows[[longest]].astype(np.float32) for rows in (title, text)]
    queries = index.parts.with_learned(vectors, np.ones((1, 2), dtype=bool))
    nearest = index._nearest(queries, 1, None, index.parts.found, is_exact=False)[0][0]
    assert nearest.similarity == 1.0
    expected = dict(zip(numbers, raw[:, longest] / raw[:, longest].sum(), strict=True))
    assert nearest.contributions == pytest.approx(expected, abs=1e-6)
    assert max(nearest.by_block.values()) == 1.0


def test_the_heads_part_of_an_answer_is_the_difference_to_the_neighbours_alone() -> None:
    """An answer that the neighbours do not give would look as if they did."""
    query = [Card(title="red boots mug", description="scarf in grey")]
    both, alone = (
        shop().predict(query, k=60, temperature=0.5, head_exponent=exponent, explain=True)[0]
        for exponent in (1.0, 0.0)
    )
    assert both.explanation is not None and alone.explanation is not None
    assert both.explanation.share_without_head == pytest.approx(dict(alone.ranked)[both.category])
    assert both.share > both.explanation.share_without_head + 0.1
    assert both.as_dict()["share_without_head"] == round(dict(alone.ranked)[both.category], 4)
    assert alone.explanation.share_without_head is None
    assert "share_without_head" not in alone.as_dict()


def with_empty_cards(count: int, cards: int = 120) -> ProductIndex:
    """A shop with cards that have nothing but an id and a category, some of a known one."""
    rows = [row(f"c{n:03}", f"{COLOURS[n % 7]} {THINGS[n % 5]}", "") for n in range(cards)]
    rows = [{**card, "category": THINGS[n % 5]} for n, card in enumerate(rows)]
    empty = [row(f"a{n}", category=("boots", "gone")[n % 2]) for n in range(count)]
    return ProductIndex.build(catalogue([*empty, *rows]))


@pytest.mark.parametrize("cards", [120, 40])
def test_empty_cards_are_counted_not_found_and_do_not_vote(cards: int) -> None:
    """They would come above real cards, for nothing in them contradicts a query, and win votes."""
    without, index = with_empty_cards(0, cards), with_empty_cards(60, cards)
    queries = [Card(title=title) for title in ("red kettle", "mug", "lamp boots", "unheard")]
    searches = [(index.search(q, 300), without.search(q, 300)) for q in queries[:3]]
    for own, expected in [*searches, (index.similar("c001", 300), without.similar("c001", 300))]:
        assert [(n.id, n.similarity) for n in own] == [(n.id, n.similarity) for n in expected]
    votes = {"weights": {"title": 1}, "temperature": 0.1, "k": 150, "head_exponent": 0.0}
    for own, expected in zip(
        *(each.predict(queries, **votes) for each in (index, without)), strict=True
    ):
        assert [n.id for n in own.neighbours] == [n.id for n in expected.neighbours]
        assert dict(own.ranked) == pytest.approx(dict(expected.ranked), abs=0.02)
    assert (index.parts.learned is None) == (cards < 100)
    left_out = LeaveOneOut.from_index(index.parts, 200, np.random.default_rng(0), every_fold=True)
    pool = left_out.collect([index.parts.weight_vector({"title": 1})], 150)
    assert len(pool) == cards
    assert index.parts.labels.names.index("gone") not in pool.categories
    assert [str(finding) for finding in index.findings] == [
        "60 cards have nothing that this index can embed (not found, without a vote): "
        "a0, a1, a2, a3, a4 and 55 more"
    ]
    assert index.card("a0").id == "a0"


def test_added_empty_cards_are_not_found_either() -> None:
    grown = shop().add(catalogue([row("empty", category="mug")]))
    assert "empty" not in {found.id for found in grown.search("mug", 200)}
    [prediction] = grown.predict([Card(title="mug")], k=200)
    assert "empty" not in {found.id for found in prediction.neighbours}


def test_a_picture_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """A typing error in a path would give the answer of the title alone, without a word."""
    pictures = draw_pictures(tmp_path, 8)
    rows = [row(f"c{n}", THINGS[n % 5], image=str(path)) for n, path in enumerate(pictures)]
    rows = [{**card, "category": THINGS[n % 2]} for n, card in enumerate(rows)]
    index = ProductIndex.build(catalogue(rows))
    (tmp_path / "page.jpg").write_text("<html>404</html>")
    cards = [
        Card(title="boots", image=str(tmp_path / "nope.jpg"), id="typo"),
        Card(title="boots", image=str(tmp_path / "page.jpg"), id="page"),
        Card(title="boots", image="https://shop.example/a.jpg", id="web"),
        Card(title="boots", image=str(pictures[0]), id="right"),
    ]
    assert index.predict(cards).notes[:3] == (
        "1 card has no usable picture (there is no such file): typo",
        "1 card has no usable picture (it is not a picture of a known format): page",
        "1 card has no usable picture (it is a web address: download it first): web",
    )
    encoded = index.encode(cards).split()
    for query in (cards[0], encoded[0]):
        with pytest.raises(QueryError, match=r"nope.jpg of the query cannot be used: there is no"):
            index.search(query)
    assert index.search(encoded[3], 1)[0].id == "c0"


def test_listings_with_nothing_to_compare_get_no_answer_and_a_note() -> None:
    """An empty answer would look like a doubtful one."""
    listings = [Card(id="a", title="mug"), Card(id="b"), Card(id="c", category="lamp")]
    predictions = shop().predict(listings)
    assert [bool(answer.category) for answer in predictions] == [True, False, False]
    assert "2 listings have nothing that this index embeds (no answer): b, c" in predictions.notes


def in_order(records: Sequence[Mapping[str, object]]) -> list[list[tuple[str, object]]]:
    return [list(record.items()) for record in records]


@pytest.mark.parametrize("asked", [{}, {"precision": 0.5}, {"coverage": 0.8}, {"k": 1}])
@pytest.mark.parametrize("explain", [False, True])
def test_files_say_what_each_prediction_says(asked: dict[str, Any], explain: bool) -> None:
    """A file of many answers, which is made of columns, would contradict a look at one of them."""
    texts = [f"{colour} {thing}" for thing in THINGS for colour in COLOURS[:3]]
    cards = [Card(id=f"n{n}", title=text) for n, text in enumerate(texts)]
    strange = [Card(id="odd", title="xyzzy plugh"), Card(id="none"), shop().card("c007")]
    found = shop().predict([*cards, *strange], explain=explain, **asked)
    assert in_order(found.to_rows()) == in_order([each.as_row() for each in found])
    assert in_order(found.to_records()) == in_order([each.as_dict() for each in found])
    assert found.categories == [each.category for each in found]
    if not asked:
        assert any("note" in record for record in found.to_rows())
        assert [each["nearest_id"] == "" for each in found.to_rows()][-2:] == [True, False]


def test_a_batch_makes_no_prediction_before_one_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """To build the neighbours of all took a quarter of the time of the search."""
    found = shop().predict([Card(id="a", title="red boots"), Card(id="b", title="blue mug")])
    monkeypatch.setattr(Answers, "neighbours", None)
    assert found.categories == ["boots", "mug"]
    assert [row["id"] for row in found.to_rows()] == found.to_frame()["id"].tolist() == ["a", "b"]
    assert len(found.to_records()) == 2
    with pytest.raises(TypeError):
        found[0]
