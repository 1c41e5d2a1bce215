"""The index folder: checked when it is read, whole whenever the writer dies."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import made
import pytest
from faulty import PowerCut, failing_at, full
from made import change_manifest, read_json

from prodcat_index import files
from prodcat_index.errors import IndexFolderError
from prodcat_index.files import LOCK
from prodcat_index.index import folder as folder_module
from prodcat_index.index.folder import (
    JOURNAL,
    MANIFEST,
    VERSIONS,
    check_index_folder,
    read_manifest,
)
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.voting.vote import VoteParameters

NEW_CARDS = made.CARDS[:5]
OWN = [LOCK, "card.md", JOURNAL, MANIFEST, VERSIONS]


@pytest.fixture(scope="module")
def new_index() -> ProductIndex:
    return ProductIndex.build(made.catalogue(NEW_CARDS))


def refusal(folder: Path, **options: Any) -> str:
    with pytest.raises(IndexFolderError) as caught:
        ProductIndex.load(folder, **options)
    return str(caught.value)


def content_of(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def versions(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / VERSIONS).iterdir())


def data_files(folder: Path) -> list[Path]:
    return [path for path in sorted((folder / VERSIONS).rglob("*")) if path.is_file()]


def test_the_manifest_lists_every_file_with_its_digest(saved: Path) -> None:
    listed = {
        name: tuple(map(tuple, record["pieces"]))
        for name, record in read_json(saved / MANIFEST)["files"].items()
    }
    assert listed == {
        path.relative_to(saved).as_posix(): (
            (path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest()),
        )
        for path in data_files(saved)
        if path.name != MANIFEST
    }


def test_a_version_has_its_own_copy_of_its_manifest(saved: Path) -> None:
    """There would be nothing to roll back to."""
    assert (saved / VERSIONS / "0001" / MANIFEST).read_bytes() == (saved / MANIFEST).read_bytes()


def test_nothing_else_is_in_the_folder(saved: Path) -> None:
    assert sorted(path.name for path in saved.iterdir()) == OWN


NAMES = [
    "0-title.f16",
    "0-title.present.npy",
    "0-title.mean.npy",
    "cards.parquet",
    "search.f32",
    "encoders/0-title/vocabulary.json",
    "encoders/0-title/projection.npy",
    "encoders/1-description/projection.npy",
]


def test_the_names_above_are_files_of_the_index(saved: Path) -> None:
    assert set(NAMES) < {
        path.relative_to(saved / VERSIONS / "0001").as_posix() for path in data_files(saved)
    }


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("place", [0, -1], ids=["first", "last"])
@pytest.mark.parametrize("name", NAMES)
def test_one_flipped_bit_is_noticed(saved: Path, name: str, place: int, verify: bool) -> None:
    path = saved / VERSIONS / "0001" / name
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    assert refusal(saved, verify=verify) == (
        f"The index {saved} is damaged (the content of versions/0001/{name} has changed); "
        "copy it again or build it again."
    )


def test_large_files_are_digested_only_if_that_is_asked_for(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One look-up would read a million rows twice."""
    path = saved / VERSIONS / "0001" / "cards.parquet"
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    monkeypatch.setattr(folder_module, "SMALL_BYTES", path.stat().st_size - 1)
    assert read_manifest(saved, verify=False).cards == len(made.CARDS)
    with pytest.raises(IndexFolderError, match=r"cards.parquet has changed"):
        read_manifest(saved)


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_a_truncated_file_is_noticed_even_without_digests(
    saved: Path, name: str, verify: bool
) -> None:
    """An interrupted copy is the commonest damage."""
    path = saved / VERSIONS / "0001" / name
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-1])
    assert refusal(saved, verify=verify) == (
        f"The index {saved} is damaged (versions/0001/{name} has {size - 1} bytes and not {size}); "
        "copy it again or build it again."
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_missing_file_is_noticed(saved: Path, name: str) -> None:
    (saved / VERSIONS / "0001" / name).unlink()
    assert refusal(saved) == (
        f"The index {saved} is damaged (versions/0001/{name} is missing); "
        "copy it again or build it again."
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_link_out_of_the_folder_is_not_followed(saved: Path, tmp_path: Path, name: str) -> None:
    """An index that somebody sent must not read other files of the machine."""
    path = saved / VERSIONS / "0001" / name
    outside = tmp_path / "outside"
    path.rename(outside)
    path.symlink_to(outside)
    assert refusal(saved) == (
        f"The index {saved} is damaged (versions/0001/{name} leads out of the folder); "
        "copy it again or build it again."
    )


def test_a_link_inside_of_the_folder_is_not_followed_either(saved: Path) -> None:
    """The next writer would remove or lengthen what it leads to."""
    path = saved / VERSIONS / "0001" / NAMES[0]
    path.rename(path.with_name("moved"))
    path.symlink_to("moved")
    assert "leads out of the folder" in refusal(saved)


@pytest.mark.skipif(os.name != "posix", reason="Windows has no pipes in folders")
@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("name", NAMES)
def test_a_pipe_among_the_files_is_refused_at_once(saved: Path, name: str, verify: bool) -> None:
    """A query would wait for ever for somebody to write into it."""
    path = saved / VERSIONS / "0001" / name
    path.unlink()
    os.mkfifo(path)
    assert refusal(saved, verify=verify) == (
        f"The index {saved} is damaged (versions/0001/{name} cannot be read: [Errno 22] it is no "
        "regular file); copy it again or build it again."
    )


@pytest.mark.skipif(os.name != "posix", reason="Windows has no pipes in folders")
def test_a_pipe_in_the_place_of_the_manifest_is_refused_at_once(
    saved: Path, new_index: ProductIndex
) -> None:
    (saved / MANIFEST).unlink()
    os.mkfifo(saved / MANIFEST)
    assert "manifest.json cannot be read: [Errno 22] it is no regular file" in refusal(saved)
    new_index.save(saved)
    assert len(ProductIndex.load(saved)) == len(NEW_CARDS)


def test_a_linked_folder_out_of_the_folder_is_not_followed(saved: Path, tmp_path: Path) -> None:
    (saved / VERSIONS).rename(tmp_path / "outside")
    (saved / VERSIONS).symlink_to(tmp_path / "outside")
    assert "leads out of the folder" in refusal(saved)


def test_a_link_to_itself_is_refused_in_words(saved: Path) -> None:
    path = saved / VERSIONS / "0001" / NAMES[0]
    path.unlink()
    path.symlink_to(path)
    assert refusal(saved).startswith(f"The index {saved} is damaged (versions/0001/{NAMES[0]} ")


def test_a_file_that_may_not_be_read_is_refused_in_words(
    saved: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Left by an index that another user built."""

    def forbidden(*_: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(files, "open_content", forbidden)
    monkeypatch.setattr(folder_module, "read_text", lambda *_: ((saved / MANIFEST).read_text(), 5))
    assert refusal(saved) == (
        f"The index {saved} is damaged (versions/0001/0-title.present.npy cannot "
        "be read: [Errno 13] Permission denied); copy it again or build it again."
    )


def test_a_folder_that_is_itself_a_link_is_read(saved: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(saved)
    assert len(ProductIndex.load(tmp_path / "link")) == len(made.CARDS)


def test_a_moved_folder_is_read(saved: Path, tmp_path: Path) -> None:
    saved.rename(tmp_path / "moved")
    assert len(ProductIndex.load(tmp_path / "moved")) == len(made.CARDS)


def test_a_missing_folder_says_how_to_make_one(tmp_path: Path) -> None:
    there = tmp_path / "nowhere"
    assert refusal(there) == (
        f"There is no index at {there}; make one with: "
        f"prodcat build-index CATALOGUE --output {there}"
    )


def test_a_folder_of_something_else_is_no_index(tmp_path: Path) -> None:
    assert refusal(tmp_path) == (
        f"{tmp_path} is not an index (it has no manifest.json); make one with: "
        f"prodcat build-index CATALOGUE --output {tmp_path}"
    )


FOREIGN = {
    "a file": {"notes.txt": b"mine"},
    "a hidden file": {".gitignore": b"mine"},
    "a folder": {"src/main.py": b"mine"},
    "a manifest of its own": {"manifest.json": b'{"name": "extension"}', "popup.js": b"mine"},
    "a manifest alone": {"manifest.json": b'{"name": "extension"}'},
    "a page of the same name": {"card.md": b"# a model card of mine"},
    "an index and more": {"manifest.json": b"{}", "versions/0001/x": b"", "thesis.tex": b"mine"},
    "versions of its own": {"versions/2023/report.txt": b"mine", "versions/2024/report.txt": b""},
    "a manifest and versions of its own": {
        "manifest.json": b'{"name": "extension"}',
        "versions/2023/report.txt": b"mine",
    },
}


@pytest.mark.parametrize("files", FOREIGN.values(), ids=FOREIGN)
def test_a_folder_of_something_else_is_left_alone(
    tmp_path: Path, new_index: ProductIndex, files: dict[str, bytes]
) -> None:
    """A wrong --output must not cost anybody a file."""
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with pytest.raises(IndexFolderError) as caught:
        new_index.save(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path} holds other files (")
    assert str(caught.value).endswith("); name a new or empty folder for the index.")
    assert content_of(tmp_path) == files


def test_a_file_is_no_place_for_an_index(tmp_path: Path, new_index: ProductIndex) -> None:
    (tmp_path / "cards.csv").write_text("mine")
    with pytest.raises(IndexFolderError) as caught:
        new_index.save(tmp_path / "cards.csv")
    assert str(caught.value) == (
        f"{tmp_path / 'cards.csv'} is a file; name a folder for the index."
    )
    assert (tmp_path / "cards.csv").read_text() == "mine"


def test_an_index_of_a_newer_format_is_not_overwritten(
    saved: Path, new_index: ProductIndex
) -> None:
    """An old installation must not destroy what a new one built."""
    change_manifest(saved, lambda manifest: manifest.update(format_version=99))
    before = content_of(saved)
    with pytest.raises(IndexFolderError, match="has index format 99 and this version reads up to"):
        new_index.save(saved)
    assert content_of(saved) == before


def test_somebodys_file_in_an_index_is_not_buried(saved: Path, new_index: ProductIndex) -> None:
    (saved / "notes.txt").write_text("mine")
    with pytest.raises(IndexFolderError, match=r"holds other files \(notes.txt\)"):
        new_index.save(saved)
    assert len(ProductIndex.load(saved)) == len(made.CARDS)


def test_a_folder_that_cannot_be_written_is_refused_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("mine")
    with pytest.raises(IndexFolderError, match=r"file is no folder that this process may write to"):
        check_index_folder(tmp_path / "file" / "deep" / "index")
    check_index_folder(tmp_path / "new" / "index")
    assert not (tmp_path / "new").exists()
    monkeypatch.setattr("os.access", lambda *_: False)
    with pytest.raises(IndexFolderError, match="may write to"):
        check_index_folder(tmp_path / "new" / "index")


def test_an_index_that_was_copied_without_its_lock_can_be_replaced(
    saved: Path, new_index: ProductIndex
) -> None:
    (saved / LOCK).unlink()
    new_index.save(saved)
    assert len(ProductIndex.load(saved)) == len(NEW_CARDS)


def test_a_damaged_index_can_be_built_again(saved: Path, new_index: ProductIndex) -> None:
    """That is the way out which the error names."""
    (saved / MANIFEST).write_bytes((saved / MANIFEST).read_bytes()[:-20])
    new_index.save(saved)
    assert len(ProductIndex.load(saved)) == len(NEW_CARDS)


def test_an_empty_folder_and_a_deep_new_one_will_do(
    tmp_path: Path, new_index: ProductIndex
) -> None:
    (tmp_path / "empty").mkdir()
    for place in (tmp_path / "empty", tmp_path / "a" / "b" / "c"):
        assert new_index.save(place) == place
        assert len(ProductIndex.load(place)) == len(NEW_CARDS)


def test_a_new_version_replaces_the_old_one(saved: Path, new_index: ProductIndex) -> None:
    new_index.save(saved)
    assert versions(saved) == ["0001", "0002"]
    assert read_json(saved / MANIFEST)["version"] == 2
    assert len(ProductIndex.load(saved)) == len(NEW_CARDS)
    assert "Version 2, written" in (saved / "card.md").read_text(encoding="utf-8")


def test_a_reader_keeps_the_version_that_it_opened(saved: Path, new_index: ProductIndex) -> None:
    """A nightly rebuild must not disturb the page that serves from the folder."""
    reader = ProductIndex.load(saved)
    expected = [n.id for n in reader.search("leather boots", k=3)]
    reader = ProductIndex.load(saved)
    reader.search("warm up the encoders")
    new_index.save(saved)
    assert [n.id for n in reader.search("leather boots", k=3)] == expected


LOCKER = """
import sys
from filelock import FileLock
with FileLock(sys.argv[1]):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_reader_keeps_the_encoders_of_a_version_that_is_gone(
    tmp_path: Path, index: ProductIndex, new_index: ProductIndex
) -> None:
    """A service that has loaded an index would fail at its next listing, for good."""
    folder = index.save(tmp_path / "index")
    opened = ProductIndex.load(folder)
    for _ in range(3):
        new_index.save(folder)
    assert versions(folder) == ["0003", "0004"]
    assert list(opened.predict("boots")) == list(index.predict("boots"))
    assert opened.search("boots") == index.search("boots")


@pytest.fixture
def locked(saved: Path) -> Iterator[Path]:
    command = [sys.executable, "-c", LOCKER, str(saved / LOCK)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "locked\n"
        yield saved
        other.communicate(timeout=10)


def test_a_second_writer_has_to_wait(locked: Path, new_index: ProductIndex) -> None:
    before = content_of(locked)
    with pytest.raises(IndexFolderError) as caught:
        new_index.save(locked)
    assert str(caught.value) == (
        f"Another process is writing the index {locked}; wait until it ends and try again."
    )
    assert content_of(locked) == before
    assert len(ProductIndex.load(locked)) == len(made.CARDS)


def test_a_lock_of_a_dead_writer_holds_nobody(saved: Path, new_index: ProductIndex) -> None:
    """The lock file stays for ever; only a living process locks it."""
    assert (saved / LOCK).exists()
    new_index.save(saved)


def test_an_error_while_the_files_are_written_leaves_the_old_index_and_nothing_else(
    saved: Path, new_index: ProductIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Failed deliveries would fill the disk, each with a copy of the index."""

    def failing(*_: Any) -> None:
        raise RuntimeError("the encoder cannot be saved")

    before = content_of(saved)
    with monkeypatch.context() as patched:
        patched.setattr("prodcat_index.index.writing.write_cards", failing)
        with pytest.raises(RuntimeError, match="the encoder cannot be saved"):
            new_index.save(saved)
    assert content_of(saved) == before


def test_what_a_killed_writer_left_is_gone_after_the_next_one(
    saved: Path, new_index: ProductIndex
) -> None:
    """Seven killed builds left seven versions and five times the room of the index."""
    for _ in range(3):
        with failing_at(40, PowerCut()), pytest.raises(PowerCut):
            new_index.save(saved)
    assert versions(saved) == ["0001", "0002"]
    new_index.save(saved)
    assert versions(saved) == ["0001", "0002"]
    assert len(ProductIndex.load(saved)) == len(NEW_CARDS)


def test_a_full_disk_is_said_in_words(saved: Path, new_index: ProductIndex) -> None:
    with failing_at(20, full()), pytest.raises(IndexFolderError) as caught:
        new_index.save(saved)
    assert str(caught.value) == (
        f"The index {saved} cannot be written ([Errno 28] No space left on device); "
        "what was there before is unchanged."
    )
    assert len(ProductIndex.load(saved)) == len(made.CARDS)


def test_an_unfinished_first_build_is_said_to_be_one(
    tmp_path: Path, new_index: ProductIndex
) -> None:
    with failing_at(20, PowerCut()), pytest.raises(PowerCut):
        new_index.save(tmp_path)
    assert refusal(tmp_path) == (
        f"{tmp_path} holds an unfinished build (it has no manifest.json); make one with: "
        f"prodcat build-index CATALOGUE --output {tmp_path}"
    )
    new_index.save(tmp_path)
    assert len(ProductIndex.load(tmp_path)) == len(NEW_CARDS)


@pytest.mark.parametrize("step", range(4))
def test_a_reader_that_a_writer_overtakes_reads_the_new_version(
    saved: Path, new_index: ProductIndex, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    """Checking a large index takes a while; a rebuild that ends meanwhile is no damage."""
    original, calls = folder_module._open_file, iter(range(1000))

    def overtaken(*arguments: Any) -> Any:
        if next(calls) == step:
            new_index.save(saved)
            new_index.save(saved)
        return original(*arguments)

    monkeypatch.setattr(folder_module, "_open_file", overtaken)
    assert len(ProductIndex.load(saved)) == len(NEW_CARDS)


def test_versions_that_are_a_link_elsewhere_are_not_written_to(saved: Path, tmp_path: Path) -> None:
    """A hostile index would make the next build delete numbered folders of somebody else."""
    outside = tmp_path / "outside"
    (saved / "versions").rename(outside)
    (saved / "versions").symlink_to(outside, target_is_directory=True)
    with pytest.raises(IndexFolderError, match="holds other files"):
        ProductIndex.build(made.catalogue()).save(saved)
    assert [version.name for version in outside.iterdir()] == ["0001"]


def with_other_vote(index: ProductIndex) -> ProductIndex:
    return ProductIndex(replace(index.parts, vote=VoteParameters(k=3)))


def test_settings_are_not_written_while_another_process_writes(
    locked: Path, index: ProductIndex
) -> None:
    """They would go into the manifest of a version that is about to be removed."""
    before = content_of(locked)
    with pytest.raises(IndexFolderError) as caught:
        with_other_vote(index).save_settings(locked)
    assert str(caught.value) == (
        f"Another process is writing the index {locked}; wait until it ends and try again."
    )
    assert content_of(locked) == before


def test_settings_of_an_old_installation_do_not_damage_a_newer_index(
    saved: Path, index: ProductIndex
) -> None:
    change_manifest(saved, lambda manifest: manifest.update(format_version=99))
    before = content_of(saved)
    with pytest.raises(IndexFolderError, match="has index format 99 and this version reads up to"):
        with_other_vote(index).save_settings(saved)
    assert content_of(saved) == before


def test_settings_are_a_version_that_has_the_arrays_of_the_one_before(
    saved: Path, index: ProductIndex
) -> None:
    """To tune a large index would write all of it again."""
    with_other_vote(index).save_settings(saved)
    assert ProductIndex.load(saved).parts.vote == VoteParameters(k=3)
    assert [path.name for path in (saved / VERSIONS / "0002").iterdir()] == [MANIFEST]
    assert sorted(path.name for path in saved.iterdir()) == OWN
