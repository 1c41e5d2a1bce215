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
from prodcat_index.errors import CatalogueError


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
    assert findings(path) == ["1 sheet is not read (only 'Sheet 2' is): Sheet 3"]


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
    assert "and no rows" in refusal(saved(tmp_path / "b.xlsx", CARDS[:1]))


def test_a_workbook_of_a_stranger_does_not_fill_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = saved(tmp_path / "a.xlsx", [["title"], *[["a" * 1000]] * 500])
    monkeypatch.setattr(workbooks, "MAX_CELLS", 100)
    assert "cells" in refusal(path)
    monkeypatch.setattr(sources, "MIN_LIMIT", 1_000)
    monkeypatch.setattr(sources, "MAX_RATIO", 1)
    assert "unpacks to more than" in refusal(path)


def test_a_sheet_of_instructions_is_passed_over(tmp_path: Path) -> None:
    help_ = [["How to fill in"], ["Column", "Meaning"], ["Name", "Of the product"]]
    path = saved(tmp_path / "a.xlsx", help_, CARDS)
    assert [row["id"] for row in rows(path)] == [1, 2]
    assert findings(path) == ["1 sheet is not read (only 'Sheet 1' is): Sheet 0"]


def test_formulas_without_a_value_are_counted(tmp_path: Path) -> None:
    """Else the titles that a program wrote as formulas are empty without a word."""
    path = saved(tmp_path / "a.xlsx", [["id", "title"], [1, '="a"&A2'], [2, "Mug"]])
    assert [row["title"] for row in rows(path)] == ["", "Mug"]
    assert findings(path) == [
        "1 cell holds formulas without a value (open the file in Excel and save it): B2"
    ]


def test_a_merged_cell_is_the_value_of_its_rows(tmp_path: Path) -> None:
    """Else only the first card of each category has it."""
    book = Workbook()
    cells = [["id", "category"], [1, "A"], [2, None], [3, "B"], [4, None], [5, None]]
    for row in cells:
        book.active.append(row)
    book.active.merge_cells("B4:B5")
    book.active.merge_cells("B2:B3")
    book.save(tmp_path / "a.xlsx")
    assert [row["category"] for row in rows(tmp_path / "a.xlsx")] == ["A", "A", "B", "B", ""]
    assert findings(tmp_path / "a.xlsx")[-1] == (
        "2 cells are merged over several rows (each row gets the value): B2:B3, B4:B5"
    )


def test_numbers_keep_the_zeros_of_their_format(tmp_path: Path) -> None:
    book = Workbook()
    for row in (["id", "title"], [123, "a_x000D_b"], [7, "c"]):
        book.active.append(row)
    book.active["A2"].number_format = "00000"
    book.save(tmp_path / "a.xlsx")
    catalogue = read_catalogue(tmp_path / "a.xlsx")
    assert catalogue.ids == ["00123", "7"]
    assert catalogue.values("title") == ["a b", "c"]


def test_rows_without_an_id_are_named_by_the_sheet(tmp_path: Path) -> None:
    sheet = [["Prices"], [], ["id", "title"], [1, "Lamp"], [None, "Mugs"], [2, "Cup"]]
    path = saved(tmp_path / "a.xlsx", sheet)
    with pytest.raises(CatalogueError, match=r"1 card has no id in .* \(row 5\)"):
        read_catalogue(path)
    catalogue = read_catalogue(path, skip_bad_rows=True)
    assert catalogue.ids == ["1", "2"]
    assert "1 row has no id (left out): row 5" in map(str, catalogue.findings)


def test_a_sheet_ends_after_many_empty_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workbooks, "MAX_EMPTY", 3)
    path = saved(tmp_path / "a.xlsx", [*CARDS, [], [], [], [3, "x"], [], [], [], [], [4, "y"]])
    assert [row["id"] for row in rows(path)] == [1, 2, 3]
    assert "Sheet 0 (row 11)" in findings(path)[0]


def test_titles_of_sections_are_named(tmp_path: Path) -> None:
    """They are read as cards where the sheet has no ids, so they must not be silent."""
    sheet = [["title", "price"], ["Lamps", None], ["Desk lamp", 5], ["Night lamp", 6], ["Cup", 1]]
    path = saved(tmp_path / "a.xlsx", sheet)
    assert len(rows(path)) == 4
    assert findings(path) == ["1 row has one cell only (a title of a section, a total?): row 2"]
