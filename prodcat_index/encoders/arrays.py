"""Opening array files that somebody else may have written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt


def open_array(path: Path, dtype: str, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
    """Map an ``.npy`` file, after checking that it holds what it should; it stays on disk.

    Parameters
    ----------
    path
        The file.
    dtype
        What its items must be, such as ``"float32"``; never objects, which are pickles.
    shape
        What its shape must be; ``None`` for a side of any length.

    Raises
    ------
    OSError
        If the file cannot be opened.
    ValueError
        If it is no such array. The message is a clause.
    """
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
