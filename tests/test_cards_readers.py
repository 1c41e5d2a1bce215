"""Files of every format to one table."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from catalogue_files import refusal, written

from prodcat_index.cards.readers import read_stdin, read_table
from prodcat_index.errors import CatalogueError


@pytest.mark.parametrize(
    "name", ["a.csv", "a.tsv", "a.jsonl", "a.ndjson", "a.parquet", "a.json", "a.xml", "a.xlsx"]
)
def test_an_empty_file_is_named(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, "")
    assert refusal(path) == f"{path} is empty."


@pytest.mark.parametrize("content", ["\n\n", "\ufeff", " \n "])
def test_a_blank_file_is_empty(tmp_path: Path, content: str) -> None:
    assert refusal(written(tmp_path, "a.csv", content)).endswith("is empty.")


def test_a_header_alone_is_named(tmp_path: Path) -> None:
    assert "a header (id, title) and no rows" in refusal(written(tmp_path, "a.csv", "id,title\n"))
    pd.DataFrame({"id": [], "title": []}).to_parquet(tmp_path / "a.parquet")
    assert "a header (id, title) and no rows" in refusal(tmp_path / "a.parquet")


def test_a_missing_file_is_answered_with_the_nearest(tmp_path: Path) -> None:
    written(tmp_path, "cards.csv", "id,title\n1,a\n")
    path = tmp_path / "card.csv"
    assert refusal(path) == f"There is no file {path}. Did you mean 'cards.csv'?"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert f"the folder {tmp_path / 'no'} does not exist" in refusal(tmp_path / "no" / "cards.csv")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith(f"{tmp_path} is a folder: give the catalogue file in it")


def test_an_unknown_format_is_answered_with_the_known(tmp_path: Path) -> None:
    path = written(tmp_path, "cards.doc", "x")
    assert refusal(path) == (
        f"{path} is of no known format: give one of .csv, .tsv, .txt, .jsonl, .ndjson, .json, "
        ".xml, .yml, .parquet, .xlsx; a text file may be packed with gzip (.csv.gz)."
    )


@pytest.mark.parametrize(
    ("name", "way_out"),
    [
        ("a.xls", "save it as .xlsx"),
        ("a.ods", "save it as .xlsx"),
        ("a.csv.zip", "unpack it"),
        ("a.jsonl.zst", "unpack it"),
        ("a.7z", "unpack it"),
    ],
)
def test_a_format_that_is_not_read_gets_its_way_out(
    tmp_path: Path, name: str, way_out: str
) -> None:
    path = written(tmp_path, name, "x")
    assert refusal(path) == f"{path} is of no known format: {way_out}."


def listings(content: str | bytes, **options: Any) -> list[dict[str, Any]]:
    packed = content.encode() if isinstance(content, str) else content
    frame = read_stdin(packed, **options).frame
    return frame.astype(object).where(frame.notna(), "").to_dict("records")


def test_stdin_may_be_one_object_with_numbers_and_nested_values() -> None:
    content = '\n {"id": 7, "title": "lamp",\n "price": 1.5, "tags": ["a", {"b": null}]}\n'
    assert listings(content) == [
        {"id": 7, "title": "lamp", "price": 1.5, "tags": ["a", {"b": None}]}
    ]


def test_stdin_may_be_an_array_or_lines_of_json() -> None:
    expected = [{"title": "lamp", "id": ""}, {"title": "mug", "id": 2}]
    assert listings('[{"title": "lamp"},\n{"title": "mug", "id": 2}]') == expected
    assert listings('{"title": "lamp"}\n\n{"title": "mug", "id": 2}\n') == expected


@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_stdin_may_be_a_table(mark: str) -> None:
    content = f"title{mark}id\nlamp{mark}1\nmug{mark}2\n"
    assert listings(content) == [{"title": "lamp", "id": "1"}, {"title": "mug", "id": "2"}]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_stdin_may_have_a_mark(encoding: str) -> None:
    assert listings('{"title": "лампа"}'.encode(encoding)) == [{"title": "лампа"}]


@pytest.mark.parametrize(
    "content", ["", " \n", "{", "[1, 2]", '{"title": 1} x', "\0\0", "[", "[{}"]
)
def test_stdin_without_listings_is_a_sentence(content: str) -> None:
    with pytest.raises(CatalogueError, match="stdin"):
        read_stdin(content.encode())


def test_a_file_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "a.csv", "id,title\n1,a\n")

    def refuse(_: Path, mode: str) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert refusal(path) == f"{path} cannot be read: Permission denied."


@pytest.mark.parametrize("name", ["cards.parquet", "cards.xlsx"])
def test_an_encoding_of_what_is_no_text_is_refused(tmp_path: Path, name: str) -> None:
    """Whoever names one expects that it does something."""
    file = tmp_path / name
    table = pd.DataFrame({"id": ["1"], "title": ["lamp"]})
    table.to_parquet(file) if file.suffix == ".parquet" else table.to_excel(file, index=False)
    assert len(read_table(file)) == 1
    with pytest.raises(CatalogueError, match="no text file and has no encoding: leave it out"):
        read_table(file, "cp1251")
