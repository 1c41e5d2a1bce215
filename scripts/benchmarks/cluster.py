"""An index in PostgreSQL and in Milvus against the same index in its folder."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import numpy as np
import typer

from scripts.benchmarks.measuring import cores, stopwatch
from scripts.benchmarks.page import PAGE, PageOption, table, write_section

# How far the categories lie apart in each modality, and its columns.
MODALITIES = {"title": 192, "description": 128}
CHANGED = 0.01
NEIGHBOURS = 20
STORES = ("postgres", "lite", "standalone")
SHOWN = {"postgres": "PostgreSQL", "lite": "milvus-lite", "standalone": "Milvus"}


@dataclass(frozen=True)
class Measured:
    """What an index takes, in seconds on the clock, and finds."""

    build: float
    sync: float
    alone: float  # queries a second
    batch: float
    filtered: float  # queries a second among the cards of a small category
    recall: dict[str, float]
    walk: int


def cluster(
    cards: Annotated[int, typer.Option(help="Cards of the index.")] = 50_000,
    queries: Annotated[int, typer.Option(help="Queries of each measurement.")] = 200,
    only: Annotated[str, typer.Option(help="Stores to measure.")] = ",".join(STORES),
    page: PageOption = PAGE,
) -> None:
    """Compare stores with the index in its folder, which compares all cards."""
    from importlib.metadata import version

    from prodcat_index.index.product_index import ProductIndex

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        rows, codes = _draw(int(cards * (1 + CHANGED)) + queries)
        frame, vectors = _cards(rows, codes, 0, cards)
        built = ProductIndex.build(frame, vectors=vectors, index="flat")
        plain = _measure(built, folder / "flat", None, rows, codes, queries)
        measured = {"folder": plain}
        for name in only.split(","):
            with _store(name, folder) as url:
                measured[SHOWN[name]] = _measure(built, folder / name, url, rows, codes, queries)
    header = ["index in", "build, s", "sync of 1 %, s", "a second, alone", "in a batch", "filtered"]
    shown = [_cells(name, own, plain) for name, own in measured.items()]
    found = [
        [name, str(own.walk), *(f"{recall:.3f}" for recall in own.recall.values())]
        for name, own in measured.items()
        if name != "folder"
    ]
    write_section(
        page,
        "Stores",
        f"`scripts/bench cluster --cards {cards} --queries {queries} --only {only}`: made-up cards "
        f"that come with vectors of {' and '.join(map(str, MODALITIES.values()))} columns; "
        "servers on the same machine, which is the client's too, so that rates are those of both "
        f"together; {cores()} cores, seconds on the clock, in brackets against the folder. "
        "*Build* is the writing of the rows and of the search index, *filtered* a query within "
        "one category of a hundred cards, which is compared card by card. PostgreSQL ran without "
        f"fsync; pymilvus {version('pymilvus')}.\n\n{table(header, shown)}\n\n"
        f"Recall@{NEIGHBOURS} against the folder, which compares all, by weights, and the walk "
        "(ef) that was chosen at the build:\n\n"
        f"{table(['index in', 'walk', *plain.recall], found)}",
    )


def _cells(name: str, own: Measured, plain: Measured) -> list[str]:
    times = [f"{t:,.1f} ({t / p:.2g} x)" for t, p in _pairs(own, plain, "build", "sync")]
    rates = [f"{r:,.0f} ({r / p:.2g} x)" for r, p in _pairs(own, plain, "alone", "batch")]
    rates += [f"{r:,.0f} ({r / p:.2g} x)" for r, p in _pairs(own, plain, "filtered")]
    return [name, *times, *rates]


def _pairs(own: Measured, plain: Measured, *names: str) -> Iterator[tuple[float, float]]:
    return ((getattr(own, name), getattr(plain, name)) for name in names)


def _draw(count: int) -> tuple[dict[str, Any], Any]:
    from scripts.benchmarks.made_index import SEED, _rows_of, draw_categories

    rng = np.random.default_rng(SEED)
    codes = draw_categories(rng, count)
    rows = {name: _rows_of(name, d, codes, rng)(slice(count)) for name, d in MODALITIES.items()}
    return rows, codes


def _cards(rows: dict[str, Any], codes: Any, first: int, last: int) -> tuple[Any, Any]:
    import pandas as pd

    ids = [f"{n:07d}" for n in range(first, last)]
    names = [f"{code:04d}" for code in codes[first:last].tolist()]
    vectors = {name: own[first:last] for name, own in rows.items()}
    return pd.DataFrame({"id": ids, "category": names}), vectors


def _measure(
    built: Any, folder: Path, url: str | None, rows: Any, codes: Any, queries: int
) -> Measured:
    from prodcat_index.cards.card import Card
    from prodcat_index.index.folder import read_manifest
    from prodcat_index.index.product_index import ProductIndex

    with stopwatch() as build:
        built.save(folder, store=url)
    index, cards = ProductIndex.load(folder), len(built.parts.catalogue)
    _, vectors = _cards(rows, codes, len(codes) - queries, len(codes))
    # Not a part of what is measured.
    asked = [
        index.encode(Card(title=f"{n}"), vectors={name: own[n] for name, own in vectors.items()})
        for n in range(queries)
    ]

    def ask(some: slice, **options: Any) -> Any:
        return index.search_each(asked[some], NEIGHBOURS, **options)

    sizes = np.bincount(codes[:cards])
    small = f"category={np.abs(sizes - 100).argmin():04d}"
    ask(slice(0, 2))
    with stopwatch() as alone:
        for n in range(queries):
            ask(slice(n, n + 1))
    with stopwatch() as filtered:
        for n in range(queries):
            ask(slice(n, n + 1), where=small)
    with stopwatch() as batch:
        ask(slice(None))
    names = list(MODALITIES)
    weights = {"of the index": None, "equal": dict.fromkeys(names, 1.0)}
    weights |= {f"{name} alone": {name: 1.0} for name in names}
    recall = {}
    for name, own in weights.items():
        truth = built.search_each(asked, NEIGHBOURS, weights=own)
        pairs = zip(ask(slice(None), weights=own), truth, strict=True)
        hits = [
            sum(n.similarity >= last[-1].similarity - 1e-9 for n in found) for found, last in pairs
        ]
        recall[name] = float(np.mean(hits)) / NEIGHBOURS
    changed = int(cards * CHANGED)
    with stopwatch() as sync:
        later = _cards(rows, codes, changed, cards + changed)
        ProductIndex.load(folder).sync(later[0], vectors=later[1]).save_next(folder)
    record = read_manifest(folder).store
    walk = record.walk if record else 0
    return Measured(
        build=build.wall,
        sync=sync.wall,
        alone=queries / alone.wall,
        batch=queries / batch.wall,
        filtered=queries / filtered.wall,
        recall=recall,
        walk=walk,
    )


@contextmanager
def _store(name: str, folder: Path) -> Iterator[str]:
    """Start a server as the tests do."""
    sys.path[:0] = [path for path in ("tests", "tests/scale") if path not in sys.path]
    with ExitStack() as stack:
        if name == "postgres":
            from postgres import PostgresServer

            server = PostgresServer()
            stack.callback(server.close)
            yield server.url
        else:
            from servers import MilvusServer

            started = MilvusServer(name, folder / f"milvus-{name}")
            stack.callback(started.stop)
            stack.enter_context(patch.dict("os.environ", started.environment))
            yield started.start().wait().address.url
