"""``prodcat evaluate`` as a user runs it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

import made
import pytest
from command import Outcome, prodcat

WORDS = {
    "Shop > Shoes > Boots": ("red leather boots", "winter boots", "boots with warm lining"),
    "Shop > Shoes > Clogs": ("wooden clogs", "garden clogs", "clogs with rubber sole"),
    "Shop > Kitchen > Kettles": ("steel kettle", "electric kettle", "kettle of glass"),
}


@pytest.fixture(scope="module")
def cards(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """36 cards of three categories in two branches; every sixth says the words of the next one."""
    file = tmp_path_factory.mktemp("shop") / "cards.csv"
    rows = ["id,title,description,category,brand"]
    categories = list(WORDS)
    for number in range(36):
        place = number % 3
        told = categories[(place + (number % 6 == 5)) % 3]
        title = f"{WORDS[told][number // 3 % 3]} no {number}"
        rows.append(f"c{number},{title},{WORDS[told][0]},{categories[place]},b{number % 9}")
    file.write_text("\n".join(rows), encoding="utf-8")
    return file


def evaluate(cards: Path, *arguments: object) -> Outcome:
    done = prodcat("evaluate", cards, "--encoder", "title=lexical:8", *arguments)
    assert done.code == 0, done.err
    return done


def names(rows: Sequence[dict[str, object]]) -> list[object]:
    return [row["name"] for row in rows]


def test_everything_is_said_in_tables_and_written_as_json(cards: Path, tmp_path: Path) -> None:
    """A user could not see what to use, nor what goes wrong."""
    file, split = tmp_path / "evaluation.json", tmp_path / "split.csv"
    done = evaluate(cards, "--save-split", split, "-o", file, "--encoder", "description=lexical:4")
    written = json.loads(file.read_text(encoding="utf-8"))
    assert names(written["rows"]) == [
        "title",
        "description",
        "equal weights",
        "learned",
        "tuned",
        "KNeighborsClassifier",
        "LogisticRegression",
        "LinearSVC",
        "TF-IDF + LinearSVC",
    ]
    for row in written["rows"]:
        # The table goes on below with the names again.
        parts = [line for line in done.out.splitlines() if line.startswith(row["name"])]
        line = " ".join(parts[:2])
        assert f"{row['weighted_f1']:.3f}" in parts[0]
        assert ("= tuned" in line) == (row["verdict"] == "tie")
    tested = "{cards} test cards of {categories} categories, {unreachable} of categories without"
    assert tested.format(**written["rows"][0]) in " ".join(done.out.split())
    assert "By the number of training cards" in done.out
    assert "In the tree of categories" in done.out
    worst = written["confusions"][0]
    assert worst["true"].removeprefix("Shop > ") in done.out
    assert worst["examples"][0]["title"][:20] in done.out
    assert len(written["cards"]) == written["splits"][0]["test"]
    assert f"Wrote {file}" in done.err

    again = evaluate(cards, "--split", split, "--no-baselines", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(again.out)))
    assert names(rows) == names(written["rows"])[:5]
    for row, first in zip(rows[:1], written["rows"], strict=False):
        assert float(row["weighted_f1"]) == first["weighted_f1"]
        assert float(row["low"]) == first["low"]


def test_repeated_splits_have_a_deviation(cards: Path) -> None:
    done = evaluate(cards, "--repeat", "2", "--by", "random", "--no-baselines", "-f", "json")
    everything = done.json
    assert len(everything["splits"]) == 2
    assert "at random" in everything["settings"]["splits"][0]
    for row in everything["rows"]:
        assert row["deviation"] >= 0
        assert [score["weighted_f1"] for score in row["scores"]] != []


def test_a_repeated_split_from_a_file_is_a_wrong_call(cards: Path, tmp_path: Path) -> None:
    done = prodcat("evaluate", cards, "--split", tmp_path / "split.csv", "--repeat", "2")
    assert done.code == 2
    assert "Leave out --repeat" in done.err


def test_a_row_that_is_left_out_is_told(tmp_path: Path) -> None:
    """A user would look for the usual rival and not know why it is not there."""
    rows = ["id,image,category"]
    for number, picture in enumerate(made.draw_pictures(tmp_path) * 6):
        rows.append(f"p{number:02},{picture},shelf {number % 2}")
    file = tmp_path / "cards.csv"
    file.write_text("\n".join(rows), encoding="utf-8")
    done = prodcat("evaluate", file, "--by", "random", "--projection", "none")
    assert done.code == 0, done.err
    assert "note: The row TF-IDF + LinearSVC is left out, because no card has a text." in done.err
    assert "TF-IDF + LinearSVC" not in done.out


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--by", "shop"], "There is no column 'shop' to split by"),
        (["--split", "none.csv"], "none.csv"),
        (["--category-column", "title"], "No card is left for test"),
    ],
)
def test_what_cannot_be_is_told_without_traceback(
    cards: Path, arguments: list[str], told: str
) -> None:
    done = prodcat("evaluate", cards, *arguments)
    assert done.code == 1
    assert told in done.err
    assert "Traceback" not in done.err
