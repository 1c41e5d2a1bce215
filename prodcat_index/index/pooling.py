"""Collecting the candidates that weights and votes are tuned on: each card asks the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from prodcat_index.encoders.base import BoolArray, FloatArray
from prodcat_index.index.fusion import effective_weights
from prodcat_index.index.neighbours import IntArray, SearchSpace
from prodcat_index.progress import progress_bar
from prodcat_index.voting.pool import Pool

QUERIES_AT_ONCE = 128
Weights = npt.NDArray[np.float64]
_Number = TypeVar("_Number", np.float32, np.int64)
Hide = Callable[[IntArray, Sequence[FloatArray]], BoolArray]


@dataclass(frozen=True)
class Asking:
    """Queries whose categories are known.

    Attributes
    ----------
    vectors
        B arrays of float32, shape (n, dim of the block): centred unit rows, zeros where absent.
    present
        bool, shape (n, B).
    true
        int64, shape (n,): category codes.
    hide
        Given positions of m queries and their similarities in each block, float32 of shape
        (m, N), says which cards each must not see: bool, shape (m, N).
    """

    vectors: Sequence[FloatArray]
    present: BoolArray
    true: IntArray
    hide: Hide

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.true)

    def select(self, rows: IntArray) -> Asking:
        """Return these queries only."""
        return Asking(
            vectors=[block[rows] for block in self.vectors],
            present=self.present[rows],
            true=self.true[rows],
            hide=lambda chosen, similarities: self.hide(rows[chosen], similarities),
        )


def collect_pool(
    space: SearchSpace,
    codes: IntArray,
    asking: Asking,
    directions: Sequence[Weights],
    depth: int,
    label: str = "",
) -> Pool:
    """Collect, for each query, the nearest labelled cards under each of some weights.

    Parameters
    ----------
    space
        N cards.
    codes
        int64, shape (N,): their categories; -1 for those that may not be candidates.
    asking
        The queries.
    directions
        float64 arrays of shape (B,), each summing to 1.
    depth
        Candidates for each of the directions.
    label
        Shown beside the progress bar.
    """
    rows = np.flatnonzero(codes >= 0)
    cards = [block[rows].astype(np.float32) for block in space.blocks]
    lacking = ~space.present[rows]
    expected = space.expected_similarities(asking.vectors)
    sizes = np.bincount(codes[rows])
    depth = min(depth, len(rows))
    parts: list[tuple[npt.NDArray[np.float32], IntArray, IntArray]] = []
    with progress_bar(len(asking), label) as bar:
        for chunk in _chunks(len(asking)):
            similarities = [
                _similarities(asking.vectors[b][chunk], cards[b], lacking[:, b], expected[chunk, b])
                for b in range(len(cards))
            ]
            hidden = asking.hide(chunk, _spread(similarities, rows, len(codes)))[:, rows]
            shared = [effective_weights(w, asking.present[chunk]) for w in directions]
            picked = _pick(similarities, hidden, shared, depth)
            own = hidden & (codes[rows] == asking.true[chunk][:, None])
            parts.append((_take(similarities, picked), picked, own.sum(axis=1)))
            bar.update(len(chunk))
    picked = _stack([part[1] for part in parts], -1)
    return Pool(
        similarities=_stack([part[0] for part in parts], 0),
        categories=np.where(picked >= 0, codes[rows][picked], -1).astype(np.int32),
        order=space.order[rows][picked].astype(np.int32),
        present=asking.present,
        true=asking.true,
        sizes=sizes,
        left_out=np.concatenate([part[2] for part in parts]),
    )


def _chunks(n: int) -> list[IntArray]:
    return [np.arange(i, min(i + QUERIES_AT_ONCE, n)) for i in range(0, n, QUERIES_AT_ONCE)]


def _similarities(
    queries: FloatArray, cards: FloatArray, lacking: BoolArray, expected: npt.NDArray[np.float64]
) -> FloatArray:
    found: FloatArray = queries @ cards.T
    if lacking.any():
        found[:, lacking] = expected[:, None]
    return found


def _spread(similarities: Sequence[FloatArray], rows: IntArray, n: int) -> Sequence[FloatArray]:
    """Give the similarities of labelled cards the columns of all cards."""
    if len(rows) == n:
        return similarities
    wide = [np.zeros((len(found), n), dtype=np.float32) for found in similarities]
    for whole, found in zip(wide, similarities, strict=True):
        whole[:, rows] = found
    return wide


def _pick(
    similarities: Sequence[FloatArray],
    hidden: BoolArray,
    directions: Sequence[Weights],
    depth: int,
) -> IntArray:
    """Return the nearest visible cards under each direction, every one once, then -1."""
    picked = []
    for weights in directions:
        total = np.zeros_like(similarities[0])
        for b, found in enumerate(similarities):
            if weights[:, b].any():
                total += weights[:, [b]].astype(np.float32) * found
        total[hidden] = -np.inf
        picked.append(np.argpartition(-total, depth - 1, axis=1)[:, :depth])
    together = np.concatenate(picked, axis=1)
    unseen = np.take_along_axis(hidden, together, axis=1)
    together = np.sort(np.where(unseen, -1, together), axis=1)[:, ::-1]
    together[:, 1:][together[:, 1:] == together[:, :-1]] = -1
    together = -np.sort(-together, axis=1)
    return together[:, : max(1, int((together >= 0).sum(axis=1).max()))]


def _take(similarities: Sequence[FloatArray], picked: IntArray) -> npt.NDArray[np.float32]:
    return np.stack([np.take_along_axis(s, picked, axis=1) for s in similarities], axis=2)


def _stack(parts: Sequence[npt.NDArray[_Number]], padding: int) -> npt.NDArray[_Number]:
    """Put parts of different widths below each other."""
    width = max(part.shape[1] for part in parts)
    shape = (sum(map(len, parts)), width, *parts[0].shape[2:])
    whole = np.full(shape, padding, dtype=parts[0].dtype)
    start = 0
    for part in parts:
        whole[start : start + len(part), : part.shape[1]] = part
        start += len(part)
    return whole
