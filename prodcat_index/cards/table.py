"""A table: the raw values of a catalogue file, before columns are chosen and texts cleaned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress, count, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodcat_index.cards.cleaning import column_texts
from prodcat_index.cards.roles import free_name
from prodcat_index.findings import Finding, name_findings

if TYPE_CHECKING:
    import pandas as pd

ROWS_AT_ONCE = 20_000
# Folded name of a column -> its name.
Names = Mapping[str, str]


@dataclass(frozen=True, eq=False)
class Table:
    """The raw values of a catalogue file, or of some rows of a larger table."""

    frame: pd.DataFrame
    columns: Mapping[str, str] = field(default_factory=dict)  # by part, where the format has them
    findings: tuple[Finding, ...] = ()
    format: str = "table"  # for people
    texts: tuple[str, ...] = ()  # columns beside title and description, where the format tells
    rows: tuple[int, ...] = ()  # numbers in a sheet or in the larger table
    # Of a part of a larger table, whose cards are called by `rows` where no column has ids:
    source: str = ""  # name of the table
    file: Path | None = None  # beside which the pictures are
    others: Sequence[tuple[str, str]] = ()  # categories and keys of the other rows

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.frame)

    def without(self, left_out: Sequence[bool], what: str) -> Table:
        """Leave out rows, unless none or all are, and name them in a finding."""
        if not any(left_out) or all(left_out):
            return self
        kept = [not out for out in left_out]
        return replace(
            self,
            frame=self.frame[kept].reset_index(drop=True),
            findings=(*self.findings, *name_findings({what: name_rows(left_out, self.rows)})),
            rows=tuple(compress(self.rows, kept)),
        )

    def as_export(
        self,
        frame: pd.DataFrame,
        columns: Mapping[str, str | None],
        form: str,
        found: Mapping[str, Sequence[str]],
    ) -> Table:
        """Return the table of an export, with the columns of its parts and what was noticed."""
        named = {part: name for part, name in columns.items() if name and part != "attributes"}
        return Table(frame, named, (*self.findings, *name_findings(found)), form)


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


def fullest(frame: pd.DataFrame, names: Names, *wanted: str) -> str | None:
    """Return the column of these names that has the most values, the first one where equal."""
    there = [names[name] for name in wanted if name in names]
    return max(there, key=lambda column: sum(map(bool, texts_of(frame, column))), default=None)


def assign_parts(
    frame: pd.DataFrame, parts: Mapping[str, Sequence[str]], origins: Mapping[str, str | None]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Put the values of parts into the columns that they are made from, or new ones; name them."""
    columns = {part: origins.get(part) or free_name(part, list(frame.columns)) for part in parts}
    return frame.assign(**{columns[part]: list(parts[part]) for part in parts}), columns
