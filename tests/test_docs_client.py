"""The client that the documentation shows."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest
from service import Served

CLIENT = Path(__file__).parents[1] / "docs" / "examples" / "client.py"


@pytest.fixture(scope="module")
def module() -> ModuleType:
    spec = importlib.util.spec_from_file_location("client_example", CLIENT)
    assert spec is not None and spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = made
    spec.loader.exec_module(made)
    return made


@pytest.mark.parametrize("name", ["Prediction", "Found", "Neighbour", "CategoryShare", "Level"])
def test_its_types_are_those_of_the_openapi_document(
    served: Served, module: ModuleType, name: str
) -> None:
    """Whoever copies the client would read fields that are not there."""
    schema = served.client.get("/openapi.json").json()["components"]["schemas"][name]
    copied: Any = getattr(module, name)
    assert set(copied.__annotations__) | _inherited(copied) == set(schema["properties"])
    assert copied.__required_keys__ == set(schema["required"])


def _inherited(copied: Any) -> set[str]:
    return {*copied.__required_keys__, *copied.__optional_keys__}


def test_it_asks_what_the_library_answers(served: Served, module: ModuleType) -> None:
    client = module.Client(served.url)
    titles = ["leather boots", "wall clock"]
    wanted = [each.category for each in served.index.predict(titles)]
    assert [client.predict({"title": title})["category"] for title in titles] == wanted
    assert [
        each["category"] for each in client.predict_many({"title": title} for title in titles)
    ] == wanted
    # Python takes some letters of texts as the end of a line; JSON does not.
    ids = ["a\u2028b", "c\x85d"]
    many = client.predict_many({"id": own, "title": "boots"} for own in ids)
    assert [each["id"] for each in many] == ids
    card = next(card for card in served.index.catalogue if card.image)
    found = client.search({}, image=Path(card.image), k=1)
    assert found["neighbours"][0]["similarity"] > 0.999
    beside = client.search({"id": card.id}, k=2, weights="title=1")["neighbours"]
    assert [n["id"] for n in beside] == [
        n.id for n in served.index.similar(card.id, 2, weights={"title": 1.0})
    ]


def test_an_error_has_the_words_of_the_service(served: Served, module: ModuleType) -> None:
    with pytest.raises(httpx.HTTPStatusError) as failed:
        module.Client(served.url).search({"id": "nobody"})
    assert "There is no card 'nobody'" in failed.value.response.json()["detail"]


def test_it_waits_where_the_service_is_busy(module: ModuleType) -> None:
    """Each of a night's listings that came while the queue was full would be lost."""
    client, calls = module.Client("http://service"), list[int]()

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(1)
        if len(calls) == 1:
            return httpx.Response(429, headers={"retry-after": "0"}, request=request)
        return httpx.Response(200, json={"category": "Boots"}, request=request)

    client.http = httpx.Client(base_url="http://service/", transport=httpx.MockTransport(answer))
    assert client.predict({"title": "boots"}) == {"category": "Boots"}
    assert len(calls) == 2
