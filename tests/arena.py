"""A small shop for evaluations: three shelves, each pointing its own way."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import made
import numpy as np

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.split import Split
from prodcat_index.evaluation.held_out import HeldOutSplit
from prodcat_index.index.learned import ProjectionKind
from prodcat_index.index.product_index import ProductIndex

SHELVES = {made.BOOTS: 0, made.KETTLES: 120, made.LAMPS: 240}
ENCODERS = {"title": "numbers", "description": "numbers"}


def direction(degrees: float) -> str:
    """Return the text that :class:`made.NumbersEncoder` reads as this direction."""
    angle = math.radians(degrees)
    return f"{math.cos(angle):.6f} {math.sin(angle):.6f}"


def shop(each: int = 12, *, title_spread: float = 1.0, noise: int = 0) -> Catalogue:
    """Make cards whose titles tell the shelf, and whose descriptions do so but for some noise.

    Cards lie `title_spread` degrees apart; every `noise`-th description points to another shelf.
    """
    rows = []
    for shelf, (category, centre) in enumerate(SHELVES.items()):
        for place in range(each):
            wrong = noise and place % noise == 0
            rows.append(
                made.row(
                    f"{shelf}{place:02}",
                    direction(centre + title_spread * place),
                    direction(centre + 2 * place + (120 if wrong else 0)),
                    category=category,
                )
            )
    return made.catalogue(rows)


def alternating(catalogue: Catalogue, every: int = 4) -> Split:
    """Take every fourth card for the test."""
    parts = ["test" if row % every == 0 else "train" for row in range(len(catalogue))]
    return split_of(catalogue, parts)


def split_of(catalogue: Catalogue, parts: Sequence[str]) -> Split:
    ids = catalogue.ids
    return Split(tuple(ids), tuple(parts), np.arange(len(ids)), "by hand")


def held_out(
    catalogue: Catalogue,
    split: Split,
    encoders: Mapping[str, str] | None = None,
    projection: ProjectionKind = "none",
) -> HeldOutSplit:
    """Index the training part and embed the test part."""
    train = split.select(catalogue, "train")
    index = ProductIndex.build(train, encoders=encoders or ENCODERS, projection=projection)
    names = sorted(set(catalogue.values("category")) - {""})
    groups = split.groups[split.rows(catalogue, "train")]
    return HeldOutSplit(index, split.select(catalogue, "test"), names, groups)
