"""A store in the memory of this process, which compares every row: the oracle of real ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy

import numpy as np

from prodcat_index.errors import StoreError
from prodcat_index.index.stores import StoreAddress
from prodcat_index.types import MISSING, Float32Array, Int64Array

ADDRESS = "postgresql://shop@127.0.0.1/made-up"


class MemoryStore:
    """Holds tables, and counts what it is asked; `is_down` makes it fail."""

    most_dimensions = 4000
    most_walk = 1000

    def __init__(self) -> None:
        self.kept: dict[str, dict[int, tuple[str, Float32Array]]] = {}
        self.asked: list[str] = []
        self.is_down = False

    def connect(self, address: StoreAddress) -> MemoryStore:
        """Stand for :func:`prodcat_index.index.stores.connect`."""
        return self

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if self.is_down:
            raise StoreError("The store is not there; try again later.")

    def create(self, table: str, dim: int) -> None:
        self._ask("create")
        self.kept[table] = {}

    @contextmanager
    def writing(self) -> Iterator[None]:
        before = deepcopy(self.kept)
        try:
            yield
        except BaseException:
            self.kept = before
            raise

    def put(self, table: str, first: int, ids: Sequence[str], rows: Float32Array) -> None:
        self._ask("put")
        assert rows.dtype == np.float32 and len(ids) == len(rows)
        for place, own in enumerate(zip(ids, rows, strict=True), first):
            assert place not in self.kept[table], "a place is written once"
            self.kept[table][place] = own

    def truncate(self, table: str, rows: int) -> None:
        self._ask("truncate")
        kept = self.kept[table]
        self.kept[table] = {place: own for place, own in kept.items() if place < rows}

    def index(self, table: str) -> None:
        self._ask("index")

    def count(self, table: str) -> int:
        self._ask("count")
        return len(self.kept[table])

    def fetch(self, table: str, places: Int64Array) -> Float32Array:
        self._ask("fetch")
        try:
            return np.stack([self.kept[table][place][1] for place in places.tolist()])
        except KeyError as error:
            raise StoreError(f"The table {table} has not the row {error}.") from error

    def search(
        self,
        table: str,
        queries: Float32Array,
        count: int,
        *,
        walk: int,
        among: Int64Array | None = None,
    ) -> tuple[Float32Array, Int64Array]:
        self._ask("search" if among is None else "scan")
        places = np.array(sorted(self.kept[table]) if among is None else among, dtype=np.int64)
        rows = np.stack([self.kept[table][place][1] for place in places.tolist()])
        scores = queries @ rows.T
        best = np.argsort(-scores, axis=1, kind="stable")[:, :count]
        found = np.full((len(queries), count), -np.inf, np.float32)
        numbers = np.full((len(queries), count), MISSING, np.int64)
        found[:, : best.shape[1]] = np.take_along_axis(scores, best, axis=1)
        numbers[:, : best.shape[1]] = places[best]
        return found, numbers

    def tables(self, prefix: str) -> list[str]:
        self._ask("tables")
        return sorted(name for name in self.kept if name.startswith(prefix))

    def drop(self, table: str) -> None:
        self._ask("drop")
        self.kept.pop(table, None)

    def close(self) -> None:
        pass
