"""Variants of one product are found by their texts, and different products are left apart."""

from __future__ import annotations

from collections.abc import Sequence

import made
import numpy as np
import pytest

from prodcat_index.cards.duplicates import (
    DESCRIPTIONS,
    SHARED_DESCRIPTIONS,
    SHARED_TITLES,
    TITLES,
    find_groups,
)
from prodcat_index.cards.variants import product_words

LONG = "woven by hand from undyed wool of the northern islands and washed once in spring water"
NAMES = ("nugeri kisapu", "pufiti kugube", "timoge rulude", "roguko narapi")


def groups_of(rows: Sequence[dict[str, str]]) -> set[str]:
    """Return the groups of more than one card, each as its ids in order."""
    catalogue = made.catalogue(rows)
    codes = find_groups(catalogue).codes
    found = [np.array(catalogue.ids)[codes == code].tolist() for code in np.unique(codes)]
    return {" ".join(ids) for ids in found if len(ids) > 1}


def titled(*titles: str, description: str = "") -> list[dict[str, str]]:
    return [
        made.row(str(i), title, description.format(i), category=f"shelf {i % 3}")
        for i, title in enumerate(titles)
    ]


@pytest.mark.parametrize(
    "titles",
    [
        ("Nugeri Kisapu XS", "Nugeri Kisapu (2XL)", "Nugeri Kisapu, size M"),
        ("Oak Desk white", "White oak desk, large", "Oak desk - Grey"),
        ("Green Tea Acme 100 g", "Green tea Acme 1,5kg", "Tea Acme 2 x 50 g"),
        ("Футболка Лето чёрная р.42", "Футболка Лето, белая, 44", "Футболка «Лето» синяя XL"),
        ("Чайник Волна 1,7 л", "Чайник Волна 2л", "Чайник Волна"),
        ("Camiseta Sol roja talla 38", "Camiseta Sol azul", "Camiseta Sol blanca 40"),
        ("Lampe Nord schwarz 60 cm", "Lampe Nord weiß", "Lampe Nord, Farbe: rot"),
        ("Robe Lune noire taille 36", "Robe Lune bleue", "Robe Lune, rouge 38"),
        ("Tile Rome 20x30cm", "Tile Rome 30х30", "Tile Rome 60 x 60 cm"),
        ("Phone Nova 64GB", "Phone Nova 128 GB black", "Phone Nova №2"),
        ("Kadın bot deri siyah", "Kadın bot deri BEYAZ 38", "Kadın bot deri kırmızı"),
        ("Laars Maan zwart", "Laars Maan, rode", "Laars Maan groene 40"),
        ("Чоботи Зима червоні", "Чоботи Зима сині 38", "Чоботи Зима, чорна"),
        ("Ёлка Лесная зеленая", "Елка лесная зелёная 2 м", "ЕЛКА ЛЕСНАЯ белая"),
        ("Table Café noire", "Table cafe blanche", "TABLE CAFÉ"),
    ],
)
def test_titles_that_differ_in_size_colour_or_number_are_one_product(titles: Sequence[str]) -> None:
    """The variant in training gives the answer of the one in the test away."""
    rows = [*titled(*titles), made.row("x", "Copper kettle Zeta"), made.row("y", "Wall clock Iota")]
    assert groups_of(rows) == {"0 1 2"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Battery pack AA 4 pcs", "Battery pack AAA 4 pcs"),
        ("Mixer tap LM3301C", "Mixer tap LM4401C"),
        ("Building set 75192", "Building set 60052"),
        ("Lamp 12", "Lamp 13"),
        ("red lamp", "blue lamp"),
        ("Watch Orbit for men", "Watch Orbit for women"),
        ("42", "43"),
    ],
)
def test_other_products_stay_apart(one: str, other: str) -> None:
    """Joined, they would leave nothing to test, or to learn from."""
    assert groups_of(titled(one, other)) == set()


def test_a_title_that_too_many_cards_share_names_no_product() -> None:
    """A whole category of a shop that numbers its articles would become one product."""
    rows = [made.row(f"{i:03}", f"Kitchen tap no {i}", category="taps") for i in range(51)]
    others = [
        made.row(f"o{i:02}", f"{chr(97 + i // 26)}{chr(97 + i % 26)}le shower", category="taps")
        for i in range(60)
    ]
    assert groups_of([*rows, *others]) == set()
    (finding,) = find_groups(made.catalogue([*rows, *others])).findings
    assert (finding.what, finding.count) == (SHARED_TITLES, 51)
    assert len(groups_of([*rows[1:], *others])) == 1


def test_titles_that_say_no_more_than_the_category_join_nothing() -> None:
    """Every category would be one product, so that none of its cards could be tested."""
    rows = [
        made.row(f"{i:02}", f"{('oak chair', 'wall clock')[i % 2]} {i}", category=f"c{i % 2}")
        for i in range(16)
    ]
    assert groups_of(rows) == set()
    # With other products beside them, they may be variants.
    more = [made.row(f"x{i}", f"{NAMES[i % 4]} {i // 4}", category=f"c{i % 2}") for i in range(8)]
    assert len(groups_of([*rows, *more])) == 6


def test_titles_do_not_chain_most_cards_into_one_group() -> None:
    """Short titles that differ in numbers, between groups of the shop: nothing would be tested."""
    rows = [
        made.row(f"{i:02}", f"{NAMES[i % 4]} {i}", category=f"c{i % 2}", group=f"g{i // 3}")
        for i in range(36)
    ]
    found = find_groups(made.catalogue(rows))
    assert found.count == 12 and found.joined[TITLES] == 0
    (finding,) = found.findings
    assert (finding.what, finding.count) == (SHARED_TITLES, 36)
    # What the shop says is believed, and titles may add to it.
    same = [{**row, "group": "g0" if i < 20 else ""} for i, row in enumerate(rows)]
    assert find_groups(made.catalogue(same)).joined[TITLES] == 36


def test_what_is_left_of_a_title() -> None:
    """A number left with its unit, or a code cut in two, would tell variants or products apart."""
    assert product_words("Coffee «Ruby» 2 x 1,5 KG, cor: preta") == ["coffee", "ruby"]
    assert product_words("USB-C cable A10 3d 100w 12345") == [
        "usb",
        "c",
        "cable",
        "a10",
        "3d",
        "12345",
    ]
    assert product_words("Light desk lamp, light blue 4 kg") == ["light", "desk", "lamp"]
    assert product_words("Куртка Иней тёмно-синяя") == ["куртка", "иней"]
    assert product_words("kg of feathers") == ["kg", "of", "feathers"]


def test_a_long_description_joins_whatever_the_titles_say() -> None:
    """Colours that no list knows, and names of variants, would hide the twin."""
    rows = titled("Kisapu sage", "Kisapu mauve", "Rulude ecru", description=LONG + " in size {}")
    assert groups_of(rows) == {"0 1 2"}
    assert find_groups(made.catalogue(rows)).joined[DESCRIPTIONS] == 3
    assert groups_of(titled("Kisapu sage", "Kisapu mauve", description="woven by hand")) == set()


def shop_of(n: int, shared: int, title: str, categories: int = 1) -> list[dict[str, str]]:
    """Make a shop of n cards, the first of which have titles by a pattern and one description."""
    words = [f"{chr(97 + i // 26)}{chr(97 + i % 26)}word" for i in range(n)]
    return [
        made.row(f"{i:03}", title.format(word), LONG, category=f"c{i % categories}")
        if i < shared
        else made.row(f"{i:03}", f"other {word}", f"{LONG} {word}", category=f"c{i % 2}")
        for i, word in enumerate(words)
    ]


def test_boilerplate_is_no_product() -> None:
    """Half of a shop would be one product, and never tested."""
    for rows in (
        shop_of(100, 50, "long name of product {}"),  # Too large a part of the shop.
        shop_of(100, 20, "chair {}"),  # The titles have little in common.
        shop_of(100, 20, "long name of product {}", categories=3),
    ):
        assert groups_of(rows) == set()
        (finding,) = find_groups(made.catalogue(rows)).findings
        assert finding.what == SHARED_DESCRIPTIONS


def test_many_variants_of_one_product_share_a_description() -> None:
    """A product in twenty colours would leak, as no list knows all of them."""
    assert groups_of(shop_of(100, 20, "long name of product {}")) == {
        " ".join(f"{i:03}" for i in range(20))
    }


def test_variants_that_leak_are_chance_once_they_are_joined() -> None:
    """The labels of these products are drawn: 1.000 was said, and 0.2 is right."""
    rows = [
        made.row(f"{p}-{size}", f"{NAMES[p % 4]} {chr(97 + p)}bc {size}", category=f"c{p % 5}")
        for p in range(20)
        for size in ("XS", "S", "M", "L", "XL")
    ]
    groups = find_groups(made.catalogue(rows))
    assert groups.count == 20 and groups.joined[TITLES] == 100
    assert groups.describe() == (
        "100 cards are 20 groups, the largest of 5 cards; joined with others: 100 by titles that "
        "differ in a size, colour or number."
    )
