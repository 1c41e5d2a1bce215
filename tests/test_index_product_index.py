"""ProductIndex: which category, what is alike, and why."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import cache
from math import exp
from typing import Any

import numpy as np
import pytest
from calibrated import PLAIN
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made import BOOTS, CARDS, KETTLES, LAMPS, catalogue, row

from prodcat_index.cards.card import Card, Catalogue
from prodcat_index.errors import CatalogueError, EncoderError, QueryError
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.voting.prediction import Neighbour
from prodcat_index.voting.vote import VoteParameters

WORDS = ("red", "leather", "boots", "kettle", "steel", "lamp", "чайник", "сапоги", "glass", "warm")


def ids(neighbours: Sequence[Neighbour]) -> list[str]:
    return [neighbour.id for neighbour in neighbours]


def random_catalogue(seed: int, count: int = 30) -> Catalogue:
    draw = random.Random(seed)

    def words(most: int) -> str:
        return " ".join(draw.choices(WORDS, k=draw.randint(0, most)))

    return catalogue(
        row(
            f"c{n:02d}",
            f"{words(4)} x{n % 7}".strip(),
            words(6),
            category=draw.choice(["A", "B", "C"]),
        )
        for n in range(count)
    )


# Four rows whose mean is zero, so that centring leaves the numbers as they are typed.
EAST, WEST, NORTH, SOUTH = "1 0", "-1 0", "0 1", "0 -1"
COMPASS = (
    row("e", EAST, EAST, category="East", category_id="1"),
    row("n", NORTH, NORTH, category="North", category_id="2"),
    row("s", SOUTH, SOUTH, category="South", category_id="3"),
    row("w", WEST, WEST, category="West", category_id="4"),
)
NUMBERS = {"title": "numbers", "description": "numbers"}


def compass(rows: Sequence[Mapping[str, str]] = COMPASS, **options: Any) -> ProductIndex:
    return ProductIndex.build(catalogue(rows), encoders=NUMBERS, **options)


def test_a_worked_prediction() -> None:
    """Title (0.6, 0.8) alone: similarities 0.8, 0.6, -0.6, -0.8 to north, east, west, south.

    With k = 2 and temperature 0.1 the votes are 1 and e^-2.
    """
    answer = compass().predict([Card(id="new", title="0.6 0.8")], k=2, temperature=0.1)[0]
    total = 1 + exp(-2)
    assert (answer.id, answer.category, answer.category_id) == ("new", "North", "2")
    assert answer.confidence == pytest.approx(1 / total, abs=1e-6)
    assert dict(answer.ranked) == pytest.approx({"North": 1 / total, "East": exp(-2) / total})
    assert ids(answer.neighbours) == ["n", "e"]
    assert [n.similarity for n in answer.neighbours] == pytest.approx([0.8, 0.6])
    assert [n.vote_share for n in answer.neighbours] == pytest.approx([1 / total, exp(-2) / total])
    assert answer.neighbours[0].by_block == pytest.approx({"title": 0.8})
    assert answer.explanation is None


def test_a_worked_explanation_where_the_title_alone_decides() -> None:
    """Title east and description north, weighing 3 to 1, temperature 1/2.

    Together the similarities to east, north, south and west are 0.75, 0.25, -0.25 and -0.75:
    east has 1 / (1 + e^-1 + e^-2 + e^-3). By the description alone north, east, west and south
    stand at 1, 0, 0 and -1: north has 1 / (1 + 2 e^-2 + e^-4). By the title alone it is east.
    """
    answer = compass().predict(
        [Card(title=EAST, description=NORTH)],
        weights={"title": 3, "description": 1},
        temperature=0.5,
        explain=True,
    )[0]
    assert answer.category == "East"
    assert answer.confidence == pytest.approx(1 / (1 + exp(-1) + exp(-2) + exp(-3)))
    alone = 1 / (1 + 2 * exp(-2) + exp(-4))
    assert answer.explanation is not None
    assert answer.explanation.decided_by == "title"
    assert answer.explanation.without == {
        "title": ("North", pytest.approx(alone)),
        "description": ("East", pytest.approx(alone)),
    }


def test_without_its_only_modality_nothing_is_known_of_a_listing() -> None:
    answer = compass().predict([Card(title=EAST)], explain=True)[0]
    assert answer.explanation is not None
    assert answer.explanation.without["title"] == ("", 0.0)
    assert answer.explanation.decided_by == "title"


def test_a_modality_that_weighs_nothing_explains_nothing() -> None:
    answer = compass().predict(
        [Card(title=EAST, description=NORTH)], weights={"description": 1}, explain=True
    )[0]
    assert answer.category == "North"
    assert answer.explanation is not None
    assert list(answer.explanation.without) == ["description"]


def test_a_missing_modality_is_neither_zero_nor_an_error() -> None:
    """A listing without a description is as similar to its twin as one with it."""
    neighbours = compass().search(Card(title=EAST), k=4)
    assert ids(neighbours) == ["e", "n", "s", "w"]
    assert [n.similarity for n in neighbours] == [1.0, 0.0, 0.0, -1.0]
    assert [n.by_block for n in neighbours[:2]] == [{"title": 1.0}, {"title": 0.0}]


def test_a_card_that_lacks_a_modality_is_still_found_and_votes() -> None:
    """Its description counts as that of a fairly similar card: one of -1, 0, 0 and 1.

    The 90th percentile of these four, rounded down, is 0: in all (1 + 0) / 2.
    """
    index = compass([*COMPASS, row("bare", EAST, category="Bare")])
    # The mean of the titles is now (0.2, 0): read the similarity in that block from the answer.
    found = {n.id: n for n in index.search(Card(title=EAST, description=EAST), k=5)}
    assert found["bare"].by_block == pytest.approx({"title": 1.0})
    assert found["bare"].similarity == pytest.approx(0.5)
    assert found["e"].similarity == pytest.approx(1.0)
    assert "Bare" in dict(index.predict([Card(title=EAST, description=EAST)])[0].ranked)


def test_unlabelled_cards_are_found_but_never_vote(index: ProductIndex) -> None:
    title = "leather boots of unknown shelf"
    assert index.search(title, k=1)[0].id == "u1"
    assert index.search(title, k=1)[0].category == ""
    answer = index.predict([Card(title=title)], k=9)[0]
    assert answer.category == BOOTS
    assert "u1" not in ids(answer.neighbours)
    assert len(answer.neighbours) == 8
    assert sum(share for _, share in answer.ranked) == pytest.approx(1.0)


def test_listings_of_every_category_are_predicted(index: ProductIndex) -> None:
    titles = {BOOTS: "brown boots", KETTLES: "чайник", LAMPS: "lamp with shade"}
    answers = index.predict([Card(id=c, title=t) for c, t in titles.items()], k=3)
    assert answers.categories == list(titles)
    assert [answer.id for answer in answers] == list(titles)


def test_a_listing_with_nothing_to_go_by_gets_an_empty_category(index: ProductIndex) -> None:
    """In its place, so that the answers still stand in the order of the listings."""
    listings = [Card(id="1", title="漢字"), Card(id="2", title="boots"), Card(id="3")]
    first, second, third = index.predict(listings, explain=True)
    assert (first.category, second.category, third.category) == ("", BOOTS, "")
    for answer in (first, third):
        assert (answer.confidence, answer.ranked, answer.neighbours) == (0.0, [], [])
        assert answer.explanation is not None
        assert answer.explanation.decided_by == ""


def test_a_listing_gets_the_same_answer_alone_in_a_batch_and_from_a_table() -> None:
    index = ProductIndex.build(random_catalogue(1))
    listings = random_catalogue(2, 64)
    from_table = list(index.predict(listings, k=5, explain=True))
    cards = [listings.card(n) for n in range(64)]
    assert list(index.predict(cards, k=5, explain=True)) == from_table
    alone = [index.predict([card], k=5, explain=True)[0] for card in cards]
    assert alone == from_table


WEIGHTS = st.fixed_dictionaries(
    # A share of the smallest float of all is zero, which is no weight.
    {m: st.floats(0, 10, allow_subnormal=False) for m in ("title", "description")}
).filter(lambda w: sum(w.values()) > 1e-3)
BASE = random_catalogue(3)


@cache
def base_index() -> ProductIndex:
    return ProductIndex.build(BASE)


@settings(max_examples=25, deadline=None)
@given(WEIGHTS, st.integers(1, 12))
@example({"title": 2.1376282047236677, "description": 8.085047304572159}, 1)
def test_reweighted_at_query_time_is_built_with_those_weights(
    weights: dict[str, float], k: int
) -> None:
    """Neighbour for neighbour: what users of vector databases ask for and do not get."""
    base, built = base_index(), ProductIndex.build(BASE, weights=weights)
    for query in (Card(title="red boots", description="warm glass"), Card(title="чайник steel")):
        if not any(weights[m] for m in ("title", "description") if query.value(m)):
            continue
        one, other = base.search(query, k, weights=weights), built.search(query, k)
        assert ids(one) == ids(other)
        assert [n.similarity for n in one] == [n.similarity for n in other]
        reweighted = base.predict([query], k=k, weights=weights)[0]
        assert reweighted == built.predict([query], k=k)[0]


def test_a_query_of_weightless_modalities_is_told_what_weighs(index: ProductIndex) -> None:
    with pytest.raises(QueryError) as caught:
        index.search(Card(title="boots"), weights={"description": 1})
    assert str(caught.value) == (
        "This query has no description that can be compared (a text needs words that the index "
        "knows), and nothing else is weighed; give other weights."
    )


def test_an_unknown_text_is_told_apart_from_an_empty_one(index: ProductIndex) -> None:
    with pytest.raises(QueryError, match="no title or description that can be compared"):
        index.search("漢字")


@pytest.mark.parametrize("query", ["", Card(), Card(id="x"), Card(image="/p/a.jpg")])
def test_a_query_without_a_common_modality_is_told_what_is_embedded(
    index: ProductIndex, query: Card | str
) -> None:
    with pytest.raises(QueryError) as caught:
        index.search(query)
    assert str(caught.value) == (
        "This index embeds title, description, and the query has none of these; "
        "give one of them, or build an index with what it has."
    )


def test_listings_without_a_common_modality_are_refused(index: ProductIndex) -> None:
    with pytest.raises(QueryError, match="This index embeds title, description"):
        index.predict([Card(image="/p/a.jpg"), Card()])


def test_no_listings_are_refused(index: ProductIndex) -> None:
    with pytest.raises(QueryError) as caught:
        index.predict([])
    assert str(caught.value) == "There is no listing to look up."


@pytest.mark.parametrize("k", [0, -3])
def test_no_neighbours_are_refused(index: ProductIndex, k: int) -> None:
    sentence = f"The number of neighbours k must be 1 or more; it is {k}."
    for ask in (
        lambda: index.search("boots", k),
        lambda: index.similar("b1", k),
        lambda: index.predict([Card(title="boots")], k=k),
        lambda: ProductIndex.build(catalogue(), vote_parameters=VoteParameters(k=k)),
    ):
        with pytest.raises(QueryError) as caught:
            ask()
        assert str(caught.value) == sentence


@pytest.mark.parametrize("temperature", [0.0, -0.1, float("nan"), float("inf")])
def test_an_impossible_temperature_is_refused(index: ProductIndex, temperature: float) -> None:
    with pytest.raises(QueryError) as caught:
        index.predict([Card(title="boots")], temperature=temperature)
    assert str(caught.value) == f"The temperature must be above 0; it is {temperature}."


def test_an_impossible_prior_is_refused(index: ProductIndex) -> None:
    with pytest.raises(QueryError, match="The prior exponent must be a number; it is nan"):
        index.predict([Card(title="boots")], prior_exponent=float("nan"))


def test_unknown_weights_are_refused(index: ProductIndex) -> None:
    for ask in (
        lambda: index.search("boots", weights={"image": 1}),
        lambda: ProductIndex.build(catalogue(), weights={"image": 1}),
    ):
        with pytest.raises(QueryError, match="has no block 'image' to weigh; its blocks are title"):
            ask()


def test_more_neighbours_than_cards_are_all_cards(index: ProductIndex) -> None:
    assert sorted(ids(index.search("boots", k=100))) == sorted(card["id"] for card in CARDS)


def test_a_similar_card_is_not_the_card_itself() -> None:
    """Nor is an exact duplicate left out in its place."""
    index = compass([*COMPASS, row("e2", EAST, EAST, category="East")])
    assert ids(index.similar("e", k=10)) == ["e2", "n", "s", "w"]
    assert ids(index.similar("e2", k=1)) == ["e"]
    assert index.similar("e", k=1)[0].similarity == pytest.approx(1.0, abs=1e-3)
    assert index.similar("e", k=1)[0].similarity <= 1.0
    assert index.similar("e", k=1)[0].vote_share is None


def test_an_unknown_card_is_told_what_ids_look_like(index: ProductIndex) -> None:
    for ask in (index.similar, index.card):
        with pytest.raises(QueryError) as caught:
            ask("b9")
        assert str(caught.value) == (
            "There is no card 'b9' in this index; its ids are like b1, b2, b3 and 6 more."
        )


def test_a_card_of_the_index_as_it_was(index: ProductIndex) -> None:
    assert index.card("b1") == Card(
        id="b1", title="red leather boots", description="warm winter lining", category=BOOTS
    )


def test_a_card_without_what_is_weighed_has_nothing_similar(index: ProductIndex) -> None:
    with pytest.raises(QueryError) as caught:
        index.similar("k3", weights={"description": 1})
    assert str(caught.value) == (
        "The card 'k3' has no description that can be compared (a text needs words that the index "
        "knows), and nothing else is weighed; give other weights."
    )


def test_every_modality_weighs_the_same_by_default_and_its_blocks_share() -> None:
    index = ProductIndex.build(catalogue(), encoders={"title": ["lexical:4", "lexical:6"]})
    assert index.parts.weights == {
        "title:lexical:4": 0.25,
        "title:lexical:6": 0.25,
        "description": 0.5,
    }
    by_modality = index.search("red boots", weights={"title": 2, "description": 2})
    assert by_modality == index.search("red boots")
    by_block = index.search("red boots", weights={"title:lexical:4": 1})
    assert [n.similarity for n in by_block] == pytest.approx(
        [n.by_block["title:lexical:4"] for n in by_block]
    )


def test_the_same_encoder_twice_is_one_block() -> None:
    index = ProductIndex.build(catalogue(), encoders={"title": ["lexical", "lexical"]})
    assert index.parts.block_names == ["title", "description"]


def test_the_shops_own_key_of_a_category_comes_back() -> None:
    assert compass().predict([Card(title=SOUTH)], k=1)[0].category_id == "3"


def test_a_card_without_the_key_of_its_category_does_not_take_it_away() -> None:
    """The shop's import of the answers goes by the key."""
    index = compass([*COMPASS, row("s2", SOUTH, SOUTH, category="South")])
    assert index.predict([Card(title=SOUTH)], k=1)[0].category_id == "3"


def test_a_catalogue_without_a_category_is_refused() -> None:
    with pytest.raises(CatalogueError) as caught:
        ProductIndex.build(catalogue([row("a", "boots")]))
    assert str(caught.value) == (
        "No card of made-up cards has a category, so nothing can be learned from it; "
        "name the column with --category-column."
    )


def test_a_catalogue_without_anything_to_embed_is_refused() -> None:
    with pytest.raises(CatalogueError, match="No card of made-up cards has a readable picture or"):
        ProductIndex.build(catalogue([row("a", category="A"), row("b", category="B")]))


def test_an_encoder_for_what_no_card_has_is_refused() -> None:
    with pytest.raises(EncoderError) as caught:
        ProductIndex.build(catalogue(), encoders={"image": "names"})
    assert str(caught.value) == (
        "An encoder is given for 'image', which no card has; "
        "the modalities here are title, description."
    )


def test_an_encoder_of_the_wrong_kind_is_refused() -> None:
    with pytest.raises(EncoderError) as caught:
        ProductIndex.build(catalogue(), encoders={"title": "names"})
    assert str(caught.value) == (
        "The encoder names reads pictures and title is a text; give it another one."
    )


def test_one_card_is_an_index() -> None:
    """It is its own mean: nothing can be compared, and that is said, not crashed on."""
    with pytest.raises(CatalogueError, match="readable picture or text that tells it"):
        ProductIndex.build(catalogue([row("a", "boots", category="A")]))


def test_cards_that_are_all_the_same_in_one_modality_are_compared_by_the_other() -> None:
    rows = [row("a", "boots", "red", category="A"), row("b", "boots", "blue", category="B")]
    index = ProductIndex.build(catalogue(rows))
    assert index.predict([Card(title="boots", description="blue")])[0].category == "B"


def test_building_twice_gives_the_same_answers() -> None:
    one, other = (ProductIndex.build(random_catalogue(4)) for _ in range(2))
    listings = random_catalogue(5, 20)
    assert list(one.predict(listings)) == list(other.predict(listings))


def test_the_order_of_the_cards_changes_no_answer() -> None:
    """A catalogue sorted otherwise is the same catalogue; ties go by the ids."""
    cards = random_catalogue(6)
    shuffled = cards.select(np.random.default_rng(0).permutation(len(cards)).tolist())
    listings = random_catalogue(7, 20)
    answers = [ProductIndex.build(c).predict(listings) for c in (cards, shuffled)]
    for one, other in zip(*answers, strict=True):
        assert one.category == other.category
        assert [n.similarity for n in one.neighbours] == pytest.approx(
            [n.similarity for n in other.neighbours], abs=1e-3
        )


def test_an_index_shows_what_it_is_in_a_line(index: ProductIndex) -> None:
    """At a prompt it would be <ProductIndex object at 0x7f…>, and nobody sees what is weighed."""
    assert repr(index) == (
        "<ProductIndex: 9 cards, 3 categories; weights: title 0.50, description 0.50; "
        "not tuned, not calibrated>"
    )
    calibrated = ProductIndex(replace(index.parts, calibration=PLAIN))
    assert repr(calibrated).endswith("; not tuned, calibrated>")


def test_a_notebook_shows_the_blocks_of_an_index() -> None:
    """With names escaped: a column of a stranger's file may be called <script>."""
    rows = [row(f"c{n}", f"{WORDS[n % 5]} {n}", category=f"{n % 2}") for n in range(100)]
    name = "<script>"
    cards = catalogue([{**r, name: r["title"]} for r in rows], texts=("title", name))
    weights = {"scores": 1, "learned": 3}
    index = ProductIndex.build(cards, encoders={"title": "lexical:8"}, weights=weights)
    page = index._repr_html_()
    assert "ProductIndex: 100 cards, 2 categories" in page
    assert "<script>" not in page and "&lt;script&gt;" in page
    cells = re.findall("<td>(.*?)</td>", page)
    assert cells[:5] == ["title", "lexical:8", "136", "0.00", "0.50"]
    assert cells[-10:-5] == ["scores", "text-scores", "2", "0.25", "0.00"]
    assert cells[-5:] == ["learned", "fitted projection", "2", "0.75", "0.00"]


def test_a_neighbour_is_shown_by_what_is_weighed_alone(index: ProductIndex) -> None:
    """A table would show a cosine that has no part in the similarity beside those that have."""
    card = index.parts.catalogue.ids[0]
    both = index.similar(card, weights={"title": 1, "description": 1})
    assert any("description" in neighbour.by_block for neighbour in both)
    for neighbour in index.similar(card, weights={"title": 1}):
        assert set(neighbour.by_block) <= set(neighbour.contributions) == {"title"}
        assert sum(neighbour.contributions.values()) == pytest.approx(neighbour.similarity)


def test_a_weight_of_no_block_is_refused_before_anything_is_embedded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Hours of embedding would be lost to a slip of the keyboard."""
    monkeypatch.setattr("prodcat_index.index.build.build_parts", None)
    with pytest.raises(QueryError, match=r"no block 'titel'.* Did you mean 'title'"):
        ProductIndex.build(catalogue(), weights={"titel": 1.0})
