"""Bodies of requests as listings."""

from __future__ import annotations

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from service import Served, serving

from prodcat_index.service.settings import Limits, ServeSettings

LINES = {"content-type": "application/x-ndjson"}


@pytest.fixture(scope="module")
def strict(shop_index: Path) -> Iterator[Served]:
    """A server with narrow limits."""
    limits = Limits(picture=20_000, pixels=10_000, batch=3, text=100)
    with serving(ServeSettings(shop_index, limits=limits)) as running:
        yield running


def png(width: int, height: int) -> bytes:
    file = BytesIO()
    Image.new("RGB", (width, height), "red").save(file, "PNG")
    return file.getvalue()


def refused(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/problem+json")
    detail: str = response.json()["detail"]
    assert "/tmp" not in detail
    return detail


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"tilte": "boots"}, 422, "Did you mean 'title'?"),
        ({"title": "boots", "image": "/etc/passwd"}, 422, "neither paths nor addresses are read"),
        ({"title": "x" * 101}, 413, "101 characters; 100 are taken"),
        ({"title": ["a"]}, 422, "title"),
        ([1], 422, "object"),
        ({}, 422, "This index embeds image, title, description, and the query has none of these"),
    ],
)
def test_a_body_is_refused_in_words(strict: Served, body: Any, status: int, words: str) -> None:
    assert words in refused(strict.client.post("/predict", json=body), status)


def test_lines_are_counted_and_a_bad_one_is_named(strict: Served) -> None:
    good = json.dumps({"title": "boots"})
    many = strict.client.post("/predict", content="\n".join([good] * 4), headers=LINES)
    assert "3 listings; this one holds 4" in refused(many, 413)
    bad = strict.client.post("/predict", content=f"{good}\n\n{{]", headers=LINES)
    assert "line 3" in refused(bad, 422)
    empty = strict.client.post(
        "/predict", content=f'{good}\n{good}\n{{"id": "new"}}', headers=LINES
    )
    assert refused(empty, 422) == "On line 3, the listing has no text to compare."
    assert (
        strict.client.post("/predict", content=f"{good}\n\n{good}\n", headers=LINES).text.count(
            "\n"
        )
        == 2
    )


def test_only_pictures_are_taken_as_pictures(strict: Served) -> None:
    """A zip or a bomb under the name of a picture would reach the decoder."""

    def send(content: bytes, kind: str = "image/png", name: str = "image") -> httpx.Response:
        return strict.client.post("/search", files={name: ("../../a.png", content, kind)})

    assert send(png(50, 50)).status_code == 200
    assert "not a picture" in refused(send(b"PK\x03\x04 zip"), 422)
    assert "not sent as a picture" in refused(send(png(5, 5), "text/html"), 415)
    assert "in the field image" in refused(send(png(5, 5), name="photo"), 422)
    assert "10,000 pixels" in refused(send(png(200, 100)), 413)
    assert "20,000 bytes" in refused(send(b"\x89PNG" + bytes(20_000)), 413)
    assert "cannot be used" in refused(send(png(60, 60)[:-40]), 422)


def test_a_form_may_hold_the_listing_as_json(strict: Served) -> None:
    form = {"listing": json.dumps({"id": 7, "title": "leather boots"})}
    answer = strict.client.post(
        "/predict", data=form, files={"image": ("a", png(9, 9), "image/png")}
    )
    assert answer.json()["id"] == "7"
    bad = strict.client.post("/predict", files={"listing": (None, "[")})
    assert "listing" in refused(bad, 422)


def test_numbers_and_further_columns_are_taken_as_they_are(strict: Served) -> None:
    """A shop sends the rows that it has."""
    row = {"id": 7, "title": "boots", "price": 9.5, "brand": None, "category": "Footwear"}
    answer = strict.client.post("/predict", json=row).json()
    plain = strict.client.post("/predict", json={"id": "7", "title": "boots"}).json()
    assert answer == plain


def test_a_content_type_must_be_one_of_them(strict: Served) -> None:
    refused(strict.client.post("/search", content="{}", headers=LINES), 415)
    refused(strict.client.post("/predict"), 415)
