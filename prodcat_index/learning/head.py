"""A linear head: multinomial logistic regression over projected rows."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from prodcat_index.types import Float32Array, Float64Array, Int64Array, chunks

# The inverse of the penalty on squared coefficients.
INVERSE_PENALTY = 3.0
# Unit rows are stretched, so that the solver arrives in a quarter of the steps.
STRETCH = 3.0
# Stopping early costs nothing: neighbours have their say as well.
STEPS = 25
# The largest slope at which the solver has arrived; rows that are looked at together.
TOLERANCE = 1e-4
FITTED_AT_ONCE = 1024
# A category counts as no less probable than this, so that the head alone never settles a vote.
LEAST_LOGARITHM = -20.0


@dataclass(frozen=True)
class LinearHead:
    """Probabilities of H categories by a linear function of a projected row."""

    coefficients: Float32Array  # (d, H)
    intercepts: Float32Array  # (H,)
    # (H,): category code of each column, those of one code being one category; -1 for one that no
    # longer is.
    categories: Int64Array

    @cached_property
    def _wide(self) -> Float64Array:
        """The coefficients in double precision: to convert them would delay each query."""
        return self.coefficients.astype(float)

    def log_probabilities(self, rows: Float32Array, count: int) -> Float32Array:
        """Return log probabilities of `count` categories, -20 at least: (n, count).

        A category that the head was not fitted on is as probable as the likeliest one, so that
        neighbours alone decide between the two; a row of zeros makes all alike, 0.
        """
        # A product of float32 would depend on how many rows and threads there are.
        scores = (rows.astype(float) @ self._wide + self.intercepts).astype(np.float32)
        scores -= scores.max(axis=1, keepdims=True)
        scores -= np.log(np.exp(scores).sum(axis=1, keepdims=True))
        first = first_columns_of(self.categories)
        if np.any(first != np.arange(len(first))):
            with np.errstate(divide="ignore"):
                scores = np.log(add_up(np.exp(scores), first))
        logarithms = np.repeat(scores.max(axis=1, keepdims=True), count, axis=1)
        there = np.unique(first[self.categories >= 0])
        logarithms[:, self.categories[there]] = scores[:, there]
        known = rows.any(axis=1, keepdims=True)
        bounded = np.where(known, np.maximum(logarithms, LEAST_LOGARITHM), 0.0)
        return bounded.astype(np.float32, copy=False)


def first_columns_of(codes: Int64Array) -> Int64Array:
    """Return for each column the first one of the same code; itself for the code -1."""
    own = np.where(codes >= 0, codes, -1 - np.arange(len(codes)))
    _, first, place = np.unique(own, return_index=True, return_inverse=True)
    return first[place]


def add_up(probabilities: Float32Array, first: Int64Array) -> Float32Array:
    """Add up the columns of one category in the first of them, (n, H), and leave zeros behind."""
    others = np.flatnonzero(first != np.arange(len(first)))
    if not len(others):
        return probabilities
    added = probabilities.copy()
    for column in others:
        added[:, first[column]] += probabilities[:, column]
    added[:, others] = 0.0
    return added


def fit_head(rows: Float32Array, codes: Int64Array) -> LinearHead | None:
    """Fit a head to unit rows, (n, d), and their category codes; None below two categories.

    Rows of zeros and of code -1 are left out.
    """
    chosen = np.flatnonzero((codes >= 0) & rows.any(axis=1))
    categories, targets = np.unique(codes[chosen], return_inverse=True)
    if len(categories) < 2:
        return None
    weights = _fit_softmax(STRETCH * rows[chosen], targets, len(categories))
    return LinearHead(
        coefficients=np.ascontiguousarray(STRETCH * weights[:-1], dtype=np.float32),
        intercepts=weights[-1].astype(np.float32),
        categories=categories.astype(np.int64),
    )


def _fit_softmax(rows: Float32Array, targets: Int64Array, count: int) -> Float64Array:
    """Return the weights of n rows for each category, and the intercepts below: (d + 1, count).

    It is the regression of scikit-learn, by the same solver. The probabilities of a few rows at a
    time stay in the cache of the processor, so that hardly more than the products of matrices
    takes time.
    """
    from scipy.optimize import minimize

    # Two categories are penalized by the difference of their weights.
    penalty = (2 if count == 2 else 1) / (INVERSE_PENALTY * len(rows))

    def loss(flat: Float64Array) -> tuple[float, Float64Array]:
        weights = flat.reshape(-1, count)
        single = weights.astype(np.float32)
        total, slope = 0.0, np.zeros_like(weights)
        for part in chunks(len(rows), FITTED_AT_ONCE):
            own = np.arange(part.stop - part.start), targets[part]
            scores = rows[part] @ single[:-1]
            scores += single[-1]
            scores -= scores.max(axis=1, keepdims=True)
            total -= scores[own].sum(dtype=np.float64)
            np.exp(scores, out=scores)
            sums = scores.sum(axis=1, keepdims=True)
            total += np.log(sums).sum(dtype=np.float64)
            scores /= sums
            scores[own] -= 1
            slope[:-1] += rows[part].T @ scores
            slope[-1] += scores.sum(axis=0)
        slope /= len(rows)
        slope[:-1] += penalty * weights[:-1]
        return total / len(rows) + penalty / 2 * np.square(weights[:-1]).sum(), slope.ravel()

    start = np.zeros((rows.shape[1] + 1) * count)
    options = {"maxiter": STEPS, "gtol": TOLERANCE, "ftol": 64 * np.finfo(np.float64).eps}
    found = minimize(loss, start, jac=True, method="L-BFGS-B", options={**options, "maxls": 50})
    return np.asarray(found.x).reshape(-1, count)
