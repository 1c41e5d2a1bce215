"""The tables of an evaluation, which pages and terminals show."""

from __future__ import annotations

from dataclasses import replace

import pytest
from test_evaluation_result import evaluation_of, row

from prodcat_index.evaluation.held_out import TUNED
from prodcat_index.reports.evaluation import tabulate_evaluation
from prodcat_index.reports.page import Table
from prodcat_index.voting.breakdown import Confusion, HierarchyScore
from prodcat_index.voting.metrics import Interval


def written(table: Table) -> list[list[str]]:
    return [[table.write(cell).replace("\xa0", " ") for cell in line] for line in table.rows]


def test_every_method_is_a_row_with_its_scores_and_its_lead() -> None:
    """The table would call a difference a lead that lies inside the noise, or hide a real one."""
    behind = row("title", 0.5, lead=Interval(-0.2, -0.1))
    tie = row("image", 0.6, lead=Interval(-0.2, 0.1))
    ahead = row("LinearSVC", 0.75, lead=Interval(0.1, 0.2))
    evaluation = evaluation_of(behind, tie, row(TUNED, 0.625), ahead)
    table = tabulate_evaluation(evaluation)["rows"]
    assert [line[:4] for line in written(table)] == [
        ["title", "0.500", "0.100 to 0.900", "-0.125"],
        ["image", "0.600", "0.100 to 0.900", "= tuned"],
        ["tuned", "0.625", "0.100 to 0.900", ""],
        ["LinearSVC", "0.750", "0.100 to 0.900", "+0.125"],
    ]
    # Accuracy 0.5, macro F1 0.4 and top 3 0.9 of ten cards in four categories, one unreachable.
    assert written(table)[0][4:] == ["0.400", "0.500", "0.900", "", "", "10/4/1"]
    assert len(table.heads) == len(table.rows[0])


def test_several_splits_are_means_with_their_deviation() -> None:
    """One lucky split would be taken for the quality of the index."""
    evaluation = replace(evaluation_of(row(TUNED, 0.6, 0.8)), splits=[None, None])  # type: ignore[list-item]
    table = tabulate_evaluation(evaluation)["rows"]
    assert table.caption == "Means over the splits, ± standard deviation"
    assert written(table)[0][1] == "0.700 ± 0.141"


def test_confusions_name_categories_without_the_root_that_all_share() -> None:
    """Long paths that begin alike would be cut off before they differ."""
    evaluation = evaluation_of(row(TUNED, 0.5), title="a title of more than 24 letters")
    cards = evaluation.catalogue.cards.assign(category=["Shop > A > a", "Shop > B"] * 3)
    confusions = [
        Confusion("Shop > A > a", "Shop > B", 2, 2 / 3, ("000", "001")),
        Confusion("Shop > B", "", 1, 1 / 3, ("001",)),
    ]
    changed = replace(
        evaluation, catalogue=replace(evaluation.catalogue, cards=cards), confusions=confusions
    )
    short = "a title of more than 24…"
    assert written(tabulate_evaluation(changed)["confusions"]) == [
        ["A > a", "B", "2", "66.7 %", f"000 {short}; 001 {short}"],
        ["B", "(nothing)", "1", "33.3 %", f"001 {short}"],
    ]


def test_the_tree_is_there_only_where_categories_are_paths() -> None:
    """A table of empty cells would look like a failure."""
    flat = row(TUNED, 0.5)
    assert "tree" not in tabulate_evaluation(evaluation_of(flat))
    tree = replace(flat, hierarchy=HierarchyScore(0.5, 0.25, 0.375, None, 3, 2))
    table = tabulate_evaluation(evaluation_of(tree))["tree"]
    assert table.caption == "Severity is from 1 to 2"
    assert written(table) == [[TUNED, "0.500", "0.250", "0.375", "", "3"]]


def test_sizes_and_confidence_are_those_of_the_evaluation() -> None:
    evaluation = evaluation_of(row(TUNED, 0.5))
    tables = tabulate_evaluation(evaluation)
    assert written(tables["sizes"]) == [["1", "2", "1", "0.333"]]
    [score] = evaluation.confidence
    numbers = [f"{x:.3f}" for x in (score.ece, score.brier, score.nll, score.area)]
    assert written(tables["confidence"]) == [["share of the vote", *numbers]]
    assert [line[0] for line in written(tables["risk"])][-1] == "100.0 %"
    assert sum(int(line[0]) for line in written(tables["bins"])) == pytest.approx(2)
