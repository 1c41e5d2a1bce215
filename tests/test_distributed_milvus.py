"""What needs no server of the store in Milvus; `scale/test_milvus.py` has the others."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stores import ids_of, made_rows

from prodcat_index.distributed import milvus
from prodcat_index.errors import StoreError
from prodcat_index.index.stores import StoreAddress

ADDRESS = StoreAddress("milvus+http://127.0.0.1:1")


class FakeClient:
    """Keeps rows, and notes the calls; its clock goes on by one with each question."""

    def __init__(self) -> None:
        self.kept: dict[int, Any] = {}
        self.sizes: list[int] = []
        self.times: list[int] = []
        self.clock = 0

    def _get_connection(self) -> FakeClient:
        return self

    def alloc_timestamp(self, timeout: float) -> int:
        self.clock += 1
        return self.clock

    def describe_collection(self, table: str, timeout: float) -> Any:
        dim = len(next(iter(self.kept.values())))
        return {"fields": [{"name": "row", "params": {"dim": dim}}]}

    def upsert(self, table: str, cards: list[Any], timeout: float) -> None:
        self.sizes.append(sum(card["row"].nbytes for card in cards))
        self.kept |= {card["place"]: card["row"] for card in cards}

    def query(self, table: str, timeout: float, filter: str = "", **options: Any) -> list[Any]:
        assert options["consistency_level"] == "Customized"
        self.times.append(options["guarantee_timestamp"])
        if not filter:
            return [{"count(*)": len(self.kept)}]
        places = json.loads(filter.removeprefix("place in "))
        # In an order of its own, as servers do.
        found = [p for p in reversed(places) if p in self.kept]
        return [{"place": p, "row": self.kept[p].tolist()} for p in found]


@pytest.fixture
def client() -> FakeClient:
    return FakeClient()


@pytest.fixture
def store(client: FakeClient, monkeypatch: pytest.MonkeyPatch) -> milvus.MilvusStore:
    store = milvus.MilvusStore(ADDRESS)
    vars(store)["_client"] = client
    monkeypatch.setattr(milvus, "BYTES_AT_ONCE", 1000)
    return store


def test_messages_are_small_and_rows_keep_their_order(
    store: milvus.MilvusStore, client: FakeClient
) -> None:
    """A server refuses a message of more than it takes, after hours of a build."""
    rows = made_rows(100, 20)
    store.put("t", 7, ids_of(range(100)), rows)
    assert max(client.sizes) <= 1000 and sum(client.sizes) == rows.nbytes
    places = np.random.default_rng(0).permutation(100)[:60]
    np.testing.assert_array_equal(store.fetch("t", places + 7), rows[places])


def test_reads_are_as_of_one_time_until_something_is_written(
    store: milvus.MilvusStore, client: FakeClient
) -> None:
    """Each read would wait for a tick of the server, or miss what was written before."""
    store.put("t", 0, ids_of(range(3)), made_rows(3, 20))
    for _ in range(2):
        store.fetch("t", np.array([0, 2]))
    assert client.times == [1, 1]
    store.put("t", 3, ids_of(range(1)), made_rows(1, 20))
    store.fetch("t", np.array([3]))
    assert store.count("t") == 4
    assert client.times == [1, 1, 2, 3]
    # Another connection may have written it since.
    with pytest.raises(StoreError, match=r"does not hold 1 of the rows .* first at place 9"):
        store.fetch("t", np.array([3, 9]))
    assert client.times == [1, 1, 2, 3, 3, 4]


def test_a_package_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(StoreError, match=r"pip install 'prodcat-index\[milvus\]'"):
        milvus.connect(ADDRESS)


def test_a_token_comes_from_the_environment_or_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would have to be in the address, and so in the manifest and in lists of processes."""
    monkeypatch.delenv("MILVUS_TOKEN", raising=False)
    monkeypatch.delenv("PRODCAT_STORE_CREDENTIALS", raising=False)
    assert milvus.MilvusStore(ADDRESS)._secret == ""
    monkeypatch.setenv("PRODCAT_STORE_CREDENTIALS", str(tmp_path / "kept"))
    with pytest.raises(StoreError, match="PRODCAT_STORE_CREDENTIALS names cannot be read"):
        milvus.MilvusStore(ADDRESS)
    (tmp_path / "kept").write_text("shop:from a file\n")
    assert milvus.MilvusStore(ADDRESS)._secret == "shop:from a file"
    monkeypatch.setenv("MILVUS_TOKEN", "shop:from here")
    assert milvus.MilvusStore(ADDRESS)._secret == "shop:from here"
