"""Confidence in an index: kept in its folder, used by its predictions, shown by the command."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from calibrated import PLAIN
from command import prodcat
from made import change_manifest

from prodcat_index import Card, ProductIndex
from prodcat_index.errors import IndexFolderError, QueryError
from prodcat_index.voting.thresholds import CategoryThresholds

BOOTS = Card(id="n1", title="red leather boots", description="warm winter lining")
MIXED = Card(id="n2", title="red")


@pytest.fixture(scope="module")
def calibrated(index: ProductIndex) -> ProductIndex:
    return ProductIndex(replace(index.parts, calibration=PLAIN))


@pytest.fixture
def folder(calibrated: ProductIndex, tmp_path: Path) -> Path:
    return calibrated.save(tmp_path / "calibrated")


def test_a_calibration_comes_back_from_the_folder_as_it_was(folder: Path) -> None:
    assert ProductIndex.load(folder).parts.calibration == PLAIN


def test_an_index_without_one_has_none(saved: Path) -> None:
    assert ProductIndex.load(saved).parts.calibration is None


def test_settings_are_saved_with_the_calibration(index: ProductIndex, saved: Path) -> None:
    """Tuning an index in place calibrates it, too."""
    loaded = ProductIndex.load(saved)
    ProductIndex(replace(loaded.parts, calibration=PLAIN)).save_settings(saved)
    assert ProductIndex.load(saved).parts.calibration == PLAIN


def lengthen(calibration: dict[str, Any]) -> None:
    calibration["precision"]["wrong"].append(60)


def misorder(calibration: dict[str, Any]) -> None:
    calibration["precision"]["thresholds"].reverse()


def overcount(calibration: dict[str, Any]) -> None:
    calibration["precision"]["wrong"][0] = 101


def outgrow(calibration: dict[str, Any]) -> None:
    calibration["precision"]["answered"][-1] = 401


def enlarge(calibration: dict[str, Any]) -> None:
    calibration["precision"]["cards"] = 2**60


def flatten(calibration: dict[str, Any]) -> None:
    calibration["model"]["sharpness"] = 0.0


def invert(calibration: dict[str, Any]) -> None:
    calibration["model"]["share_weight"] = -1.0


def unsort(calibration: dict[str, Any]) -> None:
    calibration["sets"]["ranks"].reverse()


def overflow(calibration: dict[str, Any]) -> None:
    calibration["prefixes"]["thresholds"][0] = 1.5


@pytest.mark.parametrize(
    "change", [lengthen, misorder, overcount, outgrow, enlarge, flatten, invert, unsort, overflow]
)
def test_a_calibration_that_makes_no_sense_is_refused(
    folder: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    """An index may come from a stranger; answers must not fail, or take forever, because of it."""
    change_manifest(folder, lambda manifest: change(manifest["calibration"]))
    with pytest.raises(IndexFolderError, match="is damaged"):
        ProductIndex.load(folder)


def test_predictions_say_how_probably_they_are_right(calibrated: ProductIndex) -> None:
    softer = replace(PLAIN, model=replace(PLAIN.model, intercept=0.0))
    halved = ProductIndex(replace(calibrated.parts, calibration=softer)).predict([BOOTS])
    plain = calibrated.predict([BOOTS])
    assert plain[0].confidence == pytest.approx(plain[0].share, abs=1e-6)
    assert halved[0].confidence == pytest.approx(halved[0].share / 2)
    assert halved[0].ranked == plain[0].ranked
    assert plain.notes == halved.notes == ()


def test_predictions_are_decided_by_precision(calibrated: ProductIndex) -> None:
    answers = calibrated.predict([BOOTS, MIXED, Card(id="n3")], precision=0.9)
    assert [a.decision for a in answers] == ["accept", "review", "review"]
    assert answers[0].confidence >= 0.75 > answers[1].confidence
    assert any("accepted 1 of 3" in note for note in answers.notes)
    assert all(answer.category_set is None for answer in answers)


def test_predictions_are_decided_per_category(calibrated: ProductIndex) -> None:
    """Each category has the threshold of its own name, wherever it stands among the others."""
    boots = calibrated.predict([BOOTS])[0]
    for threshold, decision in ((boots.confidence, "accept"), (1.0, "review")):
        own = {boots.category: CategoryThresholds((0.9,), (threshold,), (40,))}
        parts = replace(calibrated.parts, calibration=replace(PLAIN, categories=own))
        answers = ProductIndex(parts).predict([BOOTS, Card(id="n3")], precision=0.9, per="category")
        assert [a.decision for a in answers] == [decision, "review"]
        assert any("(expected acceptance 10%)" in note for note in answers.notes)
    with pytest.raises(QueryError, match="a precision is needed"):
        calibrated.predict([BOOTS], per="category")


def test_predictions_name_their_sets(calibrated: ProductIndex) -> None:
    boots, nothing = calibrated.predict([BOOTS, Card(id="n3", title="")], coverage=0.9)
    assert boots.category_set is not None
    assert boots.category_set == tuple(name for name, share in boots.ranked if share >= 0.1)
    assert boots.category_set[0] == boots.category
    assert nothing.category_set == ()
    assert boots.decision == ""


@pytest.mark.parametrize(
    "other", [{"k": 3}, {"temperature": 0.5}, {"prior_exponent": 1.0}, {"weights": {"title": 1}}]
)
def test_another_vote_has_raw_shares_and_no_decisions(
    calibrated: ProductIndex, other: dict[str, Any]
) -> None:
    answers = calibrated.predict([BOOTS], **other)
    assert answers[0].confidence == answers[0].share
    assert "not calibrated for these weights" in answers.notes[0]
    with pytest.raises(QueryError, match="own weights and vote only"):
        calibrated.predict([BOOTS], precision=0.9, **other)


def test_the_own_vote_spelled_out_is_calibrated(calibrated: ProductIndex) -> None:
    answers = calibrated.predict([BOOTS], k=10, weights={"title": 2, "description": 2})
    assert answers.notes == ()


def test_without_a_calibration_a_precision_is_refused_with_the_way_out(index: ProductIndex) -> None:
    assert "raw share" in index.predict([BOOTS]).notes[0]
    with pytest.raises(QueryError, match="prodcat tune INDEX"):
        index.predict([BOOTS], coverage=0.9)


def test_the_command_writes_decisions_and_sets(folder: Path, tmp_path: Path) -> None:
    new, out = tmp_path / "new.csv", tmp_path / "out.csv"
    new.write_text("id,title\nn1,red leather boots\nn2,steel lamp kettle\n", encoding="utf-8")
    asked = ("--precision", 0.9, "--set", 0.9)
    done = prodcat("predict", new, "--index", folder, *asked, "-o", out)
    assert done.code == 0, done.err
    assert "note: precision 0.9 (with 90% certainty): accepted" in done.err
    with out.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert {row["decision"] for row in rows} <= {"accept", "new", "review"}
    assert all(row["category_set"].split(" | ")[0] == row["category"] for row in rows)
    assert all("backed_off" in row and "share" in row for row in rows)
    told = prodcat("predict", new, "--index", folder, *asked, "--format", "json").json
    assert [record["decision"] for record in told] == [row["decision"] for row in rows]


def test_the_command_decides_per_category(folder: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.csv"
    new.write_text("id,title\nn1,red leather boots\n", encoding="utf-8")
    asked = ("predict", new, "--index", folder, "--per", "category")
    done = prodcat(*asked, "--precision", 0.9, "--format", "json")
    assert done.code == 0, done.err
    assert "note: precision 0.9 (with 90% certainty) for each category by itself" in done.err
    assert [record["decision"] for record in done.json] == ["review"]
    refused = prodcat(*asked)
    assert refused.code == 2
    assert "give --precision as well" in refused.err


def test_the_command_says_once_that_shares_are_raw(saved: Path, tmp_path: Path) -> None:
    new = tmp_path / "new.csv"
    new.write_text("id,title\nn1,red boots\nn2,kettle\n", encoding="utf-8")
    done = prodcat("predict", new, "--index", saved)
    assert done.code == 0
    assert done.err.count("not calibrated") == 1
    refused = prodcat("predict", new, "--index", saved, "--precision", "0.95")
    assert refused.code == 1
    assert "prodcat tune INDEX" in refused.err
    assert "Traceback" not in refused.err
