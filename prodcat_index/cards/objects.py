"""Objects in cells, as JSON and Parquet have them: the name, key, text or address that is meant."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from prodcat_index.cards.cleaning import NESTING, raw_text, tidy
from prodcat_index.cards.table import texts_of

if TYPE_CHECKING:
    import pandas as pd

NAMES = ("name", "title", "label", "value", "rendered", "text", "category_name", "path")
KEYS = ("id", "key", "_id", "category_id")
LANGUAGE_NAMES = ("lang", "language", "locale")
ADDRESSES = ("src", "url", "href", "path", "file_name", "filename", "file", "link")
LANGUAGE = re.compile(r"[a-z]{2}(?:[-_][a-zA-Z]{2,4})?")
# Whole lists of objects are written into cells of a CSV; a longer one is a text.
MAX_WRITTEN = 20_000
WRITTEN = re.compile(r"\s*(?:\[\s*)?\{")
LANGUAGES = "cards have a {} in several languages, of which {!r} is taken"
UNNAMED = "cards have an object without a name as their {} (read as it is written)"


class Objects(NamedTuple):
    """A table whose titles, descriptions, categories and pictures are no objects any more."""

    frame: pd.DataFrame
    keys: list[str]  # the shop's own of the categories; where no card has one, those in objects
    noticed: dict[str, list[bool]]


def read_objects(frame: pd.DataFrame, columns: Mapping[str, str]) -> Objects:
    """Replace the objects in the columns of a card by their name, first language or address.

    A list of objects, or one with its parents, is a path.
    """
    import pandas as pd

    keys: list[str] = []
    noticed: dict[str, list[bool]] = {}
    for part in ("title", "description", "category", "image"):
        column = columns.get(part)
        values = [_parse(value) for value in frame[column]] if column else []
        if not any(map(_is_object, values)):
            continue
        language = next(filter(None, map(_language, values)), "")
        if language:
            noticed[LANGUAGES.format(part, language)] = [bool(_language(v)) for v in values]
            values = [_in_language(value, language) for value in values]
        if part == "category":
            keys = [_path(value)[1] for value in values]
        # A description is often a list of names and values, which are all its text.
        read = READ.get(part, lambda value: value)
        read_values = [read(value) if _is_object(value) else value for value in values]
        unnamed = [_is_object(value) and bool(raw_text(value)) for value in read_values]
        noticed |= {UNNAMED.format(part): unnamed} if part in READ else {}
        cells = pd.Series(read_values, index=frame.index, dtype=object)
        frame = frame.assign(**{str(column): cells})
    own = [tidy(value) for value in texts_of(frame, columns.get("category_id"))]
    keys = own if any(own) or not keys else [tidy(key) for key in keys]
    return Objects(frame, keys, noticed)


def _parse(value: Any) -> Any:
    """Return lists as such, what is written as an object as it, and texts by their languages."""
    if hasattr(value, "tolist") and value.ndim:
        value = value.tolist()
    if isinstance(value, str) and len(value) <= MAX_WRITTEN and WRITTEN.match(value):
        value = _parse_written(value)
    return (_by_language(value) if isinstance(value, list) else None) or value


def _parse_written(text: str) -> Any:
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                parsed = ast.literal_eval(text.strip())
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return text
    return parsed if parsed and _is_object(parsed) else text


def _is_object(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(isinstance(item, Mapping) for item in value)
    return isinstance(value, Mapping)


def _by_language(items: list[Any]) -> dict[str, str]:
    """Return ``[{"lang": "en", "value": "Lamp"}, …]`` as an object by languages."""
    if not all(isinstance(item, Mapping) for item in items):
        return {}
    found = {_scalar(item, LANGUAGE_NAMES): _scalar(item, NAMES) for item in items}
    return {} if "" in found else found


def _language(value: Any) -> str:
    """Return the first language of an object such as ``{"en": "Lamp", "de": "Lampe"}``."""
    if not isinstance(value, Mapping) or not value.keys().isdisjoint(NAMES + KEYS):
        return ""
    is_text = all(LANGUAGE.fullmatch(str(name)) for name in value) and all(
        isinstance(text, (str, type(None))) for text in value.values()
    )
    return next((str(name) for name, text in value.items() if is_text and text), "")


def _in_language(value: Any, language: str) -> Any:
    if not _language(value):
        return value
    return value.get(language) or value[_language(value)]


def _scalar(value: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return the first value of these names that is a text or a number."""
    for name in names:
        found = value.get(name)
        found = _in_language(found, _language(found))
        is_typed = isinstance(found, Mapping) and len(found) == 1 and "$oid" in found
        if (is_typed or isinstance(found, (str, int, float))) and (text := raw_text(found)):
            return text
    return ""


def _path(value: Any, nesting: int = NESTING) -> tuple[list[str], str]:
    """Return the names from the root to a category, and its key."""
    if isinstance(value, Mapping) and nesting:
        name = _scalar(value, NAMES)
        above = _path(value.get("parent"), nesting - 1)[0] if name else []
        return [*above, name] if name else [], _scalar(value, KEYS)
    if isinstance(value, (list, tuple)) and nesting:
        paths = [path for path in (_path(item, nesting - 1) for item in value) if path[0]]
        deepest = max(paths, key=lambda path: len(path[0]), default=([], ""))
        if len(deepest[0]) > 1:
            return deepest
        return [name for names, _ in paths for name in names], paths[-1][1] if paths else ""
    return [value] if isinstance(value, str) and value.strip() and nesting < NESTING else [], ""


def _category(value: Any) -> Any:
    return _path(value)[0] or value


def _title(value: Any) -> Any:
    return (_scalar(value, NAMES) if isinstance(value, Mapping) else "") or value


def _image(value: Any) -> Any:
    items = value if isinstance(value, (list, tuple)) else [value]
    found = [_scalar(item, ADDRESSES) if isinstance(item, Mapping) else item for item in items]
    return list(filter(None, found)) or value


READ: dict[str, Callable[[Any], Any]] = {"title": _title, "category": _category, "image": _image}
