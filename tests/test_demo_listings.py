"""Planning and texts of the demo: long tail, groups, planted faults, words that overlap."""

from collections import Counter
from dataclasses import replace

import pytest

from prodcat_index.demo.listings import (
    LEAVES,
    SHOP,
    Listing,
    category_sizes,
    plan_listings,
    write_text,
)


def test_listings_that_are_not_named_wrong_are_right():
    """Else there are label errors that the truth does not confess."""
    catalogue, new = plan_listings(600, 3)
    wrong = [one for one in catalogue if one.label != one.leaf.category]
    assert len(wrong) == 9
    assert all(one.label == one.leaf.category for one in new)


def test_sizes_have_a_long_tail():
    """Else the demo does not show what the tool is for: few large and many tiny categories."""
    sizes = Counter(one.label for one in plan_listings(1500, 0)[0])
    assert sizes.total() == 1500
    assert 190 <= max(sizes.values()) <= 260
    assert sum(size == 1 for size in sizes.values()) >= 4
    assert len(sizes) == len(LEAVES)


@pytest.mark.parametrize("cards", [100, 101, 137, 999, 5000])
def test_category_sizes_sum_to_the_number_of_cards(cards):
    """Else the demo has another number of cards than requested."""
    sizes = category_sizes(cards)
    assert sum(sizes.values()) == cards
    assert min(sizes.values()) >= 1


def test_no_product_is_in_both_files():
    """Else the new listings are scored on products that the catalogue already holds."""
    catalogue, new = plan_listings(1500, 0)
    assert not {card.product for card in catalogue} & {one.product for one in new}
    assert not {one.group for one in new} - {""}


def test_groups_hold_the_variants_of_one_product():
    """Else grouped splits keep the wrong cards together."""
    catalogue = plan_listings(1500, 0)[0]
    members: dict[str, list[Listing]] = {}
    for one in catalogue:
        members.setdefault(one.group, []).append(one)
    members.pop("")
    assert len(members) > 200
    for group in members.values():
        assert len(group) > 1
        assert len({(one.product, one.leaf) for one in group}) == 1
        assert len({one.variant for one in group}) == len(group)


def test_variants_share_the_product_and_differ_in_colour():
    """Else a variant group looks like unrelated cards, or like copies."""
    one = Listing("P1", LEAVES[2], "P0001", 0, LEAVES[2].category, "G1")
    other = Listing("P2", LEAVES[2], "P0001", 1, LEAVES[2].category, "G1")
    first, second = write_text(one, 0), write_text(other, 0)
    assert first["title"].split(",")[0] == second["title"].split(",")[0]
    assert first["title"] != second["title"]
    assert first["description"] == second["description"]
    assert first["price"] == second["price"]


def test_every_leaf_has_what_the_makers_look_up():
    """Else a rare category fails only for some seeds."""
    assert {shape for leaf in LEAVES for shape in leaf.shapes} <= set(SHOP["shapes"])
    assert {leaf.size for leaf in LEAVES} <= set(SHOP["sizes"])
    assert {leaf.department for leaf in LEAVES} == set(SHOP["brands"])
    assert all(leaf.category.count(" > ") == 1 for leaf in LEAVES)
    assert len({leaf.category for leaf in LEAVES}) == len(LEAVES)


def test_vague_nouns_join_different_categories():
    """Else the title alone settles every card and the picture has nothing to add."""
    owners = Counter(word for leaf in LEAVES for word in leaf.words["ru"]["vague"])
    assert owners["чехол"] >= 3
    assert owners["лампа"] >= 3
    assert not {word for leaf in LEAVES for word in leaf.words["ru"]["nouns"]} & {"чехол", "лампа"}


def test_texts_differ_by_seed():
    """Else the seed is a promise without effect."""
    first, other = plan_listings(120, 0)[0][0], plan_listings(120, 1)[0][0]
    assert write_text(first, 0) == write_text(first, 0)
    assert write_text(first, 0) != write_text(other, 1)


def test_missing_description_changes_nothing_else():
    """Else a card without a description has another price than the variants of its product."""
    one = plan_listings(120, 0)[0][0]
    whole, bare = (write_text(replace(one, has_description=has), 0) for has in (True, False))
    assert bare == {**whole, "description": ""}
    assert whole["description"]


def test_ampersands_of_brands_are_escaped_in_html_and_not_in_titles():
    """Else the cleaning of HTML is never tried on the demo, or titles show entities."""
    texts = [write_text(one, 0) for one in plan_listings(1500, 0)[0]]
    described = [one for one in texts if "Severin & Co" in one["title"] and one["description"]]
    assert len(described) > 5
    assert not any("Severin & Co" in one["description"] for one in described)
    assert any("Severin &amp; Co" in one["description"] for one in described)
