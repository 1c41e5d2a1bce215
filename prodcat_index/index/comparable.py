"""The values that an index embeds of listings, and checks that they can be compared with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from prodcat_index.cards.card import Catalogue
from prodcat_index.errors import QueryError
from prodcat_index.index.block import Block, Values, has_any
from prodcat_index.index.manifest import SCORES

if TYPE_CHECKING:
    from prodcat_index.index.parts import IndexParts


def check_comparable(parts: IndexParts, listings: Catalogue, *, scored: bool = True) -> None:
    """Raise QueryError unless some listing has something to compare, its texts if `scored`."""
    if len(listings) == 0:
        raise QueryError("There is no listing to look up.")
    check_dims(parts, listings)
    blocks = parts.blocks if scored else parts.encoder_blocks
    if not any(has_any(block_values(listings, block)) for block in blocks):
        raise QueryError(
            f"This index embeds {', '.join(parts.modalities)}, and the query has none of "
            f"these; give one of them, or build an index with what it has."
            f"{hint_vectors(parts.vector_dims)}"
        )


def check_dims(parts: IndexParts, listings: Catalogue) -> None:
    """Raise QueryError for vectors that the vectors of an index cannot be compared with."""
    dims = parts.vector_dims
    for name, rows in listings.vectors.items():
        if rows.shape[1] != dims.get(name, 0):
            known = ", ".join(f"{own} ({dim} numbers)" for own, dim in dims.items()) or "none"
            raise QueryError(
                f"This index cannot compare vectors of {name} with {rows.shape[1]} numbers; its "
                f"own vectors are {known}."
            )


def lacked_vectors(parts: IndexParts, listings: Catalogue) -> dict[str, int]:
    """Return the dimensions of the vectors that no listing has, by modality."""
    return {n: dim for n, dim in parts.vector_dims.items() if n not in listings.vectors}


def hint_vectors(dims: Mapping[str, int]) -> str:
    """Return a sentence about modalities that the index has no encoder of; empty without any."""
    named = ", ".join(f"{name!r}: rows of {dim} numbers" for name, dim in dims.items())
    what = "vectors that came with its cards, which no text or picture is compared with"
    return f" The index holds {what}: give vectors={{{named}}}." if dims else ""


def block_values(listings: Catalogue, block: Block) -> Values:
    """Return what the encoder of a block reads of listings."""
    if block.kind != "vector":
        return listing_values(listings, block.modality)
    nothing = np.zeros((len(listings), block.dim), dtype=np.float32)
    return listings.vectors.get(block.modality, nothing)


def listing_values(listings: Catalogue, modality: str) -> list[str]:
    """Return the listings' values of a modality; for text scores, all texts as a JSON object."""
    if modality != SCORES:
        return listings.values(modality)
    columns = {name: listings.values(name) for name in listings.text_modalities}
    rows = zip(*columns.values(), strict=True)
    texts = [dict(zip(columns, row, strict=True)) for row in rows]
    return [json.dumps(own) if any(own.values()) else "" for own in texts]
