"""JSON: a line each, an array, or one object, to a table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from prodcat_index.cards.categories import path_in_tree
from prodcat_index.cards.roles import find_columns
from prodcat_index.cards.sources import DAMAGED, PART, Source, read_lines, read_parts
from prodcat_index.cards.table import Table, frame_of_rows
from prodcat_index.errors import CatalogueError, EmptyCatalogueError
from prodcat_index.findings import name_findings, name_first

# Lists of products by their names; another is taken where it is the only one.
ROWS = (
    *("products", "items", "offers", "goods", "results", "data", "listings", "hits", "edges"),
    *("rows", "records", "documents", "docs", "entries", "catalog", "catalogue"),
)
CATEGORIES = ("categories", "data.categories")
PARENT_KEYS = ("parent_id", "parentId", "parent")
CATEGORY_KEYS = ("category_id", "categoryId", "category")
FROM_LIST = "lists are read as the cards"
OTHER_LISTS = "lists are not read"
OBJECT = 'such as {"id": "1", "title": "…"}'
BAD_LINES = "lines are no JSON object (left out)"
# A text that is cut here can end in the middle of a word such as false.
WORD = 8
SPACE = re.compile(r"\s*")
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def read_json_lines(source: Source, encoding: str | None, skip_bad_rows: bool) -> Table:
    """Read one object a line; raises CatalogueError for the first other one, or leaves it out."""
    bad: list[str] = []
    damaged: list[str] = []
    lines = read_lines(source, encoding, damaged if skip_bad_rows else None)

    def objects() -> Iterator[dict[str, Any]]:
        # Lines end in \r or \n only: a JSON text may hold the odd marks that str.splitlines knows.
        for number, line in enumerate(lines, start=1):
            if not line.strip():
                continue
            try:
                where = f"{source.name}, line {number}"
                yield _unwrap(parse_object(line, where, f"each line must be one object {OBJECT}"))
            except CatalogueError:
                if not skip_bad_rows:
                    raise
                bad.append(f"line {number}")

    frame = frame_of_rows(objects())
    findings = name_findings({BAD_LINES: bad, DAMAGED: damaged})
    return Table(frame, findings=findings, format="JSON lines")


def read_json(source: Source, encoding: str | None, skip_bad_rows: bool) -> Table:
    """Read an array of objects, JSON lines, one object, or the array of objects in it."""
    lines = read_lines(source, encoding)
    first = next((line for line in lines if line.strip()), "")
    if not first:
        raise EmptyCatalogueError(f"{source.name} is empty.")
    if first.lstrip().startswith("["):
        return Table(frame_of_rows(_read_elements(source, encoding)), format="JSON array")
    second = next((line for line in lines if line.strip()), "")
    if second and _is_object(first):
        return read_json_lines(source, encoding, skip_bad_rows)
    way_out = f"give an array of objects {OBJECT}, or one object a line"
    content = parse_object("".join(chain([first, second], lines)), source.name, way_out)
    return _read_content(content, source.name)


def _read_content(content: dict[str, Any], name: str) -> Table:
    """Read the list of objects in an object; one without such a list is a card."""
    lists = dict(_find_lists(content))
    usual = [path for path in lists if path.split(".")[-1] in ROWS]
    is_card = _has_title(content)
    if not lists or (is_card and not any(_has_title(lists[path][0]) for path in usual)):
        if len(content) > 1 and all(isinstance(value, dict) for value in content.values()):
            rows = ({"id": key, **value} for key, value in content.items())
            return Table(frame_of_rows(rows), format="JSON by ids")
        return Table(frame_of_rows([content]), format="JSON object")
    chosen = usual or list(lists)
    if len(chosen) > 1:
        raise CatalogueError(
            f"{name} is an object with several lists of objects ({name_first(chosen)}): write the "
            "list of products into a file of its own."
        )
    [path] = chosen
    lists[path] = _products_within(lists[path]) if path in CATEGORIES else lists[path]
    named = _category_names(lists)
    objects = [_check_object(row, number, name) for number, row in enumerate(lists[path], start=1)]
    for row in map(_unwrap, objects) if named else ():
        key = next((str(row[part]) for part in CATEGORY_KEYS if row.get(part) is not None), "")
        if named.get(key) and str(row.get("category") or key) == key:
            row["category"] = named[key]
    ignored = [other for other in lists if other != path and not (named and other in CATEGORIES)]
    findings = name_findings({FROM_LIST: [path], OTHER_LISTS: ignored})
    return Table(frame_of_rows(map(_unwrap, objects)), findings=findings, format="JSON")


def _find_lists(value: Any, path: str = "", depth: int = 3) -> Iterator[tuple[str, list[Any]]]:
    """Yield the lists of objects in an object, with the names that lead to them."""
    for name, inner in value.items():
        at = f"{path}.{name}" if path else str(name)
        if isinstance(inner, dict) and len(inner) > 1 and all(map(_has_title, inner.values())):
            yield at, [{"id": key, **row} for key, row in inner.items()]
        elif isinstance(inner, dict) and depth:
            yield from _find_lists(inner, at, depth - 1)
        elif isinstance(inner, list) and any(isinstance(item, dict) for item in inner):
            yield at, inner


def _has_title(row: Any) -> bool:
    return isinstance(row, dict) and bool(find_columns(list(_unwrap(row)), {})["title"])


def _unwrap(row: dict[str, Any]) -> dict[str, Any]:
    """Return what a search engine (``_source``) or a query (``node``) wraps into an object."""
    if isinstance(row.get("_source"), dict):
        return {"id": row.get("_id"), **row["_source"]}
    is_node = len(row) <= 2 and isinstance(row.get("node"), dict)
    return row["node"] if is_node else row


def _products_within(categories: list[Any]) -> list[Any]:
    """Return the products that categories list, with the name of theirs; or the categories."""
    products = [
        {"category": category.get("name") or category.get("title"), **product}
        for category in categories
        if isinstance(category, dict)
        for part in ROWS
        if isinstance(category.get(part), list)
        for product in category[part]
        if _has_title(product)
    ]
    return products or categories


def _category_names(lists: dict[str, list[Any]]) -> dict[str, list[str]]:
    """Return the paths of the categories that are listed beside the products, by their keys."""
    listed = next((lists[path] for path in lists if path in CATEGORIES), [])
    tree = {
        str(c["id"]): (str(c["name"]), str(next((c[p] for p in PARENT_KEYS if p in c), "")))
        for c in listed
        if isinstance(c, dict) and "id" in c and "name" in c
    }
    return {key: path_in_tree(key, tree) for key in tree}


def parse_object(text: str, where: str, way_out: str) -> dict[str, Any]:
    """Parse one JSON object; raises CatalogueError with the place and the way out."""
    try:
        value = _whole(json.loads(text), text)
    except (ValueError, RecursionError) as error:
        raise CatalogueError(f"{where} is not JSON ({_cause(error)}): {way_out}.") from None
    if not isinstance(value, dict):
        raise CatalogueError(f"{where} is JSON, but no object: {way_out}.")
    return value


def _read_elements(source: Source, encoding: str | None) -> Iterator[dict[str, Any]]:
    """Yield the objects of an array, of which only a part at a time is in memory."""
    decoder, parts, name = json.JSONDecoder(), read_parts(source, encoding), source.name
    text = next(parts).lstrip()
    at, number, is_next = 1, 0, True
    while True:
        at = SPACE.match(text, at).end()  # type: ignore[union-attr]
        if at == len(text):
            text, at = next(parts, ""), 0
            if not text:
                raise _broken(name, number + 1, "the file ends before its array does")
        elif text[at] == "]":
            if "".join([text[at + 1 :], *parts]).strip():
                raise _broken(name, number + 1, "there is more after the end of the array")
            return
        elif text[at] == "," and not is_next:
            at, is_next = at + 1, True
        elif not is_next:
            raise _broken(name, number + 1, "there is no comma before it")
        else:
            try:
                value, end = decoder.raw_decode(text, at)
                value = _whole(value, text[at:end])
            except (ValueError, RecursionError) as error:
                # As much again, so that a huge element is not parsed once for every part.
                more = "".join(islice(parts, 1 + (len(text) - at) // PART))
                if not more or not _is_cut(error, text):
                    raise _broken(name, number + 1, _cause(error)) from None
                text, at = text[at:] + more, 0
                continue
            at, number, is_next = end, number + 1, False
            yield _unwrap(_check_object(value, number, name))


def _is_cut(error: Exception, text: str) -> bool:
    if not isinstance(error, json.JSONDecodeError):
        return False
    return error.pos >= len(text) - WORD or error.msg.startswith("Unterminated string")


def _check_object(value: Any, number: int, name: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise CatalogueError(f"{name}, element {number} is no object {OBJECT}.")
    return value


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _whole(value: Any, text: str) -> Any:
    """Leave out halves of characters: they cannot be written to any file."""
    if not SURROGATE.search(text):
        return value
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "ignore"))


def _broken(name: str, number: int, cause: str) -> CatalogueError:
    return CatalogueError(f"{name}, element {number} is not JSON ({cause}).")


def _cause(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return error.msg
    return "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
