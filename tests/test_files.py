"""Checksums, checked arrays, folders to write to, locks and atomic writes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
import pytest

from prodcat_index import files
from prodcat_index.errors import IndexFolderError, ProdcatError
from prodcat_index.files import (
    LOCK,
    READ_AT_ONCE,
    check_output_folder,
    exclusive_folder,
    open_array,
    read_array,
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
    array = open_array(tmp_path / "a.npy", "float32", (None, 3))
    assert isinstance(array, np.memmap)
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
        open_array(tmp_path / "a.npy", dtype, shape)
    with pytest.raises(IndexFolderError, match="copy the index again or build it again"):
        read_array(tmp_path / "a.npy", dtype, shape)


@pytest.mark.parametrize(
    "content", [b"", b"\x93NUMPY\x01\x00\xff\xff{", b"cos\nsystem\n(S'ls'\ntR."]
)
def test_a_damaged_array_is_a_value_error(tmp_path: Path, content: bytes) -> None:
    """Else a damaged index shows a traceback, or runs what is in it."""
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        open_array(tmp_path / "a.npy", "float32", (1,))


def test_pickled_objects_are_never_loaded(tmp_path: Path) -> None:
    """Opening a foreign index must not execute anything."""
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match=r"object|dtype"):
        open_array(tmp_path / "a.npy", "object", (1,))


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
    with (
        exclusive_folder(folder, "index", OwnError),
        pytest.raises(OwnError) as caught,
        exclusive_folder(folder, "index", OwnError),
    ):
        raise AssertionError
    assert str(caught.value) == (
        f"Another process is writing the index {folder}; wait until it ends and try again."
    )
    with exclusive_folder(folder, "index", OwnError):
        assert [path.name for path in folder.iterdir()] == [LOCK]


def test_a_failure_to_write_is_said_in_words(tmp_path: Path) -> None:
    """Else a full disk shows a traceback."""
    with (
        pytest.raises(OwnError, match=r"^The index .* cannot be written \(\[Errno 28\] full\); "),
        exclusive_folder(tmp_path, "index", OwnError),
    ):
        raise OSError(28, "full")


def test_a_file_is_replaced_whole_or_not_at_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A power cut would leave half a manifest, and no index."""
    path = tmp_path / "manifest.json"
    replace_text(path, "old")
    flushed: list[str] = []

    def failing(flushing: Path) -> None:
        flushed.append(flushing.name)
        raise OSError(28, "full")

    with monkeypatch.context() as patched, pytest.raises(OSError, match="full"):
        patched.setattr(files, "flush", failing)
        replace_text(path, "new")
    assert path.read_text() == "old" and flushed == [".manifest.json.new"]
    replace_text(path, "new, ё")
    assert path.read_text(encoding="utf-8") == "new, ё"
    assert [entry.name for entry in tmp_path.iterdir()] == ["manifest.json"]
