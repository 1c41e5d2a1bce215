"""Stores: servers that hold the rows of an index and find the nearest of them.

A table of a store holds a row for each card: its place, as a file of rows has places, its id, and
its fused row. A row at a place never changes, so that a reader keeps the version that it opened.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from prodcat_index.types import Float32Array, Int64Array


class VectorStore(Protocol):
    """A connection to a store. All methods raise StoreError; reads are tried again for a while."""

    most_dimensions: int

    def create(self, table: str, dim: int) -> None:
        """Make an empty table for rows of so many columns; it may be there, and empty."""
        ...

    def writing(self) -> AbstractContextManager[None]:
        """Let all that is written inside take effect at the end, at once where the store can.

        An exception takes it back where the store can.
        """
        ...

    def put(self, table: str, first: int, ids: Sequence[str], rows: Float32Array) -> None:
        """Write rows, (m, dim), at places from `first` on, over what a writer that died left."""
        ...

    def delete(self, table: str, places: Int64Array) -> None:
        """Delete the rows at some places; those that are not there are no error."""
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
