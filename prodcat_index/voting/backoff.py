"""Backing off up the tree: "Shoes" where "Shoes > Boots" is not sure. Pure, numpy alone."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from prodcat_index.voting.hierarchy import SEPARATOR
from prodcat_index.voting.reliability import BoolArray, FloatArray
from prodcat_index.voting.thresholds import Acceptance, IntArray, PrecisionCurve
from prodcat_index.voting.vote import IntRows

NOWHERE = -1
ASKED = tuple(hundredth / 100 for hundredth in range(50, 100))
# Above one half, all prefixes that reach a threshold lie on one path.
THRESHOLDS = tuple(thousandth / 1000 for thousandth in range(1000, 500, -5))


@dataclass(frozen=True)
class CategoryTree:
    """The prefixes of C categories that are paths.

    Attributes
    ----------
    names
        The P prefixes, such as ``"Shoes"``; not one that all categories have, which says nothing.
    above
        int64, shape (C, D): the prefixes of each category, shortest first; -1 after the last.
    """

    names: tuple[str, ...]
    above: IntRows

    @classmethod
    def of(cls, categories: Sequence[str]) -> CategoryTree:
        """Return the tree of categories; it has no prefixes where none of them is a path."""
        proper = {prefix for name in categories for prefix in _prefixes(name)[:-1]}
        chains = [[p for p in _prefixes(name) if p in proper] for name in categories]
        having = Counter(prefix for chain in chains for prefix in chain)
        names = tuple(sorted(p for p in proper if having[p] < len(categories)))
        code = {name: place for place, name in enumerate(names)}
        coded = [[code[prefix] for prefix in chain if prefix in code] for chain in chains]
        above = np.full((len(coded), max(map(len, coded), default=0)), NOWHERE, dtype=np.int64)
        for row, chain in enumerate(coded):
            above[row, : len(chain)] = chain
        return cls(names, above)

    def prefixes_of(self, categories: IntArray) -> IntRows:
        """Return the prefixes of category codes of any shape, -1 for no category, one axis more."""
        return np.where((categories >= 0)[..., None], self.above[categories], NOWHERE)


def _prefixes(name: str) -> list[str]:
    return list(accumulate(name.split(SEPARATOR), lambda prefix, part: prefix + SEPARATOR + part))


@dataclass(frozen=True)
class Prefixes:
    """The most probable prefix of each length, for n queries.

    Attributes
    ----------
    codes
        int64, shape (n, D): shortest first; -1 where no category of that length got a vote.
    confidence
        float64, shape (n, D): the summed probability of the categories with that prefix, falling
        along a row.
    """

    codes: IntRows
    confidence: FloatArray

    def deepest(self, threshold: float) -> IntArray:
        """Return the longest prefix that is as probable as that: int64, shape (n,), -1 if none."""
        length = (self.confidence >= threshold).sum(axis=1)
        padded = np.pad(self.codes, ((0, 0), (1, 0)), constant_values=NOWHERE)
        longest: IntArray = np.take_along_axis(padded, length[:, None], axis=1)[:, 0]
        return longest


def likeliest_prefixes(
    probabilities: FloatArray, categories: IntRows, tree: CategoryTree
) -> Prefixes:
    """Add up the probabilities of the categories below each prefix.

    Parameters
    ----------
    probabilities
        float64, shape (n, k): of ``categories``.
    categories
        int64, shape (n, k): category codes; -1 after the last.
    tree
        Of these codes.
    """
    codes = np.moveaxis(tree.prefixes_of(categories), 2, 1)
    totals = _totals(codes, probabilities, len(tree.names))
    best = totals.argmax(axis=2)[:, :, None]
    confidence = np.take_along_axis(totals, best, axis=2)[:, :, 0]
    likeliest = np.take_along_axis(codes, best, axis=2)[:, :, 0]
    return Prefixes(np.where(confidence > 0, likeliest, NOWHERE), np.minimum(confidence, 1.0))


def _totals(codes: IntRows, probabilities: FloatArray, prefixes: int) -> FloatArray:
    """Return for each code the probability of all equal ones in its row: shape (n, D, k)."""
    n, depth, k = codes.shape
    rows = np.arange(n * depth).reshape(n, depth, 1)
    _, place = np.unique(
        np.where(codes >= 0, rows * prefixes + codes, NOWHERE), return_inverse=True
    )
    spread = np.broadcast_to(probabilities[:, None, :], codes.shape)
    sums = np.bincount(place.ravel(), weights=spread.ravel())
    return np.where(codes >= 0, sums[place.ravel()].reshape(n, depth, k), 0.0)


@dataclass(frozen=True)
class BackOffCurve:
    """How sure a prefix must be, for a row of asked precisions.

    Attributes
    ----------
    precisions
        Those that can be shown to be kept, rising.
    thresholds
        Least confidence of a prefix, for each.
    coverage
        Share of calibration cards, without those accepted as they are, with such a prefix.
    accuracy
        Share of right prefixes among them.
    """

    precisions: tuple[float, ...]
    thresholds: tuple[float, ...]
    coverage: tuple[float, ...]
    accuracy: tuple[float, ...]

    def accept_at(self, precision: float) -> Acceptance | None:
        """Return what holds for a precision, that of the next higher hundredth."""
        wanted = ASKED[min(bisect_left(ASKED, precision), len(ASKED) - 1)]
        if wanted < precision or wanted not in self.precisions:
            return None
        place = self.precisions.index(wanted)
        return Acceptance(self.thresholds[place], self.coverage[place], self.accuracy[place])


def back_off_curve(
    curve: PrecisionCurve,
    confidence: FloatArray,
    prefixes: Prefixes,
    true_codes: IntArray,
    tree: CategoryTree,
) -> BackOffCurve | None:
    """Find how sure prefixes must be where the whole category is not sure enough.

    Parameters
    ----------
    curve
        Of the whole categories.
    confidence
        float64, shape (n,): of the whole categories.
    prefixes
        Of the same n calibration cards.
    true_codes
        int64, shape (n,); -1 for an unknown category.
    tree
        Of these codes.

    Returns
    -------
    BackOffCurve or None
        None where categories are no paths.
    """
    if not tree.names:
        return None
    right = (prefixes.codes >= 0) & (prefixes.codes == tree.prefixes_of(true_codes))
    rising = np.argsort(confidence, kind="stable")
    answered, wrong = _counts(prefixes.confidence[rising], right[rising])
    rows = []
    for precision in ASKED:
        whole = curve.accept_at(precision)
        rest = len(rising) if whole is None else _below(confidence[rising], whole.threshold)
        counts = PrecisionCurve(
            rest, THRESHOLDS, tuple(answered[rest].tolist()), tuple(wrong[rest].tolist())
        )
        found = counts.accept_at(precision)
        if found is not None:
            covered = found.coverage * rest / len(rising)
            rows.append((precision, found.threshold, covered, found.precision))
    return BackOffCurve(*zip(*rows, strict=True)) if rows else BackOffCurve((), (), (), ())


def _below(rising: FloatArray, threshold: float) -> int:
    return int(np.searchsorted(rising, threshold, side="left"))


def _counts(confidence: FloatArray, right: BoolArray) -> tuple[IntRows, IntRows]:
    """Count answered and wrong prefixes among the first m cards: int64, shapes (n + 1, T)."""
    n = len(confidence)
    answered = np.zeros((n + 1, len(THRESHOLDS)), dtype=np.int64)
    wrong = np.zeros_like(answered)
    padded = np.pad(right, ((0, 0), (1, 0)), constant_values=True)
    for place, threshold in enumerate(THRESHOLDS):
        length = (confidence >= threshold).sum(axis=1)
        answered[1:, place] = np.cumsum(length > 0)
        wrong[1:, place] = np.cumsum(~padded[np.arange(n), length])
    return answered, wrong
