"""One catalogue after another: nothing is lost, and numbers stay what they are."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
from made import catalogue, row

from prodcat_index.cards.card import Catalogue, join_catalogues


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
