"""Whether a listing belongs to any category at all, by how well it fits what is known.

The probability is logistic in the kinds of evidence, of which more never speaks against a known
category. It is fitted to cards of known categories and to cards whose whole category was hidden
(open-set recognition), and applied with numpy alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, NamedTuple

import numpy as np
from pydantic import Field

from prodcat_index.types import Float64Array
from prodcat_index.voting.logistic import SMALLEST_SPREAD, fit_logistic, logistic

FEWEST_UNSEEN = 20
# Of the listings of known categories, at most this share is called new.
FALSE_ALARMS = 0.05
# A listing that is likelier than this to be of a known category is not called new.
MOST_LIKELY_NEW = 0.5
# Probability of a known category below which calibrations by earlier versions warn.
TOO_LITTLE = 0.05
# Of the weights of scaled evidence: around 0 with this variance.
PRIOR_VARIANCE = 1.0

NonNegative = Annotated[float, Field(ge=0)]


@dataclass(frozen=True)
class EvidenceModel:
    """The probability that a listing is of a known category, as often as not before any look."""

    intercept: float
    weights: Annotated[tuple[NonNegative, ...], Field(max_length=10)]  # of each kind of evidence
    usual: Annotated[tuple[float, ...], Field(max_length=10)]  # its mean among known cards
    # Probability below which a listing is new: of no category of the index.
    new_below: Annotated[float, Field(ge=0, le=1)] = TOO_LITTLE

    def __post_init__(self) -> None:
        if len(self.weights) != len(self.usual):
            raise ValueError("every kind of evidence must have a weight and a usual value")

    def known(self, evidence: Float64Array) -> Float64Array:
        """Return the probability, (n,), from evidence, (n, F); what is NaN counts as usual."""
        away = np.nan_to_num(evidence - np.array(self.usual))
        return logistic(self.intercept + away @ np.array(self.weights))


class Evidence(NamedTuple):
    """The evidence on n listings, and what it says."""

    model: EvidenceModel
    rows: Float64Array  # (n, F): NaN where a kind is missing


def fit_evidence(known: Float64Array, unseen: Float64Array) -> EvidenceModel | None:
    """Fit to evidence, (n, F), of known cards and of cards of hidden categories, NaN where missing.

    Both count the same in sum, however many they are. None where either are too few.
    """
    fewest, there = min(len(known), len(unseen)), ~np.isnan(known)
    if fewest < FEWEST_UNSEEN or not there.any():
        return None
    counts = np.maximum(there.sum(axis=0), 1)
    usual = np.nansum(known, axis=0) / counts
    spread = np.sqrt(np.nansum((known - usual) ** 2, axis=0) / counts)
    spread = np.where(spread > SMALLEST_SPREAD, spread, 1.0)
    rows = np.nan_to_num((np.concatenate([known, unseen]) - usual) / spread)
    truth = np.repeat([1.0, 0.0], [len(known), len(unseen)])
    weight = np.repeat([fewest / len(known), fewest / len(unseen)], [len(known), len(unseen)])
    strength = np.append(0.0, np.full(rows.shape[1], 1 / PRIOR_VARIANCE))
    intercept, *scaled = fit_logistic(rows, truth, weight, np.zeros(len(strength)), strength)
    weights = np.array(scaled) / spread
    model = EvidenceModel(intercept, tuple(weights.tolist()), tuple(usual.tolist()))
    # A further card is below the r-th lowest of n probabilities with a probability of r / (n + 1)
    # (split conformal prediction, V. Vovk and others, 2005).
    place = int(FALSE_ALARMS * (len(known) + 1)) - 1
    lowest = float(np.sort(model.known(known))[place]) if place >= 0 else 0.0
    return replace(model, new_below=min(lowest, MOST_LIKELY_NEW))
