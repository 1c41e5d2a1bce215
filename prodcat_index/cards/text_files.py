"""Delimited text: CSV and TSV as spreadsheets and shops write them."""

from __future__ import annotations

import csv
import re
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from typing import TYPE_CHECKING

from prodcat_index.cards.roles import is_usual_name
from prodcat_index.cards.sources import DAMAGED, Source, read_lines
from prodcat_index.cards.table import Table, frame_of_rows
from prodcat_index.errors import CatalogueError, EmptyCatalogueError
from prodcat_index.findings import counted, name_findings, name_first

if TYPE_CHECKING:
    import pandas as pd

DELIMITERS = (",", ";", "\t", "|")
FORMATS = {",": "CSV", ";": "CSV", "\t": "TSV", "|": "CSV"}
# What stands for a delimiter in a file of a single column.
NO_DELIMITER = "\x1f"
SEPARATOR_LINE = re.compile(r'"?sep=(.)\1*"?\s*')
SAMPLE_LINES = 200
HEADER_WITHIN = 30
MAX_FIELD = 2**31 - 1
# What closes a quote is looked for no further than this, or the whole file would be in memory.
RECORD_LINES = 10_000
ADVICE = (
    'Put a field with delimiters or quotes in it between quotes and double those inside ("3"" '
    'pipe"), add what is missing, or leave such rows out with --skip-bad-rows.'
)
SKIPPED = "rows have another number of fields than the header (left out)"
EMPTY = "rows are empty (left out)"
ABOVE = "rows are above the header (not read)"
STRAY_QUOTES = "rows have quotes that are never closed or not doubled (read as characters)"
UNSURE_QUOTES = "rows have lines inside quotes that look like rows (is a quote left open?)"
POINT_ZERO = "columns have whole numbers written as 1.0 (read as 1)"
FORMULA = re.compile(r'^="([^"]*)"$')
ESCAPED_QUOTE, ESCAPED = '\\"', re.compile(r'\\(["\\])')
WHOLE = r"-?\d+\.0"


def read_delimited(source: Source, encoding: str | None, skip_bad_rows: bool) -> Table:
    """Read delimited text; the delimiter and the header are found."""
    damaged: list[str] = []
    lines = read_lines(source, encoding, damaged if skip_bad_rows else None)
    sample = list(islice(lines, SAMPLE_LINES))
    declared = SEPARATOR_LINE.fullmatch(sample[0]) if sample else None
    if declared:
        sample[0] = "\n"
    if not any(line.strip() for line in sample):
        raise EmptyCatalogueError(f"{source.name} is empty.")
    usual_limit = csv.field_size_limit(MAX_FIELD)
    try:
        delimiter, above = _find_delimiter(sample, (declared[1],) if declared else DELIMITERS)
        if _has_escapes(sample, delimiter, above):
            sample, lines = list(map(_double_quotes, sample)), map(_double_quotes, lines)
        records = Records(chain(sample, lines), delimiter)
        titles = [" ".join(filter(None, next(records))) for _ in range(above)]
        header = next(records)
        frame = frame_of_rows(records.under(header), header)
    finally:
        csv.field_size_limit(usual_limit)
    ragged = records.ragged
    if ragged and not skip_bad_rows:
        shown = name_first([f"{line}: {count}" for line, count in ragged])
        raise CatalogueError(
            f"{source.name} has {counted(len(ragged), 'rows')} with another number of fields "
            f"than the {len(header)} of the header ({shown}). {ADVICE}"
        )
    frame, converted = _tidied(frame)
    found = {
        ABOVE: [title for title in titles if title],
        SKIPPED: [line for line, _ in ragged],
        EMPTY: records.empty,
        DAMAGED: damaged,
        STRAY_QUOTES: records.stray_quotes,
        UNSURE_QUOTES: records.unsure_quotes,
        POINT_ZERO: converted,
    }
    return Table(frame, findings=name_findings(found), format=FORMATS.get(delimiter, "text"))


class Records(Iterator[list[str]]):
    """The records of delimited text.

    A quote that is not closed as it must be, or whose field would take in whole records of the
    right `width`, is a plain character: read as a quote, it would swallow cards.
    """

    def __init__(self, lines: Iterator[str], delimiter: str) -> None:
        self.width: int | None = None
        self.line = 1
        self.stray_quotes: list[str] = []
        self.unsure_quotes: list[str] = []
        self.ragged: list[tuple[str, int]] = []  # rows of another number of fields
        self.empty: list[str] = []
        self._lines = lines
        self._delimiter = delimiter
        self._returned: deque[str] = deque()
        self._taken: list[str] = []
        mark = re.escape(delimiter)
        self._field = re.compile(rf'(?:"((?:[^"]|"")*)"|([^{mark}]*))({mark}|$)')

    def __next__(self) -> list[str]:
        """Return the next record that is no blank line, and set `line` to its first line."""
        while True:
            self.line += len(self._taken)
            self._taken = []
            first = self._take().rstrip("\r\n")
            if first:
                return self._quoted(first) if '"' in first else first.split(self._delimiter)

    def under(self, header: Sequence[str]) -> Iterator[list[str]]:
        """Yield the rows under a header, as long as it is; the others are noticed."""
        width = self.width = len(header)
        for record in self:
            if len(record) == width and record[0].strip():
                yield record
            elif not any(map(str.strip, record)):
                self.empty.append(f"line {self.line}")
            elif len(record) < width or any(map(str.strip, record[width:])):
                self.ragged.append((f"line {self.line}", len(record)))
            else:
                yield record[:width]

    def _take(self) -> str:
        line = self._returned.popleft() if self._returned else next(self._lines)
        self._taken.append(line)
        return line

    def _quoted(self, first: str) -> list[str]:
        try:
            record = next(csv.reader(self._further(), delimiter=self._delimiter, strict=True))
        except csv.Error:
            record = None
        if record and (self.width is None or (len(self._taken) == 1 and self._fits(record))):
            return record
        alone = self._split(first)
        further = [line for line in self._taken[1:] if line.strip()]
        whole = [fields for line in further if self._fits(fields := self._split(line))]
        swallows = self._fits(alone) and further and len(whole) == len(further)
        if swallows and self._delimiter != "\t":
            swallows = all(_shape(fields[0]) == _shape(alone[0]) for fields in whole)
        is_unsure = len(whole) > 1 and 2 * len(whole) >= len(further)
        if record and self._fits(record) and not swallows:
            if is_unsure:
                self.unsure_quotes.append(f"line {self.line}")
            return record
        # Of a record that cannot be read as it stands, only the first line is taken.
        if record is None or swallows or is_unsure or self._fits(alone):
            self._returned.extendleft(reversed(self._taken[1:]))
            del self._taken[1:]
            self.stray_quotes += [f"line {self.line}"] if self._fits(alone) else []
            return alone
        return record

    def _further(self) -> Iterator[str]:
        yield self._taken[0]
        while len(self._taken) < RECORD_LINES:
            try:
                line = self._take()
            except StopIteration:
                return
            yield line

    def _split(self, line: str) -> list[str]:
        """Split a line where a quote counts only if it closes right before a delimiter."""
        fields = []
        for found in self._field.finditer(line.rstrip("\r\n")):
            quoted, plain, end = found.groups()
            fields.append(plain if quoted is None else quoted.replace('""', '"'))
            if not end:
                break
        # Tabs are no part of a text: a pair of quotes around one belongs to two fields.
        plain = line.rstrip("\r\n").split(self._delimiter)
        is_torn = self._delimiter == "\t" and not self._fits(fields) and self._fits(plain)
        return plain if is_torn else fields

    def _fits(self, record: Sequence[str]) -> bool:
        return self.width is None or len(record) == self.width


def _find_delimiter(sample: Sequence[str], marks: Sequence[str]) -> tuple[str, int]:
    """Return the delimiter and how many records are above the header (csv.Sniffer guesses worse).

    The best has the most usual names; then a header as long as half of the rows, the fewest
    titles above it, the most names.
    """
    best, chosen = (0, False, 0, 0), (NO_DELIMITER, 0)
    for mark in marks:
        rows = list(Records(iter(sample), mark))
        above = find_header(rows)
        header, under = rows[above], rows[above + 1 :]
        fits = 2 * sum(len(row) == len(header) for row in under) >= len(under)
        titles = sum(any(row) for row in rows[:above])
        rank = (sum(map(is_usual_name, header)), fits, -titles, len(header))
        if len(header) > 1 and (chosen[0] == NO_DELIMITER or rank > best):
            best, chosen = rank, (mark, above)
    return chosen


def _has_escapes(sample: Sequence[str], delimiter: str, above: int) -> bool:
    """Check whether quotes that are escaped by a backslash make more of the rows regular."""

    def regularity(lines: Iterator[str]) -> tuple[int, int]:
        records = Records(lines, delimiter)
        records.width = len(list(islice(records, above + 1))[-1])
        fitting = sum(len(record) == records.width for record in records)
        return fitting, -len(records.stray_quotes)

    if not any(ESCAPED_QUOTE in line for line in sample):
        return False
    return regularity(map(_double_quotes, sample)) > regularity(iter(sample))


def _double_quotes(line: str) -> str:
    r"""Write \" as "", and \\ as one backslash."""
    return ESCAPED.sub(lambda found: '""' if found[1] == '"' else found[1], line)


def find_header(rows: Sequence[Sequence[str]]) -> int:
    """Return how many rows are above the header: the first that has mostly usual names.

    Or that is more than half as full as the fullest of the usual length.
    """
    filled = [sum(bool(cell.strip()) for cell in row) for row in rows]
    [(length, _)] = Counter(map(len, rows)).most_common(1)
    fullest = max(count for count, row in zip(filled, rows, strict=True) if len(row) == length)
    for number, row in enumerate(rows[:HEADER_WITHIN]):
        usual = sum(map(is_usual_name, row))
        # The first name of a table with an index is blank.
        is_indexed = filled[number] == len(row) - 1 and not row[0].strip() and len(row) > 1
        if 2 * filled[number] > fullest or 2 * usual > filled[number] or is_indexed:
            return number
    return 0


def _tidied(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the columns as they were meant, and those of whole numbers that were written as 1.0.

    A column with neither a name nor a value is made by delimiters at the end of lines.
    """
    kept, converted = [], []
    for n, name in enumerate(frame.columns):
        column = frame.iloc[:, n]
        if not str(name).strip() and not column.str.strip().any():
            continue
        kept.append(n)
        if column.str.startswith('="').any():
            # It keeps a spreadsheet from making a number of 00123.
            column = column.str.replace(FORMULA, r"\1", regex=True)
            frame.isetitem(n, column.array)
        filled = column[column != ""]
        is_likely = len(filled) and re.fullmatch(WHOLE, filled.iloc[0])
        # Where all values are so, they were ids or keys with a gap.
        if is_likely and filled.str.fullmatch(WHOLE).all():
            frame.isetitem(n, column.str.removesuffix(".0").array)
            converted.append(str(name))
    return frame.iloc[:, kept], converted


def _shape(text: str) -> str:
    """Return a text with 9 for every number and a for every word."""
    return re.sub(r"[^\W\d_]+", "a", re.sub(r"\d+", "9", text))
