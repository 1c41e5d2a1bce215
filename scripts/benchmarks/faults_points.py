"""Every call to the disk that changing an index makes fails once: the old index or the new one."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prodcat_index.errors import ProdcatError
from scripts.benchmarks.faults_disk import KILLED, Disk, Failure

FAILURES: tuple[Failure, ...] = ("error", "kill", "lost names", "lost content")
OWN = {"manifest.json", "card.md", "journal.jsonl", ".lock"}
OLD, NEW = "the old index", "the new index"


@dataclass(frozen=True)
class Change:
    """A change of an index folder: how it is made, and what the index answers before and after."""

    name: str
    folder: Path  # before it is made, and never changed itself
    make: Callable[[Path], object]
    answers: Callable[[Path], Any]
    old: Any
    new: Any
    next: Callable[[Path], object]  # another change, that leaves the answers as they are


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
    calls = count_calls(change, work)
    for failure in failures:
        counts = points.counts.setdefault(f"{change.name}, {failure}", Counter())
        for number in range(1, len(calls) + 1, step):
            folder = _fresh(change.folder, work)
            try:
                said = _fail(change, folder, number, failure)
                outcome, problem = _outcome(change, folder, said, failure)
            except Exception as error:
                outcome, problem = "another error", repr(error)
            counts[outcome] += 1
            if problem:
                where = f"{change.name}, {failure} at call {number} ({calls[number - 1]})"
                points.failures.append(f"{where}: {problem}")
    return points


def count_calls(change: Change, work: Path) -> list[str]:
    """Return the calls of a change that nothing disturbs."""
    folder = _fresh(change.folder, work)
    with Disk(folder).installed() as disk:
        change.make(folder)
    return disk.calls


def _fresh(folder: Path, work: Path) -> Path:
    made = work / "index"
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
    found = change.answers(folder) if is_there else None
    if found not in (change.old, change.new):
        return "another index", "it answers neither as before nor as after"
    state = OLD if found == change.old else NEW
    if failure == "error" and bool(said) != (state == OLD) and change.old != change.new:
        return state, f"it is {state}, and was said: {said or 'nothing'}"
    # What failed can be done again, and what was done can be built upon.
    (change.make if state == OLD else change.next)(folder)
    if change.answers(folder) != change.new:
        return state, "the next change gave another index"
    if not is_clean(folder):
        return state, "files of no version are left"
    return state, None


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
