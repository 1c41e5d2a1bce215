"""``/docs``: what the API answers, without a script and without anything from elsewhere."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal

from fastapi import FastAPI, Query
from fastapi.testclient import TestClient
from pydantic import BaseModel

from prodcat_index.service import reference
from prodcat_index.service.reference import type_of

PAGE = Path(reference.__file__).parent / "page"


class Lamp(BaseModel):
    name: str
    watts: float | None = None
    parts: list[Lamp] = []


def made() -> FastAPI:
    app = FastAPI(docs_url=None, version="7.1", separate_input_output_schemas=False)
    app.include_router(reference.router)

    @app.get("/lamps/{id}", tags=["light"])
    async def lamp(
        id: str,
        size: Annotated[int, Query(description="Of the `<bulb>`")] = 3,
        by: Literal["name", "watts"] = "name",
    ) -> Lamp:
        """Return a lamp."""
        raise NotImplementedError

    @app.post("/lamps")
    async def make(lamp: Lamp) -> list[Lamp]:
        """Make a lamp."""
        raise NotImplementedError

    return app


def test_the_page_names_routes_parameters_and_types() -> None:
    """Users would have to read a document of some thousand lines."""
    text = TestClient(made()).get("/docs").text
    plain = " ".join(re.sub(r"<[^>]+>", " ", text).split())
    assert "API of prodcat 7.1" in plain
    assert "Light GET /lamps/{id} Return a lamp." in plain
    assert "id string, in the path required" in plain
    assert "Of the <code>&lt;bulb&gt;</code>" in text
    assert "by name or watts name" in plain
    assert (
        "POST /lamps Make a lamp. Body, application/json : Lamp Answer 200: list of Lamp" in plain
    )
    assert "watts number" in plain
    assert "parts list of Lamp []" in plain


def test_the_page_needs_nothing_that_the_policy_forbids() -> None:
    """A browser would show a page without style, or a service would fetch from a stranger."""
    text = TestClient(made()).get("/docs").text
    assert "<script" not in text
    assert "style=" not in text
    linked = re.findall(r'(?:href|src)="([^"]+)"', text)
    files = {"icon.svg", "style.css", "reference.css"}
    assert files < {*linked} == files | {"openapi.json", "./"}
    assert all((PAGE / name).is_file() for name in files)


def test_a_type_is_told_in_words() -> None:
    assert type_of({"anyOf": [{"type": "string"}, {"type": "null"}]}) == "string"
    assert type_of({"type": "array", "items": {"$ref": "#/components/schemas/Lamp"}}) == (
        "list of Lamp"
    )
    assert type_of({}) == "any"
