"""Requests that are made from the OpenAPI document, sent to a real server: all are answered."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from service import Served, serving

from prodcat_index.service.settings import Limits, ServeSettings

TOKEN = "0123456789abcdef"
HEADERS = {"Authorization": f"Bearer {TOKEN}"}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def writable(shop_index: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = shutil.copytree(shop_index, tmp_path_factory.mktemp("openapi") / "index")
    limits = Limits(rate="1000000/minute")
    options: dict[str, Any] = {"tokens": {TOKEN: "ann"}, "writable": True, "limits": limits}
    with serving(ServeSettings(Path(folder), **options)) as running:
        yield running


@pytest.fixture(scope="module")
def api(writable: Served) -> Any:
    return schemathesis.openapi.from_url(f"{writable.url}/openapi.json")


def test_what_the_document_allows_is_answered_as_it_says(api: Any) -> None:
    """A client that was generated from the document would fail, or bring the service down."""
    asked = 0
    for operation in [each.ok() for each in api.get_all_operations()]:

        @settings(
            max_examples=6,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def ask(case: schemathesis.Case) -> None:
            nonlocal asked
            asked += 1
            case.call_and_validate(checks=CHECKS, headers=HEADERS, timeout=30)

        ask()
    assert asked > 100


def test_every_route_is_in_the_document_with_its_answers(writable: Served) -> None:
    document = httpx.get(f"{writable.url}/openapi.json").json()
    paths = document["paths"]
    for path in ("/predict", "/search", "/cards", "/cards/{card_id}", "/categories", "/review"):
        assert path in paths
    for path, methods in paths.items():
        for method, operation in methods.items():
            content = operation["responses"]["4XX"]["content"]
            assert [*content] == ["application/problem+json"], (path, method)
            assert operation.get("description"), f"{method} {path} says nothing of itself"
