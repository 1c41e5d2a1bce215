"""Excel workbooks (.xlsx), read a row at a time."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodcat_index.cards.sources import max_unpacked, too_much
from prodcat_index.cards.table import Table, frame_of_rows
from prodcat_index.cards.text_files import ABOVE, SAMPLE_LINES, find_header
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import name_findings

if TYPE_CHECKING:
    from openpyxl import Workbook

OTHER_SHEETS = "sheets are not read (only the first one with rows is)"
BEYOND = "rows have cells to the right of the header (not read)"
MAX_ROWS = 2**20
MAX_CELLS = 50_000_000
# What a cell takes in memory, as a multiple of its part in the file.
CELL_SIZE = 4


def read_workbook(path: Path) -> Table:
    """Read the first sheet with rows of a workbook; raises CatalogueError if that fails."""
    import warnings

    from openpyxl import load_workbook

    try:
        limit = max_unpacked(path) // CELL_SIZE
        with zipfile.ZipFile(path) as packed:
            if sum(part.file_size for part in packed.infolist()) > limit:
                raise too_much(path, limit)
        with warnings.catch_warnings():
            # About styles and checks of values that are not read.
            warnings.simplefilter("ignore")
            book = load_workbook(path, read_only=True, data_only=True)
            try:
                return _read_book(book)
            finally:
                book.close()
    except (CatalogueError, OSError):
        raise
    # A damaged part raises errors of almost any class.
    except Exception as error:
        raise CatalogueError(
            f"{path} is no readable Excel workbook ({error}): save it again as .xlsx or as CSV."
        ) from None


def _read_book(book: Workbook) -> Table:
    sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
    for sheet in sheets:
        # What a sheet says of its size is often wrong.
        sheet.reset_dimensions()
        rows = _rows(sheet.iter_rows(values_only=True))
        sample = list(islice(rows, SAMPLE_LINES))
        if sample:
            break
    else:
        raise CatalogueError("it has no rows in a visible sheet")
    texts = [["" if cell is None else str(cell) for cell in row] for _, row in sample]
    above = find_header(texts)
    header = texts[above]
    width = len(header)
    beyond: list[str] = []

    def cells_under_header() -> Iterator[tuple[Any, ...]]:
        for count, (row, cells) in enumerate(chain(sample[above + 1 :], rows), start=1):
            if count * width > MAX_CELLS:
                raise CatalogueError(f"it has more than {MAX_CELLS // 10**6} million cells")
            if len(cells) > width:
                beyond.append(f"row {row}")
            yield (*cells, *[None] * (width - len(cells)))[:width]

    frame = frame_of_rows(cells_under_header(), header)
    found = {
        ABOVE: [" ".join(filter(None, row)) for row in texts[:above]],
        BEYOND: beyond,
        OTHER_SHEETS: [other.title for other in sheets[sheets.index(sheet) + 1 :]],
    }
    return Table(frame, findings=name_findings(found), format="Excel workbook")


def _rows(rows: Iterator[tuple[Any, ...]]) -> Iterator[tuple[int, tuple[Any, ...]]]:
    """Yield the rows that are not empty, up to their last value, with their numbers."""
    for number, row in enumerate(islice(rows, MAX_ROWS), start=1):
        filled = [n for n, cell in enumerate(row, start=1) if cell not in (None, "")]
        if filled:
            yield number, row[: filled[-1]]
