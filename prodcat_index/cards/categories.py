"""Categories: the paths that a column of them means, and one category for each key of the shop."""

from __future__ import annotations

import html
import json
import re
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
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
# Between whole paths that are the categories of one card.
BETWEEN_PATHS = ("\n", "||", ";", "|", ",")
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

    `separator` is found where it is None; `known` is category -> key of those that are there.
    """
    raw, notes = _take_deepest([category_name(value) for value in values], separator, known or {})
    if separator is None:
        separator, doubts = _find_separator(set(raw))
        notes += doubts
    cleaned = {name: _clean(name, separator) for name in dict.fromkeys(raw)}
    names = [cleaned[name] for name in raw]
    labels = _separate_keys(names, keys, known or {})
    notes += _key_notes(names, keys, labels, known or {})
    return Categories(labels, separator, [*notes, *note_unknown(labels, known or {})])


def note_unknown(labels: Collection[str], known: Collection[str]) -> list[str]:
    """Return a sentence if most categories are not known, but would be in another form."""
    hint, own = hint_match(labels, known), set(labels) - {""}
    unknown = sorted(own.difference(known))
    many = f"{len(unknown)} of {counted(len(own), 'categories')}"
    are = "is" if len(own) == 1 else "are"
    shown = name_first(unknown, SHOWN)
    return [f"{many} {are} not in the index ({shown}); {hint}"] if hint else []


def hint_match(labels: Iterable[str], known: Collection[str]) -> str:
    """Return how most of the categories that are not known would be, if most are not."""
    own, known = set(labels) - {""}, set(known) - {""}
    unknown = own - known
    if not unknown or not known or 2 * len(unknown) < len(own):
        return ""
    folded = {name.casefold() for name in known}
    roots = {_levels(name)[0] for name in known if len(_levels(name)) > 1}
    last = Counter(_levels(name)[-1] for name in known)
    ways = {
        f'with --category-separator "{mark}"': {n for n in unknown if _clean(n, mark) in known}
        for mark in (*MARKS, *DOUBTFUL_MARKS, ";", ",", "•", " - ")
    }
    ways["in the letter case of the index"] = {n for n in unknown if n.casefold() in folded}
    for root in sorted(roots):
        ways[f"below {root!r}, a first level of the index"] = {
            n for n in unknown if f"{root}{PATH_SEPARATOR}{n}" in known
        }
    ways["without their first level"] = {
        n for n in unknown if PATH_SEPARATOR.join(_levels(n)[1:]) in known
    }
    ways["as whole paths: they are last levels of the index"] = {n for n in unknown if last[n]}
    ways["by their last level alone"] = {n for n in unknown if _levels(n)[-1] in known}
    way = max(ways, key=lambda way: len(ways[way]))
    if 2 * len(ways[way]) < len(unknown):
        return ""
    return f"{len(ways[way])} would match {way}"


def _levels(label: str) -> list[str]:
    return label.split(PATH_SEPARATOR)


def _take_deepest(
    raw: Sequence[str], separator: str | None, known: Collection[str]
) -> tuple[list[str], list[str]]:
    """Replace each value of several paths by the first with the most levels.

    A mark separates paths where most values that hold it are of several.
    """
    texts = {name: html.unescape(name) for name in dict.fromkeys(raw)}
    for mark in BETWEEN_PATHS:
        parts = {name: each for name, text in texts.items() if len(each := _parts(text, mark)) > 1}
        whole = {text for name, text in texts.items() if name not in parts}
        # In a path such as Home > Bed, Bath > Towels, the comma is a part of a name.
        deepest = _deepest_of(parts, whole, mark, separator, known, careful=mark == ",")
        is_clear = len(deepest) >= USUAL_SHARE * len(parts)
        if mark == "," and not deepest:
            found = _deepest_of(parts, whole, mark, separator, known, careful=False)
            deepest, is_clear = (found if 2 * len(found) >= len(texts) else {}), False
        if not deepest:
            continue
        shown = "line break" if mark == "\n" else mark
        cards = counted(sum(name in deepest for name in raw), "cards have several categories")
        if not is_clear:
            return list(raw), [f"{cards}, it seems ({shown!r} is between them), taken for one each"]
        rule = f"{cards} ({shown!r} is between them): the one with the most levels is taken"
        return [deepest.get(name, name) for name in raw], [f"{rule}, the first where equal"]
    return list(raw), []


def _deepest_of(
    parts: Mapping[str, Sequence[str]],
    whole: Collection[str],
    mark: str,
    separator: str | None,
    known: Collection[str],
    careful: bool,
) -> dict[str, str]:
    """Return the deepest path of each value of several, each a path or a category of the column.

    Where half of the column has the mark, other names that recur count too, unless `careful`.
    """
    first = {*whole, *(each[0] for each in parts.values())}
    own = _find_separator(first)[0] if separator is None else separator
    if not parts or own == mark:
        return {}
    levels = {part: _split(part, own) for part in first.union(*parts.values())}
    tops = {tidy(levels[path][0]) for path in first if len(levels[path]) > 1}
    categories = {*whole, *known, *tops}
    if not careful and len(parts) >= USUAL_SHARE * (len(parts) + len(whole)):
        shared = Counter(part for each in parts.values() for part in set(each))
        categories |= {part for part, count in shared.items() if count > 1}

    def is_path(part: str) -> bool:
        return len(levels[part]) > 1 and (not careful or tidy(levels[part][0]) in tops)

    return {
        name: max(each, key=lambda part: len(levels[part]))
        for name, each in parts.items()
        if any(map(is_path, each)) and all(is_path(p) or p in categories for p in each)
    }


def _parts(text: str, mark: str) -> list[str]:
    return list(filter(None, map(tidy, text.split(mark)))) if mark in text else []


def clean_category(value: Any, separator: str = "") -> str:
    """Return a category path in the form ``Electronics > Phones``."""
    return _clean(category_name(value), separator)


def _clean(name: str, separator: str) -> str:
    path, before = clean_text(name), None
    # What is left of marks that follow each other may be one more.
    while path != before:
        before, levels = path, map(tidy, _split(path, separator))
        path = PATH_SEPARATOR.join(level for level in levels if not is_nothing(level))
    return path


def category_name(value: Any) -> str:
    """Return a raw value as a text: of a list, or one written so, its path, or its first path."""
    items = items_of(value)
    if items is None:
        return raw_text(value)
    paths = [item for item in items if not isinstance(item, str) and hasattr(item, "__len__")]
    if paths and not isinstance(paths[0], Mapping):
        return category_name(paths[0])
    names = [name for name in map(raw_text, items) if name]
    is_path = any(len(_split(name, "")) > 1 for name in names)
    return names[0] if is_path else PATH_SEPARATOR.join(names)


def path_in_tree(key: str, tree: Mapping[str, tuple[str, str]]) -> list[str]:
    """Return the names from the root to a key of a name and the key above; a circle is cut."""
    path: dict[str, str] = {}
    while key in tree and key not in path:
        path[key], key = tree[key]
    return list(path.values())[::-1]


def items_of(value: Any) -> list[Any] | None:
    """Return the items of a list, also of a text such as ``["A"]`` or ``['A']``; or None."""
    if isinstance(value, (list, tuple)) or getattr(value, "ndim", None):
        return list(value)
    text = raw_text(value)
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
        f"{mark!r} is in {len(holding)} of {len(names)} categories, which are taken for plain "
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
