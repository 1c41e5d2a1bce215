"""How the categories of an index stand: sizes, F1, confusions and doubtful labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from prodcat_index.audit.graph import AuditGraph
from prodcat_index.audit.learning_curve import LearningCurve, count_products, fit_curve
from prodcat_index.types import MISSING, BoolArray, Float64Array, Int64Array
from prodcat_index.voting.metrics import category_f1

# Share of wrong labels that is expected before a card is looked at.
NOISE = 0.05
STANDARD_ERRORS = 1.96


@dataclass(frozen=True, eq=False)
class Standing:
    """How the C categories of an index stand, by out-of-fold answers to its N cards."""

    graph: AuditGraph

    @cached_property
    def codes(self) -> Int64Array:
        """Category of each card: (N,)."""
        return self.graph.parts.labels.codes

    @cached_property
    def answered(self) -> BoolArray:
        """Mask of the labelled cards with an answer: (N,)."""
        return (self.codes != MISSING) & (self.graph.predicted != MISSING)

    @cached_property
    def sizes(self) -> Int64Array:
        """Number of answered cards of each category: (C,)."""
        return self._count(self.codes[self.answered])

    @cached_property
    def right(self) -> Int64Array:
        """Number of cards of each category that are answered right: (C,)."""
        return self._count(self.codes[self.answered & (self.graph.predicted == self.codes)])

    @cached_property
    def said(self) -> Int64Array:
        """Number of cards that get each category as their answer: (C,)."""
        return self._count(self.graph.predicted[self.answered])

    def _count(self, codes: Int64Array) -> Int64Array:
        return np.bincount(codes, minlength=len(self.graph.parts.labels.names)).astype(np.int64)

    @cached_property
    def f1(self) -> Float64Array:
        """Out-of-fold F1 of each category: (C,)."""
        true, predicted = self.codes[self.answered], self.graph.predicted[self.answered]
        return category_f1(true, predicted, len(self.sizes))

    @cached_property
    def products(self) -> Int64Array:
        """Number of groups of each category: (C,)."""
        return count_products(self.codes, self.graph.groups, len(self.sizes))

    @cached_property
    def target(self) -> float:
        """Median F1 of the categories of several products."""
        several = self.f1[self.products > 1]
        return float(np.median(several)) if len(several) else 0.0

    @cached_property
    def curve(self) -> LearningCurve | None:
        """How F1 grows with products."""
        graph = self.graph
        return fit_curve(graph.neighbours, self.codes, graph.groups, self.f1)

    @cached_property
    def wrong_labels(self) -> Float64Array:
        """Number of wrong labels to expect in each category: (C,)."""
        ratio = np.exp(self.graph.own_log_odds[self.answered].astype(np.float64))
        doubt = NOISE / (NOISE + (1 - NOISE) * ratio)
        doubt[ratio >= 1] = 0.0
        codes = self.codes[self.answered]
        return np.bincount(codes, doubt, len(self.sizes)).astype(np.float64)

    @cached_property
    def confused(self) -> Mapping[tuple[int, int], int]:
        """(True, predicted) category -> products that are confused."""
        wrong = self.answered & (self.graph.predicted != self.codes)
        columns = (self.codes[wrong], self.graph.predicted[wrong], self.graph.groups[wrong])
        triples = np.unique(np.stack(columns, axis=1), axis=0)
        return Counter((a, b) for a, b, _ in triples.tolist())

    def told_apart(self, one: int, other: int) -> tuple[float, float]:
        """Return how well cards of two categories are told apart, and the upper limit of that.

        It is the area under the ROC curve of the difference of their out-of-fold votes.
        """
        margins = [
            self._share(rows, one) - self._share(rows, other)
            for rows in (self.rows(one), self.rows(other))
        ]
        own, others = margins[0], np.sort(margins[1])
        if not len(own) or not len(others):
            return 1.0, 1.0
        below, upto = (np.searchsorted(others, own, side=side) for side in ("left", "right"))
        area = float((below + upto).mean() / 2 / len(others))
        fewest = min(self.products[one], self.products[other])
        least = max(area, 0.5)
        return area, least + STANDARD_ERRORS * float(np.sqrt(least * (1 - least) / fewest))

    def rows(self, category: int) -> Int64Array:
        """Return the answered rows of a category."""
        return np.flatnonzero(self.answered & (self.codes == category))

    def _share(self, rows: Int64Array, category: int) -> Float64Array:
        is_it = self.graph.ranked[rows] == category
        return np.where(is_it, self.graph.shares[rows], 0.0).sum(axis=1)

    def gain_of_merging(self, one: int, other: int) -> float:
        """Return what two categories as one would add to the sum of F1 times cards."""
        both = [one, other]
        swapped = sum(
            int((self.graph.predicted[self.rows(a)] == b).sum()) for a, b in (both, both[::-1])
        )
        cards, said = self.sizes[both].sum(), self.said[both].sum()
        f1 = 2 * (self.right[both].sum() + swapped) / max(1, cards + said)
        return float(cards * f1 - self.f1[both] @ self.sizes[both])

    def confused_rows(self, one: int, other: int) -> Int64Array:
        """Return the rows of a category that are answered another."""
        rows = self.rows(one)
        return rows[self.graph.predicted[rows] == other]
