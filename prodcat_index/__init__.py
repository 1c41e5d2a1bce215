"""Nearest-neighbour product categorizer: cards in, categories and similar products out."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = [
    "Card",
    "Catalogue",
    "ProdcatError",
    "ProductIndex",
    "ProductKNNClassifier",
    "evaluate",
    "read_catalogue",
    "read_labels",
]

_HOMES = {
    "Card": "prodcat_index.cards.card",
    "Catalogue": "prodcat_index.cards.card",
    "ProdcatError": "prodcat_index.errors",
    "ProductIndex": "prodcat_index.index.product_index",
    "ProductKNNClassifier": "prodcat_index.index.classifier",
    "evaluate": "prodcat_index.evaluation.evaluate",
    "read_catalogue": "prodcat_index.cards.catalogue",
    "read_labels": "prodcat_index.cards.catalogue",
}

if TYPE_CHECKING:
    from prodcat_index.cards.card import Card, Catalogue
    from prodcat_index.cards.catalogue import read_catalogue, read_labels
    from prodcat_index.errors import ProdcatError
    from prodcat_index.evaluation.evaluate import evaluate
    from prodcat_index.index.classifier import ProductKNNClassifier
    from prodcat_index.index.product_index import ProductIndex


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used, so that ``prodcat --help`` stays quick."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
