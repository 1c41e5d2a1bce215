"""How crowded it is around a card: what makes it a neighbour of everybody."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prodcat_index.types import Float32Array, evenly_spaced

NEIGHBOURS = 20
# Beyond this, more cards to compare with make it no better, only slower.
MOST_REFERENCES = 10_000
ROWS_AT_ONCE = 1024


@dataclass(frozen=True)
class HubnessCorrection:
    """Cards by which hubness is measured.

    Attributes
    ----------
    references
        float32, shape (m, d): unit rows.
    near
        How many of them count, from 1 to m - 1.
    """

    references: Float32Array
    near: int

    @classmethod
    def fit(cls, rows: Float32Array) -> HubnessCorrection | None:
        """Choose evenly spaced references: 20 of all rows count, or in proportion of some.

        Parameters
        ----------
        rows
            float32, shape (n, d): unit rows.

        Returns
        -------
        HubnessCorrection or None
            None where there are no two rows.
        """
        if len(rows) < 2:
            return None
        places = evenly_spaced(len(rows), MOST_REFERENCES)
        share = round(NEIGHBOURS * len(places) / len(rows))
        return cls(rows[places], min(max(1, share), len(places) - 1))

    def mean_similarity(self, rows: Float32Array) -> Float32Array:
        """Return the mean cosine of each row with the references nearest to it but for the nearest.

        The nearest is left out because it may be the row itself. Half of this is what
        cross-domain similarity local scaling takes off a cosine for the sake of one side
        (A. Conneau and others, "Word Translation Without Parallel Data", 2018).

        Parameters
        ----------
        rows
            float32, shape (n, d): unit rows.

        Returns
        -------
        numpy.ndarray
            float32, shape (n,).
        """
        crowded = np.empty(len(rows), dtype=np.float32)
        for start in range(0, len(rows), ROWS_AT_ONCE):
            part = slice(start, start + ROWS_AT_ONCE)
            distance = -(rows[part] @ self.references.T)
            nearest = np.partition(distance, self.near, axis=1)[:, : self.near + 1]
            crowded[part] = (nearest.min(axis=1) - nearest.sum(axis=1)) / self.near
        return crowded
