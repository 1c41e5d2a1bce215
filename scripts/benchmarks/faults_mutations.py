"""Which mutations of an index folder there are, and what may become of each."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import numpy as np

from scripts.benchmarks.faults_arrays import HEADERS, ROWS, VALUES
from scripts.benchmarks.faults_bytes import BYTES, MANIFEST, PLACES, Change, data_files, seal
from scripts.benchmarks.faults_fields import FIELDS
from scripts.benchmarks.faults_tables import JSON, PARQUET


class Allowed(Enum):
    """What may become of a mutation, beside a refusal in words."""

    NOTHING = "nothing else"
    SAME = "the answers of the whole index"
    # What is well-formed and has the right digest is another index.
    OTHER = "the answers of another whole index"


@dataclass(frozen=True)
class Family:
    """Changes of files with a suffix, and what is allowed where their digests are made to fit."""

    name: str
    changes: dict[str, Change]
    allowed: Allowed
    suffix: str = ""


# One more than once is tried more often.
FAMILIES = (
    Family("bytes", BYTES, Allowed.OTHER),
    Family("bytes", BYTES, Allowed.OTHER),
    Family("kinds of files", PLACES, Allowed.NOTHING),
    Family("npy headers", HEADERS, Allowed.SAME, ".npy"),
    Family("values", VALUES, Allowed.OTHER, ".npy"),
    Family("rows", ROWS, Allowed.OTHER, ".f16"),
    Family("rows", ROWS, Allowed.OTHER, ".f32"),
    Family("Parquet", PARQUET, Allowed.OTHER, ".parquet"),
    Family("JSON", JSON, Allowed.OTHER, ".json"),
    Family("manifest", FIELDS, Allowed.OTHER),
)


@dataclass(frozen=True)
class Mutation:
    """One change of an index folder; the same seed makes the same change."""

    family: str
    name: str
    target: str
    sealed: bool  # size and digest in the manifest are made to fit
    allowed: Allowed
    seed: int
    change: Change

    def __str__(self) -> str:
        """Return what is changed."""
        return f"{self.family}, {self.name}, {self.target}{', sealed' * self.sealed} ({self.seed})"

    def apply(self, folder: Path) -> None:
        """Change a folder in place."""
        self.change(folder, self.target, np.random.default_rng(self.seed))
        if self.sealed:
            seal(folder, self.target)


def mutations(sample: Path, count: int, first: int = 0) -> Iterator[Mutation]:
    """Yield mutations of an index, families and changes in turn, files by chance."""
    files = data_files(sample)
    read = {MANIFEST, *json.loads((sample / MANIFEST).read_text(encoding="utf-8"))["files"]}
    for seed in range(first, first + count):
        rng = np.random.default_rng(seed)
        family = FAMILIES[seed % len(FAMILIES)]
        names = list(family.changes)
        name = names[seed // len(FAMILIES) % len(names)]
        targets = [file for file in files if file.endswith(family.suffix)]
        if family.changes is FIELDS or (family.changes in (BYTES, PLACES) and rng.random() < 0.1):
            targets = [MANIFEST]
        if not targets:
            continue  # not every kind of search has rows of its own
        target = targets[rng.integers(len(targets))]
        sealed = bool(rng.random() < 0.6) and (family.changes is not PLACES or target != MANIFEST)
        allowed = family.allowed if sealed else Allowed.SAME
        # The manifest of the version before and the journal are not read for answers.
        if family.changes is PLACES:
            allowed = Allowed.NOTHING if target in read else Allowed.SAME
        yield Mutation(family.name, name, target, sealed, allowed, seed, family.changes[name])


def copy_index(sample: Path, folder: Path) -> None:
    """Copy an index by links to its files, which are never written into."""
    shutil.copytree(sample, folder, copy_function=os.link)
