"""Cards: reading, cleaning, groups of near-duplicates, splits."""

from prodcat_index.cards.card import Card, Catalogue
from prodcat_index.cards.catalogue import read_catalogue

__all__ = ["Card", "Catalogue", "read_catalogue"]
