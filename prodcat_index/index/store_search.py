"""Searching the table of a store: a walk through its graph, or a scan of the eligible rows.

The store proposes candidates, of which exact similarities decide, as everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from prodcat_index.index.approximate import ApproximateSearcher, fused_parts
from prodcat_index.index.effort import HELD_OUT, KEPT, scan_together, share_found
from prodcat_index.index.fusion import effective_weights, fuse_queries
from prodcat_index.index.kinds import FAR_RECALL
from prodcat_index.index.learned import as_queries
from prodcat_index.index.quantized import Effort
from prodcat_index.index.searchers import SPARE, fetch
from prodcat_index.index.stores import StoreTable
from prodcat_index.types import (
    MISSING,
    BoolArray,
    Float32Array,
    Float64Array,
    Int64Array,
    evenly_spaced,
)

if TYPE_CHECKING:
    from prodcat_index.index.parts import IndexParts

# Neighbours whose recall is measured.
RECALL_AT = 20
SHORTEST_WALK = 32


@dataclass(frozen=True, eq=False)
class StoreSearcher(ApproximateSearcher):
    """A search of cards whose fused rows, of all blocks, lie in a table of a store.

    A number of a row is its place in the table. Cards that are not saved yet are compared here.
    """

    codes: StoreTable

    def _coded(
        self, queries: Float32Array, k: int, eligible: BoolArray | None, share: float
    ) -> Int64Array:
        """Walk through the graph for more and more rows, until enough of them are eligible."""
        table = self.codes

        def walk(asked: Float32Array, count: int) -> tuple[Float32Array, Int64Array]:
            longest = max(self.effort.walk, 2 * count)
            scores, places = table.search(asked, count, longest)
            # What lies behind the rows of this version is of later ones.
            return scores, np.where(places < len(table), places, MISSING)

        return fetch(walk, len(table), queries, k, self.cards, eligible)

    def scan(
        self, queries: Float32Array, k: int, eligible: BoolArray | None = None
    ) -> tuple[Int64Array, bool]:
        """Compare every eligible card, (N,), in the store."""
        table = self.codes
        is_compared = self.cards != MISSING
        if eligible is not None:
            is_compared &= eligible[self.cards]
        places = np.flatnonzero(is_compared)

        def compare(asked: Float32Array, count: int) -> tuple[Float32Array, Int64Array]:
            scores, found = table.search(asked, count, 1, places)
            return scores, np.where(found >= 0, np.searchsorted(places, found), MISSING)

        found = fetch(compare, len(places), queries, k, self.cards[places], None)
        return np.concatenate([found, *self._later(queries, k, eligible)], axis=1), True


def choose_effort(parts: IndexParts, table: StoreTable) -> tuple[Effort, float]:
    """Find the shortest walk that finds enough of the nearest cards of some of the cards.

    That is the recall that was asked for under the weights of votes and of a search, and at least
    0.95 under equal weights and for each block alone. Returns it with the recall under the
    weights of votes, and the lowest under others. The rows of the cards lie in the table in their
    order.
    """
    if len(parts.catalogue) <= SHORTEST_WALK:
        return Effort(walk=SHORTEST_WALK), 1.0
    blocks, space = parts.all_blocks, parts.space_of(parts.all_blocks)
    asked = evenly_spaced(len(space.present), HELD_OUT)
    vectors = [as_queries(block, asked) for block in blocks]
    expected = space.expected_similarities(vectors)
    trials = []
    for weights, least in _weights_to_measure(parts):
        shared = effective_weights(weights, space.present[asked])
        has_any = shared.any(axis=1)
        trials.append((fuse_queries(vectors, shared, expected)[has_any], asked[has_any], least))
    every = np.arange(len(space.present))
    rows = fused_parts(space.blocks, space.present, every)
    truths = scan_together(rows, [queries for queries, _, _ in trials], KEPT)
    measured = [
        (partial(_recall, table, queries, own, *truth), least)
        for (queries, own, least), truth in zip(trials, truths, strict=True)
    ]
    longest = min(table.store.most_walk, len(every))
    walk = min(SHORTEST_WALK, longest)
    while True:
        recalls: list[float] = []
        for found, least in measured:
            recalls.append(found(walk))
            if recalls[-1] < least and walk < longest:
                walk = min(2 * walk, longest)
                break
        else:
            return Effort(walk=walk, recall=recalls[0]), min(recalls[1:])


def _weights_to_measure(parts: IndexParts) -> Sequence[tuple[Float64Array, float]]:
    """Return weights, (B,), and the recall to reach under each; first those of votes."""
    blocks, least = len(parts.all_blocks), parts.asked.recall
    far = min(least, FAR_RECALL)
    return [
        (parts.weight_vector(None), least),
        (parts.weight_vector(parts.search_weights), least),
        (np.full(blocks, 1 / blocks), far),
        *((alone, far) for alone in np.eye(blocks)),
    ]


def _recall(
    table: StoreTable,
    queries: Float32Array,
    own: Int64Array,
    scores: Float32Array,
    places: Int64Array,
    walk: int,
) -> float:
    """Return which share of the nearest 20 is found, each card itself left out."""
    if not len(queries):
        return 1.0
    count = RECALL_AT + SPARE
    _, found = table.search(queries, count, max(walk, count))
    others = places != own[:, None]
    # A card that is not among its own nearest is left out in place of the last of them.
    others[others.all(axis=1), -1] = False
    shape = len(places), places.shape[1] - 1
    found = np.where(found == own[:, None], MISSING, found)
    truth = scores[others].reshape(shape), places[others].reshape(shape)
    return share_found(found, *truth, RECALL_AT)
