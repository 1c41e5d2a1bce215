"""The bytes of files: encodings, packed files and limits."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from catalogue_files import findings, refusal, rows, written

from prodcat_index.cards import sources
from prodcat_index.cards.sources import file_source, read_lines
from prodcat_index.errors import CatalogueError

TEXT = "id,название\n1,Лампа настольная «Уют»\n"


def encoded(folder: Path, content: bytes) -> Path:
    return written(folder, "cards.csv", content)


def read_text(path: Path, encoding: str | None) -> str:
    return "".join(read_lines(file_source(path), encoding))


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


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", [TEXT, "id;title\n1;lamp\n", "编号,名称\n1,台灯\n2,杯子\n3,灯\n"])
def test_utf_16_is_found_without_its_mark(tmp_path: Path, encoding: str, text: str) -> None:
    """Excel's Unicode text often lost its mark on the way."""
    assert read_text(encoded(tmp_path, text.encode(encoding)), None) == text


@pytest.mark.parametrize("text", ["Möbel für Küche, groß", "abat-jour à l’ancienne – crème, 12 €"])
def test_western_texts_are_offered_the_encoding_of_windows(tmp_path: Path, text: str) -> None:
    """latin-1 turns its dashes, quotes and euro signs into control characters, which are lost."""
    path = encoded(tmp_path, f"id,title\n1,{text}\n".encode("cp1252"))
    with pytest.raises(CatalogueError) as error:
        read_text(path, None)
    assert "--encoding cp1252" in str(error.value)
    assert "latin-1" not in str(error.value)
    assert text in read_text(path, "cp1252")


def test_the_wrong_line_is_named_however_late_it_comes(tmp_path: Path) -> None:
    path = encoded(
        tmp_path, b"id,title\n" + b"1,lamp\n" * 50_000 + "2,лампа красная\n".encode("cp1251")
    )
    with pytest.raises(CatalogueError, match=r"line 50002\); it looks like cp1251"):
        read_text(path, None)


@pytest.mark.parametrize(
    ("content", "what"),
    [(b"PK\x03\x04zip", "Excel"), (b"PAR1xxPAR1", "Parquet"), (b"%PDF-1.4", "PDF")],
)
def test_a_file_of_another_format_is_named(tmp_path: Path, content: bytes, what: str) -> None:
    assert what in refusal(encoded(tmp_path, content))


@pytest.mark.parametrize("name", ["a.csv.gz", "a.tsv.gz", "A.CSV.GZ"])
def test_a_packed_file_is_read(tmp_path: Path, name: str) -> None:
    path = written(tmp_path, name, gzip.compress("id,title\n1,лампа\n".encode()))
    assert rows(path) == [{"id": "1", "title": "лампа"}]


def test_packed_json_and_feeds_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, "a.jsonl.gz", gzip.compress(b'{"id": 1, "title": "a"}\n'))
    assert rows(path) == [{"id": 1, "title": "a"}]
    path = written(tmp_path, "a.json.gz", gzip.compress(b'[{"id": 1, "title": "a"}]'))
    assert rows(path) == [{"id": 1, "title": "a"}]


@pytest.mark.parametrize("cut", [5, 20, -4])
def test_a_broken_packed_file_is_named(tmp_path: Path, cut: int) -> None:
    packed = gzip.compress(b"id,title\n" + b"1,lamp\n" * 100)
    assert "cannot be unpacked" in refusal(written(tmp_path, "a.csv.gz", packed[:cut]))
    assert "cannot be unpacked" in refusal(written(tmp_path, "b.csv.gz", b"id,title\n1,a\n"))


def test_a_packed_file_of_a_stranger_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A megabyte of gzip unpacks to a gigabyte."""
    monkeypatch.setattr(sources, "MIN_LIMIT", 100_000)
    path = written(tmp_path, "a.csv.gz", gzip.compress(b"id,title\n" + b"1,lamp\n" * 100_000))
    assert "unpacks to more than 0 MB" in refusal(path)
    path = written(tmp_path, "b.csv.gz", gzip.compress(b"id,title\n" + b"1,lamp\n" * 10_000))
    assert len(rows(path)) == 10_000


def test_a_line_without_end_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MAX_LINE", 100)
    path = encoded(tmp_path, b"id,title\n1," + b"a" * 200)
    assert refusal(path).startswith(f"{path}, line 2 is longer than")


@pytest.mark.parametrize("content", [bytes(5_000), bytes(range(256)) * 9 + bytes(600)])
def test_a_binary_file_is_not_read_as_text(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(CatalogueError, match="holds no readable text"):
        read_text(encoded(tmp_path, content), None)


@pytest.mark.parametrize("name", ["a.csv", "a.jsonl"])
def test_a_few_wrong_bytes_do_not_cost_the_file(tmp_path: Path, name: str) -> None:
    """Texts that were cut at a number of bytes end within a character."""
    titles = ["лампа", "кружка", "ков"]
    if name == "a.csv":
        content = "id,title\n" + "".join(f"{n},{title}\n" for n, title in enumerate(titles))
    else:
        content = "".join(f'{{"id": "{n}", "title": "{t}"}}\n' for n, t in enumerate(titles))
    path = written(tmp_path, name, content.encode().replace("ков".encode(), "ков".encode()[:-1]))
    line = content[: content.index("ков")].count("\n") + 1
    assert f"is utf-8 with wrong bytes (line {line})" in refusal(path)
    found = [row["title"] for row in rows(path, skip_bad_rows=True)]
    assert found == ["лампа", "кружка", "ко\ufffd"]
    assert findings(path, skip_bad_rows=True) == [
        f"1 line is not UTF-8 (\ufffd stands for the wrong bytes): line {line}"
    ]


def test_another_encoding_is_no_damage(tmp_path: Path) -> None:
    """Replaced, every letter would be lost."""
    path = encoded(tmp_path, TEXT.encode("cp1251"))
    assert "--encoding cp1251" in refusal(path, skip_bad_rows=True)
