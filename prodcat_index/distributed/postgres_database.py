"""Connections to PostgreSQL: TLS, deadlines, new attempts, and errors in sentences."""

from __future__ import annotations

import os
import socket
import ssl
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from threading import Timer
from time import monotonic
from typing import TYPE_CHECKING, Any, TypeVar

from prodcat_index.errors import StoreError, one_line
from prodcat_index.index.stores import CREDENTIALS, WHERE_CREDENTIALS, StoreAddress, is_loopback

if TYPE_CHECKING:
    from psycopg import Connection

T = TypeVar("T")

CONNECT_SECONDS, READ_SECONDS, WRITE_SECONDS, INDEX_SECONDS = 10, 60, 600, 24 * 3600
# How long a read is tried again; not where the server was away just before.
PATIENCE, JUST_BEFORE = 8.0, 5.0
MOST_IDLE = 8
LEAST_VERSION = (0, 8)  # of pgvector: the first whose walks go on
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
LASTING += ("invalid sslmode", "no password", "permission", "no answer within")


class Database:
    """A database, of whose idle connections some are kept. Several threads may ask at once."""

    def __init__(self, address: StoreAddress) -> None:
        self.address = address
        self._given = parameters(address)
        self._idle: list[Connection] = []
        self._away = -JUST_BEFORE  # when it was last found to be away
        self.close = weakref.finalize(self, _close, self._idle)

    def read(self, ask: Callable[[Connection], T]) -> T:
        """Ask what can be asked again, and ask again while the server is away."""
        from tenacity import Retrying, retry_if_exception, stop_after_delay, wait_random_exponential

        patience = 0.0 if monotonic() - self._away < JUST_BEFORE else PATIENCE
        attempts = Retrying(
            stop=stop_after_delay(patience),
            wait=wait_random_exponential(multiplier=0.1, max=2),
            retry=retry_if_exception(_may_pass),
            reraise=True,
        )
        with self.told():
            for attempt in attempts:
                with attempt, self.connection() as connection, within(connection, READ_SECONDS):
                    return ask(connection)
        raise AssertionError("the last attempt returns or raises")

    @contextmanager
    def connection(self) -> Iterator[Connection]:
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
            with within(connection, CONNECT_SECONDS):
                encoding = connection.info.parameter_status("server_encoding")
                if encoding != "UTF8":
                    raise StoreError(
                        f"The database of the store {self.address} is of the encoding {encoding}, "
                        "which cannot hold every id; make one of the encoding UTF8."
                    )
                if TypeInfo.fetch(connection, "vector") is None:
                    connection.execute("CREATE EXTENSION IF NOT EXISTS vector")
                query = "SELECT extversion FROM pg_extension WHERE extname = 'vector'"
                version = str(rows_of(connection, query)[0][0])
                if tuple(map(int, version.split(".")[:2])) < LEAST_VERSION:
                    raise StoreError(
                        f"The store {self.address} has pgvector {version}, and 0.8 is needed; "
                        "upgrade it there, and run: ALTER EXTENSION vector UPDATE"
                    )
                register_vector(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def told(self) -> Iterator[None]:
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
        store = f"The store {self.address}"
        if isinstance(error, errors.UndefinedTable):
            return f"{store} has lost a table ({cause}); open the index again, or build it again."
        if isinstance(error, (errors.UndefinedFile, errors.FeatureNotSupported)):
            return f"{store} has no pgvector ({cause}); install the extension there."
        if not isinstance(error, OperationalError):
            return f"{store} refuses ({cause}). The index is as it was."
        if "authentication" in cause or "password" in cause:
            way = f"give the password by {WHERE_CREDENTIALS['postgres']}"
        elif "does not support SSL" in cause:
            way = "set up TLS there, or do without it by ?sslmode=disable"
        elif "certificate" in cause or "SSL" in cause:
            way = "name its authority by ?sslrootcert=FILE, or say in its address how far to trust"
            way += " it, such as ?sslmode=require"
        else:
            way = "see that the server runs and can be reached, and try again"
        return f"{store} cannot be used now ({cause}); {way}. The index is as it was."


def parameters(address: StoreAddress) -> dict[str, Any]:
    """Return what a connection is made of; the password is found by libpq itself."""
    from psycopg import ProgrammingError
    from psycopg.conninfo import conninfo_to_dict

    try:
        given: dict[str, Any] = dict(conninfo_to_dict(address.url))
    except ProgrammingError as error:
        raise StoreError(f"The address of the store {address} cannot be read.") from error
    if others := sorted(set(given) - ALLOWED):
        raise StoreError(
            f"The address of the store {address} names {others[0]}, which is not allowed there; "
            f"use only {', '.join(sorted(ALLOWED))}."
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
    given["client_encoding"] = "utf8"
    return given | keepalives | {"connect_timeout": CONNECT_SECONDS, "application_name": "prodcat"}


def rows_of(connection: Connection, query: Any, given: Any = None) -> list[Any]:
    """Ask a query, and return its rows."""
    return connection.cursor(binary=True).execute(query, given).fetchall()


def _may_pass(error: BaseException) -> bool:
    """Check whether an error is that the server is away, which it may not be in a moment."""
    from psycopg import InterfaceError, OperationalError, errors

    if isinstance(error, (errors.QueryCanceled, errors.InsufficientResources)):
        return False
    is_away = isinstance(error, (OperationalError, InterfaceError))
    return is_away and not any(word in str(error) for word in LASTING)


@contextmanager
def within(connection: Connection, seconds: float) -> Iterator[None]:
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
