"""Searching and voting among the cards that match a filter: exact, as if there were no others."""

from __future__ import annotations

import random
from dataclasses import replace
from math import exp, log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import BOOTS, KETTLES, LAMPS, catalogue, row

from prodcat_index.cards.where import parse
from prodcat_index.errors import QueryError
from prodcat_index.index.product_index import ProductIndex

QUERIES = ("warm leather boots", "steel kettle", "red lamp with a shade", "чайник")


def _many_cards() -> ProductIndex:
    draw = random.Random(5)
    words = ("red", "leather", "boots", "kettle", "steel", "lamp", "чайник", "glass", "warm")
    rows = [
        row(
            f"c{n:03d}",
            " ".join(draw.choices(words, k=3)),
            " ".join(draw.choices(words, k=draw.randint(0, 4))),
            category=draw.choice([BOOTS, KETTLES, LAMPS, ""]),
        )
        for n in range(200)
    ]
    cards = catalogue(rows)
    brands = [draw.choice(["Bosch", "Makita", ""]) for _ in rows]
    prices = [draw.choice(["12,50 €", "5 000", "on request"]) for _ in rows]
    return ProductIndex.build(replace(cards, cards=cards.cards.assign(brand=brands, price=prices)))


@pytest.fixture(scope="module")
def shop() -> ProductIndex:
    return _many_cards()


FILTERS = st.sampled_from(
    [
        "brand = Bosch",
        "price < 100",
        "brand = Bosch and price > 100",
        "category under Shoes or brand = ''",
        "id in (c001, c002, c003)",
        "id = c100",
    ]
)


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(QUERIES), FILTERS, st.integers(1, 20))
def test_the_neighbours_are_the_nearest_of_those_that_match(
    shop: ProductIndex, query: str, where: str, k: int
) -> None:
    """Near products of a small brand would be missing behind those of large ones."""
    matches = dict(zip(shop.catalogue.ids, shop.matches(where).mask, strict=True))
    ranking = [each for each in shop.search(query, k=len(shop)) if matches[each.id]]
    assert [(n.id, n.similarity) for n in shop.search(query, k, where=where)] == [
        (n.id, n.similarity) for n in ranking[:k]
    ]
    alike = [each for each in shop.similar("c007", k=len(shop)) if matches[each.id]]
    found = shop.similar("c007", k, where=parse(where))
    assert [each.id for each in found] == [each.id for each in alike[:k]]


@settings(deadline=None, max_examples=40)
@given(st.sampled_from(QUERIES), FILTERS, st.sampled_from([0.0, 1.0]))
def test_only_cards_that_match_vote(
    shop: ProductIndex, query: str, where: str, exponent: float
) -> None:
    """An answer would be due to products that were asked to be left out."""
    # All vote before: what was worked out for them must not stay.
    assert len(shop.predict(query, k=9)[0].neighbours) == 9
    [told] = shop.predict(query, where=where, prior_exponent=exponent, head_exponent=0, k=9)
    mask = shop.matches(where).mask
    labels = np.array(shop.catalogue.values("category"))
    sizes = {name: int((labels[mask] == name).sum()) for name in {*labels} - {""}}
    rows = {card: place for place, card in enumerate(shop.catalogue.ids)}
    votes = dict.fromkeys(sizes, 0.0)
    nearest = told.neighbours[0].similarity if told.neighbours else 0.0
    for each in told.neighbours:
        assert mask[rows[each.id]] and each.category
        # As large as a category is among the cards that may vote.
        weight = (each.similarity - nearest) / shop.parts.vote.temperature
        weight += float(shop.parts.log_reliability[rows[each.id]])
        votes[each.category] += exp(weight - exponent * log(sizes[each.category]))
    assert len(told.neighbours) == min(9, sum(sizes.values()))
    total = sum(votes.values())
    for name, share in told.ranked:
        assert share == pytest.approx(votes[name] / total)


def test_the_confidence_of_a_filtered_vote_is_not_calibrated(shop: ProductIndex) -> None:
    """A calibration of all votes would promise a precision that does not hold."""
    assert shop.parts.calibration is not None
    predictions = shop.predict(["red boots"], where="brand = Bosch")
    count = int(shop.matches("brand = Bosch").mask.sum())
    assert predictions.notes[0] == f"{count} of 200 cards match brand = Bosch"
    assert "is calibrated for the votes of all its cards" in predictions.notes[-1]
    with pytest.raises(QueryError, match=r"Neither a precision nor .* of all its cards, not of"):
        shop.predict(["red boots"], where="brand = Bosch", precision=0.9)


def test_own_cards_are_answered_by_others_that_match(shop: ProductIndex) -> None:
    """A card would be its own neighbour, or the filter be forgotten for it."""
    own = shop.catalogue.select(np.flatnonzero(shop.matches("brand = Bosch").mask)[:4].tolist())
    for told in shop.predict(own, where="brand = Bosch", k=20, explain=True):
        found = {each.id for each in told.neighbours}
        assert found and told.id not in found
        brands = shop.catalogue.of_ids(sorted(found)).values("brand")
        assert set(brands) == {"Bosch"}


def test_a_filter_that_nothing_matches_leaves_nothing_to_find(index: ProductIndex) -> None:
    """An empty answer without a word looks like a fault."""
    assert index.search("boots", where="category = shoes") == []
    assert index.similar("b1", where="id = b1") == []
    predictions = index.predict(["boots"], where="id = u1")
    assert predictions[0].category == "" and predictions[0].neighbours == []
    assert predictions.notes[0] == "1 of 9 cards match id = u1"
    with pytest.raises(QueryError) as caught:
        index.predict(["boots"], where="category = 'Shoes > Bots'")
    assert str(caught.value) == (
        "No card matches category = 'Shoes > Bots'. Did you mean 'Shoes > Boots'?"
    )


def test_a_wrong_filter_is_refused_before_anything_is_embedded(index: ProductIndex) -> None:
    with pytest.raises(QueryError, match="no column 'brand' to filter by"):
        index.search("boots", where="brand = Bosch")
    with pytest.raises(QueryError, match="no column 'brand' to filter by"):
        index.predict(["boots"], where="brand = Bosch")
    with pytest.raises(QueryError, match="cannot be read at character 4"):
        index.similar("b1", where="id b1")


def test_a_column_is_read_once(shop: ProductIndex, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service would read all prices again for each query."""
    first = shop.matches("price < 100").mask
    monkeypatch.setattr("prodcat_index.cards.comparison.read_numbers", None)
    again = shop.matches("brand = '' or price < 100 or brand = Bosch and price < 5").mask
    assert (again >= first).all()
