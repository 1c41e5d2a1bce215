"""Nearest-neighbour product categorizer: catalogue cards in, categories and similar products out."""

__version__ = "0.1.0"
