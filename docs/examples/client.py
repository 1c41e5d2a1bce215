"""A typed client of ``prodcat serve``, to copy: predict, search and read cards over HTTP.

It needs httpx alone. The types are those of the service's OpenAPI document, ``/openapi.json``.

    prodcat serve indexes/shop
    python client.py http://127.0.0.1:8000 "leather boots"
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypedDict, cast

import httpx


class _CategoryShare(TypedDict):
    category: str
    share: float


class CategoryShare(_CategoryShare, total=False):
    """A category, its share of the vote, and its probability where the vote is calibrated."""

    probability: float


class Level(CategoryShare):
    """The answer or a prefix of it, and what stands beside it."""

    siblings: list[CategoryShare]


class _Neighbour(TypedDict):
    id: str
    title: str
    category: str
    image: str
    similarity: float
    by_modality: dict[str, float]


class Neighbour(_Neighbour, total=False):
    """A card near a listing; ``image`` is the address of its picture, relative to the service."""

    contributions: dict[str, float]
    vote_share: float


class _Prediction(TypedDict):
    id: str
    category: str
    category_id: str
    confidence: float
    share: float
    alternatives: list[CategoryShare]
    ranked: list[CategoryShare]
    tree: list[Level]
    neighbours: list[Neighbour]
    notes: list[str]
    version: int


class Prediction(_Prediction, total=False):
    """The answer for one listing; what follows comes with ``explain``, ``precision`` and so on."""

    decision: str
    backed_off: str
    category_set: list[str]
    note: str
    evidence: dict[str, float]
    decided_by: str
    without: dict[str, CategoryShare]
    head: float
    share_without_head: float
    words: list[dict[str, Any]]


class Found(TypedDict):
    """The nearest cards, and the weights that counted."""

    neighbours: list[Neighbour]
    weights: dict[str, float]
    notes: list[str]
    version: int


class Client:
    """Asks a service; waits and asks again where it says that it is busy.

    Errors are ``httpx.HTTPStatusError``; ``error.response.json()["detail"]`` is the sentence.
    """

    def __init__(self, url: str, token: str = "", patience: float = 60.0) -> None:
        headers = {"authorization": f"Bearer {token}"} if token else {}
        self.http = httpx.Client(base_url=f"{url.rstrip('/')}/", headers=headers, timeout=60.0)
        self.patience = patience

    def predict(
        self, listing: Mapping[str, Any], image: Path | None = None, **parameters: Any
    ) -> Prediction:
        """Return the category of one listing; the parameters are those of the library."""
        return cast("Prediction", self._ask("predict", listing, image, parameters).json())

    def predict_many(
        self, listings: Iterable[Mapping[str, Any]], **parameters: Any
    ) -> Iterator[Prediction]:
        """Yield the categories of listings without pictures, up to the service's limit."""
        lines = "\n".join(json.dumps(listing) for listing in listings)
        headers = {"content-type": "application/x-ndjson"}
        answer = self._send("predict", params=parameters, content=lines, headers=headers)
        for line in answer.content.splitlines():  # a text would also end at U+2028, as in titles
            yield cast("Prediction", json.loads(line))

    def search(
        self, listing: Mapping[str, Any], image: Path | None = None, **parameters: Any
    ) -> Found:
        """Return the cards nearest to a listing, or to a card of the index: ``{"id": "P1"}``."""
        return cast("Found", self._ask("search", listing, image, parameters).json())

    def _ask(
        self, path: str, listing: Mapping[str, Any], image: Path | None, parameters: Any
    ) -> httpx.Response:
        if image is None:
            return self._send(path, params=parameters, json=dict(listing))
        file = {"image": (image.name, image.read_bytes(), "image/jpeg")}
        form = {"listing": json.dumps(dict(listing))}
        return self._send(path, params=parameters, data=form, files=file)

    def _send(self, path: str, **request: Any) -> httpx.Response:
        deadline = time.monotonic() + self.patience
        while True:
            answer = self.http.post(path, **request)
            wait = float(answer.headers.get("retry-after", "1"))
            if answer.status_code not in (429, 503) or time.monotonic() + wait > deadline:
                return answer.raise_for_status()
            time.sleep(wait)


if __name__ == "__main__":
    for title in sys.argv[2:]:
        answer = Client(sys.argv[1]).predict({"title": title})
        print(f"{title}: {answer['category']} ({answer['confidence']:.2f})")
