"""Listings that are embedded once, to be asked about any number of times."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from prodcat_index.cards.card import Catalogue
from prodcat_index.types import BoolArray, Float32Array, Int64Array


class Queries(NamedTuple):
    """Embedded listings in all B blocks of an index, the learned block last."""

    vectors: Sequence[Float32Array]  # one array a block, (n, dim): unit rows, zeros where absent
    present: BoolArray  # (n, B)
    parts: Sequence[Float32Array] = ()  # added by each block to the projected rows, not yet scaled
    texts: Sequence[str] = ()  # the values that text scores are computed from, where there are any
    problems: Mapping[str, Sequence[int]] = MappingProxyType({})  # reason -> unusable pictures

    def select(self, places: Int64Array) -> Queries:
        """Return some of the queries, without the problems of their pictures."""
        return Queries(
            [vectors[places] for vectors in self.vectors],
            self.present[places],
            [part[places] for part in self.parts],
            [self.texts[place] for place in places] if self.texts else (),
        )


@dataclass(frozen=True)
class EncodedListings:
    """Listings and their embeddings, made by :meth:`ProductIndex.encode`.

    :meth:`ProductIndex.predict` and :meth:`ProductIndex.search` take them in place of listings,
    and embed nothing then: other weights, another k or filter take a fraction of the time.

    Attributes
    ----------
    listings
        The n listings.
    queries
        Their embeddings, one row a listing.
    notes
        What was noticed while reading the listings.
    """

    listings: Catalogue
    queries: Queries
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of listings."""
        return len(self.listings)

    def split(self) -> list[EncodedListings]:
        """Return each listing by itself."""
        found = []
        for row in range(len(self)):
            problems = {why: (0,) for why, rows in self.queries.problems.items() if row in rows}
            own = self.queries.select(np.array([row]))._replace(problems=problems)
            found.append(replace(self, listings=self.listings.select([row]), queries=own))
        return found


def join_queries(queries: Sequence[Queries]) -> Queries:
    """Put the queries of one index below each other, without the problems of their pictures."""
    if len(queries) == 1:
        return queries[0]
    vectors, present, parts, texts, _ = zip(*queries, strict=True)
    return Queries(
        [np.concatenate(rows) for rows in zip(*vectors, strict=True)],
        np.concatenate(present),
        [np.concatenate(rows) for rows in zip(*parts, strict=True)],
        [text for own in texts for text in own],
    )
