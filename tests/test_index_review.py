"""What a person decides about an audit is carried out as a whole, or refused in a sentence."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import made
import numpy as np
import pandas as pd
import pytest
from made import BOOTS, KETTLES, LAMPS
from test_index_learned import indexed

from prodcat_index.audit.check import Item, undecided
from prodcat_index.cards.lists import REVIEW, read_review
from prodcat_index.errors import CatalogueError, QueryError
from prodcat_index.index.difference import UNDONE
from prodcat_index.index.manifest import KEEP, REMOVE, Decided
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.index.review import confirmed, digest_texts


def line(item: int, id: str, decision: str = "", **more: str) -> dict[str, Any]:
    """Make a row of the table of an audit."""
    named = {"check": "labels", "kind": "wrong label", "category": category(id), **more}
    return {**dict.fromkeys(REVIEW, ""), "item": item, "id": id, "decision": decision, **named}


def category(id: str) -> str:
    return next((card.get("category", "") for card in made.CARDS if card["id"] == id), "")


def labels(index: ProductIndex) -> dict[str, str]:
    cards = index.parts.catalogue
    return dict(zip(cards.ids, cards.values("category"), strict=True))


def review(index: ProductIndex, *lines: dict[str, Any], **options: Any) -> ProductIndex:
    return index.review(pd.DataFrame(lines), **options)


def test_every_decision_does_what_it_says(index: ProductIndex) -> None:
    """A person would go through a hundred cards for nothing, or for the wrong change."""
    after = review(
        index,
        line(1, "b1", "yes", proposal=LAMPS),
        line(2, "b2", "No", proposal=KETTLES),
        line(3, "b3", "Kettles"),
        line(4, "k1", LAMPS),
        line(5, "k2", "remove"),
        line(6, "l1", "", proposal=KETTLES),
        line(7, "u1", " yes ", proposal=BOOTS),
    )
    expected = labels(index) | {"b1": LAMPS, "b3": KETTLES, "k1": LAMPS, "u1": BOOTS}
    del expected["k2"]
    assert labels(after) == expected
    assert [each.decision for each in after.parts.decided] == [
        *(LAMPS, KEEP, KETTLES, LAMPS, REMOVE, BOOTS)
    ]
    assert after.parts.pending is not None
    assert (after.parts.pending.verb, after.parts.pending.counts) == (
        "review",
        {"removed": 1, "relabelled": 4, "decided": 6},
    )


def test_a_decision_in_any_row_of_an_item_counts_for_all_its_cards(index: ProductIndex) -> None:
    """Whoever decides on a cluster of fifty cards would have to write it fifty times."""
    kettles = [line(1, card, "remove" if card == "k3" else "") for card in ("k2", "k3")]
    assert labels(review(index, *kettles)).keys() == labels(index).keys() - {"k2", "k3"}


def test_rows_that_contradict_each_other_are_named(index: ProductIndex) -> None:
    """Half of a cluster would go one way and half the other."""
    with pytest.raises(QueryError, match="Item 1 is decided twice: 'keep' in line 2 and 'remove'"):
        review(index, line(1, "k2", "no"), line(1, "k3", "remove"))
    # `yes` and the proposed category are the same decision.
    review(index, line(1, "k2", "yes", proposal=LAMPS), line(1, "k3", LAMPS, proposal=LAMPS))
    with pytest.raises(QueryError, match=r"'k2' is to become 'Home > Lamps' by line 2 and 'Shoes"):
        review(index, line(1, "k2", LAMPS), line(2, "k2", BOOTS, check="duplicates"))
    with pytest.raises(QueryError, match="two reviews in one file"):
        review(index, line(1, "k2", "no"), line(1, "b1", "no", check="duplicates"))


def test_typing_mistakes_are_named_with_their_lines_and_nothing_is_done(
    index: ProductIndex,
) -> None:
    """A category named ``yse`` would appear in the shop."""
    with pytest.raises(QueryError) as caught:
        review(index, line(1, "b1", "remove"), line(2, "b2", "Kepe"), line(3, "b3", "yes"))
    said = str(caught.value)
    assert "Line 3 decides 'Kepe', which is no category of this index." in said
    assert "Did you mean 'keep'?" in said
    assert "Line 4 says 'yes' and has no proposal" in said and "Nothing was changed." in said
    after = review(index, line(1, "b1", "Shoes > Sandals"), allow_new_categories=True)
    assert labels(after)["b1"] == "Shoes > Sandals"
    with pytest.raises(QueryError, match="Line 2 decides '>', which is no category of this index"):
        review(index, line(1, "b1", ">"), allow_new_categories=True)


def test_a_review_of_what_changed_since_is_not_carried_out(index: ProductIndex) -> None:
    """An old file would undo what a colleague corrected."""
    moved = index.relabel({"b1": LAMPS})
    after = review(moved, line(1, "b1", KETTLES), line(2, "gone", "remove"))
    assert labels(after) == labels(moved) and not after.parts.decided
    assert [str(finding) for finding in after.findings] == [
        "1 id is of no card of the index (left out): gone",
        "1 card has another category by now than in the review (skipped): b1",
    ]
    # Carried out twice, it changes nothing more.
    rows = (line(1, "b2", LAMPS), line(2, "b3", "no"))
    once = review(index, *rows)
    twice = review(once, *rows)
    assert labels(twice) == labels(once) and twice.parts.decided == once.parts.decided


def test_a_category_is_merged_as_a_whole(index: ProductIndex) -> None:
    """Its scores would be lost, and cards that came since the audit would stay behind."""
    merged = line(1, "", "yes", check="coverage", category=KETTLES, proposal=f"merge into {LAMPS}")
    after = review(index, merged)
    assert set(labels(after).values()) == {BOOTS, LAMPS, ""}
    advice = line(1, "", "no", check="coverage", category=KETTLES, proposal="add 5 cards")
    kept = review(index, advice)
    assert labels(kept) == labels(index)
    assert kept.parts.decided == (Decided("coverage", "wrong label", KEEP, KETTLES, "add 5 cards"),)


@pytest.mark.parametrize("decision", ["yes", "remove", "Lamps", "oops"])
@pytest.mark.parametrize("proposal", ["add 5 cards", "review", ""])
def test_advice_is_kept_or_refused(decision: str, proposal: str, index: ProductIndex) -> None:
    """Nothing would happen to the category, and the audit would not ask for it again."""
    row = line(1, "", decision, check="coverage", category=KETTLES, proposal=proposal)
    with pytest.raises(QueryError, match=f"Line 2 says '{decision}' about no card: its item is ad"):
        review(index, row)
    merge = line(
        1, "", "remove", check="coverage", category=KETTLES, proposal=f"merge into {BOOTS}"
    )
    with pytest.raises(QueryError, match="Line 2 says 'remove' about no card"):
        review(index, merge)
    other = review(index, {**merge, "decision": LAMPS})
    assert set(labels(other).values()) == {BOOTS, LAMPS, ""}


def test_a_delivery_that_takes_a_review_back_is_told(index: ProductIndex) -> None:
    """The nightly delivery would bring all wrong labels and duplicates back, unseen."""
    merged = line(5, "", "yes", check="coverage", category=KETTLES, proposal=f"merge into {LAMPS}")
    rows = (line(1, "b1", LAMPS), line(2, "b2", "no"), line(3, "b3", "remove"), merged)
    export = index.parts.catalogue
    after = review(index, *rows)
    told = [each for each in after.compare(export).findings if each.what == UNDONE]
    assert [each.ids for each in told] == [("b1", "b3", "k1", "k2", "k3")]
    # The shop has corrected its own data, or changed what nobody decided about.
    corrected = after.compare(
        after.parts.catalogue.relabelled(
            [BOOTS if card == "l1" else name for card, name in labels(after).items()],
            [""] * len(after.parts.catalogue),
        )
    )
    assert corrected.moves == {"l1": (LAMPS, BOOTS)}
    assert not [each for each in corrected.findings if each.what == UNDONE]


def test_a_removed_card_that_comes_back_is_asked_about_again(index: ProductIndex) -> None:
    """A duplicate that every delivery brings again would be hidden for ever."""
    twin = line(1, "k2", "remove", check="duplicates", proposal=REMOVE)
    back = review(index, twin).add(index.parts.catalogue)
    asked = Item("duplicates", "wrong label", 0.1, ("k2",), proposal=REMOVE)
    assert undecided([asked], back.parts.catalogue, back.parts.decided) == [asked]
    assert not confirmed(back.parts).any()


def test_what_was_decided_survives_every_change_and_rollback_takes_it_back(saved: Path) -> None:
    """The audit would ask a hundred questions again after each delivery."""
    opened = ProductIndex.load(saved)
    review(opened, line(1, "b1", "no"), line(2, "k1", LAMPS)).save_next(saved)
    digest = digest_texts(opened.parts.catalogue, [0])[0]
    stored = ProductIndex.load(saved)
    assert stored.parts.decided[0] == Decided(
        "labels", "wrong label", KEEP, cards=(("b1", BOOTS, digest),)
    )
    assert "2 items of audits are decided" in (saved / "card.md").read_text()
    changed = stored.remove(["u1"]).add(made.catalogue([made.row("n1", "wool socks")])).refit()
    assert changed.parts.decided == stored.parts.decided
    renamed = stored.relabel({BOOTS: "Boots"})
    assert renamed.parts.decided[0].cards == (("b1", "Boots", digest),)
    renamed.save_next(saved)
    ProductIndex.rollback(saved)
    assert ProductIndex.load(saved).parts.decided == stored.parts.decided
    ProductIndex.rollback(saved)
    assert ProductIndex.load(saved).parts.decided[0].cards[0][1] == "Boots"


def test_what_is_kept_is_remembered_with_the_label_that_the_same_review_gives(
    index: ProductIndex,
) -> None:
    """A card that was relabelled and is no duplicate would be asked about again."""
    twin = {"check": "duplicates", "kind": "exact duplicates", "proposal": "remove"}
    merged = {"kind": "two names", "category": LAMPS, "proposal": f"merge into {BOOTS}"}
    after = review(
        index,
        line(1, "k1", LAMPS),
        line(2, "k1", "no", **twin),
        line(3, "l1", "keep", **twin),
        line(4, "", "yes", check="coverage", **merged),
    )
    kept = {card: of for each in after.parts.decided for card, of, _ in each.cards}
    assert kept == {"k1": LAMPS, "l1": BOOTS}
    assert labels(after)["l1"] == BOOTS


def test_what_was_decided_about_a_category_follows_its_name_and_no_merge(
    index: ProductIndex,
) -> None:
    """A renamed category would be asked about again, or another one no more."""
    advice = line(1, "", "no", check="coverage", category=BOOTS, proposal=f"merge into {LAMPS}")
    decided = review(index, advice)
    renamed = decided.relabel({BOOTS: "Boots", LAMPS: "Lamps"}).parts.decided[0]
    assert (renamed.subject, renamed.proposal) == ("Boots", "merge into Lamps")
    assert decided.relabel({BOOTS: KETTLES}).parts.decided[0].subject == BOOTS


def test_a_decision_about_a_card_of_a_delivery_is_remembered_where_it_is_kept(
    index: ProductIndex,
) -> None:
    row = {"check": "novelty", "category": "Shoes"}
    after = review(index, line(1, "n1", "no", **row), line(2, "n2", "yes", proposal=LAMPS, **row))
    assert after.parts.decided == (
        Decided("novelty", "wrong label", KEEP, cards=(("n1", "Shoes", ""),)),
    )


@pytest.mark.parametrize("way", ["plain", "excel", "xlsx"])
def test_files_that_spreadsheets_save_are_read(
    way: str, index: ProductIndex, tmp_path: Path
) -> None:
    """Excel writes semicolons and a mark of its own before the first column."""
    frame = pd.DataFrame([line(1, "b1", "yes", proposal=LAMPS), line(2, "k3", REMOVE)])
    frame["title"] = ["a; b", "чайник, электрический"]
    file = tmp_path / ("review.xlsx" if way == "xlsx" else "review.csv")
    if way == "xlsx":
        frame.to_excel(file, index=False)
    else:
        excel = {"sep": ";", "encoding": "utf-8-sig", "lineterminator": "\r\n"}
        frame.to_csv(file, index=False, **(excel if way == "excel" else {}))
    after = index.review(file)
    assert labels(after)["b1"] == LAMPS and "k3" not in labels(after)
    with pytest.raises(QueryError, match="Line 2 decides 'oops'"):
        frame["decision"] = ["oops", ""]
        frame.to_csv(file.with_suffix(".csv"), index=False)
        index.review(file.with_suffix(".csv"))


def test_a_review_is_known_by_its_columns(tmp_path: Path) -> None:
    """A file of new names would be taken for decisions, or the other way round."""
    (tmp_path / "map.csv").write_text("old,new\nb1,Lamps\n")
    assert read_review(tmp_path / "map.csv") is None
    frame = pd.DataFrame([line(1, "b1", "no")])
    assert read_review(frame.rename(columns=str.title)) == [
        {**{name: str(value) for name, value in line(1, "b1", "no").items()}, "line": "2"}
    ]
    with pytest.raises(CatalogueError, match="the table of an audit without item; keep"):
        read_review(frame.drop(columns="item"))
    with pytest.raises(CatalogueError, match="the table of an audit without kind, proposal; keep"):
        read_review(frame.drop(columns=["kind", "proposal"]))


def test_a_label_that_a_person_kept_votes_in_full() -> None:
    """Whoever said that a label is right would be overruled by the others again."""
    plain = indexed(200)
    first, *_, other_name = plain.parts.labels.names
    index = plain.relabel(
        {plain.parts.catalogue.ids[0]: other_name, plain.parts.catalogue.ids[1]: first}
    ).refit()
    doubted = int(np.argmin(index.parts.log_reliability))
    assert index.parts.log_reliability[doubted] < -0.1
    card, own = index.parts.catalogue.ids[doubted], index.parts.labels.codes[doubted]
    keep = line(1, card, "keep", category=index.parts.labels.names[own])
    fitted = review(index, keep).refit()
    assert fitted.parts.log_reliability[doubted] == 0
    assert np.count_nonzero(fitted.parts.log_reliability != index.parts.log_reliability) == 1
    # Kept by a check of something else, the label is as doubtful as before.
    other = review(index, {**keep, "check": "duplicates"}).refit()
    assert np.array_equal(other.parts.log_reliability, index.parts.log_reliability)
