"""The search of this project beside other libraries, at the same recall."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from prodcat_index.types import Float32Array, Int64Array
from scripts.benchmarks.measuring import MB, in_own_process, stopwatch
from scripts.benchmarks.page import PAGE, PageOption, table, write_section

QUERIES = 500
K = 10
RECALL = 0.99
# What the search of a library is widened by, in turn.
WIDTHS = (16, 32, 64, 128, 256, 512, 1024, 2048)

# (width) -> what finds the rows of K cards for each query.
Finder = Callable[[int], Callable[[Float32Array], Int64Array]]


@dataclass(frozen=True)
class Measured:
    """What a library took, on one thread; rates by CPU seconds, sizes in bytes."""

    build: float
    memory: int
    a_second: float
    recall: float
    width: int


def peers(
    cards: Annotated[int, typer.Option(min=1000, help="Cards of the made-up index.")] = 1_000_000,
    page: PageOption = PAGE,
) -> None:
    """Compare the approximate search with those of other libraries. Needs the extra bench."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        dim = in_own_process(_draw, Path(folder), cards)
        for name in LIBRARIES:
            m = in_own_process(measure, Path(folder), cards, name)
            shown = f"{m.a_second:,.0f}", f"{m.recall:.3f}", str(m.width or "-")
            rows.append([name, f"{m.build:,.0f}", f"{m.memory / MB:,.0f}", *shown])
    names = ("faiss-cpu", "hnswlib", "usearch", "lancedb")
    header = ["library", "build, CPU s", "MB in memory", "queries a CPU second", "recall at 10"]
    write_section(
        page,
        "Search beside other libraries",
        f"`scripts/bench peers --cards {cards}`: {cards:,} made-up cards in {dim} dimensions, the "
        f"{K} nearest by inner product of {QUERIES} queries that are not among them, asked "
        f"together; one thread; {', '.join(f'{name} {version(name)}' for name in names)}. Each "
        f"search is as wide as a recall of {RECALL} takes, or as wide as was tried: {WIDTHS[-1]} "
        "for graphs, which find it hard that the hubness of a card, the last column, makes the "
        "product no distance. Memory is that "
        "of the process beyond the rows, files that are mapped left out, of prodcat once opened; "
        "its similarities are recomputed exactly from the 16-bit rows on disk, a part of its "
        "time.\n\n"
        f"{table([*header, 'width'], rows)}\n\n"
        f"Rows of float32 take {4 * dim * cards / MB:,.0f} MB.",
    )


def _draw(folder: Path, cards: int) -> int:
    from scripts.benchmarks.made_index import draw_learned

    block = draw_learned(folder / "rows.npy", cards + QUERIES)
    return block.dim


def measure(folder: Path, cards: int, name: str) -> Measured:
    """Build the index of a library and search it as widely as it takes."""
    import faiss

    faiss.omp_set_num_threads(1)
    rows = np.load(folder / "rows.npy", mmap_mode="r", allow_pickle=False)
    queries = rows[cards:].astype(np.float32)
    # The last column takes the hubness of a card off its similarity.
    queries[:, -1] = 1.0
    least = _nearest(rows, cards, queries)
    before = _anonymous_bytes()
    with stopwatch() as spent:
        finder, widths = LIBRARIES[name](folder, rows[:cards])
    memory = _anonymous_bytes() - before
    if name in KINDS:
        # As it is opened from its folder: what builds it holds it twice.
        memory = in_own_process(_opened_bytes, folder, KINDS[name])
    for width in widths:
        find = finder(width)
        found = find(queries)
        similarities = np.einsum("nkd,nd->nk", rows[found].astype(np.float32), queries)
        recall = float((similarities >= least[:, None] - 1e-5).mean())
        if recall >= RECALL:
            break
    with stopwatch() as asked:
        find(queries)
    return Measured(spent.cpu, memory, QUERIES / asked.cpu, recall, width)


def _nearest(rows: Any, cards: int, queries: Float32Array) -> Float32Array:
    """Return the similarity of the last of the true neighbours of each query."""
    best = np.full((len(queries), K), -np.inf, dtype=np.float32)
    for start in range(0, cards, 16_384):
        own = queries @ rows[start : min(start + 16_384, cards)].astype(np.float32).T
        best = np.partition(np.hstack([best, own]), -K, axis=1)[:, -K:]
    least: Float32Array = best.min(axis=1)
    return least


def _anonymous_bytes() -> int:
    """Return the resident memory of this process that is no mapped file."""
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    line = next(line for line in status.splitlines() if line.startswith("RssAnon"))
    return 1024 * int(line.split()[1])


def _opened_bytes(folder: Path, kind: str) -> int:
    """Return the memory of codes that are opened and ready for a search."""
    import faiss  # noqa: F401

    from prodcat_index.index.quantized import Codes

    stored = (folder / kind).glob("*.npy")
    arrays = {path.stem: np.load(path, mmap_mode="r", allow_pickle=False) for path in stored}
    before = _anonymous_bytes()
    codes = Codes.from_arrays(kind, arrays)  # type: ignore[arg-type]
    return _anonymous_bytes() - before if codes.faiss_index.ntotal else 0


def _prodcat(kind: str) -> Callable[[Path, Any], tuple[Finder, Iterable[int]]]:
    def build(folder: Path, rows: Any) -> tuple[Finder, Iterable[int]]:
        from dataclasses import replace

        from prodcat_index.index.approximate import build_searcher
        from prodcat_index.index.quantized import Codes
        from prodcat_index.index.search import find_neighbours
        from scripts.benchmarks.kinds import space_of
        from scripts.benchmarks.made_index import as_block

        block, one = as_block(rows), np.ones(1)
        space = space_of([block])
        searcher = build_searcher(kind, [block], space, one, RECALL)  # type: ignore[arg-type]
        searched = replace(space, searcher=searcher)
        assert isinstance(searcher.codes, Codes), "it is in no store"
        (folder / kind).mkdir()
        for name, array in searcher.codes.arrays.items():
            np.save(folder / kind / f"{name}.npy", array)

        def find(queries: Float32Array) -> Int64Array:
            there = np.ones((len(queries), 1), dtype=bool)
            return find_neighbours(searched, [queries], there, one, K).rows

        # It is as wide as it found that the recall takes.
        return lambda width: find, (0,)

    return build


def _hnswlib(folder: Path, rows: Any) -> tuple[Finder, Iterable[int]]:
    import hnswlib

    index = hnswlib.Index(space="ip", dim=rows.shape[1])
    index.init_index(max_elements=len(rows), ef_construction=100, M=16, random_seed=1)
    index.set_num_threads(1)
    for start in range(0, len(rows), 16_384):
        index.add_items(rows[start : start + 16_384].astype(np.float32))

    def finder(width: int) -> Callable[[Float32Array], Int64Array]:
        index.set_ef(width)
        return lambda queries: index.knn_query(queries, k=K)[0].astype(np.int64)

    return finder, WIDTHS


def _usearch(folder: Path, rows: Any) -> tuple[Finder, Iterable[int]]:
    from usearch.index import Index

    index = Index(ndim=rows.shape[1], metric="ip", dtype="f16", connectivity=16, expansion_add=100)
    for start in range(0, len(rows), 16_384):
        part = rows[start : start + 16_384].astype(np.float32)
        index.add(np.arange(start, start + len(part)), part, threads=1)

    def finder(width: int) -> Callable[[Float32Array], Int64Array]:
        index.expansion_search = width
        return lambda queries: index.search(queries, K, threads=1).keys.astype(np.int64)

    return finder, WIDTHS


def _lancedb(folder: Path, rows: Any) -> tuple[Finder, Iterable[int]]:
    import lancedb
    import pyarrow as pa

    flat = pa.array(np.asarray(rows, dtype=np.float32).ravel())
    vectors = pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])
    data = pa.table({"id": np.arange(len(rows)), "vector": vectors})
    cards = lancedb.connect(folder / "lance").create_table("cards", data)
    cells = 2 ** round(np.log2(2 * np.sqrt(len(rows))))
    cards.create_index(
        metric="dot", num_partitions=cells, index_type="IVF_HNSW_SQ", vector_column_name="vector"
    )

    def finder(width: int) -> Callable[[Float32Array], Int64Array]:
        def find(queries: Float32Array) -> Int64Array:
            asked = cards.search(queries).distance_type("dot").nprobes(width).refine_factor(4)
            found = asked.limit(K).select(["id", "_distance"]).to_arrow()
            order = np.argsort(found["query_index"].to_numpy(), kind="stable")
            rows: Int64Array = found["id"].to_numpy()[order].reshape(-1, K)
            return rows

        return find

    return finder, WIDTHS


KINDS = {"prodcat, ivf": "ivf", "prodcat, sq8": "sq8"}
LIBRARIES: dict[str, Callable[[Path, Any], tuple[Finder, Iterable[int]]]] = {
    **{name: _prodcat(kind) for name, kind in KINDS.items()},
    "hnswlib": _hnswlib,
    "usearch": _usearch,
    "lancedb": _lancedb,
}

# LanceDB and numpy start as many threads as there are cores, unless they are told otherwise.
for _variable in ("LANCE_CPU_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
