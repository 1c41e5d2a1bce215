"""What a card is, and reading catalogues of cards."""

from prodcat_index.cards.card import Card, Catalogue
from prodcat_index.cards.catalogue import read_catalogue

__all__ = ["Card", "Catalogue", "read_catalogue"]
