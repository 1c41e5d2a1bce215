"""What the commands print: records in every format, predictions in words."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping

import pytest

from prodcat_index.cli.output import MAX_CELL, WIDTH, emit, emit_predictions, note, print_table
from prodcat_index.reports.page import Table, write_percent
from prodcat_index.voting.prediction import Explanation, Neighbour, Prediction

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


def test_a_table_is_short_plain_and_never_read_as_markup(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A title in brackets would vanish, and a long one push the numbers out of sight."""
    emit([*RECORDS, {"id": "[red]c[/red]", "similarity": "x" * 100}], "table")
    out = capsys.readouterr().out
    heads = out.splitlines()[1].split("  ")
    assert [head.strip() for head in heads if head.strip()][:3] == ["id", "similarity", "≈ title"]
    assert "0.500" in out and "0.125" in out
    assert "a.jpg" not in out and "[red]c[/red]" in out
    assert "x" * (MAX_CELL - 1) + "…" in out
    assert max(map(len, out.splitlines())) <= WIDTH


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
    emit_predictions([sure], "table", explain=True)
    sentence, *table = capsys.readouterr().out.splitlines()
    assert sentence == (
        "p1: Shoes > Boots (75% of the vote, confidence 88%, review, sure up to Shoes), decided by "
        "title (without title: no answer; without image: Lamps (50%); "
        "without the linear head: 25%; the head alone: 50%)"
    )
    assert any("n1" in line and "0.750" in line for line in table)


def test_a_prediction_without_a_category_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """An empty line would look like a failure of the program."""
    empty = prediction(category="", ranked=[], neighbours=[])
    emit_predictions([empty], "table", explain=True)
    assert capsys.readouterr().out.startswith("p1: no category, because nothing of the listing")


@pytest.mark.parametrize("form", ["csv", "table"])
def test_predictions_are_flat_rows_unless_explained_in_json(
    form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    emit_predictions([prediction(explanation=None)], form, explain=False)  # type: ignore[arg-type]
    out = capsys.readouterr().out
    assert "second_category" in out.replace(" c", "_c") and "Lamps" in out
    emit_predictions([prediction()], "json", explain=False)
    [record] = json.loads(capsys.readouterr().out)
    assert record["neighbours"][0]["vote_share"] == 0.75


def test_ids_and_numbers_are_whole_however_many_columns_there_are(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """`prodcat similar` would show cards whose ids nobody can read."""
    monkeypatch.setattr("prodcat_index.cli.output.WIDTH", 80)
    blocks = [f"block{n}" for n in range(5)]
    neighbours = [
        {
            "id": f"P0000{n}-with-a-suffix",
            "title": "a long title of a card " * 3,
            "category": "Home > Kitchen > Plates and bowls",
            "similarity": 0.875,
            "by_modality": dict.fromkeys(blocks, 0.25),
            "contributions": dict.fromkeys(blocks, 0.175),
        }
        for n in range(2)
    ]
    emit(neighbours, "table")
    shown = capsys.readouterr()
    assert "P00000-with-a-suffix" in shown.out and "P00001-with-a-suffix" in shown.out
    assert shown.out.count("0.875") == 2
    assert "0.175" not in shown.out and "0.250" not in shown.out
    assert shown.err == "note: 10 columns do not fit here; --format csv shows them\n"
    monkeypatch.setattr("prodcat_index.cli.output.WIDTH", 200)
    emit(neighbours, "table")
    shown = capsys.readouterr()
    assert shown.out.count("0.175") == 10 and shown.err == ""
