"""What the commands print: records in every format, predictions in words."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Mapping
from dataclasses import replace

import pytest
from openpyxl import load_workbook

from prodcat_index.cli.answers import emit_neighbours, emit_predictions
from prodcat_index.cli.output import (
    REPLACE,
    WIDTH,
    emit,
    note,
    print_markdown,
    print_table,
    write_workbook,
)
from prodcat_index.reports.page import Table, write_percent
from prodcat_index.voting.prediction import Explanation, Neighbour, Prediction, Predictions

RECORDS = [
    {"id": "a", "similarity": 0.5, "by_modality": {"title": 0.25, "image": {"left": 1.0}}},
    {"id": "б", "similarity": 0.125, "image": "a.jpg", "contributions": {"title": 0.5}},
]


def test_json_is_one_list_and_jsonl_one_record_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    """A script would have to guess where a record ends."""
    emit(RECORDS, "json")
    out = capsys.readouterr().out
    assert json.loads(out) == RECORDS and "б" in out
    emit(RECORDS, "jsonl")
    assert [json.loads(line) for line in capsys.readouterr().out.splitlines()] == RECORDS


def test_a_single_record_is_an_object_and_not_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    """`prodcat info` would need another reader than other formats."""
    emit(RECORDS[0], "json")
    assert json.loads(capsys.readouterr().out) == RECORDS[0]
    emit(RECORDS[0], "jsonl")
    assert capsys.readouterr().out.count("\n") == 1
    emit(RECORDS[0], "csv")
    [row] = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert row["by_modality.title"] == "0.25"


def test_csv_has_a_column_for_every_field_of_any_record(capsys: pytest.CaptureFixture[str]) -> None:
    """A spreadsheet would lack what only later rows have."""
    emit(RECORDS, "csv")
    first, second = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert list(first) == [
        *("id", "similarity", "by_modality.title", "by_modality.image.left"),
        *("image", "contributions.title"),
    ]
    assert (first["by_modality.image.left"], first["image"]) == ("1.0", "")
    assert (second["by_modality.title"], second["image"]) == ("", "a.jpg")


def test_a_table_is_never_read_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    """A title in brackets would vanish."""
    emit([*RECORDS, {"id": "[red]c[/red]", "similarity": 0.25}], "table")
    out = capsys.readouterr().out
    assert out.split("\n")[1].startswith("id ")
    assert "0.500" in out and "0.125" in out
    assert "a.jpg" not in out and "[red]c[/red]" in out


def test_a_table_of_a_page_is_printed_below_its_heading_with_plain_spaces(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Numbers could not be found by the search of a terminal."""
    table = Table("caption", ("name", "share"), [("[b]", 0.125), ("c", None)], write_percent)
    print_table("Heading:", table)
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip(" ─")]
    assert lines == [["Heading:"], ["name", "share"], ["[b]", "12.5", "%"], ["c"]]


def test_notes_go_to_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    """A pipe would take a warning for a result."""
    note(["one", 2])
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "note: one\nnote: 2\n")


def prediction(**more: object) -> Prediction:
    """Make an explained prediction."""
    near = Neighbour("n1", "boots", "", "Shoes > Boots", 0.9, {"title": 0.9}, 0.75)
    without: Mapping[str, tuple[str, float]] = {"title": ("", 0.0), "image": ("Lamps", 0.5)}
    usual = {
        "id": "p1",
        "category": "Shoes > Boots",
        "category_id": "",
        "confidence": 0.875,
        "ranked": [("Shoes > Boots", 0.75), ("Lamps", 0.25)],
        "neighbours": [near],
        "explanation": Explanation(without, "title", 0.5, 0.25),
    }
    return Prediction(**{**usual, **more})  # type: ignore[arg-type]


def test_an_explained_prediction_is_a_sentence_and_its_neighbours(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Reviewers would have to read JSON."""
    sure = prediction(decision="review", backed_off="Shoes")
    emit_predictions(Predictions([sure]), "table", explain=True)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= WIDTH
    sentence = (
        "p1: Shoes > Boots (75% of the vote, confidence 88%, review, sure up to Shoes), decided by "
        "title (without title: no answer; without image: Lamps (50%); "
        "without the linear head: 25%; the head alone: 50%)"
    )
    assert " ".join(out.split()).startswith(sentence)
    block = [line.strip() for line in out.split("\n\n")[1].splitlines()]
    assert block == [
        "1. n1: similarity 0.900, 75.0% of the vote",
        "Shoes > Boots",
        "boots",
        "cosines: title 0.900",
    ]


def test_an_explained_prediction_shows_its_nearest_neighbours_alone(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """The answer would scroll away above thirty neighbours that hardly count."""
    near = prediction().neighbours[0]
    many = [replace(near, id=f"n{place}") for place in range(1, 10)]
    emit_predictions(Predictions([prediction(neighbours=many)]), "table", explain=True)
    shown = re.findall(r"^\d+\. (n\d):", capsys.readouterr().out, flags=re.MULTILINE)
    assert shown == ["n1", "n2", "n3", "n4", "n5"]


def test_a_prediction_without_a_category_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty line would look like a failure of the program."""
    empty = prediction(category="", ranked=[], neighbours=[])
    emit_predictions(Predictions([empty]), "table", explain=True)
    assert capsys.readouterr().out.startswith("p1: no category, because nothing of the listing")


@pytest.mark.parametrize("form", ["csv", "table"])
def test_predictions_are_flat_rows_unless_explained_in_json(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    emit_predictions(Predictions([prediction(explanation=None)]), form, explain=False)  # type: ignore[arg-type]
    out = capsys.readouterr().out
    assert ("second_category" in out and "Lamps" in out) == (form == "csv")
    assert "p1" in out and "Shoes > Boots" in out and "0.875" in out
    emit_predictions(Predictions([prediction()]), "json", explain=False)
    [record] = json.loads(capsys.readouterr().out)
    assert record["neighbours"][0]["vote_share"] == 0.75


def test_a_workbook_holds_the_values_and_no_formula() -> None:
    """Excel would run what a seller wrote as a title, or refuse the file."""
    records = [
        {"id": "007", "title": "=1+1", "confidence": 0.875},
        {"id": "б", "title": "bell\x07", "note": "new"},
    ]
    sheet = load_workbook(io.BytesIO(write_workbook(records))).active
    assert list(sheet.values) == [
        ("id", "title", "confidence", "note"),
        ("007", "=1+1", 0.875, None),
        ("б", "bell", None, "new"),
    ]
    assert [sheet.cell(2, column).data_type for column in (1, 2, 3)] == ["s", "s", "n"]


BLOCKS = [f"block{n}" for n in range(5)]
NEIGHBOURS = [
    Neighbour(
        f"P0000{n}-with-a-suffix",
        "a long title of a card " * 3,
        "",
        "Home > Kitchen and dining > Plates and bowls > Salad bowls",
        0.875,
        dict.fromkeys(BLOCKS, 0.25),
        contributions=dict.fromkeys(BLOCKS, 0.175),
    )
    for n in range(2)
]


def cells_below(lines: list[str], head: str) -> list[str]:
    """Return the first lines of the cells of a column of the first table."""
    start = lines[0].index(head)
    return [line[start : start + len(head) + 20].split("   ")[0].strip() for line in lines[2:]]


def test_a_table_fits_80_columns_and_cuts_no_id_number_or_category(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """`prodcat similar` would show cards whose ids or categories nobody can read."""
    emit_neighbours(NEIGHBOURS, "table")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= WIDTH == 80
    assert lines[0].split() == ["rank", "id", "similarity", "category", "title"]
    assert [cell for cell in cells_below(lines, "similarity") if cell][:2] == ["0.875"] * 2
    out = "\n".join(lines)
    for neighbour in NEIGHBOURS:
        assert out.count(neighbour.id) == 1
    words = [word for line in lines for word in line.split()]
    for part in ("Plates", "Salad", "bowls"):
        assert words.count(part) >= len(NEIGHBOURS), f"{part} of the category is lost"


def test_columns_that_all_want_more_than_a_line_lose_no_letter(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A category without its last letter is none of the shop, when it is copied."""
    monkeypatch.setenv("COLUMNS", "80")
    names = ["Kitchen > Teapots", "merge into Kitchen > Glasses", "Electronics > Phone Cases"]
    words = ["Teapots", "Glasses", "Phone", "Cases", "Wohnzimmerbeleuchtung"]
    row = {"item": 1, "cards": "P00112, P00130 and 3 more", "title": "Porcelain teapot with roses"}
    records = [{**row, "category": own, "proposal": new} for own in names for new in names]
    emit([*records, {**row, "category": "Wohnzimmerbeleuchtung", "proposal": "remove"}], "table")
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 80 and out.count("Teapots") == 6
    # A word that is longer than its column goes on in the next line.
    assert all(word in out or (word[:16] in out and word[16:] in out) for word in words)


def test_an_explained_neighbour_is_a_block_of_80_columns_with_all_its_parts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Numbers in tables below each other would have to be matched by their rank."""
    emit_neighbours(NEIGHBOURS, "table", explain=True)
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= WIDTH
    blocks = [" ".join(block.split()) for block in out.strip().split("\n\n")]
    parts = ", ".join(f"block{n} 0.175" for n in range(5))
    cosines = ", ".join(f"block{n} 0.250" for n in range(5))
    for rank, (block, near) in enumerate(zip(blocks, NEIGHBOURS, strict=True), start=1):
        assert block.startswith(f"{rank}. {near.id}: similarity 0.875 {near.category} a long title")
        assert block.endswith(f"sum of {parts} cosines: {cosines}")


def test_columns_that_do_not_fit_follow_below_with_the_first_one_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Rows of numbers could not be told apart, or would be broken by the terminal."""
    rows = [{"name": f"row{n}", **{f"c{i}": i + n / 8 for i in range(12)}} for n in range(2)]
    emit(rows, "table")
    tables = capsys.readouterr().out.strip("\n").split("\n\n")
    shown: list[dict[str, str]] = [{}, {}]
    for table in tables:
        head, _, *lines = table.splitlines()
        for row, line in zip(shown, lines, strict=True):
            row |= dict(zip(head.split(), line.split(), strict=True))
    assert len(tables) == 2
    assert shown == [
        {name: f"{v:.3f}" if name != "name" else v for name, v in r.items()} for r in rows
    ]


def test_rows_with_a_long_name_become_paragraphs(capsys: pytest.CaptureFixture[str]) -> None:
    """The name of an encoder, which is copied into a command, would be cut or repeated."""
    spec = "sbert:somebody/" + "a" * 50
    emit([{"encoder": spec, "reads": "text", "dim": 384, "licence": "", "state": "here"}], "table")
    lines = capsys.readouterr().out.splitlines()
    assert lines == [spec, "    reads: text, dim: 384, state: here"]


def test_an_id_that_is_longer_than_a_line_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 100
    emit([{"rank": 1, "id": long, "similarity": 0.5}], "table")
    out = capsys.readouterr().out
    assert long in out and "0.500" in out


def test_a_markdown_text_is_printed_within_the_line(capsys: pytest.CaptureFixture[str]) -> None:
    """`prodcat info` would be broken at any place by the terminal."""
    table = "| block | encoder |\n|---|---|\n| title | " + "a word " * 20 + "|"
    print_markdown(f"# Heading\n\n{'word ' * 30}\n\n{table}\n")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= WIDTH
    assert lines[0] == "# Heading" and " ".join(lines).count("word") == 50
    assert not any("|" in line for line in lines)


ASCII_CASES = [
    ("ascii", "≈ title — чай 😀", "~ title - \\u0447\\u0430\\u0439 \\ud83d\\ude00"),
    ("cp1251", "≈ title — чай", "~ title — чай"),
    ("utf-8", "≈ title — чай", "≈ title — чай"),
]


@pytest.mark.parametrize(("encoding", "text", "shown"), ASCII_CASES)
def test_characters_that_an_encoding_lacks_are_written_by_others(
    encoding: str, text: str, shown: str
) -> None:
    """A Windows console would end the command with a traceback."""
    assert text.encode(encoding, REPLACE).decode(encoding) == shown
    assert json.loads(json.dumps(text, ensure_ascii=False).encode("ascii", REPLACE)) is not None


def test_what_an_encoding_lacks_is_replaced_before_widths_are_measured(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The columns of a table would be out of line."""
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, "ascii", errors=REPLACE))
    emit([{"id": "чай", "n": 1}, {"id": "tea", "n": 2}], "table")
    lines = raw.getvalue().decode("ascii").splitlines()
    assert lines[2].index("1") == lines[3].index("2")
