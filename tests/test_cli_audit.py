"""``prodcat audit``: the list on a terminal, its files, and the way back into the index."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import made
import pandas as pd
import pytest
from auditing import MadeCheck, item
from command import call
from made import BOOTS, KETTLES, LAMPS

from prodcat_index.audit.check import CheckName
from prodcat_index.cli.audit import ALL, NAMES
from prodcat_index.index.product_index import ProductIndex

SURE = item("labels", "b1", subject=BOOTS, proposal=LAMPS, confidence=0.9, neighbours=("l1",))
TWINS = item("duplicates", "k2", "k3", subject=KETTLES, proposal="remove", neighbours=("k1",))
STRANGE = item("novelty", "n1", proposal="Shoes > Clogs", words=("clog",))
Run = Callable[[str], tuple[int, str, str]]


@pytest.fixture
def run(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run commands beside an index, with checks that find what is made up."""
    checks = [
        MadeCheck("labels", [SURE]),
        MadeCheck("duplicates", [TWINS]),
        MadeCheck("novelty", [STRANGE], needs_new=True),
    ]
    monkeypatch.setattr("prodcat_index.audit.audit.make_checks", lambda *given: checks)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    shutil.move(saved, "shop")
    return lambda arguments: call(arguments, monkeypatch, capsys)


def labels() -> dict[str, str]:
    cards = ProductIndex.load("shop").catalogue
    return dict(zip(cards.ids, cards.values("category"), strict=True))


def test_a_terminal_shows_what_each_check_found_and_what_to_do(run: Run) -> None:
    """A first user would not know how to go on."""
    code, out, err = run("audit shop")
    assert code == 0
    assert out.startswith("labels: 1 made items.\nduplicates: 1 made items.\n")
    lines = out.splitlines()
    at = lines.index("1. wrong label (90%): b1 red leather boots")
    assert lines[at + 1] == f"    {BOOTS} -> {LAMPS}"
    assert lines[at + 2].startswith("2. same product: k2, k3 electric kettle")
    assert lines[at + 3] == f"    {KETTLES} -> remove"
    assert "  prodcat audit shop -o review.xlsx --page audit.html\n" in out
    assert out.endswith("  prodcat relabel review.xlsx --index shop\n")
    assert "prodcat add" not in out and "advice" not in out
    assert "note: labels: made by hand" in err
    assert "note: novelty was not checked: The check needs new cards" in err


@pytest.mark.parametrize("ending", ["csv", "xlsx", "parquet"])
def test_the_table_is_written_decided_on_and_carried_out(ending: str, run: Run) -> None:
    """The loop that the audit is for."""
    file = f"review.{ending}"
    code, out, err = run(f"audit shop -o {file}")
    assert code == 0 and f"Wrote {file}: 2 items." in err and f"prodcat relabel {file}" in out
    readers = {"csv": pd.read_csv, "xlsx": pd.read_excel, "parquet": pd.read_parquet}
    table = readers[ending](file).astype({"decision": object})
    assert table["item"].tolist() == [1, 2, 2]
    table.loc[table["id"] == "b1", "decision"] = "yes"
    table.loc[table["id"] == "k3", "decision"] = "keep"
    table.to_csv("review.csv", index=False, sep=";", encoding="utf-8-sig")
    before = labels()
    code, out, _ = run("relabel review.csv --index shop --dry-run")
    assert out == (
        f"1 of another category: b1\n  {BOOTS} -> {LAMPS} (1 card): b1\n"
        "2 items decided, 1 of them kept\n8 unchanged\n"
        "Dry run: shop stays as it is.\n"
    )
    assert labels() == before
    code, out, err = run("relabel review.csv --index shop --dry-run --format json")
    assert json.loads(out)["moves"] == {"b1": {"from": BOOTS, "to": LAMPS}}
    code, out, err = run("relabel review.csv --index shop")
    assert "note: Next: prodcat refit shop fits it to the corrected cards." in err
    assert code == 0 and "1 of another category: b1" in out
    assert labels() == before | {"b1": LAMPS}
    code, out, err = run("audit shop")
    assert "There is nothing to decide." in out
    assert "2 of these items are decided already and left out (--again shows them).\n" in out
    assert json.loads(run("info shop --format json")[1])["decided"][0]["decision"] == LAMPS
    assert "relabelled, 2 decided" in run("info shop --log")[1].replace("review: 1 ", "")
    assert "note: 2 items were decided before" in run("audit shop --format csv")[2]
    code, out, _ = run("audit shop --again --format csv")
    assert len(list(csv.DictReader(io.StringIO(out)))) == 3


def test_a_wrong_decision_changes_nothing(run: Run) -> None:
    run("audit shop -o review.csv")
    table = pd.read_csv("review.csv").astype({"decision": object})
    table["decision"] = ["yes", "remvoe", ""]
    table.to_csv("review.csv", index=False)
    before = labels()
    code, _out, err = run("relabel review.csv --index shop")
    assert code == 1 and "Line 3 decides 'remvoe'" in err and "Did you mean 'remove'?" in err
    assert labels() == before


def test_new_cards_are_checked_with_their_own_columns(run: Run) -> None:
    """The columns of a supplier have other names than those of the shop."""
    rows = [{"art": "n1", "name": "wooden clogs"}, {"art": "n2", "name": "red boots"}]
    Path("new.json").write_text(json.dumps(rows))
    options = "--id-column art --title-column name --check novelty --format jsonl"
    for call_ in (f"audit shop new.json {options}", f"audit new.json --index shop {options}"):
        code, out, _ = run(call_)
        assert code == 0
        assert [json.loads(line)["title"] for line in out.splitlines()] == ["wooden clogs"]
    # What relabel cannot carry out is not sent there.
    code, out, _ = run(f"audit shop new.json {options.replace(' --format jsonl', '')}")
    assert "  prodcat audit shop new.json -o review.xlsx" in out and "prodcat relabel" not in out
    assert out.endswith("  prodcat add new.json --index shop --allow-new-categories\n")
    code, _, err = run("audit shop --check labels,novelty")
    assert code == 1 and "The check needs new cards" in err
    code, _, err = run("audit shop --id-column art")
    assert code == 2 and "--id-column is about a file of new cards" in err
    code, _, err = run("audit shop --check lables")
    assert code == 2 and "Did you mean 'labels'?" in err
    assert set(NAMES) == {ALL, *get_args(CheckName)}


def test_a_table_without_decisions_is_told(run: Run) -> None:
    """Whoever filled in another copy would think that all was done."""
    run("audit shop -o review.csv")
    code, out, err = run("relabel review.csv --index shop")
    assert code == 0 and "9 unchanged" in out
    assert "review.csv has no decisions: fill in its column decision" in err


def test_json_holds_the_checks_and_the_items(run: Run) -> None:
    _code, out, _ = run("audit shop --check labels --check duplicates --format json")
    found = json.loads(out)
    assert [*found["checks"]] == ["labels", "duplicates"]
    assert [each["cards"] for each in found["items"]] == [["b1"], ["k2", "k3"]]


def test_a_page_is_written_with_the_command_at_its_foot(run: Run) -> None:
    code, _, err = run("audit shop --page audit.html")
    page = Path("audit.html").read_text(encoding="utf-8")
    assert code == 0 and "Wrote audit.html" in err
    assert "prodcat audit shop --page audit.html" in page and made.CARDS[0]["title"] in page


def test_what_the_file_of_new_cards_lacks_is_said_once(run: Run) -> None:
    """Notes that are said twice are read by nobody."""
    Path("new.csv").write_text("id,title,category\nn1,wool socks,Socks\n")
    code, _, err = run("audit shop new.csv --check novelty")
    assert code == 0
    notes = [line for line in err.splitlines() if line.startswith("note: ")]
    assert "note: 1 card is the only one of its category: n1" in notes
    assert len(set(notes)) == len(notes)
