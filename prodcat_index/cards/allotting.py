"""Allotting whole groups of cards to parts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.codes import IntArray, category_counts

TRAIN, VALID, TEST = range(3)
Shares = Mapping[int, float]


def allot_by_category(
    groups: IntArray,
    categories: IntArray,
    shares: Shares,
    rng: np.random.Generator,
    *,
    teach_all: bool = True,
    most_owed: float = 1.0,
) -> IntArray:
    """Allot groups at random, each category in the shares asked for as far as its groups allow.

    The groups of a category (that of most of their cards) are taken in random order, each into
    the first part that it does not overfill by more than half of itself; what a
    part then lacks or has too much is made good in the next category, up to `most_owed` cards.
    All else is train, as are groups without a label.

    Parameters
    ----------
    groups, categories
        int64, shape (N,): codes of the cards from 0; -1 for a card without category.
    shares
        ``TEST`` or ``VALID`` -> its share of the labelled cards.
    rng
        Where chance comes from.
    teach_all
        Keep one group of every category in train.
    most_owed
        How many cards one category may lack or have too many at the cost of the next: one evens
        out rounding, more keeps the shares of the whole when groups are larger than categories.

    Returns
    -------
    int64, shape (N,)
        ``TRAIN``, ``VALID`` or ``TEST``.
    """
    counts = category_counts(groups, categories)
    sizes = counts.sum(axis=1)
    order = rng.permutation(len(sizes))
    free = sizes > 0
    if teach_all:
        free[_first_of_each_category(counts, order)] = False
    parts = np.full(len(sizes), TRAIN, dtype=np.int64)
    owed = {part: rng.uniform(-0.5, 0.5) for part in shares}
    mains = np.asarray(counts.argmax(axis=1)).ravel()
    for main in rng.permutation(counts.shape[1]):
        members = order[mains[order] == main]
        total = int(sizes[members].sum())
        rest = members[free[members]]
        for part, share in shares.items():
            owed[part] += share * total
            taken = _take(sizes[rest], owed[part])
            parts[rest[taken]] = part
            left = owed[part] - int(sizes[rest[taken]].sum())
            owed[part] = min(max(left, -most_owed), most_owed)
            rest = rest[~taken]
    return parts[groups]


def allot_newest(
    groups: IntArray,
    times: npt.NDArray[np.float64],
    labelled: npt.NDArray[np.bool_],
    shares: Shares,
    rng: np.random.Generator,
) -> IntArray:
    """Allot the newest groups to the first part, the next to the second; older ones are train.

    A group is as old as its oldest card, so that what was known before is never tested. Groups
    of equal age stand in random order. Groups without a time or without a label are train.

    Parameters
    ----------
    groups
        int64, shape (N,): codes of the cards from 0.
    times
        float64, shape (N,), in any unit; NaN where it is not known.
    labelled
        bool, shape (N,): which cards have a category.
    shares
        As for :func:`allot_by_category`, the newest part first.
    rng
        Where chance comes from.

    Returns
    -------
    int64, shape (N,)
        ``TRAIN``, ``VALID`` or ``TEST``.
    """
    oldest = np.full(int(groups.max()) + 1, np.inf)
    np.fmin.at(oldest, groups, times)
    sizes = np.bincount(groups[labelled], minlength=len(oldest)) * np.isfinite(oldest)
    newest_first = np.lexsort((rng.permutation(len(oldest)), -oldest))
    newest_first = newest_first[sizes[newest_first] > 0]
    middles = np.cumsum(sizes[newest_first]) - sizes[newest_first] / 2
    parts = np.full(len(oldest), TRAIN, dtype=np.int64)
    wanted = np.cumsum([share * labelled.sum() for share in shares.values()])
    bounds = np.searchsorted(middles, wanted, side="right")
    for part, start, end in zip(shares, [0, *bounds[:-1]], bounds, strict=True):
        parts[newest_first[start:end]] = part
    return parts[groups]


def _first_of_each_category(counts: Any, order: IntArray) -> IntArray:
    ordered = counts[order].tocoo()
    by_place = np.argsort(ordered.row, kind="stable")
    _, first = np.unique(ordered.col[by_place], return_index=True)
    return order[ordered.row[by_place][first]]


def _take(sizes: Iterable[int], wanted: float) -> npt.NDArray[np.bool_]:
    taken, total = [], 0.0
    for size in sizes:
        fits = total + size / 2 <= wanted
        taken.append(fits)
        total += fits * size
    return np.array(taken, dtype=bool)
