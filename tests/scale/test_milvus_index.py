"""An index in Milvus against the same index in its folder."""

from __future__ import annotations

import csv
import random
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from command import prodcat
from servers import MilvusServer
from test_index_changes import more
from test_index_learned import shop
from test_index_stores import answers

from prodcat_index.cards.catalogue import Catalogue
from prodcat_index.distributed import milvus as milvus_module
from prodcat_index.errors import StoreError
from prodcat_index.index.folder import read_manifest
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.index.transaction import rollback


def write_csv(path: Path, cards: Catalogue) -> None:
    columns = ("id", "title", "description", "category")
    with path.open("w", newline="", encoding="utf-8") as file:
        lines = zip(*(cards.values(column) for column in columns), strict=True)
        csv.writer(file).writerows([columns, *lines])


@pytest.fixture(autouse=True)
def _few_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measure recall by few cards: milvus-lite searches for one after the other."""
    monkeypatch.setattr("prodcat_index.index.store_table.HELD_OUT", 40)


@cache
def built() -> ProductIndex:
    """An index that looks as widely as it takes to find all of the nearest."""
    return ProductIndex.build(shop(300), recall=1.0)


def test_every_change_leaves_the_answers_of_the_folder(
    milvus: MilvusServer, tmp_path: Path
) -> None:
    """A shop that moves its index into Milvus would get other categories and prices."""
    plain = built().save(tmp_path / "plain")
    folder = built().save(tmp_path / "stored", store=milvus.address.url)
    assert answers(ProductIndex.load(folder)) == answers(built())
    ids = built().parts.catalogue.ids
    changes: list[Callable[[ProductIndex], ProductIndex]] = [
        lambda index: index.add(more(40)),
        lambda index: index.remove(ids[5:25]),
        lambda index: index.refit(),
        lambda index: index.add(more(30, start=900)),
    ]
    for change in changes:
        for place in (plain, folder):
            change(ProductIndex.load(place)).save_next(place)
        assert answers(ProductIndex.load(folder)) == answers(ProductIndex.load(plain))
    for place in (plain, folder):
        rollback(place)
    assert answers(ProductIndex.load(folder)) == answers(ProductIndex.load(plain))
    record = read_manifest(folder).store
    assert record is not None and record.recall == 1.0
    written = "".join(path.read_text(errors="replace") for path in folder.rglob("*.json"))
    assert milvus.address.url in written
    assert milvus.environment["MILVUS_TOKEN"] not in written


def test_a_sync_during_which_the_server_is_killed_is_done_again(
    milvus: MilvusServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A night's sync would leave an index that is neither of yesterday nor of today."""
    monkeypatch.setattr(milvus_module, "WRITING", 5.0)
    # Many messages, so that the server is killed between two.
    monkeypatch.setattr(milvus_module, "BYTES_AT_ONCE", 1 << 14)
    monkeypatch.setattr(milvus_module, "READING", 5.0)
    plain = built().save(tmp_path / "plain")
    folder = built().save(tmp_path / "stored", store=milvus.address.url)
    chance, put = random.Random(1), milvus_module.MilvusStore.put
    for night in range(2 if milvus.kind == "lite" else 1):
        before, cards = ProductIndex.load(plain), more(400, start=1000 * (1 + night))
        killer = threading.Timer(chance.uniform(0.1, 0.6), milvus.kill)

        def put_and_die(
            store: milvus_module.MilvusStore,
            table: str,
            *given: Any,
            killer: threading.Timer = killer,
        ) -> None:
            killer.start()
            put(store, table, *given)
            # It was quicker than the kill.
            killer.join()
            store.count(table)

        with monkeypatch.context() as patched, pytest.raises(StoreError):
            patched.setattr(milvus_module.MilvusStore, "put", put_and_die)
            ProductIndex.load(folder).add(cards).save_next(folder)
        killer.join()
        milvus.start().wait()
        assert patiently(folder) == answers(before)
        before.add(cards).save_next(plain)
        ProductIndex.load(folder).add(cards).save_next(folder)
        assert answers(ProductIndex.load(folder)) == answers(ProductIndex.load(plain))


def patiently(folder: Path) -> object:
    end = time.monotonic() + 120
    while True:
        try:
            return answers(ProductIndex.load(folder))
        except StoreError as error:
            assert "did not answer" in str(error) and time.monotonic() < end, error


def test_commands_take_the_folder_as_ever(milvus: MilvusServer, tmp_path: Path) -> None:
    """Each command would need to know of the store."""
    write_csv(tmp_path / "cards.csv", shop(120))
    write_csv(tmp_path / "today.csv", more(12))
    folder, url = tmp_path / "index", milvus.address.url
    made = prodcat("build-index", tmp_path / "cards.csv", "-o", folder, "--store", url)
    assert made.code == 0, made.err
    told = prodcat("info", folder, "--explain")
    assert told.code == 0 and url in told.out, told
    found = prodcat("query", "--text", "red kettle", "--index", folder, "--format", "json")
    assert found.code == 0 and "kettle" in found.out, found.err
    added = prodcat("add", tmp_path / "today.csv", "--index", folder)
    assert added.code == 0, added.err
    assert prodcat("rollback", "--index", folder).code == 0
