"""Mutations of an index folder: each is refused in words, or answers as the whole index does."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from scripts.benchmarks.faults_arrays import EXECUTED
from scripts.benchmarks.faults_mutations import Allowed, Mutation, copy_index
from scripts.benchmarks.faults_workers import OTHER, REFUSED, RIGHT, UNSOUND, Tried, Worker

FOUND, FORGED, SILENT = "wrong, found by info --verify", "another whole index", "wrong silently"
EXECUTION, FOLLOWED = "executed code", "read what it may not"
GOOD = (REFUSED, RIGHT, FOUND, FORGED)


@dataclass
class Damage:
    """What became of mutations, by family and outcome; and those that failed."""

    counts: dict[str, Counter[str]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    slowest: float = 0.0
    memory: int = 0


def damage_index(sample: Path, picture: Path, chosen: Iterable[Mutation], folder: Path) -> Damage:
    """Make each mutation of a copy of an index, and open it in a worker."""
    damage, worker = Damage(), Worker(sample, picture)
    try:
        for mutation in chosen:
            made = folder / "index"
            copy_index(sample, made)
            mutation.apply(made)
            tried = worker.attempt(made, pictured=mutation.family == "manifest")
            outcome = judge(mutation, tried)
            if (folder / EXECUTED).exists():
                outcome = EXECUTION
                (folder / EXECUTED).rmdir()
            damage.counts.setdefault(mutation.family, Counter())[outcome] += 1
            if outcome not in GOOD:
                damage.failures.append(f"{outcome}: {mutation}: {tried.detail}")
            damage.slowest = max(damage.slowest, tried.seconds)
            damage.memory = max(damage.memory, tried.memory)
            _remove(folder)
    finally:
        worker.close()
    return damage


def judge(mutation: Mutation, tried: Tried) -> str:
    """Return the outcome of a mutation."""
    for outcome in (tried.answered, tried.verified):
        if outcome not in (REFUSED, RIGHT, OTHER, UNSOUND):
            return outcome
    if tried.answered == REFUSED:
        return REFUSED
    if tried.answered == RIGHT:
        is_followed = mutation.allowed is Allowed.NOTHING and tried.verified != REFUSED
        return FOLLOWED if is_followed else RIGHT
    if tried.verified == REFUSED:
        return FOUND
    is_whole = tried.answered == OTHER and mutation.allowed is Allowed.OTHER
    return FORGED if is_whole else SILENT


def _remove(folder: Path) -> None:
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
