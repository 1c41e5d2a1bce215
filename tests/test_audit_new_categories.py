"""Listings that fit no category of the index are put together, named and given a place."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from made import catalogue, row

from prodcat_index.audit import new_categories
from prodcat_index.audit.check import CheckResult
from prodcat_index.audit.graph import AuditGraph, NewCards, answer_new
from prodcat_index.audit.new_categories import NewCategories, group_cards
from prodcat_index.errors import QueryError
from prodcat_index.index.product_index import ProductIndex

SHELVES = {
    "Shoes > Boots": "leather boots",
    "Shoes > Sandals": "summer sandals",
    "Shoes > Sneakers": "running sneakers",
    "Kitchen > Kettles": "steel kettle",
    "Kitchen > Plates": "porcelain plate",
    "Kitchen > Pans": "frying pan",
    "Home > Lamps": "desk lamp",
    "Home > Towels": "cotton towel",
}
COLOURS = ["red", "blue", "green", "white", "black"]
# Of these the index has nothing, but for their colours and sizes.
NEW = {"telescope": "astronomy telescope", "violin": "student violin"}


def listing(id: str, noun: str, n: int, category: str = "") -> dict[str, str]:
    title = f"{COLOURS[n % 5]} {noun} {'big' if n % 2 else 'small'} size {n % 11}"
    return row(id, title, category=category)


@cache
def shop() -> tuple[ProductIndex, AuditGraph]:
    names = [*SHELVES]
    rows = [listing(f"c{n}", SHELVES[names[n % 8]], n, names[n % 8]) for n in range(320)]
    index = ProductIndex.build(catalogue(rows))
    # The check reads no edge between cards of the index.
    graph = cast(AuditGraph, SimpleNamespace(parts=index.parts, neighbours=np.zeros((320, 5))))
    return index, graph


@cache
def delivery() -> NewCards:
    """Forty known listings, twelve telescopes, seven violins, and one of nothing else."""
    names = [*SHELVES]
    rows = [listing(f"k{n}", SHELVES[names[n % 8]], n + 5) for n in range(40)]
    rows += [listing(f"t{n:02}", NEW["telescope"], n) for n in range(12)]
    rows += [listing(f"v{n}", NEW["violin"], n) for n in range(7)]
    rows.append(row("junk", "qqqq wwww zzzz"))
    index, graph = shop()
    return answer_new(index, catalogue(rows), graph)


@cache
def checked() -> CheckResult:
    return NewCategories().run(shop()[1], delivery())


def test_each_new_category_is_one_item_with_a_name() -> None:
    """A person would look at nineteen cards one by one, and find a name for each."""
    telescopes, violins, junk = checked().items
    assert sorted(telescopes.cards) == [f"t{n:02}" for n in range(12)]
    assert sorted(violins.cards) == [f"v{n}" for n in range(7)]
    assert {*telescopes.words[:2]} == {"astronomy", "telescope"}
    assert telescopes.proposal.split(" > ")[-1] in ("astronomy telescope", "telescope astronomy")
    assert {*violins.words[:2]} == {"student", "violin"}
    assert telescopes.kind == violins.kind == "new category"
    assert junk.cards == ("junk",) and junk.kind == "fits no category" and junk.proposal == ""


def test_words_of_many_categories_name_none() -> None:
    """A new category would be called "telescope with", or "telescope red"."""
    parts = shop()[0].parts
    common = new_categories._common_words(parts)
    assert {*COLOURS, "big", "small", "size"} <= common
    # Three of eight categories are more than a third, one is not.
    assert not {"boots", "steel", "telescope"} & common
    assert all(not common.intersection(item.words) for item in checked().items)


def test_known_listings_are_not_flagged_and_all_have_a_score() -> None:
    result, known = checked(), delivery().decision.known
    assert known is not None
    assert result.flagged.tolist() == [False] * 40 + [True] * 20
    assert result.ids == delivery().catalogue.ids
    np.testing.assert_array_equal(result.scores, known)
    assert result.items[0].score == pytest.approx(known[40:52].mean())
    assert result.summary == (
        "20 of 60 listings fit no category of the index; 19 of them make 2 new categories."
    )
    assert result.details == {"new": 20, "categories": 2}


def test_the_order_of_the_listings_does_not_matter() -> None:
    index, graph = shop()
    turned = delivery().catalogue.select([*range(59, -1, -1)])
    found = NewCategories().run(graph, answer_new(index, turned, graph))
    for one, other in zip(checked().items, found.items, strict=True):
        assert one.cards == other.cards and one.proposal == other.proposal
        assert one.words == other.words and one.neighbours == other.neighbours


@pytest.mark.parametrize(
    ("answers", "parent", "nearest"),
    [
        (("Shoes > Boots", "Shoes > Sandals", "Shoes > Boots"), "Shoes", "Shoes > Boots"),
        (("Shoes > Boots", "Kitchen > Pans", "Home > Lamps"), "", "Home > Lamps"),
        (("Shoes > Boots", "Shoes > Boots", "Home > Lamps", "Home > Lamps"), "", "Home > Lamps"),
        (("Shoes > Boots", "Shoes > Boots", "Home > Lamps"), "", "Shoes > Boots"),
    ],
)
def test_a_new_category_hangs_where_most_of_its_cards_point(
    answers: tuple[str, ...], parent: str, nearest: str
) -> None:
    """Without three in four there is no parent; of equal answers the first by name counts."""
    assert new_categories._place(answers, len(answers)) == (parent, nearest)


def test_groups_are_cut_at_the_level_of_the_index_own_categories() -> None:
    """With a fixed level, a shop of near-equal texts would be one group, another one none."""
    groups = group_cards(shop()[0].parts, delivery(), np.arange(40, 60))
    assert len({*groups[:12]}) == len({*groups[12:19]}) == 1
    assert len({*groups}) == 3
    assert group_cards(shop()[0].parts, delivery(), np.array([5])).tolist() == [1]
    assert group_cards(shop()[0].parts, delivery(), np.zeros(0, dtype=np.int64)).tolist() == []


def test_fewer_cards_than_asked_for_make_no_category() -> None:
    result = NewCategories(least_cards=8).run(shop()[1], delivery())
    assert [len(item.cards) for item in result.items] == [12, *[1] * 8]
    assert result.details["categories"] == 1


def test_what_is_left_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(new_categories, "MOST", 15)
    result = NewCategories().run(shop()[1], delivery())
    assert sum(len(item.cards) for item in result.items) == 15
    assert result.notes == ("of 20 new listings, the 15 least known were compared and are listed",)
    assert result.flagged.sum() == 20


def test_a_check_that_cannot_run_says_why() -> None:
    _, graph = shop()
    with pytest.raises(QueryError, match="name a new catalogue"):
        NewCategories().run(graph)
    blind = replace(delivery(), decision=replace(delivery().decision, known=None, of_none=None))
    with pytest.raises(QueryError, match="build it again"):
        NewCategories().run(graph, blind)


def test_a_delivery_without_anything_new_has_no_items() -> None:
    index, graph = shop()
    known = delivery().catalogue.select([*range(40)])
    result = NewCategories().run(graph, answer_new(index, known, graph))
    assert result.items == [] and not result.flagged.any()
