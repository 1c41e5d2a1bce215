"""Parquet, as a stranger may have written it: within limits, without metadata of other programs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodcat_index.cards.sources import max_unpacked, unpacks_to_too_much
from prodcat_index.cards.table import Table, name_rows
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import Finding, name_findings

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    from prodcat_index.types import Int64Array

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


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Raise CatalogueError for a file that cannot be read as Parquet."""
    from pyarrow import ArrowException

    # Arrow raises errors of almost any class on damaged files.
    try:
        yield
    except CatalogueError:
        raise
    except (ArrowException, ArithmeticError, LookupError, OSError, TypeError, ValueError) as error:
        if getattr(error, "strerror", None):  # of the disk, not of Arrow
            raise
        cause = str(error).partition("\n")[0]
        raise CatalogueError(f"{path} is no readable Parquet file: {cause}") from None


def read_arrow(
    path: Path, rows: Int64Array | None, columns: Sequence[str] | None, first: int
) -> tuple[pa.Table, tuple[Finding, ...]]:
    """Read some rising rows and some columns, by default all; people call the first row `first`.

    Pictures are written to a folder beside the file.
    """
    from pyarrow.parquet import ParquetFile

    # Not pandas.read_parquet: it adds columns for folders named like "category=lamps" in the path.
    with ParquetFile(path) as file:
        table, findings = _read_pictures(file, path, rows, columns, first)
    classes = _class_names(table.schema.metadata or {})
    table = table.replace_schema_metadata(None)
    names = enumerate(table.column_names)
    table = table.select([n for n, name in names if not INDEX_COLUMN.fullmatch(name)])
    return _with_names(table, classes), findings


def check_size(path: Path) -> None:
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
        raise unpacks_to_too_much(path, limit)
    with ParquetFile(path, read_dictionary=texts) as file:
        size = 0
        for _, batch in _batches(file, FEW_ROWS if is_nested else ROWS_AT_ONCE):
            size += sum(map(unpacked_bytes, batch.columns))
            if size > limit:
                raise unpacks_to_too_much(path, limit)


def unpacked_bytes(array: pa.Array) -> int:
    """Return how many bytes an array takes, a dictionary counted as often as it is named."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_dictionary(array.type):
        lengths = pc.binary_length(array.dictionary.cast(pa.large_binary()))
        return pc.sum(lengths.take(array.indices)).as_py() or 0
    if pa.types.is_nested(array.type):
        parts = array.flatten()
        return sum(map(unpacked_bytes, parts if isinstance(parts, list) else [parts]))
    return array.nbytes


def _class_names(metadata: Mapping[bytes, bytes]) -> dict[str, list[str]]:
    """Return the names of the numbers of each column, which Hugging Face keeps beside them."""
    try:
        features = json.loads(metadata[b"huggingface"])["info"]["features"]
        named = {column: each.get("names") for column, each in features.items()}
    except (AttributeError, KeyError, RecursionError, TypeError, ValueError):
        return {}
    return {
        column: names
        for column, names in named.items()
        if isinstance(names, list) and all(isinstance(name, str) for name in names)
    }


def _with_names(table: pa.Table, classes: Mapping[str, list[str]]) -> pa.Table:
    """Replace the numbers of classes by their names."""
    import pyarrow as pa

    for n, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if name in classes and pa.types.is_integer(column.type):
            known = dict(enumerate(classes[name]))
            named = pa.array(map(known.get, column.to_pylist()), pa.string())
            table = table.set_column(n, name, named)
    return table


def to_table(
    table: pa.Table, findings: Sequence[Finding], numbers: Sequence[int], **more: Any
) -> Table:
    """Return a table of Arrow with valid texts; `numbers` are those of its rows, from 1."""
    import pyarrow as pa

    noticed = list(findings)
    for n, (name, column) in enumerate(zip(table.column_names, table.columns, strict=True)):
        if pa.types.is_string(column.type) or pa.types.is_large_string(column.type):
            texts, is_replaced = _valid_texts(column)
            if any(is_replaced):
                table = table.set_column(n, name, pa.array(texts, pa.string()))
                noticed.append(Finding(REPLACED, tuple(name_rows(is_replaced, numbers))))
    frame: pd.DataFrame = table.to_pandas(ignore_metadata=True)
    return Table(frame, findings=tuple(noticed), format="Parquet", rows=tuple(numbers), **more)


def _valid_texts(column: pa.ChunkedArray) -> tuple[list[str | None], list[bool]]:
    """Return texts without wrong bytes, and mark those that had some; none where all are valid."""
    import pyarrow as pa

    raw = column.cast(pa.large_binary())
    try:
        raw.cast(pa.large_string())
    except pa.ArrowInvalid:
        values = raw.to_pylist()
        texts = [None if value is None else value.decode("utf-8", "replace") for value in values]
        pairs = zip(values, texts, strict=True)
        return texts, [text is not None and text.encode() != value for value, text in pairs]
    return [], []


def _read_pictures(
    file: ParquetFile,
    path: Path,
    rows: Int64Array | None,
    columns: Sequence[str] | None,
    first: int,
) -> tuple[pa.Table, tuple[Finding, ...]]:
    """Read the table a few rows at a time where it has pictures, which become names of files."""
    import pyarrow as pa

    schema = file.schema_arrow
    if columns is not None:
        schema = pa.schema([schema.field(name) for name in columns], schema.metadata)
    undecided = {n for n, field in enumerate(schema) if _may_be_picture(field.type)}
    pictured: set[int] = set()
    for _, batch in _batches(file, FEW_ROWS, rows, columns) if undecided else ():
        for n in list(undecided):
            values = (_first_picture(value.as_py()) for value in batch.column(n))
            if found := next(filter(None, values), None):
                undecided.remove(n)
                pictured |= {n} if isinstance(found, dict) or _ending(found) else set()
        if not undecided:
            break
    if not pictured:
        if rows is None and columns is None:
            return file.read(use_pandas_metadata=False), ()
        size = FEW_ROWS if any(pa.types.is_nested(field.type) for field in schema) else ROWS_AT_ONCE
        batches = [batch for _, batch in _batches(file, size, rows, columns)]
        whole = pa.Table.from_batches(batches, schema.remove_metadata())
        return whole.replace_schema_metadata(schema.metadata), ()
    writer = _Writer(path)
    parts = []
    for start, batch in _batches(file, FEW_ROWS, rows, columns):
        arrays = [
            pa.array(writer.write(column, first + start), pa.string()) if n in pictured else column
            for n, column in enumerate(batch.columns)
        ]
        parts.append(pa.Table.from_arrays(arrays, names=batch.schema.names))
    table = pa.concat_tables(parts).replace_schema_metadata(schema.metadata)
    return table, writer.findings()


def _batches(
    file: ParquetFile,
    size: int,
    rows: Int64Array | None = None,
    columns: Sequence[str] | None = None,
) -> Iterator[tuple[int, pa.RecordBatch]]:
    """Yield the first row's number from 0, and rows without a gap, at most `size` of one group.

    Arrow does not join nested values of several groups.
    """
    import numpy as np

    start = 0
    for group in range(file.num_row_groups):
        end = start + file.metadata.row_group(group).num_rows
        wanted = np.arange(start, end)
        if rows is not None:
            wanted = rows[slice(*np.searchsorted(rows, (start, end)))]
        if not len(wanted):
            start = end
            continue
        for batch in file.iter_batches(size, row_groups=[group], columns=columns):
            low, high = np.searchsorted(wanted, (start, start + len(batch)))
            own = wanted[low:high]
            for run in np.split(own, np.flatnonzero(np.diff(own) > 1) + 1) if len(own) else ():
                yield int(run[0]), batch.slice(int(run[0]) - start, len(run))
            start += len(batch)
            if high == len(wanted):
                break
        start = end


def _may_be_picture(kind: pa.DataType) -> bool:
    """Check for pictures as ``{bytes, path}``, as Hugging Face has them, plain, or lists."""
    import pyarrow as pa

    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        kind = kind.value_type
    if pa.types.is_struct(kind):
        return {"bytes", "path"} == {field.name for field in kind}
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _first_picture(value: Any) -> Any:
    return next(filter(None, value), None) if isinstance(value, list) else value


class _Writer:
    """Writes each picture under its content hash, into a folder beside the file."""

    def __init__(self, path: Path) -> None:
        self._folder = path.with_name(f"{path.stem}-pictures")
        self._unwritten: list[str] = []
        self._unknown: list[str] = []
        self._reason = ""

    def write(self, column: pa.Array, first: int) -> list[str]:
        """Return the paths beside the file."""
        return [self._write(row, value) for row, value in enumerate(column, start=first)]

    def _write(self, row: int, value: pa.Scalar) -> str:
        picture = _first_picture(value.as_py()) or {}
        if isinstance(picture, bytes):
            picture = {"bytes": picture}
        content, name = picture.get("bytes"), picture.get("path") or ""
        if not content:
            return name
        ending = _ending(content)
        name = f"{self._folder.name}/{hashlib.sha256(content).hexdigest()[:32]}{ending}"
        if not ending:
            self._unknown.append(f"row {row}")
            return name
        try:
            _write_once(self._folder.parent / name, content)
        except OSError as error:
            self._reason = error.strerror or str(error)
            self._unwritten.append(f"row {row}")
        return name

    def findings(self) -> tuple[Finding, ...]:
        unwritten = UNWRITTEN.format(self._folder, self._reason)
        return name_findings({unwritten: self._unwritten, NO_PICTURE: self._unknown})


def _write_once(file: Path, content: bytes) -> None:
    if not file.is_file():
        file.parent.mkdir(exist_ok=True)
        unfinished = file.with_name(f".{file.name}.new")
        unfinished.write_bytes(content)
        unfinished.replace(file)


def _ending(content: bytes) -> str:
    endings = (end for mark, end in PICTURE_ENDINGS.items() if content.startswith(mark))
    return next(endings, "")
