"""Listings that are embedded once and asked about many times, alone and together."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodcat_index.cards.card import Card
from prodcat_index.errors import QueryError
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.voting.prediction import Predictions

TITLES = ("red leather boots", "steel kettle", "чайник", "zzz unknown qqq", "lamp", "")
DESCRIPTIONS = ("", "warm light", "boils water")
cards = st.builds(
    Card,
    title=st.sampled_from(TITLES),
    description=st.sampled_from(DESCRIPTIONS),
    id=st.sampled_from(("", "new", "b1", "k2")),
).filter(lambda card: card.title or card.description)
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"explain": True},
    {"k": 2, "weights": {"title": 0.3, "description": 0.7}},
    {"where": "category under Shoes or category under Kitchen"},
)


def told(predictions: Predictions) -> Any:
    found = [(each, each.as_dict(), each.neighbours) for each in predictions]
    return found, predictions.notes, predictions.to_records(), predictions.to_rows()


@given(batch=st.lists(st.lists(cards, min_size=1, max_size=3), min_size=1, max_size=5))
@settings(deadline=None, max_examples=15)
@pytest.mark.parametrize("options", OPTIONS, ids=str)
def test_a_delivery_is_answered_the_same_alone_and_beside_others(
    index: ProductIndex, options: dict[str, Any], batch: list[list[Card]]
) -> None:
    """What a client is told would depend on who else asks at that moment."""
    alone = [told(index.predict(delivery, **options)) for delivery in batch]
    assert [told(each) for each in index.predict_each(batch, **options)] == alone
    encoded = [index.encode(delivery) for delivery in batch]
    assert [told(each) for each in index.predict_each(encoded, **options)] == alone


@given(batch=st.lists(cards, min_size=1, max_size=5))
@settings(deadline=None, max_examples=25)
def test_listings_embedded_together_are_as_those_embedded_alone(
    index: ProductIndex, batch: list[Card]
) -> None:
    parts = index.encode(batch).split()
    assert [told(index.predict(each)) for each in parts] == [
        told(index.predict(card)) for card in batch
    ]


@given(batch=st.lists(st.sampled_from(TITLES[:3]), min_size=1, max_size=4), k=st.integers(1, 12))
@settings(deadline=None, max_examples=20)
def test_a_search_finds_the_same_alone_and_beside_others(
    index: ProductIndex, batch: list[str], k: int
) -> None:
    alone = [index.search(title, k) for title in batch]
    assert index.search_each(batch, k) == alone
    assert index.search_each(index.encode(batch).split(), k) == alone


def test_what_cannot_be_compared_is_an_error_beside_others_too(index: ProductIndex) -> None:
    """A listing with nothing in it would be answered by silence."""
    together = index.encode([Card(title="boots"), Card(id="blank")]).split()
    with pytest.raises(QueryError, match="the query has none of these"):
        index.predict_each(together)
    with pytest.raises(QueryError, match="the query has none of these"):
        index.search_each(together)
    with pytest.raises(QueryError, match="A query is one listing; these are 2"):
        index.search(index.encode(["boots", "lamp"]))


def test_other_weights_need_no_embedding(
    index: ProductIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A slider would embed the picture again at every step."""
    encoded = index.encode("red leather boots")
    wanted = index.predict("red leather boots", weights={"title": 1.0})
    found = index.search("red leather boots", weights={"description": 0.1, "title": 1.0})
    monkeypatch.setattr(type(index.parts), "encode", None)
    assert told(index.predict(encoded, weights={"title": 1.0})) == told(wanted)
    assert index.search(encoded, weights={"description": 0.1, "title": 1.0}) == found
