"""How the categories of an index stand, and how the F1 of one grows with its cards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from prodcat_index.audit.clues import vote_of_first
from prodcat_index.audit.graph import AuditGraph
from prodcat_index.audit.two_samples import DEVIATIONS, share_below
from prodcat_index.types import MISSING, BoolArray, Float64Array, Int64Array
from prodcat_index.voting.metrics import category_f1

# Share of wrong labels that is expected before a card is looked at.
NOISE = 0.05
# Nearest cards of other products that vote.
VOTERS = 10
# Categories of fewer products are not thinned out; with fewer such categories nothing is estimated.
FEWEST_PRODUCTS, FEWEST_CATEGORIES = 8, 5
# Parts of a category's products that are kept, each drawn so often.
KEPT, DRAWS = (0.5, 0.25), 3
# Products from which the own error of a category counts as much as that of its size.
TRUSTED = 5
BOOTSTRAPS = 200
# Faster than by 1 / n no error was seen to fall when cards were really added.
LEAST, MOST = 0.05, 1.0


class Standing:
    """How the C categories of an index stand, by out-of-fold answers to its N cards."""

    def __init__(self, graph: AuditGraph) -> None:
        self.graph = graph
        self.codes = codes = graph.parts.labels.codes  # (N,): category of each card
        # (N,): labelled cards with an answer
        self.answered = (codes != MISSING) & (graph.predicted != MISSING)
        true, said = codes[self.answered], graph.predicted[self.answered]
        count = len(graph.parts.labels.names)
        # (C,): numbers of answered cards, of those answered right, and of those answered so
        counts = (np.bincount(each, minlength=count) for each in (true, true[said == true], said))
        self.sizes, self.right, self.said = counts
        self.f1 = category_f1(true, said, count)
        self.products = count_products(codes, graph.groups, count)
        several = self.f1[self.products > 1]
        # Median F1 of the categories of several products.
        self.target = float(np.median(several)) if len(several) else 0.0

    @cached_property
    def curve(self) -> LearningCurve | None:
        """How F1 grows with products."""
        return fit_curve(self.graph.neighbours, self.codes, self.graph.groups, self.f1)

    @cached_property
    def wrong_labels(self) -> Float64Array:
        """Number of wrong labels to expect in each category: (C,)."""
        ratio = np.exp(self.graph.own_log_odds[self.answered].astype(np.float64))
        doubt = NOISE / (NOISE + (1 - NOISE) * ratio)
        doubt[ratio >= 1] = 0.0
        codes = self.codes[self.answered]
        return np.bincount(codes, doubt, len(self.sizes)).astype(np.float64)

    @cached_property
    def confused(self) -> Mapping[int, Mapping[int, int]]:
        """True category -> predicted one -> products that are confused."""
        wrong = self.answered & (self.graph.predicted != self.codes)
        columns = (self.codes[wrong], self.graph.predicted[wrong], self.graph.groups[wrong])
        found: dict[int, Counter[int]] = {}
        for true, said, _ in np.unique(np.stack(columns, axis=1), axis=0).tolist():
            found.setdefault(true, Counter())[said] += 1
        return found

    def told_apart(self, one: int, other: int) -> tuple[float, float]:
        """Return how well cards of two categories are told apart, and the upper limit of that."""
        # The area under the ROC curve of the difference of their votes.
        margins = [
            self._share(rows, one) - self._share(rows, other)
            for rows in (self.rows(one), self.rows(other))
        ]
        if not all(map(len, margins)):
            return 1.0, 1.0
        area = float(share_below(*margins).mean())
        fewest = min(self.products[one], self.products[other])
        least = max(area, 0.5)
        return area, least + DEVIATIONS * float(np.sqrt(least * (1 - least) / fewest))

    @cached_property
    def _rows_of(self) -> Sequence[Int64Array]:
        rows = np.flatnonzero(self.answered)
        rows = rows[np.argsort(self.codes[rows], kind="stable")]
        return np.split(rows, np.cumsum(self.sizes)[:-1])

    def rows(self, category: int) -> Int64Array:
        """Return the answered rows of a category, rising."""
        return self._rows_of[category]

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


@dataclass(frozen=True)
class LearningCurve:
    """1 - F1 falls by a power of the number of products: ``scale * n ** -exponent`` on average."""

    exponent: float
    low: float  # 95 % interval of the exponent, over categories
    high: float
    scale: float

    def error(self, f1: Float64Array, products: Int64Array) -> Float64Array:
        """Return 1 - F1 of categories, drawn towards what is usual at their size: (C,)."""
        usual = np.minimum(1.0, self.scale * np.maximum(products, 1.0) ** -self.exponent)
        # Of one product nothing but its size is known.
        trust = np.where(products > 1, products / (products + TRUSTED), 0.0)
        return np.asarray(trust * (1 - f1) + (1 - trust) * usual)

    def f1_with(self, error: float, products: int, more: int) -> float:
        """Return the F1 to expect with more products."""
        return float(1 - error * (products / (products + more)) ** self.exponent)

    def needed(self, error: float, products: int, f1: float) -> tuple[float, float, float]:
        """Return how many more products reach an F1, and the ends of its interval."""
        ratio = max(1.0, error / max(1 - f1, 1e-3))
        more = [products * (ratio ** (1 / b) - 1) for b in (self.exponent, self.high, self.low)]
        return more[0], more[1], more[2]


def fit_curve(
    neighbours: Int64Array, codes: Int64Array, groups: Int64Array, f1: Float64Array, seed: int = 0
) -> LearningCurve | None:
    """Estimate the curve by leaving out some of the products of each category; None for too few."""
    products = count_products(codes, groups, len(f1))
    chosen = np.flatnonzero(products >= FEWEST_PRODUCTS)
    if len(chosen) < FEWEST_CATEGORIES:
        return None
    rows = np.flatnonzero(np.isin(codes, chosen))
    near = neighbours[rows]
    known = (near != MISSING) & (codes[near] != MISSING) & (groups[near] != groups[rows, None])
    own = codes[near] == codes[rows, None]
    rng = np.random.default_rng(seed)

    def errors(voters: BoolArray) -> Float64Array:
        wrong = (vote_of_first(codes[near], voters, VOTERS) != codes[rows]).astype(np.float64)
        return np.bincount(codes[rows], wrong, len(f1))[chosen] / sizes

    sizes = np.bincount(codes[rows], minlength=len(f1))[chosen]
    whole = errors(known)
    thinned = []
    for kept in KEPT:
        draws = [rng.random(int(groups.max()) + 1) < kept for _ in range(DRAWS)]
        # The other categories stay whole: it is one category that gets more cards.
        thinned.append(np.mean([errors(known & (~own | keep[groups[near]])) for keep in draws], 0))

    def exponent(sample: Int64Array) -> float:
        less = max(whole[sample].mean(), 0.5 / sizes.sum())
        rises = [np.log(max(t[sample].mean(), less) / less) for t in thinned]
        return float(np.mean([r / np.log(1 / k) for r, k in zip(rises, KEPT, strict=True)]))

    every = np.arange(len(chosen))
    drawn = [exponent(rng.choice(every, len(every))) for _ in range(BOOTSTRAPS)]
    low, high = np.clip(np.quantile(drawn, (0.025, 0.975)), LEAST, MOST)
    best = float(np.clip(exponent(every), LEAST, MOST))
    several = products > 1
    powers = products[several] ** -best
    weights = np.sqrt(products[several])
    scale = float((weights * powers) @ (1 - f1[several]) / ((weights * powers) @ powers))
    return LearningCurve(best, float(low), float(high), scale)


def count_products(codes: Int64Array, groups: Int64Array, categories: int) -> Int64Array:
    """Return the number of products of each category: (C,)."""
    labelled = codes != MISSING
    pairs = np.unique(np.stack([codes[labelled], groups[labelled]]), axis=1)
    return np.bincount(pairs[0], minlength=categories).astype(np.int64)
