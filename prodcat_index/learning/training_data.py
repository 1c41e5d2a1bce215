"""The cards that a network is trained and scored on, and its score, the F1 of neighbours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from prodcat_index.cards.card import Catalogue, ModalityKind
from prodcat_index.cards.split import PARTS, Split
from prodcat_index.encoders.base import unit_rows
from prodcat_index.encoders.embedding import content_digests
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import Finding, counted, list_findings
from prodcat_index.types import BoolArray, Float32Array, Int64Array, chunks
from prodcat_index.voting.metrics import weighted_f1
from prodcat_index.voting.vote import VoteParameters, vote

if TYPE_CHECKING:
    import pandas as pd


# The votes that are scored, and whose logarithm is the loss.
VOTE = VoteParameters(k=10, temperature=0.1)
# Rows of similarities that are in memory at once.
QUERIES_AT_ONCE = 1024
IN_LATER_PART = "cards have the same value as a card of a later part (left out of the earlier one)"
UNREADABLE = "cards have no value that this encoder can read (left out)"


@dataclass(frozen=True)
class TrainingData:
    """Labelled values of a modality, split into parts."""

    # One row a card, in catalogue order: id, value, digest, label, part, and code (int64), the
    # place of its label among all, where the categories of the train part come first.
    cards: pd.DataFrame
    # Where the cards come from, such as "shop.csv with a readable image".
    source: str
    findings: tuple[Finding, ...] = ()

    @property
    def parts(self) -> dict[str, pd.DataFrame]:
        """The cards by the name of their part."""
        return {name: self.cards[self.cards["part"] == name] for name in PARTS}

    @property
    def seen(self) -> frozenset[str]:
        """Digests of the values that are trained on or that decide when to stop."""
        return frozenset(self.cards.loc[self.cards["part"] != "test", "digest"])

    @property
    def categories(self) -> int:
        """Number of categories that the train part has."""
        return int(self.parts["train"]["code"].max()) + 1

    def keep(self, kept: BoolArray, why_not: str) -> TrainingData:
        """Keep some cards, bool (cards,), name the others, and number the categories anew."""
        cards = self.cards[kept]
        others = list_findings({why_not: ~kept}, self.cards["id"].tolist())
        trained = sorted(set(cards.loc[cards["part"] == "train", "label"]))
        valid = int((cards["part"] == "valid").sum())
        if len(trained) < 2 or not valid:
            left = f"{counted(len(trained), 'categories')} to train on"
            raise CatalogueError(
                f"There are too few labelled cards of {self.source}: {left} and "
                f"{counted(valid, 'validation cards')} are left; at least two and one are needed."
            )
        names = (*trained, *sorted(set(cards["label"]) - set(trained)))
        code = {name: place for place, name in enumerate(names)}
        coded = cards.assign(code=cards["label"].map(code).astype(np.int64))
        return TrainingData(coded, self.source, (*self.findings, *others))


def collect(catalogue: Catalogue, split: Split, modality: str, reads: ModalityKind) -> TrainingData:
    """Take the labelled, readable values of a modality.

    A value of several parts stays in the latest of them, so that nothing is scored by heart.
    """
    import pandas as pd

    split.check(catalogue)
    part_of = dict(zip(split.ids, split.parts, strict=True))
    values = catalogue.values(modality)
    cards = pd.DataFrame(
        {
            "id": catalogue.ids,
            "value": values,
            "digest": content_digests(reads, values),
            "label": catalogue.values("category"),
            "part": [part_of[card] for card in catalogue.ids],
        }
    )
    cards = cards[(cards["digest"] != "") & (cards["label"] != "")]
    rank = cards["part"].map(PARTS.index)
    is_last = (rank == rank.groupby(cards["digest"]).transform("max")).to_numpy(dtype=bool)
    data = TrainingData(cards, f"{catalogue.source} with a readable {modality}")
    return data.keep(is_last, IN_LATER_PART)


@dataclass(frozen=True)
class Rows:
    """Labelled embeddings."""

    vectors: Float32Array  # (n, dim)
    codes: Int64Array  # (n,)

    def centred(self, mean: Float32Array) -> Float32Array:
        """Return unit rows without the mean, as an index compares them."""
        return unit_rows(self.vectors - mean)


def knn_f1(train: Rows, queries: Rows) -> float:
    """Return the weighted F1 of the votes of the nearest train cards, found exactly."""
    mean = train.vectors.mean(axis=0)
    known, vectors = train.centred(mean), queries.centred(mean)
    predicted = [
        _vote(known, train.codes, vectors[chunk]) for chunk in chunks(len(vectors), QUERIES_AT_ONCE)
    ]
    categories = int(max(train.codes.max(), queries.codes.max())) + 1
    return weighted_f1(queries.codes, np.concatenate(predicted), categories)


def _vote(known: Float32Array, codes: Int64Array, queries: Float32Array) -> Int64Array:
    similarities = queries @ known.T
    # A stable sort settles equal similarities by the order of the cards.
    nearest = np.argsort(-similarities, axis=1, kind="stable")[:, : VOTE.k]
    ordered = np.take_along_axis(similarities, nearest, axis=1).astype(np.float64)
    return vote(ordered, codes[nearest], np.bincount(codes), VOTE).categories[:, 0]


def best_epoch(history: Sequence[Mapping[str, float]]) -> tuple[float, float]:
    """Return the epoch after which the network is kept, and its weighted F1."""
    scores = [(entry["epoch"], entry["f1"]) for entry in history if "f1" in entry]
    # Of equal scores the first counts, but the untrained network, epoch 0, only if it is alone.
    return max(scores, key=lambda score: (score[1], score[0] > 0))
