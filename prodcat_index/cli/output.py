"""Printing: results on stdout in the requested format, notes on stderr."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from prodcat_index.cards.card import Card
    from prodcat_index.reports.page import Table
    from prodcat_index.voting.prediction import Neighbour, Prediction

Format = Literal["table", "json", "jsonl", "csv"]
Record = Mapping[str, Any]

# Characters in a line of a table that goes into a file or a pipe, and at most in a cell.
WIDTH = 200
MAX_CELL = 60
# Paths of pictures are long, and say little to people.
NOT_IN_TABLES = ("image",)
# Where a line is too short, texts are cut to this, and then these columns are left out in turn.
MIN_CELL = 12
LEFT_OUT_FIRST = ("contributions.", "by_modality.")
# A sheet with more does not fit on a screen.
SHEET_ROWS = 12
SHEET_NEIGHBOURS = 6


def note(lines: Iterable[object]) -> None:
    """Print notes on stderr."""
    for line in lines:
        typer.echo(f"note: {line}", err=True)


def emit(result: Record | Sequence[Record], form: Format) -> None:
    """Print a record, or several, on stdout."""
    records = [result] if isinstance(result, Mapping) else result
    if form == "json":
        typer.echo(json.dumps(result, ensure_ascii=False, indent=2))
    elif form == "jsonl":
        for record in records:
            typer.echo(json.dumps(record, ensure_ascii=False))
    elif form == "csv":
        typer.echo(_as_csv([_flat(record) for record in records]), nl=False)
    else:
        _print_records([_flat(record) for record in records])


def _flat(record: Record, prefix: str = "") -> dict[str, Any]:
    row: dict[str, Any] = {}
    for key, value in record.items():
        row |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
        )
    return row


def _columns(rows: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _as_csv(rows: Sequence[Record]) -> str:
    text = io.StringIO()
    writer = csv.DictWriter(text, _columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _print_records(rows: Sequence[Record]) -> None:
    columns = [column for column in _columns(rows) if column not in NOT_IN_TABLES]
    number = len(columns)
    for prefix in LEFT_OUT_FIRST:
        if _least_width(_heads(columns), _lines(rows, columns)) > _console().width:
            columns = [column for column in columns if not column.startswith(prefix)]
    if len(columns) < number:
        note([f"{number - len(columns)} columns do not fit here; --format csv shows them"])
    _draw_table(_heads(columns), _lines(rows, columns))


def _heads(columns: Sequence[str]) -> list[str]:
    heads = (c.replace("by_modality.", "≈ ").replace("contributions.", "+ ") for c in columns)
    return [head.replace("_", " ") for head in heads]


def _lines(rows: Sequence[Record], columns: Sequence[str]) -> list[list[str]]:
    cells = ((row.get(column, "") for column in columns) for row in rows)
    return [[f"{c:.3f}" if isinstance(c, float) else str(c) for c in line] for line in cells]


def _may_be_cut(head: str, cells: Iterable[str]) -> bool:
    """Return whether a column has long texts; ids and numbers are never cut."""
    return head != "id" and max(map(len, cells), default=0) > MIN_CELL


def _least_width(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> int:
    """Return the characters that a table needs when its texts are cut."""
    margin = 3
    widths = [
        max(len(head), MIN_CELL) if _may_be_cut(head, cells) else max(map(len, (head, *cells)))
        for head, cells in zip(heads, zip(*lines, strict=True), strict=True)
    ]
    return sum(widths) + margin * len(widths)


def _console() -> Console:
    from rich.console import Console

    return Console(file=sys.stdout, width=None if sys.stdout.isatty() else WIDTH)


def print_table(heading: str, table: Table) -> None:
    """Print a table of a page, below a heading."""
    from prodcat_index.reports.page import NO_BREAK

    typer.echo(heading)
    lines = [[table.write(cell).replace(NO_BREAK, " ") for cell in row] for row in table.rows]
    _draw_table(table.heads, lines)


def _draw_table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table as RichTable
    from rich.text import Text

    def text(value: str) -> Text:
        return Text(value, no_wrap=True, overflow="ellipsis")

    table = RichTable(box=SIMPLE_HEAD)
    columns = list(zip(*lines, strict=True)) or [()] * len(heads)
    for head, cells in zip(heads, columns, strict=True):
        # rich shortens the columns that may wrap before the others.
        rigid = not _may_be_cut(head, cells)
        table.add_column(text(head), overflow="ellipsis", no_wrap=rigid, max_width=MAX_CELL)
    for line in lines:
        table.add_row(*map(text, line))
    _console().print(table)


def emit_neighbours(neighbours: Sequence[Neighbour], form: Format) -> None:
    """Print neighbours, nearest first."""
    emit([neighbour.as_dict() for neighbour in neighbours], form)


def emit_predictions(predictions: Sequence[Prediction], form: Format, explain: bool) -> None:
    """Print predictions; as tables, each explained one comes with a table of its neighbours."""
    if form in ("json", "jsonl"):
        emit([prediction.as_dict() for prediction in predictions], form)
    elif form == "csv" or not explain:
        emit([prediction.as_row() for prediction in predictions], form)
    else:
        for prediction in predictions:
            typer.echo(_explained(prediction))
            emit_neighbours(prediction.neighbours, form)


def _explained(prediction: Prediction) -> str:
    why = prediction.explanation
    if why is None or not prediction.category:
        return f"{prediction.id}: no category, because nothing of the listing can be compared"
    parts = [f"{prediction.share:.0%} of the vote", f"confidence {prediction.confidence:.0%}"]
    if prediction.decision:
        parts.append(prediction.decision)
    if prediction.backed_off:
        parts.append(f"sure up to {prediction.backed_off}")
    reasons = [
        f"without {modality}: {f'{name} ({share:.0%})' if name else 'no answer'}"
        for modality, (name, share) in why.without.items()
    ]
    if why.head is not None and why.share_without_head is not None:
        reasons.append(f"without the linear head: {why.share_without_head:.0%}")
        reasons.append(f"the head alone: {why.head:.0%}")
    if why.words and not prediction.note:
        reasons.append(f"because of: {', '.join(word for word, _ in why.words)}")
    known = prediction.familiarity
    evidence = f"; {prediction.note or known.describe()}" if known else ""
    return (
        f"{prediction.id}: {prediction.category} ({', '.join(parts)}), "
        f"decided by {why.decided_by} ({'; '.join(reasons)}){evidence}"
    )


def draw_answers(
    path: Path | None,
    cards: Sequence[Card],
    neighbours: Sequence[Sequence[Neighbour]],
    predictions: Sequence[Prediction] = (),
    truths: Mapping[str, str] | None = None,
) -> None:
    """Draw the first queries and their neighbours into a picture file, if one is named."""
    if path is None:
        return
    from prodcat_index.reports.sheet import SheetRow, draw_sheet

    rows = [
        SheetRow(
            title=card.title,
            image=card.image,
            neighbours=neighbours[i][:SHEET_NEIGHBOURS],
            prediction=predictions[i] if predictions else None,
            truth=(truths or {}).get(card.id),
        )
        for i, card in enumerate(cards[:SHEET_ROWS])
    ]
    typer.echo(f"Drew {draw_sheet(rows, path)}", err=True)
