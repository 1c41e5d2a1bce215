"""Categories that are paths: which prefix is likeliest, and how sure it must be for a precision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prodcat_index.types import CATEGORY_SEPARATOR, MISSING, BoolArray, Float64Array, Int64Array
from prodcat_index.voting.thresholds import (
    TARGET_PRECISIONS,
    Acceptance,
    PrecisionCurve,
    Shares,
    check_columns,
    independent_cards,
)

# Above one half, all prefixes that reach a threshold lie on one path.
PREFIX_THRESHOLDS = tuple(thousandth / 1000 for thousandth in range(1000, 500, -5))


@dataclass(frozen=True)
class CategoryTree:
    """The prefixes of C categories that are paths."""

    names: tuple[str, ...]  # such as "Shoes"; none that all categories share
    above: Int64Array  # (C, D): prefixes of each category, shortest first; -1 after the last

    @classmethod
    def from_categories(cls, categories: Sequence[str]) -> CategoryTree:
        """Return the tree of categories; it has no prefixes where none of them is a path."""
        paths = [_prefixes(name) for name in categories]
        proper = {prefix for path in paths for prefix in path[:-1]}
        sharing = Counter(prefix for path in paths for prefix in path if prefix in proper)
        names = sorted(prefix for prefix in proper if sharing[prefix] < len(categories))
        code = {name: place for place, name in enumerate(names)}
        coded = [[code[prefix] for prefix in path if prefix in code] for path in paths]
        above = np.full((len(coded), max(map(len, coded), default=0)), MISSING, dtype=np.int64)
        for row, prefixes in enumerate(coded):
            above[row, : len(prefixes)] = prefixes
        return cls(tuple(names), above)

    def prefixes_of(self, categories: Int64Array) -> Int64Array:
        """Return the prefixes of category codes of any shape, -1 for no category, one axis more."""
        return np.where((categories >= 0)[..., None], self.above[categories], MISSING)


def _prefixes(name: str) -> list[str]:
    parts = name.split(CATEGORY_SEPARATOR)
    return [CATEGORY_SEPARATOR.join(parts[:length]) for length in range(1, len(parts) + 1)]


@dataclass(frozen=True)
class Prefixes:
    """The most probable prefix of each length, for n queries."""

    codes: Int64Array  # (n, D), shortest first; -1 where no category of that length got a vote
    confidence: Float64Array  # (n, D), falling: summed probability of the categories below it

    def deepest(self, threshold: float) -> Int64Array:
        """Return the longest prefix that is as probable as that: shape (n,), -1 if none."""
        length = (self.confidence >= threshold).sum(axis=1)
        padded = np.pad(self.codes, ((0, 0), (1, 0)), constant_values=MISSING)
        longest: Int64Array = np.take_along_axis(padded, length[:, None], axis=1)[:, 0]
        return longest


def likeliest_prefixes(
    probabilities: Float64Array, categories: Int64Array, tree: CategoryTree
) -> Prefixes:
    """Add up the probabilities of the categories, both of shape (n, k), below each prefix."""
    codes = np.moveaxis(tree.prefixes_of(categories), 2, 1)
    n, depth, k = codes.shape
    # Equal prefixes of a query and length get one number, over which probabilities are summed.
    rows = np.arange(n * depth).reshape(n, depth, 1) * len(tree.names)
    _, place = np.unique(np.where(codes >= 0, rows + codes, MISSING), return_inverse=True)
    spread = np.broadcast_to(probabilities[:, None, :], codes.shape)
    sums = np.bincount(place.ravel(), weights=spread.ravel())
    totals = np.where(codes >= 0, sums[place.ravel()].reshape(n, depth, k), 0.0)
    best = totals.argmax(axis=2)[:, :, None]
    confidence = np.take_along_axis(totals, best, axis=2)[:, :, 0]
    likeliest = np.take_along_axis(codes, best, axis=2)[:, :, 0]
    return Prefixes(np.where(confidence > 0, likeliest, MISSING), np.minimum(confidence, 1.0))


@dataclass(frozen=True)
class BackOffCurve:
    """Least confidence of a prefix, for each target precision that can be shown to be kept."""

    precisions: Shares  # rising
    thresholds: Shares
    coverage: Shares  # share of all calibration cards that get a prefix
    accuracy: Shares  # share of right prefixes among them

    def __post_init__(self) -> None:
        check_columns(self.precisions, self.thresholds, self.coverage, self.accuracy)

    def accept_at(self, precision: float) -> Acceptance | None:
        """Return what holds for a precision, that of the next higher hundredth."""
        wanted = next((target for target in TARGET_PRECISIONS if target >= precision), None)
        if wanted not in self.precisions:
            return None
        place = self.precisions.index(wanted)
        return Acceptance(self.thresholds[place], self.coverage[place], self.accuracy[place])


def back_off_curve(
    curve: PrecisionCurve,  # of the whole categories, as is their confidence
    confidence: Float64Array,
    prefixes: Prefixes,
    true_codes: Int64Array,
    groups: Int64Array,
    tree: CategoryTree,
) -> BackOffCurve | None:
    """Find how sure prefixes must be for cards whose whole category is not; None without a tree."""
    if not tree.names:
        return None
    right = (prefixes.codes >= 0) & (prefixes.codes == tree.prefixes_of(true_codes))
    order = np.argsort(confidence, kind="stable")
    rising, shortest = confidence[order], prefixes.confidence[order, 0]
    wrong = _count_wrong(prefixes.confidence[order], right[order])
    rows = []
    for precision in TARGET_PRECISIONS:
        whole = curve.accept_at(precision)
        # Cards that are accepted whole get no prefix.
        rest = int(np.searchsorted(rising, np.inf if whole is None else whole.threshold))
        counted = _prefix_curve(shortest[:rest], wrong[rest], groups[order[:rest]])
        found = counted.accept_at(precision)
        if found is not None:
            coverage = found.coverage * rest / len(order)
            rows.append((precision, found.threshold, coverage, found.precision))
    return BackOffCurve(*zip(*rows, strict=True)) if rows else BackOffCurve((), (), (), ())


def _prefix_curve(
    confidence: Float64Array, wrong: Int64Array, groups: Int64Array
) -> PrecisionCurve:
    """Return the curve of cards with such a confidence of their shortest prefix, n at each."""
    order = np.argsort(-confidence, kind="stable")
    answered = np.searchsorted(-confidence[order], -np.array(PREFIX_THRESHOLDS), side="right")
    some = answered > 0
    columns = (
        np.array(PREFIX_THRESHOLDS)[some],
        answered[some],
        wrong[some],
        independent_cards(groups[order])[answered[some] - 1],
    )
    return PrecisionCurve(len(confidence), *(tuple(column.tolist()) for column in columns))


def _count_wrong(confidence: Float64Array, right: BoolArray) -> Int64Array:
    """Count wrong prefixes among the first m cards: int64, shape (n + 1, T)."""
    length = np.stack([(confidence >= each).sum(axis=1) for each in PREFIX_THRESHOLDS], axis=1)
    # No prefix, of length 0, is never wrong.
    padded = np.pad(right, ((0, 0), (1, 0)), constant_values=True)
    is_wrong = ~np.take_along_axis(padded, length, axis=1)
    none = np.zeros((1, length.shape[1]), dtype=np.int64)
    return np.concatenate([none, np.cumsum(is_wrong, axis=0)])
