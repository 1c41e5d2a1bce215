"""Printing: results on stdout in the requested format, notes on stderr."""

from __future__ import annotations

import codecs
import csv
import io
import json
import shlex
import shutil
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import groupby
from typing import TYPE_CHECKING, Any, Literal

from prodcat_index.errors import ProdcatError
from prodcat_index.progress import verbosity, write_line

if TYPE_CHECKING:
    from pathlib import Path

    import pandas as pd

    from prodcat_index.reports.page import Table

Format = Literal["table", "json", "jsonl", "csv"]
Record = Mapping[str, Any]

# Characters in a line of a table that goes into a file or a pipe.
WIDTH = 80
# Cells that are longer are texts, which are wrapped to no fewer characters than these.
MIN_TEXT = 16
# Characters between two columns, and before the lines of a paragraph but the first.
GAP, INDENT = 3, "    "
# Texts that take one line, cut where it ends: they are known by more than their end.
CUT = ("title",)
# Paths of pictures are long, and say little to people.
NOT_IN_TABLES = ("image",)

# The error handler of streams whose encoding lacks some characters, and what it writes for them.
REPLACE = "prodcat_index.replace"
LIKENESS = {"≈": "~", "…": "...", "–": "-", "—": "-", "─": "-", "→": "->", "±": "+-", "\xa0": " "}


def _replace(error: UnicodeError) -> tuple[str, int]:
    """Write a likeness, or an escape as in JSON: no character is lost, and none ends the work."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacked = error.object[error.start : error.end]
    return "".join(LIKENESS.get(c) or json.dumps(c)[1:-1] for c in lacked), error.end


codecs.register_error(REPLACE, _replace)


def note(lines: Iterable[object]) -> None:
    """Print notes on stderr."""
    for line in lines:
        tell(f"note: {line}")


def command_line() -> str:
    """Return the command as it was given, for the foot of a page."""
    return shlex.join(["prodcat", *sys.argv[1:]])


def tell(line: str) -> None:
    """Print on stderr what was done."""
    if not verbosity.quiet:
        write_line(line, sys.stderr)


def say(text: str) -> None:
    """Print a part of the result on stdout."""
    if sys.stdout is None:
        raise ProdcatError("stdout is closed, and the result is printed there; leave it open.")
    write_line(text, sys.stdout)


def emit(
    result: Record | Sequence[Record], form: Format, first: Sequence[str] = (), rest: bool = True
) -> None:
    """Print a record, or several, on stdout; a table has some columns first, or these alone."""
    if form != "table":
        encoding = sys.stdout.encoding if sys.stdout else None
        say(write_records(result, form, ascii_only=not _is_unicode(encoding)))
        return
    records = [_flat(record) for record in ([result] if isinstance(result, Mapping) else result)]
    there = [column for column in _columns(records) if column not in NOT_IN_TABLES]
    shown = [column for column in first if column in there]
    shown += [column for column in there if rest and column not in first]
    heads = (c.replace("by_modality.", "≈ ").replace("contributions.", "+ ") for c in shown)
    lines = [[_cell(record.get(column, "")) for column in shown] for record in records]
    _print_table([head.replace("_", " ") for head in heads], lines)


def write_records(
    result: Record | Sequence[Record], form: Format, *, ascii_only: bool = False
) -> str:
    """Return a record, or several, as JSON, JSON lines or CSV without the last line break."""
    records = [result] if isinstance(result, Mapping) else result
    if form == "json":
        return json.dumps(result, ensure_ascii=ascii_only, indent=2)
    if form == "jsonl":
        return "\n".join(json.dumps(record, ensure_ascii=ascii_only) for record in records)
    text = io.StringIO()
    rows = [_flat(record) for record in records]
    writer = csv.DictWriter(text, _columns(rows), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().removesuffix("\n")


def write_frame(path: Path, frame: pd.DataFrame) -> None:
    """Write a table into a file in the format of its ending: CSV, JSON lines, Excel or Parquet."""
    from prodcat_index.reports.page import write_file

    ending = path.suffix.lower()
    if ending == ".parquet":
        write_file(path, frame.to_parquet(index=False))
    elif ending == ".csv":
        write_file(path, frame.to_csv(index=False, lineterminator="\n"))
    else:
        records = frame.astype(object).where(frame.notna(), None).to_dict("records")
        is_lines = ending == ".jsonl"
        content = write_records(records, "jsonl") + "\n" if is_lines else write_workbook(records)
        write_file(path, content)


def write_workbook(records: Sequence[Record]) -> bytes:
    """Return records as the only sheet of an Excel workbook; texts are no formulas there."""
    from openpyxl import Workbook
    from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE, Cell

    book = Workbook()
    sheet = book.active
    columns = _columns(records)
    rows: list[list[Any]] = [list(columns), *([r.get(c) for c in columns] for r in records)]
    for row, values in enumerate(rows, 1):
        for column, value in enumerate(values, 1):
            cell = sheet.cell(row, column)
            assert isinstance(cell, Cell), "no cells are merged"
            cell.value = ILLEGAL_CHARACTERS_RE.sub("", value) if isinstance(value, str) else value
            if isinstance(value, str):
                cell.data_type = "s"
    sheet.freeze_panes = "A2"
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _flat(record: Record, prefix: str = "") -> dict[str, Any]:
    row: dict[str, Any] = {}
    for key, value in record.items():
        row |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
        )
    return row


def _columns(rows: Sequence[Record]) -> list[str]:
    return list(dict.fromkeys(key for row in rows for key in row))


def _cell(value: object) -> str:
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def wrap(text: str, indent: str = "") -> str:
    """Break a text into lines that fit the terminal."""
    lines = textwrap.wrap(
        text, _line_width() - len(indent), break_long_words=False, break_on_hyphens=False
    )
    return "\n".join(indent + line for line in lines)


def _line_width() -> int:
    return shutil.get_terminal_size((WIDTH, 24)).columns


def _is_unicode(encoding: str | None) -> bool:
    return (encoding or "utf-8").lower().startswith("utf")


def print_markdown(text: str) -> None:
    """Print a text with its tables, all within the lines of a terminal."""
    for is_table, lines in groupby(text.splitlines(), key=lambda line: line.startswith("|")):
        if is_table:
            cells = [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]
            _print_table(cells[0], cells[2:])
        else:
            say("\n".join(map(wrap, lines)))


def print_table(heading: str, table: Table) -> None:
    """Print a table of a page, below a heading."""
    from prodcat_index.reports.page import NO_BREAK

    say(wrap(heading))
    lines = [[table.write(cell).replace(NO_BREAK, " ") for cell in row] for row in table.rows]
    _print_table(table.heads, lines)


def _print_table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print a table; columns that do not fit follow below, after the first one again.

    Where the first one takes half of a line, each row is printed as a paragraph instead.
    """
    encoding = (sys.stdout.encoding if sys.stdout else None) or "utf-8"
    shown = [
        [cell.encode(encoding, REPLACE).decode(encoding) for cell in line]
        for line in (heads, *lines)
    ]
    columns = list(zip(*shown, strict=True))
    width = _line_width()
    part = columns[:1]
    if part and _least_width(columns) > width < 2 * _width(part[0]):
        _print_paragraphs(shown)
        return
    for column in columns[1:]:
        if len(part) > 1 and _least_width([*part, column]) > width:
            _draw_table(part, width)
            part = columns[:1]
        part.append(column)
    if part:
        _draw_table(part, width)


def _print_paragraphs(lines: Sequence[Sequence[str]]) -> None:
    (_, *heads), *rows = lines
    for first, *cells in rows:
        # textwrap does not break at the space that keeps a name and its value together.
        named = (f"{h}:\xa0{cell}" for h, cell in zip(heads, cells, strict=True) if cell)
        say(f"{first}\n{wrap(', '.join(named), INDENT)}".replace("\xa0", " "))


def _is_text(head: str, cells: Sequence[str]) -> bool:
    """Return whether the cells of a column may be wrapped or cut; ids and numbers never are."""
    return head in CUT or any(len(cell) > MIN_TEXT and " " in cell for cell in cells)


def _width(column: Sequence[str]) -> int:
    """Return the characters that a column needs at least."""
    from rich.cells import cell_len

    head, *cells = column
    width = max(map(cell_len, [*head.split(), *cells]), default=0)
    return min(width, MIN_TEXT) if _is_text(head, cells) else width


def _least_width(columns: Sequence[Sequence[str]]) -> int:
    return sum(_width(column) + GAP for column in columns) - GAP


def _share_width(columns: Sequence[Sequence[str]], width: int) -> list[int]:
    """Return the characters of each column: what is left goes to the narrowest that lack some.

    Texts that may be cut come last. rich itself takes more than the line has, and cuts the rest.
    """
    from rich.cells import cell_len

    shares = [_width(column) for column in columns]
    wanted = [
        max(map(cell_len, column)) if _is_text(column[0], column[1:]) else share
        for column, share in zip(columns, shares, strict=True)
    ]
    for _ in range(width - _least_width(columns)):
        lacking = [n for n, share in enumerate(shares) if share < wanted[n]]
        if not lacking:
            break
        shares[min(lacking, key=lambda n: (columns[n][0] in CUT, shares[n]))] += 1
    return shares


def _draw_table(columns: Sequence[Sequence[str]], width: int) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    cut = partial(Text, no_wrap=True, overflow="ellipsis")
    table = RichTable(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for (head, *cells), size in zip(columns, _share_width(columns, width), strict=True):
        is_text = _is_text(head, cells)
        folded = head if is_text else "\n".join(textwrap.wrap(head, size))
        table.add_column(Text(folded), width=size, no_wrap=not is_text)
    for line in list(zip(*columns, strict=True))[1:]:
        table.add_row(
            *(
                cut(c) if head in CUT else Text(c, overflow="fold")
                for (head, *_), c in zip(columns, line, strict=True)
            )
        )
    text = io.StringIO()
    Console(file=text, width=max(width, _least_width(columns))).print(table)
    say("\n".join(line.rstrip() for line in text.getvalue().splitlines()) + "\n")
