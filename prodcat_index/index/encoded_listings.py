"""Listings that are embedded once, to be asked about any number of times."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from prodcat_index.cards.card import Catalogue
from prodcat_index.index.parts import Queries


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
        return [self._at(row) for row in range(len(self))]

    def _at(self, row: int) -> EncodedListings:
        queries, place = self.queries, slice(row, row + 1)
        problems = {why: (0,) for why, rows in queries.problems.items() if row in rows}
        own = Queries(
            [vectors[place] for vectors in queries.vectors],
            queries.present[place],
            [part[place] for part in queries.parts],
            queries.texts[place],
            problems,
        )
        return replace(self, listings=self.listings.select([row]), queries=own)


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
