"""The command match, as a user runs it."""

from __future__ import annotations

import json
from pathlib import Path

import made
import pandas as pd
import pytest
from command import call


@pytest.fixture
def files(tmp_path: Path) -> str:
    for name, frame in zip(("a.csv", "b.csv"), made.two_shops(40), strict=True):
        frame.to_csv(tmp_path / name, index=False)
    return f"{tmp_path / 'a.csv'} {tmp_path / 'b.csv'}"


def test_pairs_are_printed_and_written(
    files: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two files could not be linked from a shell."""
    code, out, err = call(f"match {files} --one-to-one --format json", monkeypatch, capsys)
    assert code == 0, err
    printed = json.loads(out)
    assert {"left_id", "right_id", "probability", "why"} < set(printed[0])
    assert sum(each["left_id"][1:] == each["right_id"][1:] for each in printed) >= 37
    target = tmp_path / "links.csv"
    code, out, err = call(f"match {files} --one-to-one -o {target}", monkeypatch, capsys)
    assert (code, out) == (0, "")
    assert pd.read_csv(target).to_dict("records") == printed
    assert f"Wrote {target}: {len(printed)} pairs." in err


def test_labelled_pairs_are_learned_from_or_refused(
    files: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The labels of a user would be ignored."""
    pairs = [(f"l{a}", f"r{b}", int(a == b)) for a in range(30) for b in (a, (a + 1) % 30)]
    table = tmp_path / "pairs.csv"
    pd.DataFrame(pairs, columns=["left_id", "right_id", "label"]).to_csv(table, index=False)
    code, out, err = call(f"match {files} --pairs {table} -f jsonl", monkeypatch, capsys)
    assert code == 0, err
    found = [json.loads(line) for line in out.splitlines()]
    assert sum(each["left_id"][1:] == each["right_id"][1:] for each in found) >= 37
    table.write_text("left_id,right_id,label\nl1,r1,1\n")
    code, _, err = call(f"match {files} --pairs {table}", monkeypatch, capsys)
    assert code == 1
    assert "there are 1 and 0" in err


def test_titles_are_beside_each_other_and_used_columns_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A pair could not be checked at a glance, and the price would seem to be ignored."""
    monkeypatch.chdir(tmp_path)
    frame = pd.DataFrame(
        {
            "id": ["P00076", "P00077"],
            "title": ["Vega-7 electric kettle, steel, 1.7 l", "Oak desk lamp, 60 W, white"],
            "price": ["79", "15"],
            "colour": ["steel", "white"],
        }
    )
    frame.to_csv("a.csv", index=False)
    frame.assign(id=["Q00076", "Q00077"]).to_csv("b.csv", index=False)
    code, out, err = call("match a.csv b.csv", monkeypatch, capsys)
    assert code == 0, err
    assert "also compared: price, ignored: 1 column (colour)" in err
    table = " ".join(out.split())
    assert "left title right title" in table
    assert table.index("Oak desk lamp") < table.index(" why ")
    assert max(map(len, out.splitlines())) <= 80
    twice = pd.concat([frame.assign(id=["Q1", "Q2"]), frame.assign(id=["R1", "R2"])])
    twice.to_csv("b.csv", index=False)
    code, _, err = call("match a.csv b.csv --threshold 0.01", monkeypatch, capsys)
    assert "2 cards have several partners; --one-to-one gives each one" in err


def test_a_long_table_says_how_to_get_the_rest(
    files: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A user would take the first pairs for all."""
    code, out, err = call(f"match {files} --one-to-one", monkeypatch, capsys)
    assert code == 0
    assert "more pairs; -o FILE writes all" in err
    assert "probability" in out
