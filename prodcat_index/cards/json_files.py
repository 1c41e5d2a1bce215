"""JSON: a line each, an array, or one object, to a table."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from itertools import chain, islice
from typing import Any

from prodcat_index.cards.sources import DAMAGED, PART, Source, read_lines, read_parts
from prodcat_index.cards.table import Table, frame_of_rows
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import name_findings

ROWS = ("products", "items", "offers", "goods", "results", "data")
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
                yield parse_object(line, where, f"each line must be one object {OBJECT}")
            except CatalogueError:
                if not skip_bad_rows:
                    raise
                bad.append(f"line {number}")

    frame = frame_of_rows(objects())
    findings = name_findings({BAD_LINES: bad, DAMAGED: damaged})
    return Table(frame, findings=findings, format="JSON lines")


def read_json(source: Source, encoding: str | None, skip_bad_rows: bool) -> Table:
    """Read an array of objects, one object, an object with an array of them, or JSON lines."""
    lines = read_lines(source, encoding)
    first = next((line for line in lines if line.strip()), "")
    if not first:
        raise CatalogueError(f"{source.name} is empty.")
    if first.lstrip().startswith("["):
        return Table(frame_of_rows(_read_elements(source, encoding)), format="JSON array")
    second = next((line for line in lines if line.strip()), "")
    if second and _is_object(first):
        return read_json_lines(source, encoding, skip_bad_rows)
    way_out = f"give an array of objects {OBJECT}, or one object a line"
    content = parse_object("".join(chain([first, second], lines)), source.name, way_out)
    named = [name for name in ROWS if isinstance(content.get(name), list)]
    if len(named) == 1 and not content.keys() & {"title", "name"}:
        rows = enumerate(content[named[0]], start=1)
        objects = (_check_object(row, number, source.name) for number, row in rows)
        return Table(frame_of_rows(objects), format="JSON")
    return Table(frame_of_rows([content]), format="JSON object")


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
            yield _check_object(value, number, name)


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
