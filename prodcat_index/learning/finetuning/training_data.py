"""Weighted F1 of nearest neighbours over embeddings, which is what training is to improve."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import compress

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import Catalogue, ModalityKind
from prodcat_index.cards.split import Split
from prodcat_index.encoders.base import unit_rows
from prodcat_index.encoders.embedding import content_digests
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import Finding
from prodcat_index.types import Float32Array, Float64Array, Int64Array
from prodcat_index.voting.metrics import weighted_f1
from prodcat_index.voting.vote import VoteParameters, vote


@contextmanager
def seeded(number: int) -> Iterator[None]:
    """Seed the generators of Python, numpy and torch meanwhile, and put them back afterwards."""
    import torch

    plain, array = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(number)
        np.random.seed(number)
        torch.manual_seed(number)
        try:
            yield
        finally:
            random.setstate(plain)
            np.random.set_state(array)


ALSO_LATER = "cards have a value that a card to stop by or to judge has too, and do not teach"
PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Part:
    """Labelled values of one part."""

    ids: Sequence[str]
    values: Sequence[str]
    digests: Sequence[str]
    codes: Int64Array

    def __len__(self) -> int:
        """Return the number of cards."""
        return len(self.ids)

    def select(self, kept: Sequence[bool] | npt.NDArray[np.bool_]) -> Part:
        """Return the cards that a mask says."""
        return Part(
            list(compress(self.ids, kept)),
            list(compress(self.values, kept)),
            list(compress(self.digests, kept)),
            self.codes[np.asarray(kept, dtype=bool)],
        )


@dataclass(frozen=True)
class TrainingData:
    """The three parts, and the names of the categories."""

    train: Part
    valid: Part
    test: Part
    names: Sequence[str]
    findings: tuple[Finding, ...] = ()

    @property
    def piles(self) -> dict[str, Part]:
        """Name of a part -> its cards."""
        return {"train": self.train, "valid": self.valid, "test": self.test}

    @property
    def seen(self) -> frozenset[str]:
        """Digests of what is taught or decides when to stop."""
        return frozenset([*self.train.digests, *self.valid.digests])

    @property
    def categories(self) -> int:
        """Number of categories that are taught."""
        return int(self.train.codes.max()) + 1


def collect(catalogue: Catalogue, split: Split, modality: str, reads: ModalityKind) -> TrainingData:
    """Take the labelled values of a modality apart by a split."""
    split.check(catalogue)
    whole = _labelled(catalogue, modality, reads)
    part_of = dict(zip(split.ids, split.parts, strict=True))
    parts = [part_of[card] for card in whole.ids]
    later = _latest_part(whole.digests, parts)
    moved = [part != later[digest] for part, digest in zip(parts, whole.digests, strict=True)]
    kept = {
        name: whole.select([p == name and not m for p, m in zip(parts, moved, strict=True)])
        for name in PARTS
    }
    shared = tuple(compress(whole.ids, moved))
    findings = (Finding(ALSO_LATER, shared),) if shared else ()
    return numbered(kept, catalogue, modality, findings)


def numbered(
    piles: Mapping[str, Part], catalogue: Catalogue, modality: str, findings: Sequence[Finding]
) -> TrainingData:
    """Give the categories numbers, those that are taught first."""
    label_of = dict(zip(catalogue.ids, catalogue.values("category"), strict=True))
    taught = sorted({label_of[card] for card in piles["train"].ids})
    if len(taught) < 2 or not len(piles["valid"]):
        raise CatalogueError(
            f"Too few labelled cards of {catalogue.source} have a readable {modality}: "
            f"{len(taught)} categories are left to teach and {len(piles['valid'])} cards to stop "
            "by; at least two and one are needed."
        )
    others = sorted({label_of[card] for pile in piles.values() for card in pile.ids} - {*taught})
    names = (*taught, *others)
    code = {name: place for place, name in enumerate(names)}
    coded = {
        part: Part(
            pile.ids,
            pile.values,
            pile.digests,
            np.array([code[label_of[card]] for card in pile.ids], dtype=np.int64),
        )
        for part, pile in piles.items()
    }
    return TrainingData(**coded, names=names, findings=tuple(findings))


def _labelled(catalogue: Catalogue, modality: str, reads: ModalityKind) -> Part:
    values = catalogue.values(modality)
    digests = content_digests(reads, values)
    whole = Part(catalogue.ids, values, digests, np.zeros(len(catalogue), dtype=np.int64))
    labels = catalogue.values("category")
    return whole.select([bool(d and label) for d, label in zip(digests, labels, strict=True)])


def _latest_part(digests: Sequence[str], parts: Sequence[str]) -> dict[str, str]:
    latest: dict[str, str] = {}
    for digest, part in zip(digests, parts, strict=True):
        latest[digest] = max(part, latest.get(digest, part), key=PARTS.index)
    return latest


VOTE = VoteParameters(k=10, temperature=0.1)
QUERIES_AT_ONCE = 1024


@dataclass(frozen=True)
class Rows:
    """Labelled embeddings."""

    vectors: Float32Array
    codes: Int64Array

    def centred(self, mean: Float32Array) -> Float32Array:
        """Return unit rows without the mean, as an index compares them."""
        return unit_rows(self.vectors - mean)


def knn_f1(taught: Rows, asked: Rows) -> float:
    """Let the nearest taught cards vote on each asked one, found exactly, and judge the answers."""
    mean = taught.vectors.mean(axis=0)
    known, queries = taught.centred(mean), asked.centred(mean)
    starts = range(0, len(queries), QUERIES_AT_ONCE)
    predicted = [_vote(known, taught.codes, queries[s : s + QUERIES_AT_ONCE]) for s in starts]
    categories = int(max(taught.codes.max(), asked.codes.max())) + 1
    return weighted_f1(asked.codes, np.concatenate(predicted), categories)


def best_epoch(history: Sequence[Mapping[str, float]]) -> tuple[float, float]:
    """Return the epoch after which the network is kept, and its weighted F1."""
    scores = [(entry["epoch"], entry["f1"]) for entry in history if "f1" in entry]
    return max(scores, key=lambda point: (point[1], point[0] > 0))


def _vote(known: Float32Array, codes: Int64Array, queries: Float32Array) -> Int64Array:
    similarities = queries @ known.T
    # A stable sort settles equal similarities by the order of the cards.
    nearest = np.argsort(-similarities, axis=1, kind="stable")[:, : VOTE.k]
    ordered = np.take_along_axis(similarities, nearest, axis=1).astype(np.float64)
    winners: Int64Array = vote(ordered, codes[nearest], np.bincount(codes), VOTE).categories[:, 0]
    return winners


def equal_chances(codes: Int64Array) -> Float64Array:
    """Return each card's chance to be drawn, with every category drawn equally often."""
    sizes = np.bincount(codes)
    chances: Float64Array = 1.0 / (len(sizes) * sizes[codes])
    return chances
