"""Readers: a file of any supported format to one table of raw values, and finding its columns."""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodcat_index.cards.cleaning import join_values
from prodcat_index.cards.table import Table
from prodcat_index.errors import CatalogueError

if TYPE_CHECKING:
    import pandas as pd


BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    # Before UTF-16, whose mark it begins with.
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
CYRILLIC_ENCODINGS = ["cp1251", "koi8_r", "cp866"]
SAMPLE = 100_000
# A text has a stray NUL at most; UTF-16 read as bytes has one every second character.
BINARY_SHARE = 0.1
DELIMITERS = (",", ";", "\t", "|")
MAX_FIELD = 2**31 - 1

KAZANEXPRESS_COLUMNS = frozenset({"product_id", "text_fields"})
KAZANEXPRESS_TEXTS = (
    *("title", "description", "attributes"),
    *("custom_characteristics", "defined_characteristics", "filters"),
)


def read_table(path: Path, encoding: str | None = None) -> Table:
    """Read a catalogue file; raises CatalogueError if that fails or there are no rows."""
    if not path.is_file():
        raise CatalogueError(_no_such_file(path))
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise CatalogueError(f"{path} is of no known format: give one of {', '.join(READERS)}.")
    try:
        if not path.stat().st_size:
            raise CatalogueError(f"{path} is empty.")
        table = Table(reader(path, encoding))
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


def read_text(path: Path, encoding: str | None) -> str:
    """Read a text file whole; by default its byte order mark decides, or it is UTF-8."""
    content = path.read_bytes()
    marked = (name for mark, name in BYTE_ORDER_MARKS.items() if content.startswith(mark))
    encoding = encoding or next(marked, "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeError as error:
        line = content.count(b"\n", 0, getattr(error, "start", 0)) + 1
        raise CatalogueError(
            f"{path} is not {encoding} (line {line}); {_encoding_hint(content)}."
        ) from None
    except (LookupError, ValueError):
        raise CatalogueError(
            f"There is no encoding {encoding!r}: give --encoding a name such as utf-8 or cp1251."
        ) from None
    if text[:SAMPLE].count("\0") > BINARY_SHARE * len(text[:SAMPLE]):
        raise CatalogueError(
            f"{path} holds no readable text: it is a binary file, or UTF-16 without its mark "
            "(then add --encoding utf-16-le)."
        )
    text = text.lstrip("\ufeff").replace("\0", "")
    if not text.strip():
        raise CatalogueError(f"{path} is empty.")
    return text


def _encoding_hint(content: bytes) -> str:
    from charset_normalizer import from_bytes

    # Among all encodings it takes a short list of Russian titles for Japanese.
    best = from_bytes(content[:SAMPLE], cp_isolation=CYRILLIC_ENCODINGS).best()
    if best is None:
        return "name its encoding, for instance --encoding cp1251 or --encoding latin-1"
    guess = best.encoding.replace("_", "-")
    return f"it looks like {guess}: add --encoding {guess}"


def _read_delimited(path: Path, encoding: str | None) -> pd.DataFrame:
    import pandas as pd

    # Not pandas.read_csv: it fills up short lines and reads on after an open quote.
    text = read_text(path, encoding)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(text), strict=True)
    rows: list[list[str]] = []
    line = 1
    usual_limit = csv.field_size_limit(MAX_FIELD)
    try:
        for record in reader:
            if record and rows and len(record) != len(rows[0]):
                raise CatalogueError(
                    f"{path}, line {line}: {len(record)} fields where the header has "
                    f"{len(rows[0])}. Put a field with delimiters in it between quotes, or add "
                    "what is missing."
                )
            if record:
                rows.append(record)
            line = reader.line_num + 1
    except csv.Error as error:
        cause = "a quote is never closed" if "end of data" in str(error) else str(error)
        raise CatalogueError(
            f"{path}, record at line {line}: {cause}. "
            'Put a field with quotes in it between quotes and double those inside: "3"" pipe".'
        ) from None
    finally:
        csv.field_size_limit(usual_limit)
    table: pd.DataFrame = pd.DataFrame(rows[1:], columns=rows[0])
    return table


def _delimiter(text: str) -> str:
    """Return the delimiter that cuts the header into the most names (csv.Sniffer guesses worse)."""
    header = re.findall(r"[^\r\n]+", text[:SAMPLE])[:1]
    return max(DELIMITERS, key=lambda mark: len(next(csv.reader(header, delimiter=mark))))


def _read_json_lines(path: Path, encoding: str | None) -> pd.DataFrame:
    import pandas as pd

    # Not str.splitlines, which also splits at the odd line marks that a JSON text may hold.
    lines = enumerate(read_text(path, encoding).split("\n"), start=1)
    way_out = 'each line must be one object such as {"id": "1", "title": "…"}'
    objects = [
        _parse_object(line, f"{path}, line {number}", way_out)
        for number, line in lines
        if line.strip()
    ]
    # As objects, or a whole number beside an absent one would become a fraction.
    table: pd.DataFrame = pd.DataFrame(objects, dtype=object)
    return table


def _parse_object(text: str, where: str, way_out: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CatalogueError(f"{where} is not JSON ({error}): {way_out}.") from None
    if not isinstance(value, dict):
        raise CatalogueError(f"{where} is JSON, but no object: {way_out}.")
    return value


def _read_parquet(path: Path, encoding: str | None) -> pd.DataFrame:
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

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


def expand_kazanexpress(table: pd.DataFrame) -> pd.DataFrame:
    """Return a KazanExpress table with one column a text of ``text_fields``; others unchanged."""
    import pandas as pd

    if not set(table.columns) >= KAZANEXPRESS_COLUMNS:
        return table
    parsed = []
    for product, fields in zip(table["product_id"], table["text_fields"], strict=True):
        if isinstance(fields, str) and fields.strip():
            where = f"text_fields of product {product}"
            parsed.append(_parse_object(fields, where, "correct or remove this row"))
        else:
            parsed.append(fields if isinstance(fields, dict) else {})
    columns = {name: [join_values(f.get(name)) for f in parsed] for name in KAZANEXPRESS_TEXTS}
    texts = pd.DataFrame(columns, index=table.index, dtype=object)
    rest = table.drop(columns=["text_fields", *KAZANEXPRESS_TEXTS], errors="ignore")
    expanded: pd.DataFrame = pd.concat([rest, texts], axis=1)
    return expanded
