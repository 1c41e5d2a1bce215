"""Reliability of confidence. Pure functions over arrays.

Everywhere `confidence` is float64, shape (n,), from 0 to 1, and `right` is bool, shape (n,):
whether each answer was right; n is at least 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from prodcat_index.types import BoolArray, Float64Array

BINS = 15
# A wrong answer with confidence 1 counts as one with this little doubt, so that nll stays finite.
LEAST_DOUBT = 1e-4


@dataclass(frozen=True)
class ReliabilityBin:
    """Answers of about the same confidence; both figures are means over them."""

    answers: int
    confidence: float
    accuracy: float


@dataclass(frozen=True)
class RiskCoverage:
    """Share of wrong answers against the share of answers that are kept, surest first."""

    coverage: Float64Array  # (m,): up to each of m different confidences
    risk: Float64Array  # (m,)
    area: float  # under the curve, as if equally sure answers came in random order


def reliability_table(
    confidence: Float64Array, right: BoolArray, bins: int = BINS
) -> list[ReliabilityBin]:
    """Compare confidence with accuracy in bins of equally many answers, least confident first."""
    check_confidence(confidence, right)
    order = np.argsort(confidence, kind="stable")
    return [
        ReliabilityBin(len(rows), float(confidence[rows].mean()), float(right[rows].mean()))
        for rows in np.array_split(order, min(bins, len(order)))
    ]


def ece(confidence: Float64Array, right: BoolArray, bins: int = BINS) -> float:
    """Return the expected calibration error: mean |confidence - accuracy| over equal-mass bins."""
    table = reliability_table(confidence, right, bins)
    gaps = sum(b.answers * abs(b.confidence - b.accuracy) for b in table)
    return gaps / len(right)


def brier(confidence: Float64Array, right: BoolArray) -> float:
    """Return the mean squared distance of confidence from 1 where right and 0 where wrong."""
    check_confidence(confidence, right)
    return float(np.mean((confidence - right) ** 2))


def nll(confidence: Float64Array, right: BoolArray) -> float:
    """Return the mean negative natural logarithm of the confidence in what came true."""
    check_confidence(confidence, right)
    bounded = np.clip(confidence, LEAST_DOUBT, 1 - LEAST_DOUBT)
    return float(-np.mean(np.log(np.where(right, bounded, 1 - bounded))))


def risk_coverage(confidence: Float64Array, right: BoolArray) -> RiskCoverage:
    """Return the share of wrong answers when only the most confident ones are kept."""
    check_confidence(confidence, right)
    order = np.argsort(-confidence, kind="stable")
    _, starts, answers = np.unique(-confidence[order], return_index=True, return_counts=True)
    wrong = np.add.reduceat(~right[order], starts, dtype=np.int64)
    ends = np.cumsum(answers)
    expected = np.cumsum(np.repeat(wrong / answers, answers))
    return RiskCoverage(
        coverage=ends / len(right),
        risk=np.cumsum(wrong) / ends,
        area=float(np.mean(expected / np.arange(1, len(right) + 1))),
    )


def check_confidence(confidence: Float64Array, right: BoolArray) -> None:
    """Raise ValueError if the arguments are swapped or are no confidence."""
    if right.dtype != np.bool_:
        raise ValueError(f"right must be boolean; it is {right.dtype}. Are the arguments swapped?")
    if confidence.shape != right.shape or right.ndim != 1 or not len(right):
        raise ValueError(
            "confidence and right must be two rows of the same length, at least 1; "
            f"they are {confidence.shape} and {right.shape}."
        )
    if not np.all((confidence >= 0) & (confidence <= 1)):
        raise ValueError("confidence must be from 0 to 1.")
