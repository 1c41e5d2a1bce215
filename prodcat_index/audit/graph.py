"""The neighbour graph and the out-of-fold answers that all checks read, built once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from prodcat_index.cards.card import Catalogue
from prodcat_index.index.answers import VoteResult
from prodcat_index.index.parts import IndexParts, Queries
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.types import Float32Array, Float64Array, Int64Array
from prodcat_index.voting.decision import Decision


@dataclass(frozen=True, eq=False)
class AuditGraph:
    """The N cards of an index, each answered without its group, and their nearest cards."""

    index: ProductIndex
    groups: Int64Array  # (N,): cards of one group are one product or its variants
    neighbours: Int64Array  # (N, K): rows of the most similar cards, the card itself left out; -1
    similarities: Float32Array  # (N, K): under the weights of a search; NaN after the last
    # Out of fold, by what has not seen the group of the card:
    predicted: Int64Array  # (N,): the best category; -1 where nothing is known
    confidence: Float64Array  # (N,): calibrated probability of it
    own_log_odds: Float32Array  # (N,): log of own category's probability over the likeliest one's
    own_rank: Int64Array  # (N,): place of the own category among the ranked ones, from 0; -1

    @property
    def parts(self) -> IndexParts:
        """Cards, embeddings, labels and what is fitted."""
        return self.index.parts

    @cached_property
    def ids(self) -> Sequence[str]:
        """The ids of the cards."""
        return self.parts.catalogue.ids


@dataclass(frozen=True, eq=False)
class NewCards:
    """The m cards of a new catalogue, embedded and answered by the index."""

    catalogue: Catalogue
    queries: Queries
    result: VoteResult
    decision: Decision
    neighbours: Int64Array  # (m, K): rows of the most similar cards of the index; -1
    similarities: Float32Array  # (m, K): under the weights of a search
