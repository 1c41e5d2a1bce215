"""Digests of files."""

from __future__ import annotations

import hashlib
from pathlib import Path

READ_AT_ONCE = 2**20


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hex; it is never in memory as a whole.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    OSError
        If it cannot be read.
    """
    # hashlib.file_digest came with Python 3.11.
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(READ_AT_ONCE):
            digest.update(part)
    return digest.hexdigest()
