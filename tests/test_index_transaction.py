"""Changing an index folder: versions, what they share, the way back, the journal, what is left."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from threading import Event, Thread

import made
import pytest
from faulty import PowerCut, failing_at, full

from prodcat_index.errors import IndexFolderError
from prodcat_index.index.folder import (
    JOURNAL,
    MANIFEST,
    VERSIONS,
    OpenIndex,
    open_index,
    parse_manifest,
    read_journal,
    read_manifest,
)
from prodcat_index.index.manifest import JournalEntry, Manifest
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.index.transaction import Transaction, change, rollback

ROWS = "versions/0002/rows.f16"


@pytest.fixture(scope="module")
def new_index() -> ProductIndex:
    return ProductIndex.build(made.catalogue(made.CARDS[:5]))


def edit(folder: Path, act: Callable[[Transaction], object], verb: str = "edit") -> Manifest:
    """Make a version that differs from the current one by what `act` does to its files."""
    with change(folder) as transaction:
        assert transaction.current is not None
        for path in transaction.current.files:
            transaction.keep(path)
        act(transaction)
        manifest = replace(transaction.current, files=transaction.records)
        return transaction.commit(manifest, JournalEntry(verb))


def create(content: bytes, name: str = "rows.f16") -> Callable[[Transaction], None]:
    def act(transaction: Transaction) -> None:
        with transaction.create(name) as output:
            output.write(content)

    return act


def append(*contents: bytes) -> Callable[[Transaction], None]:
    def act(transaction: Transaction) -> None:
        (path,) = (path for path in transaction.records if path.endswith("/rows.f16"))
        del transaction.records[path]
        for content in contents:
            path = transaction.append(path, content)

    return act


def rows_of(index: OpenIndex) -> bytes:
    (content,) = (content for path, content in index.contents.items() if path.endswith("/rows.f16"))
    return bytes(content)


def versions(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / VERSIONS).iterdir())


@pytest.fixture
def rowed(saved: Path) -> Path:
    """An index whose second version has a file that is made longer in the tests."""
    edit(saved, create(b"first,"))
    return saved


def test_what_is_appended_is_in_the_same_file_and_no_reader_of_before_sees_it(rowed: Path) -> None:
    """To add a card to a million would copy the million, or disturb who serves from them."""
    before = open_index(rowed)
    edit(rowed, append(b"second,", b"third,"))
    assert (rowed / ROWS).read_bytes() == b"first,second,third,"
    after = open_index(rowed)
    assert (rows_of(before), rows_of(after)) == (b"first,", b"first,second,third,")
    assert [size for size, _ in after.manifest.files[ROWS].pieces] == [6, 7, 6]
    assert not list((rowed / VERSIONS / "0003").glob("rows.f16"))


@pytest.mark.parametrize("piece", [0, 1])
def test_damage_in_any_piece_is_noticed(rowed: Path, piece: int) -> None:
    edit(rowed, append(b"second,"))
    content = bytearray((rowed / ROWS).read_bytes())
    content[[2, 8][piece]] ^= 1
    (rowed / ROWS).write_bytes(content)
    with pytest.raises(IndexFolderError, match=r"the content of .*rows.f16 has changed"):
        open_index(rowed)


def test_a_file_with_a_tail_of_a_dead_writer_is_copied_before_it_is_appended_to(
    rowed: Path,
) -> None:
    """Rows of a delivery that never ended would stand between those that did."""
    with failing_at(3, PowerCut()), pytest.raises(PowerCut):
        edit(rowed, append(b"dead"))
    assert (rowed / ROWS).stat().st_size > 6
    assert rows_of(open_index(rowed)) == b"first,"
    edit(rowed, append(b"second,", b"third,"))
    assert (rowed / VERSIONS / "0003" / "rows.f16").read_bytes() == b"first,second,third,"
    assert rows_of(open_index(rowed)) == b"first,second,third,"
    edit(rowed, append(b"fourth,"))
    assert rows_of(open_index(rowed)) == b"first,second,third,fourth,"
    assert not (rowed / ROWS).exists(), "no version that is kept names it"


def test_a_damaged_file_is_not_copied_as_if_it_were_whole(rowed: Path) -> None:
    """Its damage would get a digest of its own."""
    (rowed / ROWS).write_bytes(b"fIrst,tail")
    with pytest.raises(IndexFolderError, match=r"rows.f16 of the index is damaged"):
        edit(rowed, append(b"second,"))


@pytest.mark.parametrize("error", [PowerCut(), full()], ids=["power cut", "error"])
def test_a_failure_anywhere_while_appending_leaves_the_rows_of_before_or_after(
    rowed: Path, tmp_path: Path, error: BaseException
) -> None:
    with failing_at(None) as counted:
        edit(Path(shutil.copytree(rowed, tmp_path / "counted")), append(b"second,"))
    for call in range(counted.calls):
        folder = Path(shutil.copytree(rowed, tmp_path / f"{call}"))
        with failing_at(call, error), suppress(PowerCut, IndexFolderError):
            edit(folder, append(b"second,"))
        found = open_index(folder)
        assert rows_of(found) == {2: b"first,", 3: b"first,second,"}[found.manifest.version]
        if not isinstance(error, PowerCut):
            assert (folder / ROWS).stat().st_size == len(rows_of(found)), "the disk is full of it"
        edit(folder, append(b"third,"))
        assert rows_of(open_index(folder)) == rows_of(found) + b"third,"


def test_without_a_commit_everything_is_as_it_was(rowed: Path) -> None:
    before = {p: p.read_bytes() for p in rowed.rglob("*") if p.is_file()}
    with pytest.raises(RuntimeError), change(rowed) as transaction:
        create(b"more", "deep/more.bin")(transaction)
        transaction.append(ROWS, b"second,")
        raise RuntimeError
    assert {p: p.read_bytes() for p in rowed.rglob("*") if p.is_file()} == before
    assert versions(rowed) == ["0001", "0002"]


def test_rolling_back_brings_back_the_version_before_and_twice_the_later_one(
    saved: Path, index: ProductIndex, new_index: ProductIndex
) -> None:
    """A delivery that was wrong would have to be undone by hand."""
    new_index.save(saved)
    assert rollback(saved).version == 3
    loaded = ProductIndex.load(saved)
    assert list(loaded.predict("boots")) == list(index.predict("boots"))
    assert "Version 3, written" in (saved / "card.md").read_text(encoding="utf-8")
    assert rollback(saved).version == 4
    assert len(ProductIndex.load(saved)) == len(new_index)
    assert versions(saved) == ["0001", "0002", "0003", "0004"]


def test_what_is_appended_after_rolling_back_does_not_touch_the_version_rolled_back(
    rowed: Path,
) -> None:
    """There would be no way back to it, and its readers would see other rows."""
    edit(rowed, append(b"second,"))
    rollback(rowed)
    reader = open_index(rowed)
    assert rows_of(reader) == b"first,"
    edit(rowed, append(b"other,"))
    assert rows_of(open_index(rowed)) == b"first,other,"
    rollback(rowed)
    assert rows_of(open_index(rowed)) == rows_of(reader) == b"first,"


def test_there_is_no_way_back_from_the_first_version(saved: Path) -> None:
    with pytest.raises(IndexFolderError) as caught:
        rollback(saved)
    assert str(caught.value) == (
        f"The index {saved} has no version before this one to go back to; build it again from the "
        "cards that it should have."
    )
    with pytest.raises(IndexFolderError, match="There is no index at"):
        rollback(saved / "nowhere")
    assert not (saved / "nowhere").exists()


def test_a_version_that_is_damaged_is_not_gone_back_to(
    saved: Path, new_index: ProductIndex
) -> None:
    """The index that answers would be replaced by one that does not."""
    new_index.save(saved)
    (saved / VERSIONS / "0001" / "cards.parquet").unlink()
    with pytest.raises(IndexFolderError, match=r"cards.parquet is missing"):
        rollback(saved)
    assert len(ProductIndex.load(saved)) == len(new_index)


def test_the_journal_tells_every_change(saved: Path, new_index: ProductIndex) -> None:
    """Nobody would know which delivery an answer is of."""
    new_index.save(saved)
    rollback(saved)
    entries = read_journal(saved)
    assert [(e.verb, e.counts, e.previous, e.version) for e in entries] == [
        ("build", {"cards": 9}, None, 1),
        ("build", {"cards": 5}, 1, 2),
        ("rollback", {"version": 1}, 2, 3),
    ]
    assert all(entry.when and entry.package for entry in entries)
    lines = (saved / JOURNAL).read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["verb"] for line in lines] == ["build", "build", "rollback"]


def test_a_journal_whose_writer_died_is_made_good(saved: Path, tmp_path: Path) -> None:
    """It would tell another story than the index."""
    with failing_at(None) as counted:
        edit(Path(shutil.copytree(saved, tmp_path / "counted")), create(b"rows"), "first")
    behind = 0
    for call in range(counted.calls):
        folder = Path(shutil.copytree(saved, tmp_path / f"{call}"))
        with failing_at(call, PowerCut()), suppress(PowerCut):
            edit(folder, create(b"rows"), "first")
        current, entries = parse_manifest(folder), read_journal(folder)
        assert entries[-1] == current.change and len(entries) == current.version
        behind += len((folder / JOURNAL).read_text().splitlines()) < current.version
        edit(folder, create(b"more", "more"), "second")
        lines = (folder / JOURNAL).read_text(encoding="utf-8").splitlines()
        told = [json.loads(line)["verb"] for line in lines]
        assert told == ["build", *["first"] * (current.version - 1), "second"]
    assert behind, "some died between the switch and the journal"


def test_two_writers_that_die_one_after_the_other_are_both_in_the_journal(
    saved: Path, tmp_path: Path
) -> None:
    before = (saved / JOURNAL).read_bytes()
    edit(saved, create(b"rows"), "first")
    (saved / JOURNAL).write_bytes(before)
    with failing_at(None) as counted:
        edit(Path(shutil.copytree(saved, tmp_path / "counted")), create(b"rows"), "second")
    for call in range(counted.calls):
        folder = Path(shutil.copytree(saved, tmp_path / f"{call}"))
        with failing_at(call, PowerCut()), suppress(PowerCut):
            edit(folder, create(b"rows"), "second")
        told = [entry.verb for entry in read_journal(folder)]
        assert told == ["build", "first", "second"][: parse_manifest(folder).version]


@pytest.mark.parametrize(
    "rest", [b'{"verb": "ad', b"\xff\xfe", b"[]\n{}\nnull\n", b'{"verb": 3}\n'], ids=range(4)
)
def test_a_torn_or_foreign_line_of_the_journal_is_passed_over(
    saved: Path, new_index: ProductIndex, rest: bytes
) -> None:
    """Half a line would hide a year of changes."""
    with (saved / JOURNAL).open("ab") as file:
        file.write(rest)
    assert [entry.version for entry in read_journal(saved)] == [1]
    new_index.save(saved)
    assert [entry.version for entry in read_journal(saved)] == [1, 2]
    last = (saved / JOURNAL).read_bytes().splitlines()[-1]
    assert json.loads(last)["version"] == 2


def test_a_journal_that_is_gone_starts_again(saved: Path, new_index: ProductIndex) -> None:
    (saved / JOURNAL).unlink()
    assert [entry.version for entry in read_journal(saved)] == [1]
    new_index.save(saved)
    assert [entry.version for entry in read_journal(saved)] == [1, 2]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no pipes in folders")
def test_a_pipe_in_the_place_of_the_journal_does_not_hang(saved: Path) -> None:
    (saved / JOURNAL).unlink()
    os.mkfifo(saved / JOURNAL)
    assert [entry.version for entry in read_journal(saved)] == [1]


def test_a_manifest_that_cannot_be_read_costs_no_version(
    saved: Path, new_index: ProductIndex
) -> None:
    """What may yet be mended by hand would be removed before the new index is there."""
    (saved / MANIFEST).write_text("{", encoding="utf-8")
    with pytest.raises(RuntimeError), change(saved):
        raise RuntimeError
    assert versions(saved) == ["0001"]
    (saved / MANIFEST).unlink()
    with pytest.raises(RuntimeError), change(saved):
        raise RuntimeError
    assert versions(saved) == ["0001"]
    shutil.copy(saved / VERSIONS / "0001" / MANIFEST, saved / MANIFEST)
    assert len(read_manifest(saved).files) > 10
    new_index.save(saved)
    assert versions(saved) == ["0001", "0002"]


def test_what_was_never_finished_is_removed_by_the_next_try(
    tmp_path: Path, new_index: ProductIndex
) -> None:
    """Every build that is killed would leave an index full of files."""
    for _ in range(2):
        with failing_at(30, PowerCut()), pytest.raises(PowerCut):
            new_index.save(tmp_path)
        assert versions(tmp_path) == ["0001"]


def test_links_among_the_versions_are_removed_and_not_followed(
    saved: Path, tmp_path: Path, new_index: ProductIndex
) -> None:
    """A hostile index would make the next build delete somebody's files."""
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep" / "thesis").write_text("mine")
    (saved / VERSIONS / "0007").symlink_to(outside, target_is_directory=True)
    (saved / VERSIONS / "0001" / "more").symlink_to(outside, target_is_directory=True)
    new_index.save(saved)
    assert (outside / "deep" / "thesis").read_text() == "mine"
    assert versions(saved) == ["0001", "0002"]
    assert not (saved / VERSIONS / "0001" / "more").is_symlink()


def test_a_second_writer_waits_for_the_first(saved: Path, new_index: ProductIndex) -> None:
    """Two deliveries at once would cost one of them."""
    locked, waiting = Event(), Event()

    def first() -> None:
        with change(saved) as transaction:
            locked.set()
            assert waiting.wait(10)
            create(b"first,")(transaction)
            assert transaction.current is not None
            for path in transaction.current.files:
                transaction.keep(path)
            manifest = replace(transaction.current, files=transaction.records)
            transaction.commit(manifest, JournalEntry("first"))

    other = Thread(target=first)
    other.start()
    assert locked.wait(10)
    with pytest.raises(IndexFolderError, match="Another process is writing the index"):
        rollback(saved)
    assert len(ProductIndex.load(saved)) == len(made.CARDS), "readers go on"
    waiting.set()
    rollback(saved, wait=30)
    other.join()
    assert [entry.verb for entry in read_journal(saved)] == ["build", "first", "rollback"]
