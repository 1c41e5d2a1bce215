"""``POST /predict``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from service import Served

from prodcat_index.cards.card import Card
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.service import schemas


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
