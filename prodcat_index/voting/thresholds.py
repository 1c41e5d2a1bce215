"""From an asked precision to the confidence that an answer needs. Pure, numpy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prodcat_index.voting.reliability import BoolArray, FloatArray, check

IntArray = npt.NDArray[np.int64]
CERTAINTY = 0.9
POINTS = 200


@dataclass(frozen=True)
class Acceptance:
    """Which answers to accept.

    Attributes
    ----------
    threshold
        Least confidence of an accepted answer.
    coverage
        Share of the calibration cards that it accepts, and so of new ones like them.
    precision
        Share of right ones among the accepted calibration cards.
    """

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
            if luck(self.wrong[place], self.answered[place], precision) > error:
                return place - 1 if place > start else -1
        return len(self.thresholds) - 1


def _starts(answered: IntArray, cards: int, precision: float, error: float) -> list[int]:
    """Choose, without a look at what is wrong, the places where the sequences begin."""
    fewest = np.log(error) / np.log(precision)
    places = np.searchsorted(answered, [fewest, max(fewest, cards / 2)])
    return sorted({int(place) for place in places if place < len(answered)})


def luck(wrong: int, answered: int, precision: float) -> float:
    """Return the probability of so few wrong answers if they were just less precise than this.

    Parameters
    ----------
    wrong, answered
        How many of how many answers are wrong.
    precision
        Above 0 and below 1.
    """
    if wrong >= answered:
        return 1.0
    further = np.arange(wrong)
    steps = np.log((answered - further) / (further + 1)) + np.log1p(-precision) - np.log(precision)
    terms = answered * np.log(precision) + np.concatenate([[0.0], np.cumsum(steps)])
    largest = terms.max()
    return min(1.0, float(np.exp(largest) * np.exp(terms - largest).sum()))


def precision_curve(
    confidence: FloatArray, right: BoolArray, points: int = POINTS
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
    kept = ends[thin_out(ends, points)]
    return PrecisionCurve(
        cards=len(right),
        thresholds=tuple(falling[kept].tolist()),
        answered=tuple((kept + 1).tolist()),
        wrong=tuple(np.cumsum(~right[order])[kept].tolist()),
    )


def thin_out(values: IntArray | Sequence[int], points: int) -> IntArray:
    """Choose places in rising values so that the values are about evenly spaced.

    Returns
    -------
    numpy.ndarray
        int64, shape (at most `points`,): rising places, the last one among them.
    """
    if not len(values):
        return np.zeros(0, dtype=np.int64)
    wanted = np.linspace(values[0], values[-1], points)
    return np.unique(np.searchsorted(values, wanted)).astype(np.int64)
