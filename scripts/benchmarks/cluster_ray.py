"""Shards embedded by the workers of two nodes against one process."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from unittest.mock import patch

import typer

from scripts.benchmarks.made_titles import CATEGORIES, draw_titles
from scripts.benchmarks.measuring import cores, in_own_process
from scripts.benchmarks.page import PAGE, PageOption, table, write_section

# Of a shard; there are enough of them for the last one not to count.
ROWS = 2_500
# On both nodes together, where one CPU is left to the driver.
WORKERS = 2


class Pace(NamedTuple):
    """Seconds that all shards took, and those between two results."""

    whole: float
    pace: float


def nodes(
    embedded: Annotated[int, typer.Option(help="Cards that are embedded.")] = 60_000,
    fit_cards: Annotated[int, typer.Option(help="Cards that are fitted to.")] = 5_000,
    page: PageOption = PAGE,
) -> None:
    """Compare two nodes of a Ray cluster with one process, on the same cores."""
    # On one thread each, as the workers.
    with tempfile.TemporaryDirectory() as place, patch.dict(os.environ, OMP_NUM_THREADS="1"):
        folder = Path(place)
        in_own_process(draw_titles, folder / "titles", embedded)
        in_own_process(_fit, folder, fit_cards)
        alone, both = in_own_process(_embed, folder), in_own_process(_embed_by_nodes, folder)
    shards = -(-embedded // ROWS)
    each = [alone.pace, WORKERS * both.pace]
    overhead = f"{each[1] / each[0] - 1:+.0%}"
    cells = [
        ["one process", "1", f"{alone.whole:,.1f}", f"{each[0]:.2f}", ""],
        ["two nodes", str(WORKERS), f"{both.whole:,.1f}", f"{each[1]:.2f}", overhead],
    ]
    header = ["by", "workers", "all shards, s", "a shard, s of a worker", "overhead"]
    write_section(
        page,
        "Two nodes",
        f"`scripts/bench nodes --embedded {embedded} --fit-cards {fit_cards}`: made-up cards of "
        f"{CATEGORIES} categories with titles alone, embedded in {shards} shards by what was "
        f"fitted; seconds on the clock. The nodes are two addresses of this machine with {cores()} "
        "cores. *All shards* has the start of the workers in it, and *a shard* the time from the "
        "first result to the last alone.\n\n"
        f"{table(header, cells)}",
    )


def _fit(folder: Path, fit_cards: int) -> None:
    from prodcat_index.cards.parquet_tables import ParquetTable
    from prodcat_index.distributed import bulk_build
    from prodcat_index.index.product_index import ProductIndex

    (folder / "work").mkdir()
    titles = ParquetTable.open(folder / "titles")
    build = ProductIndex.build
    bulk_build._fit(titles, folder / "work", fit_cards, {}, build)


class _Timed:
    """An engine, and when its results come."""

    def __init__(self, engine: Any) -> None:
        self._engine, self._times = engine, list[float]()

    def map(self, *work: Any, **names: Any) -> Iterator[Any]:
        self._times.append(time.perf_counter())
        for found in self._engine.map(*work, **names):
            self._times.append(time.perf_counter())
            yield found

    @property
    def whole(self) -> float:
        return self._times[-1] - self._times[0]

    def pace(self, workers: int) -> float:
        """Seconds between two results, of which the first of each worker begin the count."""
        return (self._times[-1] - self._times[workers]) / (len(self._times) - 1 - workers)


def _embed(folder: Path, engine: Any = None, workers: int = 1) -> Pace:
    from prodcat_index.cards.parquet_tables import ParquetTable
    from prodcat_index.distributed import bulk_build, shards
    from prodcat_index.distributed.engines import LocalEngine

    titles = ParquetTable.open(folder / "titles", check=False)
    timed: Any = _Timed(engine or LocalEngine())
    with (
        patch.object(bulk_build, "ROWS_IN_SHARD", ROWS),
        patch.object(shards, "ROWS_IN_SHARD", ROWS),
    ):
        bulk_build._embed(titles, folder / "work", {}, timed)
    shutil.rmtree(folder / "work" / "shards")
    return Pace(timed.whole, timed.pace(workers))


def _embed_by_nodes(folder: Path) -> Pace:
    sys.path[:0] = ["tests", "tests/scale"]
    from nodes import RayNodes, WatchedEngine

    cluster = RayNodes()
    try:
        with patch.dict(os.environ, cluster.environment):
            cluster.start_head()
            cluster.start_worker(cpus=1)
            engine = WatchedEngine(cluster.address, log=folder / "log", rows=ROWS)
            return _embed(folder, engine, WORKERS)
    finally:
        cluster.stop()
