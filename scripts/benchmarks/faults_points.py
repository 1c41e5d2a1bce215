"""Every call to the disk that changing an index makes fails once: the old index or the new one."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

from prodcat_index import ProductIndex
from prodcat_index.cards.inputs import CardSource
from prodcat_index.errors import ProdcatError
from prodcat_index.index.integrity import verify_index
from scripts.benchmarks.faults_disk import KILLED, Disk, Failure
from scripts.benchmarks.faults_sample import LISTINGS

FAILURES: tuple[Failure, ...] = ("error", "kill", "lost names", "lost content")
OWN = {"manifest.json", "card.md", "journal.jsonl", ".lock"}
OLD, NEW = "the old index", "the new index"


@dataclass(frozen=True)
class Change:
    """A change of an index folder: how it is made, and what the index answers before and after."""

    name: str
    folder: Path  # before it is made, and never changed itself
    make: Callable[[Path], object]
    old: Any
    new: Any


def usual_changes(folder: Path, other: ProductIndex, more: CardSource) -> list[Change]:
    """Make one change of each kind: of no index, of one, and of one that was changed before.

    `folder` takes the indexes before the changes; `other` is an index of the same form, and `more`
    are cards that it does not have.
    """
    one = other.save(folder / "one")
    two = Path(shutil.copytree(one, folder / "two"))
    ProductIndex.load(two).add(more).save_next(two)
    first, second = ProductIndex.load(one), ProductIndex.load(two)
    ids, names = other.catalogue.ids, other.parts.labels.names
    fewer = other.remove(ids[1:3])
    vote = replace(first.parts.vote, k=first.parts.vote.k + 1)
    makes: dict[str, tuple[Path, Callable[[Path], object]]] = {
        "first build": (folder / "none", other.save),
        "build": (two, fewer.save),
        "add": (one, first.add(more).save_next),
        "remove": (two, second.remove(ids[:2]).save_next),
        "relabel": (two, second.relabel({names[0]: f"{names[0]} and more"}).save_next),
        "tune": (two, ProductIndex(replace(second.parts, vote=vote)).save_settings),
        "refit": (two, second.refit().save_next),
        "sync": (two, second.sync(fewer.catalogue, max_removed=1.0).save_next),
        "rollback": (two, ProductIndex.rollback),
    }
    return [_change(name, *where_and_how) for name, where_and_how in makes.items()]


def _change(name: str, folder: Path, make: Callable[[Path], object]) -> Change:
    old = ask(folder) if folder.exists() else None
    made = _fresh(folder, folder.parent / "made")
    make(made)
    change = Change(name, folder, make, old, ask(made))
    shutil.rmtree(made)
    return change


def ask(folder: Path) -> Any:
    """Return what an index says of itself and answers, if all of it is whole."""
    verify_index(folder)
    index = ProductIndex.load(folder)
    found = index.search(LISTINGS[0], 5) + index.search(LISTINGS[1], 5)
    predicted = index.predict(list(LISTINGS))
    return [
        index.parts.vote.k,
        len(index),
        [(each.id, each.category, round(each.similarity, 6)) for each in found],
        [(each.category, round(each.share, 6)) for each in predicted],
    ]


@dataclass
class Points:
    """What became of failed calls, by change and failure."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)


def fail_every_call(
    change: Change, work: Path, step: int = 1, failures: Sequence[Failure] = FAILURES
) -> Points:
    """Fail each step-th call that a change makes; each time in a fresh copy of the folder."""
    points = Points()
    with _no_waiting():
        calls = count_calls(change, work)
        for first, failure in enumerate(failures, start=1):
            counts = points.counts.setdefault(f"{change.name}, {failure}", Counter())
            for number in range(min(first, step), len(calls) + 1, step):
                outcome, problem = _try(change, work, number, failure)
                counts[outcome] += 1
                if problem:
                    where = f"{change.name}, {failure} at call {number} ({calls[number - 1]})"
                    points.failures.append(f"{where}: {problem}")
    return points


@contextmanager
def _no_waiting() -> Iterator[None]:
    """Do not wait for the disk, which takes most of the time; what counts is that it is asked."""
    with patch.object(os, "fsync", lambda _: None):
        yield


def _try(change: Change, work: Path, number: int, failure: Failure) -> tuple[str, str | None]:
    folder = _fresh(change.folder, work)
    try:
        said = _fail(change, folder, number, failure)
        return _outcome(change, folder, said, failure)
    except Exception as error:
        return "another error", repr(error)


def count_calls(change: Change, work: Path) -> list[str]:
    """Return the calls of a change that nothing disturbs."""
    folder = _fresh(change.folder, work)
    with Disk(folder).installed() as disk:
        change.make(folder)
    return disk.calls


def _fresh(folder: Path, work: Path) -> Path:
    made = work / "changed"
    shutil.rmtree(made, ignore_errors=True)
    return Path(shutil.copytree(folder, made)) if folder.exists() else made


def _fail(change: Change, folder: Path, number: int, failure: Failure) -> str | None:
    """Make a change whose nth call fails, and return what it said; None where it was killed."""
    if failure == "error":
        with Disk(folder, number, failure).installed():
            try:
                change.make(folder)
            except ProdcatError as error:
                return str(error)
        return ""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            with Disk(folder, number, failure).installed():
                change.make(folder)
            status = 0
        finally:
            os._exit(status)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code not in (0, KILLED):
        raise RuntimeError(f"The process that was to be killed ended with the status {code}.")
    return None


def _outcome(
    change: Change, folder: Path, said: str | None, failure: Failure
) -> tuple[str, str | None]:
    """Return which index is there, and what is wrong with that."""
    is_there = (folder / "manifest.json").exists()
    state = NEW if is_there and version_of(folder) > version_of(change.folder) else OLD
    if (ask(folder) if is_there else None) != (change.old if state == OLD else change.new):
        return "another index", f"{state} does not answer as it did"
    if failure == "error" and bool(said) != (state == OLD):
        return state, f"it is {state}, and was said: {said or 'nothing'}"
    # What failed can be done again, and what was done can be built upon.
    if state == OLD:
        change.make(folder)
    else:
        ProductIndex.load(folder).save_settings(folder)
    if ask(folder) != change.new:
        return state, "the next change gave another index"
    if not is_clean(folder):
        return state, "files of no version are left"
    return state, None


def version_of(folder: Path) -> int:
    """Return the number of the current version, 0 where there is none."""
    manifest = folder / "manifest.json"
    return int(json.loads(manifest.read_text())["version"]) if manifest.exists() else 0


def is_clean(folder: Path) -> bool:
    """Check that a folder holds nothing but the files of two versions, and its own."""
    return set(_files(folder)) <= _named(folder)


def _files(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        if not path.is_dir() or not any(path.iterdir()):
            yield path.relative_to(folder).as_posix()


def _named(folder: Path) -> set[str]:
    """Return the files of the current version, of the one before, and of the folder itself."""
    current = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    named = {*OWN, *current["files"]}
    for number in (current["version"], (current.get("change") or {}).get("previous")):
        own = f"versions/{number or 0:04d}/manifest.json"
        if (folder / own).exists():
            kept = json.loads((folder / own).read_text(encoding="utf-8"))
            named |= {own, *kept["files"]}
    return named
