"""A Parquet file, or a folder of them, as one table of which any rows are read alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

from prodcat_index.cards.parquet_files import check_size, read_arrow, readable, to_table
from prodcat_index.cards.table import Table
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import Finding, name_findings, name_first

if TYPE_CHECKING:
    import pyarrow as pa

    from prodcat_index.types import Int64Array

ENDING = ".parquet"
# As Spark, Hive and Arrow do: such names are those of logs and of files that are being written.
HIDDEN = (".", "_")
OTHER_FILES = (
    "files in the folder are not read (only those whose names end in .parquet are, and neither "
    "hidden ones nor those of folders inside)"
)


def holds_parquet(path: Path) -> bool:
    """Check whether a path is a folder with Parquet files."""
    return path.is_dir() and any(map(_is_read, path.iterdir()))


def _is_read(path: Path) -> bool:
    return path.suffix.lower() == ENDING and not path.name.startswith(HIDDEN) and path.is_file()


def read_parquet(path: Path) -> Table:
    """Read a file, or all Parquet files of a folder as one table, in the order of their names."""
    return ParquetTable.open(path).read()


@dataclass(frozen=True)
class ParquetTable:
    """The rows of Parquet files with the same columns, one file after the other."""

    path: Path  # a file, or a folder
    files: tuple[Path, ...]
    counts: tuple[int, ...]  # rows of each file
    names: tuple[str, ...]  # columns
    findings: tuple[Finding, ...] = field(default=(), repr=False)

    @classmethod
    def open(cls, path: Path, *, check: bool = True) -> ParquetTable:
        """Look at the files, and unless told not to whether they unpack to too much."""
        from pyarrow.parquet import ParquetFile

        files = [path]
        findings: tuple[Finding, ...] = ()
        if path.is_dir():
            entries = sorted(path.iterdir())
            files = [entry for entry in entries if _is_read(entry)]
            inside = sorted(path.glob(f"*/*{ENDING}"))
            others = [*(e for e in entries if e.is_file() and not _is_read(e)), *inside]
            names = [str(other.relative_to(path)) for other in others]
            findings = name_findings({OTHER_FILES: names})
        schemas, counts = [], []
        for file in files:
            with readable(file):
                if check:
                    check_size(file)
                with ParquetFile(file) as opened:
                    schemas.append(opened.schema_arrow.remove_metadata())
                    counts.append(opened.metadata.num_rows)
        for file, schema in zip(files[1:], schemas[1:], strict=True):
            _check_same(files[0], schemas[0], file, schema)
        return cls(path, tuple(files), tuple(counts), tuple(schemas[0].names), findings)

    def __len__(self) -> int:
        """Return the number of rows."""
        return sum(self.counts)

    @cached_property
    def edges(self) -> list[int]:
        """Number of the first row of each file, and the number of rows."""
        return list(accumulate(self.counts, initial=0))

    @property
    def inside(self) -> Path:
        """A name of a file beside which pictures are."""
        return self.path / f"{self.path.name}{ENDING}" if self.path.is_dir() else self.path

    def read(self, rows: Int64Array | None = None, columns: Sequence[str] | None = None) -> Table:
        """Read some rising rows and columns, by default all; chosen rows are numbered from 1."""
        import numpy as np
        import pyarrow as pa

        findings = list(self.findings)
        tables: list[pa.Table] = []
        for number, file in enumerate(self.files):
            first, last = self.edges[number : number + 2]
            own = None
            if rows is not None:
                own = rows[slice(*np.searchsorted(rows, (first, last)))] - first
                if not len(own) and (tables or number < len(self.files) - 1):
                    continue
            with readable(file):
                table, noticed = read_arrow(file, own, columns, first + 1)
            tables.append(table)
            findings += noticed
        numbers = () if rows is None else (rows + 1).tolist()
        with readable(self.path):
            # Two columns of one file may have the same name, those of several may not.
            if len(tables) > 1:
                tables = [pa.concat_tables(tables, promote_options="permissive")]
            return to_table(tables[0], findings, numbers, source=str(self.path), file=self.inside)


def _check_same(first: Path, columns: pa.Schema, other: Path, theirs: pa.Schema) -> None:
    """Raise CatalogueError where a file has other columns than the first, or of no like type."""
    import pyarrow as pa

    reasons = []
    if lacking := [name for name in columns.names if name not in theirs.names]:
        reasons.append(f"lacks {name_first(lacking)}")
    if further := [name for name in theirs.names if name not in columns.names]:
        reasons.append(f"has {name_first(further)} as well")
    for name in columns.names if not reasons else ():
        pair = [schema.field(name) for schema in (columns, theirs)]
        try:
            pa.unify_schemas([pa.schema([field]) for field in pair], promote_options="permissive")
        except pa.ArrowException:
            reasons.append(f"has {pair[1].type} and not {pair[0].type} in {name}")
    if reasons:
        raise CatalogueError(
            f"{other} has not the columns of {first.name}: it {name_first(reasons)}. The files of "
            "a folder are one table: write them alike, or move those of another table elsewhere."
        )
