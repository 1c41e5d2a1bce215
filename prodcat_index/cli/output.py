"""Results on stdout, in the format asked for."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

import typer

WIDE = 200


class Format(str, Enum):
    """How results are printed."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"


def emit(records: Sequence[Mapping[str, Any]], form: Format, title: str = "") -> None:
    """Print records on stdout.

    Parameters
    ----------
    records
        One mapping a row. Nested mappings become columns of their own in tables and CSV; nested
        lists are left out there.
    form
        The format.
    title
        Above a table.
    """
    if form is Format.json:
        typer.echo(json.dumps(list(records), ensure_ascii=False, indent=2))
    elif form is Format.jsonl:
        for record in records:
            typer.echo(json.dumps(record, ensure_ascii=False))
    elif form is Format.csv:
        typer.echo(_as_csv([flat(record) for record in records]), nl=False)
    else:
        print_table([flat(record) for record in records], title)


def flat(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Turn nested mappings into columns, and leave lists out."""
    row: dict[str, Any] = {}
    for key, value in record.items():
        if isinstance(value, Mapping):
            row |= flat(value, f"{prefix}{key} ")
        elif not isinstance(value, list):
            row[f"{prefix}{key}"] = value
    return row


def _as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def print_table(rows: Sequence[Mapping[str, Any]], title: str = "") -> None:
    """Print rows as a table as wide as the terminal, or wide enough for a file."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title) or None, title_justify="left")
    columns = _columns(rows)
    for column in columns:
        table.add_column(escape(column), overflow="ellipsis", max_width=60)
    for row in rows:
        table.add_row(*(escape(_cell(row.get(column, ""))) for column in columns))
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDE).print(table)


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
