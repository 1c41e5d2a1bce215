"""The result of an evaluation: its numbers, tables and JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace

import arena
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup

from prodcat_index.evaluation.held_out import TUNED, Answer, Method
from prodcat_index.evaluation.result import (
    AcceptanceScore,
    Evaluation,
    Row,
    Run,
    card_table,
    score_acceptance,
    score_confidences,
    summarise_rows,
)
from prodcat_index.voting.breakdown import Bucket, Confusion
from prodcat_index.voting.metrics import Interval, Outcome, Score

NAMES = ["a", "b"]


def score(weighted_f1: float, cards: int = 10, top3: float | None = 0.9) -> Score:
    return Score(cards, 4, 1, 0.5, weighted_f1, 0.4, top3=top3)


def row(name: str, *f1: float, lead: Interval | None = None) -> Row:
    return Row(name, "vote", [score(f) for f in f1], Interval(0.1, 0.9), lead, None, [{}])


def run(answers: dict[str, Sequence[int]], true: Sequence[int]) -> Run:
    """Make a run of cards c0, c1, … each its own cluster."""
    codes = np.array(true)
    made = {}
    for name, predicted in answers.items():
        ranked = np.array(predicted)[:, None]
        outcome = Outcome(codes, ranked[:, 0], np.array([True, True]), ranked)
        nearest = ["n"] * len(codes)
        made[name] = Answer(outcome, shares=np.full((len(codes), 1), 0.75), nearest=nearest)
    cards = arena.shop(len(codes)).select(range(len(codes)))
    return Run(cards, np.array([3, 5]), np.arange(len(codes)), made)


@pytest.mark.parametrize(
    ("lead", "verdict"),
    [
        (Interval(-0.02, 0.01), "tie"),
        (Interval(0.0, 0.01), "tie"),
        (Interval(0.001, 0.01), "ahead"),
        (Interval(-0.02, -0.001), "behind"),
        (None, ""),
    ],
)
def test_what_lies_inside_the_noise_is_a_tie(lead: Interval | None, verdict: str) -> None:
    """Users would rebuild their shop for a difference that is none."""
    assert row("x", 0.5, lead=lead).verdict == verdict


def test_means_and_deviation_over_splits() -> None:
    """Sample deviation of 0.6 and 0.8 is 0.1414."""
    two = row("x", 0.6, 0.8)
    assert two.weighted_f1 == pytest.approx(0.7)
    assert two.deviation == pytest.approx(0.02**0.5)
    assert row("x", 0.6).deviation is None
    record = two.as_row()
    assert (record["weighted_f1"], record["deviation"]) == (0.7, 0.1414)
    assert (record["low"], record["high"]) == (0.1, 0.9)
    assert (record["cards"], record["categories"], record["unreachable"]) == (10, 4, 1)
    assert record["unreachable_share"] == 0.1


def test_what_does_not_apply_has_no_mean() -> None:
    scores = [score(0.5), score(0.5, top3=None)]
    assert Row("x", "vote", scores, Interval(0, 1), None, None, []).mean("top3") is None


def test_rows_are_judged_on_the_same_draws() -> None:
    """A twin of the tuned row that is not an exact tie would show that draws differ."""
    true = [0, 1] * 20
    good, bad = [0, 1] * 19 + [1, 0], [1, 0] * 20
    runs = [run({TUNED: good, "twin": good, "bad": bad}, true)]
    methods = [Method(name, "vote") for name in ("twin", TUNED, "bad")]
    rows = {row.name: row for row in summarise_rows(runs, methods, NAMES, seed=0)}
    assert rows["twin"].lead == Interval(0.0, 0.0)
    assert rows[TUNED].lead is None
    assert rows["bad"].verdict == "behind"
    assert rows["bad"].interval == Interval(0.0, 0.0)
    assert rows[TUNED].weighted_f1 == pytest.approx(0.95)


def test_the_card_table_by_hand() -> None:
    """A report would show other cards than those that were judged."""
    table = card_table([run({TUNED: [0, -1]}, [0, 1]), run({TUNED: [1]}, [0])], NAMES)
    assert table.to_dict(orient="records") == [
        {
            "split": split,
            "id": card,
            "true": true,
            "predicted": predicted,
            "confidence": 0.75,
            "top5": [predicted] if predicted else [],
            "top5_shares": [0.75] if predicted else [],
            "nearest_id": "n",
        }
        for split, card, true, predicted in [
            (1, "000", "a", "a"),
            (1, "001", "b", ""),
            (2, "000", "a", "b"),
        ]
    ]


def test_calibrated_confidence_is_judged_where_cards_have_it() -> None:
    cards = pd.DataFrame(
        {"true": ["a", "b"], "predicted": ["a", "a"], "confidence": [1.0 + 1e-12] * 2}
    )
    assert [found.kind for found in score_confidences(cards)] == ["confidence"]
    both = score_confidences(cards.assign(calibrated=[1.0, 0.0]))
    assert [(found.kind, found.brier) for found in both] == [("confidence", 0.5), ("calibrated", 0)]


def test_probabilities_of_some_splits_are_no_confidence_of_all() -> None:
    """An evaluation would fail where the index of one of several splits is not calibrated."""
    columns = {"true": ["a", "b"], "predicted": ["a", "a"], "confidence": 0.5}
    cards = pd.DataFrame({**columns, "calibrated": [0.9, None]})
    assert [found.kind for found in score_confidences(cards)] == ["confidence"]


def test_accepted_answers_are_judged_by_themselves() -> None:
    """Who accepts unseen what is said to be 95 % right must know what that came to."""
    cards = pd.DataFrame({"true": list("aabb"), "predicted": list("aaab")})
    assert score_acceptance(cards, 0.95) is None
    told = score_acceptance(cards.assign(accepted=[True, True, True, False]), 0.95)
    assert told == AcceptanceScore(0.95, 0.75, pytest.approx(2 / 3))
    assert score_acceptance(cards.assign(accepted=False), 0.95) == AcceptanceScore(0.95, 0.0, None)
    # One of several splits was too small to be calibrated.
    partly = cards.assign(accepted=pd.array([True, None, True, False], dtype="object"))
    assert score_acceptance(partly, 0.95) is None


def evaluation_of(*rows: Row, title: str = "boots", source: str = "cards.csv") -> Evaluation:
    """Make an evaluation of one split of two test cards, by hand."""
    cards = card_table([run({TUNED: [0, -1]}, [0, 1])], NAMES)
    catalogue = arena.shop(2)
    catalogue = replace(
        catalogue, cards=catalogue.cards.assign(title=title, category=[*NAMES] * 3), source=source
    )
    return Evaluation(
        catalogue=catalogue,
        rows=rows,
        splits=[],
        counts=[{"train": 8, "test": 2}],
        settings={"seed": 0},
        buckets=[Bucket("1", 2, 1, 1 / 3)],
        confusions=[Confusion("a", "b", 1, 0.5, ("000",))],
        confidence=score_confidences(cards),
        acceptance=AcceptanceScore(0.95, 0.5, 1.0),
        cards=cards,
    )


def test_as_dict_is_json_with_everything() -> None:
    """The JSON file would lack what a later report needs."""
    evaluation = evaluation_of(row(TUNED, 0.5))
    record = json.loads(json.dumps(evaluation.as_dict(), allow_nan=False))
    assert record["rows"][0]["name"] == TUNED
    assert record["buckets"][0]["weighted_f1"] == 0.3333
    assert record["confusions"][0]["examples"] == [{"id": "000", "title": "boots"}]
    assert [card["id"] for card in record["cards"]] == ["000", "001"]
    assert record["confidence"][0]["kind"] == "confidence"
    assert record["splits"] == [{"train": 8, "test": 2}]
    assert record["acceptance"] == {"asked": 0.95, "accepted": 0.5, "precision": 1.0}
    assert evaluation.tuned.name == TUNED
    with pytest.raises(KeyError):
        evaluation.row("nothing")


def test_an_evaluation_is_shown_in_one_line() -> None:
    """A prompt would fill with every test card, or name nothing of the result."""
    evaluation = evaluation_of(row("title", 0.5, lead=Interval(-0.2, -0.1)), row(TUNED, 0.625))
    assert repr(evaluation) == (
        "<Evaluation of cards.csv: 2 methods, 1 split, 2 test cards; "
        "tuned index: weighted F1 0.625 (0.100 to 0.900)>"
    )


def test_a_notebook_shows_the_scores_as_a_table_and_no_markup_of_the_shop() -> None:
    """A notebook would show a repr, or run what a catalogue has in its name."""
    evaluation = evaluation_of(
        row("<b>", 0.5, lead=Interval(-0.2, -0.1)), row(TUNED, 0.625), source="<script>"
    )
    page = evaluation._repr_html_()
    heads, *rows = (
        [cell.get_text() for cell in line.find_all(["th", "td"])]
        for line in BeautifulSoup(page, "html.parser").find_all("tr")
    )
    assert heads[:2] == ["name", "weighted_f1"] and heads[4] == "verdict"
    assert [line[:5] for line in rows] == [
        ["<b>", "0.500", "0.100", "0.900", "behind"],
        [TUNED, "0.625", "0.100", "0.900", ""],
    ]
    assert "Evaluation of &lt;script&gt;" in page
    assert "<script>" not in page and "<b>" not in page


def test_a_frame_has_a_row_a_method_with_the_numbers_of_the_row() -> None:
    """Users would copy numbers by hand to compare them in their own code."""
    rows = row("title", 0.5, lead=Interval(-0.2, -0.1)), row(TUNED, 0.6, 0.8)
    frame = evaluation_of(*rows).to_frame()
    assert frame.set_index("name").loc[TUNED, ["weighted_f1", "deviation"]].tolist() == [
        0.7,
        0.1414,
    ]
    assert list(frame.columns) == list(rows[0].as_row())
