"""Categories: the paths that a column of them means, and one category for each key of the shop."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from prodcat_index.cards.cleaning import clean_text, is_nothing, raw_text, tidy
from prodcat_index.findings import counted, name_first

# As in prodcat_index.types, which loads numpy: the command line does not wait for that.
PATH_SEPARATOR = " > "
USUAL = r"(?<!\S)[>»](?!\S)|[-=]+>|→"
# In half of the names, one of these separates the levels of a path.
MARKS = (">", "›", "»", "::")
USUAL_SHARE = 0.5
# These stand in plain names too, such as TV/Audio: they do so in nearly all, with fewer first
# levels than names.
DOUBTFUL_MARKS = ("|", "/", "\\")
DOUBTFUL_SHARE = 0.9
QUOTED = re.compile(r"""'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)\"""")
SHOWN = 3


class Categories(NamedTuple):
    """The categories of n cards."""

    labels: list[str]  # empty for none
    separator: str  # of the levels, beside the usual ones
    notes: list[str]


def read_categories(
    values: Sequence[Any],
    keys: Sequence[str],
    separator: str | None = None,
    known: Mapping[str, str] | None = None,
) -> Categories:
    """Clean the categories of n cards, and tell those of one name apart by the shop's own keys.

    `separator` is found where it is None. `known` is the key of each category that is there
    already, or empty.
    """
    raw, notes = [_name(value) for value in values], list[str]()
    if separator is None:
        separator, notes = _find_separator(set(raw))
    cleaned = {name: _clean(name, separator) for name in dict.fromkeys(raw)}
    names = [cleaned[name] for name in raw]
    labels = _separate_keys(names, keys, known or {})
    return Categories(labels, separator, [*notes, *_key_notes(names, keys, labels, known or {})])


def clean_category(value: Any, separator: str = "") -> str:
    """Return a category path in the form ``Electronics > Phones``."""
    return _clean(_name(value), separator)


def _clean(name: str, separator: str) -> str:
    path, before = clean_text(name), None
    # What is left of marks that follow each other may be one more.
    while path != before:
        before, levels = path, map(tidy, _split(path, separator))
        path = PATH_SEPARATOR.join(level for level in levels if not is_nothing(level))
    return path


def _name(value: Any) -> str:
    """Return a raw value as a text; a list, also one written as a text, as the path of its items.

    Of a list of paths, it is the first.
    """
    is_list = isinstance(value, (list, tuple)) or getattr(value, "ndim", None)
    items = list(value) if is_list else _listed(raw_text(value))
    if items is None:
        return raw_text(value)
    paths = [item for item in items if not isinstance(item, str) and hasattr(item, "__len__")]
    if paths and not isinstance(paths[0], Mapping):
        return _name(paths[0])
    names = [name for name in map(raw_text, items) if name]
    is_path = any(len(_split(name, "")) > 1 for name in names)
    return names[0] if is_path else PATH_SEPARATOR.join(names)


def _listed(text: str) -> list[Any] | None:
    """Return the items of a text such as ``["A", "B"]`` or ``['A', 'B']``; None for another."""
    if not (text.startswith("[") and text.endswith("]")):
        return None
    try:
        found = json.loads(text)
        return found if isinstance(found, list) else None
    except (ValueError, RecursionError):
        first = re.split(r"""(?<=['"])\s*\]""", text.lstrip("[ "))[0]
        if re.sub(r"[\s,]", "", QUOTED.sub("", first)):
            return None
        return [re.sub(r"\\(.)", r"\1", a or b) for a, b in QUOTED.findall(first)]


def _split(text: str, separator: str) -> list[str]:
    own = re.escape(separator)
    if separator == "/":
        own = r"(?<!\d)/|/(?!\d)"  # not 1/2
    return re.split(f"{USUAL}|{own}" if separator else USUAL, text)


def _find_separator(raw: set[str]) -> tuple[str, list[str]]:
    """Return the separator that holds for a column of names, or none and what is to be noted."""
    names = sorted(filter(None, (clean_text(name) for name in raw)))
    usual = sum(len(_split(name, "")) > 1 for name in names)
    if not names or usual >= USUAL_SHARE * len(names):
        return "", []
    for mark in MARKS:
        if sum(mark in name for name in names) >= USUAL_SHARE * len(names):
            return mark, []
    for mark in () if usual else DOUBTFUL_MARKS:
        paths = [path for path in (_split(name, mark) for name in names) if len(path) > 1]
        recur = len({tidy(path[0]) for path in paths}) < len(paths)
        if recur and len(paths) >= DOUBTFUL_SHARE * len(names):
            return mark, []
    return "", list(filter(None, (_doubt(mark, names) for mark in (*MARKS, *DOUBTFUL_MARKS))))


def _doubt(mark: str, names: Sequence[str]) -> str:
    holding = [name for name in names if len(_split(name, mark)) > len(_split(name, ""))]
    least = USUAL_SHARE * len(names) if mark in DOUBTFUL_MARKS else 1
    if len(holding) < least:
        return ""
    return (
        f"{len(holding)} of {len(names)} categories have {mark!r} in them, and are taken for plain "
        f"names ({name_first(holding, SHOWN)}); if it separates the levels of a path, add "
        f'--category-separator "{mark}"'
    )


def _separate_keys(
    names: Sequence[str], keys: Sequence[str], known: Mapping[str, str]
) -> list[str]:
    """Return a label for each card: its category's name, and the key where the name has several."""
    keys_of: dict[str, set[str]] = defaultdict(set)
    for name, key in zip(names, keys, strict=True):
        if key:
            keys_of[name].add(key)

    def label(name: str, key: str) -> str:
        if not (name and key) or known.get(name) == key:
            return name
        with_key = f"{name} [{key}]"
        is_ambiguous = len(keys_of[name]) > 1 or known.get(name) or with_key in known
        return with_key if is_ambiguous else name

    return [label(name, key) for name, key in zip(names, keys, strict=True)]


def _key_notes(
    names: Sequence[str], keys: Sequence[str], labels: Sequence[str], known: Mapping[str, str]
) -> list[str]:
    notes = []
    told_apart = Counter(label for name, label in zip(names, labels, strict=True) if name != label)
    if told_apart:
        notes.append(
            f"{counted(len(told_apart), 'categories share their name with another')}, so the keys "
            f"tell them apart: {name_first(sorted(told_apart))}"
        )
    names_of: dict[str, set[str]] = defaultdict(set)
    for label, key in zip(labels, keys, strict=True):
        if label and key:
            names_of[key].add(label)
    for label, key in known.items():
        if label and key in names_of:
            names_of[key].add(label)
    several = [f"{key} ({', '.join(sorted(n))})" for key, n in names_of.items() if len(n) > 1]
    if several:
        notes.append(
            f"several names have the same category key, and each is a category: "
            f"{name_first(several)}"
        )
    return notes
