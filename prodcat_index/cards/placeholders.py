"""Telling a placeholder picture or a boilerplate text from a product's own."""

from __future__ import annotations

from typing import Any

import numpy as np

from prodcat_index.cards.codes import NO_CODE, BoolArray, IntArray, category_counts

FEWEST_CARDS = 10
LARGEST_SHARE = 0.8


def are_placeholders(counts: Any) -> BoolArray:
    """Tell which values are shared by at least 10 labelled cards, less than 80 % of one category.

    Parameters
    ----------
    counts
        From :func:`~prodcat_index.cards.codes.category_counts`.

    Returns
    -------
    bool, one a row
    """
    cards = counts.sum(axis=1)
    most = counts.max(axis=1).toarray().ravel()
    return (cards >= FEWEST_CARDS) & (most < LARGEST_SHARE * cards)


def without_placeholders(codes: IntArray, categories: IntArray) -> tuple[IntArray, BoolArray]:
    """Take away the values that are placeholders.

    Parameters
    ----------
    codes, categories
        As for :func:`~prodcat_index.cards.codes.category_counts`.

    Returns
    -------
    tuple
        The codes, -1 for placeholders as well, and bool of shape (N,): where these were.
    """
    told = codes >= 0
    shared = np.zeros(len(codes), dtype=bool)
    if told.any():
        shared[told] = are_placeholders(category_counts(codes, categories))[codes[told]]
    return np.where(shared, NO_CODE, codes), shared
