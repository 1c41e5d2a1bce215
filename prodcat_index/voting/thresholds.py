"""Thresholds for a target precision, of categories and prefixes, and for a coverage of sets.

They are fitted on calibration cards, and applied with numpy alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Sized
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import numpy as np
from pydantic import Field

from prodcat_index.errors import QueryError
from prodcat_index.types import CATEGORY_SEPARATOR, MISSING, BoolArray, Float64Array, Int64Array
from prodcat_index.voting.metrics import check_confidence

CERTAINTY = 0.9
# Rows of a stored curve: enough for steps of half a percent, and a manifest stays readable.
POINTS = 200
TARGET_PRECISIONS = tuple(hundredth / 100 for hundredth in range(50, 100))
# Above one half, all prefixes that reach a threshold lie on one path.
PREFIX_THRESHOLDS = tuple(thousandth / 1000 for thousandth in range(1000, 500, -5))

# Bounds of what is read from a stored index: arrays as long as a number of cards are made of it.
CardCount = Annotated[int, Field(ge=0, le=2**22)]
CardCounts = Annotated[tuple[CardCount, ...], Field(max_length=1000)]
Share = Annotated[float, Field(ge=0, le=1)]
Shares = Annotated[tuple[Share, ...], Field(max_length=1000)]


@dataclass(frozen=True)
class Acceptance:
    """The lowest threshold that keeps a precision."""

    threshold: float  # least confidence of an accepted answer
    coverage: float  # share of the calibration cards that it accepts
    precision: float  # share of right answers among these


@dataclass(frozen=True)
class PrecisionCurve:
    """Answers and mistakes of the calibration cards above each threshold."""

    cards: CardCount  # calibration cards, with an answer or without
    thresholds: Shares  # confidences, falling
    answered: CardCounts  # cards of at least that confidence
    wrong: CardCounts  # wrong answers among them

    def __post_init__(self) -> None:
        _check_columns(self.thresholds, self.answered, self.wrong)
        if not _is_rising(reversed(self.thresholds)):
            raise ValueError("The thresholds of a precision curve must fall.")
        counts = zip(self.wrong, self.answered, strict=True)
        fit = all(answered > 0 and wrong <= answered for wrong, answered in counts)
        if not (fit and _is_rising((*self.answered, self.cards))):
            raise ValueError("The numbers of answers and mistakes must fit together.")

    def accept_at(self, precision: float) -> Acceptance | None:
        """Find the lowest threshold that keeps a precision, with CERTAINTY on cards like these."""
        check_share("precision", precision)
        answered, wrong = np.array([self.answered, self.wrong], dtype=np.int64)
        return _lowest(self.cards, self.thresholds, answered, wrong, precision)


def check_share(name: str, share: float) -> None:
    """Raise QueryError if a target precision or coverage is no share."""
    if not 0 < share < 1:
        raise QueryError(f"The {name} must be above 0 and below 1, as 0.95 is; it is {share}.")


def _lowest(
    cards: int, thresholds: Shares, answered: Int64Array, wrong: Int64Array, precision: float
) -> Acceptance | None:
    """Test thresholds one after the other in two walks, each down to its first failure.

    The test is by the binomial distribution (Clopper and Pearson's one-sided bound). The walks
    begin at the first threshold that could pass at all and at half of the cards; each may err with
    half of 1 - CERTAINTY, so that both together keep to it (Angelopoulos et al., 2021).
    """
    # The starts are chosen without a look at what is wrong: looking would be a test as well.
    fewest = np.log((1 - CERTAINTY) / 2) / np.log(precision)
    places = np.searchsorted(answered, [fewest, max(fewest, cards / 2)])
    starts = {int(place) for place in places if place < len(answered)}
    error = (1 - CERTAINTY) / max(1, len(starts))
    last = -1
    for start in starts:
        place = start
        while place < len(answered) and (
            binomial_tail(int(wrong[place]), int(answered[place]), precision) <= error
        ):
            last, place = max(last, place), place + 1
    if last < 0:
        return None
    right = float(1 - wrong[last] / answered[last])
    return Acceptance(thresholds[last], float(answered[last] / cards), right)


def binomial_tail(wrong: int, answered: int, precision: float) -> float:
    """Return the probability of at most so many wrong answers at a precision.

    It is scipy.special.bdtr without the 0.2 s of its import, which a single prediction would pay.
    """
    if wrong >= answered:
        return 1.0
    further = np.arange(wrong)
    steps = np.log((answered - further) / (further + 1)) + np.log1p(-precision) - np.log(precision)
    terms = answered * np.log(precision) + np.concatenate([[0.0], np.cumsum(steps)])
    largest = terms.max()
    return min(1.0, float(np.exp(largest) * np.exp(terms - largest).sum()))


def precision_curve(confidence: Float64Array, right: BoolArray) -> PrecisionCurve:
    """Count answers and mistakes above thresholds that are evenly spaced by cards."""
    check_confidence(confidence, right)
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    # A threshold takes all equally confident cards or none.
    ends = np.flatnonzero(np.append(falling[1:] < falling[:-1], True))
    kept = ends[subsample_evenly(ends)]
    return PrecisionCurve(
        cards=len(right),
        thresholds=tuple(falling[kept].tolist()),
        answered=tuple((kept + 1).tolist()),
        wrong=tuple(np.cumsum(~right[order])[kept].tolist()),
    )


def subsample_evenly(values: Int64Array) -> Int64Array:
    """Choose at most POINTS places in rising values, which are about evenly spaced there."""
    if not len(values):
        return values
    wanted = np.linspace(values[0], values[-1], POINTS)
    return np.unique(np.searchsorted(values, wanted)).astype(np.int64)


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
        _check_columns(self.precisions, self.thresholds, self.coverage, self.accuracy)

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
    tree: CategoryTree,
) -> BackOffCurve | None:
    """Find how sure prefixes must be for cards whose whole category is not; None without a tree."""
    if not tree.names:
        return None
    right = (prefixes.codes >= 0) & (prefixes.codes == tree.prefixes_of(true_codes))
    order = np.argsort(confidence, kind="stable")
    rising = confidence[order]
    answered, wrong = _count_prefixes(prefixes.confidence[order], right[order])
    rows = []
    for precision in TARGET_PRECISIONS:
        whole = curve.accept_at(precision)
        # Cards that are accepted whole get no prefix.
        rest = int(np.searchsorted(rising, np.inf if whole is None else whole.threshold))
        found = _lowest(rest, PREFIX_THRESHOLDS, answered[rest], wrong[rest], precision)
        if found is not None:
            coverage = found.coverage * rest / len(order)
            rows.append((precision, found.threshold, coverage, found.precision))
    return BackOffCurve(*zip(*rows, strict=True)) if rows else BackOffCurve((), (), (), ())


def _count_prefixes(confidence: Float64Array, right: BoolArray) -> tuple[Int64Array, Int64Array]:
    """Count answered and wrong prefixes among the first m cards: int64, shapes (n + 1, T)."""
    length = np.stack([(confidence >= each).sum(axis=1) for each in PREFIX_THRESHOLDS], axis=1)
    # No prefix, of length 0, is never wrong.
    padded = np.pad(right, ((0, 0), (1, 0)), constant_values=True)
    is_wrong = ~np.take_along_axis(padded, length, axis=1)
    none = np.zeros((1, length.shape[1]), dtype=np.int64)
    answered, wrong = np.cumsum(length > 0, axis=0), np.cumsum(is_wrong, axis=0)
    return np.concatenate([none, answered]), np.concatenate([none, wrong])


@dataclass(frozen=True)
class SetCurve:
    """Probability of the true category of the calibration cards (split conformal prediction)."""

    cards: CardCount  # calibration cards, those whose true category got no vote included
    ranks: CardCounts  # rising places, from 1, in the order of falling probability
    probabilities: Shares  # of the true category at these places, falling

    def __post_init__(self) -> None:
        _check_columns(self.ranks, self.probabilities)
        if not _is_rising((*self.ranks, self.cards)):
            raise ValueError("The ranks of a set curve must rise, to the number of cards at most.")
        if not _is_rising(reversed(self.probabilities)):
            raise ValueError("The probabilities of a set curve must fall.")

    @property
    def highest_coverage(self) -> float:
        """The highest coverage that sets can keep; the other true categories got no vote."""
        return self.ranks[-1] / (self.cards + 1) if self.ranks else 0.0

    def least_probability(self, coverage: float) -> float | None:
        """Return the least probability of a category in a set, None above the highest coverage."""
        check_share("coverage of sets", coverage)
        # Rounded up, but not for an error of rounding: 0.55 * 20 is 11.000000000000002.
        rank = np.ceil(coverage * (self.cards + 1) - 1e-9)
        place = int(np.searchsorted(self.ranks, rank))
        return self.probabilities[place] if place < len(self.ranks) else None


def set_curve(
    probabilities: Float64Array, categories: Int64Array, true_codes: Int64Array
) -> SetCurve:
    """Rank the probabilities of the true categories of the calibration cards."""
    is_true = (categories == true_codes[:, None]) & (categories >= 0)
    falling = -np.sort(-probabilities[is_true])
    ranks = np.arange(1, len(falling) + 1)
    kept = subsample_evenly(ranks)
    return SetCurve(len(true_codes), tuple(ranks[kept].tolist()), tuple(falling[kept].tolist()))


def _check_columns(*columns: Sized) -> None:
    if len(set(map(len, columns))) > 1:
        raise ValueError("The columns of a calibration curve must have the same length.")


def _is_rising(values: Iterable[float]) -> bool:
    return all(low <= high for low, high in pairwise(values))
