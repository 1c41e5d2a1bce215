"""Errors of the service: a sentence for people, fields for programs, nothing of the inside."""

from __future__ import annotations

from typing import Annotated

import pytest
from fastapi import Body, FastAPI
from fastapi.testclient import TestClient
from pydantic import BaseModel

from prodcat_index.errors import CatalogueError, EncoderError, IndexFolderError, QueryError
from prodcat_index.service.problem_details import LONGEST, Problem, handle_problems

RAISED = {
    "own": Problem(409, "There is one already.", Retry_After="7"),
    "query": QueryError("There is no card 'x' in this index."),
    "half": QueryError("There is no card '\ud800' in this index."),
    "cards": CatalogueError("The ids repeat."),
    "folder": IndexFolderError("/srv/shop/index is damaged."),
    "encoder": EncoderError("/srv/models/e5 cannot be loaded."),
    "long": QueryError("x" * 5000),
}


class Lamp(BaseModel):
    name: str
    watts: int = 0


@pytest.fixture(scope="module")
def client() -> TestClient:
    app = FastAPI()
    handle_problems(app)

    @app.get("/raise/{name}")
    async def raised(name: str) -> None:
        if name == "text":
            "\ud800".encode()
        raise RAISED[name]

    @app.post("/lamps")
    async def lamp(lamp: Annotated[Lamp, Body()], k: int = 1) -> Lamp:
        return lamp

    return TestClient(app)


@pytest.mark.parametrize(
    ("name", "status", "detail"),
    [
        ("own", 409, "There is one already."),
        ("query", 422, "There is no card 'x' in this index."),
        ("half", 422, "There is no card '\ud800' in this index."),
        ("text", 422, "A text of the request has half a surrogate pair, and is no text."),
        ("cards", 422, "The ids repeat."),
        ("folder", 503, "The index cannot be used now; the service's log tells why."),
        ("encoder", 503, "The index cannot be used now; the service's log tells why."),
    ],
)
def test_an_error_is_told_in_words(client: TestClient, name: str, status: int, detail: str) -> None:
    answer = client.get(f"/raise/{name}")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem == {
        "type": "about:blank",
        "title": problem["title"],
        "status": status,
        "detail": detail,
        "request_id": "",
    }


def test_a_client_is_told_when_to_ask_again(client: TestClient) -> None:
    assert client.get("/raise/own").headers["retry-after"] == "7"
    assert client.get("/raise/folder").headers["retry-after"] == "5"


def test_a_detail_is_not_longer_than_one_reads(client: TestClient) -> None:
    """An answer would repeat a request of some megabytes."""
    assert len(client.get("/raise/long").json()["detail"]) == LONGEST + 1


def test_what_there_is_not_is_told_with_where_to_look(client: TestClient) -> None:
    detail = client.get("/lamp").json()["detail"]
    assert detail == "There is nothing at /lamp; /docs lists what there is."
    detail = client.delete("/lamps").json()["detail"]
    assert detail == "/lamps does not answer DELETE; /docs lists what it does."


@pytest.mark.parametrize(
    ("path", "body", "said"),
    [
        ("/lamps", "{", "The body is no JSON: Expecting property name"),
        ("/lamps", "", "body: field required."),
        ("/lamps", '{"name": 3}', "name: input should be a valid string."),
        ("/lamps?k=x", '{"name": "a"}', "k: input should be a valid integer"),
        ("/lamps", "[" * 100_000, "There was an error parsing the body"),
        ("/lamps", '{"name": "a", "watts": ' + "9" * 5000 + "}", "parsing the body"),
        ("/lamps", '{"name": "a", "watts": 1e999}', "watts: input should be a finite number"),
        ("/lamps", '{"name": "a", "watts": NaN}', "watts: input should be a finite number"),
    ],
)
def test_a_body_that_cannot_be_taken_is_no_failure_of_ours(
    client: TestClient, path: str, body: str, said: str
) -> None:
    """A stranger could fill the log with tracebacks, or stop the service."""
    answer = client.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    assert said in answer.json()["detail"]
