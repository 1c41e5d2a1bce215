"""Pictures that look equal: perceptual hashes, and joining those that are near one another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.codes import are_placeholders, category_counts, components, encode
from prodcat_index.cards.pictures import load_picture
from prodcat_index.errors import PictureError
from prodcat_index.files import sha256_of
from prodcat_index.progress import map_in_threads, progress_bar
from prodcat_index.types import MISSING, BoolArray, Int64Array, chunks

HASH_SIDE = 16
HASH_BITS = HASH_SIDE**2
NO_HASH = np.zeros(HASH_BITS // 8, dtype=np.uint8)
LOADED_SIDE = 128
# Below this deviation of the grey levels a hash is made of compression noise.
LEAST_CONTRAST = 2.0
# Bits that two hashes of one photo may differ in, saved anew or made smaller; the hashes of
# different photos differ in about half of all bits.
MAX_DISTANCE = 24
# Bounds the memory: in the worst case each of these is near all others.
SEARCHED_AT_ONCE = 256
UNREADABLE = "cards have a picture that cannot be read, which counts as none"
BLANK = "cards have a picture of one colour, which counts as none"

Hashes = npt.NDArray[np.uint8]  # (N, 32), perceptual hashes of 256 bits


def hash_pictures(paths: Sequence[str]) -> tuple[Int64Array, Hashes, list[str]]:
    """Return a code of each file's content, -1 for none to compare, the hashes, and the problems.

    Each different content is hashed once; an empty path is a card without a picture.
    """
    distinct = [path for path in dict.fromkeys(paths) if path]
    digests = map_in_threads(_digest, distinct, "reading pictures")
    path_of = {digest: path for path, digest in digests.items() if digest}
    hash_of = map_in_threads(_hash, list(path_of.values()), "comparing pictures")
    files, problems = [], []
    hashes = np.zeros((len(paths), HASH_BITS // 8), dtype=np.uint8)
    for row, path in enumerate(paths):
        digest = digests.get(path, "")
        unread = (NO_HASH, UNREADABLE if path else "")
        hashes[row], problem = hash_of[path_of[digest]] if digest else unread
        files.append("" if problem else digest)
        problems.append(problem)
    return encode(files), hashes, problems


def _digest(path: str) -> str:
    try:
        return sha256_of(Path(path))
    except (OSError, ValueError):
        return ""


def _hash(path: str) -> tuple[Hashes, str]:
    from imagehash import phash

    try:
        grey = load_picture(path, min_side=LOADED_SIDE).convert("L")
    except PictureError:
        return NO_HASH, UNREADABLE
    if np.asarray(grey).std() < LEAST_CONTRAST:
        return NO_HASH, BLANK
    return np.packbits(phash(grey, hash_size=HASH_SIDE).hash.ravel()), ""


def join_near(
    hashes: Hashes, present: BoolArray, categories: Int64Array
) -> tuple[Int64Array, BoolArray]:
    """Join the present pictures at most MAX_DISTANCE bits apart, transitively: a code a card.

    Also returns the cards whose picture is, or is near, a placeholder, which joins nothing.
    """
    codes = np.full(len(present), MISSING, dtype=np.int64)
    shared = np.zeros(len(present), dtype=bool)
    if present.any():
        distinct, inverse = np.unique(hashes[present], axis=0, return_inverse=True)
        joined, placeholder = _join(distinct, category_counts(inverse, categories[present]))
        codes[present] = np.where(placeholder, MISSING, joined)[inverse]
        shared[present] = placeholder[inverse]
    return codes, shared


def _join(hashes: Hashes, counts: Any) -> tuple[Int64Array, BoolArray]:
    """Return a code for each of M different hashes, and those that are near a placeholder."""
    everyone = np.arange(len(hashes), dtype=np.int64)
    placeholder, alone = (np.zeros(len(hashes), dtype=bool) for _ in range(2))
    for part, near in _neighbourhoods(hashes, everyone):
        placeholder[part] = are_placeholders(near @ counts)
        alone[part] = np.diff(near.indptr) == 1
    codes = everyone
    for part, near in _neighbourhoods(hashes, np.flatnonzero(~placeholder & ~alone)):
        edges = near.tocoo()
        kept = ~placeholder[edges.col]
        # The first M nodes are the hashes, the others the codes that they had so far.
        a = np.concatenate([everyone, part[edges.row[kept]]])
        b = np.concatenate([len(everyone) + codes, edges.col[kept]])
        codes = components(a, b, 2 * len(everyone))[: len(everyone)]
    return codes, placeholder


def _neighbourhoods(hashes: Hashes, rows: Int64Array) -> Iterator[tuple[Int64Array, Any]]:
    """Yield some rows and a sparse matrix (rows, M) of the hashes near each of them, itself too."""
    import faiss
    from scipy.sparse import csr_array

    index = faiss.IndexBinaryFlat(HASH_BITS)
    index.add(hashes)
    with progress_bar(len(rows), "looking for near-equal pictures", "picture") as bar:
        for chunk in chunks(len(rows), SEARCHED_AT_ONCE):
            part = rows[chunk]
            # FAISS finds what is nearer than its radius.
            ends, _, near = index.range_search(hashes[part], MAX_DISTANCE + 1)
            ones = np.ones(len(near), dtype=np.int64)
            shape = (len(part), len(hashes))
            yield part, csr_array((ones, near, ends.astype(np.int64)), shape=shape)
            bar.update(len(part))
