"""Excel workbooks (.xlsx), read a row at a time."""

from __future__ import annotations

import re
import zipfile
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodcat_index.cards.roles import is_usual_name
from prodcat_index.cards.sources import max_unpacked, unpacks_to_too_much
from prodcat_index.cards.table import Table, frame_of_rows
from prodcat_index.cards.text_files import ABOVE, SAMPLE_LINES, find_header
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import name_findings

if TYPE_CHECKING:
    from openpyxl import Workbook

OTHER_SHEETS = "sheets are not read (only {!r} is)"
BEYOND = "rows have cells to the right of the header (not read)"
SINGLE = "rows have one cell only (a title of a section, a total?)"
UNSTORED = "cells hold formulas without a value (open the file in Excel and save it)"
MERGED = "cells are merged over several rows (each row gets the value)"
MAX_EMPTY = 10_000
ENDED = f"sheets are not read on after {MAX_EMPTY:,} empty rows"
FORMULA = re.compile(
    rb"""<c\b[^>]*\br="([A-Z]+\d+)"[^>]*>\s*<f\b(?:[^>]*/>|[^>]*>[^<]*</f>)\s*"""
    rb"""(?:<v\s*/>|<v>\s*</v>|</c>)"""
)
MERGE = re.compile(rb"""<mergeCell\b[^>]*\bref="([A-Z]+\d+):([A-Z]+\d+)\"""")
SCANNED, OVERLAP = 2**20, 2**12
# A control character as Excel writes it.
ESCAPED = re.compile("_x(00[0-9A-Fa-f]{2})_")
ZEROS = re.compile("0{2,}")
USUAL = 2
MAX_ROWS = 2**20
MAX_CELLS = 50_000_000
# What a cell takes in memory, as a multiple of its part in the file.
CELL_SIZE = 4


def read_workbook(path: Path) -> Table:
    """Read the first sheet with a table; raises CatalogueError if that fails."""
    import warnings

    from openpyxl import load_workbook

    try:
        limit = max_unpacked(path) // CELL_SIZE
        with zipfile.ZipFile(path) as packed:
            if sum(part.file_size for part in packed.infolist()) > limit:
                raise unpacks_to_too_much(path, limit)
        with warnings.catch_warnings():
            # About styles and checks of values that are not read.
            warnings.simplefilter("ignore")
            book = load_workbook(path, read_only=True, data_only=True)
            try:
                return _read_book(book, path)
            finally:
                book.close()
    except (CatalogueError, OSError):
        raise
    # A damaged part raises errors of almost any class.
    except Exception as error:
        raise CatalogueError(
            f"{path} is no readable Excel workbook ({error}): save it again as .xlsx or as CSV."
        ) from None


def _read_book(book: Workbook, path: Path) -> Table:
    sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    found: dict[str, list[str]] = {ENDED: []}
    sheet, others = _choose(sheets)
    formulas, merged = _scan(path, sheet)
    rows = _rows(sheet, merged, found[ENDED])
    sample = list(islice(rows, SAMPLE_LINES))
    texts = _texts(sample)
    above = find_header(texts)
    header = texts[above]
    width = len(header)
    beyond: list[str] = []
    numbers: list[int] = []
    single: list[str] = []

    def cells_under_header() -> Iterator[tuple[Any, ...]]:
        for count, (row, cells) in enumerate(chain(sample[above + 1 :], rows), start=1):
            if count * width > MAX_CELLS:
                raise CatalogueError(f"it has more than {MAX_CELLS // 10**6} million cells")
            if len(cells) > width:
                beyond.append(f"row {row}")
            numbers.append(row)
            if sum(cell not in (None, "") for cell in cells) == 1:
                single.append(f"row {row}")
            yield (*cells, *[None] * (width - len(cells)))[:width]

    frame = frame_of_rows(cells_under_header(), header)
    found |= {
        ABOVE: [" ".join(filter(None, row)) for row in texts[:above]],
        BEYOND: beyond,
        SINGLE: single if 2 * len(single) < len(frame) and width > 1 else [],
        UNSTORED: formulas,
        MERGED: [area for area, *_ in merged],
        OTHER_SHEETS.format(sheet.title): others,
    }
    return Table(frame, findings=name_findings(found), format="Excel workbook", rows=tuple(numbers))


def _choose(sheets: Sequence[Any]) -> tuple[Any, list[str]]:
    """Return the first sheet with usual names of columns, or with rows, and name the others."""
    filled = []
    chosen = None
    for sheet in sheets:
        # What a sheet says of its size is often wrong.
        sheet.reset_dimensions()
        sample = _texts(list(islice(_rows(sheet), SAMPLE_LINES)))
        filled += [sheet] if sample else []
        header = find_header(sample) if sample else 0
        names = [name for name in sample[header] if is_usual_name(name)] if sample else []
        if chosen is None and len(set(names)) >= USUAL and len(sample) > header + 1:
            chosen = sheet
    if not filled:
        raise CatalogueError("it has no rows in a visible sheet")
    chosen = chosen or filled[0]
    return chosen, [sheet.title for sheet in filled if sheet is not chosen]


def _texts(rows: Sequence[tuple[int, tuple[Any, ...]]]) -> list[list[str]]:
    return [["" if cell is None else str(cell) for cell in row] for _, row in rows]


def _scan(path: Path, sheet: Any) -> tuple[list[str], list[tuple[str, int, int, int]]]:
    """Return cells of formulas without a value; and areas merged over rows: column, first, last."""
    from openpyxl.utils.cell import column_index_from_string, coordinate_from_string

    formulas: dict[str, None] = {}
    areas: dict[tuple[str, str], None] = {}
    with zipfile.ZipFile(path) as packed, packed.open(sheet._worksheet_path) as part:
        rest = b""
        while content := part.read(SCANNED):
            text = rest + content
            formulas |= dict.fromkeys(cell.decode() for cell in FORMULA.findall(text))
            areas |= dict.fromkeys((a.decode(), b.decode()) for a, b in MERGE.findall(text))
            rest = text[-OVERLAP:]
    merged = []
    for start, end in areas:
        (column, first), (_, last) = coordinate_from_string(start), coordinate_from_string(end)
        if last > first:
            merged.append((f"{start}:{end}", column_index_from_string(column) - 1, first, last))
    return list(formulas), sorted(merged, key=lambda area: area[2])


def _rows(
    sheet: Any, merged: Sequence[tuple[str, int, int, int]] = (), ended: list[str] | None = None
) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Yield the rows that are not empty, up to their last value, with their numbers."""
    starts = defaultdict(list)
    for _, column, first, last in merged:
        starts[first].append((column, last))
    fill: dict[int, tuple[int, Any]] = {}
    empty = 0
    for number, row in enumerate(islice(sheet.iter_rows(), MAX_ROWS), start=1):
        cells = [_value(cell) for cell in row]
        filled = [n for n, cell in enumerate(cells, start=1) if cell not in (None, "")]
        empty = 0 if filled else empty + 1
        if empty > MAX_EMPTY:
            if ended is not None:
                ended.append(f"{sheet.title} (row {number})")
            return
        if not filled:
            continue
        fill = {n: (last, value) for n, (last, value) in fill.items() if number <= last}
        for column, (_, value) in fill.items():
            cells += [None] * (column + 1 - len(cells))
            cells[column] = value if cells[column] in (None, "") else cells[column]
        for column, last in starts.get(number, ()):
            if column < len(cells):
                fill[column] = last, cells[column]
        yield number, tuple(cells[: max(filled[-1], *(n + 1 for n in fill), 0)])


def _value(cell: Any) -> Any:
    """Return the value of a cell; a number with the zeros that its format writes before it."""
    value = cell.value
    if isinstance(value, str):
        return ESCAPED.sub(lambda found: chr(int(found[1], 16)), value)
    if (
        isinstance(value, int)
        and not isinstance(value, bool)
        and ZEROS.fullmatch(cell.number_format)
    ):
        return f"{value:0{len(cell.number_format)}d}"
    return value
