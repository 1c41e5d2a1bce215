"""What pictures are compared by: the digest of their file, and a hash of what they show."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.pictures import load_picture
from prodcat_index.digests import sha256_of
from prodcat_index.errors import PictureError
from prodcat_index.progress import progress_bar

if TYPE_CHECKING:
    from PIL.Image import Image

HASH_SIDE = 16
HASH_BITS = HASH_SIDE**2
LOADED_SIDE = 128
# Below this deviation of the grey levels a hash is made of compression noise.
LEAST_CONTRAST = 2.0

UNREADABLE = "cards have a picture that cannot be read, which counts as none"
BLANK = "cards have a picture of one colour, which counts as none"

_Value = TypeVar("_Value")
_Result = TypeVar("_Result")
_Hash = tuple[npt.NDArray[np.uint8] | None, str]
_NO_PICTURE: _Hash = (None, "")


@dataclass(frozen=True, eq=False)
class PictureHashes:
    """What the pictures of N cards are compared by.

    Attributes
    ----------
    files
        sha256 of each picture file, empty where there is no picture to compare.
    hashes
        uint8, shape (N, 32): 256-bit perceptual hashes, packed; zeros where there is none.
    problems
        Why a picture is not compared (``UNREADABLE`` or ``BLANK``), empty where it is or is absent.
    """

    files: tuple[str, ...]
    hashes: npt.NDArray[np.uint8]
    problems: tuple[str, ...]

    @property
    def present(self) -> npt.NDArray[np.bool_]:
        """bool, shape (N,): which cards have a picture to compare."""
        return np.array([bool(file) for file in self.files], dtype=bool)


def hash_pictures(paths: Sequence[str]) -> PictureHashes:
    """Hash picture files, each different content once, with a progress bar.

    Parameters
    ----------
    paths
        N paths; the empty string is a card without picture.
    """
    distinct = list(dict.fromkeys(path for path in paths if path))
    digests = _map_in_threads(_digest, distinct, "reading pictures")
    one_path = {digest: path for path, digest in digests.items() if digest}
    by_path = _map_in_threads(_hash, list(one_path.values()), "comparing pictures")
    by_digest = {digest: by_path[path] for digest, path in one_path.items()}
    by_digest[""] = (None, UNREADABLE)
    found = [by_digest[digests[path]] if path else _NO_PICTURE for path in paths]
    hashes = np.zeros((len(paths), HASH_BITS // 8), dtype=np.uint8)
    for row, (bits, _) in enumerate(found):
        hashes[row] = 0 if bits is None else bits
    files = tuple(
        "" if bits is None else digests[path] for path, (bits, _) in zip(paths, found, strict=True)
    )
    return PictureHashes(files, hashes, tuple(problem for _, problem in found))


def _map_in_threads(
    work: Callable[[_Value], _Result], values: Sequence[_Value], label: str
) -> dict[_Value, _Result]:
    def results() -> Iterator[_Result]:
        with (
            progress_bar(len(values), label, "picture") as bar,
            ThreadPoolExecutor(os.cpu_count()) as pool,
        ):
            for result in pool.map(work, values):
                bar.update()
                yield result

    return dict(zip(values, results(), strict=True))


def _digest(path: str) -> str:
    try:
        return sha256_of(Path(path))
    except (OSError, ValueError):
        return ""


def _hash(path: str) -> _Hash:
    try:
        grey = load_picture(path, min_side=LOADED_SIDE).convert("L")
    except PictureError:
        return None, UNREADABLE
    return (None, BLANK) if np.asarray(grey).std() < LEAST_CONTRAST else (_perceptual(grey), "")


def _perceptual(grey: Image) -> npt.NDArray[np.uint8]:
    from imagehash import phash

    return np.packbits(phash(grey, hash_size=HASH_SIDE).hash.ravel())
