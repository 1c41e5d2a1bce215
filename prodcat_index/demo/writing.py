"""Titles and descriptions of the demo's listings, in Russian, in English, or in both."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

from prodcat_index.demo.planning import Listing
from prodcat_index.demo.tree import Leaf, Words
from prodcat_index.demo.vocabulary import (
    ANY_BRANDS,
    BOILERPLATE,
    BRANDS,
    COLOURS,
    EXTRAS,
    GENERIC_FACTS,
    INTRO,
    SERIES,
    SIZES,
    UNITS,
)

RUSSIAN, ENGLISH = 0, 1
CLEAR, VAGUE, CODE = "clear", "vague", "code"
TITLE_SHARES = {CLEAR: 68, VAGUE: 23, CODE: 9}
# A seller who says little in the title says more below it, so that the two complete each other.
BARE_SHARES = {CLEAR: 0.3, VAGUE: 0.08, CODE: 0.0}
OWN_BRAND = 0.75
FACT_SHARE = 0.75
EXTRA_SHARE = 0.25
SIZE_SHARE = 0.5
BOILERPLATE_SHARE = 0.7
BRAND_SHARE = 0.9
FOREIGN_COLOUR = 0.15


@dataclass(frozen=True)
class Product:
    """What all variants of one product share."""

    leaf: Leaf
    language: int
    kind: str
    brand: str
    series: str
    code: str
    noun: str
    extra: str
    facts: tuple[str, ...]
    price: int


@dataclass(frozen=True)
class Text:
    """The written part of a card."""

    title: str
    description: str
    brand: str
    price: int


def describe_product(leaf: Leaf, key: str, seed: int) -> Product:
    """Invent a product of a category."""
    rng = Random(f"{seed}|{key}|product")
    language = RUSSIAN if rng.random() < 0.6 else ENGLISH
    words = (leaf.russian, leaf.english)[language]
    kind = rng.choices(list(TITLE_SHARES), list(TITLE_SHARES.values()))[0]
    brands = BRANDS[leaf.department] if rng.random() < OWN_BRAND else ANY_BRANDS
    brand = rng.choice(brands)
    return Product(
        leaf=leaf,
        language=language,
        kind=kind,
        brand=brand,
        series=rng.choice(SERIES),
        code=f"{brand[:2].upper()}-{rng.randint(100, 9999)}{rng.choice('ABKMX')}",
        noun=rng.choice(words.vague if kind == VAGUE else words.nouns),
        extra=rng.choice(EXTRAS[language]) if rng.random() < EXTRA_SHARE else "",
        facts=_facts(words, language, BARE_SHARES[kind], rng),
        price=round(leaf.price * rng.uniform(0.5, 2.2) / 10) * 10 - 1,
    )


def _facts(words: Words, language: int, bare: float, rng: Random) -> tuple[str, ...]:
    generic = rng.sample(GENERIC_FACTS[language], rng.randint(2, 4))
    if rng.random() < bare:
        return tuple(generic)
    own = [fact for fact in words.facts if rng.random() < FACT_SHARE]
    mixed = own + generic
    rng.shuffle(mixed)
    return tuple(mixed)


def variant_colour(listing: Listing, seed: int) -> int:
    """Return the row of ``COLOURS`` that this variant has; variants of a product differ."""
    order = list(range(len(COLOURS)))
    Random(f"{seed}|{listing.product}|colours").shuffle(order)
    return order[listing.variant]


def write_text(listing: Listing, seed: int) -> Text:
    """Write a listing's title and description."""
    product = describe_product(listing.leaf, listing.product, seed)
    rng = Random(f"{seed}|{listing.product}|{listing.variant}|text")
    title = _title(product, COLOURS[variant_colour(listing, seed)][:2], rng)
    description = _description(product, seed, listing.product) if listing.has_description else ""
    if listing.original:
        title, description = _relisted(title, description, product.language)
    brand = product.brand if Random(f"{seed}|{listing.id}|brand").random() < BRAND_SHARE else ""
    return Text(title, description, brand, product.price)


def _title(product: Product, colour: tuple[str, str], rng: Random) -> str:
    shown = colour[product.language if rng.random() > FOREIGN_COLOUR else 1 - product.language]
    size = rng.choice(SIZES[product.leaf.size]) if rng.random() < SIZE_SHARE else ""
    measure = f"{size}{UNITS[product.leaf.size][product.language]}" if size else ""
    name = _name(product)
    return ", ".join(part for part in (name, product.extra, measure, shown) if part)


def _name(product: Product) -> str:
    noun = product.noun[0].upper() + product.noun[1:]
    if product.kind == CODE:
        return f"{product.brand} {product.series} {product.code}"
    if product.language == ENGLISH:
        return f"{product.brand} {product.series} {product.noun}"
    return f"{noun} {product.brand} {product.series}"


def _description(product: Product, seed: int, key: str) -> str:
    rng = Random(f"{seed}|{key}|description")
    template = rng.choice(INTRO[product.language])
    brand = product.brand.replace("&", "&amp;")
    intro = template.format(brand=brand, series=product.series, code=product.code)
    items = "".join(f"<li>{fact}</li>" for fact in product.facts)
    boilerplate = BOILERPLATE[product.language] if rng.random() < BOILERPLATE_SHARE else ""
    return f"<p>{intro}</p><ul>{items}</ul>{boilerplate}"


def _relisted(title: str, description: str, language: int) -> tuple[str, str]:
    shout = ("Акция! ", "Sale! ")[language]
    return shout + title.replace(", ", " / "), description.replace("<p>", "<p><b>!</b> ", 1)
