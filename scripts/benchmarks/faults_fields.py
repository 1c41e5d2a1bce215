"""Changes of the manifest: every field beyond its range, out of place, or away."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.benchmarks.faults_bytes import MANIFEST, Change, Rng, data_files, write_manifest
from scripts.benchmarks.faults_tables import JSON

NUMBERS: tuple[Any, ...] = (
    *(-1, 0, 1, 2, 3, 2**16, 2**20, 2**31, 2**40, 2**63, 2**64, 10**400, -(2**63)),
    *(-0.0, 0.5, 1.0, 1.5, 1e-320, 1e308, float("nan"), float("inf"), -float("inf")),
    *(True, None, "1", [], {}),
)
TEXTS: tuple[Any, ...] = (
    *("", ".", "..", "/", "/etc/passwd", "../outside", "versions/../../outside", "a\\b", "C:\\a"),
    *("C:a", "\0", "a\0b", "\ud800", "\x1b[2J", "a" * 100_000, "a\nb", "//server/share", "~"),
    *("con", "a/", "./manifest.json", "manifest.json", "card.md", ".lock", "versions", "nul.txt"),
    *(None, 1, [], {}),
)
SPECS = (
    *("", "lexical:0", "lexical:99999999", "lexical:-1", "vectors:2", "text-scores:a", "os:system"),
    *("finetuned:/", "finetuned:../..", "finetuned:", "timm:", "timm:../a@/etc/passwd", "sbert:/"),
    *("timm:test_vit@/dev/zero.safetensors", "sbert:..", "lexical", "text-scores", "a:b:c"),
)
Path_ = tuple[Any, ...]


def _leaves(value: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    pairs: Any = value.items() if isinstance(value, dict) else ()
    if isinstance(value, list):
        pairs = enumerate(value)
    if not pairs:
        yield path, value
    for key, each in pairs:
        yield from _leaves(each, (*path, key))


def _holder(whole: Any, path: Path_) -> Any:
    for key in path[:-1]:
        whole = whole[key]
    return whole


def _pick(whole: Any, rng: Rng, kind: type | tuple[type, ...] = object) -> Path_:
    """Pick a leaf: a part of the manifest by chance, then a leaf of it."""
    leaves = [path for path, value in _leaves(whole) if isinstance(value, kind) and path]
    # Surfaces of a tuning have hundreds of numbers.
    heads = sorted({path[:2] for path in leaves}, key=str)
    head = heads[rng.integers(len(heads))]
    own = [path for path in leaves if path[:2] == head]
    return own[rng.integers(len(own))]


def _changed(change: Any) -> Change:
    def apply(folder: Path, name: str, rng: Rng) -> None:
        whole = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        text = change(whole, rng, folder) or json.dumps(whole)
        write_manifest(folder, text)

    return apply


def _number(whole: Any, rng: Rng, folder: Path) -> None:
    path = _pick(whole, rng, (int, float))
    holder, key = _holder(whole, path), path[-1]
    near = [holder[key] + 1, holder[key] - 1, -holder[key], holder[key] * 2, float(holder[key])]
    numbers = [*NUMBERS, *near]
    holder[key] = numbers[rng.integers(len(numbers))]


def _text(whole: Any, rng: Rng, folder: Path) -> None:
    path = _pick(whole, rng, str)
    _holder(whole, path)[path[-1]] = TEXTS[rng.integers(len(TEXTS))]


def _spec(whole: Any, rng: Rng, folder: Path) -> None:
    blocks = whole["blocks"]
    blocks[rng.integers(len(blocks))]["encoder"] = SPECS[rng.integers(len(SPECS))]


def _swapped_paths(whole: Any, rng: Rng, folder: Path) -> None:
    """Let a part name the file of another, or of none."""
    names = [*data_files(folder), MANIFEST, "versions/0001", "versions/0001/encoders"]
    paths = [p for p, value in _leaves(whole) if isinstance(value, str) and "versions/" in value]
    path = paths[rng.integers(len(paths))]
    _holder(whole, path)[path[-1]] = names[rng.integers(len(names))]


def _swapped_fields(whole: Any, rng: Rng, folder: Path) -> None:
    one = _pick(whole, rng)
    other = _pick(whole, rng, type(_holder(whole, one)[one[-1]]))
    a, b = _holder(whole, one), _holder(whole, other)
    a[one[-1]], b[other[-1]] = b[other[-1]], a[one[-1]]


def _removed(whole: Any, rng: Rng, folder: Path) -> None:
    path = _pick(whole, rng)
    path = path[: 1 + int(rng.integers(len(path)))]
    del _holder(whole, path)[path[-1]]


def _added(whole: Any, rng: Rng, folder: Path) -> str | None:
    path = _pick(whole, rng)
    holder = _holder(whole, path)
    if isinstance(holder, list):
        holder.extend([holder[-1]] * int(rng.choice([1, 10, 100_000])))
        return None
    # A key that is there twice: which of the two holds?
    text = json.dumps(whole)
    entry = f"{json.dumps(path[-1])}: {json.dumps(holder[path[-1]])}"
    twin = f"{json.dumps(path[-1])}: {json.dumps(NUMBERS[rng.integers(len(NUMBERS))])}"
    pair = (twin, entry) if rng.random() < 0.5 else (entry, twin)
    return text.replace(entry, ", ".join(pair), 1)


def _case_clash(whole: Any, rng: Rng, folder: Path) -> None:
    names = list(whole["files"])
    name = names[rng.integers(len(names))]
    other = name.replace("versions", "Versions") if rng.random() < 0.5 else name.upper()
    whole["files"][other] = whole["files"][name]
    if rng.random() < 0.5:
        (folder / other).parent.mkdir(parents=True, exist_ok=True)
        (folder / other).write_bytes((folder / name).read_bytes())


def _removed_files(whole: Any, rng: Rng, folder: Path) -> None:
    names = list(whole["files"])
    del whole["files"][names[rng.integers(len(names))]]


FIELDS: dict[str, Change] = {
    "number": _changed(_number),
    "text": _changed(_text),
    "encoder": _changed(_spec),
    "path of another": _changed(_swapped_paths),
    "fields swapped": _changed(_swapped_fields),
    "field removed": _changed(_removed),
    "field added": _changed(_added),
    "names that differ in case": _changed(_case_clash),
    "file not listed": _changed(_removed_files),
    **{name: JSON[name] for name in ("other text", "other value", "no UTF-8")},
}
