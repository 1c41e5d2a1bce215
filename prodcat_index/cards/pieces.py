"""Cards in pieces whose columns are read when they are needed: of a file, or of cards in memory.

To open an index, to find some of its cards, and to add or remove a few need not read all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd

    from prodcat_index.types import Int64Array

LABELLING = ("category", "category_id")
# Pieces of more deliveries than this are put together in memory.
MOST_PIECES = 64


class Piece(Protocol):
    """Some cards, whose columns can be read alone."""

    @property
    def names(self) -> Sequence[str]:
        """Columns, in their order."""
        ...

    def __len__(self) -> int: ...

    def read(self, name: str, rows: Int64Array | None = None) -> Sequence[Any]:
        """Return a column of some cards, by default of all."""
        ...

    def frame(self) -> pd.DataFrame:
        """Return all columns of all cards."""
        ...


@dataclass(frozen=True)
class Lists:
    """Cards in memory: a list for each column."""

    columns: Mapping[str, Sequence[Any]]

    @property
    def names(self) -> Sequence[str]:
        """Columns, in their order."""
        return list(self.columns)

    def __len__(self) -> int:
        """Return the number of cards."""
        return len(self.columns["id"])

    def read(self, name: str, rows: Int64Array | None = None) -> Sequence[Any]:
        """Return a column of some cards, by default of all."""
        column = self.columns[name]
        return column if rows is None else [column[row] for row in rows]

    def frame(self) -> pd.DataFrame:
        """Return all columns as they are, without a guess at their types."""
        import pandas as pd

        return pd.DataFrame(dict(self.columns), dtype=object)


@dataclass(frozen=True, eq=False)
class Frame:
    """Cards in memory: a table."""

    table: pd.DataFrame

    @property
    def names(self) -> Sequence[str]:
        """Columns, in their order."""
        return [str(name) for name in self.table.columns]

    def __len__(self) -> int:
        """Return the number of cards."""
        return len(self.table)

    def read(self, name: str, rows: Int64Array | None = None) -> Sequence[Any]:
        """Return a column of some cards, by default of all."""
        column = self.table[name]
        return list(column if rows is None else column.iloc[rows])

    def frame(self) -> pd.DataFrame:
        """Return the table."""
        return self.table


@dataclass(frozen=True, eq=False)
class CodedLabels:
    """The category and the shop's own key of it of each card, as the number of such a pair."""

    pairs: tuple[tuple[str, str], ...]
    codes: npt.NDArray[np.int32]  # (N,)

    @classmethod
    def of(cls, categories: Sequence[str], keys: Sequence[str]) -> CodedLabels:
        """Give numbers to the pairs in the order of their first cards."""
        import numpy as np

        pairs = list(zip(categories, keys, strict=True))
        code = {pair: number for number, pair in enumerate(dict.fromkeys(pairs))}
        codes = np.fromiter((code[pair] for pair in pairs), dtype=np.int32, count=len(pairs))
        return cls(tuple(code), codes)

    def values(self, part: str, rows: Int64Array | None = None) -> list[str]:
        """Return the categories or the keys of some cards, by default of all."""
        values = [pair[LABELLING.index(part)] for pair in self.pairs]
        codes = self.codes if rows is None else self.codes[rows]
        return [values[code] for code in codes.tolist()]

    def joined(self, other: CodedLabels) -> CodedLabels:
        """Put the labels of other cards behind these."""
        import numpy as np

        code = {pair: number for number, pair in enumerate(self.pairs)}
        others = [code.setdefault(pair, len(code)) for pair in other.pairs]
        renumbered = np.array(others, dtype=np.int32)[other.codes]
        return CodedLabels(tuple(code), np.concatenate([self.codes, renumbered]))

    def compacted(self) -> CodedLabels:
        """Leave out the pairs that no card has."""
        import numpy as np

        used, codes = np.unique(self.codes, return_inverse=True)
        return CodedLabels(tuple(self.pairs[code] for code in used), codes.astype(np.int32))


@dataclass(frozen=True, eq=False)
class Pieces:
    """N cards: pieces below one another, of which some may be gone, and the labels of the rest."""

    stacked: tuple[Piece, ...]
    positions: Int64Array | None = None  # (N,): place of each card in the stack; None for all
    labels: CodedLabels | None = None  # None where the pieces have columns of them

    @cached_property
    def edges(self) -> list[int]:
        """Place in the stack where each piece starts, and the length of the stack."""
        return list(accumulate(map(len, self.stacked), initial=0))

    def __len__(self) -> int:
        """Return the number of cards."""
        return self.edges[-1] if self.positions is None else len(self.positions)

    @property
    def is_whole(self) -> bool:
        """Whether there is one piece, of which no card is gone."""
        return len(self.stacked) == 1 and self.positions is None

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Columns of any piece, in their order; those of labels before the groups."""
        names = list(dict.fromkeys(name for piece in self.stacked for name in piece.names))
        if self.labels is None:
            return tuple(names)
        rest = [name for name in names if name not in LABELLING]
        place = rest.index("group") if "group" in rest else len(rest)
        return (*rest[:place], *LABELLING, *rest[place:])

    def read(self, name: str, rows: Int64Array | None = None) -> Sequence[Any]:
        """Return a column of some cards, by default of all; empty texts where a piece lacks it."""
        import numpy as np

        if self.labels is not None and name in LABELLING:
            return self.labels.values(name, rows)
        if self.is_whole:
            return self._of_piece(0, name, rows)
        if rows is None and self.positions is None:
            columns = [self._of_piece(number, name) for number in range(len(self.stacked))]
            return [value for column in columns for value in column]
        every = np.arange(len(self)) if self.positions is None else self.positions
        places = every if rows is None else every[rows]
        return gather(self.edges, places, lambda piece, own: self._of_piece(piece, name, own))

    def _of_piece(self, number: int, name: str, rows: Int64Array | None = None) -> Sequence[Any]:
        piece = self.stacked[number]
        if name in piece.names:
            return piece.read(name, rows)
        return [""] * (len(piece) if rows is None else len(rows))

    def select(self, rows: Int64Array) -> Pieces:
        """Return some cards, in the order of their row numbers; nothing of them is read."""
        labels = self.labels and CodedLabels(self.labels.pairs, self.labels.codes[rows])
        piece = self.stacked[0]
        if self.is_whole and isinstance(piece, Frame):
            # Of cards in memory, those that are not chosen shall not stay there.
            return Pieces((Frame(piece.table.iloc[rows].reset_index(drop=True)),), None, labels)
        places = rows if self.positions is None else self.positions[rows]
        return Pieces(self.stacked, places, labels)

    def joined(self, other: Pieces) -> Pieces:
        """Put other cards, which have coded labels as these have, behind these."""
        import numpy as np

        assert self.labels is not None and other.labels is not None, "both have coded labels"
        positions = None
        if self.positions is not None or other.positions is not None:
            own, others = (
                np.arange(len(p)) if p.positions is None else p.positions for p in (self, other)
            )
            positions = np.concatenate([own, others + self.edges[-1]])
        stacked = (*self.stacked, *other.stacked)
        joined = Pieces(stacked, positions, self.labels.joined(other.labels))
        if len(stacked) <= MOST_PIECES:
            return joined
        return Pieces((Frame(joined.frame()),), None, joined.labels)

    def frame(self) -> pd.DataFrame:
        """Return the cards as one table; what a piece lacks of a further column is missing."""
        import pandas as pd

        tables = [piece.frame() for piece in self.stacked]
        if self.labels is not None:
            tables = [table.drop(columns=[*LABELLING], errors="ignore") for table in tables]
        joined = join_tables(tables) if len(tables) != 1 else tables[0]
        if self.positions is not None:
            joined = joined.iloc[self.positions].reset_index(drop=True)
        if self.labels is None:
            return joined
        labels = {name: self.labels.values(name) for name in LABELLING}
        coded = pd.DataFrame(labels, dtype=object, index=joined.index)
        return pd.concat([joined, coded], axis=1)[[*self.names]]


def gather(
    edges: Sequence[int] | Int64Array,
    places: Int64Array,
    read: Callable[[int, Int64Array], Sequence[Any]],
) -> list[Any]:
    """Read values at places of a stack, whose pieces lie between edges, piece by piece."""
    import numpy as np

    number = np.searchsorted(edges, places, side="right") - 1
    found: list[Any] = [None] * len(places)
    for piece in np.unique(number).tolist():
        mine = np.flatnonzero(number == piece)
        values = read(piece, places[mine] - edges[piece])
        for place, value in zip(mine.tolist(), values, strict=True):
            found[place] = value
    return found


def join_tables(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put tables below one another; a column that only some of them have is missing in the rest."""
    import pandas as pd

    every = dict.fromkeys(name for table in tables for name in table.columns)
    lacked = [name for name in every if any(name not in table for table in tables)]
    typed = [
        # Whole numbers and truth values would become fractions beside missing values.
        table.assign(**{name: table[name].convert_dtypes() for name in lacked if name in table})
        for table in tables
    ]
    joined = pd.concat(typed, ignore_index=True)
    loose = [name for name in lacked if joined[name].dtype == object]
    return joined.fillna(dict.fromkeys(loose, ""))
