"""The linear layer that a picture network ends in, before it is trained. Pure functions."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from prodcat_index.encoders.base import FloatArray
from prodcat_index.learning.projection import fit_projection

IntArray = npt.NDArray[np.int64]

DIMENSIONS = 256
SHRINKAGE = 0.5
# How much longer the components are than the discriminants.
SHARE = 1.5
# A component that varies this little, beside the first, is rounding.
SMALLEST_RATIO = 1e-4


def first_layer(rows: FloatArray, codes: IntArray) -> tuple[FloatArray, FloatArray]:
    """Return the discriminants of the categories beside the principal components of the rows.

    The components tell things apart that are of one category. Each is divided by the root of its
    deviation: by the deviation itself would make as much of noise as of all else.

    Parameters
    ----------
    rows
        float32, shape (n, dim).
    codes
        int64, shape (n,): category codes.

    Returns
    -------
    tuple
        float32, shape (d, dim), d of 256 at most: weights; and float32, shape (d,): biases.
    """
    mean = rows.mean(axis=0)
    centred = rows - mean
    apart = _discriminants(centred, codes)[:DIMENSIONS]
    components = SHARE * _components(centred)[: DIMENSIONS - len(apart)]
    weights = np.concatenate([apart, components]).astype(np.float32)
    return weights, -weights @ mean


def _discriminants(centred: FloatArray, codes: IntArray) -> FloatArray:
    there = np.ones((len(centred), 1), dtype=bool)
    learned = fit_projection([centred], there, codes, SHRINKAGE, stretch=0.0)
    if learned is None:
        return np.zeros((0, centred.shape[1]), dtype=np.float32)
    return _of_length_one(learned.matrices[0].T, centred)


def _components(centred: FloatArray) -> FloatArray:
    _, deviations, components = np.linalg.svd(centred, full_matrices=False)
    kept = deviations > SMALLEST_RATIO * deviations[0]
    return _of_length_one(components[kept] / np.sqrt(deviations[kept, None]), centred)


def _of_length_one(weights: FloatArray, centred: FloatArray) -> FloatArray:
    lengths = np.linalg.norm(centred @ weights.T, axis=1)
    scaled: FloatArray = weights / lengths.mean()
    return scaled
