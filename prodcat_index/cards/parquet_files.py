"""Parquet, as a stranger may have written it: within limits, without metadata of other programs."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import TYPE_CHECKING

from prodcat_index.cards.sources import max_unpacked, too_much
from prodcat_index.cards.table import Table, name_rows
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import Finding, name_findings

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

ROWS_AT_ONCE = 4_096
# Of rows with lists, which may each be long.
FEW_ROWS = 64
# The index of a pandas table, stored as a column.
INDEX_COLUMN = re.compile(r"__index_level_\d+__")
REPLACED = "rows have a text that is not UTF-8 (\ufffd stands for the wrong bytes)"
UNWRITTEN = "rows have a picture that cannot be written to {} ({})"
NO_PICTURE = "rows have a picture of no known format (not read)"
PICTURE_ENDINGS = {b"\xff\xd8\xff": ".jpg", b"\x89PNG": ".png", b"RIFF": ".webp", b"GIF8": ".gif"}
PICTURE_ENDINGS |= {b"BM": ".bmp", b"II*\0": ".tiff", b"MM\0*": ".tiff"}


def read_parquet(path: Path) -> Table:
    """Read a Parquet file; pictures in it are written to a folder beside it."""
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    # Not pandas.read_parquet: it adds columns for folders named like "category=lamps" in the path.
    # Arrow raises errors of almost any class on damaged files.
    try:
        _check_size(path)
        with ParquetFile(path) as file:
            table = file.read(use_pandas_metadata=False).replace_schema_metadata(None)
        names = enumerate(table.column_names)
        kept = [n for n, name in names if not INDEX_COLUMN.fullmatch(name)]
        return _to_table(table.select(kept), path)
    except CatalogueError:
        raise
    except (ArrowException, ArithmeticError, LookupError, OSError, TypeError, ValueError) as error:
        if getattr(error, "strerror", None):  # of the disk, not of Arrow
            raise
        cause = str(error).partition("\n")[0]
        raise CatalogueError(f"{path} is no readable Parquet file: {cause}") from None


def _check_size(path: Path) -> None:
    """Raise CatalogueError if the values take more memory than a file of this size may.

    One long text that is named in thousands of rows is stored once: the rows are counted first.
    """
    from pyarrow.parquet import ParquetFile

    limit = max_unpacked(path)
    # Not the metadata of columns: what is wrong with them ends the process instead of raising.
    with ParquetFile(path) as file:
        leaves = [file.schema.column(n) for n in range(len(file.schema))]
        groups = [file.metadata.row_group(n) for n in range(file.metadata.num_row_groups)]
    texts = [leaf.path for leaf in leaves if leaf.physical_type == "BYTE_ARRAY"]
    fixed = sum(leaf.length for leaf in leaves if leaf.physical_type == "FIXED_LEN_BYTE_ARRAY")
    is_nested = any(leaf.max_repetition_level for leaf in leaves)
    stored = sum(group.total_byte_size for group in groups)
    if max(fixed * sum(group.num_rows for group in groups), stored) > limit:
        raise too_much(path, limit)
    with ParquetFile(path, read_dictionary=texts) as file:
        size = 0
        for batch in file.iter_batches(FEW_ROWS if is_nested else ROWS_AT_ONCE):
            size += sum(map(_unpacked_bytes, batch.columns))
            if size > limit:
                raise too_much(path, limit)


def _unpacked_bytes(array: pa.Array) -> int:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(array.type):
        lengths = pc.binary_length(array.dictionary.cast(pa.large_binary()))
        return pc.sum(lengths.take(array.indices)).as_py() or 0
    if pa.types.is_nested(array.type):
        parts = array.flatten()
        return sum(map(_unpacked_bytes, parts if isinstance(parts, list) else [parts]))
    return array.nbytes


def _to_table(table: pa.Table, path: Path) -> Table:
    import pyarrow as pa

    findings: list[Finding] = []
    for n, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if _is_picture(column):
            names, found = _write_pictures(column, path)
            table = table.set_column(n, name, pa.array(names))
            findings += found
        elif pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            texts, replaced = _valid_texts(column)
            if replaced:
                table = table.set_column(n, name, pa.array(texts, pa.string()))
                findings.append(Finding(REPLACED, tuple(replaced)))
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    return Table(frame, findings=tuple(findings), format="Parquet")


def _valid_texts(column: pa.ChunkedArray) -> tuple[list[str | None], list[str]]:
    """Return texts without wrong bytes, and name the rows that had some."""
    import pyarrow as pa

    raw = column.cast(pa.large_binary())
    try:
        raw.cast(pa.large_string())
    except pa.ArrowInvalid:
        values = raw.to_pylist()
        texts = [None if value is None else value.decode("utf-8", "replace") for value in values]
        pairs = zip(values, texts, strict=True)
        return texts, name_rows(
            text is not None and text.encode() != value for value, text in pairs
        )
    return [], []


def _is_picture(column: pa.ChunkedArray) -> bool:
    """Check for pictures as Hugging Face stores them, ``{bytes, path}``, or plain bytes of them."""
    import pyarrow as pa

    if pa.types.is_struct(column.type):
        return {"bytes", "path"} == {field.name for field in column.type}
    if not pa.types.is_binary(column.type):
        return False
    first = next((value.as_py() for value in column if value.is_valid), b"")
    return bool(_ending(first))


def _write_pictures(column: pa.ChunkedArray, path: Path) -> tuple[list[str], tuple[Finding, ...]]:
    """Write each picture under its content hash, and return the paths beside the file."""
    folder = path.with_name(f"{path.stem}-pictures")
    names: list[str] = []
    unwritten: list[str] = []
    unknown: list[str] = []
    reason = ""
    for row, value in enumerate(column, start=1):
        picture = value.as_py() or {}
        content, name = (
            (picture, "")
            if isinstance(picture, bytes)
            else (picture.get("bytes"), picture.get("path") or "")
        )
        if content:
            ending = _ending(content)
            name = f"{folder.name}/{hashlib.sha256(content).hexdigest()[:32]}{ending}"
            if not ending:
                unknown.append(f"row {row}")
            else:
                try:
                    _write_once(path.parent / name, content)
                except OSError as error:
                    reason = error.strerror or str(error)
                    unwritten.append(f"row {row}")
        names.append(name)
    return names, name_findings({UNWRITTEN.format(folder, reason): unwritten, NO_PICTURE: unknown})


def _write_once(file: Path, content: bytes) -> None:
    if not file.is_file():
        file.parent.mkdir(exist_ok=True)
        unfinished = file.with_name(f".{file.name}.new")
        unfinished.write_bytes(content)
        unfinished.replace(file)


def _ending(content: bytes) -> str:
    for mark, ending in PICTURE_ENDINGS.items():
        if content.startswith(mark):
            return ending
    return ""
