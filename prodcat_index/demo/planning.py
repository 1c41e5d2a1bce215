"""Which cards the demo has: products, their variants, and the faults put in on purpose."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random

from prodcat_index.demo.tree import Leaf, category_sizes

DUPLICATES = 0.02
WRONG_LABELS = 0.015
NO_PICTURE = 0.04
NO_DESCRIPTION = 0.15
NEW_SHARE = 0.1
VARIANTS = (1, 1, 2, 2, 3, 4)
SAFE_SIZE = 5


@dataclass(frozen=True)
class Listing:
    """One card to be written and drawn."""

    id: str
    leaf: Leaf
    product: str
    variant: int
    label: str
    group: str = ""
    original: str = ""
    has_picture: bool = True
    has_description: bool = True


@dataclass(frozen=True)
class Plan:
    """The listings of the catalogue and the new ones."""

    catalogue: tuple[Listing, ...]
    new: tuple[Listing, ...]


def make_plan(cards: int, seed: int) -> Plan:
    """Decide every card of the demo."""
    rng = Random(f"{seed}|plan")
    duplicates = round(cards * DUPLICATES)
    originals = _shuffled(_listings(category_sizes(cards - duplicates), "P", rng), rng)
    catalogue = _with_faults(originals, cards, duplicates, rng)
    return Plan(tuple(catalogue), tuple(_new_listings(cards, rng)))


def _listings(sizes: dict[Leaf, int], prefix: str, rng: Random) -> Iterator[Listing]:
    number = 0
    for leaf, size in sizes.items():
        left = size
        while left:
            number += 1
            variants = min(left, rng.choice(VARIANTS))
            product = f"{prefix}{number:04d}"
            group = f"G{number:04d}" if variants > 1 else ""
            for variant in range(variants):
                yield Listing("", leaf, product, variant, leaf.category, group)
            left -= variants


def _shuffled(listings: Iterator[Listing], rng: Random) -> list[Listing]:
    shuffled = list(listings)
    rng.shuffle(shuffled)
    return shuffled


def _with_faults(
    originals: Sequence[Listing], cards: int, duplicates: int, rng: Random
) -> list[Listing]:
    listings = [replace(one, id=f"P{row + 1:05d}") for row, one in enumerate(originals)]
    sizes = category_sizes(cards)
    safe = [row for row, one in enumerate(listings) if sizes[one.leaf] >= SAFE_SIZE]
    wrong = round(cards * WRONG_LABELS)
    chosen = rng.sample(safe, duplicates + wrong)
    repeated, mislabelled = chosen[:duplicates], chosen[duplicates:]
    for row in mislabelled:
        listings[row] = replace(listings[row], label=_wrong_label(listings[row].leaf, sizes, rng))
    whole = set(repeated)
    bare = [row for row in range(len(listings)) if row not in whole]
    for row in rng.sample(bare, round(cards * NO_PICTURE)):
        listings[row] = replace(listings[row], has_picture=False)
    for row in rng.sample(bare, round(cards * NO_DESCRIPTION)):
        listings[row] = replace(listings[row], has_description=False)
    return listings + [
        replace(
            listings[row], id=f"P{len(listings) + k + 1:05d}", group="", original=listings[row].id
        )
        for k, row in enumerate(repeated)
    ]


def _wrong_label(leaf: Leaf, sizes: dict[Leaf, int], rng: Random) -> str:
    others = [one for one in sizes if one is not leaf and sizes[one] >= SAFE_SIZE]
    near = [one for one in others if one.department == leaf.department]
    return rng.choice(near if near and rng.random() < 0.5 else others).category


def _new_listings(cards: int, rng: Random) -> list[Listing]:
    sizes = category_sizes(cards)
    leaves = rng.choices(list(sizes), weights=list(sizes.values()), k=round(cards * NEW_SHARE))
    listings = [
        Listing(f"N{row + 1:04d}", leaf, f"N{row + 1:04d}", 0, leaf.category)
        for row, leaf in enumerate(leaves)
    ]
    blind, mute, title_only = rng.sample(range(len(listings)), 3)
    for row in (blind, title_only):
        listings[row] = replace(listings[row], has_picture=False)
    for row in (mute, title_only):
        listings[row] = replace(listings[row], has_description=False)
    return listings
