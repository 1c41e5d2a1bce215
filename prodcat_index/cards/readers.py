"""Readers: a catalogue file of any known format, or what comes on stdin, to one table."""

from __future__ import annotations

import gzip
import io
import zlib
from collections.abc import Callable
from pathlib import Path

from prodcat_index.cards.exports import recognise
from prodcat_index.cards.feeds import read_feed
from prodcat_index.cards.json_files import read_json, read_json_lines
from prodcat_index.cards.parquet_tables import holds_parquet, read_parquet
from prodcat_index.cards.sources import Source, file_source
from prodcat_index.cards.table import Table
from prodcat_index.cards.text_files import read_delimited
from prodcat_index.cards.workbooks import read_workbook
from prodcat_index.errors import CatalogueError, EmptyCatalogueError, did_you_mean
from prodcat_index.findings import name_first

# From a source, its encoding, and whether bad rows are left out.
TEXT_READERS: dict[str, Callable[[Source, str | None, bool], Table]] = {
    **dict.fromkeys((".csv", ".tsv", ".txt"), read_delimited),
    **dict.fromkeys((".jsonl", ".ndjson"), read_json_lines),
    ".json": read_json,
    **dict.fromkeys((".xml", ".yml"), read_feed),
}
FILE_READERS: dict[str, Callable[[Path], Table]] = {
    ".parquet": read_parquet,
    ".xlsx": read_workbook,
}
PACKED = ".gz"
KNOWN = (
    f"give one of {', '.join((*TEXT_READERS, *FILE_READERS))}; a text file may be packed with gzip "
    "(.csv.gz)"
)
INSTEAD = {
    **dict.fromkeys((".xls", ".xlsm", ".xlsb", ".ods", ".numbers"), "save it as .xlsx"),
    **dict.fromkeys((".zip", ".zst", ".bz2", ".xz", ".7z", ".rar", ".tar", ".tgz"), "unpack it"),
}


def read_table(path: Path, encoding: str | None = None, *, skip_bad_rows: bool = False) -> Table:
    """Read a catalogue file; raises CatalogueError if that fails or there are no rows."""
    is_folder = holds_parquet(path)
    if not (is_folder or path.is_file()):
        raise CatalogueError(_no_such_file(path))
    endings = [".parquet"] if is_folder else [ending.lower() for ending in path.suffixes]
    is_packed = endings[-1:] == [PACKED]
    form = "".join(endings[:-1][-1:] if is_packed else endings[-1:])
    try:
        if not (is_folder or path.stat().st_size):
            raise EmptyCatalogueError(f"{path} is empty.")
        if form in FILE_READERS and not is_packed:
            if encoding:
                raise CatalogueError(f"{path} is no text file and has no encoding: leave it out.")
            table = FILE_READERS[form](path)
        elif form in TEXT_READERS:
            table = TEXT_READERS[form](file_source(path), encoding, skip_bad_rows)
        else:
            raise CatalogueError(f"{path} is of no known format: {INSTEAD.get(form, KNOWN)}.")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise CatalogueError(f"{path} cannot be unpacked: {error}.") from None
    except OSError as error:
        raise CatalogueError(f"{path} cannot be read: {error.strerror or error}.") from None
    return _checked(table, str(path))


def read_stdin(
    content: bytes, encoding: str | None = None, *, skip_bad_rows: bool = False
) -> Table:
    """Read what came on stdin: a JSON object, an array, JSON lines, or delimited text."""
    source = Source("stdin", lambda: io.BytesIO(content))
    is_json = content.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n\0")[:1] in (b"{", b"[")
    read = read_json if is_json else read_delimited
    return _checked(read(source, encoding, skip_bad_rows), "stdin")


def is_catalogue_name(text: str) -> bool:
    """Check whether a text ends as the name of a catalogue file does, which is no title."""
    stem = text.lower().removesuffix(PACKED)
    return stem.endswith((*TEXT_READERS, *FILE_READERS))


def _checked(table: Table, name: str) -> Table:
    if not len(table):
        header = name_first([str(column) for column in table.frame.columns])
        what = f"a header ({header}) and no rows" if header else "no cards"
        left = " that can be read" if table.findings else ""
        raise EmptyCatalogueError(f"{name} has {what}{left}.")
    return recognise(table, name)


def _no_such_file(path: Path) -> str:
    if path.is_dir():
        return (
            f"{path} is a folder: give the catalogue file in it, or a folder of .parquet files. "
            f"Of files, {KNOWN}."
        )
    if not path.parent.is_dir():
        return f"There is no file {path}: the folder {path.parent} does not exist."
    beside = [entry.name for entry in path.parent.iterdir() if entry.is_file()]
    return f"There is no file {path}.{did_you_mean(path.name, beside)}"
