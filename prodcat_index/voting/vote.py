"""Neighbours into category shares. Pure functions over arrays.

The score of category c is the sum over its neighbours i of exp((s_i - s_1) / temperature) *
size_c ** -prior_exponent * head_c ** head_exponent * r_i, with s_1 the largest similarity and r_i
the reliability of the card, at most 1. Shares are scores over their sum. Equal ones stand in the
order of their nearest neighbours.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass
from math import isfinite
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
from pydantic import BeforeValidator, Field

from prodcat_index.errors import QueryError, whole_number
from prodcat_index.types import MISSING, Float64Array, FloatingArray, Int64Array, chunks, shares_of

# Each query compares k by k categories: this many pairs are in memory at a time.
PAIRS_AT_ONCE = 2_000_000


@dataclass(frozen=True)
class VoteParameters:
    """Parameters of the vote.

    Parameters
    ----------
    k
        Number of neighbours that vote.
    temperature
        Difference in similarity to the nearest neighbour at which a vote counts 1/e of its vote.
    prior_exponent
        0 leaves large categories the advantage of their size; 1 divides each vote by the size of
        its category.
    head_exponent
        0 ignores the linear head; 1 multiplies each vote by the probability that the head, where
        there is one, gives to the neighbour's category.

    Raises
    ------
    QueryError
        If k is below 1, the temperature is not above 0, or an exponent is out of its range.
    """

    # The annotations hold where a stored index is read, and let its error name the field.
    k: Annotated[int, Field(ge=1, le=10_000)] = 10
    temperature: Annotated[float, Field(gt=0)] = 0.1
    prior_exponent: float = 0.0
    head_exponent: Annotated[float, Field(ge=0)] = 0.0

    def __post_init__(self) -> None:
        given = {name: _as_float(name, value) for name, value in vars(self).items() if name != "k"}
        vars(self).update(given, k=check_k(self.k))
        if not (isfinite(self.temperature) and self.temperature > 0):
            raise QueryError(f"The temperature must be above 0; it is {self.temperature}.")
        if not isfinite(self.prior_exponent):
            raise QueryError(f"The prior exponent must be a number; it is {self.prior_exponent}.")
        if not (isfinite(self.head_exponent) and self.head_exponent >= 0):
            raise QueryError(f"The head exponent must be 0 or more; it is {self.head_exponent}.")

    def log_factors(self, log_sizes: Float64Array, head_log_proba: FloatingArray) -> Float64Array:
        """Return the logarithm of the factor that each vote is multiplied by, shape (n, k)."""
        return self.head_exponent * head_log_proba - self.prior_exponent * log_sizes

    def describe(self) -> str:
        """Return the parameters in one line for people."""
        return (
            f"k {self.k}, temperature {self.temperature:g}, "
            f"prior exponent {self.prior_exponent:g}, head exponent {self.head_exponent:g}"
        )


def _with_all_of_format_1(vote: Any) -> Any:
    # The defaults of a vote are for people; a stored vote that lacks a number is damaged.
    for name in ("k", "temperature", "prior_exponent"):
        if isinstance(vote, dict) and name not in vote:
            raise ValueError(f"{name} is missing")
    return vote


# The vote of an index and of every setting that tuning tried, in a manifest.
StoredVote = Annotated[VoteParameters, BeforeValidator(_with_all_of_format_1)]


def check_k(k: Any) -> int:
    """Return the number of neighbours; raise QueryError if it is below 1, TypeError if no number.

    Whole numbers of any type are taken, such as those of numpy.
    """
    k = whole_number("number of neighbours k", k)
    if k < 1:
        raise QueryError(f"The number of neighbours k must be 1 or more; it is {k}.")
    return k


def _as_float(name: str, value: Any) -> float:
    try:
        return float(operator.pos(value))  # a text has no sign
    except (TypeError, ValueError):
        words = name.replace("_", " ")
        raise TypeError(f"The {words} of the vote is a number; {value!r} is none.") from None


@dataclass(frozen=True)
class Vote:
    """The outcome for n queries; all arrays have the shape (n, k)."""

    neighbour_shares: Float64Array  # parts of the vote; a row sums to 1, or 0 where nobody voted
    categories: Int64Array  # category codes, largest share first, each once; -1 after the last
    shares: Float64Array  # shares of these categories; 0 after the last


def vote(
    similarities: Float64Array,  # (n, k), falling along a row; NaN where there is no neighbour
    categories: Int64Array,  # (n, k): category codes of the neighbours; -1 where there is none
    sizes: Int64Array,  # (number of categories,): cards of each
    parameters: VoteParameters,  # its k cuts the neighbours that vote
    head_log_proba: FloatingArray | None = None,  # (n, k): natural logarithm of head_c, else of 1
    log_reliability: FloatingArray | None = None,  # (n, k): of each neighbour, else of 1
) -> Vote:
    """Let neighbours vote for their categories."""
    log_sizes = np.log(np.where(categories >= 0, sizes[categories], 1))
    head = np.zeros_like(log_sizes) if head_log_proba is None else head_log_proba
    log_factors = parameters.log_factors(log_sizes, head)
    if log_reliability is not None:
        log_factors = log_factors + log_reliability
    k = min(parameters.k, categories.shape[1])
    parts = [
        _vote_part(similarities[rows, :k], categories[rows, :k], log_factors[rows, :k], parameters)
        for rows in chunks(len(categories), max(1, PAIRS_AT_ONCE // max(1, k) ** 2))
    ]
    return Vote(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def _vote_part(
    similarities: Float64Array,
    categories: Int64Array,
    log_factors: Float64Array,
    parameters: VoteParameters,
) -> tuple[Float64Array, Int64Array, Float64Array]:
    shares = neighbour_shares(similarities, categories, log_factors, parameters.temperature)
    first = first_of_category(categories)
    totals = category_totals(shares, first)
    is_first = (first == np.arange(categories.shape[1])) & (categories >= 0)
    # Stable, so that equal totals stay in the order of their nearest neighbours.
    ranking = np.argsort(np.where(is_first, -totals, np.inf), axis=1, kind="stable")
    is_ranked = np.take_along_axis(is_first, ranking, axis=1)
    return (
        shares,
        np.where(is_ranked, np.take_along_axis(categories, ranking, axis=1), MISSING),
        np.where(is_ranked, np.take_along_axis(totals, ranking, axis=1), 0.0),
    )


def first_of_category(categories: npt.NDArray[np.integer]) -> Int64Array:
    """Return for each neighbour the place of the first one of its category, shape (n, k)."""
    first: Int64Array = (categories[:, :, None] == categories[:, None, :]).argmax(axis=2)
    return first


def category_totals(shares: Float64Array, first: Int64Array) -> Float64Array:
    """Add up the shares of each category at the place of its first neighbour, shape (n, k)."""
    n, k = shares.shape
    places = (first + np.arange(n)[:, None] * k).ravel()
    totals = np.bincount(places, weights=shares.ravel(), minlength=n * k)
    # Without any place, bincount returns integers.
    return totals.astype(np.float64, copy=False).reshape(n, k)


def neighbour_shares(
    similarities: Float64Array,
    categories: npt.NDArray[np.integer],
    log_factors: Float64Array,
    temperature: float,
) -> Float64Array:
    """Return each neighbour's part of the vote, shape (n, k)."""
    voting = categories >= 0
    nearest = np.where(voting, similarities, -np.inf).max(axis=1, initial=-np.inf, keepdims=True)
    scores = np.where(voting, (similarities - nearest) / temperature + log_factors, -np.inf)
    # Shifted by the largest score, so that no vote leaves the range of floats.
    largest = scores.max(axis=1, initial=-np.inf, keepdims=True)
    silent = np.full_like(scores, -np.inf)
    return shares_of(np.exp(np.subtract(scores, largest, out=silent, where=voting)))
