"""How the F1 of a category grows with its cards, from the neighbours that its cards have."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prodcat_index.audit.clues import most_frequent
from prodcat_index.types import MISSING, BoolArray, Float64Array, Int64Array

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


@dataclass(frozen=True)
class LearningCurve:
    """1 - F1 falls by a power of the number of products: ``scale * n ** -exponent`` on average."""

    exponent: float
    low: float  # 95 % interval of the exponent, over categories
    high: float
    scale: float

    def error(self, f1: Float64Array, products: Int64Array) -> Float64Array:
        """Return 1 - F1 of categories, drawn towards what is usual at their size: (C,).

        Of one product nothing but its size is known.
        """
        usual = np.minimum(1.0, self.scale * np.maximum(products, 1.0) ** -self.exponent)
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
    """Estimate the curve by leaving out some of the products of each category; None for too few.

    Parameters
    ----------
    neighbours
        int64, (N, K): rows of the nearest cards, -1 after the last.
    codes, groups
        int64, (N,): category of each card, -1 for none, and its product.
    f1
        float64, (C,): out-of-fold F1 of each category.
    """
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
        first = np.argsort(~voters, axis=1, kind="stable")[:, :VOTERS]
        found = np.take_along_axis(np.where(voters, codes[near], MISSING), first, axis=1)
        wrong = (most_frequent(found) != codes[rows]).astype(np.float64)
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
