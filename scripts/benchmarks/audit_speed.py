"""Seconds and memory of each check of an audit of many cards."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from prodcat_index.cards.card import IMAGE
from prodcat_index.progress import map_in_threads
from scripts.benchmarks.measuring import MB, cores, in_own_process, peak_bytes
from scripts.benchmarks.page import PAGE, PageOption, table, write_section

if TYPE_CHECKING:
    from prodcat_index.audit.check import Check, CheckResult
    from prodcat_index.audit.graph import AuditGraph, NewCards
    from prodcat_index.types import FloatingArray

# Words of a text: those of its category, and any.
NAMING, ANY = {"title": 3, "description": 1}, {"title": 4, "description": 4}
WORDS, WORDS_OF_CATEGORY = 30_000, 12
# Cards that repeat the title and the picture of another one, a word more.
REPEATED = 0.02
# Vectors of pictures come with the cards: no network has to run.
MODALITY = IMAGE
# Squares and pixels of a side of a picture.
SQUARES, SIDE = 6, 64
PICTURES = "pictures"
# Cards that all is fitted to when the index is built; the others are added.
FITTED = 3000
RESET_PEAK = Path("/proc/self/clear_refs")
SEED = 0

# Step -> seconds on the clock, of processor time, and the peak of memory in bytes.
Taken = dict[str, tuple[float, float, int]]


def audit(
    cards: Annotated[int, typer.Option(min=1000, help="Cards of the index.")] = 91_120,
    new: Annotated[int, typer.Option(min=100, help="Cards of the delivery.")] = 5_000,
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
        taken, written = in_own_process(measure, folder, new)
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
        "Zipf sizes, 3 % of them labelled wrong and 2 % repeated, with titles, descriptions and "
        f"pictures, whose vectors come with them. All is fitted to {FITTED:,} cards when the index "
        "is built, and to all of them by the audit, with a split of them. The delivery is of the "
        f"same kind. {cores()} cores. Memory is the "
        "peak of each step, all that is in memory included. The page of the audit has "
        f"{written / MB:.1f} MB.\n\n{table(['step', 'seconds', 'CPU seconds', 'peak MB'], rows)}",
    )


def build(folder: Path, cards: int, new: int) -> None:
    """Write an index of made-up cards with vectors of their pictures, and a delivery like them."""
    from prodcat_index.index.product_index import ProductIndex
    from scripts.benchmarks.made_index import DIMS, draw_vectors

    folder.mkdir(parents=True, exist_ok=True)
    draw_vectors(folder, cards + new, MODALITY, DIMS[MODALITY])
    made, vectors = _cards(folder)
    map_in_threads(_draw_picture, [*dict.fromkeys(made[MODALITY])], "drawing pictures")
    first, rest = slice(min(cards, FITTED)), slice(min(cards, FITTED), cards)
    index = ProductIndex.build(made[first], vectors={MODALITY: vectors[first]})
    if cards > FITTED:
        index = index.add(made[rest], vectors={MODALITY: vectors[rest]})
    index.save(folder / "index")


def _draw_picture(path: str) -> None:
    """Draw squares of colours that are a picture's own."""
    from PIL import Image

    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    colours = np.random.default_rng(int(file.stem)).integers(0, 256, (SQUARES, SQUARES, 3))
    drawn = Image.fromarray(colours.astype(np.uint8)).resize((SIDE, SIDE))
    drawn.save(file)


def _cards(folder: Path) -> tuple[Any, FloatingArray]:
    """Return cards with texts of the words of their categories, and vectors of their pictures."""
    import pandas as pd

    from scripts.benchmarks.made_index import MISLABELLED

    true = np.load(folder / "codes.npy", allow_pickle=False)
    vectors = np.load(folder / "vectors.npy", allow_pickle=False).astype(np.float32)
    rng, count = np.random.default_rng(SEED), len(true)
    letters = np.array(list("abdegiklmnoprstu"))
    words = np.array(["".join(rng.choice(letters, rng.integers(3, 9))) for _ in range(WORDS)])
    own = rng.integers(0, WORDS, (true.max() + 1, WORDS_OF_CATEGORY))
    texts = {}
    for text, naming in NAMING.items():
        named = rng.integers(0, WORDS_OF_CATEGORY, (count, naming))
        chosen = [np.take_along_axis(own[true], named, axis=1)]
        chosen.append(rng.integers(0, WORDS, (count, ANY[text])))
        texts[text] = [" ".join(row) for row in words[np.concatenate(chosen, axis=1)].tolist()]
    codes = np.where(rng.random(count) < MISLABELLED, rng.permutation(true), true)
    ids = [f"{n:07d}" for n in range(count)]
    paths = [str(folder / PICTURES / card[:4] / f"{card}.jpg") for card in ids]
    for row in np.flatnonzero(rng.random(count) < REPEATED).tolist():
        other = int(rng.integers(count))
        texts["title"][row] = f"{texts['title'][other]} {words[row % WORDS]}"
        codes[row], vectors[row], paths[row] = codes[other], vectors[other], paths[other]
    categories = [f"shelf {code % 30:02d} > {words[code]} {code:03d}" for code in codes.tolist()]
    return pd.DataFrame({"id": ids, **texts, MODALITY: paths, "category": categories}), vectors


def measure(folder: Path, new: int) -> tuple[Taken, int]:
    """Audit the cards, and return what each step of it took, and the bytes of its page."""
    from prodcat_index.audit.audit import audit_catalogue, make_checks
    from prodcat_index.audit.graph import build_graph
    from prodcat_index.cards.catalogue import read_catalogue
    from prodcat_index.cards.splitting import split_catalogue
    from prodcat_index.index.product_index import ProductIndex
    from prodcat_index.reports.audit_page import write_audit

    made, vectors = _cards(folder)
    index = ProductIndex.load(folder / "index")
    cards = len(index)
    split = split_catalogue(index.catalogue, by="random")
    late = slice(cards, cards + new)
    arrived, rows = made[late].drop(columns="category"), {MODALITY: vectors[late]}
    delivery = read_catalogue(arrived, vectors=rows, like=index.catalogue)
    del made, vectors, arrived, rows
    steps = _Steps()
    graph = build_graph(index)
    steps.end("answer all cards")
    checks = [_Timed(check, steps) for check in make_checks(split)]
    found = audit_catalogue(index, delivery, checks=checks, graph=graph)
    steps.end("order the items")
    found.to_frame()
    steps.end("make the table")
    page = write_audit(found, folder / "audit.html")
    steps.end("write the page")
    return steps.taken, page.stat().st_size


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
            self._steps.end("answer the delivery")
        result = self._check.run(graph, new)
        self._steps.end(f"check {self.name}")
        return result
