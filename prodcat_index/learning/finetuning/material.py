"""What an encoder is taught with, stopped by and judged on: no value in two of these."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.split import Split
from prodcat_index.encoders.base import Reads
from prodcat_index.encoders.embedding import content_digests
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import Finding

IntArray = npt.NDArray[np.int64]

ALSO_LATER = "cards have a value that a card to stop by or to judge has too, and do not teach"
PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Pile:
    """Labelled values of one part.

    Attributes
    ----------
    ids, values, digests
        One each a card.
    codes
        int64, shape (n,): category codes; those of ``train`` are 0 to C - 1, and what it does not
        have is numbered above.
    """

    ids: Sequence[str]
    values: Sequence[str]
    digests: Sequence[str]
    codes: IntArray

    def __len__(self) -> int:
        """Return the number of cards."""
        return len(self.ids)

    def select(self, kept: Sequence[bool] | npt.NDArray[np.bool_]) -> Pile:
        """Return the cards that a mask says."""
        return Pile(
            list(compress(self.ids, kept)),
            list(compress(self.values, kept)),
            list(compress(self.digests, kept)),
            self.codes[np.asarray(kept, dtype=bool)],
        )


@dataclass(frozen=True)
class Material:
    """The three parts, and the names of the categories.

    Attributes
    ----------
    train, valid, test
        What is taught, what decides when to stop, and what neither of them may see; the last may
        be empty.
    names
        Categories by code.
    findings
        What was left out.
    """

    train: Pile
    valid: Pile
    test: Pile
    names: Sequence[str]
    findings: tuple[Finding, ...] = ()

    @property
    def piles(self) -> dict[str, Pile]:
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


def collect(catalogue: Catalogue, split: Split, modality: str, reads: Reads) -> Material:
    """Take the labelled values of a modality apart by a split.

    A value that stands in several parts stays in the last of them alone (test, else valid), for
    otherwise a card of another id would teach what is judged.

    Parameters
    ----------
    catalogue
        Cards that the split names.
    split
        With labelled cards in ``train`` and ``valid``.
    modality
        Which value of the cards.
    reads
        What such a value is.

    Raises
    ------
    CatalogueError
        If the split is of other cards, or nothing is left to teach or to stop by.
    """
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
    piles: Mapping[str, Pile], catalogue: Catalogue, modality: str, findings: Sequence[Finding]
) -> Material:
    """Give the categories numbers, those that are taught first.

    Parameters
    ----------
    piles
        Name of a part -> its cards.
    catalogue, modality
        Where they are from.
    findings
        What was noticed.

    Raises
    ------
    CatalogueError
        If fewer than two categories are taught, or there is nothing to stop by.
    """
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
        part: Pile(
            pile.ids,
            pile.values,
            pile.digests,
            np.array([code[label_of[card]] for card in pile.ids], dtype=np.int64),
        )
        for part, pile in piles.items()
    }
    return Material(**coded, names=names, findings=tuple(findings))


def _labelled(catalogue: Catalogue, modality: str, reads: Reads) -> Pile:
    values = catalogue.values(modality)
    digests = content_digests(reads, values)
    whole = Pile(catalogue.ids, values, digests, np.zeros(len(catalogue), dtype=np.int64))
    labels = catalogue.values("category")
    return whole.select([bool(d and label) for d, label in zip(digests, labels, strict=True)])


def _latest_part(digests: Sequence[str], parts: Sequence[str]) -> dict[str, str]:
    latest: dict[str, str] = {}
    for digest, part in zip(digests, parts, strict=True):
        latest[digest] = max(part, latest.get(digest, part), key=PARTS.index)
    return latest
