"""Answers of an index beside a bare search by FAISS over the same rows."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Annotated, Any, NamedTuple

import numpy as np
import typer

from scripts.benchmarks.measuring import MB, in_own_process, peak_bytes, stopwatch
from scripts.benchmarks.page import PAGE, PageOption, table, write_section

# How many queries are asked at once -> how many times in a round.
BATCHES = {2000: 1, 64: 10, 1: 100}
NOISE = 0.01
SEED = 1
BARE = """
import faiss, numpy as np, sys
path, dim = sys.argv[1], int(sys.argv[2])
rows = np.memmap(path, np.float32, "r").reshape(-1, dim)
print(faiss.knn(np.asarray(rows[:1]), rows, 10, faiss.METRIC_INNER_PRODUCT)[1])
"""
FUSED = "fused.npy"
WORDS = 6000
SHELVES = 300


class Ways(NamedTuple):
    """Seconds a call of both ways: the median of each round by the size of the batch."""

    bare: dict[int, list[float]]
    ours: dict[int, list[float]]


def search(
    cards: Annotated[int, typer.Option(min=2000, help="Cards of the made-up index.")] = 91_120,
    rounds: Annotated[int, typer.Option(min=1, help="Times that each way is taken.")] = 7,
    titles: Annotated[
        int, typer.Option(min=0, help="Titles of the index of a first query; 0 leaves it out.")
    ] = 91_120,
    page: PageOption = PAGE,
) -> None:
    """Compare predictions from embeddings, and a first query, with a bare search by FAISS."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        dim = in_own_process(_make, folder, cards)
        ways = in_own_process(compare, folder, rounds)
        peaks = [in_own_process(_peak, folder, is_ours) / MB for is_ours in (False, True)]
        cold = _compare_cold(folder, titles, rounds) if titles else ""
    rows = []
    for size in BATCHES:
        bare, ours = ways.bare[size], ways.ours[size]
        ratio = median(b / a for a, b in zip(bare, ours, strict=True))
        times = [f"{1000 * median(each):,.2f}" for each in (bare, ours)]
        rows.append([f"{size:,} at once", *times, f"{ratio:.2f}"])
    header = ["queries", "bare FAISS, ms a call", "answers, ms a call", "ratio"]
    write_section(
        page,
        "Answers beside bare FAISS",
        f"`scripts/bench search --cards {cards} --rounds {rounds} --titles {titles}`: listings "
        f"that are embedded already, through `ProductIndex.predict(listings).to_rows()`, the "
        f"projection, the linear head, the vote and the answers as rows included, beside "
        f"`IndexFlatIP.search` for the same fused rows of {dim} numbers and as many "
        f"neighbours; one thread, processor time, faiss {version('faiss-cpu')}; both in one "
        f"process in turns, medians of {rounds} rounds (of one "
        "query, of the medians of its calls) and of the ratios within a round.\n\n"
        f"{table(header, rows)}\n\n"
        f"Peak memory of a process that answers 2,000: {peaks[1]:,.0f} MB, bare {peaks[0]:,.0f} MB "
        "(mapped files included).\n\n"
        f"{cold}",
    )


def _make(folder: Path, cards: int) -> int:
    """Write an index of made-up vectors, and return the length of its fused rows."""
    from prodcat_index.cards.catalogue import read_catalogue
    from prodcat_index.encoders.base import GivenVectors
    from prodcat_index.index.block import EncoderSlot
    from prodcat_index.index.kinds import IndexChoice
    from prodcat_index.index.product_index import ProductIndex
    from prodcat_index.index.searchers import FlatSearcher
    from scripts.benchmarks.made_index import draw_cards, open_cards

    draw_cards(folder, cards)
    parts = open_cards(folder)
    encoders = [GivenVectors(block.dim) for block in parts.blocks]
    slots = [EncoderSlot(each.spec, each.fingerprint, encoder=each) for each in encoders]
    pairs = zip(parts.blocks, slots, strict=True)
    blocks = [replace(block, slot=slot) for block, slot in pairs]
    parts = replace(parts, blocks=blocks, catalogue=read_catalogue(parts.catalogue.cards))
    parts = replace(parts, asked=IndexChoice("flat"))
    ProductIndex(parts).save(folder / "index")
    searcher = parts.indexed().searcher
    assert isinstance(searcher, FlatSearcher), "it was asked for"
    np.save(folder / FUSED, np.asarray(searcher.rows))
    return searcher.dim


def _open(folder: Path) -> tuple[Any, Any]:
    """Return the index, and listings near some of its cards."""
    import pandas as pd

    from prodcat_index.cards.catalogue import read_catalogue
    from prodcat_index.encoders.base import unit_rows
    from prodcat_index.index.product_index import ProductIndex

    index = ProductIndex.load(folder / "index")
    rng = np.random.default_rng(SEED)
    rows = np.sort(rng.choice(len(index), max(BATCHES), replace=False))
    near = {block.name: block.vectors[rows].astype(np.float32) for block in index.parts.blocks}
    vectors = {
        name: unit_rows(rows + NOISE * rng.normal(size=rows.shape).astype(np.float32))
        for name, rows in near.items()
    }
    ids = [f"listing {number}" for number in range(len(rows))]
    return index, read_catalogue(pd.DataFrame({"id": ids, "title": ids}), vectors=vectors)


def _bare(index: Any, listings: Any) -> tuple[Any, Any]:
    """Return an index of FAISS over the rows that ours searches, and the listings as its rows."""
    import faiss

    from prodcat_index.index.fusion import effective_weights, fuse_queries

    parts = index.parts
    flat = faiss.IndexFlatIP(parts.searcher.dim)
    flat.add(np.ascontiguousarray(parts.searcher.rows))
    queries = parts.encode(listings)
    weights = effective_weights(parts.weight_vector(None), queries.present)
    covered = [parts.block_names.index(name) for name in parts.covered]
    vectors = [queries.vectors[b] for b in covered]
    shared = weights[:, covered]
    return flat, fuse_queries(vectors, shared, np.zeros_like(shared))


def compare(folder: Path, rounds: int) -> Ways:
    """Take both ways in turns."""
    import faiss

    faiss.omp_set_num_threads(1)
    index, listings = _open(folder)
    flat, fused = _bare(index, listings)
    k = index.parts.vote.k
    ways = Ways({size: [] for size in BATCHES}, {size: [] for size in BATCHES})

    def answer(own: Any) -> Any:
        return index.predict(own).to_rows()

    for turn in range(rounds + 1):
        for size, count in BATCHES.items():
            parts = [slice(size * n, size * (n + 1)) for n in range(count)]
            chosen = [np.arange(part.start, part.stop) for part in parts]
            batches = [(fused[rows], listings.select(rows)) for rows in chosen]
            bare = [_cpu(partial(flat.search, rows, k)) for rows, _ in batches]
            ours = [_cpu(partial(answer, own)) for _, own in batches]
            if turn:  # Not the first, which finds nothing in the caches.
                ways.bare[size].append(median(bare))
                ways.ours[size].append(median(ours))
    return ways


def _cpu(work: Callable[[], object]) -> float:
    with stopwatch() as spent:
        work()
    return spent.cpu


def _seconds(work: Callable[[], object]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _peak(folder: Path, is_ours: bool) -> int:
    if is_ours:
        index, listings = _open(folder)
        index.predict(listings).to_rows()
        return peak_bytes()
    import faiss

    rows = np.load(folder / FUSED, allow_pickle=False)
    flat = faiss.IndexFlatIP(rows.shape[1])
    flat.add(rows)
    flat.search(rows[: max(BATCHES)], 10)
    return peak_bytes()


def _compare_cold(folder: Path, cards: int, rounds: int) -> str:
    """Compare a first query with a process that compares one row with all."""
    dim, title = in_own_process(_make_titles, folder, cards)
    bare = [sys.executable, "-c", BARE, str(folder / "titles.f32"), str(dim)]
    ours = [sys.executable, "-m", "prodcat_index", "query", "--text", title]
    ours += ["--index", str(folder / "titles")]
    times: tuple[list[float], list[float]] = [], []
    for turn in range(rounds + 1):
        for command, own in zip((bare, ours), times, strict=True):
            spent = _cpu_seconds(command)
            if turn:  # The first writes what Python compiles.
                own.append(spent)
    bare_seconds, seconds = map(median, times)
    return (
        f"A first query, start of the process included: `prodcat query` for a title among "
        f"{cards:,} by the default encoders takes {seconds:.2f} s of CPU; a script that imports "
        "faiss and numpy, maps the rows of the same blocks and compares one with all takes "
        f"{bare_seconds:.2f} s; ratio {seconds / bare_seconds:.2f} (medians of {rounds} in turns)."
    )


def _cpu_seconds(command: list[str]) -> float:
    """Return the CPU seconds of a process, which depend least on what else the machine does."""
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, check=True, capture_output=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def _make_titles(folder: Path, cards: int) -> tuple[int, str]:
    """Write an index of made-up titles, and the fused rows that a query of it is compared with."""
    import pandas as pd

    from prodcat_index.index.product_index import ProductIndex
    from prodcat_index.index.searchers import FlatSearcher

    rng = np.random.default_rng(SEED)
    letters = np.array(list("abdegiklmnoprstu"))
    words = np.array(["".join(rng.choice(letters, rng.integers(3, 9))) for _ in range(WORDS)])
    shelf = rng.integers(0, SHELVES, cards)
    own = rng.integers(0, WORDS, (SHELVES, 12))
    named = np.take_along_axis(own[shelf], rng.integers(0, 12, (cards, 3)), axis=1)
    texts = words[np.concatenate([named, rng.integers(0, WORDS, (cards, 4))], axis=1)]
    titles = [" ".join(row) for row in texts.tolist()]
    table = pd.DataFrame({"id": range(cards), "title": titles, "category": shelf.astype(str)})
    index = ProductIndex.build(table)
    index.save(folder / "titles")
    blocks = index.parts.encoder_blocks
    present = np.stack([block.present for block in blocks], axis=1)
    rows = FlatSearcher.build([block.vectors for block in blocks], present).rows
    np.asarray(rows).tofile(folder / "titles.f32")
    return rows.shape[1], titles[0]
