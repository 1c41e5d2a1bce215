"""Listings that are looked up, and their embeddings by the blocks of an index."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from prodcat_index.cards.card import Card, Catalogue
from prodcat_index.encoders.base import BoolArray, FloatArray
from prodcat_index.errors import QueryError
from prodcat_index.index.block import Block
from prodcat_index.index.parts import IndexParts

Listings = Catalogue | Sequence[Card]


def check_comparable(parts: IndexParts, listings: Listings) -> None:
    """Refuse listings that have nothing that an index embeds.

    Raises
    ------
    QueryError
        If there is no listing, or none has such a modality.
    """
    if len(listings) == 0:
        raise QueryError("There is no listing to look up.")
    if not any(any(_values(listings, modality)) for modality in parts.modalities):
        raise QueryError(
            f"This index embeds {', '.join(parts.modalities)}, and the query has none of "
            "these; give one of them, or build an index with what it has."
        )


def encode_listings(
    blocks: Sequence[Block], listings: Listings
) -> tuple[list[FloatArray], BoolArray]:
    """Embed listings as the cards of an index were.

    Parameters
    ----------
    blocks
        B blocks.
    listings
        n of them; several are shown a progress bar.

    Returns
    -------
    tuple
        B float32 arrays of shape (n, dim of the block): centred unit rows, zeros where absent; and
        bool of shape (n, B).

    Raises
    ------
    EncoderError
        If an encoder cannot be loaded.
    """
    label = "embedding {}" if len(listings) > 1 else ""
    encoded = [
        block.encode_queries(_values(listings, block.modality), label.format(block.name))
        for block in blocks
    ]
    return [vectors for vectors, _ in encoded], np.stack([p for _, p in encoded], axis=1)


def without_modality(
    modality: str, blocks: Sequence[Block], vectors: Sequence[FloatArray], present: BoolArray
) -> tuple[list[FloatArray], BoolArray]:
    """Return embedded listings as if they lacked a modality.

    Parameters
    ----------
    modality
        Its name.
    blocks
        B blocks.
    vectors, present
        From :func:`encode_listings`.
    """
    lacked = np.array([block.modality == modality for block in blocks])
    kept = [np.zeros_like(rows) if out else rows for rows, out in zip(vectors, lacked, strict=True)]
    return kept, present & ~lacked


def listing_ids(listings: Listings) -> list[str]:
    """Return the ids of listings, in their order."""
    return listings.ids if isinstance(listings, Catalogue) else [card.id for card in listings]


def _values(listings: Listings, modality: str) -> list[str]:
    if isinstance(listings, Catalogue):
        return listings.values(modality)
    return [card.value(modality) for card in listings]
