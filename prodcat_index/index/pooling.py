"""Collecting the candidates that weights and votes are tuned on: each card asks the others."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from prodcat_index.encoders.base import BoolArray, FloatArray
from prodcat_index.index.fusion import effective_weights
from prodcat_index.index.learned import Learner, log_heads
from prodcat_index.index.neighbours import IntArray, SearchSpace
from prodcat_index.progress import progress_bar
from prodcat_index.voting.pool import Pool

QUERIES_AT_ONCE = 128
ROWS_AT_ONCE = 8192
# The more groups of cards, the closer the bound below which none of them is looked at.
GROUPS_FOR_EACH = 8
Weights = npt.NDArray[np.float64]
_Number = TypeVar("_Number", np.float32, np.int64)
Hide = Callable[[IntArray, IntArray, FloatArray], BoolArray]


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
        Given positions of m queries, the rows of M cards, and their similarities, float32 of
        shape (B, m, M), says which of the cards each must not see: bool, shape (m, M).
    learner
        Of the last block, where that is learned.
    """

    vectors: Sequence[FloatArray]
    present: BoolArray
    true: IntArray
    hide: Hide
    learner: Learner | None = None

    def __len__(self) -> int:
        """Return the number of queries."""
        return len(self.true)

    def select(self, rows: IntArray) -> Asking:
        """Return these queries only."""
        return Asking(
            vectors=[block[rows] for block in self.vectors],
            present=self.present[rows],
            true=self.true[rows],
            hide=lambda chosen, cards, similarities: self.hide(rows[chosen], cards, similarities),
            learner=self.learner,
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

    Equally near ones are taken in the order of their ids.

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
    rows = _in_order_of_ids(np.flatnonzero(codes >= 0), space.order)
    cards = [_single_precision(block, rows) for block in space.blocks]
    lacking = ~space.present[rows]
    expected = space.expected_similarities(asking.vectors)
    depth = min(depth, len(rows))
    parts: list[tuple[npt.NDArray[np.float32], IntArray]] = []
    # Used again and again: fresh memory of such a size costs more time than the products.
    room = np.empty((len(cards), QUERIES_AT_ONCE, len(rows)), dtype=np.float32)
    with progress_bar(len(asking), label) as bar:
        for chunk in _chunks(len(asking)):
            similarities = room[:, : len(chunk)]
            for b, found in enumerate(similarities):
                np.matmul(asking.vectors[b][chunk], cards[b].T, out=found)
                found[:, lacking[:, b]] = expected[chunk, b, None]
            hidden = asking.hide(chunk, rows, similarities)
            shared = [effective_weights(w, asking.present[chunk]) for w in directions]
            picked = _pick(similarities, hidden, np.stack(shared, axis=1), depth)
            parts.append((_take(similarities, picked), picked))
            bar.update(len(chunk))
    picked = _stack([part[1] for part in parts], -1)
    categories = np.where(picked >= 0, codes[rows][picked], -1)
    return Pool(
        similarities=_stack([part[0] for part in parts], 0),
        categories=categories.astype(np.int32),
        present=asking.present,
        true=asking.true,
        sizes=np.bincount(codes[rows]),
        log_heads=log_heads(asking.learner, asking.vectors, categories),
    )


def _in_order_of_ids(rows: IntArray, order: IntArray) -> IntArray:
    sorted_rows: IntArray = rows[np.argsort(order[rows])]
    return sorted_rows


def _single_precision(block: npt.NDArray[np.floating], rows: IntArray) -> FloatArray:
    """Copy some rows, few at once: whole, they would for a moment be in memory twice."""
    copied = np.empty((len(rows), block.shape[1]), dtype=np.float32)
    for start in range(0, len(rows), ROWS_AT_ONCE):
        piece = slice(start, start + ROWS_AT_ONCE)
        copied[piece] = block[rows[piece]]
    return copied


def _chunks(n: int) -> list[IntArray]:
    return [np.arange(i, min(i + QUERIES_AT_ONCE, n)) for i in range(0, n, QUERIES_AT_ONCE)]


def _pick(similarities: FloatArray, hidden: BoolArray, directions: Weights, depth: int) -> IntArray:
    """Return the nearest visible cards of each query under any direction: rising, then -1.

    Parameters
    ----------
    similarities
        float32, shape (B, m, M).
    hidden
        bool, shape (m, M).
    directions
        float64, shape (m, D, B).
    depth
        Cards for each direction, at most M.
    """
    nowhere = similarities.shape[2]
    picked = np.full((*directions.shape[:2], depth), nowhere, dtype=np.int64)
    for query, direction in np.argwhere(directions.any(axis=2)):
        total = directions[query, direction].astype(np.float32) @ similarities[:, query]
        total[hidden[query]] = -np.inf
        near = _nearest(total, depth)
        picked[query, direction, : len(near)] = near
    together = np.sort(picked.reshape(len(picked), -1), axis=1)
    together[:, 1:][together[:, 1:] == together[:, :-1]] = nowhere
    together.sort(axis=1)
    widest = int((together < nowhere).sum(axis=1).max())
    return np.where(together < nowhere, together, -1)[:, : max(1, widest)]


def _nearest(similarities: FloatArray, depth: int) -> IntArray:
    """Return the places of the ``depth`` largest finite values, of equal ones the first."""
    near = np.flatnonzero(similarities >= _bound(similarities, depth))
    nearest: IntArray = near[np.argsort(-similarities[near], kind="stable")[:depth]]
    return nearest


def _bound(similarities: FloatArray, depth: int) -> np.float32:
    """Return a finite value that the ``depth`` largest finite ones reach, in time for one look.

    Values are dealt into groups: where so many groups have a maximum that reaches the bound, so
    many values do. That spares ordering, or even partitioning, all of them.
    """
    groups = min(len(similarities), GROUPS_FOR_EACH * depth)
    dealt = similarities[: len(similarities) // groups * groups].reshape(-1, groups)
    bound = np.partition(dealt.max(axis=0), groups - depth)[groups - depth]
    return np.maximum(bound, np.finfo(np.float32).min)


def _take(similarities: FloatArray, picked: IntArray) -> npt.NDArray[np.float32]:
    taken = np.take_along_axis(similarities, picked[None], axis=2)
    return np.ascontiguousarray(np.moveaxis(taken, 0, 2))


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
