"""Excel workbooks."""

from __future__ import annotations

import zipfile
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from catalogue_files import findings, refusal, rows, written
from openpyxl import Workbook

from prodcat_index.cards import sources, workbooks
from prodcat_index.cards.catalogue import read_catalogue


def saved(path: Path, *sheets: list[list[Any]], hidden: tuple[int, ...] = ()) -> Path:
    book = Workbook()
    book.remove(book.active)
    for number, cells in enumerate(sheets):
        sheet = book.create_sheet(f"Sheet {number}")
        sheet.sheet_state = "hidden" if number in hidden else "visible"
        for row in cells:
            sheet.append(row)
    book.save(path)
    return path


CARDS = [["id", "title", "price"], [1, "Lamp", 2.5], [2.0, "Кружка", None]]


def test_a_sheet_is_read(tmp_path: Path) -> None:
    assert rows(saved(tmp_path / "a.xlsx", CARDS)) == [
        {"id": 1, "title": "Lamp", "price": 2.5},
        {"id": 2, "title": "Кружка", "price": ""},
    ]
    assert read_catalogue(tmp_path / "a.xlsx").ids == ["1", "2"]


def test_titles_above_and_gaps_between_rows_are_no_cards(tmp_path: Path) -> None:
    sheet = [["Price list", None, None], [], *CARDS[:2], [], [None, None, None], CARDS[2], [None]]
    path = saved(tmp_path / "a.xlsx", sheet)
    assert [row["id"] for row in rows(path)] == [1, 2]
    assert findings(path) == ["1 row is above the header (not read): Price list"]


def test_the_first_visible_sheet_with_rows_is_read(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", [["hidden"], ["x"]], [], CARDS, [["id"], [9]], hidden=(0,))
    assert [row["id"] for row in rows(path)] == [1, 2]
    assert findings(path) == ["1 sheet is not read (only the first one with rows is): Sheet 3"]


def test_cells_beside_the_header_are_counted(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", [["id", "title"], [1, "Lamp", None, "note"], [2, "Mug"]])
    assert rows(path) == [{"id": 1, "title": "Lamp"}, {"id": 2, "title": "Mug"}]
    assert findings(path) == ["1 row has cells to the right of the header (not read): row 2"]


def test_dates_and_truths_are_texts_of_cards(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.xlsx", [["id", "title", "day"], [1, True, date(2024, 5, 6)]])
    cards = read_catalogue(path, text_columns=["day"])
    assert cards.values("title") == ["True"]
    assert cards.values("day")[0].startswith("2024-05-06")


@pytest.mark.parametrize("content", [b"x", b"PK\x03\x04", b"\xd0\xcf\x11\xe0 old"])
def test_what_is_no_workbook_is_named(tmp_path: Path, content: bytes) -> None:
    assert "is no readable Excel workbook" in refusal(written(tmp_path, "a.xlsx", content))


def test_another_zip_is_no_workbook(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.xlsx", "w") as packed:
        packed.writestr("a.csv", "id,title\n1,a\n")
    assert "is no readable Excel workbook" in refusal(tmp_path / "a.xlsx")


def test_an_empty_workbook_has_no_rows(tmp_path: Path) -> None:
    assert "no rows" in refusal(saved(tmp_path / "a.xlsx", []))
    assert "no cards" in refusal(saved(tmp_path / "b.xlsx", CARDS[:1]))


def test_a_workbook_of_a_stranger_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "a.xlsx", [["title"], *[["a" * 1000]] * 500])
    monkeypatch.setattr(workbooks, "MAX_CELLS", 100)
    assert "cells" in refusal(path)
    monkeypatch.setattr(sources, "MIN_LIMIT", 1_000)
    monkeypatch.setattr(sources, "MAX_RATIO", 1)
    assert "unpacks to more than" in refusal(path)
