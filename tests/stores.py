"""A store in the memory of this process, which compares every row, and what all stores must do."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import deepcopy
from itertools import count
from typing import Any

import numpy as np
import pytest

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
        self.dims: dict[str, int] = {}
        self.asked: list[str] = []
        self.last_changes: dict[str, str] = {}
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
        self.kept[table], self.dims[table] = {}, dim

    @contextmanager
    def writing(self) -> Iterator[None]:
        before = deepcopy((self.kept, self.last_changes))
        try:
            yield
        except BaseException:
            self.kept, self.last_changes = before
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

    def last_change(self, table: str) -> str:
        self._ask("last_change")
        return self.last_changes.get(table, "")

    def mark_change(self, table: str, before: str, token: str) -> None:
        if self.last_changes.get(table, "") != before:
            raise StoreError("It was changed by a copy.")
        self.last_changes[table] = token

    def index(self, table: str) -> None:
        self._ask("index")

    def count(self, table: str) -> int:
        self._ask("count")
        return len(self.kept[table])

    def fetch(self, table: str, places: Int64Array) -> Float32Array:
        self._ask("fetch")
        return self._rows(table, places)

    def ids(self, table: str, places: Int64Array) -> list[str]:
        self._ask("ids")
        return [self.kept[table][place][0] for place in places.tolist()]

    def _rows(self, table: str, places: Int64Array) -> Float32Array:
        found = np.empty((len(places), self.dims[table]), dtype=np.float32)
        try:
            for number, place in enumerate(places.tolist()):
                found[number] = self.kept[table][place][1]
        except KeyError as error:
            raise StoreError(f"The table {table} has not the row {error}.") from error
        return found

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
        scores = queries @ self._rows(table, places).T
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


DIM = 24
_tables = count(1)


def made_rows(size: int, dim: int = DIM, seed: int = 0) -> Float32Array:
    """Rows of 16 bits of unit length that lie about a few centres, as cards do."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(max(2, size // 30), dim))
    rows = centres[rng.integers(0, len(centres), size)] + 0.5 * rng.normal(size=(size, dim))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    return rows.astype(np.float16).astype(np.float32)


def ids_of(places: Iterable[int]) -> list[str]:
    return [f"card {place} 'é'" for place in places]


def nearest(
    rows: Float32Array, queries: Float32Array, k: int, among: Int64Array | None = None
) -> Int64Array:
    """Return the places of the nearest rows by comparing all: (n, k)."""
    products = (queries.astype(np.float64) @ rows.T.astype(np.float64)).astype(np.float64)
    if among is not None:
        allowed = np.isin(np.arange(len(rows)), among)
        products[:, ~allowed] = -np.inf
    return np.argsort(-products, axis=1, kind="stable")[:, :k]


class StoreContract:
    """A subclass has a fixture `store` with the scope of the class: a connected store."""

    @pytest.fixture
    def table(self, store: Any) -> Iterator[str]:
        name = f"prodcat_0000000f_{next(_tables)}"
        yield name
        store.drop(name)

    @pytest.fixture(scope="class")
    @classmethod
    def filled(cls, store: Any) -> Iterator[tuple[str, Float32Array]]:
        """A table of 1,500 rows, of which 1,200 were there when it was indexed."""
        name, rows = f"prodcat_0000000f_{next(_tables)}", made_rows(1500)
        store.create(name, DIM)
        with store.writing():
            store.put(name, 0, ids_of(range(700)), rows[:700])
            store.put(name, 700, ids_of(range(700, 1200)), rows[700:1200])
        store.index(name)
        with store.writing():
            store.truncate(name, 1200)
            store.put(name, 1200, ids_of(range(1200, 1500)), rows[1200:])
        yield name, rows
        store.drop(name)

    def test_rows_come_back_bit_for_bit(self, store: Any, filled: Any) -> None:
        """Similarities would differ from those of the folder index."""
        table, rows = filled
        places = np.random.default_rng(1).permutation(1500)[:400]
        places = np.concatenate([places, places[:3]])
        found = store.fetch(table, places)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, rows[places])
        assert len(store.fetch(table, places[:0])) == 0
        assert store.ids(table, places[:400]) == ids_of(places[:400].tolist())
        assert store.ids(table, places[:0]) == []
        assert store.count(table) == 1500

    def test_a_row_that_is_not_there_is_an_error(self, store: Any, filled: Any) -> None:
        """A card would be compared by the row of another."""
        with pytest.raises(StoreError, match="1500"):
            store.fetch(filled[0], np.array([3, 1500]))

    def test_the_graph_finds_the_nearest(self, store: Any, filled: Any) -> None:
        table, rows = filled
        queries = made_rows(40, seed=2)
        products, places = store.search(table, queries, 20, walk=200)
        truth = nearest(rows, queries, 20)
        hits = [np.isin(*pair).sum() for pair in zip(places, truth, strict=True)]
        assert np.mean(hits) / 20 >= 0.99
        assert (np.diff(products, axis=1) <= 0).all()
        own = np.einsum("nd,nkd->nk", queries, rows[places])
        np.testing.assert_allclose(products, own, atol=1e-5)

    def test_queries_of_one_call_are_answered_as_each_alone(self, store: Any, filled: Any) -> None:
        table, _ = filled
        queries = made_rows(5, seed=3)
        together = store.search(table, queries, 10, walk=100)[1]
        alone = [store.search(table, query[None], 10, walk=100)[1][0] for query in queries]
        np.testing.assert_array_equal(together, alone)

    @pytest.mark.parametrize("size", [1, 7, 150, 900])
    def test_among_some_places_each_is_compared(self, store: Any, filled: Any, size: int) -> None:
        """A filter would hide the nearest of the cards that it allows."""
        table, rows = filled
        queries = made_rows(6, seed=4)
        among = np.random.default_rng(size).permutation(1500)[:size]
        products, places = store.search(table, queries, 10, walk=10, among=among)
        assert products.shape == places.shape == (6, 10)
        k = min(size, 10)
        np.testing.assert_array_equal(places[:, :k], nearest(rows, queries, k, among))
        assert (places[:, k:] == MISSING).all() and (products[:, k:] == -np.inf).all()

    def test_more_results_than_there_are_rows(self, store: Any, table: str) -> None:
        rows = made_rows(5)
        store.create(table, DIM)
        store.put(table, 0, ids_of(range(5)), rows)
        store.index(table)
        for among in (None, np.arange(5)):
            products, places = store.search(table, rows[:2], 8, walk=20, among=among)
            assert (np.sort(places[:, :5]) == np.arange(5)).all()
            assert (places[:, 5:] == MISSING).all() and (products[:, 5:] == -np.inf).all()
        none = store.search(table, rows[:2], 8, walk=20, among=np.array([], dtype=np.int64))
        assert (none[1] == MISSING).all()
        assert store.search(table, rows[:0], 8, walk=20)[1].shape == (0, 8)

    def test_what_a_writer_left_is_written_over(self, store: Any, table: str) -> None:
        """The next sync would fail, or mix rows of two."""
        rows = made_rows(60)
        store.create(table, DIM)
        store.put(table, 0, ids_of(range(20)), rows[:20])
        store.index(table)
        store.put(table, 20, ids_of(range(20, 40)), rows[20:40])  # and no manifest counts them
        store.truncate(table, 20)
        assert store.count(table) == 20
        store.put(table, 20, ids_of(range(20, 30)), rows[40:50])
        assert store.count(table) == 30
        found = store.fetch(table, np.arange(20, 30))
        np.testing.assert_array_equal(found, rows[40:50])
        with pytest.raises(StoreError):
            store.fetch(table, np.array([30]))

    def test_a_table_is_made_anew(self, store: Any, table: str) -> None:
        """A build that died leaves one of this name, perhaps of another length."""
        for dim, size in ((DIM, 30), (DIM + 8, 10)):
            store.create(table, dim)
            store.put(table, 0, ids_of(range(size)), made_rows(size, dim))
            store.index(table)
            assert store.count(table) == size
            assert store.fetch(table, np.array([0])).shape == (1, dim)

    def test_tables_are_listed_by_a_prefix_and_dropped(self, store: Any) -> None:
        names = ["prodcat_0000000e_1", "prodcat_0000000e_2"]
        for name in (*names, "prodcat_0000000d_1"):
            store.create(name, DIM)
        assert store.tables("prodcat_0000000e_") == names
        for name in (*names, *names, "prodcat_0000000d_1"):
            store.drop(name)
        assert store.tables("prodcat_0000000e_") == store.tables("prodcat_0000000d_") == []
