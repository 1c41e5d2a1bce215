"""PostgreSQL with pgvector holds the rows of an index: a real server, killed and frozen."""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from postgres import PostgresServer
from stores import StoreContract
from test_index_learned import shop
from test_index_stores import answers
from typer.testing import CliRunner

from prodcat_index.cli.app import app
from prodcat_index.distributed import postgres, postgres_database
from prodcat_index.distributed.postgres import PostgresStore
from prodcat_index.errors import StoreError
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.index.stores import StoreAddress
from prodcat_index.types import MISSING

PASSWORD = "correct horse battery"
TABLE = "prodcat_0000abcd_1"


@pytest.fixture(scope="module")
def server() -> Iterator[PostgresServer]:
    started = PostgresServer(PASSWORD)
    yield started
    started.close()


@pytest.fixture(scope="module", autouse=True)
def _password() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PGPASSWORD", PASSWORD)
        yield


@pytest.fixture
def store(server: PostgresServer) -> Iterator[PostgresStore]:
    store = postgres.connect(StoreAddress(server.url))
    yield store
    for table in store.tables("prodcat_"):
        store.drop(table)
    store.close()


class TestPostgres(StoreContract):
    """It does what every store does."""

    @pytest.fixture(scope="class")
    @classmethod
    def store(cls, server: PostgresServer) -> Iterator[PostgresStore]:
        store = postgres.connect(StoreAddress(server.url))
        yield store
        store.close()


def unit_rows(n: int, dim: int, seed: int = 0) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype("f2").astype("f4")


def fill(store: PostgresStore, rows: np.ndarray, table: str = TABLE) -> None:
    with store.writing():
        store.create(table, rows.shape[1])
        store.put(table, 0, [f"card {n}" for n in range(len(rows))], rows)
    store.index(table)


def nearest(rows: np.ndarray, queries: np.ndarray, k: int) -> np.ndarray:
    return np.argsort(-(queries @ rows.T), axis=1, kind="stable")[:, :k]


@pytest.mark.parametrize("dim", [8, 2000, 2001])
def test_rows_come_back_bit_for_bit_and_the_nearest_are_found(
    store: PostgresStore, dim: int
) -> None:
    """Similarities would not be those of the folder; longer rows would not be found at all."""
    rows = unit_rows(300, dim)
    fill(store, rows)
    places = np.array([7, 299, 0, 7])
    assert np.array_equal(store.fetch(TABLE, places), rows[places])
    assert store.count(TABLE) == 300
    scores, found = store.search(TABLE, rows[:20] * 0.5, 5, walk=200)
    assert np.array_equal(found, nearest(rows, rows[:20], 5))
    assert scores == pytest.approx(np.sort(rows[:20] @ rows.T * 0.5)[:, :-6:-1], abs=1e-3)
    among = np.arange(0, 300, 7)
    scores, found = store.search(TABLE, rows[:20], 60, walk=1, among=among)
    assert np.array_equal(found[:, :43], among[nearest(rows[among], rows[:20], 43)])
    assert scores[:, :43] == pytest.approx(-np.sort(-(rows[:20] @ rows[among].T)), abs=1e-5)
    assert (found[:, 43:] == MISSING).all() and np.isneginf(scores[:, 43:]).all()


def test_the_graph_gives_as_many_as_are_asked_for(store: PostgresStore) -> None:
    """A filter that passes every tenth card would find none beyond the walk."""
    rows = unit_rows(1500, 8)
    fill(store, rows)
    _, found = store.search(TABLE, rows[:3], 1200, walk=20)
    assert (found >= 0).all() and [len(set(own)) for own in found.tolist()] == [1200] * 3
    _, found = store.search(TABLE, rows[:3], 2000, walk=20)
    assert [len(set(own) - {MISSING}) for own in found.tolist()] == [1500] * 3


def test_what_is_written_takes_effect_at_once_or_not_at_all(store: PostgresStore) -> None:
    """A sync that fails half-way would leave half of its cards."""
    rows = unit_rows(10, 4)
    fill(store, rows)
    with pytest.raises(ZeroDivisionError), store.writing():
        store.truncate(TABLE, 4)
        store.put(TABLE, 4, ["a"] * 10, rows)
        raise ZeroDivisionError
    assert store.count(TABLE) == 10
    other = postgres.connect(store.address)
    with store.writing():
        store.truncate(TABLE, 4)
        store.put(TABLE, 4, ["a"] * 10, rows)
        assert other.count(TABLE) == 10
    assert other.count(TABLE) == 14
    assert np.array_equal(other.fetch(TABLE, np.array([3, 4, 13])), rows[[3, 0, 9]])


def test_a_change_is_on_disk_when_it_was_acknowledged(store: PostgresStore) -> None:
    """A crash of a database that commits later would lose rows that the manifest counts."""
    with store.connection() as connection:
        connection.execute("SET synchronous_commit = off")
    with store.writing():
        assert store._writer is connection
        assert connection.execute("SHOW synchronous_commit").fetchone() == ("on",)
    assert connection.execute("SHOW synchronous_commit").fetchone() == ("off",)


def test_after_an_error_no_idle_connection_is_used_again(store: PostgresStore) -> None:
    """Each query after a restart of the database would fail on one of them, and wait."""
    with store.connection() as one, store.connection() as other:
        assert one is not other
    with pytest.raises(ZeroDivisionError), store.connection():
        raise ZeroDivisionError
    assert one.closed and other.closed
    with store.connection() as fresh:
        assert fresh not in (one, other)


def test_an_index_answers_from_postgresql_as_from_its_folder(
    server: PostgresServer, tmp_path: Path
) -> None:
    """A shop that moves its index into a database would get other categories."""
    built = ProductIndex.build(shop(120))
    folder = built.save(tmp_path / "stored", store=server.url)
    assert answers(ProductIndex.load(folder)) == answers(built)
    text = (folder / "manifest.json").read_text()
    assert server.url in text and PASSWORD not in text
    csv = tmp_path / "more.csv"
    csv.write_text("id,title,description,category\nx1,green sledge,of wood,sledge\n")
    run = CliRunner()
    for call in (["add", str(csv)], ["remove", "--ids", "x1"], ["rollback"]):
        ran = run.invoke(app, [call[0], "--index", str(folder), *call[1:]])
        assert ran.exit_code == 0, ran.output
    found = run.invoke(
        app, ["query", "--text", "green sledge", "--index", str(folder), "--format", "csv"]
    )
    assert "x1" in found.stdout, found.output
    told = run.invoke(app, ["info", str(folder), "--explain"])
    assert "prodcat_" in told.stdout and PASSWORD not in told.output


def test_a_query_goes_on_when_the_server_was_started_again(
    server: PostgresServer, store: PostgresStore
) -> None:
    """Each restart of a database would be a restart of all services."""
    rows = unit_rows(50, 4)
    fill(store, rows)
    server.kill()
    server.start()
    assert np.array_equal(store.fetch(TABLE, np.arange(50)), rows)
    with store.writing():
        store.put(TABLE, 50, ["a"], rows[:1])
    assert store.count(TABLE) == 51


def test_a_server_that_is_gone_is_told_of_in_a_sentence(
    server: PostgresServer, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shop would see a traceback, or wait for ever."""
    monkeypatch.setattr(postgres_database, "PATIENCE", 0.3)
    fill(store, unit_rows(5, 4))
    server.kill()
    try:
        with pytest.raises(StoreError, match=r"^The store postgresql://.* cannot be used now \("):
            store.count(TABLE)
        with pytest.raises(StoreError, match="The index is as it was"), store.writing():
            raise AssertionError("it was not begun")
    finally:
        server.start()
    assert store.count(TABLE) == 5


def test_a_server_that_does_not_answer_is_waited_for_no_longer_than_said(
    server: PostgresServer, store: PostgresStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A frozen database would freeze every service that asks it."""
    monkeypatch.setattr(postgres_database, "READ_SECONDS", 0.4)
    fill(store, unit_rows(5, 4))
    server.signal(signal.SIGSTOP)
    try:
        with pytest.raises(StoreError, match=r"no answer within 0\.4 seconds"):
            store.count(TABLE)
    finally:
        server.signal(signal.SIGCONT)
    assert store.count(TABLE) == 5


def test_a_wrong_password_is_no_secret_in_an_error(
    server: PostgresServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It would stand in the log of a nightly job."""
    monkeypatch.setenv("PGPASSWORD", "s3cret")
    start = time.monotonic()
    with pytest.raises(StoreError, match=r"PGPASSWORD, ~/\.pgpass") as raised:
        postgres.connect(StoreAddress(server.url)).tables("prodcat_")
    assert (
        "s3cret" not in str(raised.value) and time.monotonic() - start < postgres_database.PATIENCE
    )
    monkeypatch.delenv("PGPASSWORD")
    file = tmp_path / "credentials"
    file.write_text(f"127.0.0.1:*:*:postgres:{PASSWORD}\n")
    file.chmod(0o600)
    monkeypatch.setenv("PRODCAT_STORE_CREDENTIALS", str(file))
    assert postgres.connect(StoreAddress(server.url)).tables("prodcat_none") == []
    monkeypatch.setenv("PRODCAT_STORE_CREDENTIALS", str(tmp_path / "none"))
    with pytest.raises(StoreError, match="no file that can be read"):
        postgres.connect(StoreAddress(server.url))


@pytest.mark.parametrize(
    ("url", "mode"),
    [
        ("postgresql://shop@db.example/x", "verify-full"),
        ("postgresql://127.0.0.1,db.example/x", "verify-full"),
        ("postgresql:///x?host=db.example", "verify-full"),
        ("postgresql://db.example/x?sslmode=require", "require"),
        ("postgresql://localhost/x", None),
        ("postgresql://[::1]/x", None),
        ("postgresql:///x", None),
        ("postgresql:///x?host=/run/postgresql", None),
    ],
)
def test_tls_is_verified_but_where_nobody_is_in_between(url: str, mode: str | None) -> None:
    """Anybody on the way could read the cards, or answer in the place of the database."""
    given = postgres_database.parameters(StoreAddress(url))
    assert given.get("sslmode") == mode
    assert (given.get("sslrootcert") is not None) == (mode == "verify-full")


def test_a_server_without_tls_is_refused_where_it_is_asked_for(server: PostgresServer) -> None:
    with pytest.raises(
        StoreError, match=r"set up TLS there, or do without it by \?sslmode=disable"
    ):
        postgres.connect(StoreAddress(f"{server.url}?sslmode=verify-full")).tables("prodcat_")


def test_a_server_is_not_told_the_password_as_it_is() -> None:
    """An index from a stranger names a server of theirs, which would ask for the password."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        from threading import Thread

        heard = []

        def answer() -> None:
            end, _ = listening.accept()
            with end:
                heard.append(end.recv(4096))
                if heard[0][4:8] == b"\x04\xd2\x16/":  # asked for TLS, which it has not
                    end.sendall(b"N")
                    heard.append(end.recv(4096))
                end.sendall(b"R\0\0\0\x08\0\0\0\x03")  # the password as it is, please
                heard.append(end.recv(4096))

        thread = Thread(target=answer, daemon=True)
        thread.start()
        url = f"postgresql://shop@127.0.0.1:{listening.getsockname()[1]}/x"
        with pytest.raises(StoreError):
            postgres.connect(StoreAddress(url)).tables("prodcat_")
        thread.join(5)
    assert heard and PASSWORD.encode() not in b"".join(heard)


@pytest.mark.parametrize("key", ["sslkey=/etc/key", "service=x", "options=-cx%3Dy", "passfile=/x"])
def test_an_address_names_no_files_and_options(key: str) -> None:
    """An index from a stranger would have files of this machine read."""
    with pytest.raises(StoreError, match="not allowed there"):
        postgres.connect(StoreAddress(f"postgresql://db.example/x?{key}"))


def test_rows_that_are_too_long_are_refused_before_anything_is_written(
    server: PostgresServer, store: PostgresStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database would refuse them only after they were all sent."""
    monkeypatch.setattr(PostgresStore, "most_dimensions", 100)
    before = store.tables("prodcat_")
    with pytest.raises(StoreError, match="at most 100; choose encoders with shorter rows"):
        ProductIndex.build(shop(60)).save(tmp_path / "index", store=server.url)
    assert (
        store.tables("prodcat_") == before and not (tmp_path / "index" / "manifest.json").exists()
    )


def test_a_table_that_is_gone_is_told_of(store: PostgresStore) -> None:
    with pytest.raises(StoreError, match=r"has lost a table.*open the index again"):
        store.count(TABLE)
    fill(store, unit_rows(3, 4))
    with pytest.raises(StoreError, match=f"no row at place 5 of the table {TABLE}"):
        store.fetch(TABLE, np.array([1, 5]))


def test_another_who_wrote_in_between_is_noticed(store: PostgresStore) -> None:
    """Two copies of a folder would write over the rows of each other."""
    fill(store, unit_rows(4, 3))
    assert store.last_change(TABLE) == ""
    with store.writing():
        store.mark_change(TABLE, "", "a" * 16)
    assert store.last_change(TABLE) == "a" * 16
    with pytest.raises(StoreError, match="changed by a copy of this index"), store.writing():
        store.mark_change(TABLE, "b" * 16, "c" * 16)
    assert store.last_change(TABLE) == "a" * 16


@pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN1"])
def test_a_database_that_cannot_hold_every_id_is_refused(
    server: PostgresServer, store: PostgresStore, encoding: str
) -> None:
    """After hours of building, an id would be no text to the database."""
    name = encoding.lower()
    with store.connection() as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING '{encoding}' TEMPLATE template0")
    url = f"{server.url.rpartition('/')[0]}/{name}"
    with pytest.raises(StoreError, match=f"is of the encoding {encoding}"):
        postgres.connect(StoreAddress(url)).tables("x")


def test_every_id_is_held(store: PostgresStore) -> None:
    with store.writing():
        store.create(TABLE, 2)
        store.put(TABLE, 0, ["ünï-коД ☃"], unit_rows(1, 2))
    assert store.count(TABLE) == 1
