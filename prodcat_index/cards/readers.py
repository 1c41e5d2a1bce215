"""Catalogue files of every format to one table of raw values."""

from __future__ import annotations

import csv
import difflib
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodcat_index.cards.decoding import read_text
from prodcat_index.errors import CatalogueError

if TYPE_CHECKING:
    import pandas as pd

DELIMITERS = (",", ";", "\t", "|")
MAX_FIELD = 2**31 - 1
MAX_HEADER = 100_000


def read_table(path: Path, encoding: str | None) -> pd.DataFrame:
    """Read a catalogue file as a table of raw values.

    Parameters
    ----------
    path
        A file that ends in one of the names of ``READERS``.
    encoding
        Encoding of a text file; found by itself when not given.

    Returns
    -------
    pandas.DataFrame
        At least one row. CSV values are ``str``, JSON values Python objects, Parquet values of
        the file's types.

    Raises
    ------
    CatalogueError
        When the file is missing, of another format, damaged or empty; names the line.
    """
    reader = READERS.get(path.suffix.lower())
    if not path.is_file():
        raise CatalogueError(_no_such_file(path))
    if reader is None:
        raise CatalogueError(f"{path} is of no known format: give one of {', '.join(READERS)}.")
    try:
        table = reader(path, encoding)
    except OSError as error:
        raise CatalogueError(f"{path} cannot be read: {error.strerror or error}.") from None
    if not len(table):
        raise CatalogueError(f"{path} has columns but no cards under them.")
    return table


def _no_such_file(path: Path) -> str:
    if path.is_dir():
        return f"{path} is a folder: give the catalogue file in it, one of {', '.join(READERS)}."
    if not path.parent.is_dir():
        return f"There is no file {path}: the folder {path.parent} does not exist."
    beside = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    close = difflib.get_close_matches(path.name, beside, n=1)
    return f"There is no file {path}" + (f"; did you mean {close[0]}?" if close else ".")


def _read_delimited(path: Path, encoding: str | None) -> pd.DataFrame:
    import pandas as pd

    text = _some_text(path, encoding)
    usual_limit = csv.field_size_limit(MAX_FIELD)
    try:
        records = _records(text, path)
        _, header = next(records)
        rows = [_checked(record, len(header), line, path) for line, record in records]
    finally:
        csv.field_size_limit(usual_limit)
    table: pd.DataFrame = pd.DataFrame(rows, columns=header)
    return table


def _some_text(path: Path, encoding: str | None) -> str:
    text = read_text(path, encoding)
    if not text.strip():
        raise CatalogueError(f"{path} is empty.")
    return text


def _records(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield the number of the first line and the fields of every record that is not blank."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    line = 1
    try:
        for record in reader:
            if record:
                yield line, record
            line = reader.line_num + 1
    except csv.Error as error:
        cause = "a quote is never closed" if "end of data" in str(error) else str(error)
        raise CatalogueError(
            f"{path}, record at line {line}: {cause}. "
            'Put a field with quotes in it between quotes and double those inside: "3"" pipe".'
        ) from None


def _delimiter(text: str) -> str:
    """Return the delimiter that cuts the header into the most names (csv.Sniffer guesses worse)."""
    header = re.findall(r"[^\r\n]+", text[:MAX_HEADER])[:1]
    return max(DELIMITERS, key=lambda mark: len(next(csv.reader(header, delimiter=mark))))


def _checked(record: list[str], width: int, line: int, path: Path) -> list[str]:
    if len(record) != width:
        raise CatalogueError(
            f"{path}, line {line}: {len(record)} fields where the header has {width}. "
            "Put a field with delimiters in it between quotes, or add what is missing."
        )
    return record


def _read_json_lines(path: Path, encoding: str | None) -> pd.DataFrame:
    import pandas as pd

    lines = enumerate(_some_text(path, encoding).split("\n"), start=1)
    objects = [_json_object(line, number, path) for number, line in lines if line.strip()]
    # As objects, or a whole number beside an absent one would become a fraction.
    table: pd.DataFrame = pd.DataFrame(objects, dtype=object)
    return table


def _json_object(line: str, number: int, path: Path) -> dict[str, Any]:
    way_out = 'each line must be one object such as {"id": "1", "title": "…"}'
    try:
        value = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CatalogueError(f"{path}, line {number} is not JSON ({error}): {way_out}.") from None
    if not isinstance(value, dict):
        raise CatalogueError(f"{path}, line {number} is JSON, but no object: {way_out}.")
    return value


def _read_parquet(path: Path, encoding: str | None) -> pd.DataFrame:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    if not path.stat().st_size:
        raise CatalogueError(f"{path} is empty.")
    # Not pandas.read_parquet: it adds columns for folders named like "category=lamps" in the path.
    try:
        with ParquetFile(path) as file:
            table: pd.DataFrame = file.read().to_pandas()
            return table
    except (ArrowException, ValueError) as error:
        cause = str(error).partition("\n")[0]
        raise CatalogueError(f"{path} is no readable Parquet file: {cause}") from None


READERS: dict[str, Callable[[Path, str | None], pd.DataFrame]] = {
    ".csv": _read_delimited,
    ".tsv": _read_delimited,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
}
