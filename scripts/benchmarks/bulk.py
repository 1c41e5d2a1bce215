"""What it takes to build an index of more cards than are in memory at a time."""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from scripts.benchmarks.made_titles import CATEGORIES, draw_titles
from scripts.benchmarks.measuring import MB, cores, in_own_process, peak_bytes, stopwatch
from scripts.benchmarks.page import PAGE, PageOption, table, write_section

# Seconds between two looks at the memory.
LOOK = 0.02
# To which the figures are extrapolated.
MANY = 10_000_000


@dataclass(frozen=True)
class Step:
    """What a step took; sizes in bytes."""

    cpu: float
    peak: int  # files that are mapped included
    own: int  # without these, which the system may take back at any time


def bulk(
    cards: Annotated[str, typer.Option(help="Numbers of cards, each larger.")] = "100000,1000000",
    embedded: Annotated[int, typer.Option(help="Cards that are embedded.")] = 100_000,
    fit_cards: Annotated[int, typer.Option(help="Cards that are fitted to.")] = 5_000,
    page: PageOption = PAGE,
) -> None:
    """Measure the time and the memory of building an index shard by shard."""
    counts = [int(count) for count in cards.split(",")]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        in_own_process(draw_titles, folder / "titles", embedded)
        steps = {"look at all rows, and fit": in_own_process(_fit, folder, fit_cards)}
        steps["embed the others"] = in_own_process(_embed, folder)
        few = [[name, f"{step.cpu:,.0f}", *_sizes(step)] for name, step in steps.items()]
        many = []
        for count in counts:
            many.append(in_own_process(_put_together, folder, count))
    each = steps["embed the others"].cpu / (embedded - fit_cards)
    write_section(
        page,
        "Building shard by shard",
        f"`scripts/bench bulk --cards {cards} --embedded {embedded} --fit-cards {fit_cards}`: "
        f"made-up cards of {CATEGORIES} categories with titles alone; each step in a process of "
        f"its own, {cores()} cores. *Peak*: resident memory with the files that are mapped; *of "
        "its own*: without these, which the system takes back when it needs the room.\n\n"
        f"{embedded:,} cards, of which {embedded - fit_cards:,} were embedded at "
        f"{1000 * each:.2f} ms a card by one core:\n\n"
        f"{table(['step', 'CPU s', 'peak MB', 'of its own'], few)}\n\n"
        "The search index, and the files of the index, of more cards than were embedded: their "
        "shards are those above, each as often as it takes. The last line is extrapolated from "
        "the two before it.\n\n"
        f"{_growth(counts, many)}",
    )


def _sizes(step: Step) -> list[str]:
    return [f"{step.peak / MB:,.0f}", f"{step.own / MB:,.0f}"]


def _growth(counts: list[int], many: list[tuple[Step, Step, int]]) -> str:
    header = ["cards", "search index, CPU s", "peak MB", "of its own"]
    header += ["files, CPU s", "peak MB", "of its own", "MB of files"]
    values = [
        [a.cpu, a.peak / MB, a.own / MB, b.cpu, b.peak / MB, b.own / MB, written / MB]
        for a, b, written in many
    ]
    rows = [[f"{n:,}", *(f"{v:,.0f}" for v in own)] for n, own in zip(counts, values, strict=True)]
    if len(counts) > 1:
        slope = [(b - a) / (counts[-1] - counts[-2]) for a, b in zip(*values[-2:], strict=True)]
        beyond = [v + s * (MANY - counts[-1]) for v, s in zip(values[-1], slope, strict=True)]
        # A row is compared with all cells, which are as many as the square root of the rows.
        beyond[0] = values[-1][0] * (MANY / counts[-1]) ** 1.5
        rows.append([f"{MANY:,} (extrapolated)", *(f"{value:,.0f}" for value in beyond)])
    return table(header, rows)


@contextmanager
def _watched() -> Iterator[dict[str, Any]]:
    """Look at the memory of this process all the time; in the end there is a step."""
    found: dict[str, Any] = {}
    own, is_over = [0], threading.Event()

    def look() -> None:
        while not is_over.wait(LOOK):
            status = Path("/proc/self/status").read_text()
            line = next(ln for ln in status.splitlines() if ln.startswith("RssAnon"))
            own[0] = max(own[0], 1024 * int(line.split()[1]))

    # The peak of what was done before is forgotten.
    Path("/proc/self/clear_refs").write_text("5")
    watcher = threading.Thread(target=look, daemon=True)
    watcher.start()
    with stopwatch() as spent:
        yield found
    is_over.set()
    watcher.join()
    found["step"] = Step(spent.cpu, peak_bytes(), own[0])


def _fit(folder: Path, fit_cards: int) -> Step:
    from prodcat_index.cards.parquet_tables import ParquetTable
    from prodcat_index.distributed import bulk_build
    from prodcat_index.index.product_index import ProductIndex

    with _watched() as found:
        titles = ParquetTable.open(folder / "titles")
        work = folder / "work"
        work.mkdir()
        bulk_build._fit(titles, work, fit_cards, {}, ProductIndex.build)
    return found["step"]


def _embed(folder: Path) -> Step:
    from prodcat_index.cards.parquet_tables import ParquetTable
    from prodcat_index.distributed import bulk_build
    from prodcat_index.distributed.engines import LocalEngine

    with _watched() as found:
        titles = ParquetTable.open(folder / "titles", check=False)
        bulk_build._embed(titles, folder / "work", {}, LocalEngine())
    return found["step"]


def _parts(folder: Path, count: int) -> Any:
    """Return the parts of an index of more cards: with the same shards again and again."""
    from prodcat_index.distributed import bulk_build
    from prodcat_index.distributed.shards import read_done

    known = sorted((folder / "work" / "shards").glob("[0-9]*"))
    work, rows = folder / f"work-{count}", 0
    dones: list[Mapping[str, Any]] = []
    if not work.exists():
        shutil.copytree(folder / "work", work, copy_function=os.link, ignore=_shards)
        (work / "shards").mkdir()
    while rows < count:
        source = known[len(dones) % len(known)]
        target = work / "shards" / f"{len(dones):05d}"
        if not target.exists():
            shutil.copytree(source, target, copy_function=os.link)
        done = read_done(source)
        assert done is not None, "it was written"
        dones.append(done)
        rows += done["rows"]
    return bulk_build._assembled(work, dones)[0], work


def _shards(folder: str, names: list[str]) -> set[str]:
    return {"shards"} & set(names)


def _put_together(folder: Path, count: int) -> tuple[Step, Step, int]:
    """Make the search index, and write everything; return the bytes that are written as well."""
    from prodcat_index.index.product_index import ProductIndex

    with _watched() as searched:
        parts, work = _parts(folder, count)
        indexed = parts.indexed(is_fitted=True, spill=work)
    del parts
    with _watched() as saved:
        ProductIndex(indexed).save(folder / "index")
    written = sum(path.stat().st_size for path in (folder / "index").rglob("*") if path.is_file())
    shutil.rmtree(folder / "index")
    shutil.rmtree(work)
    return searched["step"], saved["step"], written
