"""From an asked precision to the confidence that an answer needs. Pure, numpy alone."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from prodcat_index.types import CATEGORY_SEPARATOR, BoolArray, Float64Array, Int64Array
from prodcat_index.voting.reliability import check

CERTAINTY = 0.9
POINTS = 200


@dataclass(frozen=True)
class Acceptance:
    """Which answers to accept."""

    threshold: float
    coverage: float
    precision: float


@dataclass(frozen=True)
class PrecisionCurve:
    """What each threshold does to the calibration cards; enough to answer for any precision.

    Attributes
    ----------
    cards
        Number of calibration cards.
    thresholds
        Confidences, falling.
    answered
        How many cards have at least that confidence.
    wrong
        How many of these answers are wrong.
    """

    cards: int
    thresholds: tuple[float, ...]
    answered: tuple[int, ...]
    wrong: tuple[int, ...]

    def accept_at(self, precision: float, certainty: float = CERTAINTY) -> Acceptance | None:
        """Find the lowest threshold whose answers are as precise as asked.

        Thresholds are tested one after the other by the binomial distribution (Clopper and
        Pearson's one-sided bound) in two sequences, from the first that could pass at all and
        from half of the cards, each down to its first failure. Each sequence may err with half
        of 1 - `certainty`, so that both together keep to it (Angelopoulos et al., 2021).

        Parameters
        ----------
        precision
            Between 0 and 1.
        certainty
            Probability that the precision of new answers, drawn like the calibration cards, is
            the asked one or better.

        Returns
        -------
        Acceptance or None
            None where no threshold can be shown to do.

        Raises
        ------
        ValueError
            If precision or certainty is not between 0 and 1.
        """
        if not (0 < precision < 1 and 0 < certainty < 1):
            raise ValueError(
                "Precision and certainty must be above 0 and below 1; "
                f"they are {precision} and {certainty}."
            )
        answered = np.array(self.answered, dtype=np.int64)
        starts = _starts(answered, self.cards, precision, (1 - certainty) / 2)
        error = (1 - certainty) / max(1, len(starts))
        last = max((self._walk(start, precision, error) for start in starts), default=-1)
        if last < 0:
            return None
        return Acceptance(
            threshold=self.thresholds[last],
            coverage=self.answered[last] / self.cards,
            precision=1 - self.wrong[last] / self.answered[last],
        )

    def _walk(self, start: int, precision: float, error: float) -> int:
        """Return the last place that passes before the first failure; -1 if the first fails."""
        for place in range(start, len(self.thresholds)):
            if binomial_tail(self.wrong[place], self.answered[place], precision) > error:
                return place - 1 if place > start else -1
        return len(self.thresholds) - 1


def _starts(answered: Int64Array, cards: int, precision: float, error: float) -> list[int]:
    """Choose, without a look at what is wrong, the places where the sequences begin."""
    fewest = np.log(error) / np.log(precision)
    places = np.searchsorted(answered, [fewest, max(fewest, cards / 2)])
    return sorted({int(place) for place in places if place < len(answered)})


def binomial_tail(wrong: int, answered: int, precision: float) -> float:
    """Return the probability of so few wrong answers if they were just less precise than this."""
    if wrong >= answered:
        return 1.0
    further = np.arange(wrong)
    steps = np.log((answered - further) / (further + 1)) + np.log1p(-precision) - np.log(precision)
    terms = answered * np.log(precision) + np.concatenate([[0.0], np.cumsum(steps)])
    largest = terms.max()
    return min(1.0, float(np.exp(largest) * np.exp(terms - largest).sum()))


def precision_curve(
    confidence: Float64Array, right: BoolArray, points: int = POINTS
) -> PrecisionCurve:
    """Count the answers and mistakes of the calibration cards above some of their confidences.

    Parameters
    ----------
    confidence
        float64, shape (n,), from 0 to 1.
    right
        bool, shape (n,).
    points
        Number of thresholds at most, evenly spaced by the number of cards.
    """
    check(confidence, right)
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    # A threshold takes all equally confident cards or none.
    ends = np.flatnonzero(np.append(falling[1:] < falling[:-1], True))
    kept = ends[subsample_evenly(ends, points)]
    return PrecisionCurve(
        cards=len(right),
        thresholds=tuple(falling[kept].tolist()),
        answered=tuple((kept + 1).tolist()),
        wrong=tuple(np.cumsum(~right[order])[kept].tolist()),
    )


def subsample_evenly(values: Int64Array | Sequence[int], points: int) -> Int64Array:
    """Choose places in rising values so that the values are about evenly spaced."""
    if not len(values):
        return np.zeros(0, dtype=np.int64)
    wanted = np.linspace(values[0], values[-1], points)
    return np.unique(np.searchsorted(values, wanted)).astype(np.int64)


NOWHERE = -1
ASKED = tuple(hundredth / 100 for hundredth in range(50, 100))
# Above one half, all prefixes that reach a threshold lie on one path.
THRESHOLDS = tuple(thousandth / 1000 for thousandth in range(1000, 500, -5))


@dataclass(frozen=True)
class CategoryTree:
    """The prefixes of C categories that are paths."""

    names: tuple[str, ...]
    above: Int64Array

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

    def prefixes_of(self, categories: Int64Array) -> Int64Array:
        """Return the prefixes of category codes of any shape, -1 for no category, one axis more."""
        return np.where((categories >= 0)[..., None], self.above[categories], NOWHERE)


def _prefixes(name: str) -> list[str]:
    return list(
        accumulate(
            name.split(CATEGORY_SEPARATOR), lambda prefix, part: prefix + CATEGORY_SEPARATOR + part
        )
    )


@dataclass(frozen=True)
class Prefixes:
    """The most probable prefix of each length, for n queries."""

    codes: Int64Array
    confidence: Float64Array

    def deepest(self, threshold: float) -> Int64Array:
        """Return the longest prefix that is as probable as that: int64, shape (n,), -1 if none."""
        length = (self.confidence >= threshold).sum(axis=1)
        padded = np.pad(self.codes, ((0, 0), (1, 0)), constant_values=NOWHERE)
        longest: Int64Array = np.take_along_axis(padded, length[:, None], axis=1)[:, 0]
        return longest


def likeliest_prefixes(
    probabilities: Float64Array, categories: Int64Array, tree: CategoryTree
) -> Prefixes:
    """Add up the probabilities of the categories below each prefix."""
    codes = np.moveaxis(tree.prefixes_of(categories), 2, 1)
    totals = _totals(codes, probabilities, len(tree.names))
    best = totals.argmax(axis=2)[:, :, None]
    confidence = np.take_along_axis(totals, best, axis=2)[:, :, 0]
    likeliest = np.take_along_axis(codes, best, axis=2)[:, :, 0]
    return Prefixes(np.where(confidence > 0, likeliest, NOWHERE), np.minimum(confidence, 1.0))


def _totals(codes: Int64Array, probabilities: Float64Array, prefixes: int) -> Float64Array:
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
    """How sure a prefix must be, for a row of asked precisions."""

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
    confidence: Float64Array,
    prefixes: Prefixes,
    true_codes: Int64Array,
    tree: CategoryTree,
) -> BackOffCurve | None:
    """Find how sure prefixes must be where the whole category is not sure enough."""
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


def _below(rising: Float64Array, threshold: float) -> int:
    return int(np.searchsorted(rising, threshold, side="left"))


def _counts(confidence: Float64Array, right: BoolArray) -> tuple[Int64Array, Int64Array]:
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


@dataclass(frozen=True)
class SetCurve:
    """How probable the true category was to the calibration cards."""

    cards: int
    ranks: tuple[int, ...]
    probabilities: tuple[float, ...]

    @property
    def highest_level(self) -> float:
        """The highest level that can be kept; above it too many true categories got no vote."""
        return self.ranks[-1] / (self.cards + 1) if self.ranks else 0.0

    def least_probability(self, level: float) -> float | None:
        """Return how probable a category must be to belong to the set."""
        if not 0 < level < 1:
            raise ValueError(f"The level of a set must be above 0 and below 1; it is {level}.")
        place = int(np.searchsorted(self.ranks, np.ceil(level * (self.cards + 1) - 1e-9)))
        return self.probabilities[place] if place < len(self.ranks) else None


def set_curve(
    probabilities: Float64Array,
    categories: Int64Array,
    true_codes: Int64Array,
    points: int = POINTS,
) -> SetCurve:
    """Note how probable the true categories of the calibration cards were."""
    is_true = (categories == true_codes[:, None]) & (categories >= 0)
    falling = -np.sort(-probabilities[is_true])
    ranks = np.arange(1, len(falling) + 1)
    kept = subsample_evenly(ranks, points)
    return SetCurve(
        cards=len(true_codes),
        ranks=tuple(ranks[kept].tolist()),
        probabilities=tuple(falling[kept].tolist()),
    )


def category_sets(
    probabilities: Float64Array, categories: Int64Array, least_probability: float
) -> BoolArray:
    """Say which categories belong to each set.

    Parameters
    ----------
    probabilities, categories
        As for :func:`set_curve`, the most probable category first.
    least_probability
        From :meth:`SetCurve.least_probability`.

    Returns
    -------
    numpy.ndarray
        bool, shape (n, k). The most probable category always belongs.
    """
    chosen: BoolArray = (categories >= 0) & (probabilities >= least_probability)
    chosen[:, 0] = categories[:, 0] >= 0
    return chosen
