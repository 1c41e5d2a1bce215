"""Catalogue files of every format to one table of raw values."""

from __future__ import annotations

import codecs
import csv
import difflib
import io
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodcat_index.cards.cleaning import join_values
from prodcat_index.errors import CatalogueError

if TYPE_CHECKING:
    import pandas as pd


BYTE_ORDER_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32",
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
CYRILLIC_ENCODINGS = ("cp1251", "koi8-r", "cp866")
RUSSIAN_WORD = re.compile("[а-яё]{3,}")
HINT = "name its encoding, for instance --encoding cp1251 or --encoding latin-1"
SAMPLE = 100_000
BINARY_SHARE = 0.1


def read_text(path: Path, encoding: str | None) -> str:
    """Read a text file whole."""
    content = path.read_bytes()
    try:
        text = content.decode(encoding or _marked_encoding(content))
    except UnicodeError as error:
        raise CatalogueError(_wrong_encoding(path, content, encoding, error)) from None
    except (LookupError, ValueError):
        raise CatalogueError(
            f"There is no encoding {encoding!r}: give --encoding a name such as utf-8 or cp1251."
        ) from None
    if text[:SAMPLE].count("\0") > BINARY_SHARE * len(text[:SAMPLE]):
        raise CatalogueError(
            f"{path} holds no readable text: it is a binary file, or UTF-16 without its mark "
            "(then add --encoding utf-16-le)."
        )
    return text.lstrip("\ufeff").replace("\0", "")


def _marked_encoding(content: bytes) -> str:
    return next(
        (name for mark, name in BYTE_ORDER_MARKS.items() if content.startswith(mark)), "utf-8"
    )


def _wrong_encoding(path: Path, content: bytes, encoding: str | None, error: UnicodeError) -> str:
    line = content.count(b"\n", 0, getattr(error, "start", 0)) + 1
    guess = _guess_cyrillic(content)
    hint = f"it looks like {guess}: add --encoding {guess}" if guess else HINT
    return f"{path} is not {encoding or _marked_encoding(content)} (line {line}); {hint}."


def _guess_cyrillic(content: bytes) -> str:
    best = max(CYRILLIC_ENCODINGS, key=lambda name: _cyrillic_share(content[:SAMPLE], name))
    return best if _cyrillic_share(content[:SAMPLE], best) > 0.5 else ""


def _cyrillic_share(content: bytes, encoding: str) -> float:
    """Share of small Russian words in what is not ASCII: in a wrong encoding they are capitals."""
    text = content.decode(encoding, "replace")
    foreign = sum(not character.isascii() for character in text)
    return sum(map(len, RUSSIAN_WORD.findall(text))) / max(1, foreign)


MARKS = frozenset({"product_id", "text_fields"})
FIELDS = (
    "title",
    "description",
    "attributes",
    "custom_characteristics",
    "defined_characteristics",
    "filters",
)


def is_kazanexpress(table: pd.DataFrame) -> bool:
    """Tell by its columns whether a table has the KazanExpress layout."""
    return set(table.columns) >= MARKS


def expand_text_fields(table: pd.DataFrame) -> pd.DataFrame:
    """Replace ``text_fields`` by one text column for each of its ``FIELDS``."""
    import pandas as pd

    products = zip(table["product_id"], table["text_fields"], strict=True)
    parsed = [_parse(product, fields) for product, fields in products]
    columns = {name: [join_values(fields.get(name)) for fields in parsed] for name in FIELDS}
    rest = table.drop(columns=["text_fields", *FIELDS], errors="ignore")
    texts = pd.DataFrame(columns, index=table.index, dtype=object)
    expanded: pd.DataFrame = pd.concat([rest, texts], axis=1)
    return expanded


def _parse(product: Any, text_fields: Any) -> dict[str, Any]:
    if isinstance(text_fields, dict):
        return text_fields
    if not isinstance(text_fields, str) or not text_fields.strip():
        return {}
    try:
        fields = json.loads(text_fields)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict):
        raise CatalogueError(
            f"Product {product} has text_fields that are no JSON object: mend or remove this row."
        )
    return fields


DELIMITERS = (",", ";", "\t", "|")
MAX_FIELD = 2**31 - 1
MAX_HEADER = 100_000


def read_table(path: Path, encoding: str | None) -> pd.DataFrame:
    """Read a catalogue file as a table of raw values."""
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
