"""Delimited text as spreadsheets and shops write it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from catalogue_files import findings, refusal, rows, written
from hypothesis import given
from hypothesis import strategies as st

from prodcat_index.cards import text_files
from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.cards.readers import read_table
from prodcat_index.cards.sources import Source
from prodcat_index.cards.text_files import read_delimited
from prodcat_index.errors import CatalogueError


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
def test_ragged_rows_are_counted_and_the_first_named(tmp_path: Path, line: str, count: int) -> None:
    """Filled up silently, they would shift texts into the wrong columns."""
    path = written(tmp_path, "a.csv", f'id,title\n1,"a\nb"\n2,c\n{line}\n' + f"{line}\n" * 9)
    assert refusal(path).startswith(
        f"{path} has 10 rows with another number of fields than the 2 of the header (line 5: "
        f"{count}, line 6: {count}, line 7: {count}, line 8: {count}, line 9: {count} and 5 more)."
    )
    assert "--skip-bad-rows" in refusal(path)
    assert rows(path, skip_bad_rows=True) == [
        {"id": "1", "title": "a\nb"},
        {"id": "2", "title": "c"},
    ]
    assert findings(path, skip_bad_rows=True) == [
        "10 rows have another number of fields than the header (left out): "
        "line 5, line 6, line 7, line 8, line 9 and 5 more"
    ]


def test_bad_rows_are_not_all_that_there_is(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "id,title\n1\n2\n")
    with pytest.raises(
        CatalogueError, match=r"has a header .id, title. and no rows that can be read"
    ):
        read_table(path, skip_bad_rows=True)


def test_delimiters_too_many_at_the_end_are_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "id,title,,\n1,lamp,,\n2,mug,,,,\n")
    assert rows(path) == [{"id": "1", "title": "lamp"}, {"id": "2", "title": "mug"}]
    assert findings(path) == []


# Delimiter, what ends a line, and the rest of a text without that delimiter.
SHAPES = [("\t", "\n", ", x; y"), (",", "\r\n", "; x"), (";", "\n", ", x"), ("|", "\r\n", ", x")]


@pytest.mark.parametrize(("mark", "end", "more"), SHAPES)
@pytest.mark.parametrize(
    "title",
    [
        '"red lamp" by Ann',
        '3" pipe',
        '"3" pipe"',
        'pipe 3"',
        '"Aunt May',
        'a "b" c',
        '""x',
        '"',
        "''",
    ],
)
def test_a_bare_quote_is_a_character(
    tmp_path: Path, mark: str, end: str, more: str, title: str
) -> None:
    """A quote that is no quote must neither stop the file nor swallow the cards after it."""
    lines = [f"id{mark}title{mark}description{mark}category"]
    lines += [f"p{n}{mark}lamp {n}{mark}text{more}{mark}Lamps" for n in range(60)]
    lines[21] = f"p20{mark}{title}{mark}text{mark}Lamps"
    found = rows(written(tmp_path, "a.csv", end.join(lines) + end))
    assert [row["id"] for row in found] == [f"p{n}" for n in range(60)]
    assert found[20]["title"] == title
    assert {row["category"] for row in found} == {"Lamps"}


@pytest.mark.parametrize(("mark", "end", "more"), SHAPES)
@pytest.mark.parametrize("column", [1, 2, 3])
@pytest.mark.parametrize("later", [21, 22, 45])
def test_two_bare_quotes_do_not_swallow_the_cards_between(
    tmp_path: Path, mark: str, end: str, more: str, column: int, later: int
) -> None:
    """24 of 120 products were one title, without a word."""
    table = [[f"p{n}", f"lamp {n}", f"text{more}", "Lamps"] for n in range(60)]
    table[20][1] = '"Aunt May'
    table[later][column] = 'round 12"'
    lines = [mark.join(row) for row in [["id", "title", "description", "category"], *table]]
    path = written(tmp_path, "a.csv", end.join(lines))
    assert [list(row.values()) for row in rows(path)] == table
    assert findings(path) == [
        "1 row has quotes that are never closed or not doubled (read as characters): line 22"
    ]


def test_two_bare_quotes_on_one_line_are_two_fields_of_a_tsv(tmp_path: Path) -> None:
    path = written(tmp_path, "a.tsv", 'id\ttitle\ttext\n1\t"May\tround 12"\n2\ta\tb\n')
    assert rows(path)[0] == {"id": "1", "title": '"May', "text": 'round 12"'}


@pytest.mark.parametrize(("mark", "end", "more"), SHAPES)
def test_texts_of_many_lines_stay_whole(tmp_path: Path, mark: str, end: str, more: str) -> None:
    """What protects from open quotes must not cut what is quoted as it should be."""
    text = f'first{end}{end}second{mark} "2"{mark} x{more}{end}last'
    table = [[f"p{n}", text, "Lamps", text] for n in range(9)]
    header = ["id", "title", "category", "description"]
    with (tmp_path / "a.csv").open("w", newline="") as file:
        csv.writer(file, delimiter=mark, lineterminator=end).writerows([header, *table])
    assert [list(row.values()) for row in rows(tmp_path / "a.csv")] == table
    assert findings(tmp_path / "a.csv") == []


def test_lines_within_quotes_that_look_like_rows_are_doubted(tmp_path: Path) -> None:
    poem = "Roses, red\nViolets, blue\nSugar, sweet"
    path = written(tmp_path, "a.csv", f'id,text\n1,"{poem}"\n2,b\n')
    assert rows(path)[0]["text"] == poem
    assert findings(path) == [
        "1 row has lines inside quotes that look like rows (is a quote left open?): line 2"
    ]


def test_skipping_a_bad_row_costs_no_other_row(tmp_path: Path) -> None:
    """A row that is cut within a quote would take all rows up to the next quote with it."""
    lines = ["id,title,category", *(f"{n},lamp,Lamps" for n in range(20))]
    lines[5], lines[12] = '4,"cut', '11,"lamp",Lamps'
    path = written(tmp_path, "a.csv", "\n".join(lines))
    found = rows(path, skip_bad_rows=True)
    assert [row["id"] for row in found] == [str(n) for n in range(20) if n != 4]


def test_a_bad_row_that_takes_in_others_is_one_line(tmp_path: Path) -> None:
    lines = ["id,title,category", *(f"{n},lamp,Lamps" for n in range(20))]
    lines[5], lines[12] = '4,"cut', '11,round 12"'
    path = written(tmp_path, "a.csv", "\n".join(lines))
    found = rows(path, skip_bad_rows=True)
    assert [row["id"] for row in found] == [str(n) for n in range(20) if n not in (4, 11)]


def test_a_text_whose_last_line_has_as_many_commas_stays_whole(tmp_path: Path) -> None:
    """Taken for a card, half of a description would be lost and the other half be a product."""
    text = "Nice lamp:\nred, blue, green"
    path = written(tmp_path, "a.csv", f'id,title,text\n1,lamp,"{text}"\n2,mug,b\n')
    assert [row["text"] for row in rows(path)] == [text, "b"]


def test_an_open_quote_is_looked_for_within_bounds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one at the start of a large file would take all of it into memory."""
    lines = ["id,title", '1,"a', *["x"] * 50, 'y"', "2,b"]
    path = written(tmp_path, "a.csv", "\n".join(lines))
    assert [row["id"] for row in rows(path)] == ["1", "2"]
    monkeypatch.setattr(text_files, "RECORD_LINES", 20)
    assert "has 51 rows with another number" in refusal(path)


cells = st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.sampled_from('",;\t|\n'))


@given(st.lists(st.tuples(cells, cells), min_size=1), st.sampled_from(",;\t|"))
def test_what_the_csv_module_writes_is_read_as_it_was(
    tables: list[tuple[str, str]], mark: str
) -> None:
    written_text = io.StringIO()
    rows = [(f"id {n}", *table) for n, table in enumerate(tables)]
    writer = csv.writer(written_text, delimiter=mark, lineterminator="\n", quoting=csv.QUOTE_ALL)
    writer.writerows([("id", "title", "text"), *rows])
    source = Source("a.csv", lambda: io.BytesIO(written_text.getvalue().encode()))
    frame = read_delimited(source, None, skip_bad_rows=False).frame
    assert list(frame.itertuples(index=False, name=None)) == rows


@pytest.mark.parametrize("line", ["sep=;", '"sep=;"', "sep=;;;", "\ufeffsep=;"])
def test_the_line_that_names_the_delimiter_is_no_header(tmp_path: Path, line: str) -> None:
    path = written(tmp_path, "a.csv", f"{line}\r\nid;title, all\r\n1;lamp, red\r\n")
    assert rows(path) == [{"id": "1", "title, all": "lamp, red"}]
    path = written(tmp_path, "b.csv", "sep=^\nid^title\n1^lamp; red\n")
    assert rows(path) == [{"id": "1", "title": "lamp; red"}]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize(
    "above",
    [
        ["Price list 2024"],
        ["Price list 2024###", "###"],
        ["Price list, all; 2024", "", "from#Monday##", "##"],
        ["Name#ACME##"],
        ["##Prices#"],
    ],
)
def test_titles_above_the_header_are_not_read(tmp_path: Path, mark: str, above: list[str]) -> None:
    lines = [*above, "id#title#description#category"]
    lines += [f"{n}#lamp {n}#a, b, c; d, e#Lamps" for n in range(9)]
    lines = [line.replace(mark, " ").replace("#", mark) for line in lines]
    path = written(tmp_path, "a.csv", "\n".join(lines))
    assert [row["title"] for row in rows(path)] == [f"lamp {n}" for n in range(9)]
    assert list(rows(path)[0]) == ["id", "title", "description", "category"]
    [found] = findings(path)
    assert "above the header (not read)" in found
    assert above[0].replace(mark, " ").replace("#", mark).strip(mark)[:4] in found


@pytest.mark.parametrize(
    ("header", "row"),
    [
        (",title", "0,lamp"),
        (",farbe", "0,lamp"),
        ("title,", "lamp,1"),
        ("sku,,,,,", "a,b,c,d,e,f"),
        ("артикул,бренд", "1,"),
        ("title", "red, big, nice"),
    ],
)
def test_a_header_with_gaps_is_no_title(tmp_path: Path, header: str, row: str) -> None:
    """Else the first card would be taken for the header."""
    path = written(tmp_path, "a.csv", "\n".join([header, *[row] * 9]))
    if header == "title":
        assert rows(path) == [{"title": row}] * 9
    else:
        assert len(rows(path)) == 9
    assert findings(path) == []


@pytest.mark.parametrize("row", [";;;", " ; ;;", ";;"])
def test_rows_of_delimiters_are_left_out_and_counted(tmp_path: Path, row: str) -> None:
    path = written(tmp_path, "a.csv", "id;title;a;b\n1;lamp;x;y\n" + f"{row}\n" * 3)
    assert rows(path) == [{"id": "1", "title": "lamp", "a": "x", "b": "y"}]
    assert findings(path) == ["3 rows are empty (left out): line 3, line 4, line 5"]


def test_numbers_that_became_fractions_are_whole_again(tmp_path: Path) -> None:
    """A column of keys with a gap becomes 1.0, 2.0, ... in many programs, and no key fits."""
    path = written(tmp_path, "a.csv", "id,key,price,size\n1.0,7.0,2.0,1.0\n2.0,,2.5,b\n")
    assert rows(path) == [
        {"id": "1", "key": "7", "price": "2.0", "size": "1.0"},
        {"id": "2", "key": "", "price": "2.5", "size": "b"},
    ]
    assert findings(path) == ["2 columns have whole numbers written as 1.0 (read as 1): id, key"]


def test_quotes_escaped_by_a_backslash_are_quotes(tmp_path: Path) -> None:
    """Else a title with a comma in it makes the file irregular."""
    content = '"id","title"\n"1","Lamp \\"XL\\", new"\n"2","a \\\\ b"\n'
    assert rows(written(tmp_path, "a.csv", content)) == [
        {"id": "1", "title": 'Lamp "XL", new'},
        {"id": "2", "title": "a \\ b"},
    ]


def test_a_backslash_before_a_closing_quote_is_one(tmp_path: Path) -> None:
    content = 'id,path\n1,"C:\\"\n2,"D:\\a, b\\"\n'
    assert [row["path"] for row in rows(written(tmp_path, "a.csv", content))] == [
        "C:\\",
        "D:\\a, b\\",
    ]


@pytest.mark.parametrize("field", ['="00123"', '"=""00123"""'])
def test_an_id_as_a_formula_is_its_text(tmp_path: Path, field: str) -> None:
    path = written(tmp_path, "a.csv", f'id;title\n{field};a = "b"\n')
    assert rows(path) == [{"id": "00123", "title": 'a = "b"'}]


def test_escaped_spaces_of_tab_separated_texts_are_spaces(tmp_path: Path) -> None:
    content = "id\tdescription\timage\n1\ta\\nb\\tc\tx\\new.jpg\n"
    catalogue = read_catalogue(written(tmp_path, "a.tsv", content))
    assert catalogue.values("description") == ["a b c"]


def test_headers_within_the_rows_are_left_out(tmp_path: Path) -> None:
    """Else a card of the name ``title`` is found and votes."""
    content = "id,title,category\nitem_sku,item_name,category\n1,a,b\nid,title,category\n2,c,d\n"
    path = written(tmp_path, "a.csv", content)
    assert [row["id"] for row in rows(path)] == ["1", "2"]
    assert findings(path) == [
        "2 rows hold names of columns or their numbers once more (left out): row 1, row 3"
    ]


def test_columns_of_one_name_are_numbered(tmp_path: Path) -> None:
    path = written(tmp_path, "a.csv", "id,title,note,note\n1,a,b,c\n")
    assert rows(path) == [{"id": "1", "title": "a", "note": "b", "note (2)": "c"}]
    assert "note" in findings(path)[0]
    assert "more than one column is named title" in refusal(
        written(tmp_path, "b.csv", "id,title,title\n1,a,b\n")
    )
