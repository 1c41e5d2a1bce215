"""Milvus servers that are gone, slow, killed or guarded."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from servers import MilvusServer
from stores import DIM, ids_of, made_rows

from prodcat_index.distributed import milvus as milvus_module
from prodcat_index.errors import StoreError
from prodcat_index.index.stores import StoreAddress

TABLE = "prodcat_0000000c_1"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(milvus_module, "CONNECTING", 3.0)
    monkeypatch.setattr(milvus_module, "READING", 3.0)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("listens", [False, True])
def test_a_server_that_does_not_answer_is_told_of(
    listens: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command would hang without a word."""
    monkeypatch.setenv("MILVUS_TOKEN", "shop:s3cret")
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        if listens:
            deaf.listen()
        url = f"milvus+http://127.0.0.1:{deaf.getsockname()[1]}"
        with ThreadPoolExecutor() as pool:
            asked = pool.submit(milvus_module.connect(StoreAddress(url)).count, TABLE)
            error = asked.exception(timeout=60)
    assert isinstance(error, StoreError)
    assert f"The store {url} did not answer within 3 seconds" in str(error)
    assert "s3cret" not in str(error)


def test_nothing_that_was_acknowledged_is_lost(
    milvus: MilvusServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A manifest would count rows that are not there, and the index could not be read."""
    monkeypatch.setattr(milvus_module, "WRITING", 5.0)
    server, rows, chance = milvus, made_rows(5_000), random.Random(0)
    done = 500
    store = server.connect()
    store.create(TABLE, DIM)
    store.put(TABLE, 0, ids_of(range(done)), rows[:done])
    store.index(TABLE)
    for _ in range(3 if server.kind == "lite" else 1):
        killer = threading.Timer(chance.uniform(0.1, 1.0), server.kill)
        killer.start()
        writer = server.connect()
        with pytest.raises(StoreError):
            # A fast server takes more rows than there are before it is killed.
            while True:
                places = range(done, done + chance.choice([1, 5, 20]))
                writer.put(TABLE, done, ids_of(places), rows[np.array(places) % len(rows)])
                done = places.stop
        killer.join()
        server.start().wait()
        # By the connection that was there before, as in `prodcat serve`.
        expected = rows[np.arange(done) % len(rows)]
        np.testing.assert_array_equal(patiently(store, done), expected)
        store.truncate(TABLE, done)
        assert store.count(TABLE) == done
    assert done > 500


def patiently(store: milvus_module.MilvusStore, done: int) -> object:
    """Fetch the first rows; a server that was killed needs half a minute until it reads."""
    end = time.monotonic() + 120
    while True:
        try:
            return store.fetch(TABLE, np.arange(done))
        except StoreError as error:
            assert "did not answer" in str(error) and time.monotonic() < end, error


ASK = """
import sys
from prodcat_index.distributed import milvus
from prodcat_index.errors import StoreError
from prodcat_index.index.stores import StoreAddress
milvus.CONNECTING = float(sys.argv[2])
try:
    print(milvus.connect(StoreAddress(sys.argv[1])).tables(""))
except StoreError as error:
    print(error)
"""


def ask(server: MilvusServer, seconds: float, **environment: str) -> str:
    """Ask in a process of its own, for gRPC reads its certificates once."""
    command = [sys.executable, "-c", ASK, server.address.url, str(seconds)]
    ended = subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=120
    )
    assert ended.stderr == ""
    return ended.stdout.strip()


def test_a_certificate_and_a_token_are_checked(milvus: MilvusServer, tmp_path: Path) -> None:
    """Anybody in between could read and change the vectors of a shop."""
    if milvus.kind == "lite":
        pytest.skip("milvus-lite has neither")
    (tmp_path / "credentials").write_text("root:Milvus\n")
    kept = {"MILVUS_TOKEN": "", "PRODCAT_STORE_CREDENTIALS": str(tmp_path / "credentials")}
    assert ask(milvus, 20, **kept).startswith("[")
    wrong = ask(milvus, 20, MILVUS_TOKEN="root:s3cret")
    assert "refuses the token" in wrong and "s3cret" not in wrong
    untrusted = ask(milvus, 5, GRPC_DEFAULT_SSL_ROOTS_FILE_PATH="")
    assert "did not answer" in untrusted and "certificate" in untrusted
