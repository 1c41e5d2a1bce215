"""A catalogue: its columns and rows, how it is shown, and joining two."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import catalogue, row

from prodcat_index import read_catalogue
from prodcat_index.cards.card import Card, Catalogue, join_catalogues, modality_kind
from prodcat_index.findings import Finding, list_findings


def with_column(name: str, values: list[object], *ids: str) -> Catalogue:
    made = catalogue([row(card_id, "boots") for card_id in ids])
    return Catalogue(made.cards.assign(**{name: values}))


def test_cards_come_in_the_order_of_both() -> None:
    joined = join_catalogues(catalogue([row("b"), row("a")]), catalogue([row("c", "boots")]))
    assert joined.ids == ["b", "a", "c"]
    assert joined.values("title") == ["", "", "boots"]


def test_a_column_of_one_keeps_its_numbers_through_a_file(tmp_path: Path) -> None:
    """A shop's 7 would come back as 7.0, and its true as 1.0."""
    counts = with_column("stock", [7, 8], "a", "b")
    flags = with_column("new", [True], "c")
    join_catalogues(counts, flags).cards.to_parquet(tmp_path / "cards.parquet")
    read = pd.read_parquet(tmp_path / "cards.parquet")
    assert [str(value) for value in read["stock"]] == ["7", "8", "<NA>"]
    assert [str(value) for value in read["new"]] == ["<NA>", "<NA>", "True"]


def test_a_column_of_lists_is_empty_where_it_is_missing() -> None:
    tags = with_column("tags", [["red", "wool"]], "a")
    joined = join_catalogues(tags, catalogue([row("b")]))
    assert list(joined.cards["tags"]) == [["red", "wool"], ""]


def test_only_the_picture_is_a_picture() -> None:
    """A text given to a picture encoder would be taken for a file name."""
    kinds = {name: modality_kind(name) for name in ("image", "title", "attributes")}
    assert kinds == {"image": "picture", "title": "text", "attributes": "text"}


@pytest.mark.parametrize("value", [None, float("nan"), pd.NA, "nan", "N/A", " ", [], "\u200b"])
def test_nothing_in_a_card_is_the_empty_text(value: Any) -> None:
    """A listing without a title would be looked up by the word "nan"."""
    card = Card(title=value, description=value, image=value, id=value, texts={"brand": value})
    assert card == Card(texts={"brand": ""})


forms = st.sampled_from(["<p>{}</p>", "{}&nbsp;&amp;", "\u200b{}", "['{}', 7]"])


@settings(max_examples=20)
@given(st.lists(st.builds(str.format, forms, st.text()), min_size=1, max_size=20))
def test_cards_are_cleaned_as_rows_of_a_file(texts: list[str]) -> None:
    """The same listing would get one answer from a file, and another from the command line."""
    listings: list[dict[str, Any]] = [
        {"id": str(n), "title": raw, "description": [raw, None], "brand": {"a": raw, "b": 2.0}}
        for n, raw in enumerate(texts)
    ]
    rows = read_catalogue(pd.DataFrame(listings), text_columns=["brand"])
    for n, listing in enumerate(listings):
        brand = {"brand": listing.pop("brand")}
        assert Card(**{**listing, "id": n}, texts=brand) == rows.card(n)


def test_a_path_is_a_picture(tmp_path: Path) -> None:
    assert Card(image=tmp_path / "a.jpg").image == str(tmp_path / "a.jpg")  # type: ignore[arg-type]


def test_a_card_has_its_values_by_modality() -> None:
    """A query would be embedded by the wrong text."""
    card = Card(title="Lamp", image="a.jpg", texts={"brand": "Uyut"})
    values = [card.value(name) for name in ("title", "description", "image", "brand", "colour")]
    assert values == ["Lamp", "", "a.jpg", "Uyut", ""]
    made = catalogue([row("7", "Lamp", image="a.jpg", brand="Uyut")], ("title", "brand"))
    assert made.card(0) == Card("Lamp", "", "a.jpg", "7", {"brand": "Uyut"})


def test_columns_are_read_once() -> None:
    """Every prediction would wait for a list of 91,000 ids to be made anew."""
    made = catalogue([row("a", "boots"), row("b")])
    assert made.ids == ["a", "b"] and made.values("title") == ["boots", ""]
    assert made.ids is made.ids and made.values("title") is made.values("title")
    assert made.values("colour") == ["", ""]


def test_rows_are_selected_by_number_or_mask_with_values_of_their_own() -> None:
    """The kept columns of the whole catalogue would be those of its part."""
    made = catalogue([row("a", category="A"), row("b"), row("c", category="C")])
    assert made.ids == ["a", "b", "c"]
    assert made.select([2, 0]).ids == ["c", "a"]
    assert made.select(np.array([False, True, True])).ids == ["b", "c"]
    assert made.labelled().ids == ["a", "c"]
    assert made.select([1]).labelled().ids == []


def test_a_catalogue_is_shown_by_its_counts() -> None:
    """Else a notebook shows a page of raw table."""
    made = catalogue([row("a", "boots", category="A"), row("b", image="b.jpg", category="B")] * 2)
    shown = Catalogue(made.cards, findings=(Finding("cards are odd", ("a",)),), source="a.csv")
    assert repr(shown) == (
        "<Catalogue a.csv: 4 cards, 2 categories, 100% labelled, image + title; findings: 1>"
    )
    unlabelled = catalogue([row("a", "boots"), row("b", "hat", category="A")])
    assert ", 50% labelled, title; findings: 0" in repr(unlabelled)
    nothing = Catalogue(made.cards.iloc[:0])
    assert repr(nothing) == (
        "<Catalogue of a table: 0 cards, 0 categories, no modality; findings: 0>"
    )


def test_a_notebook_shows_the_first_cards_and_runs_nothing() -> None:
    """A shop's text must not become part of the page."""
    made = catalogue([row(f"c{n}", f"<script>{n}</script>") for n in range(9)])
    shown = Catalogue(made.cards, findings=(Finding("cards are <odd>", ("c0",)),), source="<b>")
    html = shown._repr_html_()
    assert "Catalogue &lt;b&gt;: 9 cards" in html
    assert "<li>1 card is &lt;odd&gt;: c0</li>" in html
    assert "&lt;script&gt;4" in html and "c5" not in html and "<script>" not in html


def test_findings_name_the_marked_cards_and_leave_out_what_marks_none() -> None:
    """A warning without cards, or with the wrong ones, sends people to look for nothing."""
    noticed = {"cards are odd": [True, False, True], "cards are even": [False] * 3}
    [finding] = list_findings(noticed, ["a", "b", "c"])
    assert finding == Finding("cards are odd", ("a", "c"))
    assert str(finding) == "2 cards are odd: a, c"
    many = Finding("cards have no title", tuple("abcdefg"))
    assert str(many) == "7 cards have no title: a, b, c, d, e and 2 more"
