"""Errors as problem details (RFC 9457): what was wrong, in a sentence, and the request's id."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from prodcat_index.errors import EncoderError, IndexFolderError, ProdcatError, StoreError
from prodcat_index.service.review_records import TakenError, UnknownError

MEDIA_TYPE = "application/problem+json"
LONGEST = 1000  # characters of a detail, which may hold words of the request
# Of errors of the library; all others that say what was wrong are 422.
STATUS = {TakenError: 409, UnknownError: 404}


class ProblemDetails(BaseModel):
    """An error: its status, and what was wrong."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    request_id: str = ""


class Problem(HTTPException):
    """An answer that is an error, in a sentence."""

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        super().__init__(status, detail, named)


# Of every route, in its description.
RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {
        "description": what,
        "content": {MEDIA_TYPE: {"schema": ProblemDetails.model_json_schema()}},
    }
    for status, what in (("4XX", "The request is not answered"), ("5XX", "It cannot be answered"))
}


def problem_response(
    status: int, detail: str, request_id: str = "", headers: Mapping[str, str] | None = None
) -> Response:
    """Return the answer for an error."""
    detail = detail if len(detail) <= LONGEST else f"{detail[:LONGEST]}\u2026"
    problem = ProblemDetails(
        title=HTTPStatus(status).phrase, status=status, detail=detail, request_id=request_id
    )
    # Half a surrogate pair, which a request may hold, is escaped as in any JSON.
    body = json.dumps(problem.model_dump(), ensure_ascii=False).encode("utf-8", "backslashreplace")
    return Response(body, status, headers, MEDIA_TYPE)


def handle_problems(app: FastAPI) -> None:
    """Let an application answer errors as problem details."""
    app.add_exception_handler(HTTPException, _answer_http)
    app.add_exception_handler(RequestValidationError, _answer_invalid)
    app.add_exception_handler(ProdcatError, _answer_own)
    app.add_exception_handler(UnicodeEncodeError, _answer_half)
    journal = _unusable("The review journal cannot be read or written now", 10)
    app.add_exception_handler(sqlite3.Error, journal)
    # They name files and servers of this house, which are for its log alone.
    for kind in (IndexFolderError, EncoderError, StoreError):
        app.add_exception_handler(kind, _unusable("The index cannot be used now", 5))


def _answer(request: Request, *answer: Any) -> Response:
    status, detail, *headers = answer
    return problem_response(status, detail, request.scope.get("request_id", ""), *headers)


def _answer_http(request: Request, error: Any) -> Response:
    status, detail, path = error.status_code, str(error.detail), request.url.path
    if detail == HTTPStatus(status).phrase:  # of the framework, which has no more words
        known = {
            404: f"There is nothing at {path}; /docs lists what there is.",
            405: f"{path} does not answer {request.method}; /docs lists what it does.",
        }
        detail = known.get(status, f"{detail}.")
    return _answer(request, status, detail, error.headers)


def _answer_invalid(request: Request, error: Any) -> Response:
    return _answer(request, 422, " ".join(map(_describe, error.errors())))


def _describe(error: Mapping[str, Any]) -> str:
    """Return the sentence for an error of pydantic."""
    place, *names = map(str, error["loc"])
    what, message = ".".join(names) or place, str(error["msg"]).rstrip(".")
    if error["type"] == "json_invalid":
        at = f", {what}," if names and not what.isdecimal() else ""
        why = error.get("ctx", {}).get("error") or message.removeprefix("Invalid JSON: ")
        return f"The body{at} is no JSON: {why}."
    message = message.removeprefix("Value error, ")
    return f"{what}: {message[:1].lower()}{message[1:]}."


def _answer_half(request: Request, error: Any) -> Response:
    return _answer(request, 422, "A text of the request has half a surrogate pair, and is no text.")


def _answer_own(request: Request, error: Any) -> Response:
    said, status = str(error), STATUS.get(type(error), 422)
    return _answer(request, status, said if said.endswith((".", "?")) else f"{said}.")


def _unusable(what: str, seconds: int) -> Callable[[Request, Any], Response]:
    def answer(request: Request, error: Any) -> Response:
        request.scope["error"] = error
        detail = f"{what}; the service's log tells why."
        return _answer(request, 503, detail, {"Retry-After": str(seconds)})

    return answer
