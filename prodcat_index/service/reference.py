"""``/docs``: the reference of the API, a page without scripts that is written from its document."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, PackageLoader
from markupsafe import Markup, escape

from prodcat_index.service.problem_details import MEDIA_TYPE

router = APIRouter(include_in_schema=False)


@router.get("/docs")
async def docs(request: Request) -> HTMLResponse:
    """Show what the API answers."""
    return HTMLResponse(_template().render(**describe(request.app.openapi())))


@cache
def _template() -> Any:
    loader = PackageLoader("prodcat_index.service", "templates")
    made = Environment(loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True)
    made.filters["code"] = _mark_code
    return made.get_template("reference.html")


def _mark_code(text: str) -> Markup:
    return Markup(re.sub("`([^`]+)`", r"<code>\1</code>", str(escape(text))))


def describe(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page shows of an OpenAPI document."""
    schemas = document.get("components", {}).get("schemas", {})
    groups: dict[str, list[dict[str, Any]]] = {}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            tag = next(iter(operation.get("tags", ())), "service")
            groups.setdefault(tag, []).append(_route(path, method, operation))
    return {
        "info": document["info"],
        "groups": groups,
        "schemas": {name: list(_fields(schema)) for name, schema in sorted(schemas.items())},
    }


def _route(path: str, method: str, operation: Mapping[str, Any]) -> dict[str, Any]:
    bodies = operation.get("requestBody", {}).get("content", {})
    return {
        "path": path,
        "method": method.upper(),
        "text": operation.get("description", operation.get("summary", "")),
        "parameters": [
            {
                "name": parameter["name"],
                "where": parameter["in"],
                **_value(parameter["schema"], is_required=parameter.get("required", False)),
                "text": parameter.get("description", parameter["schema"].get("description", "")),
            }
            for parameter in operation.get("parameters", ())
        ],
        "bodies": {kind: type_of(content.get("schema", {})) for kind, content in bodies.items()},
        "answers": {
            status: type_of(content.get("schema", {}))
            for status, answer in operation["responses"].items()
            for kind, content in answer.get("content", {}).items()
            if kind != MEDIA_TYPE
        },
    }


def _fields(schema: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for name, field in schema.get("properties", {}).items():
        value = _value(field, is_required=name in schema.get("required", ()))
        yield {"name": name, **value, "text": field.get("description", "")}


def _value(schema: Mapping[str, Any], *, is_required: bool) -> dict[str, Any]:
    default = schema.get("default")
    return {
        "type": type_of(schema),
        "required": is_required,
        "default": "" if default is None else json.dumps(default).strip('"'),
    }


def type_of(schema: Mapping[str, Any]) -> str:
    """Return the type of a value in words, such as ``list of Neighbour``."""
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if several := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(type_of(each) for each in several if each.get("type") != "null")
    if "enum" in schema:
        return " or ".join(map(str, schema["enum"]))
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {type_of(schema.get('items', {}))}"
    return str(kind)
