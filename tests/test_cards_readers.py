"""Files of every format and encoding to one table."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from prodcat_index.cards.readers import read_table, read_text
from prodcat_index.errors import CatalogueError


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_bytes(content.encode())
    return path


def rows(path: Path) -> list[dict[str, Any]]:
    return [
        {str(k): v for k, v in row.items()}
        for row in read_table(path, None).frame.to_dict("records")
    ]


def refusal(path: Path) -> str:
    with pytest.raises(CatalogueError) as error:
        read_table(path, None)
    return str(error.value)


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
@pytest.mark.parametrize("name", ["cards.csv", "cards.tsv", "CARDS.CSV"])
def test_every_delimiter_is_found(tmp_path: Path, mark: str, name: str) -> None:
    """A file with semicolons read by commas is one useless column."""
    content = f'id{mark}title\n01{mark}"red{mark} ""big"" lamp"\n2{mark}a, b; c\n'
    if mark in ",;":
        content = content.replace("a, b; c", "a")
    second = "a" if mark in ",;" else "a, b; c"
    assert rows(written(tmp_path, name, content)) == [
        {"id": "01", "title": f'red{mark} "big" lamp'},
        {"id": "2", "title": second},
    ]


def test_a_delimiter_in_a_quoted_header_is_not_counted(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", '"id, number, key";title\n1;lamp\n')
    assert rows(path) == [{"id, number, key": "1", "title": "lamp"}]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_of_every_system_are_read(tmp_path: Path, end: str) -> None:
    path = written(tmp_path, "a.csv", f'id,title{end}{end}1,"two{end}lines"{end}2,lamp{end}')
    assert rows(path) == [{"id": "1", "title": f"two{end}lines"}, {"id": "2", "title": "lamp"}]


def test_a_single_column_is_read(tmp_path: Path) -> None:
    assert rows(written(tmp_path, "a.csv", "title\nlamp\n")) == [{"title": "lamp"}]


def test_a_huge_field_is_read_and_the_limit_of_others_kept(tmp_path: Path) -> None:
    limit = csv.field_size_limit()
    [row] = rows(written(tmp_path, "a.csv", "id,title\n1," + "a" * 1_000_000 + "\n"))
    assert len(row["title"]) == 1_000_000
    assert csv.field_size_limit() == limit


@pytest.mark.parametrize(("line", "count"), [("3,lamp,red", 3), ("3", 1)])
def test_a_ragged_line_is_named(tmp_path: Path, line: str, count: int) -> None:
    """Filled up silently, it would shift texts into the wrong columns."""
    path = written(tmp_path, "a.csv", f'id,title\n1,"a\nb"\n2,c\n{line}\n')
    assert refusal(path).startswith(f"{path}, line 5: {count} fields where the header has 2.")


def test_a_quote_left_open_is_named_where_it_starts(tmp_path: Path) -> None:
    """Read on silently, it would swallow all the cards after it."""
    path = written(tmp_path, "a.csv", 'id,title\n1,a\n2,"b\n3,c\n')
    assert refusal(path).startswith(f"{path}, record at line 3: a quote is never closed.")


def test_text_after_a_closing_quote_is_named(tmp_path: Path) -> None:
    assert "record at line 2:" in refusal(written(tmp_path, "a.csv", 'id,title\n1,"3" pipe"\n'))


@pytest.mark.parametrize("name", ["a.csv", "a.tsv", "a.jsonl", "a.ndjson", "a.parquet"])
def test_an_empty_file_is_named(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, "")
    assert refusal(path) == f"{path} is empty."


@pytest.mark.parametrize("content", ["\n\n", "\ufeff", " \n "])
def test_a_blank_file_is_empty(tmp_path: Path, content: str) -> None:
    assert refusal(written(tmp_path, "a.csv", content)).endswith("is empty.")


def test_a_header_alone_is_named(tmp_path: Path) -> None:
    assert "no cards" in refusal(written(tmp_path, "a.csv", "id,title\n"))
    pd.DataFrame({"id": [], "title": []}).to_parquet(tmp_path / "a.parquet")
    assert "no cards" in refusal(tmp_path / "a.parquet")


def test_json_lines_keep_their_values(tmp_path: Path) -> None:
    """A whole number beside an absent one must not lose its last digits."""
    content = '{"id": 9007199254740993, "title": "a\u2028b"}\n\n{"title": null, "tags": ["x"]}\n'
    table = read_table(written(tmp_path, "a.jsonl", content), None).frame
    assert table["id"][0] == 9007199254740993
    assert table["title"][0] == "a\u2028b"
    assert table["tags"][1] == ["x"]
    assert pd.isna(table["id"][1])


@pytest.mark.parametrize("broken", ['{"id": 1', "[" * 100_000, "{'id': 1}", '{"id": 1} {"id": 2}'])
def test_a_broken_json_line_is_named(tmp_path: Path, broken: str) -> None:
    path = written(tmp_path, "a.jsonl", '{"id": 1}\n\n' + broken + "\n")
    assert refusal(path).startswith(f"{path}, line 3 is not JSON (")


@pytest.mark.parametrize("value", ['["a"]', "1", '"text"', "null"])
def test_a_json_line_that_is_no_object_is_named(tmp_path: Path, value: str) -> None:
    path = written(tmp_path, "a.ndjson", '{"id": 1}\n' + value)
    assert refusal(path).startswith(f"{path}, line 2 is JSON, but no object")


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


def test_a_missing_file_is_answered_with_the_nearest(tmp_path: Path) -> None:
    written(tmp_path, "cards.csv", "id,title\n1,a\n")
    path = tmp_path / "card.csv"
    assert refusal(path) == f"There is no file {path}; did you mean cards.csv?"


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    assert f"the folder {tmp_path / 'no'} does not exist" in refusal(tmp_path / "no" / "cards.csv")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path).startswith(f"{tmp_path} is a folder: give the catalogue file in it")


def test_an_unknown_format_is_answered_with_the_known(tmp_path: Path) -> None:
    path = written(tmp_path, "cards.xlsx", "x")
    assert refusal(path) == (
        f"{path} is of no known format: give one of .csv, .tsv, .jsonl, .ndjson, .parquet."
    )


def test_a_file_that_may_not_be_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, "a.csv", "id,title\n1,a\n")

    def refuse(_: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)
    assert refusal(path) == f"{path} cannot be read: Permission denied."


TEXT = "id,название\n1,Лампа настольная «Уют»\n"


def encoded(folder: Path, content: bytes) -> Path:
    path = folder / "cards.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_what_bears_its_mark_is_read(tmp_path: Path, encoding: str) -> None:
    """Spreadsheets save with a mark; left in, the column "id" is not found."""
    assert read_text(encoded(tmp_path, TEXT.encode(encoding)), None) == TEXT


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1251", "utf-16-le"])
def test_a_named_encoding_is_used(tmp_path: Path, encoding: str) -> None:
    assert read_text(encoded(tmp_path, TEXT.encode(encoding)), encoding) == TEXT


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r", "cp866"])
def test_russian_encodings_are_recognised_and_named(tmp_path: Path, encoding: str) -> None:
    path = encoded(tmp_path, TEXT.replace("«Уют»", "Уют").encode(encoding))
    with pytest.raises(CatalogueError) as error:
        read_text(path, None)
    assert str(error.value) == (
        f"{path} is not utf-8 (line 1); it looks like {encoding}: add --encoding {encoding}."
    )


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r"])
def test_capitals_do_not_mislead_the_guess(tmp_path: Path, encoding: str) -> None:
    """Capitals of one Russian encoding are small letters of the other."""
    path = encoded(tmp_path, "id,title\n1,СМЕСИТЕЛЬ ДЛЯ КУХНИ\n2,Кран 1/2\n".encode(encoding))
    with pytest.raises(CatalogueError, match=f"looks like {encoding}: add --encoding {encoding}"):
        read_text(path, None)


def test_other_encodings_get_the_way_out_and_the_line(tmp_path: Path) -> None:
    path = encoded(tmp_path, "id,title\n1,café à la crème\n".encode("latin-1"))
    with pytest.raises(CatalogueError, match=r"is not utf-8 \(line 2\); name its encoding"):
        read_text(path, None)


def test_a_wrong_named_encoding_is_refused(tmp_path: Path) -> None:
    path = encoded(tmp_path, TEXT.encode("cp1251"))
    with pytest.raises(CatalogueError, match=r"is not utf-8 .* add --encoding cp1251"):
        read_text(path, "utf-8")


@pytest.mark.parametrize("encoding", ["cp9999", "hex", "rot13", "u\0tf"])
def test_an_unknown_encoding_is_named(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(CatalogueError, match="There is no encoding"):
        read_text(encoded(tmp_path, TEXT.encode()), encoding)


def test_stray_nul_characters_go(tmp_path: Path) -> None:
    assert read_text(encoded(tmp_path, b"id,title\n1,la\0mp" + b" and shade" * 3), None) == (
        "id,title\n1,lamp" + " and shade" * 3
    )


@pytest.mark.parametrize("content", [bytes(5_000), "id,title\n1,lamp\n".encode("utf-16-le")])
def test_a_binary_file_is_not_read_as_text(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CatalogueError, match="holds no readable text"):
        read_text(encoded(tmp_path, content), None)
