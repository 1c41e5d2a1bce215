"""The rows of an index in files: where the row of each card lies, and what a change writes.

The files of all blocks hold the rows of the same cards at the same places. New rows are appended;
rows of cards that are gone stay until there are too many of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from prodcat_index.index.rows import Rows
from prodcat_index.types import MISSING, BoolArray, FloatingArray, Int64Array, RowsLike, chunks

if TYPE_CHECKING:
    from prodcat_index.index.folder import OpenIndex
    from prodcat_index.index.transaction import Transaction

# More of the stored rows than this may not be those of cards that are gone.
DEAD_SHARE = 0.25
# Rows that are gathered at a time: a few MB.
ROWS_AT_ONCE = 8192


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the rows of N cards lie in the files of the next version."""

    kept: Int64Array  # (N,): place in the files of now, MISSING for a card that is new in them
    before: int  # rows of the files of now; 0 where they are written anew

    @classmethod
    def anew(cls, cards: int) -> Layout:
        """Write all rows, and those of no other cards."""
        return cls(np.full(cards, MISSING), 0)

    @property
    def is_new(self) -> BoolArray:
        """The cards whose rows the files of now do not hold: (N,)."""
        return self.kept == MISSING

    @property
    def rows(self) -> int:
        """Rows of each file."""
        return self.before + int(self.is_new.sum())

    @property
    def positions(self) -> Int64Array:
        """Place of each card: (N,)."""
        return np.where(self.is_new, self.before - 1 + np.cumsum(self.is_new), self.kept)

    @property
    def is_plain(self) -> bool:
        """Whether the rows are those of the cards in their order."""
        return np.array_equal(self.positions, np.arange(self.rows))

    @property
    def is_loose(self) -> bool:
        """Whether too many rows are those of no card."""
        return self.rows - len(self.kept) > DEAD_SHARE * self.rows


def read_positions(index: OpenIndex) -> Int64Array | None:
    """Return the place of each card in the files of rows; None if they hold no others."""
    stored = index.manifest.stored
    if stored is None or stored.positions is None:
        return None
    places = index.array(stored.positions, "int64", (index.manifest.cards,))
    if len(places) and not 0 <= places.min() <= places.max() < stored.rows:
        raise index.damaged(stored.positions, "it names rows that are not there")
    if np.bincount(places, minlength=1).max() > 1:
        raise index.damaged(stored.positions, "two cards have the same row")
    return places


def read_rows(
    index: OpenIndex, path: str, dtype: str, dim: int, positions: Int64Array | None
) -> Rows:
    """Return the rows of a file, which stay on disk."""
    manifest = index.manifest
    shape = (manifest.stored.rows if manifest.stored else manifest.cards, dim)
    # Files of formats 1 to 4 have a header.
    read = index.array if path.endswith(".npy") else index.raw_array
    array = read(path, dtype, shape)
    return Rows((array,), positions)


def read_block_rows(
    index: OpenIndex, block: str, path: str | None, positions: Int64Array | None
) -> Rows:
    """Return the rows of a block, which stay in their file or in a store."""
    dims = index.manifest.dims
    if path is not None:
        return read_rows(index, path, "float16", dims[block], positions)
    assert index.table is not None, "the manifest was checked"
    names = list(dims)
    start = sum(dims[name] for name in names[: names.index(block)])
    return Rows((index.table.columns(start, start + dims[block]),), positions)


def write_rows(
    transaction: Transaction, name: str, rows: RowsLike, layout: Layout, index: OpenIndex | None
) -> str:
    """Write rows, and return the path of their file.

    Only new rows are written where the index holds the others.
    """
    if index and layout.before and isinstance(rows, Rows):
        paths = index.paths_of(rows.pieces[0])
        stored = np.where(rows.places < rows.edges[1], rows.places, MISSING)
        if paths and np.array_equal(stored, layout.kept):
            new = rows[np.flatnonzero(layout.is_new)]
            return transaction.append(paths[0], new) if len(new) else transaction.keep(paths[0])
    with transaction.create(name) as output:
        for part in _stacked(rows, layout):
            output.write(part)
    return f"{transaction.data}/{name}"


def _stacked(rows: RowsLike, layout: Layout) -> Iterator[FloatingArray]:
    """Yield all rows of a file, a few at a time; those of no card are zeros."""
    card_of = np.full(layout.rows, MISSING)
    card_of[layout.positions] = np.arange(len(rows))
    for part in chunks(layout.rows, ROWS_AT_ONCE):
        cards = card_of[part]
        stacked = np.zeros((len(cards), rows.shape[1]), dtype=rows.dtype)
        stacked[cards >= 0] = rows[cards[cards >= 0]]
        yield stacked
