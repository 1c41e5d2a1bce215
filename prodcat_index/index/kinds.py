"""Kinds of search indexes, and the choice among them by size and memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from prodcat_index.errors import QueryError

KindName = Literal["flat", "sq8", "ivf", "hnsw"]
ApproximateKind = Literal["sq8", "ivf", "hnsw"]
Asked = Literal["auto", "flat", "sq8", "ivf", "hnsw"]

# An exact search of more values than these takes more than about 20 ms a query, by one thread.
MOST_EXACT_VALUES = 100_000_000
# Of fewer cards, cells hold too few.
FEWEST_FOR_CELLS = 10_000
# Neighbours whose recall is measured.
RECALL_AT = (10, 30)
# Cards that it is measured on: so many, and at most a tenth.
HELD_OUT = 200
# What a store finds at least under weights far from those of the index.
FAR_RECALL = 0.95
UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


@dataclass(frozen=True)
class Kind:
    """One kind of index: what it keeps in memory, and what it does in words."""

    name: KindName
    bytes_a_value: int
    bytes_a_card: int
    description: str

    def size(self, n: int, dim: int) -> int:
        """Return the bytes of n cards of so many dimensions."""
        return n * (self.bytes_a_value * dim + self.bytes_a_card)


# From `scripts/bench kinds`: docs/benchmarks.md. Columns are filled up to 16, and centres take 2 to
# 10 % more where cards are about 10,000 and rows long.
KINDS = {
    kind.name: kind
    for kind in (
        Kind("flat", 4, 0, "compares every card, and misses none"),
        Kind("sq8", 1, 8, "compares 8 bits a value of every card"),
        Kind("ivf", 1, 20, "compares 8 bits a value of the cards in the cells near a query"),
        Kind("hnsw", 1, 160, "walks a graph of near cards, of which it keeps 8 bits a value"),
    )
}


@dataclass(frozen=True)
class IndexChoice:
    """What was asked of the search index when it was built."""

    kind: Asked = "auto"
    memory: int | None = None  # bytes that it may keep in memory
    recall: float = 0.99  # share of the nearest cards that an approximate kind is to find

    def __post_init__(self) -> None:
        if self.kind not in get_args(Asked):
            known = ", ".join(get_args(Asked))
            raise QueryError(f"The kind of the index is one of {known}; it is {self.kind!r}.")
        if not 0 < self.recall <= 1:
            raise QueryError(f"A recall is above 0 and at most 1; it is {self.recall}.")
        if self.memory is not None and self.memory <= 0:
            raise QueryError(f"The memory of an index is more than 0 bytes; it is {self.memory}.")

    def choose(self, n: int, dim: int, share: float = 1.0) -> Kind:
        """Return the kind for n cards: the one asked for, or the best in a share of the memory."""
        if self.kind != "auto":
            return KINDS[self.kind]
        return choose_index(n, dim, None if self.memory is None else int(self.memory * share))


def count_held_out(n: int) -> int:
    """Return how many of n cards are held out to measure the recall: none of fewer than ten."""
    return min(HELD_OUT, n // 10)


def choose_index(n: int, dim: int, memory: int | None = None) -> Kind:
    """Choose a kind of index for n cards of some dimensions.

    An exact one if it fits into the memory, in bytes, and takes no more than about 20 ms a query;
    else cells; a scan of codes where cards or memory are too few; if nothing fits, the smallest.
    """
    # A graph is never chosen: it takes more memory and answers the fewest queries.
    flat, cells, scan = KINDS["flat"], KINDS["ivf"], KINDS["sq8"]

    def fits(kind: Kind) -> bool:
        return memory is None or kind.size(n, dim) <= memory

    if fits(flat) and (n * dim <= MOST_EXACT_VALUES or n < FEWEST_FOR_CELLS):
        return flat
    if fits(cells) and n >= FEWEST_FOR_CELLS:
        return cells
    return min((scan, flat), key=lambda kind: kind.size(n, dim))


def parse_memory(text: str) -> int:
    """Return the bytes of a size such as ``2GB`` or ``500 MB``; raise QueryError for no size."""
    number, unit = text[:-2].strip(), text[-2:].upper()
    try:
        size = round(float(number.replace(",", "")) * UNITS[unit])
    except (KeyError, ValueError, OverflowError) as error:
        raise QueryError(f"A size of memory is such as 2GB or 500MB; it is {text!r}.") from error
    if size <= 0:
        raise QueryError(f"A size of memory is more than 0; it is {text!r}.")
    return size


def readable_size(size: float) -> str:
    """Return bytes as a size with a unit."""
    for unit in ("KB", "MB", "GB"):
        if size < 1000 * UNITS[unit]:
            return f"{size / UNITS[unit]:.3g} {unit}"
    return f"{size / UNITS['TB']:.3g} TB"
