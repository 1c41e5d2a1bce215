"""Breakdown of mistakes: by rarity, by pairs of categories, and by the tree. Pure."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile

import numpy as np

from prodcat_index.types import CATEGORY_SEPARATOR, Int64Array
from prodcat_index.voting.metrics import category_f1

# Names of the buckets, and the most training cards of a category in each but the last.
BUCKETS = ("none", "1", "2-5", "6-20", "21-100", ">100")
BUCKET_ENDS = (0, 1, 5, 20, 100)
WORST = 10
EXAMPLES = 3
Path = tuple[str, ...]


@dataclass(frozen=True)
class Bucket:
    """The cards whose true category has a certain number of training cards."""

    training_cards: str  # that number, such as "2-5"
    cards: float  # a mean where several splits are put together
    categories: float  # likewise
    weighted_f1: float  # mean F1 of these categories, weighted by cards; 0 without any


def size_buckets(
    true: Int64Array, predicted: Int64Array, training_sizes: Int64Array
) -> list[Bucket]:
    """Break the weighted F1 down by the size of the true category in training, rarest first."""
    f1 = category_f1(true, predicted, len(training_sizes))
    sizes = np.bincount(true, minlength=len(training_sizes))
    bucket_of = np.searchsorted(BUCKET_ENDS, training_sizes)
    buckets = []
    for place, name in enumerate(BUCKETS):
        inside = bucket_of == place
        cards = int(sizes[inside].sum())
        mean = float(f1[inside] @ sizes[inside]) / max(1, cards)
        buckets.append(Bucket(name, cards, int(np.sum(sizes[inside] > 0)), mean))
    return buckets


def mean_buckets(splits: Sequence[Sequence[Bucket]]) -> list[Bucket]:
    """Put the buckets of several splits together, without those that have no cards."""
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
    """A category that is taken for another."""

    true: str
    predicted: str  # empty where nothing was predicted
    count: int
    share: float  # part of the cards of the true category
    examples: tuple[str, ...]  # ids of a few such cards, each once


def worst_confusions(
    true: Sequence[str], predicted: Sequence[str], ids: Sequence[str]
) -> list[Confusion]:
    """Find the pairs of categories that are confused most often; a card may come several times."""
    sizes = Counter(true)
    cards = defaultdict(list)
    for t, p, card in zip(true, predicted, ids, strict=True):
        if t != p:
            cards[t, p].append(card)
    found = [
        Confusion(t, p, len(wrong), len(wrong) / sizes[t], tuple(dict.fromkeys(wrong))[:EXAMPLES])
        for (t, p), wrong in cards.items()
    ]
    return sorted(found, key=lambda c: (-c.count, -c.share, c.true, c.predicted))[:WORST]


@dataclass(frozen=True)
class HierarchyScore:
    """Quality by the tree of categories, where a near miss costs less than a far one.

    Precision and recall are of the predicted and the true categories, each with its ancestors
    below the common root (Kiritchenko et al., 2005).
    """

    precision: float
    recall: float
    f1: float  # harmonic mean of the two
    # Mean height of the lowest common ancestor over the mistakes (Bertinetto et al., 2020): 1
    # among siblings that are leaves, that of the root without a prediction; None without mistakes.
    severity: float | None
    mistakes: int  # wrong predictions
    height: int  # of the whole tree, which the severity cannot exceed


def category_paths(names: Sequence[str]) -> list[Path]:
    """Split categories into the parts below their common root."""
    paths = [tuple(name.split(CATEGORY_SEPARATOR)) for name in names]
    levels = zip(*(path[:-1] for path in paths), strict=False)
    shared = len(list(takewhile(lambda parts: len(set(parts)) == 1, levels)))
    return [path[shared:] for path in paths]


def score_hierarchy(
    true: Int64Array, predicted: Int64Array, names: Sequence[str]
) -> HierarchyScore | None:
    """Score predictions by the tree of categories; None where the categories are no tree.

    `true` and `predicted`, int64 of shape (n,), are positions in `names`, all categories of the
    tree; -1 where nothing was predicted.
    """
    paths = category_paths(names)
    if all(len(path) == 1 for path in paths):
        return None
    pairs = Counter(zip(true.tolist(), predicted.tolist(), strict=True))
    answers = [(paths[t], paths[p] if p >= 0 else (), count) for (t, p), count in pairs.items()]
    shared = sum(count * len(_ancestor(t, p)) for t, p, count in answers)
    precision = shared / (sum(count * len(p) for _, p, count in answers) or 1)
    recall = shared / sum(count * len(t) for t, _, count in answers)
    heights = _heights(paths)
    wrong = [(heights[_ancestor(t, p)], count) for t, p, count in answers if t != p]
    mistakes = sum(count for _, count in wrong)
    return HierarchyScore(
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / (precision + recall or 1),
        severity=sum(height * count for height, count in wrong) / mistakes if wrong else None,
        mistakes=mistakes,
        height=heights[()],
    )


def _ancestor(first: Path, second: Path) -> Path:
    """Return the lowest common ancestor of two categories."""
    both = zip(first, second, strict=False)
    return first[: len(list(takewhile(lambda parts: parts[0] == parts[1], both)))]


def _heights(paths: Sequence[Path]) -> dict[Path, int]:
    """Return each node's distance to its farthest leaf."""
    heights: dict[Path, int] = {}
    for path in paths:
        for depth in range(len(path) + 1):
            node = path[:depth]
            heights[node] = max(heights.get(node, 0), len(path) - depth)
    return heights
