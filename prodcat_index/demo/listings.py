"""Cards of the demo: products, their variants, planted faults, titles and descriptions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from importlib.resources import files
from random import Random
from typing import Any

from prodcat_index.types import CATEGORY_SEPARATOR

# Shares of the catalogue's cards.
DUPLICATES = 0.02
WRONG_LABELS = 0.015
NO_PICTURE = 0.04
NO_DESCRIPTION = 0.15
NEW_LISTINGS = 0.1
# Variants per product; the mean of 2.2 leaves most products with a group.
VARIANTS = (1, 1, 2, 2, 3, 4)
# Each category has this share of the cards of the one before it: a long tail.
SHRINK = 0.86
# A fault in a smaller category would leave nothing to find it by.
SAFE_SIZE = 5

SHOP: dict[str, Any] = json.loads(files(__package__).joinpath("shop.json").read_text("utf-8"))


@dataclass(frozen=True, eq=False)
class Leaf:
    """One category: how its products look, what they cost and how they are called."""

    category: str
    shapes: list[str]
    size: str
    price: int
    words: dict[str, dict[str, list[str]]]  # language (ru or en) -> nouns, vague, facts

    @property
    def department(self) -> str:
        """The first step of the category's path."""
        return self.category.split(CATEGORY_SEPARATOR)[0]


LEAVES = tuple(Leaf(**leaf) for leaf in SHOP["leaves"])


@dataclass(frozen=True)
class Listing:
    """One card to be written and drawn."""

    id: str
    leaf: Leaf
    product: str
    variant: int
    label: str
    group: str = ""
    original: str = ""  # id of the card that this one repeats
    has_picture: bool = True
    has_description: bool = True


def plan_listings(cards: int, seed: int) -> tuple[list[Listing], list[Listing]]:
    """Plan every card of the demo: those of the catalogue and the new listings."""
    rng = Random(f"{seed}|plan")
    duplicates = round(cards * DUPLICATES)
    catalogue = list(_variants(category_sizes(cards - duplicates), rng))
    rng.shuffle(catalogue)
    catalogue = [replace(one, id=f"P{row:05d}") for row, one in enumerate(catalogue, start=1)]
    return _with_faults(catalogue, cards, rng), _new_listings(cards, rng)


def category_sizes(cards: int) -> dict[Leaf, int]:
    """Distribute cards over the categories with a long tail, at least one in each."""
    total = sum(SHRINK**rank for rank in range(len(LEAVES)))
    free = cards - len(LEAVES)
    sizes = [1 + int(free * SHRINK**rank / total) for rank in range(len(LEAVES))]
    for rank in range(cards - sum(sizes)):
        sizes[rank] += 1
    return dict(zip(LEAVES, sizes, strict=True))


def _variants(sizes: dict[Leaf, int], rng: Random) -> Iterator[Listing]:
    number = 0
    for leaf, remaining in sizes.items():
        while remaining:
            number += 1
            count = min(remaining, rng.choice(VARIANTS))
            group = f"G{number:04d}" if count > 1 else ""
            for variant in range(count):
                yield Listing("", leaf, f"P{number:04d}", variant, leaf.category, group)
            remaining -= count


def _with_faults(listings: list[Listing], cards: int, rng: Random) -> list[Listing]:
    sizes = category_sizes(cards)
    safe = [row for row, one in enumerate(listings) if sizes[one.leaf] >= SAFE_SIZE]
    wrong = round(cards * WRONG_LABELS)
    chosen = rng.sample(safe, cards - len(listings) + wrong)
    for row in chosen[:wrong]:
        listings[row] = replace(listings[row], label=_wrong_label(listings[row].leaf, sizes, rng))
    repeated = chosen[wrong:]
    # A card that is listed twice keeps its picture and text, or nobody could see that it is.
    others = sorted(set(range(len(listings))) - set(repeated))
    _change(listings, rng.sample(others, round(cards * NO_PICTURE)), has_picture=False)
    _change(listings, rng.sample(others, round(cards * NO_DESCRIPTION)), has_description=False)
    numbered = enumerate((listings[row] for row in repeated), start=len(listings) + 1)
    return listings + [
        replace(one, id=f"P{number:05d}", group="", original=one.id) for number, one in numbered
    ]


def _wrong_label(leaf: Leaf, sizes: dict[Leaf, int], rng: Random) -> str:
    others = [one for one, size in sizes.items() if one is not leaf and size >= SAFE_SIZE]
    near = [one for one in others if one.department == leaf.department]
    return rng.choice(near if near and rng.random() < 0.5 else others).category


def _new_listings(cards: int, rng: Random) -> list[Listing]:
    sizes = category_sizes(cards)
    leaves = rng.choices(list(sizes), list(sizes.values()), k=round(cards * NEW_LISTINGS))
    named = ((f"N{row:04d}", leaf) for row, leaf in enumerate(leaves, start=1))
    listings = [Listing(id_, leaf, id_, 0, leaf.category) for id_, leaf in named]
    # Three listings show what a missing part does: the picture, the description, both.
    no_picture, no_description, title_only = rng.sample(range(len(listings)), 3)
    _change(listings, (no_picture, title_only), has_picture=False)
    _change(listings, (no_description, title_only), has_description=False)
    return listings


def _change(listings: list[Listing], rows: Iterable[int], **parts: Any) -> None:
    for row in rows:
        listings[row] = replace(listings[row], **parts)


def variant_colour(listing: Listing, seed: int) -> dict[str, Any]:
    """Return the colour of a variant; the variants of one product differ."""
    colours = list(SHOP["colours"])
    Random(f"{seed}|{listing.product}|colours").shuffle(colours)
    return colours[listing.variant]


def write_text(listing: Listing, seed: int) -> dict[str, Any]:
    """Write a listing's title, description, brand and price."""
    leaf = listing.leaf
    # Keyed by the product: its variants share all but colour and size.
    rng = Random(f"{seed}|{listing.product}|product")
    language = "ru" if rng.random() < 0.6 else "en"
    words, phrases = leaf.words[language], SHOP["phrases"][language]
    # A seller who writes little in the title writes more below it: the two complete each other.
    styles = list(SHOP["styles"].values())
    style = rng.choices(styles, [one["weight"] for one in styles])[0]
    own_brand = rng.random() < 0.75
    brand = rng.choice(SHOP["brands"][leaf.department] if own_brand else SHOP["any_brands"])
    noun = rng.choice(words[style["nouns"]])
    names = {
        "noun": noun[0].upper() + noun[1:],
        "brand": brand,
        "series": rng.choice(SHOP["series"]),
        "code": f"{brand[:2].upper()}-{rng.randint(100, 9999)}{rng.choice('ABKMX')}",
    }
    price = round(leaf.price * rng.uniform(0.5, 2.2) / 10) * 10 - 1
    extra = rng.choice(phrases["extras"]) if rng.random() < 0.25 else ""
    parts = (style[language].format(**names), extra, *_variant_words(listing, language, seed))
    title = ", ".join(part for part in parts if part)
    description = ""
    if listing.has_description:
        facts = [] if rng.random() < style["without_facts"] else words["facts"]
        description = _description(facts, phrases, names, rng)
    if listing.original:
        title = phrases["sale"] + title.replace(", ", " / ")
        description = description.replace("<p>", "<p><b>!</b> ", 1)
    brand = brand if Random(f"{seed}|{listing.id}|brand").random() < 0.9 else ""
    return {"title": title, "description": description, "brand": brand, "price": price}


def _variant_words(listing: Listing, language: str, seed: int) -> tuple[str, str]:
    """Return size and colour; a few colours are named in the other language."""
    rng = Random(f"{seed}|{listing.product}|{listing.variant}|variant")
    size = SHOP["sizes"][listing.leaf.size]
    measure = rng.choice(size["values"])
    other = "en" if language == "ru" else "ru"
    colour = variant_colour(listing, seed)[language if rng.random() < 0.85 else other]
    return (measure + size[language] if measure and rng.random() < 0.5 else "", colour)


def _description(
    facts: list[str], phrases: dict[str, Any], names: dict[str, str], rng: Random
) -> str:
    items = [fact for fact in facts if rng.random() < 0.75]
    items += rng.sample(phrases["facts"], rng.randint(2, 4))
    rng.shuffle(items)
    intro = rng.choice(phrases["intros"]).format(**names).replace(" & ", " &amp; ")
    boilerplate = phrases["boilerplate"] if rng.random() < 0.7 else ""
    return f"<p>{intro}</p><ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>{boilerplate}"
