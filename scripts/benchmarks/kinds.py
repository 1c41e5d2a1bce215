"""Kinds of search indexes: what each takes, and what it finds; the table for choose_index."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from prodcat_index.index.approximate import ApproximateSearcher, build_searcher
from prodcat_index.index.block import Block
from prodcat_index.index.effort import far_weights
from prodcat_index.index.fusion import fuse_cards
from prodcat_index.index.kinds import KINDS, RECALL_AT
from prodcat_index.index.learned import LearnedBlock, as_queries
from prodcat_index.index.quantized import Codes
from prodcat_index.index.search import SearchSpace, find_neighbours
from prodcat_index.index.searchers import FlatSearcher, Searcher, padded
from prodcat_index.types import BoolArray, Float32Array, Float64Array, Int64Array
from scripts.benchmarks.measuring import in_own_process, stopwatch
from scripts.benchmarks.page import PAGE, PageOption, table, write_section

QUERIES = 300
# Queries that are asked one at a time.
ALONE = 60
RECALL = 0.99
# Candidates for each neighbour, and cells for each query, that FAISS indexes are tried with.
FETCHES = (4, 16, 64)
CELLS = (32, 64, 128, 256)
# A graph is built by one thread, for the same graph every time: of more cards it takes an hour.
MOST_FOR_GRAPHS = 100_000
HEADER = ["kind", "build, CPU s", "bytes a card", "a second, alone", "in a batch"]


@dataclass(frozen=True)
class Measured:
    """What one kind takes and finds; rates by CPU seconds of one thread."""

    kind: str
    build: float
    bytes_a_card: float
    alone: float
    batch: float
    recall: tuple[float, ...]  # of RECALL_AT, and again under the weights it is lowest under

    def cells(self) -> list[str]:
        recall = " / ".join(f"{r:.3f}" for r in self.recall)
        rates = [f"{rate:,.0f}" for rate in (self.alone, self.batch)]
        return [self.kind, f"{self.build:,.1f}", f"{self.bytes_a_card:,.0f}", *rates, recall]


def kinds(
    cards: Annotated[str, typer.Option(help="Numbers of cards.")] = "10000,91120,1000000",
    wide: Annotated[int, typer.Option(help="Cards compared by the encoders' blocks.")] = 91_120,
    page: PageOption = PAGE,
) -> None:
    """Compare the kinds of search indexes on made-up cards."""
    counts = [int(count) for count in cards.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        votes = in_own_process(measure_votes, Path(folder), counts)
        similar = in_own_process(measure_similar, Path(folder), wide)
    header = [*HEADER, "recall at 10 / 30"]
    tables = [
        f"{n:,} cards by the learned block:\n\n{table(header, [m.cells() for m in measured])}"
        for n, measured in zip(counts, votes, strict=True)
    ]
    header = [*HEADER, "recall at 10 / 30, and under the worst weights"]
    rows = table(header, [m.cells() for m in similar])
    tables.append(f"{wide:,} cards by the three blocks of their encoders:\n\n{rows}")
    write_section(
        page,
        "Kinds of search indexes",
        f"`scripts/bench kinds --cards {cards} --wide {wide}`: made-up cards as in the section on "
        f"tuning, {QUERIES} that are not among them as queries; faiss {version('faiss-cpu')}; one "
        "thread, processor time, the exact rescoring included. Kinds of this project look as "
        "widely as a recall of 0.99 on cards held out takes; kinds of FAISS as widely as the "
        "first setting that reaches it, or the widest tried. Recall is the share of the found "
        "that are as near as the last of the true neighbours.\n\n" + "\n\n".join(tables),
    )


def measure_votes(folder: Path, counts: list[int]) -> list[list[Measured]]:
    """Measure searches among so many cards by the learned block."""
    from scripts.benchmarks.made_index import draw_learned

    block = draw_learned(folder / "learned.npy", max(counts) + QUERIES)
    measured = []
    for n in counts:
        some = replace(block, vectors=np.asarray(block.vectors[:n]), present=block.present[:n])
        others = as_queries(block, np.arange(len(block.vectors) - QUERIES, len(block.vectors)))
        trial = Trial([some], [others], np.ones((QUERIES, 1), dtype=bool), np.ones(1))
        measured.append([*_own_kinds(trial), *_faiss_kinds(trial)])
    return measured


def measure_similar(folder: Path, cards: int) -> list[Measured]:
    """Measure searches by the blocks of the encoders, under equal and other weights."""
    from scripts.benchmarks.made_index import DIMS, draw_cards, open_block

    draw_cards(folder, cards + QUERIES)
    every = [open_block(folder, modality, cards + QUERIES) for modality in DIMS]
    some = [
        replace(b, vectors=np.asarray(b.vectors[:cards]), present=b.present[:cards]) for b in every
    ]
    others = [b.vectors[cards:].astype(np.float32) for b in every]
    present = np.stack([b.present[cards:] for b in every], axis=1)
    return list(_own_kinds(Trial(some, others, present, np.full(len(DIMS), 1 / len(DIMS)))))


def space_of(blocks: Sequence[Block | LearnedBlock]) -> SearchSpace:
    """Return blocks of made-up cards as a space without a searcher."""
    present = np.stack([block.present for block in blocks], axis=1)
    return SearchSpace(
        None, [block.vectors for block in blocks], present, lambda rows: rows.tolist()
    )


@dataclass(frozen=True)
class Trial:
    """Blocks of cards, and queries to find the nearest of them for."""

    blocks: Sequence[Block | LearnedBlock]
    queries: Sequence[Float32Array]
    present: BoolArray
    weights: Float64Array

    @cached_property
    def space(self) -> SearchSpace:
        """The cards without a searcher."""
        return space_of(self.blocks)

    @cached_property
    def truths(self) -> list[list[Float64Array]]:
        """Similarity of the last of the true neighbours, for all weights and numbers of them."""
        flat = FlatSearcher.build(self.space.blocks, self.space.present)
        return [
            [self.find(flat, weights, k)[:, [-1]] for k in RECALL_AT]
            for weights in self.all_weights
        ]

    @cached_property
    def all_weights(self) -> Float64Array:
        """The weights, and others far from them."""
        return np.concatenate([self.weights[None], far_weights(self.weights)])

    def find(
        self, searcher: Searcher, weights: Float64Array, k: int, part: slice = slice(None)
    ) -> Float64Array:
        """Return the similarities of the nearest cards of some queries."""
        queries = [block[part] for block in self.queries]
        space = replace(self.space, searcher=searcher)
        return find_neighbours(space, queries, self.present[part], weights, k).similarities

    def recall(self, searcher: Searcher) -> tuple[float, ...]:
        """Return the recall under the own weights and, if there are others, the lowest."""
        recalls = []
        for weights, truth in zip(self.all_weights, self.truths, strict=True):
            found = [self.find(searcher, weights, k) for k in RECALL_AT]
            pairs = zip(found, truth, strict=True)
            # A query without any of the weighed blocks finds nothing.
            recalls.append([float((f >= t - 1e-9)[~np.isnan(t[:, 0])].mean()) for f, t in pairs])
        own, worst = recalls[0], np.min(recalls, axis=0).tolist()
        return tuple(own if len(self.weights) == 1 else [*own, *worst])

    def rates(self, searcher: Searcher) -> tuple[float, float]:
        """Return queries a second of processor time, one at a time and together."""
        self.find(searcher, self.weights, 10, slice(0, 1))
        with stopwatch() as alone:
            for query in range(ALONE):
                self.find(searcher, self.weights, 10, slice(query, query + 1))
        with stopwatch() as together:
            self.find(searcher, self.weights, 10)
        return ALONE / alone.cpu, QUERIES / together.cpu


def _own_kinds(trial: Trial) -> Iterator[Measured]:
    import faiss

    faiss.omp_set_num_threads(1)
    n = len(trial.blocks[0].vectors)
    for kind in KINDS:
        if kind == "hnsw" and n > MOST_FOR_GRAPHS:
            continue
        with stopwatch() as spent:
            searcher: FlatSearcher | ApproximateSearcher
            if kind == "flat":
                searcher = FlatSearcher.build(trial.space.blocks, trial.space.present)
                size = 4.0 * searcher.dim
            else:
                searcher = build_searcher(kind, trial.blocks, trial.space, trial.weights, RECALL)
                assert isinstance(searcher.codes, Codes), "it is in no store"
                size = sum(array.nbytes for array in searcher.codes.arrays.values()) / n + 8
        yield Measured(kind, spent.cpu, size, *trial.rates(searcher), trial.recall(searcher))


@dataclass(frozen=True)
class FaissSearcher:
    """Any index of FAISS as a searcher."""

    faiss_index: Any
    fetch: int
    cells: int

    def search(
        self, queries: Float32Array, k: int, eligible: BoolArray | None = None
    ) -> tuple[Int64Array, bool]:
        """Propose more cards than are wanted."""
        if hasattr(self.faiss_index, "nprobe"):
            self.faiss_index.nprobe = self.cells
        return self.faiss_index.search(padded(queries), self.fetch * k)[1], False


def _faiss_kinds(trial: Trial) -> Iterator[Measured]:
    """Measure kinds of FAISS that this project does not use."""
    import faiss

    space = trial.space
    rows = padded(fuse_cards([np.asarray(b) for b in space.blocks], space.present))
    n, d = rows.shape
    cells = f"IVF{2 ** round(np.log2(2 * np.sqrt(n)))}"
    keys = ["SQfp16", "RaBitQfs", f"{cells},Flat", f"{cells},PQ{d // 2}x4fs", f"{cells},RaBitQfs"]
    made: dict[str, Callable[[], Any]] = {
        key: partial(faiss.index_factory, d, key, faiss.METRIC_INNER_PRODUCT) for key in keys
    }
    made["FlatIPPanorama"] = partial(faiss.IndexFlatIPPanorama, d, 8)
    for key, make in made.items():
        with stopwatch() as spent:
            index = make()
            index.train(rows[:: max(1, n // 100_000)])
            index.add(rows)
        several = CELLS if key.startswith("IVF") else (1,)
        tried = (FaissSearcher(index, f, c) for f in FETCHES for c in several)
        searcher, recall = _first_to_reach(trial, tried)
        shown = f"{key}, fetch {searcher.fetch}" + f", nprobe {searcher.cells}" * (len(several) > 1)
        size = len(faiss.serialize_index(index)) / n
        yield Measured(f"faiss {shown}", spent.cpu, size, *trial.rates(searcher), recall)


def _first_to_reach(
    trial: Trial, tried: Iterable[FaissSearcher]
) -> tuple[FaissSearcher, tuple[float, ...]]:
    best = None
    for searcher in tried:
        recall = trial.recall(searcher)
        if min(recall) >= RECALL:
            return searcher, recall
        if best is None or min(recall) > min(best[1]):
            best = searcher, recall
    assert best is not None, "something was tried"
    return best
