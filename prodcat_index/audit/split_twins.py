"""Held-out cards that have a near twin among the training cards of a split."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prodcat_index.audit.check import Item
from prodcat_index.audit.clues import vote_of_first
from prodcat_index.audit.graph import AuditGraph
from prodcat_index.cards.card import modality_kind
from prodcat_index.cards.split import Split
from prodcat_index.errors import QueryError
from prodcat_index.evaluation.near_duplicates import NEAR, texts_of, weigh_words
from prodcat_index.findings import counted
from prodcat_index.index.leave_one_out import PLACEHOLDER_CATEGORIES, SAME_PICTURE
from prodcat_index.types import MISSING, BoolArray, Float32Array, Int64Array, chunks

# Training cards that vote on a held-out one, to show how much twins flatter.
VOTERS = 5
PAIRS_AT_ONCE = 8192
SHOWN = 3
SAME_GROUP, SAME_PICTURES, SAME_WORDS = "one group", "equal pictures", "nearly equal words"


@dataclass(frozen=True, eq=False)
class SplitTwins:
    """The held-out cards of a split with a near twin in training, and what that does to a score."""

    held_out: int
    pairs: Sequence[tuple[int, int, str]]  # rows of the held-out and the training card; why
    scored: int  # held-out cards that training cards vote on, with twins and without
    accuracy: float  # by the nearest training cards
    accuracy_without: float  # by these but for twins

    def describe(self) -> str:
        """Return what was found as a clause."""
        flattered = (
            f"; the nearest training cards are right about {self.accuracy:.1%} of "
            f"{counted(self.scored, 'cards')}, and without the twins about "
            f"{self.accuracy_without:.1%}"
            if self.pairs and self.scored
            else ""
        )
        share = len(self.pairs) / self.held_out
        return (
            f"{len(self.pairs):,} of {counted(self.held_out, 'held-out cards')} ({share:.1%}) have "
            f"a near twin in training{flattered}"
        )

    def item(self, ids: Sequence[str]) -> Item:
        """Return the one thing to do about them."""
        score = 1 - len(self.pairs) / self.held_out
        reasons = ", ".join(f"{n:,} {why}" for why, n in Counter(w for *_, w in self.pairs).items())
        shown = "; ".join(f"{ids[a]} and {ids[b]}" for a, b, _ in self.pairs[:SHOWN])
        why = f"{self.describe()} ({reasons}), such as {shown}."
        kind = "twins across the split"
        return Item("leaks", kind, score, (), "split", "split by group", why=why)

    def as_dict(self, ids: Sequence[str]) -> dict[str, Any]:
        """Return the numbers, and the pairs as a table."""
        table = [{"held out": ids[a], "in training": ids[b], "why": w} for a, b, w in self.pairs]
        return {
            "held_out": self.held_out,
            "twins": len(self.pairs),
            "accuracy": self.accuracy,
            "accuracy_without_twins": self.accuracy_without,
            "tables": {"Twins across the split": table},
        }


def find_twins(graph: AuditGraph, groups: Int64Array, split: Split) -> SplitTwins:
    """Find the nearest training twin of each held-out card.

    Twins are of one group, (N,); or among the nearest cards, with a picture of nearly the same
    embedding, or a cosine of the TF-IDF of their words from which cards are near-duplicates.
    Raises CatalogueError if a card is not in the split.
    """
    catalogue = graph.parts.catalogue
    in_training = np.zeros(len(groups), dtype=bool)
    in_training[split.rows(catalogue, "train")] = True
    rows = np.flatnonzero(~in_training)
    if not len(rows):
        raise QueryError("All cards of the index are in train, so no twin can be across the split.")
    near = graph.neighbours[rows]
    known = (near != MISSING) & in_training[near]
    of_group = known & (groups[near] == groups[rows, None])
    of_pictures, of_words = _cosines(graph, rows, near, known)
    same_picture = known & (of_pictures >= SAME_PICTURE)
    codes = graph.parts.labels.codes
    for each in np.flatnonzero(same_picture.sum(axis=1) > PLACEHOLDER_CATEGORIES):
        # A placeholder says nothing.
        if len(np.unique(codes[near[each, same_picture[each]]])) > PLACEHOLDER_CATEGORIES:
            same_picture[each] = False
    twins = of_group | same_picture | (known & (of_words >= NEAR))
    trained = np.flatnonzero(in_training)[::-1]
    first_of_group = dict(zip(groups[trained].tolist(), trained.tolist(), strict=True))
    pairs = []
    for place, row in enumerate(rows.tolist()):
        if twins[place].any():
            first = int(twins[place].argmax())
            why = SAME_PICTURES if same_picture[place, first] else SAME_WORDS
            why = SAME_GROUP if of_group[place, first] else why
            pairs.append((row, int(near[place, first]), why))
        elif (own := int(groups[row])) in first_of_group:
            pairs.append((row, first_of_group[own], SAME_GROUP))
    votes = known & (codes[near] != MISSING)
    scored = (codes[rows] != MISSING) & (votes & ~twins).any(axis=1)
    true = codes[rows][scored]
    accuracies = [
        float(np.mean(vote_of_first(codes[near], voters, VOTERS)[scored] == true))
        if len(true)
        else 0.0
        for voters in (votes, votes & ~twins)
    ]
    return SplitTwins(len(rows), pairs, int(scored.sum()), *accuracies)


def _cosines(
    graph: AuditGraph, rows: Int64Array, near: Int64Array, known: BoolArray
) -> tuple[Float32Array, Float32Array]:
    """Return the cosines of pictures, and of words, of cards and known near ones; else 0."""
    of_pictures, of_words = (np.zeros(near.shape, dtype=np.float32) for _ in range(2))
    block = next((b for b in graph.parts.blocks if modality_kind(b.modality) == "picture"), None)
    words = weigh_words(texts_of(graph.parts.catalogue), [])
    places, columns = np.nonzero(known)
    for part in chunks(len(places), PAIRS_AT_ONCE):
        at = places[part], columns[part]
        own, others = rows[at[0]], near[at]
        if block is not None:
            pairs = (np.asarray(block.vectors[each], dtype=np.float32) for each in (own, others))
            found = block.present[own] & block.present[others]
            of_pictures[at] = np.einsum("nd,nd->n", *pairs) * found
        if words is not None:
            products = words[0][own].multiply(words[0][others]).sum(axis=1)
            of_words[at] = np.asarray(products).ravel()
    return of_pictures, of_words
