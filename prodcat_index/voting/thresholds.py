"""Thresholds for a target precision, of all answers or of each category by itself.

They are fitted on calibration cards, and applied with numpy alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from pydantic import Field

from prodcat_index.errors import QueryError
from prodcat_index.types import BoolArray, Float64Array, Int64Array
from prodcat_index.voting.metrics import check_confidence

CERTAINTY = 0.9
# The first start may err with this part of 1 - CERTAINTY; the later ones, at these shares of the
# cards, divide the rest.
FIRST_PART = 0.5
LATER_STARTS = (0.25, 0.5)
# Rows of a stored curve: enough for steps of half a percent, and a manifest stays readable.
POINTS = 200
TARGET_PRECISIONS = (*(hundredth / 100 for hundredth in range(50, 100)), 0.995, 0.999)

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
    # As many unrelated cards tell as much as these; None in earlier versions, which took all to be.
    independent: CardCounts | None = None

    def __post_init__(self) -> None:
        counted = self.independent_cards
        check_columns(self.thresholds, self.answered, self.wrong, counted)
        if not is_rising(reversed(self.thresholds)):
            raise ValueError("The thresholds of a precision curve must fall.")
        counts = zip(self.wrong, counted, self.answered, strict=True)
        fit = all(wrong <= answered >= alike > 0 for wrong, alike, answered in counts)
        if not (fit and is_rising((*self.answered, self.cards))):
            raise ValueError("The numbers of answers and mistakes must fit together.")

    @property
    def independent_cards(self) -> CardCounts:
        """Number of unrelated cards that tell as much as those above each threshold."""
        return self.answered if self.independent is None else self.independent

    def accept_at(self, precision: float) -> Acceptance | None:
        """Find the lowest threshold that keeps a precision, with CERTAINTY on cards like these.

        A fallback procedure (Wiens, 2003), from the most confident cards on: what a start may err
        with is passed on while tests succeed, and lost where one fails. It is 1 - CERTAINTY in all.
        """
        check_share("precision", precision)
        last, error = -1, 0.0
        for place, more in enumerate(self._starts(precision)):
            error += more
            if error and self._tail(place, precision) <= error:
                last = place
            else:
                error = 0.0
        if last < 0:
            return None
        answered = self.answered[last]
        right = 1 - self.wrong[last] / answered
        return Acceptance(self.thresholds[last], answered / self.cards, right)

    def _starts(self, precision: float) -> list[float]:
        """Return what a walk may err with that starts at each threshold.

        The first start is the first number of cards that could pass at all. Wrong labels among the
        most confident cards end its walk at once, hence the later ones.
        """
        # The starts are chosen without a look at what is wrong: looking would be a test as well.
        error = 1 - CERTAINTY
        first = self._first_place(FIRST_PART * error, precision)
        wanted = [share * self.cards for share in LATER_STARTS]
        later = {int(place) for place in np.searchsorted(self.answered, wanted) if place > first}
        later -= {len(self.answered)}
        if not later:
            first = self._first_place(error, precision)
        errors = np.zeros(len(self.answered) + 1)
        errors[list(later)] = (1 - FIRST_PART) * error / max(1, len(later))
        errors[first] += error * (FIRST_PART if later else 1)
        return errors[:-1].tolist()

    def _first_place(self, error: float, precision: float) -> int:
        """Return the first threshold that passes where nothing is wrong; their number if none."""
        enough = np.array(self.independent_cards) >= np.log(error) / np.log(precision)
        return int(enough.argmax()) if enough.any() else len(enough)

    def _tail(self, place: int, precision: float) -> float:
        """Return how probably so little is wrong if the precision is not kept."""
        counted = self.independent_cards[place]
        # Rounded up, but not for an error of rounding.
        wrong = np.ceil(self.wrong[place] * counted / self.answered[place] - 1e-9)
        return binomial_tail(int(wrong), counted, precision)

    def cards_lacking(self, precision: float) -> int | None:
        """Estimate how many more cards like these would show a precision; None if none would.

        With a share of mistakes r, n cards are enough where n times the divergence of r from
        1 - precision reaches log(1 / error) (Chernoff's bound).
        """
        risk = 1 - precision
        wrong = np.array(self.wrong, dtype=np.float64) / np.array(self.answered)
        kept = wrong < risk - 1e-9
        if not kept.any():
            return None
        rate, right = wrong[kept], 1 - wrong[kept]
        divergence = right * np.log(right / precision)
        divergence += np.where(rate > 0, rate * np.log(np.maximum(rate, 1e-300) / risk), 0.0)
        needed = -np.log(FIRST_PART * (1 - CERTAINTY)) / divergence
        shares = np.array(self.independent_cards)[kept] / self.cards
        # Where a walk ended early, the cards themselves would be enough, with better luck.
        return max(int(np.ceil((needed / shares).min())) - self.cards, self.cards // 10, 1)


def check_share(name: str, share: Any) -> None:
    """Raise QueryError if a target precision or coverage is no share."""
    if not hasattr(share, "__float__"):
        raise TypeError(f"The {name} is a number, such as 0.95; {share!r} is none.")
    if not 0 < share < 1:
        raise QueryError(f"The {name} must be above 0 and below 1, as 0.95 is; it is {share}.")


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


def precision_curve(
    confidence: Float64Array, right: BoolArray, groups: Int64Array, least: float = 0.0
) -> PrecisionCurve:
    """Count answers and mistakes above thresholds that are evenly spaced by cards.

    Cards of a group are likely to be right or wrong together. No threshold is below the `least`.
    """
    check_confidence(confidence, right)
    order = np.argsort(-confidence, kind="stable")
    falling = confidence[order]
    # A threshold takes all equally confident cards or none.
    ends = np.flatnonzero(np.append(falling[1:] < falling[:-1], True))
    ends = ends[falling[ends] >= least]
    kept = ends[subsample_evenly(ends)]
    return PrecisionCurve(
        cards=len(right),
        thresholds=tuple(falling[kept].tolist()),
        answered=tuple((kept + 1).tolist()),
        wrong=tuple(np.cumsum(~right[order])[kept].tolist()),
        independent=tuple(independent_cards(groups[order])[kept].tolist()),
    )


def independent_cards(groups: Int64Array) -> Int64Array:
    """Return how many unrelated cards tell as much as the first m of some, for m = 1 to n.

    It is Kish's effective number, m² over the sum of the squared group sizes, for groups that are
    right or wrong as a whole.
    """
    n = len(groups)
    order = np.argsort(groups, kind="stable")
    is_first = np.append(True, np.diff(groups[order]) != 0)[:n]
    places = np.arange(n)
    earlier = np.empty(n, dtype=np.int64)  # cards of the same group that come before
    earlier[order] = places - np.maximum.accumulate(np.where(is_first, places, 0))
    # A further card makes a group of c cards one of c + 1: the square grows by 2c + 1.
    effective: Int64Array = (places + 1) ** 2 // np.cumsum(2 * earlier + 1)
    return effective


def subsample_evenly(values: Int64Array) -> Int64Array:
    """Choose at most POINTS places in rising values, which are about evenly spaced there."""
    if not len(values):
        return values
    wanted = np.linspace(values[0], values[-1], POINTS)
    return np.unique(np.searchsorted(values, wanted)).astype(np.int64)


@dataclass(frozen=True)
class CategoryThresholds:
    """Least confidence of the answers of one category, for target precisions that it can show."""

    precisions: Shares  # rising
    thresholds: Shares  # rising
    accepted: CardCounts  # calibration cards of at least that confidence, falling

    def __post_init__(self) -> None:
        check_columns(self.precisions, self.thresholds, self.accepted)
        falling = reversed(self.accepted)
        if not all(map(is_rising, (self.precisions, self.thresholds, falling))):
            raise ValueError("A higher precision of a category must accept less.")

    def accept_at(self, precision: float) -> tuple[float, int] | None:
        """Return a threshold and how many cards it accepts: those of the next higher precision."""
        place = int(np.searchsorted(self.precisions, precision))
        if place == len(self.precisions):
            return None
        return self.thresholds[place], self.accepted[place]


def merge_thresholds(every: Sequence[CategoryThresholds | None]) -> CategoryThresholds | None:
    """Return thresholds that hold for several categories as one; None if one of them has none."""
    there = [each for each in every if each]
    if len(there) < len(every) or len(there) == 1:
        return every[0] if len(every) == 1 else None
    precisions = sorted({precision for each in there for precision in each.precisions})
    found = {
        precision: [accepted for accepted in at if accepted]
        for precision in precisions
        if all(at := [each.accept_at(precision) for each in there])
    }
    return CategoryThresholds(
        tuple(found),
        tuple(max(threshold for threshold, _ in at) for at in found.values()),
        tuple(min(cards for _, cards in at) for at in found.values()),
    )


def category_thresholds(
    confidence: Float64Array,
    right: BoolArray,
    predicted: Int64Array,
    groups: Int64Array,
    names: Sequence[str],
    least: float = 0.0,  # confidence of an answer that is accepted
) -> Mapping[str, CategoryThresholds]:
    """Find the thresholds of each category from the cards that it is the answer for.

    Categories whose cards show none of TARGET_PRECISIONS are left out.
    """
    order = np.argsort(predicted, kind="stable")
    codes, starts = np.unique(predicted[order], return_index=True)
    found = {}
    for code, rows in zip(codes.tolist(), np.split(order, starts[1:]), strict=True):
        fewest = np.log(1 - CERTAINTY) / np.log(TARGET_PRECISIONS[0])
        if code >= 0 and len(rows) >= fewest:
            curve = precision_curve(confidence[rows], right[rows], groups[rows], least)
            if thresholds := _shown(curve):
                found[names[code]] = thresholds
    return found


def _shown(curve: PrecisionCurve) -> CategoryThresholds | None:
    """Return what a curve shows, without precisions that accept no more than a higher one."""
    rows: list[tuple[float, float, int]] = []
    for precision in reversed(TARGET_PRECISIONS):
        found = curve.accept_at(precision)
        if found and (not rows or found.threshold < rows[-1][1]):
            rows.append((precision, found.threshold, round(found.coverage * curve.cards)))
        if rows and rows[-1][1] == curve.thresholds[-1]:
            break  # all are accepted
    return CategoryThresholds(*zip(*reversed(rows), strict=True)) if rows else None


def check_columns(*columns: Sized) -> None:
    """Raise ValueError if columns have different lengths."""
    if len(set(map(len, columns))) > 1:
        raise ValueError("The columns of a calibration curve must have the same length.")


def is_rising(values: Iterable[float]) -> bool:
    """Whether no value is below the one before it."""
    return all(low <= high for low, high in pairwise(values))
