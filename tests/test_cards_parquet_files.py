"""Parquet, also of strangers."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pytest
from catalogue_files import findings, refusal, rows, written
from PIL import Image
from pyarrow import parquet as pq

from prodcat_index.cards import sources
from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.cards.pictures import load_picture


@pytest.mark.parametrize("content", ["PAR1", "PAR1 rubbish PAR1", "id,title\n1,a\n"])
def test_a_broken_parquet_file_is_named(tmp_path: Path, content: str) -> None:
    path = written(tmp_path, "a.parquet", content)
    assert refusal(path).startswith(f"{path} is no readable Parquet file")


def test_folder_names_add_no_columns_to_a_parquet_file(tmp_path: Path) -> None:
    """Kept under "category=lamps", every card would be labelled a lamp."""
    (tmp_path / "category=lamps").mkdir()
    path = tmp_path / "category=lamps" / "a.parquet"
    pd.DataFrame({"title": ["a"]}).to_parquet(path)
    assert rows(path) == [{"title": "a"}]


def test_metadata_of_other_programs_are_not_used(tmp_path: Path) -> None:
    """A stranger's pandas metadata end the reading with a KeyError, or hide a column."""
    for pandas in (b'{"index_columns":["id"],"columns":[]}', b'{"columns":1}', b"rubbish", b"[]"):
        table = pa.table({"id": ["1"], "title": ["a"]}).replace_schema_metadata({b"pandas": pandas})
        pq.write_table(table, tmp_path / "a.parquet")
        assert rows(tmp_path / "a.parquet") == [{"id": "1", "title": "a"}]


def test_the_index_of_a_pandas_table_is_no_column_unless_it_has_a_name(tmp_path: Path) -> None:
    frame = pd.DataFrame({"title": ["a", "b"]}, index=[5, 7])
    frame.to_parquet(tmp_path / "a.parquet")
    assert rows(tmp_path / "a.parquet") == [{"title": "a"}, {"title": "b"}]
    frame.rename_axis("id").to_parquet(tmp_path / "b.parquet")
    assert [row["id"] for row in rows(tmp_path / "b.parquet")] == [5, 7]


@pytest.mark.parametrize("kind", [pa.string(), pa.large_string()])
def test_wrong_bytes_of_a_text_are_replaced_and_counted(tmp_path: Path, kind: pa.DataType) -> None:
    texts = pa.array([b"caf\xe9", "café".encode(), None, b"\xff", "\ufffd".encode()], pa.binary())
    buffers = texts.cast(pa.large_binary() if kind == pa.large_string() else pa.binary()).buffers()
    column = pa.Array.from_buffers(kind, 5, buffers)
    pq.write_table(pa.table({"title": column}), tmp_path / "a.parquet")
    found = [row["title"] for row in rows(tmp_path / "a.parquet")]
    assert found == ["caf\ufffd", "café", "", "\ufffd", "\ufffd"]
    assert findings(tmp_path / "a.parquet") == [
        "2 rows have a text that is not UTF-8 (\ufffd stands for the wrong bytes): row 1, row 4"
    ]


def test_nested_wrong_bytes_are_a_sentence(tmp_path: Path) -> None:
    inner = pa.Array.from_buffers(pa.string(), 1, pa.array([b"\xff\xfe"], pa.binary()).buffers())
    lists = pa.ListArray.from_arrays(pa.array([0, 1], pa.int32()), inner)
    pq.write_table(pa.table({"title": ["a"], "tags": lists}), tmp_path / "a.parquet")
    assert "is no readable Parquet file" in refusal(tmp_path / "a.parquet")


@pytest.mark.parametrize("shape", ["text", "list", "fixed", "numbers"])
def test_a_file_that_unpacks_to_a_thousand_times_its_size_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    """One long text named in thousands of rows is stored once: 5 KB would take 2 GB."""
    monkeypatch.setattr(sources, "MIN_LIMIT", 2**20)
    big = "x" * 20_000
    column = {
        "text": pa.array([big] * 2_000),
        "list": pa.array([[big[:2_000]] * 10] * 2_000),
        "fixed": pa.array([big.encode()] * 2_000, pa.binary(20_000)),
        "numbers": pa.array([[0] * 1_000] * 2_000),
    }[shape]
    ids = pa.array([str(n) for n in range(2_000)])
    pq.write_table(pa.table({"id": ids, "title": column}), tmp_path / "a.parquet")
    assert "unpacks to more than 1 MB" in refusal(tmp_path / "a.parquet")
    pq.write_table(pa.table({"id": ids[:20], "title": column[:20]}), tmp_path / "b.parquet")
    assert len(rows(tmp_path / "b.parquet")) == 20


def png(colour: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (8, 8), colour).save(file, "PNG")
    return file.getvalue()


def test_pictures_within_the_file_are_pictures_of_the_cards(tmp_path: Path) -> None:
    """Data sets of Hugging Face keep their pictures so."""
    pictures = [
        {"bytes": png("red"), "path": "a.png"},
        {"bytes": None, "path": "own.png"},
        {"bytes": png("red"), "path": None},
        {"bytes": b"rubbish", "path": "../../x.png"},
        None,
    ]
    (tmp_path / "own.png").write_bytes(png("blue"))
    titles = ["a", "b", "c", "d", "e"]
    table = pa.table({"id": titles, "title": titles, "image": pa.array(pictures)})
    pq.write_table(table, tmp_path / "train.parquet")
    cards = read_catalogue(tmp_path / "train.parquet")
    paths = cards.values("image")
    assert [bool(path) for path in paths] == [True, True, True, False, False]
    assert paths[0] == paths[2]
    assert load_picture(paths[0]).getpixel((0, 0)) == (255, 0, 0)
    assert load_picture(paths[1]).getpixel((0, 0)) == (0, 0, 255)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        *("own.png", "train-pictures", "train.parquet")
    ]
    assert "1 row has a picture of no known format (not read): row 4" in map(str, cards.findings)
    assert read_catalogue(tmp_path / "train.parquet").values("image") == paths


def test_plain_bytes_of_pictures_are_read_as_well(tmp_path: Path) -> None:
    table = pa.table({"title": ["a", "b"], "image": [None, png("red")]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert [bool(path) for path in read_catalogue(tmp_path / "a.parquet").values("image")] == [
        *(False, True)
    ]


def test_cards_are_read_where_their_pictures_cannot_be_written(tmp_path: Path) -> None:
    table = pa.table({"title": ["a"], "image": pa.array([{"bytes": png("red"), "path": "a.png"}])})
    pq.write_table(table, tmp_path / "a.parquet")
    (tmp_path / "a-pictures").write_text("a file is in the way")
    cards = read_catalogue(tmp_path / "a.parquet")
    assert (cards.values("title"), cards.values("image")) == (["a"], [""])
    assert any("picture that cannot be written to" in str(each) for each in cards.findings)


def test_the_names_of_classes_are_the_categories(tmp_path: Path) -> None:
    """Else the categories are 0, 1 and 2, and no name of another file is theirs."""
    features = {"label": {"names": ["Lamps", "Mugs"], "_type": "ClassLabel"}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    table = pa.table({"title": ["a", "b", "c"], "label": [1, 0, -1]})
    pq.write_table(table.replace_schema_metadata(metadata), tmp_path / "a.parquet")
    assert read_catalogue(tmp_path / "a.parquet").values("category") == ["Mugs", "Lamps", ""]


@pytest.mark.parametrize("metadata", [b"x", b"[]", b'{"info":{"features":{"label":{"names":7}}}}'])
def test_names_of_classes_that_are_none_are_not_used(tmp_path: Path, metadata: bytes) -> None:
    table = pa.table({"title": ["a"], "label": [1]})
    table = table.replace_schema_metadata({b"huggingface": metadata})
    pq.write_table(table, tmp_path / "a.parquet")
    assert rows(tmp_path / "a.parquet") == [{"title": "a", "label": 1}]


@pytest.mark.parametrize("form", ["binary", "large", "list", "struct", "structs"])
def test_the_first_picture_of_every_form_is_read(tmp_path: Path, form: str) -> None:
    """A column of lists took the memory of all pictures, and its bytes were printed."""
    contents = []
    for colour in ("red", "lime"):
        buffer = io.BytesIO()
        Image.new("RGB", (8, 8), colour).save(buffer, "PNG")
        contents.append(buffer.getvalue())
    red, lime = contents
    of_structs = [{"bytes": red, "path": "r.png"}, {"bytes": lime, "path": None}]
    column = {
        "binary": pa.array([None, red, lime]),
        "large": pa.array([None, red, lime], pa.large_binary()),
        "list": pa.array([[], [red, lime], [lime]]),
        "struct": pa.array([None, *of_structs]),
        "structs": pa.array([[], of_structs, of_structs[1:]]),
    }[form]
    table = pa.table({"title": ["a", "b", "c"], "images": column})
    pq.write_table(table, tmp_path / "a.parquet", row_group_size=1)
    none, first, second = read_catalogue(tmp_path / "a.parquet")
    assert none.image == ""
    assert load_picture(first.image).getpixel((0, 0)) == (255, 0, 0)
    assert load_picture(second.image).getpixel((0, 0)) == (0, 255, 0)
