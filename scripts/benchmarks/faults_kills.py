"""Kills of real processes that change an index, at random moments, while others read it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from prodcat_index import ProductIndex
from scripts.benchmarks.faults_points import NEW, OLD, is_clean, version_of

SEED = 0
# The first part of a run imports the libraries: nothing is written yet.
FIRST_PART = 0.4
ENVIRONMENT = {**os.environ, "PRODCAT_CACHE": "off"}
# Reads one index over and over, as short-lived processes do, until its input ends.
READER = """
import json, select, sys
from prodcat_index import ProductIndex
read, failed = 0, []
print(flush=True)
while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        index = ProductIndex.load(sys.argv[1])
        index.search("red boots", 3)
        index.predict(["electric kettle"])
        read += 1
    except Exception as error:
        failed.append(repr(error))
print(json.dumps([read, failed]))
"""


@dataclass(frozen=True)
class Command:
    """A command that changes an index, and what the index answers before and after."""

    arguments: Sequence[object]
    old: Any
    new: Any
    seconds: float  # that it takes


@dataclass
class Kills:
    """What became of killed processes, by command; and what went wrong."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    reads: int = 0  # of processes that read meanwhile


def run(arguments: Sequence[object], **options: Any) -> subprocess.Popen[str]:
    """Start ``prodcat`` in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "prodcat_index", *map(str, arguments)],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def ask(folder: Path) -> Any:
    """Return what an index answers, in few questions."""
    index = ProductIndex.load(folder)
    nearest = index.search("red boots", 5)
    found = [(each.id, each.category, round(each.similarity, 6)) for each in nearest]
    predicted = index.predict(["electric kettle", "desk lamp", "zebra"])
    return [len(index), found, [(p.category, round(p.share, 6)) for p in predicted]]


def _measure(before: ProductIndex, folder: Path, arguments: Sequence[object]) -> Command:
    """Run a command undisturbed, and note what it takes and changes."""
    before.save(folder)
    old, started = ask(folder), time.monotonic()
    process = run(arguments)
    said = process.communicate()[1]
    if process.returncode:
        raise RuntimeError(f"prodcat {arguments[0]} failed: {said}")
    return Command(arguments, old, ask(folder), time.monotonic() - started)


def usual_commands(
    before: ProductIndex, folder: Path, work: Path, names: Sequence[str] = ()
) -> dict[str, Command]:
    """Make one command of each kind, or those that are named, over an index in a folder."""
    cards = before.catalogue.to_frame()
    more = cards.head(5).assign(id=[f"new{n}" for n in range(5)])
    export = cards.iloc[3:].assign(title=[f"{title}!" for title in cards["title"].iloc[3:]])
    first = before.parts.labels.names[0]
    tables = {
        "cards.csv": export,
        "more.csv": more,
        "map.csv": pd.DataFrame({"old": [first], "new": [f"{first} and more"]}),
    }
    for name, table in tables.items():
        table.to_csv(work / name, index=False)
    named = ["-i", folder]
    pictures = [Path(picture).parent for picture in cards["image"] if picture]
    root = ["--image-root", pictures[0]] if pictures else []
    arguments: dict[str, list[object]] = {
        "build-index": ["build-index", work / "cards.csv", *root, "-o", folder],
        "add": ["add", work / "more.csv", *root, *named],
        "remove": ["remove", "--ids", ",".join(before.catalogue.ids[:3]), *named],
        "relabel": ["relabel", work / "map.csv", *named],
        "sync": ["sync", work / "cards.csv", "--max-removed", "50%", *root, *named],
        "tune": ["tune", *named],
        "refit": ["refit", *named],
        "rollback": ["rollback", *named],
    }
    return {name: _measure(before, folder, arguments[name]) for name in names or arguments}


def kill_writers(
    before: ProductIndex, folder: Path, commands: Mapping[str, Command], count: int
) -> Kills:
    """Kill commands in turn while they change one folder that a reader reads all the time."""
    rng, kills = np.random.default_rng(SEED), Kills()
    before.save(folder)
    reader = subprocess.Popen(
        [sys.executable, "-c", READER, str(folder)],
        env=ENVIRONMENT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout is not None
    reader.stdout.readline()
    for number in range(count):
        name = list(commands)[number % len(commands)]
        outcome, problem = _kill(before, folder, commands[name], rng.uniform(FIRST_PART, 1.05))
        kills.counts.setdefault(name, Counter())[outcome] += 1
        if problem:
            kills.failures.append(f"kill {number}, of {name}: {problem}")
    kills.reads, failed = json.loads(reader.communicate("\n")[0])
    kills.failures += [f"a reader failed: {each}" for each in failed]
    return kills


def _kill(
    before: ProductIndex, folder: Path, command: Command, share: float
) -> tuple[str, str | None]:
    # A change like any other: readers go on, and what the last kill left is removed.
    before.save(folder)
    if not is_clean(folder):
        return "garbage", "files of no version are left after the next change"
    version, process = version_of(folder), run(command.arguments)
    time.sleep(share * command.seconds)
    process.kill()
    said = process.communicate()[1]
    found = ask(folder)
    if process.returncode > 0:
        return "failed", said
    is_new = version_of(folder) > version
    if found != (command.new if is_new else command.old):
        return "another index", "it does not answer as it did"
    ended = " (it had ended)" if process.returncode == 0 else ""
    return f"{NEW if is_new else OLD}{ended}", None
