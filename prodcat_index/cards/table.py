"""A table: the raw values of a catalogue file, before columns are chosen and texts cleaned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodcat_index.cards.cleaning import column_texts
from prodcat_index.findings import Finding

if TYPE_CHECKING:
    import pandas as pd

ROWS_AT_ONCE = 20_000


@dataclass(frozen=True, eq=False)
class Table:
    """The raw values of a catalogue file.

    `columns` maps parts of a card (``id``, ``title``, ``attributes``, …) to the columns that the
    format itself defines; it is empty for a plain table. `format` is its name for people; `texts`
    are columns of texts beside title and description, where the format tells them; `rows` the
    numbers of the rows in a sheet, or in a larger table of which these are some.

    Of a part of a larger table, there are `source`, its name; `file`, beside which its pictures
    are; and `others`, categories and keys that its other rows have. Its cards are called by `rows`
    where no column has ids.
    """

    frame: pd.DataFrame
    columns: Mapping[str, str] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
    format: str = "table"
    texts: tuple[str, ...] = ()
    rows: tuple[int, ...] = ()
    source: str = ""
    file: Path | None = None
    others: Sequence[tuple[str, str]] = ()

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.frame)


def frame_of_rows(rows: Iterable[Any], names: list[str] | None = None) -> pd.DataFrame:
    """Return lists or mappings as a table, made in parts: a list takes several times the memory."""
    import pandas as pd

    remaining = iter(rows)
    parts = []
    while part := list(islice(remaining, ROWS_AT_ONCE)):
        # As objects, or a whole number beside an absent one would become a fraction.
        parts.append(pd.DataFrame(part, columns=names, dtype=object))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=names)


def texts_of(frame: pd.DataFrame, column: str | None) -> list[str]:
    """Return the texts of a column; empty ones where there is no such column."""
    return column_texts(frame[column]) if column else [""] * len(frame)


def name_rows(marked: Iterable[bool], numbers: Iterable[int] = ()) -> list[str]:
    """Name the rows that are marked, for a finding; by default they are counted from 1."""
    rows = zip(numbers or count(1), marked, strict=False)
    return [f"row {row}" for row, is_marked in rows if is_marked]
