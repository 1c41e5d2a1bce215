"""Arrays of an index folder, checked against what its manifest promises."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.errors import IndexFolderError

READ_AT_ONCE = 2**20


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hex; it is never in memory as a whole."""
    # hashlib.file_digest came with Python 3.11.
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(READ_AT_ONCE):
            digest.update(part)
    return digest.hexdigest()


def open_array(path: Path, dtype: str, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
    """Map an ``.npy`` file, after checking that it holds what it should; it stays on disk."""
    # A damaged or hostile header raises errors of almost any class.
    try:
        array: npt.NDArray[Any] = np.lib.format.open_memmap(path, mode="r")
    except OSError:
        raise
    except Exception as error:
        raise ValueError(str(error) or type(error).__name__) from error
    if array.dtype != dtype or not _fits(array.shape, shape):
        raise ValueError(f"its array is {array.dtype} {array.shape} and not {dtype} {shape}")
    return array


def _fits(found: tuple[int, ...], wanted: tuple[int | None, ...]) -> bool:
    return len(found) == len(wanted) and all(
        side in (None, length) for length, side in zip(found, wanted, strict=True)
    )


def read_array(path: Path, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Map an array into memory; nothing of it is read until it is touched."""
    try:
        return open_array(path, dtype, shape)
    except ValueError as error:
        raise damaged_file(path, str(error)) from error


def damaged_file(path: Path, what: str) -> IndexFolderError:
    """Return the error for a file that is not what it should be."""
    return IndexFolderError(
        f"The file {path} of the index is damaged ({what}); copy the index again or build it again."
    )
