"""An index whose rows lie in a store answers as its folder does, whatever happens in between."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made import catalogue, change_manifest, read_json, row
from service import serving
from stores import ADDRESS, MemoryStore, StoreContract
from test_index_changes import more
from test_index_learned import shop

from prodcat_index.cards.card import Card
from prodcat_index.errors import IndexFolderError, StoreError
from prodcat_index.index import search, store_table, stores
from prodcat_index.index.folder import read_manifest
from prodcat_index.index.integrity import verify_index
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.index.stores import StoreAddress, StoreTable, is_loopback
from prodcat_index.index.transaction import rollback
from prodcat_index.service.settings import ServeSettings

CARDS = 120  # enough to learn from
QUERIES = [Card(title="red kettle"), Card(title="blue sledge", description="in grey")]
QUERIES += [Card(title="blue", description="anvil in blue"), Card(title="kettle kettle")]


@pytest.fixture(scope="module")
def built() -> ProductIndex:
    return ProductIndex.build(shop(CARDS))


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> MemoryStore:
    made = MemoryStore()
    monkeypatch.setattr(stores, "connect", made.connect)
    # Else all of these few cards would be compared.
    monkeypatch.setattr(search, "FEW_IN_A_STORE", 0)
    return made


@pytest.fixture
def folder(built: ProductIndex, store: MemoryStore, tmp_path: Path) -> Path:
    return built.save(tmp_path / "stored", store=ADDRESS)


def answers(index: ProductIndex) -> list[Any]:
    """All that people see of answers, to the last bit."""
    found: list[Any] = [index.search_each(QUERIES, 7), index.search_each(QUERIES, 7, where="id!=1")]
    found += [index.search_each(QUERIES, 5, where=f"category={index.parts.labels.names[0]}")]
    found += [index.search_each(QUERIES, 5, weights={"title": 1.0})]
    found += [index.similar(index.parts.catalogue.ids[3], 5)]
    predicted = index.predict(QUERIES)
    return [*found, [(p.category, p.share, p.confidence, p.neighbours) for p in predicted]]


def test_answers_are_those_of_the_folder(
    built: ProductIndex, folder: Path, store: MemoryStore
) -> None:
    """A shop that moves its index into a database would get other categories."""
    loaded = ProductIndex.load(folder)
    assert answers(loaded) == answers(built)
    assert {"search", "scan", "fetch"} <= set(store.asked)
    assert not list(folder.rglob("*.f16")) and not list(folder.rglob("search*"))


def test_scaled_columns_are_told_of_to_nobody(
    built: ProductIndex, store: MemoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Similarities of titles would be four times what they are."""
    width = sum(block.dim for block in built.parts.encoder_blocks)
    monkeypatch.setattr(store_table, "_scaling", lambda parts: (4, width))
    folder = built.save(tmp_path / "scaled", store=ADDRESS)
    ((_, row), *_) = next(iter(store.kept.values())).values()
    lengths = np.linalg.norm(row[:width]), np.linalg.norm(row[width:])
    assert lengths[0] > 4 and lengths[1] < 2
    assert answers(ProductIndex.load(folder)) == answers(built)
    ProductIndex.load(folder).add(more(9)).save_next(folder)
    assert answers(ProductIndex.load(folder)) == answers(built.add(more(9)))


def test_every_change_leaves_the_answers_of_the_folder(
    built: ProductIndex, folder: Path, store: MemoryStore, tmp_path: Path
) -> None:
    """A sync into a database would lose or double cards that a sync of files keeps."""
    plain = built.save(tmp_path / "plain")
    ids = built.parts.catalogue.ids
    changes: list[Callable[[ProductIndex], ProductIndex]] = [
        lambda index: index.add(more(20)),
        lambda index: index.remove(ids[5:15]),
        lambda index: index.relabel({ids[0]: "anvil", "kettle": "pot"}),
        lambda index: index.add(catalogue([row(ids[30], "green pot", category="pot")])),
        lambda index: index.refit(),
        lambda index: index.add(more(10, start=900)),
    ]
    for change in changes:
        for place in (plain, folder):
            change(ProductIndex.load(place)).save_next(place)
        stored = ProductIndex.load(folder)
        assert answers(stored) == answers(ProductIndex.load(plain))
        assert read_manifest(folder).store is not None
        assert stored.parts.catalogue.ids == ProductIndex.load(plain).parts.catalogue.ids
    for place in (plain, folder):
        rollback(place)
    assert answers(ProductIndex.load(folder)) == answers(ProductIndex.load(plain))


def test_a_change_writes_its_own_rows_alone(folder: Path, store: MemoryStore) -> None:
    """A nightly sync of a hundred cards would write a hundred million again."""
    before = {place: own for rows in store.kept.values() for place, own in rows.items()}
    store.asked.clear()
    ProductIndex.load(folder).add(more(7)).save_next(folder)
    (rows,) = store.kept.values()
    assert len(rows) == CARDS + 7 and {place: rows[place] for place in before} == before
    assert "index" not in store.asked and store.asked.count("put") == 1
    ids = ProductIndex.load(folder).parts.catalogue.ids
    assert [own for own, _ in rows.values()] == list(ids)


def test_new_labels_and_settings_do_not_touch_the_store(folder: Path, store: MemoryStore) -> None:
    """They would wait for a database that is down, though no row of it changes."""
    store.is_down = True
    loaded = ProductIndex.load(folder)
    loaded.relabel({"kettle": "pot"}).save_next(folder)
    rollback(folder)
    assert "kettle" in ProductIndex.load(folder).parts.labels.names


def test_rows_of_a_writer_that_died_are_not_seen_and_are_replaced(
    folder: Path, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A killed sync would leave cards that no index knows among the nearest, or twice."""
    before = answers(ProductIndex.load(folder))

    def die(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr("prodcat_index.index.transaction.Transaction.commit", die)
        with pytest.raises(KeyboardInterrupt):
            ProductIndex.load(folder).add(more(30)).save_next(folder)
    (rows,) = store.kept.values()
    assert len(rows) == CARDS + 30
    assert answers(ProductIndex.load(folder)) == before
    # Nobody knows whose rows these are, so the next are written into a table of their own.
    ProductIndex.load(folder).add(more(3)).save_next(folder)
    record = read_manifest(folder).store
    assert record is not None and len(store.kept) == 2
    rows = store.kept[record.table]
    assert [rows[place][0] for place in range(CARDS, len(rows))] == ["n500", "n501", "n502"]


def test_a_reader_keeps_the_version_that_it_opened(folder: Path, store: MemoryStore) -> None:
    """A service would answer with cards that it cannot name while a sync is written."""
    reader = ProductIndex.load(folder)
    before = answers(reader)
    for start in (500, 600):
        ProductIndex.load(folder).add(more(40, start)).save_next(folder)
    assert answers(reader) == before


def test_after_a_rollback_rows_of_the_later_version_are_not_overwritten(
    folder: Path, store: MemoryStore
) -> None:
    """To roll back twice must be back again, and a reader of that version may be there still."""
    ProductIndex.load(folder).add(more(20)).save_next(folder)
    later = ProductIndex.load(folder)
    expected = answers(later)
    rollback(folder)
    ProductIndex.load(folder).add(more(20, start=800)).save_next(folder)
    assert len(store.kept) == 2
    later = ProductIndex(later.parts)
    assert answers(later) == expected


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_a_copy_of_the_folder_does_not_write_into_the_table_of_the_other(
    folder: Path,
    store: MemoryStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_elsewhere: bool,
) -> None:
    """A copied index that is tried out would damage the one that is served."""
    if is_elsewhere:  # on another machine, a copy may have the number of the folder
        number = read_manifest(folder).store
        assert number is not None
        monkeypatch.setattr(store_table, "_number", lambda _: number.owner)
    copied = tmp_path / "copy"
    shutil.copytree(folder, copied)
    ProductIndex.load(folder).add(more(10)).save_next(folder)
    expected = answers(ProductIndex.load(folder))
    for start in (700, 750, 800):
        ProductIndex.load(copied).add(more(10, start=start)).save_next(copied)
    assert answers(ProductIndex.load(folder)) == expected
    tables = [read_manifest(place).store for place in (folder, copied)]
    assert {table.table for table in tables if table} == set(store.kept)
    moved = tmp_path / "moved"
    folder.rename(moved)
    before = len(store.kept)
    ProductIndex.load(moved).add(more(10, start=900)).save_next(moved)
    assert len(store.kept) == before


def test_tables_that_no_version_has_are_dropped(
    built: ProductIndex, folder: Path, store: MemoryStore
) -> None:
    """Each rebuild would leave a table of millions of rows for good."""
    (first,) = store.kept
    built.save(folder, store=ADDRESS)
    assert len(store.kept) == 2
    built.save(folder, store=ADDRESS)
    assert len(store.kept) == 2 and first not in store.kept
    built.save(folder)
    built.save(folder)
    assert not store.kept and read_manifest(folder).store is None


def test_an_index_leaves_its_store_and_stays_the_same(
    built: ProductIndex, folder: Path, store: MemoryStore, tmp_path: Path
) -> None:
    """Who gives up a database would have to embed all cards again."""
    plain = ProductIndex.load(folder).save(tmp_path / "plain")
    store.is_down = True
    assert answers(ProductIndex.load(plain)) == answers(built)


def test_an_index_that_is_saved_where_it_was_opened_stays_in_its_store(
    folder: Path, store: MemoryStore
) -> None:
    """It would leave the database without a word."""
    ProductIndex.load(folder).add(more(4)).save(folder)
    assert read_manifest(folder).store is not None
    (rows,) = store.kept.values()
    assert len(rows) == CARDS + 4


def test_few_cards_are_all_compared(
    folder: Path, store: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A walk was measured for 20 of the nearest cards, and misses some of many."""
    monkeypatch.setattr(search, "FEW_IN_A_STORE", CARDS)
    store.asked.clear()
    ProductIndex.load(folder).search(QUERIES[0], 40)
    assert store.asked == ["scan", "fetch"]


def test_rows_of_another_length_are_told_of(store: MemoryStore) -> None:
    """Somebody's own row in the table would end in a traceback."""
    store.create("t", 2)
    store.put("t", 0, [""] * 3, np.zeros((3, 2), dtype=np.float32))
    with pytest.raises(StoreError, match="rows of another length"):
        StoreTable(StoreAddress(ADDRESS), "t", 3, 4).columns(0, 2)[:]


def test_a_store_that_is_down_is_told_of_and_is_asked_again(
    built: ProductIndex, folder: Path, store: MemoryStore
) -> None:
    """One failure would make a service refuse every question after it."""
    loaded = ProductIndex.load(folder)
    store.is_down = True
    with pytest.raises(StoreError, match="not there"):
        answers(loaded)
    with pytest.raises(StoreError, match="not there"):
        loaded.add(more(5)).save_next(folder)
    store.is_down = False
    assert answers(loaded) == answers(built)


def test_a_query_asks_the_store_twice(folder: Path, store: MemoryStore) -> None:
    """Each further question is a way to the server and back."""
    loaded = ProductIndex.load(folder)
    store.asked.clear()
    loaded.search(QUERIES[0], 5)
    assert store.asked == ["search", "fetch"]
    loaded.search(QUERIES[0], 5)
    assert store.asked == ["search", "fetch", "search"]


def test_rows_come_from_the_table_as_from_an_array(store: MemoryStore) -> None:
    """An audit that reads blocks by slices, masks or columns would read others."""
    rows = np.random.default_rng(0).normal(size=(50, 6)).astype(np.float16)
    store.create("t", 6)
    store.put("t", 0, [""] * 50, rows.astype(np.float32))
    table = StoreTable(StoreAddress(ADDRESS), "t", 50, 6)
    columns, own = table.columns(1, 5), rows[:, 1:5]
    mask = np.arange(50) % 3 == 0
    for key in (3, -1, slice(4, 40, 3), [5, 2, 2], mask, np.array([[1, 2], [3, 4]])):
        assert np.array_equal(columns[key], own[key])
        assert np.array_equal(columns[:, 1:3][key], own[:, 1:3][key])
    assert np.array_equal(np.asarray(columns), own) and columns.astype("f4").dtype == np.float32
    with pytest.raises(IndexError):
        columns[50]


def test_few_rows_are_kept_in_memory(store: MemoryStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading all rows once would keep a hundred million of them in memory."""
    monkeypatch.setattr(stores, "ROWS_AT_ONCE", 8)
    monkeypatch.setattr(stores, "KEPT_BYTES", 10)
    rows = np.arange(200, dtype=np.float32).reshape(100, 2)
    store.create("t", 2)
    store.put("t", 0, [""] * 100, rows)
    table = StoreTable(StoreAddress(ADDRESS), "t", 100, 2)
    assert np.array_equal(table.columns(0, 2)[:], rows)
    assert store.asked.count("fetch") == 13
    assert np.array_equal(table.columns(0, 1)[92:], rows[92:, :1])
    assert store.asked.count("fetch") == 13
    assert np.array_equal(table.columns(0, 1)[:3], rows[:3, :1])
    assert store.asked.count("fetch") == 14


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("postgresql://shop@db.example/catalogue?sslmode=require", "postgres"),
        ("postgres://db.example:5433/x", "postgres"),
        ("milvus+http://localhost:19530", "milvus"),
        ("milvus+https://milvus.example/shop", "milvus"),
    ],
)
def test_addresses(url: str, kind: str) -> None:
    address = StoreAddress(url)
    assert (address.kind, str(address)) == (kind, url)


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("postgresql://shop:s3cret@db/x", "holds a password.* PGPASSWORD"),
        ("postgresql://db/x?password=s3cret", "holds a password"),
        ("postgresql://db/x?pass%77ord=s3cret", "holds a password"),
        ("postgresql://db/x?sslpassword=s3cret", "holds a password"),
        ("postgresql://shop:1#s3cret@db/x", "holds a password"),
        ("postgresql://shop:1?s3cret@db/x", "holds a password"),
        ("postgresql://shop:1/s3cret@db/x", "holds a password"),
        ("postgresql:host=db password=s3cret", "begins with ''"),
        ("milvus+https://root:s3cret@db", "holds a password.* MILVUS_TOKEN"),
        ("milvus://root:s3cret@db", r"begins with postgresql://.*milvus\+http://.*'milvus'"),
        ("redis://shop:s3cret@db", "begins with 'redis'"),
        ("shop s3cret", "begins with ''"),
        ("postgresql://db:99999999/s3cret", "cannot be read"),
    ],
)
def test_addresses_that_are_refused_are_not_repeated(url: str, what: str) -> None:
    """A password would stand in the log of a nightly job."""
    with pytest.raises(StoreError, match=what) as raised:
        StoreAddress(url)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("host", "expected"),
    [("localhost", True), ("127.0.0.9", True), ("::1", True), ("db.example", False)],
)
def test_loopback_hosts(host: str, expected: bool) -> None:
    assert is_loopback(host) == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("address", "postgresql://shop:secret@db/x"),
        ("address", "file:///etc/passwd"),
        ("table", "cards; drop table shop"),
        ("walk", 0),
        ("recall", 2.0),
    ],
)
def test_a_hostile_record_of_a_store_is_refused(folder: Path, key: str, value: object) -> None:
    """An index from a stranger would write into tables of others."""
    change_manifest(folder, lambda manifest: manifest["stored"]["store"].update({key: value}))
    with pytest.raises(IndexFolderError, match="is damaged"):
        ProductIndex.load(folder)


def test_rows_are_in_a_store_or_in_files(built: ProductIndex, folder: Path, tmp_path: Path) -> None:
    change_manifest(folder, lambda manifest: manifest["stored"].update(store=None))
    with pytest.raises(IndexFolderError, match="in no file and in no store"):
        ProductIndex.load(folder)


def test_the_manifest_names_a_store_without_a_password(
    built: ProductIndex, folder: Path, tmp_path: Path
) -> None:
    """Whoever may read the folder could write to the store."""
    plain = read_json(built.save(tmp_path / "plain") / "manifest.json")
    assert "store" not in plain["stored"]
    stored = read_json(folder / "manifest.json")
    assert stored["stored"]["store"]["table"] and "password" not in str(stored)


def test_rows_that_another_program_exchanged_are_found(folder: Path, store: MemoryStore) -> None:
    """`prodcat info --verify` would call an index whole whose cards have the rows of others."""
    index = ProductIndex.load(folder)
    ids = index.parts.catalogue.ids
    index.remove(ids[:2]).save(folder)
    assert verify_index(folder).cards == CARDS - 2
    rows = store.kept[read_json(folder / "manifest.json")["stored"]["store"]["table"]]
    rows[5], rows[7] = rows[7], rows[5]
    with pytest.raises(IndexFolderError, match=f"the row of '{ids[7]}' as that of '{ids[5]}'"):
        verify_index(folder)


class TestMemoryStore(StoreContract):
    """The oracle keeps the contract that it stands for."""

    @pytest.fixture(scope="class")
    @classmethod
    def store(cls) -> MemoryStore:
        return MemoryStore()


def test_a_service_answers_503_while_the_store_is_down_and_goes_on_after_it(
    folder: Path, store: MemoryStore
) -> None:
    """Each restart of the database would need one of all services, or end in a traceback."""
    asked = {"title": "red kettle"}
    with serving(ServeSettings(index=folder, port=0)) as served:
        before = served.client.post("/predict", json=asked)
        assert before.status_code == 200, before.text
        store.is_down = True
        for thing in ("anvil", "kettle"):
            refused = served.client.post("/predict", json={"title": f"blue {thing}"})
            assert refused.status_code == 503 and "Retry-After" in refused.headers
            assert "The index cannot be used now" in refused.json()["detail"]
        store.is_down = False
        after = served.client.post("/predict", json=asked)
        assert (after.status_code, after.json()) == (200, before.json())
