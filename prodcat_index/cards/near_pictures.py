"""Joining pictures that look equal."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.codes import NO_CODE, BoolArray, IntArray, category_counts, components
from prodcat_index.cards.picture_hashes import HASH_BITS, PictureHashes
from prodcat_index.cards.placeholders import are_placeholders
from prodcat_index.progress import progress_bar

MAX_DISTANCE = 24
SEARCHED_AT_ONCE = 256


def join_near(pictures: PictureHashes, categories: IntArray) -> tuple[IntArray, BoolArray]:
    """Join pictures at most 24 bits apart, transitively, but for placeholders and all near them.

    Parameters
    ----------
    pictures
        Of N cards.
    categories
        int64, shape (N,): the category of each card, -1 for none.

    Returns
    -------
    tuple
        int64 of shape (N,), equal for pictures that are joined, -1 for none; and bool of shape
        (N,): which are placeholders.
    """
    present = pictures.present
    codes = np.full(len(present), NO_CODE, dtype=np.int64)
    shared = np.zeros(len(present), dtype=bool)
    if present.any():
        hashes, inverse = np.unique(pictures.hashes[present], axis=0, return_inverse=True)
        joined, placeholder = _join(_NearHashes(hashes), inverse, categories[present])
        codes[present], shared[present] = joined[inverse], placeholder[inverse]
    return codes, shared


def _join(
    search: _NearHashes, hash_of: IntArray, categories: IntArray
) -> tuple[IntArray, BoolArray]:
    placeholder, alone = search.judge(category_counts(hash_of, categories))
    joined = search.join(~placeholder, np.flatnonzero(~placeholder & ~alone))
    return np.where(placeholder, NO_CODE, joined), placeholder


class _NearHashes:
    """Neighbourhoods of M different hashes, looked up in parts so that memory is bounded."""

    def __init__(self, hashes: npt.NDArray[np.uint8]) -> None:
        import faiss

        self._hashes = hashes
        self._index = faiss.IndexBinaryFlat(HASH_BITS)
        self._index.add(hashes)

    def judge(self, counts: Any) -> tuple[BoolArray, BoolArray]:
        """Tell which hashes have the neighbourhood of a placeholder, and which have no other."""
        placeholder = np.zeros(len(self._hashes), dtype=bool)
        alone = np.zeros(len(self._hashes), dtype=bool)
        for part, near in self._neighbourhoods(np.arange(len(self._hashes))):
            placeholder[part] = are_placeholders(near @ counts)
            alone[part] = np.diff(near.indptr) == 1
        return placeholder, alone

    def join(self, allowed: BoolArray, sources: IntArray) -> IntArray:
        """Give each source the number of all allowed ones near it, transitively."""
        everyone = np.arange(len(self._hashes), dtype=np.int64)
        codes = everyone
        for part, near in self._neighbourhoods(sources):
            edges = near.tocoo()
            kept = allowed[edges.col]
            a = np.concatenate([everyone, part[edges.row[kept]]])
            b = np.concatenate([len(everyone) + codes, edges.col[kept]])
            codes = components(a, b, 2 * len(everyone))[: len(everyone)]
        return codes

    def _neighbourhoods(self, rows: IntArray) -> Iterator[tuple[IntArray, Any]]:
        from scipy.sparse import csr_array

        with progress_bar(len(rows), "looking for near-equal pictures", "picture") as bar:
            for start in range(0, len(rows), SEARCHED_AT_ONCE):
                part = rows[start : start + SEARCHED_AT_ONCE]
                # FAISS finds what is nearer than its radius.
                ends, _, near = self._index.range_search(self._hashes[part], MAX_DISTANCE + 1)
                ones = np.ones(len(near), dtype=np.int64)
                shape = (len(part), len(self._hashes))
                yield part, csr_array((ones, near, ends.astype(np.int64)), shape=shape)
                bar.update(len(part))
