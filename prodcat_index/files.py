"""Files and folders: checksums, checked arrays, folders to write to, locks, atomic writes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.errors import IndexFolderError, ProdcatError

READ_AT_ONCE = 2**20
LOCK = ".lock"


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hex; it is never in memory as a whole."""
    # hashlib.file_digest came with Python 3.11.
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(READ_AT_ONCE):
            digest.update(part)
    return digest.hexdigest()


def open_array(path: Path, dtype: str, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
    """Memory-map an ``.npy`` file of this dtype and shape (None: any length), or raise ValueError.

    Nothing is unpickled, and nothing is read until it is used.
    """
    # A damaged or hostile header raises errors of almost any class.
    try:
        array: npt.NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as error:
        raise ValueError(str(error) or type(error).__name__) from error
    fits = len(array.shape) == len(shape) and all(
        side in (None, length) for length, side in zip(array.shape, shape, strict=True)
    )
    if array.dtype != dtype or not fits:
        raise ValueError(f"its array is {array.dtype} {array.shape} and not {dtype} {shape}")
    return array


def read_array(path: Path, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Memory-map an array of an index; raises IndexFolderError if it is not as promised."""
    try:
        return open_array(path, dtype, shape)
    except ValueError as error:
        raise damaged_file(path, str(error)) from error


def damaged_file(path: Path, what: str) -> IndexFolderError:
    """Return the error for a file of an index that is not as promised."""
    return IndexFolderError(
        f"The file {path} of the index is damaged ({what}); copy the index again or build it again."
    )


def check_output_folder(
    folder: Path, what: str, error: type[ProdcatError], own: Collection[str] = ()
) -> None:
    """Raise `error` if `folder` is a file, or holds anything but the names in `own`.

    For a folder whose whole content is ours (it has our mark in it), do not call this.
    """
    if folder.exists() and not folder.is_dir():
        raise error(f"{folder} is a file; name a folder for the {what}.")
    foreign = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    foreign = sorted(set(foreign).difference(own))
    if foreign:
        raise error(
            f"{folder} holds other files ({foreign[0]}); name a new or empty folder for the {what}."
        )


@contextmanager
def exclusive_folder(folder: Path, what: str, error: type[ProdcatError]) -> Iterator[None]:
    """Create `folder` and hold its lock; `error` if it is taken, or if writing fails meanwhile."""
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / LOCK, timeout=0):
            yield
    except Timeout:
        raise error(
            f"Another process is writing the {what} {folder}; wait until it ends and try again."
        ) from None
    except OSError as cause:
        raise error(
            f"The {what} {folder} cannot be written ({cause}); what was there before is unchanged."
        ) from cause


def replace_text(path: Path, content: str) -> None:
    """Replace a text file at once: a reader, or a power cut, finds the old content or the new."""
    unfinished = path.with_name(f".{path.name}.new")
    unfinished.write_text(content, encoding="utf-8")
    flush(unfinished)
    unfinished.replace(path)
    # The rename is durable once its folder is; elsewhere a folder cannot be opened.
    if os.name == "posix":
        flush(path.parent)


def flush(path: Path) -> None:
    """Wait until a file or folder is on the disk."""
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
