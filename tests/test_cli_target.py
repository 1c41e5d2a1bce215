"""The option --target, as a user gives it: what is predicted, kept and refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from command import Outcome, call
from test_index_learned import COLOURS
from test_index_target import shop

from prodcat_index import ProductIndex
from prodcat_index.cli import options

Run = Callable[[str], Outcome]
NEW = [
    {"sku": "n1", "name": "red lamp", "text": "made in anjo", "Brand": "MAKITA"},
    {"sku": "n2", "name": "blue mug", "text": "made in toontown", "Brand": "Bosch"},
    {"sku": "n3", "name": "pink scarf", "text": "made in stuttgart", "Brand": ""},
]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("target")
    ProductIndex.build(shop()).save(folder / "indexes" / "shop")
    pd.DataFrame(NEW).to_csv(folder / "new.csv", index=False)
    frame = shop().to_frame().rename(columns={"id": "sku", "title": "name", "description": "text"})
    frame[["sku", "name", "text", "category", "Brand", "tone"]].to_csv(folder / "shop.csv")
    return folder


@pytest.fixture
def run(saved: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command in this process, beside the index."""
    monkeypatch.chdir(saved)
    monkeypatch.delenv("PRODCAT_INDEX", raising=False)
    return lambda arguments: Outcome(*call(arguments, monkeypatch, capsys))


def test_predict_answers_with_values_of_the_column_and_scores_them(run: Run) -> None:
    """The brand of new listings would have to be predicted by a program of one's own."""
    done = run("predict new.csv --target Brand --precision 0.9 --format json")
    assert done.code == 0, done.err
    found = [(each["category"], each["decision"]) for each in done.json]
    assert found == [("Makita", "accept"), ("Acme", "accept"), ("Bosch", "accept")]
    assert "the answers are values of the column 'Brand': 114 of 120 cards" in done.err
    # One of two is right, and in another letter case; the third has no brand to compare with.
    assert "true categories from the column 'Brand'" in done.err
    assert "accuracy 0.500" in done.err


def test_true_values_come_from_a_file_of_their_own(run: Run) -> None:
    """A shop keeps the brands that were checked by hand in another file."""
    rows = [{"sku": "n1", "Brand": "makita"}, {"sku": "n2", "Brand": "ACME"}]
    pd.DataFrame(rows).to_csv("truth.csv", index=False)
    done = run("predict new.csv --target Brand --labels truth.csv")
    assert "accuracy 1.000" in done.err


def test_a_long_fit_says_how_it_is_kept(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user would wait for the same minutes at each call."""
    monkeypatch.setattr(options, "LONG_FIT", 0.0)
    done = run("predict new.csv --target Brand")
    assert 'prodcat refit --target "Brand" -o FOLDER, then --index FOLDER' in done.err
    assert "to keep it" not in run("predict new.csv --target shelf").err


def test_refit_keeps_the_target_as_an_index_of_its_own(run: Run) -> None:
    """Fitted once, it is asked as any index is, without an option."""
    done = run("refit indexes/shop --target Brand -o brands")
    assert done.code == 0, done.err
    assert done.out == "Fitted brands: 120 cards, 3 values of Brand.\n"
    kept = run("predict new.csv --index brands --format jsonl")
    answers = [json.loads(line)["category"] for line in kept.out.splitlines()]
    assert answers == ["Makita", "Acme", "Bosch"]
    assert "accuracy 0.500" in kept.err
    described = [" ".join(run(f"info {name}").out.split()) for name in ("brands", "indexes/shop")]
    assert "in 3 categories, which are the values of the column Brand." in described[0]
    assert "in 5 categories." in described[1], "the index itself stays"


def test_audit_checks_the_values_of_the_column(run: Run) -> None:
    """Wrong brands would be looked for by eye among all cards."""
    done = run("audit indexes/shop --check labels --target tone --format json")
    assert done.code == 0, done.err
    assert "values of the column 'tone'" in done.err
    assert {item["subject"] for item in done.json["items"]} <= set(COLOURS)


def test_evaluate_compares_methods_on_the_column(run: Run) -> None:
    """Whether a column can be predicted would show on real listings only."""
    columns = "--id-column sku --title-column name --description-column text"
    done = run(f"evaluate shop.csv {columns} --target brand --no-baselines --format json")
    assert done.code == 0, done.err
    rows = {row["name"]: row for row in done.json["rows"]}
    assert rows["learned"]["weighted_f1"] == pytest.approx(1.0)
    assert rows["title"]["weighted_f1"] < 0.8, "titles name no brand"
    assert "values of the column 'brand'" in done.err


@pytest.mark.parametrize(
    ("arguments", "said", "code"),
    [
        ("predict new.csv --target brnad", "no column 'brnad' to predict", 1),
        ("predict new.csv --target name", "looks like ids, free text or measured numbers", 1),
        ("refit indexes/shop --target Brand", "both --target and --output", 2),
        ("refit indexes/shop -o brands", "both --target and --output", 2),
        ("audit indexes/shop --target Brand -o x.csv", "prodcat relabel would take", 2),
        ("refit --target Brand -o indexes/shop", "is the index itself", 2),
        ("refit --target Brand -o other --tune", "Leave out --tune", 2),
    ],
)
def test_calls_that_make_no_sense_are_refused(
    run: Run, arguments: str, said: str, code: int
) -> None:
    """An index would be replaced by that of another column, or minutes be spent for nothing."""
    done = run(arguments)
    assert said in done.err
    assert done.code == code
