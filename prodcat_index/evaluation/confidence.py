"""Whether the tuned row's confidence can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from prodcat_index.voting import reliability
from prodcat_index.voting.reliability import BoolArray, FloatArray, ReliabilityBin

if TYPE_CHECKING:
    import pandas as pd

COLUMNS = ("confidence", "calibrated")
COVERAGES = tuple(tenth / 10 for tenth in range(1, 11))


@dataclass(frozen=True)
class ConfidenceScore:
    """The quality of one kind of confidence, over the test cards of all splits.

    Attributes
    ----------
    kind
        ``"confidence"``, the share of the vote, or ``"calibrated"``.
    ece, brier, nll
        Expected calibration error, Brier score and negative log-likelihood; less is better.
    area
        Under the risk-coverage curve; less is better.
    risk
        Share of wrong answers among the most confident tenth, two tenths, and so on to all.
    bins
        Confidence beside accuracy, least confident first.
    """

    kind: str
    ece: float
    brier: float
    nll: float
    area: float
    risk: Sequence[float]
    bins: Sequence[ReliabilityBin]

    def as_row(self) -> dict[str, Any]:
        """Return the numbers as a flat row."""
        named = ("kind", "ece", "brier", "nll", "area")
        return {name: getattr(self, name) for name in named}

    def as_dict(self) -> dict[str, Any]:
        """Return everything for JSON, rounded to 4 digits."""
        numbers = {
            name: value if isinstance(value, str) else round(value, 4)
            for name, value in self.as_row().items()
        }
        risk = zip(COVERAGES, self.risk, strict=True)
        return {
            **numbers,
            "risk_at_coverage": {f"{share:.1f}": round(wrong, 4) for share, wrong in risk},
            "reliability": [vars(each) for each in self.bins],
        }


@dataclass(frozen=True)
class AcceptanceScore:
    """What accepting at an asked precision came to.

    Attributes
    ----------
    asked
        The precision that was asked for.
    accepted
        Share of the test cards whose answer is accepted.
    precision
        Share of right answers among these; None where none is accepted.
    """

    asked: float
    accepted: float
    precision: float | None


def score_acceptance(cards: pd.DataFrame, asked: float) -> AcceptanceScore | None:
    """Judge the answers that are accepted.

    Parameters
    ----------
    cards
        From :func:`~prodcat_index.evaluation.summary.card_table`.
    asked
        The precision that was asked for.

    Returns
    -------
    AcceptanceScore or None
        None where some index was not calibrated.
    """
    if "accepted" not in cards or cards["accepted"].isna().any():
        return None
    accepted = cards["accepted"].to_numpy(dtype=bool)
    right = (cards["true"] == cards["predicted"]).to_numpy(dtype=bool)
    precision = float(right[accepted].mean()) if accepted.any() else None
    return AcceptanceScore(asked, float(accepted.mean()), precision)


def score_confidences(cards: pd.DataFrame) -> list[ConfidenceScore]:
    """Judge every kind of confidence that the cards come with.

    Parameters
    ----------
    cards
        From :func:`~prodcat_index.evaluation.summary.card_table`.
    """
    right = (cards["true"] == cards["predicted"]).to_numpy(dtype=bool)
    return [
        score_confidence(kind, cards[kind].to_numpy(dtype=np.float64), right)
        for kind in COLUMNS
        if kind in cards
    ]


def score_confidence(kind: str, confidence: FloatArray, right: BoolArray) -> ConfidenceScore:
    """Judge one kind of confidence.

    Parameters
    ----------
    kind
        Its name.
    confidence
        float64, shape (n,): shares or probabilities; sums of shares may exceed 1 by rounding.
    right
        bool, shape (n,): which answers were right.
    """
    within = np.clip(confidence, 0.0, 1.0)
    curve = reliability.risk_coverage(within, right)
    places = np.searchsorted(curve.coverage, np.array(COVERAGES) - 1e-9)
    return ConfidenceScore(
        kind=kind,
        ece=reliability.ece(within, right),
        brier=reliability.brier(within, right),
        nll=reliability.nll(within, right),
        area=curve.area,
        risk=curve.risk[places].tolist(),
        bins=reliability.reliability_table(within, right),
    )
