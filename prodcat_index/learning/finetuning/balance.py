"""Categories of unequal size. Pure functions over arrays."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


def log_priors(codes: IntArray) -> FloatArray:
    """Return the logarithm of each category's share of the cards.

    Added to the scores while training, it is the balanced softmax (J. Ren and others, "Balanced
    Meta-Softmax for Long-Tailed Visual Recognition", 2020).

    Parameters
    ----------
    codes
        int64, shape (n,): category codes from 0, each at least once.

    Returns
    -------
    numpy.ndarray
        float64, shape (C,).
    """
    logarithms: FloatArray = np.log(np.bincount(codes) / len(codes))
    return logarithms


def equal_chances(codes: IntArray) -> FloatArray:
    """Return the chance of each card to be drawn, if every category is to be drawn equally often.

    Parameters
    ----------
    codes
        As for :func:`log_priors`.

    Returns
    -------
    numpy.ndarray
        float64, shape (n,), summing to 1.
    """
    sizes = np.bincount(codes)
    chances: FloatArray = 1.0 / (len(sizes) * sizes[codes])
    return chances
