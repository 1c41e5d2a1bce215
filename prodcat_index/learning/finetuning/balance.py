"""Categories of unequal size. A pure function over an array."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


def equal_chances(codes: IntArray) -> FloatArray:
    """Return the chance of each card to be drawn, if every category is to be drawn equally often.

    Parameters
    ----------
    codes
        int64, shape (n,): category codes from 0, each at least once.

    Returns
    -------
    numpy.ndarray
        float64, shape (n,), summing to 1.
    """
    sizes = np.bincount(codes)
    chances: FloatArray = 1.0 / (len(sizes) * sizes[codes])
    return chances
