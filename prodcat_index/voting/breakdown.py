"""Where predictions fail: rare categories, and pairs of categories that are confused. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prodcat_index.voting.objectives import category_f1

IntArray = npt.NDArray[np.int64]
BUCKETS = {
    "none": (0, 0),
    "1": (1, 1),
    "2-5": (2, 5),
    "6-20": (6, 20),
    "21-100": (21, 100),
    ">100": (101, None),
}
WORST = 10
EXAMPLES = 3


@dataclass(frozen=True)
class Bucket:
    """The cards whose true category has a certain number of cards in the training part.

    Attributes
    ----------
    training_cards
        That number, such as ``"2-5"``; ``"none"`` for categories that training does not have.
    cards, categories
        Judged cards and their categories; means where several splits are put together.
    weighted_f1
        Mean F1 of these categories, weighted by their judged cards; 0 without any.
    """

    training_cards: str
    cards: float
    categories: float
    weighted_f1: float


def size_buckets(true: IntArray, predicted: IntArray, training_sizes: IntArray) -> list[Bucket]:
    """Break the weighted F1 down by the size of the true category in the training part.

    Parameters
    ----------
    true
        int64, shape (n,): category codes.
    predicted
        int64, shape (n,); -1 where nothing was predicted.
    training_sizes
        int64, shape (C,): training cards of each category.

    Returns
    -------
    list of Bucket
        From the rarest on. Their F1, weighted by cards, add up to that of all cards.
    """
    categories = len(training_sizes)
    f1 = category_f1(true, predicted, categories)
    sizes = np.bincount(true, minlength=categories)
    buckets = []
    for name, (low, high) in BUCKETS.items():
        inside = training_sizes >= low
        if high is not None:
            inside &= training_sizes <= high
        cards = int(sizes[inside].sum())
        mean = float(f1[inside] @ sizes[inside]) / cards if cards else 0.0
        buckets.append(Bucket(name, cards, int(np.sum(sizes[inside] > 0)), mean))
    return buckets


def mean_buckets(splits: Sequence[Sequence[Bucket]]) -> list[Bucket]:
    """Put the buckets of several splits together.

    Parameters
    ----------
    splits
        At least one result of :func:`size_buckets`.

    Returns
    -------
    list of Bucket
        Mean cards and categories, and the F1 weighted by cards; empty ones are left out.
    """
    means = []
    for same in zip(*splits, strict=True):
        cards = sum(bucket.cards for bucket in same)
        if cards:
            categories = sum(bucket.categories for bucket in same) / len(same)
            f1 = sum(bucket.weighted_f1 * bucket.cards for bucket in same) / cards
            means.append(Bucket(same[0].training_cards, cards / len(same), categories, f1))
    return means


@dataclass(frozen=True)
class Confusion:
    """A category that is taken for another.

    Attributes
    ----------
    true, predicted
        Their names; ``predicted`` is empty where nothing was predicted.
    count
        How often.
    share
        Part of the cards of the true category.
    examples
        Ids of a few such cards, each once.
    """

    true: str
    predicted: str
    count: int
    share: float
    examples: tuple[str, ...]


def worst_confusions(
    true: Sequence[str],
    predicted: Sequence[str],
    ids: Sequence[str],
    *,
    limit: int = WORST,
    examples: int = EXAMPLES,
) -> list[Confusion]:
    """Find the pairs of categories that are confused most often.

    Parameters
    ----------
    true, predicted, ids
        Of n cards; a card may come several times.
    limit
        How many pairs to return.
    examples
        How many ids to name of each.

    Returns
    -------
    list of Confusion
        Most frequent first, then by the largest share, then by name.
    """
    sizes = Counter(true)
    cards = defaultdict(list)
    for pair, card in zip(zip(true, predicted, strict=True), ids, strict=True):
        if pair[0] != pair[1]:
            cards[pair].append(card)
    found = [
        Confusion(t, p, len(wrong), len(wrong) / sizes[t], tuple(dict.fromkeys(wrong))[:examples])
        for (t, p), wrong in cards.items()
    ]
    return sorted(found, key=lambda c: (-c.count, -c.share, c.true, c.predicted))[:limit]
