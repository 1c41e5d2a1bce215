"""Cards in pieces against lists of rows: whatever was added, removed and relabelled before."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made import catalogue, row

from prodcat_index.cards.card import Card, Catalogue, join_catalogues
from prodcat_index.cards.catalogue import as_listings
from prodcat_index.cards.pieces import CodedLabels, Frame, Pieces
from prodcat_index.types import Int64Array

COLUMNS = ("id", "title", "category", "category_id")
Row = dict[str, str]


@dataclass(eq=False)
class Counted:
    """Cards as of a file, which know what was read of them."""

    frame_read: Frame
    read_rows: int = 0
    read_tables: int = 0

    @property
    def names(self) -> Sequence[str]:
        return self.frame_read.names

    def __len__(self) -> int:
        return len(self.frame_read)

    def read(self, name: str, rows: Int64Array | None = None) -> Sequence[Any]:
        self.read_rows += len(self) if rows is None else len(rows)
        return self.frame_read.read(name, rows)

    def frame(self) -> pd.DataFrame:
        self.read_tables += 1
        return self.frame_read.frame()


def stored(rows: Sequence[Row]) -> Catalogue:
    """Return cards as an index holds them: labels beside the table."""
    made = catalogue(rows)
    table = made.cards.drop(columns=["category", "category_id"])
    pieces = Pieces((Counted(Frame(table)),), None, made.coded_labels)
    return Catalogue.of_pieces(pieces, made.text_modalities)


def new_rows(start: int, count: int) -> list[Row]:
    return [
        row(f"c{n}", f"title {n}", category="abc"[n % 3] if n % 4 else "", category_id=f"{n % 2}")
        for n in range(start, start + count)
    ]


@st.composite
def changed_cards(draw: st.DrawFn) -> tuple[Catalogue, list[Row]]:
    made = draw(st.integers(1, 6))
    rows = new_rows(0, made)
    cards = stored(rows)
    for verb in draw(st.lists(st.sampled_from(["add", "select", "relabel"]), max_size=6)):
        if verb == "add":
            new, made = new_rows(made, count := draw(st.integers(1, 4))), made + count
            cards, rows = join_catalogues(cards, catalogue(new)), rows + new
        elif verb == "select" and rows:
            kept = draw(st.lists(st.sampled_from(range(len(rows))), unique=True, min_size=1))
            cards, rows = cards.select(kept), [rows[at] for at in kept]
        elif rows:
            names = [draw(st.sampled_from(["", "a", "z"])) for _ in rows]
            cards = cards.relabelled(names, [f"key {name}" for name in names])
            pairs = zip(rows, names, strict=True)
            rows = [{**own, "category": n, "category_id": f"key {n}"} for own, n in pairs]
    return cards, rows


@given(changed_cards(), st.data())
def test_cards_are_those_that_a_list_of_rows_would_be(
    changed: tuple[Catalogue, list[Row]], data: st.DataObject
) -> None:
    """A customer would see the title or the category of another card."""
    cards, rows = changed
    assert len(cards) == len(rows)
    some = np.array(data.draw(st.lists(st.sampled_from(range(len(rows))), max_size=4)), dtype=int)
    for name in COLUMNS:
        assert cards.values_at(name, some) == [rows[at][name] for at in some] or not rows
    for name in (*COLUMNS, "description"):
        assert cards.values(name) == [own.get(name, "") for own in rows]
    expected = catalogue(rows)
    pd.testing.assert_frame_equal(cards.to_frame(), expected.to_frame(), check_dtype=False)
    assert cards.further_columns == []
    mask = np.arange(len(rows)) % 2 == 0
    assert cards.select(mask).ids == [own["id"] for own in rows[::2]]
    assert [card.title for card in cards] == [own["title"] for own in rows]


@given(changed_cards())
def test_codes_of_labels_tell_the_labels(changed: tuple[Catalogue, list[Row]]) -> None:
    cards, rows = changed
    compacted = cards.coded_labels.compacted()
    pairs = [(own["category"], own["category_id"]) for own in rows]
    assert [compacted.pairs[code] for code in compacted.codes] == pairs
    assert sorted(compacted.pairs) == sorted(set(pairs))


def test_a_few_cards_are_read_alone() -> None:
    """A query would read the titles of a million cards to show ten."""
    cards = stored(new_rows(0, 5000))
    piece = cards.pieces.stacked[0]
    assert isinstance(piece, Counted)
    assert cards.values_at("title", np.array([4321, 7])) == ["title 4321", "title 7"]
    assert cards.select([10, 20]).values("title") == ["title 10", "title 20"]
    assert cards.values_at("category", np.array([1]))[0] == "b"
    added = join_catalogues(cards, catalogue(new_rows(5000, 2)))
    assert added.values_at("id", np.array([5001])) == ["c5001"]
    assert (piece.read_rows, piece.read_tables) == (4, 0)


def test_a_column_that_is_asked_for_again_and_again_is_read_once() -> None:
    """Answers to thousands of listings would read the file thousands of times."""
    cards = stored(new_rows(0, 5000))
    piece = cards.pieces.stacked[0]
    assert isinstance(piece, Counted)
    for n in range(1000):
        assert cards.values_at("title", np.array([n])) == [f"title {n}"]
    assert piece.read_rows < 2 * 5000


def test_a_column_that_only_some_pieces_have_is_missing_in_the_rest() -> None:
    first = stored(new_rows(0, 2))
    second = catalogue(new_rows(2, 1))
    second = Catalogue(second.cards.assign(price=[7]), second.text_modalities)
    joined = join_catalogues(join_catalogues(first, second), catalogue(new_rows(3, 1)))
    assert joined.to_frame()["price"].isna().tolist() == [True, True, False, True]
    assert joined.to_frame()["price"].tolist()[2] == 7
    assert joined.further_columns == ["price"]


def test_many_deliveries_are_put_together() -> None:
    cards = stored(new_rows(0, 2))
    for n in range(2, 150):
        cards = join_catalogues(cards, catalogue(new_rows(n, 1)))
    assert len(cards.pieces.stacked) <= 65
    assert cards.values("title") == [f"title {n}" for n in range(150)]


def test_cards_that_are_not_chosen_do_not_stay_in_memory() -> None:
    """A service would keep every export whose few new cards it once added."""
    chosen = catalogue(new_rows(0, 1000)).select([1, 2])
    assert len(chosen.pieces.stacked[0]) == 2


def test_labels_of_other_cards_keep_their_own_codes() -> None:
    first, second = CodedLabels.of(["a", "b"], ["1", ""]), CodedLabels.of(["b", "a"], ["", "2"])
    joined = first.joined(second)
    assert joined.values("category") == ["a", "b", "b", "a"]
    assert joined.values("category_id") == ["1", "", "", "2"]
    assert joined.pairs == (("a", "1"), ("b", ""), ("a", "2"))


def test_an_unknown_attribute_is_named() -> None:
    with pytest.raises(AttributeError, match="a catalogue has no 'cardz'"):
        catalogue().cardz  # noqa: B018


def test_a_listing_is_made_without_the_library_of_tables() -> None:
    """Every query from the command line would wait half a second longer."""
    code = """
import sys
from prodcat_index.cards.card import Card
from prodcat_index.cards.catalogue import as_listings
listing = as_listings(Card(title="leather boots"), None)
assert listing.values("title") == ["leather boots"] and len(listing) == 1
assert "pandas" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    listing = as_listings([Card(title="a", texts={"size": "9"}), Card(title="b")], None)
    assert listing.cards[["title", "size"]].values.tolist() == [["a", "9"], ["b", ""]]
