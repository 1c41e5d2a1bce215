"""Embeddings that come with the cards, and what they must be like."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prodcat_index.cards.card import LABELS
from prodcat_index.errors import CatalogueError, check_named
from prodcat_index.findings import counted, name_first

if TYPE_CHECKING:
    from prodcat_index.types import Float32Array

NO_MODALITIES = ("", "id", *LABELS)
EXAMPLE = "{'title': rows}"


def check_vectors(vectors: Any, cards: int) -> dict[str, Float32Array]:
    """Return rows by modality, (cards, dim), zeros where a card has none."""
    check_named("Vectors", vectors, EXAMPLE)
    return {name: _check(name, rows, cards) for name, rows in vectors.items()}


def _check(name: Any, given: Any, cards: int) -> Float32Array:
    import numpy as np

    if not isinstance(name, str) or name in NO_MODALITIES:
        raise CatalogueError(f"Vectors cannot be of {name!r}: name a modality, as {EXAMPLE}.")
    try:
        with np.errstate(over="ignore"):
            rows = np.asarray(given, dtype=np.float32)
    except (TypeError, ValueError):
        raise TypeError(
            f"The vectors of {name} are not an array of numbers; give zeros or NaN for a card "
            "without a vector."
        ) from None
    if rows.ndim == 1 and cards == 1:
        rows = rows[None]
    if rows.ndim != 2 or len(rows) != cards or not rows.shape[1]:
        raise CatalogueError(
            f"The vectors of {name} have the shape {rows.shape}, for {counted(cards, 'cards')}: "
            "give one row of numbers for each card, in their order."
        )
    rows = np.where(np.isnan(rows).all(axis=1, keepdims=True), np.float32(0), rows)
    wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(wrong):
        raise CatalogueError(
            f"The vectors of {name} are not finite numbers in "
            f"{name_first([f'row {row}' for row in wrong], 3)}; correct them, or let whole rows be "
            "zeros or NaN."
        )
    return rows
