"""Rows of an index in PostgreSQL, searched by pgvector: a walk through a graph, or a scan.

A change is one transaction. Reads are tried again for a while where the server goes away, and
every wait ends.
"""

from __future__ import annotations

import os
import socket
import ssl
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from threading import Timer
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from prodcat_index.errors import StoreError, one_line
from prodcat_index.index.stores import CREDENTIALS, WHERE_CREDENTIALS, StoreAddress, is_loopback
from prodcat_index.types import MISSING, Float32Array, Int64Array

if TYPE_CHECKING:
    from psycopg import Connection

T = TypeVar("T")

CONNECT_SECONDS, READ_SECONDS, WRITE_SECONDS, INDEX_SECONDS = 10, 60, 600, 24 * 3600
# How long a read is tried again; not where the server was away just before.
PATIENCE, JUST_BEFORE = 8.0, 5.0
MOST_IDLE = 8
# pgvector indexes rows of 32 bits up to this length, and of 16 bits up to twice of it.
LONGEST_VECTOR = 2000
LINKS, CONSTRUCTION_EFFORT = 16, 100
LEAST_VERSION = (0, 8)
ALLOWED = {"host", "port", "user", "dbname", "sslmode", "sslrootcert"}
# In the words of servers and of libpq: to try again would not help.
LASTING: tuple[str, ...] = (
    "authentication",
    "certificate",
    "SSL",
    "does not exist",
    "pg_hba",
    "require_auth",
)
LASTING += ("no password", "permission")


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


class PostgresStore:
    """Tables of one database. Several threads may read at once; one writes."""

    most_dimensions = 2 * LONGEST_VECTOR
    most_walk = 1000

    def __init__(self, address: StoreAddress) -> None:
        self._address = address
        self._given = _parameters(address)
        self._idle: list[Connection] = []
        self._writer: Connection | None = None
        self._away = -JUST_BEFORE  # when it was last found to be away
        self.close = weakref.finalize(self, _close, self._idle)
        self.close.atexit = True

    def create(self, table: str, dim: int) -> None:
        """Make an empty table."""
        drop = "DROP TABLE IF EXISTS {table}"
        made = "CREATE TABLE {table} (place bigint PRIMARY KEY, id text NOT NULL, row {kind}"
        self._write(lambda c: (c.execute(_sql(drop, table)), c.execute(_sql(made, table, dim))))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write in one transaction."""
        self._read(lambda c: c.execute("SELECT 1"))  # What was away for a moment may be back.
        with self._told(), self._connection() as connection:
            with _within(connection, WRITE_SECONDS):
                connection.execute("BEGIN")
                connection.execute("SET LOCAL synchronous_commit = on")
            self._writer = connection
            try:
                yield
                with _within(connection, WRITE_SECONDS):
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

    def index(self, table: str) -> None:
        """Make the graph."""
        with self._told(), self._connection() as connection:
            (kind,) = connection.execute(
                "SELECT format_type(atttypid, NULL) FROM pg_attribute "
                "WHERE attrelid = %s::regclass AND attname = 'row'",
                (table,),
            ).fetchone() or ("vector",)
            made = (
                f"CREATE INDEX ON {{table}} USING hnsw (row {kind}_ip_ops) "
                f"WITH (m = {LINKS}, ef_construction = {CONSTRUCTION_EFFORT})"
            )
            with _within(connection, INDEX_SECONDS):
                connection.execute(_sql(made, table))
            with _within(connection, INDEX_SECONDS):
                connection.execute(_sql("ANALYZE {table}", table))

    def count(self, table: str) -> int:
        """Count the rows."""
        query = _sql("SELECT count(*) FROM {table}", table)
        return self._read(lambda c: int(_rows(c, query)[0][0]))

    def fetch(self, table: str, places: Int64Array) -> Float32Array:
        """Fetch rows by their places."""
        query = _sql("SELECT place, row::vector FROM {table} WHERE place = ANY(%s)", table)
        found = dict(self._read(lambda c: _rows(c, query, (places.tolist(),))))
        try:
            rows = [found[place].to_numpy() for place in places.tolist()]
        except KeyError as error:
            raise StoreError(
                f"The store {self._address} has no row at place {error} of the table {table}; "
                "something else has changed the table. Build the index again."
            ) from error
        return np.stack(rows) if rows else np.empty((0, 0), dtype=np.float32)

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
                return _rows(connection, query, given)

        number, place, score = np.array(self._read(ask), dtype=np.float64).reshape(-1, 3).T
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
        return [name for (name,) in self._read(lambda c: _rows(c, query, (prefix,)))]

    def drop(self, table: str) -> None:
        """Drop a table; a reader that still has it open is waited for a short while."""
        self._read(lambda c: c.execute(_sql("DROP TABLE IF EXISTS {table}", table)))

    def _read(self, ask: Callable[[Connection], T]) -> T:
        """Ask what can be asked again, and ask again while the server is away."""
        from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

        patience = 0.0 if monotonic() - self._away < JUST_BEFORE else PATIENCE
        attempts = Retrying(
            stop=stop_after_delay(patience),
            wait=wait_random_exponential(multiplier=0.1, max=2),
            retry=retry_if_exception(_may_pass),
            reraise=True,
        )
        with self._told():
            for attempt in attempts:
                with attempt, self._connection() as connection, _within(connection, READ_SECONDS):
                    return ask(connection)
        raise AssertionError("the last attempt returns or raises")

    def _write(self, change: Callable[[Connection], object]) -> None:
        """Do what cannot be done again, in the transaction of :meth:`writing` or one of its own."""
        if self._writer is None:
            with self.writing():
                self._write(change)
            return
        with _within(self._writer, WRITE_SECONDS):
            change(self._writer)

    @contextmanager
    def _connection(self) -> Iterator[Connection]:
        """Lend a connection; after an error it is closed, and so is what was not committed."""
        connection = self._idle.pop() if self._idle else self._connect()
        try:
            yield connection
        except BaseException:
            # Whatever cut this one has cut the others.
            _close([*self._idle, connection])
            self._idle.clear()
            raise
        if len(self._idle) < MOST_IDLE:
            self._idle.append(connection)
        else:
            connection.close()

    def _connect(self) -> Connection:
        import psycopg
        from pgvector.psycopg import register_vector
        from psycopg.types import TypeInfo

        connection = psycopg.connect(**self._given, autocommit=True)
        try:
            with _within(connection, CONNECT_SECONDS):
                if TypeInfo.fetch(connection, "vector") is None:
                    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
                query = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
                version = str(_rows(connection, query)[0][0])
                if tuple(map(int, version.split(".")[:2])) < LEAST_VERSION:
                    raise StoreError(
                        f"The store {self._address} has pgvector {version}, and 0.8 is needed; "
                        "upgrade it there, and run: ALTER EXTENSION vector UPDATE"
                    )
                register_vector(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Turn an error of the driver into a sentence."""
        import psycopg

        try:
            yield
        except psycopg.Error as error:
            if _may_pass(error):
                self._away = monotonic()
            raise StoreError(self._sentence(error)) from error
        self._away = -JUST_BEFORE

    def _sentence(self, error: Exception) -> str:
        from psycopg import OperationalError, errors

        cause = one_line(getattr(getattr(error, "diag", None), "message_primary", "") or error)
        store = f"The store {self._address}"
        if isinstance(error, errors.UndefinedTable):
            return f"{store} has lost a table ({cause}); open the index again, or build it again."
        if isinstance(error, (errors.UndefinedFile, errors.FeatureNotSupported)):
            return f"{store} has no pgvector ({cause}); install the extension there."
        if not isinstance(error, OperationalError):
            return f"{store} refuses ({cause}). Nothing was changed."
        if "authentication" in cause or "password" in cause:
            way = f"give the password by {WHERE_CREDENTIALS['postgres']}"
        elif "certificate" in cause or "SSL" in cause:
            way = "name its authority by ?sslrootcert=FILE, or say in its address how far to trust"
            way += " it, such as ?sslmode=require"
        else:
            way = "see that the server runs and can be reached, and try again"
        return f"{store} cannot be used now ({cause}); {way}. Nothing was changed."


def _parameters(address: StoreAddress) -> dict[str, Any]:
    """Return what a connection is made of; the password is found by libpq itself."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        given: dict[str, Any] = dict(conninfo_to_dict(address.url))
    except ProgrammingError as error:
        raise StoreError(f"The address of the store {address} cannot be read.") from error
    if others := sorted(set(given) - ALLOWED):
        raise StoreError(
            f"The address of the store {address} has {others[0]}, which is not allowed there; use "
            f"only {', '.join(sorted(ALLOWED))}."
        )
    hosts = str(given.get("host") or "localhost").split(",")
    if not all(host.startswith("/") or is_loopback(host) for host in hosts):
        given.setdefault("sslmode", "verify-full")
    if str(given.get("sslmode", "")).startswith("verify"):
        given.setdefault("sslrootcert", ssl.get_default_verify_paths().cafile or "system")
    if "PGREQUIREAUTH" not in os.environ:
        # A server that an index from a stranger names is not told the password as it is.
        given["require_auth"] = "!password"
    if path := os.environ.get(CREDENTIALS):
        if not os.access(path, os.R_OK):
            raise StoreError(f"{CREDENTIALS} names {path}, which is no file that can be read.")
        given["passfile"] = path
    keepalives = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
    return given | keepalives | {"connect_timeout": CONNECT_SECONDS, "application_name": "prodcat"}


def _kind(dim: int) -> str:
    return "vector" if dim <= LONGEST_VECTOR else "halfvec"


def _sql(text: str, table: str, dim: int = 0) -> Any:
    from psycopg.sql import SQL, Identifier

    kind = SQL(f"{_kind(dim)}({dim}) NOT NULL)")  # the end of a table that is made
    return SQL(text).format(table=Identifier(table), kind=kind)


def _rows(connection: Connection, query: Any, given: Any = None) -> list[Any]:
    return connection.cursor(binary=True).execute(query, given).fetchall()


def _may_pass(error: BaseException) -> bool:
    """Check whether an error is that the server is away, which it may not be in a moment."""
    from psycopg import InterfaceError, OperationalError, errors

    if isinstance(error, (errors.QueryCanceled, errors.InsufficientResources)):
        return False
    is_away = isinstance(error, (OperationalError, InterfaceError))
    return is_away and not any(word in str(error) for word in (*LASTING, "seconds"))


@contextmanager
def _within(connection: Connection, seconds: float) -> Iterator[None]:
    """Cut a connection whose server does not answer in time, and say so."""
    from psycopg import Error, OperationalError

    late = []

    def cut() -> None:
        late.append(True)
        with suppress(OSError, Error):
            end = socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM)
            end.shutdown(socket.SHUT_RDWR)
            end.close()

    timer = Timer(seconds, cut)
    timer.daemon = True
    timer.start()
    try:
        yield
    except Error as error:
        if late:
            raise OperationalError(f"no answer within {seconds:g} seconds") from error
        raise
    finally:
        timer.cancel()


def _close(connections: list[Connection]) -> None:
    for connection in connections:
        with suppress(Exception):
            connection.close()
