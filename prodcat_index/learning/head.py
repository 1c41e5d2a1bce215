"""A linear head: multinomial logistic regression over projected rows."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from prodcat_index.types import Float32Array, Float64Array, Int64Array

# The inverse of the penalty on squared coefficients.
INVERSE_PENALTY = 3.0
# Unit rows are stretched, so that the solver arrives in a quarter of the steps.
STRETCH = 3.0
# Stopping early costs nothing: neighbours have their say as well.
STEPS = 25
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
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    chosen = np.flatnonzero((codes >= 0) & rows.any(axis=1))
    if len(np.unique(codes[chosen])) < 2:
        return None
    regression = LogisticRegression(C=INVERSE_PENALTY, max_iter=STEPS)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        warnings.filterwarnings("ignore", "The number of unique classes", UserWarning)
        regression.fit(STRETCH * rows[chosen], codes[chosen])
    weights, intercepts = regression.coef_, regression.intercept_
    if len(regression.classes_) == 2:
        # Two categories share one row of weights, which speaks for the second of them.
        weights, intercepts = (np.concatenate([-w / 2, w / 2]) for w in (weights, intercepts))
    return LinearHead(
        coefficients=np.ascontiguousarray(STRETCH * weights.T, dtype=np.float32),
        intercepts=intercepts.astype(np.float32),
        categories=regression.classes_.astype(np.int64),
    )
