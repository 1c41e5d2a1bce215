"""Neighbours into category shares. Pure functions over arrays."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prodcat_index.errors import QueryError
from prodcat_index.types import Float64Array, Int64Array

PAIRS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class VoteParameters:
    """How neighbours vote.

    Attributes
    ----------
    k
        Number of neighbours that vote.
    temperature
        How fast a vote fades with distance: a neighbour that is less similar than the nearest
        one by this much counts 1/e of it.
    prior_exponent
        0 lets large categories profit from their size; 1 divides each vote by the category's size.
    head_exponent
        0 lets neighbours decide alone; 1 multiplies each vote by the probability that a linear
        head, where there is one, gives the neighbour's category.
    """

    k: int = 10
    temperature: float = 0.1
    prior_exponent: float = 0.0
    head_exponent: float = 0.0

    def log_factors(self, log_sizes: Float64Array, head_log_proba: Float64Array) -> Float64Array:
        """Return the logarithm of what a vote is multiplied by for its category's sake.

        Parameters
        ----------
        log_sizes
            float64, shape (n, k): natural logarithm of the size of each neighbour's category.
        head_log_proba
            float64, shape (n, k): that of the category's probability by the linear head.
        """
        return self.head_exponent * head_log_proba - self.prior_exponent * log_sizes

    def describe(self) -> str:
        """Return the parameters in one line for people."""
        return (
            f"k {self.k}, temperature {self.temperature:g}, "
            f"prior exponent {self.prior_exponent:g}, head exponent {self.head_exponent:g}"
        )


def check_k(k: int) -> None:
    """Refuse a number of neighbours that nobody can be found for."""
    if k < 1:
        raise QueryError(f"The number of neighbours k must be 1 or more; it is {k}.")


def check_vote(parameters: VoteParameters) -> None:
    """Refuse parameters that no vote can be held with."""
    check_k(parameters.k)
    if not (np.isfinite(parameters.temperature) and parameters.temperature > 0):
        raise QueryError(f"The temperature must be above 0; it is {parameters.temperature}.")
    if not np.isfinite(parameters.prior_exponent):
        raise QueryError(f"The prior exponent must be a number; it is {parameters.prior_exponent}.")
    if not (np.isfinite(parameters.head_exponent) and parameters.head_exponent >= 0):
        raise QueryError(f"The head exponent must be 0 or more; it is {parameters.head_exponent}.")


@dataclass(frozen=True)
class Vote:
    """The outcome for n queries.

    Attributes
    ----------
    neighbour_shares
        float64, shape (n, k): each neighbour's part of the vote; a row sums to 1, or to 0 where
        nobody voted.
    categories
        int64, shape (n, k): category codes, largest share first, each once; -1 after the last.
    shares
        float64, shape (n, k): shares of ``categories``; 0 after the last.
    """

    neighbour_shares: Float64Array
    categories: Int64Array
    shares: Float64Array


def vote(
    similarities: Float64Array,
    categories: Int64Array,
    sizes: npt.NDArray[np.int64],
    parameters: VoteParameters,
    head_log_proba: Float64Array | None = None,
) -> Vote:
    """Let neighbours vote for their categories.

    The score of category c is the sum over its neighbours i of exp((s_i - s_1) / temperature) *
    size_c ** -prior_exponent * head_c ** head_exponent, with s_1 the largest similarity.
    Equal scores stand in the order of their nearest neighbours.

    Parameters
    ----------
    similarities
        float64, shape (n, k), falling along a row; NaN where there is no neighbour.
    categories
        int64, shape (n, k): category code of each neighbour; -1 where there is none.
    sizes
        int64, shape (number of categories,): cards of each category.
    parameters
        Temperature and exponents; ``k`` cuts the neighbours that vote.
    head_log_proba
        float64, shape (n, k): natural logarithm of head_c; head_c is 1 by default.
    """
    log_sizes = np.log(np.where(categories >= 0, sizes[categories], 1))
    heads = np.zeros_like(log_sizes) if head_log_proba is None else head_log_proba
    factors = parameters.log_factors(log_sizes, heads)
    return cast_votes(similarities, categories, factors, parameters)


def cast_votes(
    similarities: Float64Array,
    categories: Int64Array,
    log_factors: Float64Array,
    parameters: VoteParameters,
) -> Vote:
    """Let neighbours vote, each multiplied by a factor of its own."""
    k = parameters.k
    at_once = max(1, PAIRS_AT_ONCE // max(1, min(k, categories.shape[1])) ** 2)
    parts = []
    for start in range(0, max(1, len(categories)), at_once):
        rows = (slice(start, start + at_once), slice(k))
        args = similarities[rows], categories[rows], log_factors[rows]
        parts.append(_cast(*args, parameters.temperature))
    return Vote(
        neighbour_shares=np.concatenate([part.neighbour_shares for part in parts]),
        categories=np.concatenate([part.categories for part in parts]),
        shares=np.concatenate([part.shares for part in parts]),
    )


def _cast(
    similarities: Float64Array,
    categories: Int64Array,
    log_factors: Float64Array,
    temperature: float,
) -> Vote:
    shares = neighbour_shares(similarities, categories, log_factors, temperature)
    first = first_of_category(categories)
    totals = category_totals(shares, first)
    leading = (first == np.arange(categories.shape[1])) & (categories >= 0)
    ranking = np.argsort(np.where(leading, -totals, np.inf), axis=1, kind="stable")
    ranked = np.take_along_axis(leading, ranking, axis=1)
    return Vote(
        neighbour_shares=shares,
        categories=np.where(ranked, np.take_along_axis(categories, ranking, axis=1), -1),
        shares=np.where(ranked, np.take_along_axis(totals, ranking, axis=1), 0.0),
    )


def first_of_category(categories: npt.NDArray[np.integer]) -> Int64Array:
    """Say at which position the category of each neighbour stands first."""
    first: Int64Array = (categories[:, :, None] == categories[:, None, :]).argmax(axis=2)
    return first


def category_totals(shares: Float64Array, first: Int64Array) -> Float64Array:
    """Add up the shares of each category at the position of its first neighbour."""
    n, k = shares.shape
    places = (first + np.arange(n)[:, None] * k).ravel()
    totals = np.bincount(places, weights=shares.ravel(), minlength=n * k)
    return totals.astype(np.float64, copy=False).reshape(n, k)


def neighbour_shares(
    similarities: Float64Array,
    categories: npt.NDArray[np.integer],
    log_factors: Float64Array,
    temperature: float,
) -> Float64Array:
    """Say what part of the vote each neighbour has."""
    voting = categories >= 0
    nearest = np.where(voting, similarities, -np.inf).max(axis=1, initial=-np.inf, keepdims=True)
    scores = np.where(voting, (similarities - nearest) / temperature + log_factors, -np.inf)
    # Shifted by the largest score, so that no vote leaves the range of floats.
    largest = scores.max(axis=1, initial=-np.inf, keepdims=True)
    silent = np.full_like(scores, -np.inf)
    weights = np.exp(np.subtract(scores, largest, out=silent, where=voting))
    totals = weights.sum(axis=1, keepdims=True)
    shares: Float64Array = np.divide(weights, totals, out=np.zeros_like(weights), where=totals > 0)
    return shares
