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
NOT_IN_TABLES = ("image",)


class Format(str, Enum):
    """How results are printed."""

    table = "table"
    json = "json"
    jsonl = "jsonl"
    csv = "csv"


def emit(records: Sequence[Mapping[str, Any]], form: Format) -> None:
    """Print records on stdout."""
    if form is Format.json:
        typer.echo(json.dumps(list(records), ensure_ascii=False, indent=2))
    elif form is Format.jsonl:
        for record in records:
            typer.echo(json.dumps(record, ensure_ascii=False))
    elif form is Format.csv:
        typer.echo(_as_csv([_flat(record) for record in records]), nl=False)
    else:
        _print_table(records)


def _flat(record: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    row: dict[str, Any] = {}
    for key, value in record.items():
        row |= _flat(value, f"{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return row


def _as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _print_table(records: Sequence[Mapping[str, Any]]) -> None:
    """Print records as a table as wide as the terminal, or wide enough for a file."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    rows = [_flat(record) for record in records]
    columns = [column for column in _columns(rows) if column not in NOT_IN_TABLES]
    table = Table(box=SIMPLE_HEAD)
    for column in columns:
        heading = column.replace("by_modality.", "≈ ").replace("contributions.", "+ ")
        heading = heading.replace("_", " ")
        table.add_column(escape(heading), overflow="ellipsis", no_wrap=True, max_width=60)
    for row in rows:
        table.add_row(*(escape(_cell(row.get(column, ""))) for column in columns))
    Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDE).print(table)


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)
