"""A folder of Parquet files is one table, of which any rows are read as they are in the whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodcat_index import CatalogueError, read_catalogue
from prodcat_index.cards.parquet_tables import ParquetTable

PNG = b"\x89PNG\r\n\x1a\n"


def rows(first: int, count: int) -> pd.DataFrame:
    numbers = range(first, first + count)
    return pd.DataFrame(
        {"id": [f"c{n}" for n in numbers], "title": [f"lamp {n}" for n in numbers], "n": numbers}
    )


def write(folder: Path, *sizes: int, group: int = 3) -> Path:
    folder.mkdir(exist_ok=True)
    first = 0
    for number, size in enumerate(sizes):
        rows(first, size).to_parquet(folder / f"p{number}.parquet", row_group_size=group)
        first += size
    return folder


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> ParquetTable:
    return ParquetTable.open(write(tmp_path_factory.mktemp("table") / "shop", 10, 1, 7, 12))


def test_a_folder_is_read_as_one_table_in_the_order_of_its_names(tmp_path: Path) -> None:
    """Exports of large shops come in several files, and each alone is half a catalogue."""
    cards = read_catalogue(write(tmp_path / "shop", 4, 3))
    assert cards.ids == [f"c{n}" for n in range(7)]
    assert cards.format == "Parquet" and cards.findings == ()
    assert cards.pieces.read("n") == list(range(7))


@given(st.sets(st.integers(0, 29)))
@settings(max_examples=50)
def test_chosen_rows_are_those_of_the_whole(table: ParquetTable, chosen: set[int]) -> None:
    """A shard would hold other cards than its own."""
    numbers = np.array(sorted(chosen), dtype=np.int64)
    part = table.read(numbers, ["title", "id"])
    whole = table.read().frame
    assert part.frame.to_dict("list") == whole.loc[numbers, ["title", "id"]].to_dict("list")
    assert part.rows == tuple(n + 1 for n in numbers)


def test_what_is_not_read_of_a_folder_is_counted(tmp_path: Path) -> None:
    """Cards in files of another ending or in folders inside would be missing without a word."""
    folder = write(tmp_path / "shop", 2)
    for name in ("_SUCCESS", ".p0.parquet", "notes.txt"):
        (folder / name).write_text("")
    write(folder / "older", 2)
    [finding] = read_catalogue(folder).findings
    assert finding.ids == (".p0.parquet", "_SUCCESS", "notes.txt", "older/p0.parquet")
    assert "only those whose names end in .parquet" in finding.what


@pytest.mark.parametrize(
    ("other", "said"),
    [
        ({"id": ["x"], "n": [1]}, "it lacks title"),
        ({"id": ["x"], "title": ["a"], "n": [1], "k": [2]}, "it has k as well"),
        ({"id": ["x"], "title": [5], "n": [1]}, "it has int64 and not "),
    ],
)
def test_a_file_of_another_table_is_named(tmp_path: Path, other: dict[str, Any], said: str) -> None:
    """A file that got into the folder by mistake would be cards without a title."""
    folder = write(tmp_path / "shop", 2)
    pq.write_table(pa.table(other), folder / "q.parquet")
    with pytest.raises(CatalogueError, match=r"q\.parquet has not the columns of p0\.parquet") as e:
        read_catalogue(folder)
    assert said in str(e.value)


def test_a_column_without_a_value_stands_beside_any_other(tmp_path: Path) -> None:
    """A day without a price would make a whole export unreadable."""
    folder = write(tmp_path / "shop", 2)
    pq.write_table(pa.table({"id": ["x"], "title": ["a"], "n": [None]}), folder / "q.parquet")
    pq.write_table(pa.table({"id": ["y"], "title": ["b"], "n": [0.5]}), folder / "r.parquet")
    read = read_catalogue(folder)
    assert read.ids == ["c0", "c1", "x", "y"] and read.pieces.read("n")[3] == 0.5


def test_pictures_in_the_files_are_written_once_whatever_part_is_read(tmp_path: Path) -> None:
    """A card would have the picture of another one."""
    folder = tmp_path / "shop"
    folder.mkdir()
    pictures = [{"bytes": PNG + bytes([n]), "path": None} for n in range(9)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = pa.table({"id": [f"{n}" for n in range(9)], "image": pa.array(pictures, kind)})
    pq.write_table(table, folder / "p.parquet", row_group_size=4)
    opened = ParquetTable.open(folder)
    whole = opened.read().frame["image"].tolist()
    part = opened.read(np.array([1, 5, 8])).frame["image"].tolist()
    assert part == [whole[n] for n in (1, 5, 8)] and len(set(whole)) == 9
    assert (folder / whole[5]).read_bytes() == PNG + bytes([5])
    assert [Path(path).name for path in read_catalogue(folder).values("image")] == [
        Path(name).name for name in whole
    ]
