"""``POST /predict``."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from service import Served

from prodcat_index.cards.card import Card
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.service import schemas
from prodcat_index.service.look_up_routes import category_levels


def expected(index: ProductIndex, card: Card, **options: Any) -> dict[str, Any]:
    """Return what the library says, in the shape of the API."""
    predictions = index.predict([card], **options)
    record = predictions[0].as_dict()
    neighbours = [each.as_dict() for each in predictions[0].neighbours]
    return record | {"neighbours": neighbours, "notes": list(predictions.notes)}


def without_pictures(record: dict[str, Any]) -> dict[str, Any]:
    return record | {"neighbours": [{**each, "image": ""} for each in record["neighbours"]]}


def own(answer: dict[str, Any]) -> dict[str, Any]:
    """Return what an answer has of the library's."""
    return without_pictures({k: v for k, v in answer.items() if k not in SHOWN})


SHOWN = ("ranked", "tree", "version")


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"k": 3, "temperature": 0.5},
        {"explain": True},
        {"precision": 0.9},
        {"coverage": 0.3},
        {"where": "price < 3000"},
        {"weights": {"title": 0.6, "image": 0.4}},
    ],
)
def test_an_answer_is_that_of_the_library(served: Served, options: dict[str, Any]) -> None:
    """A shop would get other categories over HTTP than from the command."""
    listing = {"id": "new", "title": "leather boots", "description": "warm"}
    params = dict(options)
    if "weights" in params:
        params["weights"] = "title=0.6,image=0.4"
    answer = served.client.post("/predict", params=params, json=listing).json()
    schemas.Prediction.model_validate(answer, strict=True)
    assert own(answer) == without_pictures(expected(served.index, Card(**listing), **options))


def test_probabilities_are_those_of_the_calibration(served: Served) -> None:
    """A bar of the page would show a share where the number beside it is a probability."""
    answer = served.client.post("/predict", json={"title": "leather boots"}).json()
    prediction = served.index.predict("leather boots")[0]
    pairs = zip(prediction.ranked, prediction.probabilities, strict=True)
    assert (
        answer["ranked"]
        == [
            {"category": name, "share": round(share, 4), "probability": round(probability, 4)}
            for (name, share), probability in pairs
        ][:20]
    )
    assert answer["ranked"][0]["probability"] == answer["confidence"]
    other = served.client.post("/predict?k=3", json={"title": "leather boots"}).json()
    assert "probability" not in other["ranked"][0]


def test_the_levels_add_up_what_is_below_and_beside() -> None:
    """Worked by hand: a person backs off to Shoes, or takes Sandals beside Boots."""
    ranked = [
        {"category": "Shoes > Boots", "share": 0.5, "probability": 0.6},
        {"category": "Kitchen", "share": 0.25, "probability": 0.1},
        {"category": "Shoes > Sandals > Flat", "share": 0.15, "probability": 0.2},
        {"category": "Shoes", "share": 0.1, "probability": 0.05},
    ]
    sandals = {"category": "Shoes > Sandals", "share": 0.15, "probability": 0.2}
    kitchen = {"category": "Kitchen", "share": 0.25, "probability": 0.1}
    shoes, boots = category_levels("Shoes > Boots", ranked)
    assert shoes["siblings"] == [kitchen] and boots["siblings"] == [sandals]
    assert (shoes["category"], boots["category"]) == ("Shoes", "Shoes > Boots")
    assert shoes["share"] == pytest.approx(0.75) and shoes["probability"] == pytest.approx(0.85)
    assert (boots["share"], boots["probability"]) == (0.5, 0.6)
    assert category_levels("", []) == []


def test_a_card_of_the_index_is_answered_as_a_new_one(served: Served) -> None:
    """From a neighbour one goes on to what the index says of it, not to its own label."""
    card = served.index.catalogue.card(3)
    answer = served.client.post("/predict", json={"id": card.id}).json()
    assert own(answer) == without_pictures(expected(served.index, card))
    assert card.id not in [each["id"] for each in answer["neighbours"]]
    changed = served.client.post("/predict", json={"id": card.id, "title": "steel kettle"}).json()
    mixed = replace(card, title="steel kettle")
    assert own(changed) == without_pictures(expected(served.index, mixed))


@pytest.mark.parametrize("count", [1, 40])
def test_clients_at_once_are_answered_as_one_after_the_other(served: Served, count: int) -> None:
    """What the library says must not depend on who else asks."""
    titles = [f"{title} {n}" for n in range(count) for title in ("boots", "чайник", "clock")]
    with ThreadPoolExecutor(16) as pool:
        found = list(
            pool.map(lambda t: served.client.post("/predict", json={"title": t}).json(), titles)
        )
    for title, answer in list(zip(titles, found, strict=True))[:12]:
        assert own(answer) == without_pictures(expected(served.index, Card(title=title)))
    assert len(found) == len(titles)


def test_lines_are_answered_each_as_alone(served: Served) -> None:
    titles = ["leather boots", "чайник электрический", "wall clock"]
    body = "\n".join(json.dumps({"title": title}) for title in titles)
    headers = {"content-type": "application/x-ndjson"}
    answer = served.client.post("/predict", content=body, headers=headers)
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    found = [json.loads(line) for line in answer.text.splitlines()]
    alone = [served.client.post("/predict", json={"title": title}).json() for title in titles]
    assert found == alone


def test_a_picture_is_compared(served: Served) -> None:
    catalogue = served.index.catalogue
    path = Path(catalogue.card(5).image)
    files = {"image": (path.name, path.read_bytes(), "image/jpeg")}
    params = {"weights": "image=1"}
    answer = served.client.post("/predict", params=params, files=files, data={"id": "x"}).json()
    same = expected(served.index, Card(id="x", image=str(path)), weights={"image": 1.0})
    assert own(answer) == without_pictures(same)
    assert answer["neighbours"][0]["similarity"] > 0.999
