"""Stores: servers that hold the rows of an index and find the nearest of them.

A table of a store holds a row for each card: its place, as a file of rows has places, its id, and
its fused row. A row at a place never changes, so that a reader keeps the version that it opened.
"""

from __future__ import annotations

import importlib
import ipaddress
import re
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from threading import Lock
from typing import Any, Literal, Protocol, cast
from urllib.parse import unquote, urlsplit

import numpy as np
import numpy.typing as npt

from prodcat_index.errors import StoreError
from prodcat_index.types import Float32Array, FloatingArray, Int64Array, chunks

# Rows that are fetched at a time, and bytes of those that are kept.
ROWS_AT_ONCE = 8192
KEPT_BYTES = 2**26
KINDS: dict[str, Literal["postgres", "milvus"]] = {
    "postgresql": "postgres",
    "postgres": "postgres",
    "milvus+http": "milvus",
    "milvus+https": "milvus",
}
CREDENTIALS = "PRODCAT_STORE_CREDENTIALS"
WHERE_CREDENTIALS = {
    "postgres": f"PGPASSWORD, ~/.pgpass, or a file of its form that {CREDENTIALS} names",
    "milvus": f"MILVUS_TOKEN, or a file that {CREDENTIALS} names",
}

# A user without a password, hosts with ports, a database, and parameters.
HOST, PORT = r"(?:[\w.-]*|\[[\da-fA-F:.]+\])", r"(?::\d{1,5})?"
ADDRESS = re.compile(
    rf"[a-z+]+://(?:[\w.~%+-]+@)?{HOST}{PORT}(?:,{HOST}{PORT})*(?:/[\w.~%+-]*)?"
    r"(?:\?[\w.~%+/=&:-]*)?"
)
LONGEST_SCHEME = 20


@dataclass(frozen=True)
class StoreAddress:
    """Where a store is. It holds no password, and is kept in the manifest of an index."""

    url: str

    def __post_init__(self) -> None:
        """Check the address; raise StoreError, which does not repeat a password."""
        scheme = self.url.partition("://")[0] if "://" in self.url else ""
        if scheme not in KINDS:
            shown = scheme if scheme.isalpha() and len(scheme) <= LONGEST_SCHEME else ""
            raise StoreError(
                "A store is at an address that begins with "
                f"{', '.join(f'{known}://' for known in KINDS)}; the one that was given begins "
                f"with {shown!r}."
            )
        # Strictly, for urlsplit and libpq read odd addresses differently.
        if not ADDRESS.fullmatch(self.url) or "password" in unquote(self.url).lower():
            raise StoreError(
                "The address of the store cannot be read, or it holds a password, which would be "
                "seen in logs and lists of processes; write such as "
                "postgresql://USER@HOST/DATABASE or milvus+https://HOST:19530, and give a "
                "password by "
                f"{WHERE_CREDENTIALS[KINDS[scheme]]}."
            )
        parts = urlsplit(self.url)
        if self.kind == "milvus" and (parts.username or parts.query or parts.fragment):
            raise StoreError(
                "The address of a store in Milvus has a host, a port and a database alone, such as "
                "milvus+https://HOST:19530/DATABASE; a token is given by "
                f"{WHERE_CREDENTIALS[self.kind]}."
            )

    def __str__(self) -> str:
        """Return the address as it is shown."""
        return self.url

    @property
    def kind(self) -> Literal["postgres", "milvus"]:
        """The module of :mod:`prodcat_index.distributed` that connects to it."""
        return KINDS[urlsplit(self.url).scheme]


def is_loopback(host: str) -> bool:
    """Check whether a host is this machine by its name or number."""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def connect(address: StoreAddress) -> VectorStore:
    """Return a store; it is not connected to before it is needed.

    Raises StoreError if a package is not installed.
    """
    # By name: no room imports one that comes after it.
    module = importlib.import_module(f"prodcat_index.distributed.{address.kind}")
    return cast("VectorStore", module.connect(address))


def check_store(address: StoreAddress) -> None:
    """Raise StoreError if a store cannot be used: before hours of work for it."""
    connect(address).tables("prodcat_")


class VectorStore(Protocol):
    """A connection to a store. All methods raise StoreError; reads are tried again for a while."""

    most_dimensions: int
    most_walk: int  # rows that a walk through the graph can keep

    def create(self, table: str, dim: int) -> None:
        """Make an empty table for rows of so many columns; drop the one of this name before."""
        ...

    def writing(self) -> AbstractContextManager[None]:
        """Let all that is written inside take effect at the end, at once where the store can.

        An exception takes it back where the store can.
        """
        ...

    def put(self, table: str, first: int, ids: Sequence[str], rows: Float32Array) -> None:
        """Write rows, (m, dim), at places from `first` on, which are free."""
        ...

    def truncate(self, table: str, rows: int) -> None:
        """Delete the rows at places from `rows` on, which a writer that died left."""
        ...

    def last_change(self, table: str) -> str:
        """Return the token of the last change; empty where the store keeps none."""
        ...

    def mark_change(self, table: str, before: str, token: str) -> None:
        """Write the token of a change, inside of :meth:`writing`, before anything else is written.

        Raises StoreError if the token of the last change is not `before`.
        """
        ...

    def index(self, table: str) -> None:
        """Make the search index of a table that was filled, and wait until it is ready."""
        ...

    def count(self, table: str) -> int:
        """Return the number of rows, as all that was written before is seen."""
        ...

    def fetch(self, table: str, places: Int64Array) -> Float32Array:
        """Return the rows at some places, (m, dim), in their order, bit for bit as they were put.

        Raises StoreError if one is not there.
        """
        ...

    def ids(self, table: str, places: Int64Array) -> list[str]:
        """Return the ids of the cards whose rows are at some places, in their order.

        Raises StoreError if one is not there.
        """
        ...

    def search(
        self,
        table: str,
        queries: Float32Array,
        count: int,
        *,
        walk: int,
        among: Int64Array | None = None,
    ) -> tuple[Float32Array, Int64Array]:
        """Find the rows of the highest inner products with queries, (n, dim).

        Returns inner products, (n, count), falling along a row, and places, MISSING after the
        last. `walk` is how many rows the graph search keeps. With `among`, places, only these are
        compared, each one.
        """
        ...

    def tables(self, prefix: str) -> list[str]:
        """Return the names of the tables that begin with a prefix, in order."""
        ...

    def drop(self, table: str) -> None:
        """Delete a table, if it is there."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class StoreTable:
    """A table of a store, as a version of an index knows it.

    Rows that were fetched last are kept, so that all blocks of a card are fetched at once. The
    first columns are stored times a power of two, which is exact, and queries divided by it.
    """

    def __init__(
        self, address: StoreAddress, name: str, rows: int, dim: int, scale: int = 1, scaled: int = 0
    ) -> None:
        self.address, self.name, self.rows, self.dim = address, name, rows, dim
        self._scales = np.where(np.arange(dim) < scaled, scale, 1).astype(np.float32)
        self._kept: OrderedDict[int, FloatingArray] = OrderedDict()
        self._lock = Lock()

    def __len__(self) -> int:
        """Return the number of rows; those at later places are of later versions."""
        return self.rows

    @cached_property
    def store(self) -> VectorStore:
        """The store, connected to when it is first asked."""
        return connect(self.address)

    def columns(self, start: int, stop: int) -> FloatingArray:
        """Return some columns of all rows, as an array whose rows are fetched when they are read.

        It is a piece of :class:`~prodcat_index.index.rows.Rows`.
        """
        return cast("FloatingArray", StoreColumns(self, start, stop))

    def fetch(self, places: Int64Array, columns: slice) -> FloatingArray:
        """Return columns of the rows at some places, float16 (m, columns)."""
        found = np.empty((len(places), columns.stop - columns.start), dtype=np.float16)
        for part in chunks(len(places), ROWS_AT_ONCE):
            rows = self._rows(places[part].tolist())
            for number, row in enumerate(rows, part.start):
                found[number] = row[columns]
        return found

    def put(self, first: int, ids: Sequence[str], rows: Float32Array) -> None:
        """Write rows at places from `first` on."""
        self.store.put(self.name, first, ids, rows * self._scales)

    def search(
        self, queries: Float32Array, count: int, walk: int, among: Int64Array | None = None
    ) -> tuple[Float32Array, Int64Array]:
        """Search as :meth:`VectorStore.search` does."""
        asked = queries / self._scales
        return self.store.search(self.name, asked, count, walk=walk, among=among)

    def _rows(self, places: list[int]) -> list[FloatingArray]:
        with self._lock:
            known = {place: self._kept[place] for place in places if place in self._kept}
        missing = [place for place in dict.fromkeys(places) if place not in known]
        if missing:
            # They were of 16 bits when they were put.
            fetched = self.store.fetch(self.name, np.array(missing))
            if fetched.shape != (len(missing), self.dim):
                raise StoreError(
                    f"The table {self.name} of the store {self.address} holds rows of another "
                    "length; something else has changed it. Build the index again."
                )
            fetched = fetched / self._scales
            fetched = fetched.astype(np.float16)
            known.update(zip(missing, fetched, strict=True))
        with self._lock:
            self._kept.update(known)
            for place in known:
                self._kept.move_to_end(place)
            while len(self._kept) > max(ROWS_AT_ONCE, KEPT_BYTES // (2 * self.dim)):
                self._kept.popitem(last=False)
        return [known[place] for place in places]


@dataclass(frozen=True, eq=False)
class StoreColumns:
    """Some columns of the rows of a table, indexed like an array."""

    table: StoreTable
    start: int
    stop: int

    dtype = np.dtype(np.float16)

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return self.table.rows, self.stop - self.start

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.table.rows

    def __getitem__(self, key: Any) -> Any:
        """Return rows by number, slice, numbers or mask; all of some columns are not fetched."""
        if isinstance(key, tuple):
            rows, columns = key
            start, stop, step = columns.indices(self.shape[1])
            assert step == 1, "columns are next to one another"
            narrow = StoreColumns(self.table, self.start + start, self.start + max(start, stop))
            is_all = isinstance(rows, slice) and rows == slice(None)
            return narrow if is_all else narrow[rows]
        places = np.arange(len(self))[key]
        found = self.table.fetch(np.ravel(places), slice(self.start, self.stop))
        return found.reshape(*places.shape, self.shape[1])

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> FloatingArray:
        """Return all rows."""
        return np.asarray(self[:], dtype=dtype)

    def astype(self, dtype: npt.DTypeLike) -> FloatingArray:
        """Return all rows as an array of another type."""
        every: FloatingArray = self[:].astype(dtype)
        return every


def table_of(rows: object) -> StoreTable | None:
    """Return the table that a piece of rows lies in; None for an array."""
    return rows.table if isinstance(rows, StoreColumns) else None
