"""Bytes to text."""

from __future__ import annotations

from pathlib import Path

import pytest

from prodcat_index.cards.readers import read_text
from prodcat_index.errors import CatalogueError

TEXT = "id,название\n1,Лампа настольная «Уют»\n"


def written(folder: Path, content: bytes) -> Path:
    path = folder / "cards.csv"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_what_bears_its_mark_is_read(tmp_path: Path, encoding: str) -> None:
    """Spreadsheets save with a mark; left in, the column "id" is not found."""
    assert read_text(written(tmp_path, TEXT.encode(encoding)), None) == TEXT


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1251", "utf-16-le"])
def test_a_named_encoding_is_used(tmp_path: Path, encoding: str) -> None:
    assert read_text(written(tmp_path, TEXT.encode(encoding)), encoding) == TEXT


@pytest.mark.parametrize("encoding", ["cp1251", "koi8-r", "cp866"])
def test_russian_encodings_are_recognised_and_named(tmp_path: Path, encoding: str) -> None:
    path = written(tmp_path, TEXT.replace("«Уют»", "Уют").encode(encoding))
    with pytest.raises(CatalogueError) as error:
        read_text(path, None)
    assert str(error.value) == (
        f"{path} is not utf-8 (line 1); it looks like {encoding}: add --encoding {encoding}."
    )


def test_other_encodings_get_the_way_out_and_the_line(tmp_path: Path) -> None:
    path = written(tmp_path, "id,title\n1,café à la crème\n".encode("latin-1"))
    with pytest.raises(CatalogueError, match=r"is not utf-8 \(line 2\); name its encoding"):
        read_text(path, None)


def test_a_wrong_named_encoding_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, TEXT.encode("cp1251"))
    with pytest.raises(CatalogueError, match=r"is not utf-8 .* add --encoding cp1251"):
        read_text(path, "utf-8")


@pytest.mark.parametrize("encoding", ["cp9999", "hex", "rot13", "u\0tf"])
def test_an_unknown_encoding_is_named(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(CatalogueError, match="There is no encoding"):
        read_text(written(tmp_path, TEXT.encode()), encoding)


def test_stray_nul_characters_go(tmp_path: Path) -> None:
    assert read_text(written(tmp_path, b"id,title\n1,la\0mp" + b" and shade" * 3), None) == (
        "id,title\n1,lamp" + " and shade" * 3
    )


@pytest.mark.parametrize("content", [bytes(5_000), "id,title\n1,lamp\n".encode("utf-16-le")])
def test_a_binary_file_is_not_read_as_text(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CatalogueError, match="holds no readable text"):
        read_text(written(tmp_path, content), None)
