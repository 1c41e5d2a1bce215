"""How the cost of building, asking and changing an index grows with its cards."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import numpy as np
import typer

from prodcat_index.reports.style import drawn_as, show_counts
from scripts.benchmarks.measuring import MB, cores, in_own_process, peak_bytes, stopwatch
from scripts.benchmarks.page import PAGE, PageOption, table, write_section

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FIGURE = "images/scale.png"
# Vectors that came with the cards: nothing has to be embedded.
MODALITY = "text"
CHANGED = 1000
ALONE, BATCH = 50, 1000
SEED = 2
STEPS = ("build and save", "open", "a query", "a query of 1,000", "add", "remove", "sync")


@dataclass(frozen=True)
class Step:
    """What one step took, in a process of its own; sizes in bytes."""

    seconds: float  # of processor time
    peak: int
    written: int


def scale(
    cards: Annotated[str, typer.Option(help="Numbers of cards, each larger.")] = (
        "10000,100000,1000000"
    ),
    page: PageOption = PAGE,
) -> None:
    """Measure how building, asking and changing an index grows with its cards."""
    counts = [int(count) for count in cards.split(",")]
    taken = [_measure(count) for count in counts]
    header = ["CPU seconds (peak MB) for", *[f"{count:,} cards" for count in counts], "growth"]
    rows = [_row(step, [each[step] for each in taken]) for step in STEPS]
    written = [
        [f"MB written by {step}", *[f"{each[step].written / MB:,.1f}" for each in taken], ""]
        for step in ("build and save", "add", "remove", "sync")
    ]
    figure = draw_growth(counts, {s: [each[s].seconds for each in taken] for s in STEPS})
    (page.parent / FIGURE).parent.mkdir(parents=True, exist_ok=True)
    (page.parent / FIGURE).write_bytes(figure.content)
    write_section(
        page,
        "Growth with the number of cards",
        f"`scripts/bench scale --cards {cards}`: made-up cards of 874 categories that come with "
        f"their vectors, so that nothing is embedded; each step in a process of its own, {cores()} "
        f"cores. *Add*, *remove* and *sync* change {CHANGED:,} cards, the opening before and the "
        "saving after included; *sync* reads a whole export of which so many cards are new. *A "
        "query* is the mean of one at a time. *Growth*: of the last number of cards beside the "
        f"first.\n\n{table(header, [*rows, *written])}\n\n![{figure.alt}]({FIGURE})",
    )


def _row(step: str, taken: list[Step]) -> list[str]:
    shown = [f"{t.seconds:,.3g} ({t.peak / MB:,.0f})" for t in taken]
    return [step, *shown, f"{taken[-1].seconds / taken[0].seconds:,.1f} x"]


def _measure(count: int) -> dict[str, Step]:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        in_own_process(_draw, folder, count + 2 * CHANGED)
        taken = {"build and save": in_own_process(_taken, folder, _build, count)}
        taken["open"] = in_own_process(_taken, folder, _open, count)
        taken["a query"] = in_own_process(_taken, folder, _ask_alone, count)
        taken["a query of 1,000"] = in_own_process(_taken, folder, _ask_together, count)
        for name, change in (("add", _add), ("remove", _remove), ("sync", _sync)):
            taken[name] = in_own_process(_taken, folder, change, count)
    return taken


def _draw(folder: Path, count: int) -> None:
    from scripts.benchmarks.made_index import draw_vectors

    draw_vectors(folder, count)


def _taken(folder: Path, step: Callable[[Path, int], float], count: int) -> Step:
    """Take a step, which returns the seconds of what is measured."""
    before = _files(folder)
    seconds = step(folder, count)
    written = sum(size - before.get(path, 0) for path, size in _files(folder).items())
    return Step(seconds, peak_bytes(), written)


def _files(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}


def _cards(folder: Path, first: int, last: int) -> tuple[Any, dict[str, Any]]:
    """Return some of the cards and their vectors."""
    import pandas as pd

    codes = np.load(folder / "codes.npy", mmap_mode="r", allow_pickle=False)[first:last]
    vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)[first:last]
    ids = [f"{n:07d}" for n in range(first, last)]
    frame = pd.DataFrame({"id": ids, "category": [f"{code:04d}" for code in codes.tolist()]})
    return frame, {MODALITY: vectors.astype(np.float32)}


def _build(folder: Path, count: int) -> float:
    from prodcat_index.index.product_index import ProductIndex

    cards, vectors = _cards(folder, 0, count)
    with stopwatch() as spent:
        ProductIndex.build(cards, vectors=vectors).save(folder / "index")
    return spent.cpu


def _load(folder: Path) -> Any:
    from prodcat_index.index.product_index import ProductIndex

    return ProductIndex.load(folder / "index", verify=False)


def _open(folder: Path, count: int) -> float:
    import prodcat_index.index.product_index  # noqa: F401

    with stopwatch() as spent:
        _load(folder)
    return spent.cpu


def _ask(folder: Path, count: int, batch: int, times: int) -> float:
    index = _load(folder)
    cards, vectors = _cards(folder, count, count + CHANGED)
    listings = cards.drop(columns="category")
    index.predict(listings[:1], vectors={MODALITY: vectors[MODALITY][:1]}).to_rows()
    with stopwatch() as spent:
        for n in range(times):
            some = slice(n * batch, (n + 1) * batch)
            index.predict(listings[some], vectors={MODALITY: vectors[MODALITY][some]}).to_rows()
    return spent.cpu / times


def _ask_alone(folder: Path, count: int) -> float:
    return _ask(folder, count, 1, ALONE)


def _ask_together(folder: Path, count: int) -> float:
    return _ask(folder, count, BATCH, 1)


def _change(folder: Path, change: Callable[[Any], Any]) -> float:
    with stopwatch() as spent:
        change(_load(folder)).save_next(folder / "index")
    return spent.cpu


def _add(folder: Path, count: int) -> float:
    cards, vectors = _cards(folder, count, count + CHANGED)
    return _change(folder, lambda index: index.add(cards, vectors=vectors))


def _remove(folder: Path, count: int) -> float:
    gone = [f"{n:07d}" for n in range(count, count + CHANGED)]
    return _change(folder, lambda index: index.remove(gone))


def _sync(folder: Path, count: int) -> float:
    cards, vectors = _cards(folder, 0, count + CHANGED)
    return _change(folder, lambda index: index.sync(cards, vectors=vectors))


@drawn_as("scale.png")
def draw_growth(figure: Figure, counts: list[int], seconds: dict[str, list[float]]) -> str:
    """Draw seconds by the number of cards, both logarithmic."""
    axes = figure.add_subplot()
    for name, values in seconds.items():
        axes.plot(counts, values, marker="o", label=name)
    axes.set_xscale("log")
    axes.set_yscale("log")
    show_counts(axes.xaxis)
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel("cards")
    axes.set_ylabel("CPU seconds")
    axes.legend(frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    ends = ", ".join(
        f"{name} {values[-1] / values[0]:,.1f} times" for name, values in seconds.items()
    )
    return f"From {counts[0]:,} to {counts[-1]:,} cards the steps take longer: {ends}"
