"""The rows of N cards in pieces, so that adding costs the new rows and removing costs an index."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from prodcat_index.types import BoolArray, FloatingArray, Int64Array, RowsLike

# Of the rows that were added in memory, more dead ones than this share are dropped.
DEAD_SHARE = 0.25
# What selects some of N rows: numbers, which may be negative, a mask, or a slice.
Selection: TypeAlias = Int64Array | BoolArray | Sequence[int] | slice


@dataclass(frozen=True)
class FileRows:
    """The rows of a file, (n, dim), of which nothing stays in memory but what is asked for."""

    path: Path
    shape: tuple[int, int]
    name: str  # of the type of a number

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a number."""
        return np.dtype(self.name)

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.shape[0]

    def __getitem__(self, key: Any) -> FloatingArray:
        """Return a copy of some rows, which are selected as those of an array."""
        if not len(self):
            return np.zeros(self.shape, self.dtype)[key]
        # What is mapped is given back at once.
        return np.array(np.memmap(self.path, self.dtype, "r", shape=self.shape)[key])

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> FloatingArray:
        """Return a copy of all rows."""
        return np.asarray(self[:], dtype=dtype)

    def astype(self, dtype: npt.DTypeLike) -> FloatingArray:
        """Return all rows as an array of another type."""
        return self[:].astype(dtype)


@dataclass(frozen=True, eq=False, repr=False)
class Rows:
    """An immutable array of shape (N, dim) whose rows lie in several arrays.

    It is indexed by rows like an array of numpy, and gives arrays of numpy. Nothing is copied but
    the rows that are asked for; a slice is a view where all rows lie in one piece.
    """

    pieces: tuple[FloatingArray, ...]  # below one another: as stored, then what was added
    positions: Int64Array | None = None  # (N,): place of each row in the stack; None for all

    def __post_init__(self) -> None:
        # A memory-mapped array is slower to index than the plain array that it is.
        plain = (np.asarray(p) if isinstance(p, np.ndarray) else p for p in self.pieces)
        object.__setattr__(self, "pieces", tuple(plain))

    @cached_property
    def edges(self) -> Int64Array:
        """Place in the stack where each piece starts, and the length of the stack."""
        return np.cumsum([0, *map(len, self.pieces)])

    @property
    def places(self) -> Int64Array:
        """Place of each row in the stack: (N,)."""
        return np.arange(len(self)) if self.positions is None else self.positions

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and of columns."""
        return len(self), self.pieces[0].shape[1]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a number."""
        return self.pieces[0].dtype

    def __len__(self) -> int:
        """Return the number of rows."""
        return int(self.edges[-1]) if self.positions is None else len(self.positions)

    def __repr__(self) -> str:
        """Return the shape, and of how many pieces it is made."""
        return f"<Rows: {self.dtype} {self.shape} in {len(self.pieces)} pieces>"

    def __array__(
        self, dtype: npt.DTypeLike | None = None, copy: bool | None = None
    ) -> FloatingArray:
        """Return all rows as one array, which is a view if they lie in one piece."""
        return np.array(self[:], dtype=dtype, copy=copy)

    def astype(self, dtype: npt.DTypeLike) -> FloatingArray:
        """Return all rows as an array of another type."""
        every = [piece.astype(dtype) for piece in self.pieces]
        whole = every[0] if len(every) == 1 else np.concatenate(every)
        return whole if self.positions is None else whole[self.positions]

    def __getitem__(self, key: Any) -> FloatingArray:
        """Return rows by number, slice, numbers or mask; the key may add a slice of columns."""
        if isinstance(key, tuple):
            rows, columns = key
            narrow = tuple(piece[:, columns] for piece in self.pieces)
            return Rows(narrow, self.positions)[rows]
        if self.positions is None and len(self.pieces) == 1:
            return self.pieces[0][key]
        places = self._places(key)
        return self._gathered(places) if places.ndim else self._gathered(places[None])[0]

    def _places(self, key: Any) -> Int64Array:
        """Return the places of some rows in the stack."""
        if self.positions is not None:
            return np.asarray(self.positions[key])
        if isinstance(key, slice):
            return np.arange(*key.indices(len(self)))
        chosen = np.asarray(key)
        if chosen.dtype == bool:
            if chosen.shape != (len(self),):
                raise IndexError(f"a mask of {len(self)} rows has not the shape {chosen.shape}")
            return np.flatnonzero(chosen)
        chosen = chosen.astype(np.int64)
        if chosen.size and not -len(self) <= chosen.min() <= chosen.max() < len(self):
            raise IndexError(f"there are {len(self)} rows, and none of one of the numbers")
        return np.where(chosen < 0, chosen + len(self), chosen)

    def _gathered(self, places: Int64Array) -> FloatingArray:
        if len(self.pieces) == 1:
            return self.pieces[0][places]
        gathered = np.empty((*places.shape, self.shape[1]), dtype=self.dtype)
        number = np.searchsorted(self.edges, places, side="right") - 1
        for piece in np.unique(number):
            mine = number == piece
            gathered[mine] = self.pieces[piece][places[mine] - self.edges[piece]]
        return gathered

    def select(self, rows: Selection) -> Rows:
        """Return some rows in the order of their numbers; it costs an index and copies no row.

        Rows that were added and are dead by now are dropped when there are many.
        """
        places = self._places(rows)
        first = int(self.edges[1])
        added, is_added = int(self.edges[-1]) - first, places >= first
        living = int(is_added.sum())
        if added - living <= DEAD_SHARE * added:
            return Rows(self.pieces, places)
        places = places.copy()
        tail = self._gathered(places[is_added])
        places[is_added] = first + np.arange(living)
        return Rows((self.pieces[0], tail) if living else self.pieces[:1], places)

    def extended(self, new: RowsLike) -> Rows:
        """Return these rows with others, (m, dim), below them; it costs the new rows.

        Pieces that were added before are joined unless they are twice as long as what comes after
        them, so that N rows make about log N pieces. The first, which may be a file, is not.
        """
        if not len(new):
            return self
        pieces = [*self.pieces, np.asarray(new, dtype=self.dtype)]
        while len(pieces) > 2 and len(pieces[-2]) < 2 * len(pieces[-1]):
            pieces[-2:] = [np.concatenate(pieces[-2:])]
        if self.positions is None:
            return Rows(tuple(pieces))
        end = int(self.edges[-1])
        places = np.arange(end, end + len(new))
        return Rows(tuple(pieces), np.concatenate([self.positions, places]))


def as_rows(rows: RowsLike) -> Rows:
    """Return rows in pieces, of which there may be one."""
    return rows if isinstance(rows, Rows) else Rows((np.asarray(rows),))
