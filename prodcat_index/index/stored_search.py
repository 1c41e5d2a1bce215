"""The FAISS index of a folder: flat, and checked before FAISS, which trusts what it reads."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from prodcat_index.index.manifest import Manifest
from prodcat_index.index.stored_arrays import damaged_file

FLAT = "Flat"
FLAT_FOURCC = b"IxFI"
FLAT_HEADER_BYTES = 4 + 4 + 8 + 8 + 8 + 1 + 4 + 8


def write_search(index: Any, path: Path) -> None:
    """Write a flat FAISS index.

    Parameters
    ----------
    index
        A ``faiss.IndexFlatIP``.
    path
        The file.
    """
    import faiss

    faiss.write_index(index, str(path))


def read_search(path: Path, manifest: Manifest) -> Any:
    """Open a flat FAISS index after checking its header; its vectors stay on disk.

    Parameters
    ----------
    path
        The file.
    manifest
        Of the index.

    Raises
    ------
    IndexFolderError
        If the file is another index than the manifest promises, or cut off.
    """
    import faiss

    dim, n = manifest.search.dim, manifest.cards
    with path.open("rb") as file:
        header = file.read(FLAT_HEADER_BYTES)
    fields = struct.unpack("<4siqqq?iQ", header) if len(header) == FLAT_HEADER_BYTES else ()
    promised = (FLAT_FOURCC, dim, n, True, faiss.METRIC_INNER_PRODUCT, dim * n)
    if (*fields[:3], *fields[5:]) != promised:
        raise damaged_file(path, "it is not the flat inner-product index of the manifest")
    if path.stat().st_size != FLAT_HEADER_BYTES + 4 * dim * n:
        raise damaged_file(path, "its length is not that of its vectors")
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
