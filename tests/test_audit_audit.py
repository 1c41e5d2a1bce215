"""All checks in one list: what to fix first is on top, and nothing is asked twice."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import made
import numpy as np
import pytest
from auditing import MadeCheck, item
from made import BOOTS, KETTLES, LAMPS

from prodcat_index.audit.audit import NAMES, Audit, audit_catalogue, make_checks
from prodcat_index.audit.check import undecided
from prodcat_index.errors import QueryError
from prodcat_index.index.manifest import KEEP, Decided
from prodcat_index.index.product_index import ProductIndex

SURE = item("labels", "b1", subject=BOOTS, proposal=LAMPS, confidence=0.9, neighbours=("l1", "l2"))
UNSURE = item("labels", "b2", subject=BOOTS, proposal=LAMPS, confidence=0.3)
ALIKE = item("duplicates", "k1", proposal=BOOTS, confidence=0.8, neighbours=("b3",))
TWINS = item("duplicates", "k3", subject=KETTLES, proposal="remove", neighbours=("k2",))
STRANGE = item("novelty", "u1", "l2", proposal="Shoes > Clogs", score=0.4, words=("clog", "wood"))
MERGED = item("coverage", subject=KETTLES, proposal=f"merge into {LAMPS}")
LEAK = item("leaks", subject="title", score=0.0)


def audited(index: ProductIndex, *checks: MadeCheck, **options: Any) -> Audit:
    return audit_catalogue(index, checks=checks, **options)


@pytest.fixture(scope="module")
def audit(index: ProductIndex) -> Audit:
    return audited(
        index,
        MadeCheck("leaks", [LEAK]),
        MadeCheck("duplicates", [TWINS, ALIKE]),
        MadeCheck("coverage", [MERGED], {"tables": {"Sizes": [{"category": BOOTS, "cards": 3}]}}),
        MadeCheck("novelty", [STRANGE]),
        MadeCheck("labels", [UNSURE, SURE]),
    )


def test_what_to_fix_first_is_on_top(audit: Audit) -> None:
    """A team with an hour would spend it on cosmetics."""
    assert audit.items == [SURE, ALIKE, STRANGE, UNSURE, LEAK, TWINS, MERGED]
    # In the order of the names, whatever order they were given in.
    assert list(audit.results) == ["labels", "duplicates", "novelty", "coverage", "leaks"]
    assert repr(audit) == (
        "<Audit: 7 items (labels 2, duplicates 2, novelty 1, coverage 1, leaks 1)>"
    )


def test_of_equally_urgent_items_the_surest_and_largest_come_first(index: ProductIndex) -> None:
    one = item("novelty", "u1", score=0.3)
    two = item("novelty", "b1", "b2", score=0.3)
    sure = item("novelty", "b3", score=0.9, confidence=0.75)
    assert audited(index, MadeCheck("novelty", [one, two, sure])).items == [sure, two, one]


def test_what_two_checks_ask_alike_is_one_item_with_the_evidence_of_both(
    index: ProductIndex,
) -> None:
    """A person would decide on the same card twice, and might contradict themselves."""
    label = replace(SURE, why="Lamps are near.")
    twin = replace(SURE, check="duplicates", why="It is k1.", neighbours=("k1", "l1"), score=0.3)
    pair = item("duplicates", "b1", "b2", proposal=LAMPS, confidence=0.2, neighbours=("k1",))
    found = audited(index, MadeCheck("labels", [label]), MadeCheck("duplicates", [twin, pair]))
    both = replace(label, why="Lamps are near; It is k1.", neighbours=("l1", "l2", "k1"))
    # A pair of which one card is not asked about yet is an item of its own.
    assert found.items == [both, pair] and found.decided == 0


def test_the_table_has_a_row_for_each_card(audit: Audit) -> None:
    """Whoever decides in a spreadsheet would not see which product it is."""
    frame = audit.to_frame()
    assert frame["item"].tolist() == [1, 2, 3, 3, 4, 5, 6, 7]
    assert frame["id"].tolist() == ["b1", "k1", "u1", "l2", "b2", "", "k3", ""]
    first = frame.iloc[0].to_dict()
    assert first == {
        **{"item": 1, "check": "labels", "kind": "wrong label", "id": "b1"},
        **{"title": "red leather boots", "category": BOOTS, "proposal": LAMPS},
        **{"confidence": 0.9, "score": 0.2, "why": "", "neighbours": "l1, l2", "words": ""},
        "decision": "",
    }
    # The cards of an item have categories of their own; an item about no card tells its subject.
    assert frame["category"].tolist()[2:4] == ["", LAMPS]
    assert frame["category"].tolist()[-1] == KETTLES
    assert np.isnan(frame["confidence"][2]) and frame["words"][2] == "clog, wood"
    nothing = audited(audit.index, MadeCheck("labels"))
    assert list(nothing.to_frame().columns) == list(frame.columns) and nothing.items == []


def test_an_audit_is_data(audit: Audit) -> None:
    """A script would have to read sentences."""
    found = json.loads(json.dumps(audit.as_dict()))
    assert found["checks"]["coverage"]["details"]["tables"] == {
        "Sizes": [{"category": BOOTS, "cards": 3}]
    }
    assert (found["checks"]["labels"]["cards"], found["checks"]["labels"]["flagged"]) == (9, 2)
    assert found["items"][0]["neighbours"] == ["l1", "l2"] and found["decided"] == 0
    # One of the cards has no category.
    assert any("without a category" in note for note in found["notes"])


def test_a_notebook_shows_hostile_texts_as_texts(index: ProductIndex) -> None:
    attack = "<script>alert(1)</script>"
    hostile = audited(index, MadeCheck("labels", [replace(SURE, why=attack, proposal=attack)]))
    shown = hostile._repr_html_()
    assert "<script>" not in shown and "&lt;script&gt;" in shown and "1 made items." in shown


def test_checks_that_cannot_run_are_skipped_unless_they_are_named(
    index: ProductIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An audit without a delivery would fail as a whole, or say nothing of what it left out."""
    made_checks = [MadeCheck("labels", [SURE]), MadeCheck("drift", needs_new=True)]
    monkeypatch.setattr("prodcat_index.audit.audit.make_checks", lambda *given: made_checks)
    found = audit_catalogue(index)
    assert [*found.results] == ["labels"] and found.items == [SURE]
    assert found.skipped == {"drift": "The check needs new cards; name their file after the index."}
    with pytest.raises(QueryError, match="needs new cards"):
        audit_catalogue(index, checks=["drift"])
    with pytest.raises(QueryError, match=r"no check 'label'; there are labels, drift\. Did you me"):
        audit_catalogue(index, checks=["label"])
    assert [*audit_catalogue(index, checks=["labels", "labels"]).results] == ["labels"]


def test_new_cards_are_shown_with_their_own_titles(index: ProductIndex) -> None:
    """A delivery may use an id of the index for another product."""
    new = made.catalogue([made.row("b1", "wooden clogs", category="Shoes")])
    found = audited(index, MadeCheck("novelty", [item("novelty", "b1")], needs_new=True), new=new)
    row = found.to_frame().iloc[0]
    assert (row["title"], row["category"]) == ("wooden clogs", "Shoes")
    assert found.catalogue_of("novelty") is found.new


def test_what_was_decided_is_not_asked_again_until_the_card_changes(index: ProductIndex) -> None:
    """People stop reading a list that comes back the same every week."""
    checks = (MadeCheck("labels", [SURE, UNSURE]), MadeCheck("coverage", [MERGED]))
    table = audited(index, *checks).to_frame()
    table.loc[table["id"] == "b1", "decision"] = "keep"
    table.loc[table["category"] == KETTLES, "decision"] = "no"
    reviewed = index.review(table)
    left = audited(reviewed, *checks)
    assert left.items == [UNSURE] and left.decided == 2
    assert len(audited(reviewed, *checks, again=True).items) == 3
    assert left.results["labels"].items == [SURE, UNSURE]
    # Another check that doubts the label asks the same question, and whether it goes is another.
    same_label = replace(SURE, check="duplicates", kind="same product, different category")
    goes = replace(same_label, kind="same product", proposal="remove")
    assert audited(reviewed, MadeCheck("duplicates", [same_label, goes])).items == [goes]
    # Another category, or other texts, make another card of it; a picture or a price does not.
    moved = reviewed.relabel({"b1": KETTLES})
    assert audited(moved, *checks).items == [SURE, UNSURE]
    told = reviewed.add(made.catalogue([{**made.CARDS[0], "description": "summer lining"}]))
    assert audited(told, *checks).items == [SURE, UNSURE]
    same = reviewed.add(made.catalogue([{**made.CARDS[0], "group": "boots"}]))
    assert audited(same, *checks).items == [UNSURE]


def test_a_new_proposal_about_a_category_is_asked(index: ProductIndex) -> None:
    table = audited(index, MadeCheck("coverage", [MERGED])).to_frame()
    kept = index.review(table.assign(decision="keep"))
    other = replace(MERGED, proposal=f"merge into {BOOTS}")
    assert audited(kept, MadeCheck("coverage", [MERGED, other])).items == [other]
    # How many cards a category lacks changes with every delivery.
    few = [item("coverage", subject=LAMPS, proposal=f"add {n} cards") for n in (20, 21)]
    table = audited(index, MadeCheck("coverage", few[:1])).to_frame()
    kept = index.review(table.assign(decision="keep"))
    assert audited(kept, MadeCheck("coverage", few[1:])).items == []


@pytest.mark.parametrize(
    ("cards", "is_asked"),
    [(("k1", "k2"), False), (("k2",), False), (("k1", "k3"), True), (("k1", "b1"), True)],
)
def test_cards_that_were_decided_together_are_decided(
    cards: tuple[str, ...], is_asked: bool, index: ProductIndex
) -> None:
    """Two pairs that are no duplicates say nothing of a card of each."""
    catalogue = index.parts.catalogue
    both = (("k1", KETTLES, ""), ("k2", KETTLES, "")), (("k3", KETTLES, ""), ("b1", BOOTS, ""))
    decided = [Decided("duplicates", "same product", KEEP, cards=each) for each in both]
    assert bool(undecided([item("duplicates", *cards)], catalogue, decided)) is is_asked


def test_every_check_is_registered_by_its_name() -> None:
    """``--check`` would run another one."""
    assert {check.name for check in make_checks()} == {*NAMES}
