"""Checksums, checked arrays, folders to write to, locks and atomic writes."""

from __future__ import annotations

import hashlib
import io
import mmap
import os
import socket
import time
from contextlib import suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from faulty import PowerCut, failing_at, full

from prodcat_index.errors import ProdcatError
from prodcat_index.files import (
    LOCK,
    READ_AT_ONCE,
    append,
    check_output_folder,
    create,
    exclusive_folder,
    open_array,
    open_content,
    raw_array,
    replace_text,
    sha256_of,
)


class OwnError(ProdcatError):
    """The error of the room that calls."""


def test_a_checksum_is_of_the_whole_file(tmp_path: Path) -> None:
    """A change after the first megabyte of an index would go unnoticed."""
    content = os.urandom(2 * READ_AT_ONCE + 1)
    (tmp_path / "a").write_bytes(content)
    assert sha256_of(tmp_path / "a") == hashlib.sha256(content).hexdigest()


def test_an_array_stays_on_the_disk(tmp_path: Path) -> None:
    """An index larger than the memory could not be opened."""
    np.save(tmp_path / "a.npy", np.arange(6, dtype=np.float32).reshape(2, 3))
    content = open_content(tmp_path / "a.npy")
    assert isinstance(content.obj, mmap.mmap)
    array = open_array(content, "float32", (None, 3))
    assert not array.flags.owndata and not array.flags.writeable
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]]


@pytest.mark.parametrize(
    ("dtype", "shape"), [("float64", (2, 3)), ("float32", (2, 2)), ("float32", (2, 3, 1))]
)
def test_an_array_of_another_kind_is_refused(
    tmp_path: Path, dtype: str, shape: tuple[int, ...]
) -> None:
    """Embeddings read with a wrong shape or type would be noise."""
    np.save(tmp_path / "a.npy", np.zeros((2, 3), dtype=np.float32))
    with pytest.raises(ValueError, match=r"its array is float32 \(2, 3\) and not "):
        open_array(open_content(tmp_path / "a.npy"), dtype, shape)


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY\x01\x00\xff\xff{", b"cos\nsystem\n(S'ls'\ntR."]
)
def test_a_damaged_array_is_a_value_error(tmp_path: Path, content: bytes) -> None:
    """Else a damaged index shows a traceback, or runs what is in it."""
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        open_array(open_content(tmp_path / "a.npy"), "float32", (1,))


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    """Opening a foreign index must not execute anything."""
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"object|dtype"):
        open_array(open_content(tmp_path / "a.npy"), "object", (1,))


def test_a_folder_to_write_to_is_new_or_empty_or_has_our_files_only(tmp_path: Path) -> None:
    """A wrong --output must not cost anybody a file."""
    check_output_folder(tmp_path / "new", "index", OwnError)
    check_output_folder(tmp_path, "index", OwnError)
    (tmp_path / "ours").touch()
    check_output_folder(tmp_path, "index", OwnError, own={"ours", "also ours"})
    (tmp_path / "thesis.txt").touch()
    (tmp_path / "a.txt").touch()
    with pytest.raises(OwnError) as caught:
        check_output_folder(tmp_path, "index", OwnError, own={"ours"})
    assert str(caught.value) == (
        f"{tmp_path} holds other files (a.txt); name a new or empty folder for the index."
    )
    with pytest.raises(OwnError, match=r"thesis\.txt is a file; name a folder for the index\.$"):
        check_output_folder(tmp_path / "thesis.txt", "index", OwnError)


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    """Two builds into one folder would mix their files."""
    folder = tmp_path / "made" / "index"
    told = []

    def second(wait: float) -> None:
        with pytest.raises(OwnError) as caught, exclusive_folder(folder, "index", OwnError, wait):
            raise AssertionError
        told.append(str(caught.value))

    with exclusive_folder(folder, "index", OwnError):
        for wait in (0.0, 0.1):
            other = Thread(target=second, args=(wait,))
            other.start()
            other.join()
    assert told == [
        f"Another process is writing the index {folder}; wait until it ends and try again.",
        f"Another process is writing the index {folder} and did not end in 0.1 s; wait until it "
        "ends and try again.",
    ]
    with exclusive_folder(folder, "index", OwnError):
        assert [path.name for path in folder.iterdir()] == [LOCK]


def test_who_holds_the_lock_may_take_it_again(tmp_path: Path) -> None:
    """A command that reads, asks and writes would be told to wait for itself."""
    (tmp_path / "index").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "index")
    with (
        exclusive_folder(tmp_path / "index", "index", OwnError),
        exclusive_folder(tmp_path / "link", "index", OwnError),
    ):
        pass
    with exclusive_folder(tmp_path / "index", "index", OwnError):
        pass


def test_a_failure_to_write_is_said_in_words(tmp_path: Path) -> None:
    """Else a full disk shows a traceback."""
    with (
        pytest.raises(OwnError, match=r"^The index .* cannot be written \(\[Errno 28\] full\); "),
        exclusive_folder(tmp_path, "index", OwnError),
    ):
        raise OSError(28, "full")


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    """A power cut would leave half a manifest, and no index."""
    path = tmp_path / "manifest.json"
    replace_text(path, "old")
    with failing_at(None) as counted:
        replace_text(path, "new")
    for call in range(counted.calls):
        replace_text(path, "old")
        with failing_at(call, PowerCut()), suppress(PowerCut):
            replace_text(path, "new")
        assert path.read_text() in ("old", "new")
    with failing_at(1, full()), pytest.raises(OSError, match="No space"):
        replace_text(path, "newer")
    replace_text(path, "new, ё")
    assert path.read_text(encoding="utf-8") == "new, ё"
    assert [entry.name for entry in tmp_path.iterdir()] == ["manifest.json"]


def test_a_link_in_the_place_of_what_is_written_is_not_followed(tmp_path: Path) -> None:
    """A hostile folder would make the next writer overwrite somebody's file."""
    (tmp_path / "thesis").write_text("mine")
    (tmp_path / ".manifest.json.new").symlink_to(tmp_path / "thesis")
    replace_text(tmp_path / "manifest.json", "new")
    (tmp_path / "link").symlink_to(tmp_path / "thesis")
    with pytest.raises(FileExistsError), create(tmp_path / "link"):
        raise AssertionError
    with pytest.raises(OSError, match="no regular file"), append(tmp_path / "link"):
        raise AssertionError
    (tmp_path / LOCK).symlink_to(tmp_path / "thesis")
    with (
        pytest.raises(OwnError, match="no regular file"),
        exclusive_folder(tmp_path, "index", OwnError),
    ):
        raise AssertionError
    assert (tmp_path / "thesis").read_text() == "mine"


def test_what_is_written_is_digested_as_it_is(tmp_path: Path) -> None:
    """An index would be refused as damaged, or its damage never be found."""
    content = os.urandom(3 * READ_AT_ONCE)
    with create(tmp_path / "a") as output:
        output.write(content[:5])
        output.write(np.frombuffer(content[5:], dtype=np.uint8)[:, None])
    assert (tmp_path / "a").read_bytes() == content
    assert (output.bytes, output.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    with append(tmp_path / "a") as output:
        output.write(b"more")
    assert (tmp_path / "a").read_bytes() == content + b"more"
    assert (output.bytes, output.sha256) == (4, hashlib.sha256(b"more").hexdigest())


def test_what_is_open_stays_readable_when_it_is_removed(tmp_path: Path) -> None:
    """A service would lose what it serves from when the index is built again."""
    (tmp_path / "a").write_bytes(b"content")
    (tmp_path / "empty").touch()
    content, empty = open_content(tmp_path / "a"), open_content(tmp_path / "empty")
    (tmp_path / "a").unlink()
    assert (bytes(content), bytes(empty)) == (b"content", b"")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such files")
@pytest.mark.parametrize("kind", ["pipe", "socket", "device", "link", "loop", "folder"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    """A pipe in an index of a stranger would let every query wait for ever."""
    path = tmp_path / "a"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        bound = socket.socket(socket.AF_UNIX)
        bound.bind(str(path))
    elif kind == "folder":
        path.mkdir()
    elif kind == "link":
        (tmp_path / "b").touch()
        path.symlink_to(tmp_path / "b")
    elif kind == "loop":
        path.symlink_to(path)
    with pytest.raises(OSError, match="no regular file"):
        open_content(Path("/dev/zero") if kind == "device" else path)


@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_of_either_order_is_read_as_it_was(tmp_path: Path, order: Any) -> None:
    """Columns and rows would be exchanged."""
    array = np.asarray(np.arange(6, dtype=np.float32).reshape(2, 3), order=order)
    np.save(tmp_path / "a.npy", array)
    assert np.array_equal(open_array(open_content(tmp_path / "a.npy"), "float32", (2, 3)), array)


@pytest.mark.parametrize("change", [-1, 1, 4])
def test_an_array_of_another_length_than_promised_is_refused(change: int) -> None:
    """What is missing, or behind the end, would be taken for rows."""
    rows = np.arange(6, dtype=np.float16).reshape(2, 3)
    content = memoryview(rows.tobytes())
    assert np.array_equal(raw_array(content, "float16", (2, 3)), rows)
    other = memoryview((bytes(content) + bytes(4))[: len(content) + change])
    with pytest.raises(ValueError, match="bytes and not those of float16"):
        raw_array(other, "float16", (2, 3))
    file = io.BytesIO()
    np.save(file, rows)
    whole = file.getvalue() + bytes(4)
    with pytest.raises(ValueError, match="bytes and not those of float16"):
        open_array(memoryview(whole[: len(whole) - 4 + change]), "float16", (2, 3))


@pytest.mark.parametrize("side", [2**62, 2**31, -1])
def test_sides_that_overflow_are_refused(side: int) -> None:
    with pytest.raises(ValueError, match="bytes and not those of"):
        raw_array(memoryview(bytes(8)), "float32", (side, 4))


def test_a_writer_that_waits_gets_its_turn(tmp_path: Path) -> None:
    """A delivery at night would fail because another one was a second longer."""
    turns: list[str] = []

    def first() -> None:
        with exclusive_folder(tmp_path, "index", OwnError):
            started.set()
            time.sleep(0.3)
            turns.append("first")

    started = Event()
    other = Thread(target=first)
    other.start()
    assert started.wait(10)
    with exclusive_folder(tmp_path, "index", OwnError, wait=30):
        turns.append("second")
    other.join()
    assert turns == ["first", "second"]
