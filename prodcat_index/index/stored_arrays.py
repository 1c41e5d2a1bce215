"""Arrays of an index folder, checked against what its manifest promises."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt

from prodcat_index.encoders.arrays import open_array
from prodcat_index.errors import IndexFolderError


def read_array(path: Path, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Map an array into memory; nothing of it is read until it is touched.

    Parameters
    ----------
    path
        An ``.npy`` file.
    dtype, shape
        As the manifest has them.

    Raises
    ------
    IndexFolderError
        If the file holds something else.
    """
    try:
        return open_array(path, dtype, shape)
    except ValueError as error:
        raise damaged_file(path, str(error)) from error


def damaged_file(path: Path, what: str) -> IndexFolderError:
    """Return the error for a file that is not what it should be.

    Parameters
    ----------
    path
        The file.
    what
        Is wrong with it.
    """
    return IndexFolderError(
        f"The file {path} of the index is damaged ({what}); copy the index again or build it again."
    )
