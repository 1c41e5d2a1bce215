"""Rows of an index in PostgreSQL, searched by pgvector: a walk through a graph, or a scan.

A change is one transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from prodcat_index.distributed.postgres_database import (
    INDEX_SECONDS,
    WRITE_SECONDS,
    Database,
    rows_of,
    within,
)
from prodcat_index.errors import StoreError
from prodcat_index.index.stores import StoreAddress
from prodcat_index.types import MISSING, Float32Array, Int64Array

if TYPE_CHECKING:
    from psycopg import Connection

# pgvector indexes rows of 32 bits up to this length, and of 16 bits up to twice of it.
LONGEST_VECTOR = 2000
LINKS, CONSTRUCTION_EFFORT = 16, 200


def connect(address: StoreAddress) -> PostgresStore:
    """Return the store at an address; it is connected to when it is first asked."""
    try:
        import pgvector  # noqa: F401
        import psycopg  # noqa: F401
        import tenacity  # noqa: F401
    except ImportError as error:
        raise StoreError(
            f"PostgreSQL needs a package that is not installed ({error}); install it with: "
            "pip install 'prodcat-index[postgres]'"
        ) from error
    return PostgresStore(address)


class PostgresStore(Database):
    """Tables of one database. Several threads may read at once; one writes."""

    most_dimensions = 2 * LONGEST_VECTOR
    most_walk = 1000

    _writer: Connection | None = None  # in a transaction

    def create(self, table: str, dim: int) -> None:
        """Make an empty table."""
        drop = "DROP TABLE IF EXISTS {table}"
        made = (
            "CREATE TABLE {table} (place bigint PRIMARY KEY, id text NOT NULL, row {kind} NOT NULL)"
        )
        self._write(lambda c: (c.execute(_sql(drop, table)), c.execute(_sql(made, table, dim))))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write in one transaction."""
        self.read(lambda c: c.execute("SELECT 1"))  # What was away for a moment may be back.
        with self.told(), self.connection() as connection:
            with within(connection, WRITE_SECONDS):
                connection.execute("BEGIN")
                connection.execute("SET LOCAL synchronous_commit = on")
            self._writer = connection
            try:
                yield
                with within(connection, WRITE_SECONDS):
                    connection.execute("COMMIT")
            finally:
                self._writer = None

    def put(self, table: str, first: int, ids: Sequence[str], rows: Float32Array) -> None:
        """Copy rows into a table."""
        from pgvector import HalfVector, Vector

        kind = _kind(rows.shape[1])
        made = Vector if kind == "vector" else HalfVector
        into = "COPY {table} (place, id, row) FROM STDIN WITH (FORMAT BINARY)"

        def copy(connection: Connection) -> None:
            with connection.cursor() as cursor, cursor.copy(_sql(into, table)) as lines:
                lines.set_types(["int8", "text", kind])
                for place, (name, row) in enumerate(zip(ids, rows, strict=True), first):
                    lines.write_row((place, name.replace("\0", ""), made(row)))

        self._write(copy)

    def truncate(self, table: str, rows: int) -> None:
        """Delete the rows at places from a number on."""
        delete = _sql("DELETE FROM {table} WHERE place >= %s", table)
        self._write(lambda c: c.execute(delete, (rows,)))

    def last_change(self, table: str) -> str:
        """Read the comment of a table."""
        return self.read(lambda c: _comment(c, table))

    def mark_change(self, table: str, before: str, token: str) -> None:
        """Replace the comment of a table that no other client writes to meanwhile."""
        from psycopg.sql import SQL, Identifier, Literal

        note = SQL("COMMENT ON TABLE {} IS {}").format(Identifier(table), Literal(token))

        def replace(connection: Connection) -> None:
            connection.execute(_sql("LOCK TABLE {table} IN SHARE UPDATE EXCLUSIVE MODE", table))
            if _comment(connection, table) != before:
                raise StoreError(
                    f"The table {table} of the store {self.address} was changed by a copy of this "
                    "index just now; nothing was changed. Try again."
                )
            connection.execute(note)

        self._write(replace)

    def index(self, table: str) -> None:
        """Make the graph."""
        with self.told(), self.connection() as connection:
            (kind,) = connection.execute(
                "SELECT format_type(atttypid, NULL) FROM pg_attribute "
                "WHERE attrelid = %s::regclass AND attname = 'row'",
                (table,),
            ).fetchone() or ("vector",)
            made = (
                f"CREATE INDEX ON {{table}} USING hnsw (row {kind}_ip_ops) "
                f"WITH (m = {LINKS}, ef_construction = {CONSTRUCTION_EFFORT})"
            )
            with within(connection, INDEX_SECONDS):
                connection.execute(_sql(made, table))
            with within(connection, INDEX_SECONDS):
                connection.execute(_sql("ANALYZE {table}", table))

    def count(self, table: str) -> int:
        """Count the rows."""
        query = _sql("SELECT count(*) FROM {table}", table)
        return self.read(lambda c: int(rows_of(c, query)[0][0]))

    def fetch(self, table: str, places: Int64Array) -> Float32Array:
        """Fetch rows by their places."""
        rows = [row.to_numpy() for row in self._values(table, "row::vector", places)]
        if len({len(row) for row in rows}) > 1:
            rows = []  # which has not the shape that is expected
        return np.stack(rows) if rows else np.empty((0, 0), dtype=np.float32)

    def ids(self, table: str, places: Int64Array) -> list[str]:
        """Fetch ids by their places."""
        return self._values(table, "id", places)

    def _values(self, table: str, column: str, places: Int64Array) -> list[Any]:
        query = _sql(f"SELECT place, {column} FROM {{table}} WHERE place = ANY(%s)", table)
        found = dict(self.read(lambda c: rows_of(c, query, (places.tolist(),))))
        try:
            return [found[place] for place in places.tolist()]
        except KeyError as error:
            raise StoreError(
                f"The store {self.address} has no row at place {error} of the table {table}; "
                "something else has changed the table. Build the index again."
            ) from error

    def search(
        self,
        table: str,
        queries: Float32Array,
        count: int,
        *,
        walk: int,
        among: Int64Array | None = None,
    ) -> tuple[Float32Array, Int64Array]:
        """Search by the graph, or scan rows by their places."""
        from pgvector import Vector

        dim = queries.shape[1]
        by = f"row <#> q.asked::{_kind(dim)}({dim})"
        # The graph knows the operator, and nothing that is made of it.
        walked = f"ORDER BY {by}"
        scanned = "WHERE place = ANY(%(among)s) ORDER BY score DESC"
        if among is not None:
            by = "row::vector <#> q.asked"
        query = _sql(
            "SELECT q.number - 1, n.place, n.score "
            "FROM unnest(%(asked)s::vector[]) WITH ORDINALITY AS q (asked, number) "
            f"CROSS JOIN LATERAL (SELECT place, -({by}) AS score FROM {{table}} "
            f"{walked if among is None else scanned} LIMIT %(count)s) AS n",
            table,
        )
        given = {"asked": [Vector(row) for row in queries], "count": count}
        given |= {} if among is None else {"among": among.tolist()}
        settings = {
            "hnsw.ef_search": min(walk, self.most_walk),
            # As many as are asked for, though a walk keeps fewer; what it visits is bounded.
            "hnsw.iterative_scan": "relaxed_order",
            "hnsw.max_scan_tuples": max(20_000, 20 * count),
            "hnsw.scan_mem_multiplier": 8,
            # The planner takes a walk for dearer than a scan of thousands of long rows.
            "enable_seqscan": "off",
            "enable_sort": "off",
        }

        def ask(connection: Connection) -> list[Any]:
            with connection.transaction():
                for name, value in settings.items() if among is None else ():
                    connection.execute("SELECT set_config(%s, %s, true)", (name, str(value)))
                return rows_of(connection, query, given)

        number, place, score = np.array(self.read(ask), dtype=np.float64).reshape(-1, 3).T
        order = np.lexsort((-score, number))
        row = number[order].astype(np.int64)
        column = np.arange(len(row)) - np.searchsorted(row, row)
        scores = np.full((len(queries), count), -np.inf, dtype=np.float32)
        places = np.full((len(queries), count), MISSING, dtype=np.int64)
        scores[row, column], places[row, column] = score[order], place[order].astype(np.int64)
        return scores, places

    def tables(self, prefix: str) -> list[str]:
        """List tables."""
        query = (
            "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() "
            "AND starts_with(tablename, %s) ORDER BY 1"
        )
        return [name for (name,) in self.read(lambda c: rows_of(c, query, (prefix,)))]

    def drop(self, table: str) -> None:
        """Drop a table; a reader that still has it open is waited for a short while."""
        self.read(lambda c: c.execute(_sql("DROP TABLE IF EXISTS {table}", table)))

    def _write(self, change: Callable[[Connection], object]) -> None:
        """Do what cannot be done again, in the transaction of :meth:`writing` or one of its own."""
        if self._writer is None:
            with self.writing():
                self._write(change)
            return
        with within(self._writer, WRITE_SECONDS):
            change(self._writer)


def _comment(connection: Connection, table: str) -> str:
    """Return the comment of a table, which is the token of its last change."""
    query = "SELECT obj_description(to_regclass(%s), 'pg_class')"
    return str(rows_of(connection, query, (table,))[0][0] or "")


def _kind(dim: int) -> str:
    return "vector" if dim <= LONGEST_VECTOR else "halfvec"


def _sql(text: str, table: str, dim: int = 0) -> Any:
    from psycopg.sql import SQL, Identifier

    return SQL(text).format(table=Identifier(table), kind=SQL(f"{_kind(dim)}({dim})"))
