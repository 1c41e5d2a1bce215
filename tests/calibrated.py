"""A calibration that a person can follow, for the tests of what is made of it."""

from __future__ import annotations

from prodcat_index.voting.calibration import Calibration, ProbabilityModel
from prodcat_index.voting.prefixes import BackOffCurve
from prodcat_index.voting.sets import SetCurve
from prodcat_index.voting.thresholds import CategoryThresholds, PrecisionCurve

# Everything is found, and probabilities are the shares themselves.
PLAIN = Calibration(
    cards=400,
    model=ProbabilityModel(1.0, 50.0, 0.0, 0.0),
    # 0.9 is reached down to 0.75, 0.8 down to 0.5.
    precision=PrecisionCurve(400, (0.99, 0.75, 0.5), (100, 200, 400), (0, 4, 60)),
    prefixes=BackOffCurve((0.8, 0.9), (0.6, 0.7), (0.1, 0.2), (0.9, 0.95)),
    sets=SetCurve(400, (200, 300, 380), (0.6, 0.3, 0.1)),
    categories={"Bags": CategoryThresholds((0.85, 0.95), (0.5, 0.7), (120, 80))},
)
