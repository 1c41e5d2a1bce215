"""Logistic functions, and fitting their weights with scipy."""

from __future__ import annotations

import numpy as np

from prodcat_index.types import Float64Array

# A feature that varies less is constant, but for rounding.
SMALLEST_SPREAD = 1e-9


def fit_logistic(
    features: Float64Array,
    truth: Float64Array,
    counts: Float64Array,
    prior: Float64Array,
    strength: Float64Array,
) -> list[float]:
    """Return an intercept and weights, none negative, drawn to the prior by a squared penalty."""
    from scipy.optimize import minimize

    rows = np.column_stack([np.ones(len(features)), features])

    def loss(weights: Float64Array) -> tuple[float, Float64Array]:
        log_odds, away = rows @ weights, weights - prior
        value = counts @ (np.logaddexp(0.0, log_odds) - truth * log_odds)
        slopes = rows.T @ (counts * (logistic(log_odds) - truth)) + strength * away
        return float(value + strength @ away**2 / 2), slopes

    bounds = [(None, None)] + [(0.0, None)] * features.shape[1]
    fitted = minimize(loss, prior, jac=True, bounds=bounds, method="L-BFGS-B")
    weights: list[float] = fitted.x.tolist()
    return weights


def logistic(log_odds: Float64Array) -> Float64Array:
    """Return the probability of log odds, by tanh, which does not overflow."""
    return 0.5 * (1 + np.tanh(0.5 * log_odds))
