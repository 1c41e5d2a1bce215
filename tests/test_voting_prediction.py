"""Predictions as Python objects, as JSON and as a table."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace

import pytest
from bs4 import BeautifulSoup

from prodcat_index.voting.prediction import Explanation, Neighbour, Prediction, Predictions

NEAREST = Neighbour(
    id="b1",
    title="red boots",
    image="/p/b1.jpg",
    category="Boots",
    similarity=0.912345,
    by_block={"title": 0.98765432, "image": -0.12344},
    vote_share=0.7000049,
)
SILENT = replace(NEAREST, id="u1", category="", vote_share=None)
ANSWER = Prediction(
    id="new",
    category="Boots",
    category_id="17",
    confidence=0.7000049,
    ranked=[("Boots", 0.7000049), ("Shoes", 0.2), ("Lamps", 0.1)],
    neighbours=[NEAREST],
    title="red shoes",
)
NOTHING = Prediction("empty", "", "", 0.0, [], [])


def test_a_neighbour_as_json() -> None:
    assert NEAREST.as_dict() == {
        "id": "b1",
        "title": "red boots",
        "category": "Boots",
        "image": "/p/b1.jpg",
        "similarity": 0.9123,
        "by_modality": {"title": 0.9877, "image": -0.1234},
        "vote_share": 0.7,
    }


def test_a_neighbour_of_a_search_has_no_vote() -> None:
    """A share of 0 would say that it was heard and counted for nothing."""
    assert "vote_share" not in SILENT.as_dict()


def test_a_neighbour_whose_vote_faded_to_nothing_has_a_share_of_zero() -> None:
    assert replace(NEAREST, vote_share=0.0).as_dict()["vote_share"] == 0.0


def test_a_prediction_as_json_names_the_alternatives_without_the_winner() -> None:
    assert ANSWER.as_dict() == {
        "id": "new",
        "category": "Boots",
        "category_id": "17",
        "confidence": 0.7,
        "share": 0.7,
        "alternatives": [{"category": "Shoes", "share": 0.2}, {"category": "Lamps", "share": 0.1}],
    }


def test_at_most_four_alternatives_are_listed() -> None:
    ranked = [(f"c{n}", 0.1) for n in range(10)]
    alternatives = replace(ANSWER, ranked=ranked).as_dict()["alternatives"]
    assert [a["category"] for a in alternatives] == ["c1", "c2", "c3", "c4"]


def test_an_explained_prediction_as_json_shows_its_neighbours() -> None:
    explanation = Explanation({"title": ("Lamps", 0.55556), "image": ("", 0.0)}, "title")
    record = replace(ANSWER, explanation=explanation).as_dict()
    assert record["decided_by"] == "title"
    assert record["without"] == {
        "title": {"category": "Lamps", "share": 0.5556},
        "image": {"category": "", "share": 0.0},
    }
    assert record["neighbours"] == [NEAREST.as_dict()]
    assert json.loads(json.dumps(record)) == record


def test_the_answer_to_nothing_is_empty_everywhere() -> None:
    assert NOTHING.as_dict() == {
        "id": "empty",
        "category": "",
        "category_id": "",
        "confidence": 0.0,
        "share": 0.0,
        "alternatives": [],
    }


DECIDED = replace(
    ANSWER, confidence=0.91, decision="review", backed_off="Shoes", category_set=("Boots", "Shoes")
)


def test_a_decision_and_a_set_are_told_as_json() -> None:
    record = DECIDED.as_dict()
    assert (record["confidence"], record["share"]) == (0.91, 0.7)
    assert (record["decision"], record["backed_off"]) == ("review", "Shoes")
    assert record["category_set"] == ["Boots", "Shoes"]
    assert json.loads(json.dumps(record)) == record


def test_a_decision_and_a_set_are_told_in_the_row() -> None:
    row = DECIDED.as_row()
    assert (row["decision"], row["backed_off"]) == ("review", "Shoes")
    assert row["category_set"] == "Boots | Shoes"


def test_the_row_holds_the_calibrated_confidence_beside_the_raw_share() -> None:
    """A shop that accepts answers by the CSV's confidence would accept by an unchecked number."""
    row = DECIDED.as_row()
    assert (row["confidence"], row["share"]) == (0.91, 0.7)
    assert list(row)[-3:] == ["decision", "backed_off", "category_set"]


def test_what_was_not_asked_is_not_told() -> None:
    """A column of empty decisions would look as if everything had to be reviewed."""
    asked = {"decision", "backed_off", "category_set"}
    assert asked & (set(ANSWER.as_dict()) | set(ANSWER.as_row())) == set()


def test_an_empty_set_is_not_the_same_as_none() -> None:
    nothing = replace(NOTHING, category_set=())
    assert nothing.as_dict()["category_set"] == []
    assert nothing.as_row()["category_set"] == ""


class Made:
    """Four answers that are made when they are read."""

    def __init__(self) -> None:
        self.positions: list[int] = []

    def __len__(self) -> int:
        return 4

    def __getitem__(self, position: int) -> Prediction:
        self.positions.append(position)
        return replace(ANSWER, id=f"n{position}")


def test_answers_are_made_only_when_asked_for() -> None:
    """A hundred thousand answers with their neighbours would fill the memory."""
    made = Made()
    answers = Predictions(made)
    assert (len(answers), made.positions) == (4, [])
    assert answers[2].id == "n2"
    assert made.positions == [2]


def test_answers_are_a_sequence() -> None:
    answers = Predictions(Made())
    assert [p.id for p in answers] == ["n0", "n1", "n2", "n3"]
    assert answers[-1].id == "n3"
    assert [p.id for p in answers[1:3]] == ["n1", "n2"]
    assert [p.id for p in answers[::-2]] == ["n3", "n1"]
    with pytest.raises(IndexError):
        answers[4]


def test_the_categories_of_all_answers() -> None:
    assert Predictions([ANSWER, NOTHING]).categories == ["Boots", ""]


def test_the_table_of_answers() -> None:
    table = Predictions([ANSWER, NOTHING]).to_frame()
    assert table.to_dict("records") == [
        {
            "id": "new",
            "title": "red shoes",
            "category": "Boots",
            "category_id": "17",
            "confidence": 0.7,
            "share": 0.7,
            "second_category": "Shoes",
            "second_share": 0.2,
            "nearest_id": "b1",
        },
        {
            "id": "empty",
            "title": "",
            "category": "",
            "category_id": "",
            "confidence": 0.0,
            "share": 0.0,
            "second_category": "",
            "second_share": 0.0,
            "nearest_id": "",
        },
    ]


def test_an_explained_answer_says_in_its_row_what_decided() -> None:
    explained = replace(ANSWER, explanation=Explanation({"title": ("", 0.0)}, "title"))
    assert explained.as_row() == ANSWER.as_row() | {"decided_by": "title"}
    assert "decided_by" not in ANSWER.as_row()


class Handle:
    """An answer source that cannot be pickled, as an index with open files."""

    def __len__(self) -> int:
        return 2

    def __getitem__(self, position: int) -> Prediction:
        return replace(DECIDED, id=f"n{position}")

    def __reduce__(self) -> str:
        raise TypeError("an index is no part of its answers")


def test_a_pickle_holds_the_answers_and_no_index() -> None:
    """Predictions could not be sent to another process, or would take the catalogue along."""
    answers = Predictions(Handle(), ["not calibrated"])
    copied = pickle.loads(pickle.dumps(answers))  # noqa: S301
    assert list(copied) == list(answers)
    assert copied[1].neighbours == [NEAREST]
    assert copied.notes == ("not calibrated",)


def test_the_repr_counts_listings_and_shows_the_first() -> None:
    """At a prompt, thousands of neighbours would scroll by."""
    assert repr(Predictions([DECIDED, NOTHING])) == (
        "<Predictions of length 2, 'new' -> 'Boots' (0.91), 'empty' -> '' (0.00)>"
    )
    assert repr(Predictions(Made())) == (
        "<Predictions of length 4, 'n0' -> 'Boots' (0.70), 'n1' -> 'Boots' (0.70), "
        "'n2' -> 'Boots' (0.70), ...>"
    )
    assert repr(Predictions([])) == "<Predictions of length 0>"


def test_a_notebook_shows_the_first_rows_as_a_table() -> None:
    many = [replace(DECIDED, id=f"<n{place}>") for place in range(12)]
    html = Predictions(many, ["k < 3"])._repr_html_()
    soup = BeautifulSoup(html, "html.parser")
    names = [cell.text for cell in soup.select("thead th")]
    rows = [[cell.text for cell in row.select("td")] for row in soup.select("tbody tr")]
    assert names == list(DECIDED.as_row())
    assert [row[names.index("id")] for row in rows] == [f"<n{place}>" for place in range(10)]
    assert {row[names.index("confidence")] for row in rows} == {"0.91"}
    assert [line.text for line in soup.select("p")] == ["10 of 12 listings", "k < 3"]


def test_a_notebook_shows_no_row_where_there_is_none() -> None:
    assert "0 of 0 listings" in Predictions([])._repr_html_()
