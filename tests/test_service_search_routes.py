"""``POST /search``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from service import Served

from prodcat_index.cards.card import Card
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.service import schemas
from prodcat_index.voting.prediction import Neighbour


def ask(served: Served, body: dict[str, Any], **params: Any) -> dict[str, Any]:
    response = served.client.post("/search", params=params, json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    schemas.Found.model_validate(answer, strict=True)
    return answer


def of_library(found: list[Neighbour]) -> list[dict[str, Any]]:
    """Return neighbours as the API shows them."""
    return [
        record | {"image": f"cards/{record['id']}/image" if record["image"] else ""}
        for record in (neighbour.as_dict() for neighbour in found)
    ]


def some_id(index: ProductIndex) -> str:
    return next(card.id for card in index.catalogue if card.image and card.description)


def test_a_text_finds_what_the_library_finds(served: Served) -> None:
    body = {"title": "leather boots", "description": "warm lining"}
    answer = ask(served, body, k=5, where="price < 3000")
    query = Card(**body)
    assert answer["neighbours"] == of_library(served.index.search(query, 5, where="price < 3000"))
    assert answer["notes"] == list(served.index.matches("price < 3000").notes)


def test_the_weights_are_those_that_counted(served: Served) -> None:
    """The page would show a slider that does nothing as one that decides."""
    assert set(ask(served, {"title": "boots"})["weights"]) == {"title"}
    answer = ask(served, {"title": "boots", "description": "warm"}, weights="title=3,description=1")
    assert answer["weights"] == {"title": 0.75, "description": 0.25}
    parts = served.index.parts
    by_id = ask(served, {"id": some_id(served.index)}, by="vote")
    assert by_id["weights"] == {n: round(w, 4) for n, w in parts.weights.items() if w}


def test_an_id_finds_the_cards_beside_it(served: Served) -> None:
    own = some_id(served.index)
    weights = {"image": 0.5, "title": 0.5}
    answer = ask(served, {"id": own}, weights="image=0.5,title=0.5", k=4)
    assert answer["neighbours"] == of_library(served.index.similar(own, 4, weights=weights))
    votes = ask(served, {"id": own}, by="vote")["neighbours"]
    parts = served.index.parts
    assert votes == of_library(served.index.similar(own, weights=parts.weights))


def test_a_card_is_searched_for_with_another_title(served: Served) -> None:
    index = served.index
    own = some_id(index)
    mixed = replace(index.card(own), title="electric kettle")
    answer = ask(served, {"id": own, "title": "electric kettle"})
    assert answer["neighbours"] == of_library(index.search(mixed))


def test_a_picture_finds_itself(served: Served) -> None:
    card = served.index.card(some_id(served.index))
    sent = {"image": ("p.png", Path(card.image).read_bytes(), "image/png")}
    answer = served.client.post("/search", files=sent).json()
    assert answer["neighbours"] == of_library(served.index.search(Card(image=card.image)))
    assert answer["weights"] == {"image": 1.0}


def test_an_unknown_id_without_anything_else_is_an_error(served: Served) -> None:
    response = served.client.post("/search", json={"id": "nobody"})
    assert response.status_code == 422
    assert "There is no card 'nobody'" in response.json()["detail"]


@pytest.mark.parametrize(
    ("params", "detail"),
    [
        ({"weights": "titel=1"}, "Did you mean 'title'?"),
        ({"weights": "title"}, "is not NAME=NUMBER"),
        ({"where": "brnd = x"}, "There is no column 'brnd'"),
        ({"k": 0}, "k"),
        ({"limit": 5}, "limit"),
    ],
)
def test_parameters_are_refused_in_words(
    served: Served, params: dict[str, Any], detail: str
) -> None:
    response = served.client.post("/search", params=params, json={"title": "boots"})
    assert response.status_code == 422
    assert detail in response.json()["detail"]


def test_moving_a_slider_embeds_nothing_again(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step of the slider would take as long as the network takes for the picture."""
    card = served.index.card(some_id(served.index))
    body = {"title": "a title that nobody asked for yet"}
    sent = {"image": ("p.png", Path(card.image).read_bytes(), "image/png")}
    first = served.client.post("/search?weights=image=1", data=body, files=sent)
    assert first.status_code == 200
    monkeypatch.setattr(type(served.index.parts), "encode", None)
    again = served.client.post("/search?weights=image=0.2,title=0.8", data=body, files=sent)
    assert again.status_code == 200
    assert again.json()["neighbours"] != first.json()["neighbours"]
    assert served.client.post("/predict", data=body, files=sent).status_code == 200
