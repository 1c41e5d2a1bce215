"""Nearest-neighbour product categorizer: cards in, categories and similar products out.

The names in ``__all__`` are the public API. Each is imported when it is first used, so that
``import prodcat_index`` and ``prodcat --help`` stay quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prodcat_index.audit.audit import Audit as Audit
    from prodcat_index.audit.audit import audit_catalogue as audit_catalogue
    from prodcat_index.audit.check import CheckResult as CheckResult
    from prodcat_index.audit.check import Item as Item
    from prodcat_index.audit.matching import Matcher as Matcher
    from prodcat_index.audit.matching import Matches as Matches
    from prodcat_index.audit.matching import match as match
    from prodcat_index.audit.matching import pair_probabilities as pair_probabilities
    from prodcat_index.cards.card import Card as Card
    from prodcat_index.cards.card import Catalogue as Catalogue
    from prodcat_index.cards.catalogue import read_catalogue as read_catalogue
    from prodcat_index.cards.catalogue import read_labels as read_labels
    from prodcat_index.cards.duplicates import Groups as Groups
    from prodcat_index.cards.duplicates import find_groups as find_groups
    from prodcat_index.cards.split import Split as Split
    from prodcat_index.cards.split import read_split as read_split
    from prodcat_index.cards.splitting import split_catalogue as split_catalogue
    from prodcat_index.cards.target import with_target as with_target
    from prodcat_index.demo.shop import make_demo_catalogue as make_demo_catalogue
    from prodcat_index.distributed.bulk_audit import graph_in_shards as graph_in_shards
    from prodcat_index.distributed.bulk_build import build_in_shards as build_in_shards
    from prodcat_index.distributed.bulk_predict import predict_in_shards as predict_in_shards
    from prodcat_index.distributed.engines import open_engine as open_engine
    from prodcat_index.encoders.base import Encoded as Encoded
    from prodcat_index.encoders.base import Encoder as Encoder
    from prodcat_index.encoders.cache import EmbeddingCache as EmbeddingCache
    from prodcat_index.encoders.registry import list_encoders as list_encoders
    from prodcat_index.encoders.registry import make_encoder as make_encoder
    from prodcat_index.errors import CatalogueError as CatalogueError
    from prodcat_index.errors import ClusterError as ClusterError
    from prodcat_index.errors import EncoderError as EncoderError
    from prodcat_index.errors import IndexFolderError as IndexFolderError
    from prodcat_index.errors import PictureError as PictureError
    from prodcat_index.errors import ProdcatError as ProdcatError
    from prodcat_index.errors import QueryError as QueryError
    from prodcat_index.evaluation.evaluate import evaluate as evaluate
    from prodcat_index.evaluation.result import Evaluation as Evaluation
    from prodcat_index.findings import Finding as Finding
    from prodcat_index.index.classifier import ProductKNNClassifier as ProductKNNClassifier
    from prodcat_index.index.encoded_listings import EncodedListings as EncodedListings
    from prodcat_index.index.product_index import ProductIndex as ProductIndex
    from prodcat_index.learning.finetune import Finetuned as Finetuned
    from prodcat_index.learning.finetune import FinetuneSettings as FinetuneSettings
    from prodcat_index.learning.finetune import finetune as finetune
    from prodcat_index.reports.audit_page import write_audit as write_audit
    from prodcat_index.reports.explore import Exploration as Exploration
    from prodcat_index.reports.explore import explore as explore
    from prodcat_index.reports.explore_page import write_exploration as write_exploration
    from prodcat_index.reports.report import Report as Report
    from prodcat_index.reports.report import report as report
    from prodcat_index.reports.report import write_report as write_report
    from prodcat_index.reports.sheet import SheetRow as SheetRow
    from prodcat_index.reports.sheet import draw_sheet as draw_sheet
    from prodcat_index.service.app import create_app as create_app
    from prodcat_index.service.serve import serve as serve
    from prodcat_index.service.settings import ServeSettings as ServeSettings
    from prodcat_index.voting.metrics import Score as Score
    from prodcat_index.voting.prediction import Explanation as Explanation
    from prodcat_index.voting.prediction import Familiarity as Familiarity
    from prodcat_index.voting.prediction import Neighbour as Neighbour
    from prodcat_index.voting.prediction import Prediction as Prediction
    from prodcat_index.voting.prediction import Predictions as Predictions
    from prodcat_index.voting.tuning import Tuning as Tuning
    from prodcat_index.voting.vote import VoteParameters as VoteParameters

__version__ = "0.1.0"

# Module -> the public names in it.
_PUBLIC = {
    "cards.card": ("Card", "Catalogue"),
    "cards.catalogue": ("read_catalogue", "read_labels"),
    "cards.duplicates": ("Groups", "find_groups"),
    "cards.split": ("Split", "read_split"),
    "cards.splitting": ("split_catalogue",),
    "cards.target": ("with_target",),
    "encoders.base": ("Encoded", "Encoder"),
    "encoders.cache": ("EmbeddingCache",),
    "encoders.registry": ("list_encoders", "make_encoder"),
    "voting.metrics": ("Score",),
    "voting.prediction": ("Explanation", "Familiarity", "Neighbour", "Prediction", "Predictions"),
    "voting.tuning": ("Tuning",),
    "voting.vote": ("VoteParameters",),
    "learning.finetune": ("Finetuned", "FinetuneSettings", "finetune"),
    "index.classifier": ("ProductKNNClassifier",),
    "index.encoded_listings": ("EncodedListings",),
    "index.product_index": ("ProductIndex",),
    "evaluation.evaluate": ("evaluate",),
    "evaluation.result": ("Evaluation",),
    "audit.audit": ("Audit", "audit_catalogue"),
    "audit.check": ("CheckResult", "Item"),
    "audit.matching": ("Matcher", "Matches", "match", "pair_probabilities"),
    "reports.audit_page": ("write_audit",),
    "reports.explore": ("Exploration", "explore"),
    "reports.explore_page": ("write_exploration",),
    "reports.report": ("Report", "report", "write_report"),
    "reports.sheet": ("SheetRow", "draw_sheet"),
    "service.app": ("create_app",),
    "service.serve": ("serve",),
    "service.settings": ("ServeSettings",),
    "distributed.bulk_build": ("build_in_shards",),
    "distributed.bulk_audit": ("graph_in_shards",),
    "distributed.bulk_predict": ("predict_in_shards",),
    "distributed.engines": ("open_engine",),
    "demo.shop": ("make_demo_catalogue",),
    "errors": (
        "CatalogueError",
        "ClusterError",
        "EncoderError",
        "IndexFolderError",
        "PictureError",
        "ProdcatError",
        "QueryError",
    ),
    "findings": ("Finding",),
}
_MODULES = {name: module for module, names in _PUBLIC.items() for name in names}
__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    """Return the public names, those that are not imported yet among them."""
    return sorted(__all__)
