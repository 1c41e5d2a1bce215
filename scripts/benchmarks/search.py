"""Deciding by the learned block beside deciding by the blocks of the encoders."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import numpy as np
import typer

from scripts.benchmarks.measuring import cores, in_own_process, stopwatch
from scripts.benchmarks.page import PAGE, PageOption, table, write_section

QUERIES = {"one at a time": (1, 60), "64 at a time": (64, 640)}
NOISE = 0.01
SEED = 1


@dataclass(frozen=True)
class Way:
    """What an index that is searched in one way needs."""

    dims: int
    bytes_a_card: float
    a_second: dict[str, float]


def search(
    cards: Annotated[int, typer.Option(min=1000, help="Cards of the made-up index.")] = 91_120,
    rounds: Annotated[int, typer.Option(min=1, help="Times that each way is taken.")] = 5,
    page: PageOption = PAGE,
) -> None:
    """Compare an index of the learned block with one of the encoders' blocks."""
    with tempfile.TemporaryDirectory() as folder:
        in_own_process(_draw, Path(folder), cards)
        blocks, learned, ratios = in_own_process(compare, Path(folder), rounds)
    kinds = list(QUERIES)
    header = ["searched", "dimensions", "bytes a card in search.faiss"]
    header += [f"queries a second, {kind}" for kind in kinds]
    rows = [
        [name, f"{way.dims:,}", f"{way.bytes_a_card:,.0f}"]
        + [f"{way.a_second[kind]:,.0f}" for kind in kinds]
        for name, way in (("blocks of the encoders", blocks), ("learned block", learned))
    ]
    rows.append(
        ["ratio", f"{blocks.dims / learned.dims:.1f}"]
        + [f"{blocks.bytes_a_card / learned.bytes_a_card:.1f}"]
        + [f"{ratios[kind]:.1f}" for kind in kinds]
    )
    write_section(
        page,
        "Search before and after the projection",
        f"`scripts/bench search --cards {cards} --rounds {rounds}`: the cards of the section on "
        "tuning, the 10 nearest and their vote for queries that are embedded already, the "
        f"projection and the linear head included; {cores()} cores; faiss "
        f"{version('faiss-cpu')}; medians of {rounds} rounds in turns in one process, and of the "
        "ratios within a round.\n\n"
        f"{table(header, rows)}\n\n"
        "The rows of the encoders, 16 bits a value, stay in the folder beside either, so that "
        "weights can be changed without a rebuild.",
    )


def _draw(folder: Path, cards: int) -> None:
    from scripts.benchmarks.made_index import draw_cards

    draw_cards(folder, cards)


def compare(folder: Path, rounds: int) -> tuple[Way, Way, dict[str, float]]:
    """Take both ways in turns."""
    from prodcat_index.index.build import VOTE_OF_LEARNED
    from prodcat_index.index.parts import equal_weights
    from scripts.benchmarks.made_index import open_cards

    learned = open_cards(folder).indexed()
    blocks = learned.weighed(equal_weights(learned.blocks)).indexed()
    times: dict[tuple[int, str], list[float]] = {}
    for _ in range(rounds):
        for kind, (batch, count) in QUERIES.items():
            queries = _near_cards(learned, count)
            for way, (parts, vote) in enumerate(((blocks, None), (learned, VOTE_OF_LEARNED))):
                ask = partial(_decide, parts, vote)
                times.setdefault((way, kind), []).append(_a_second(ask, queries, batch, count))
    ways = [
        Way(
            dims=parts.searcher.dim,
            bytes_a_card=_stored_bytes(parts.searcher.faiss_index) / len(parts.catalogue),
            a_second={kind: median(times[way, kind]) for kind in QUERIES},
        )
        for way, parts in enumerate((blocks, learned))
    ]
    ratios = {
        kind: median(b / a for a, b in zip(times[0, kind], times[1, kind], strict=True))
        for kind in QUERIES
    }
    return ways[0], ways[1], ratios


def _near_cards(parts: Any, count: int) -> list[Any]:
    """Return rows near those of some cards, as queries are."""
    from prodcat_index.encoders.base import unit_rows

    rng = np.random.default_rng(SEED)
    rows = rng.choice(len(parts.catalogue), count, replace=False)
    near = [block.vectors[rows].astype(np.float32) for block in parts.blocks]
    return [
        unit_rows(block + NOISE * rng.normal(size=block.shape).astype(np.float32)) for block in near
    ]


def _decide(parts: Any, vote: Any, queries: list[Any]) -> None:
    from prodcat_index.index.answers import search_and_vote
    from prodcat_index.voting.vote import VoteParameters

    there = np.ones((len(queries[0]), len(queries)), dtype=bool)
    weights = np.array([parts.weights[name] for name in parts.block_names])
    asked = parts.with_learned(queries, there)
    search_and_vote(parts, asked.vectors, asked.present, weights, vote or VoteParameters())


def _a_second(ask: Callable[[list[Any]], None], queries: Any, batch: int, count: int) -> float:
    with stopwatch() as spent:
        for start in range(0, count, batch):
            ask([block[start : start + batch] for block in queries])
    return count / spent.wall


def _stored_bytes(index: Any) -> int:
    import faiss

    return len(faiss.serialize_index(index))
