"""Seconds and memory of each check of an audit of many cards."""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from scripts.benchmarks.measuring import MB, cores, in_own_process, peak_bytes
from scripts.benchmarks.page import PAGE, PageOption, table, write_section

if TYPE_CHECKING:
    from prodcat_index.audit.check import Check, CheckResult
    from prodcat_index.audit.graph import AuditGraph, NewCards
    from prodcat_index.types import FloatingArray

# Words of a title: those of its category, and any.
NAMING, ANY = 3, 4
WORDS, WORDS_OF_CATEGORY = 30_000, 12
# Cards that repeat the title of another one, a word more.
REPEATED = 0.02
# Vectors that come with the cards: nothing has to be embedded.
MODALITY = "text"
# Cards that all is fitted to when the index is built; the others are added.
FITTED = 5000
RESET_PEAK = Path("/proc/self/clear_refs")
SEED = 0

# Step -> seconds on the clock, of processor time, and the peak of memory in bytes.
Taken = dict[str, tuple[float, float, int]]


def audit(
    cards: Annotated[int, typer.Option(min=1000, help="Cards of the index.")] = 91_120,
    new: Annotated[int, typer.Option(min=100, help="Cards of the delivery.")] = 20_000,
    kept: Annotated[
        Path | None, typer.Option(help="Folder of the index: built there, or used again.")
    ] = None,
    page: PageOption = PAGE,
) -> None:
    """Measure every check of an audit of made-up cards."""
    with tempfile.TemporaryDirectory() as place:
        folder = kept or Path(place)
        if not (folder / "index").is_dir():
            in_own_process(build, folder, cards, new)
        taken = in_own_process(measure, folder)
    rows = [
        [step, f"{wall:,.1f}", f"{cpu:,.1f}", f"{peak / MB:,.0f}"]
        for step, (wall, cpu, peak) in taken.items()
    ]
    walls, cpus, peaks = zip(*taken.values(), strict=True)
    rows.append(["all", f"{sum(walls):,.1f}", f"{sum(cpus):,.1f}", f"{max(peaks) / MB:,.0f}"])
    write_section(
        page,
        "Audit of many cards",
        f"`scripts/bench audit --cards {cards} --new {new}`: made-up cards of 874 categories of "
        "Zipf sizes, 3 % of them labelled wrong and 2 % repeated, with titles and vectors of "
        f"their own, without text scores and pictures; all is fitted to {FITTED:,} of them when "
        "the index is built, and to all of them by the audit. The delivery is of the same kind. "
        f"{cores()} cores. Memory is the peak of each step, all that is in memory included.\n\n"
        f"{table(['step', 'seconds', 'CPU seconds', 'peak MB'], rows)}",
    )


def build(folder: Path, cards: int, new: int) -> None:
    """Write an index of made-up cards that come with vectors, and a delivery like them."""
    from prodcat_index.index.product_index import ProductIndex
    from scripts.benchmarks.made_index import draw_vectors

    folder.mkdir(parents=True, exist_ok=True)
    draw_vectors(folder, cards + new)
    made, vectors = _cards(folder)
    frame = made.drop(columns=MODALITY)
    first, rest = slice(min(cards, FITTED)), slice(min(cards, FITTED), cards)
    index = ProductIndex.build(frame[first], vectors={MODALITY: vectors[first]})
    if cards > FITTED:
        index = index.add(frame[rest], vectors={MODALITY: vectors[rest]})
    index.save(folder / "index")


def _cards(folder: Path) -> tuple[Any, FloatingArray]:
    """Return cards with titles of the words of their categories, and their vectors."""
    import pandas as pd

    from scripts.benchmarks.made_index import MISLABELLED

    true = np.load(folder / "codes.npy", allow_pickle=False)
    vectors = np.load(folder / "vectors.npy", allow_pickle=False).astype(np.float32)
    rng, count = np.random.default_rng(SEED), len(true)
    letters = np.array(list("abdegiklmnoprstu"))
    words = np.array(["".join(rng.choice(letters, rng.integers(3, 9))) for _ in range(WORDS)])
    own = rng.integers(0, WORDS, (true.max() + 1, WORDS_OF_CATEGORY))
    named = rng.integers(0, WORDS_OF_CATEGORY, (count, NAMING))
    chosen = [np.take_along_axis(own[true], named, axis=1), rng.integers(0, WORDS, (count, ANY))]
    titles = [" ".join(row) for row in words[np.concatenate(chosen, axis=1)].tolist()]
    codes = np.where(rng.random(count) < MISLABELLED, rng.permutation(true), true)
    for row in np.flatnonzero(rng.random(count) < REPEATED).tolist():
        other = int(rng.integers(count))
        titles[row], codes[row] = f"{titles[other]} {words[row % WORDS]}", codes[other]
        vectors[row] = vectors[other]
    ids = [f"{n:07d}" for n in range(count)]
    categories = [f"shelf {code % 30:02d} > {words[code]} {code:03d}" for code in codes.tolist()]
    return pd.DataFrame({"id": ids, MODALITY: titles, "category": categories}), vectors


def measure(folder: Path) -> Taken:
    """Audit the cards, and say what each step of it took."""
    from prodcat_index.audit.audit import audit_catalogue
    from prodcat_index.audit.coverage import Coverage
    from prodcat_index.audit.delivery_drift import DeliveryDrift
    from prodcat_index.audit.duplicate_cards import DuplicateCards
    from prodcat_index.audit.label_errors import LabelErrors
    from prodcat_index.audit.leaks import Leaks
    from prodcat_index.audit.new_categories import NewCategories
    from prodcat_index.cards.card import Catalogue
    from prodcat_index.cards.catalogue import read_catalogue
    from prodcat_index.index.product_index import ProductIndex

    made, vectors = _cards(folder)
    index = ProductIndex.load(folder / "index")
    cards = len(index)
    # The titles are compared by the checks, and are not embedded.
    catalogue = Catalogue(made[:cards], (MODALITY,))
    index = ProductIndex(replace(index.parts, catalogue=catalogue))
    delivery = read_catalogue(made[cards:], vectors={MODALITY: vectors[cards:]})
    steps = _Steps()
    checks = LabelErrors(), DuplicateCards(), DeliveryDrift(), Coverage(), NewCategories(), Leaks()
    found = audit_catalogue(index, delivery, checks=[_Timed(check, steps) for check in checks])
    steps.end("order the items")
    found.to_frame()
    steps.end("make the table")
    return steps.taken


class _Steps:
    """What the steps of a run took, one after the other."""

    def __init__(self) -> None:
        self.taken: Taken = {}
        self._start()

    def _start(self) -> None:
        if RESET_PEAK.is_file():
            RESET_PEAK.write_text("5")
        self._since = time.perf_counter(), time.process_time()

    def end(self, name: str) -> None:
        wall, cpu = self._since
        self.taken[name] = time.perf_counter() - wall, time.process_time() - cpu, peak_bytes()
        print(f"{name}: {self.taken[name]}", file=sys.stderr)
        self._start()


class _Timed:
    """A check that says when it ends."""

    def __init__(self, check: Check, steps: _Steps) -> None:
        self.name, self._check, self._steps = check.name, check, steps

    def run(self, graph: AuditGraph, new: NewCards | None = None) -> CheckResult:
        """Run the check."""
        if not any(step.startswith("check") for step in self._steps.taken):
            self._steps.end("answer all cards and the delivery")
        result = self._check.run(graph, new)
        self._steps.end(f"check {self.name}")
        return result
