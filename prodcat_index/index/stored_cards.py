"""The cards of an index in files: a Parquet file for each delivery, and their labels beside them.

Of a file a few cards are read without the others.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from prodcat_index import files
from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.cards.pieces import LABELLING, CodedLabels, Pieces, gather
from prodcat_index.errors import IndexFolderError
from prodcat_index.types import Int64Array

if TYPE_CHECKING:
    import pandas as pd

    from prodcat_index.index.folder import OpenIndex

# To read one card is to read its group: 0.4 ms a column for so many titles.
ROWS_IN_GROUP = 1000
# What a column may unpack to, far above what 20,000 characters of every card are.
MOST_BYTES, MOST_BYTES_OF_A_CARD = 2**28, 2**17


@dataclass(frozen=True, eq=False)
class StoredCards:
    """The cards of one file, which is read when they are needed."""

    content: memoryview
    path: Path  # of the file, for people
    count: int  # of cards
    expected: frozenset[str]  # columns that must be there
    image_root: Path

    @cached_property
    def _file(self) -> Any:
        import pyarrow as pa
        import pyarrow.parquet as pq

        with self._checked():
            content = pa.BufferReader(self.content)
            file = pq.ParquetFile(content, page_checksum_verification=True)
            names = file.schema_arrow.names
            if file.metadata.num_rows != self.count or not self.expected <= set(names):
                raise self._damaged("its rows or columns are not those of the manifest")
            if len(set(names)) < len(names):
                raise self._damaged("two columns have the same name")
            return file

    @contextmanager
    def _checked(self) -> Iterator[None]:
        try:
            yield
        except IndexFolderError:
            raise
        except Exception as error:  # of almost any class, for a damaged or hostile file
            raise self._damaged(f"it cannot be read: {error}") from error

    def _damaged(self, what: str) -> IndexFolderError:
        return files.damaged_file(self.path, what)

    @property
    def schema(self) -> Any:
        """Columns and their types, of Arrow."""
        return self._file.schema_arrow

    @property
    def names(self) -> Sequence[str]:
        """Columns, in their order."""
        names: list[str] = self.schema.names
        return names

    def __len__(self) -> int:
        """Return the number of cards, without a look at the file."""
        return self.count

    def read(self, name: str, rows: Int64Array | None = None) -> Sequence[Any]:
        """Return a column of some cards, by default of all."""
        with self._checked():
            if rows is None:
                values = _values(self._column(name), self.count)
            else:
                values = self._some(name, rows)
            if name == "id" and rows is None and len(set(values)) < len(values):
                raise self._damaged("two cards have the same id")
            if name == IMAGE:
                return [_picture_path(self.image_root, str(value)) for value in values]
            return values

    def _column(self, name: str) -> Any:
        import pyarrow as pa

        chunks: list[Any] = []
        size = 0
        for number in range(self._groups):
            part = self._group(name, number)
            chunks += part.chunks
            size += part.nbytes
            if size > _most_bytes(self.count):
                raise ValueError(f"{name} takes more memory than texts of so many cards")
        # Without cards there are no groups, and the column has a type all the same.
        return pa.chunked_array(chunks, self._file.schema_arrow.field(name).type)

    def _group(self, name: str, number: int) -> Any:
        """Read a column of a group, unless a long text that many cards share fills the memory."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        group = self._file.metadata.row_group(number)
        limit = _most_bytes(group.num_rows)
        if pa.types.is_nested(self._file.schema_arrow.field(name).type):
            raise ValueError(f"{name} is no column of texts or numbers")
        if group.num_rows * group.total_byte_size > limit:
            # With this comes the library of tables, which is not needed otherwise.
            from prodcat_index.cards.parquet_files import unpacked_bytes

            content = pa.BufferReader(self.content)
            once = pq.ParquetFile(content, read_dictionary=[name]).read_row_group(number, [name])
            if sum(map(unpacked_bytes, once.column(0).chunks)) > limit:
                raise ValueError(f"{name} takes more memory than texts of so many cards")
        return self._file.read_row_group(number, [name], use_threads=False).column(0)

    def _some(self, name: str, rows: Int64Array) -> Sequence[Any]:
        sizes = [self._file.metadata.row_group(n).num_rows for n in range(self._groups)]
        edges = np.cumsum([0, *sizes])
        if 2 * len(np.unique(np.searchsorted(edges, rows, side="right"))) > self._groups:
            whole = _values(self._column(name), self.count)
            return [whole[row] for row in rows.tolist()]

        def read(number: int, own: Int64Array) -> Sequence[Any]:
            return _values(self._group(name, number), sizes[number], own)

        return gather(edges, rows, read)

    @property
    def _groups(self) -> int:
        groups: int = self._file.metadata.num_row_groups
        return groups

    def frame(self) -> pd.DataFrame:
        """Return all columns of all cards."""
        import pyarrow as pa

        with self._checked():
            columns = {name: self._column(name) for name in self.names}
            table = pa.table(columns).replace_schema_metadata(self._file.schema_arrow.metadata)
            if len(table) != self.count:
                raise self._damaged(f"it holds {len(table)} cards and not {self.count}")
            table.validate(full=True)
            frame: pd.DataFrame = table.to_pandas()
            pictures = [_picture_path(self.image_root, str(value)) for value in frame[IMAGE]]
            return frame.assign(**{IMAGE: pictures})


def _most_bytes(cards: int) -> int:
    return MOST_BYTES + cards * MOST_BYTES_OF_A_CARD


def _values(column: Any, count: int, rows: Int64Array | None = None) -> Sequence[Any]:
    """Return values of a column of Arrow as pandas would, which is loaded only if need be."""
    import pyarrow as pa

    # What damage to the counts in a file leaves is not always an error.
    if len(column) != count:
        raise ValueError(f"a column has {len(column)} values and not {count}")
    column.validate(full=True)
    is_text = pa.types.is_string(column.type) or pa.types.is_large_string(column.type)
    if is_text and not column.null_count:
        texts: list[str] = column.to_pylist()
    else:
        texts = list(column.to_pandas())
    return texts if rows is None else [texts[row] for row in rows.tolist()]


def _picture_path(image_root: Path, picture: str) -> str:
    # A relative root, such as none, would make the reader's own folder the root.
    if not picture or not image_root.is_absolute():
        return ""
    path = os.path.normpath(image_root / picture)
    return path if Path(path).is_relative_to(image_root) else ""


def common_folder(pictures: list[str]) -> str:
    """Return the folder that all pictures lie under; empty where there is none."""
    folders = {str(Path(picture).parent) for picture in pictures if picture}
    try:
        return os.path.commonpath(folders) if folders else ""
    except ValueError:  # two drives, or relative and absolute paths
        return ""


def picture_folder(catalogue: Catalogue) -> str:
    """Return the folder that all pictures lie under, a piece of the cards at a time."""
    pieces = catalogue.pieces
    if pieces.positions is not None:
        return common_folder(catalogue.values(IMAGE))
    columns = (piece.read(IMAGE) for piece in pieces.stacked if IMAGE in piece.names)
    roots = [common_folder(list(column)) for column in columns if any(column)]
    return common_folder([f"{root}/any" for root in roots]) if all(roots) else ""


def write_cards(catalogue: Catalogue, image_root: str, output: files.Output) -> None:
    """Write cards without their labels; pictures by their paths from a root.

    Cards that all lie in files are read and written one file after the other.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    pieces = catalogue.pieces
    tables: Iterator[pa.Table]
    if pieces.positions is None and all(isinstance(p, StoredCards) for p in pieces.stacked):
        schema = _joined_schema([p.schema for p in pieces.stacked if isinstance(p, StoredCards)])
        tables = (_in_schema(piece.frame(), schema) for piece in pieces.stacked)
    else:
        cards = catalogue.cards.drop(columns=[*LABELLING], errors="ignore")
        # Parquet has one type a column; what the reader of a catalogue left as objects is text.
        loose = [column for column in cards.columns if cards[column].dtype == object]
        texts = {column: [as_text(value) for value in cards[column]] for column in loose}
        table = pa.Table.from_pandas(cards.assign(**texts), preserve_index=False)
        schema, tables = table.schema, iter([table])
    # A few cards are read without the digest of the whole file.
    options: dict[str, Any] = {"compression": "zstd", "write_page_checksum": True}
    with pq.ParquetWriter(output, schema, **options) as writer:
        for table in tables:
            place = table.column_names.index(IMAGE)
            pictures = table.column(IMAGE).to_pylist()
            if image_root:
                pictures = [os.path.relpath(p, image_root) if p else "" for p in pictures]
            column = pa.array(pictures, schema.field(IMAGE).type)
            writer.write_table(table.set_column(place, schema.field(IMAGE), column), ROWS_IN_GROUP)


def _joined_schema(schemas: Sequence[Any]) -> Any:
    """Return the columns of several files: of a type that holds the values of all, or text."""
    import pyarrow as pa

    if all(schema.equals(schemas[0], check_metadata=False) for schema in schemas):
        return schemas[0]
    kinds: dict[str, Any] = {}
    for name, kind in ((f.name, f.type) for schema in schemas for f in schema):
        kinds[name] = _joined_kind(kinds.get(name, kind), kind)
    return pa.schema([(name, kind) for name, kind in kinds.items() if name not in LABELLING])


def _joined_kind(one: Any, other: Any) -> Any:
    import pyarrow as pa

    if one == other:
        return one
    pair = [pa.schema([("", kind)]) for kind in (one, other)]
    try:
        return pa.unify_schemas(pair, promote_options="permissive").field(0).type
    except pa.ArrowException:
        return pa.large_string()


def _in_schema(cards: pd.DataFrame, schema: Any) -> Any:
    """Return cards as a table with these columns; what they lack is missing, or no text."""
    import pyarrow as pa

    def column(field: Any) -> Any:
        is_text = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
        if field.name not in cards:
            return pa.array([""] * len(cards) if is_text else [None] * len(cards), field.type)
        values = cards[field.name]
        if is_text:
            values = [as_text(value) for value in values]
        return pa.array(values, field.type)

    return pa.Table.from_arrays([column(field) for field in schema], schema=schema)


def as_text(value: Any) -> str:
    """Return a value as a text that can be stored."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    # Half a surrogate pair, which JSON lets through, is no text.
    return text.encode("utf-8", "replace").decode("utf-8")


def coded_labels(catalogue: Catalogue) -> CodedLabels:
    """Return the labels of cards as they are stored."""
    labels = catalogue.coded_labels.compacted()
    pairs = [(as_text(category), as_text(key)) for category, key in labels.pairs]
    return CodedLabels(tuple(pairs), labels.codes)


def read_cards(index: OpenIndex, positions: Int64Array | None, image_root: Path) -> Catalogue:
    """Return the cards of an index, to be read when they are needed."""
    manifest = index.manifest
    expected = frozenset({"id", "group", IMAGE, *manifest.text_modalities})
    if manifest.stored is None:
        expected |= frozenset(LABELLING)
    pieces = tuple(
        StoredCards(index.contents[path], index.folder / path, count, expected, image_root)
        for path, count in manifest.cards_files
    )
    return Catalogue.of_pieces(
        Pieces(pieces, positions, _labels(index)),
        manifest.text_modalities,
        source=str(index.folder),
        columns=manifest.columns,
        category_separator=manifest.category_separator,
    )


def _labels(index: OpenIndex) -> CodedLabels | None:
    stored = index.manifest.stored
    if stored is None:
        return None
    pairs = index.json(stored.categories)
    is_right = isinstance(pairs, list) and all(
        isinstance(pair, list) and len(pair) == 2 and all(isinstance(name, str) for name in pair)
        for pair in pairs
    )
    if not is_right:
        raise index.damaged(stored.categories, "it is no list of categories and their keys")
    codes = index.array(stored.codes, "int32", (index.manifest.cards,))
    if len(codes) and not 0 <= codes.min() <= codes.max() < len(pairs):
        raise index.damaged(stored.codes, "it names categories that are not there")
    labels = CodedLabels(tuple((category, key) for category, key in pairs), codes)
    counts = np.bincount(labels.codes, minlength=len(labels.pairs))
    used = [(category, n) for (category, _), n in zip(labels.pairs, counts.tolist(), strict=True)]
    labelled = {category for category, n in used if category and n}
    cards = sum(n for category, n in used if category)
    if (len(labelled), cards) != (index.manifest.categories, index.manifest.labelled):
        raise index.damaged(stored.codes, "its categories are others")
    return labels
