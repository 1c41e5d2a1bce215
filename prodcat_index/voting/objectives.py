"""What tuning maximises, over category codes: fast enough for thousands of settings. Pure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


def accuracy(true: IntArray, predicted: IntArray) -> float:
    """Share of right predictions.

    Parameters
    ----------
    true
        int64, shape (n,): category codes; n at least 1.
    predicted
        int64, shape (n,); -1 where nothing was predicted.
    """
    return float(np.mean(true == predicted))


def category_f1(true: IntArray, predicted: IntArray, categories: int) -> FloatArray:
    """F1 of every category: 2 TP / (2 TP + FP + FN).

    Parameters
    ----------
    true, predicted
        As in :func:`accuracy`.
    categories
        Number of categories C.

    Returns
    -------
    numpy.ndarray
        float64, shape (C,); 0 for a category that is neither true nor predicted anywhere.
    """
    hits = np.bincount(true[true == predicted], minlength=categories)
    named = np.bincount(predicted[predicted >= 0], minlength=categories)
    both = np.bincount(true, minlength=categories) + named
    return np.divide(2.0 * hits, both, out=np.zeros(categories), where=both > 0)


def weighted_f1(true: IntArray, predicted: IntArray, categories: int) -> float:
    """Mean F1 of the categories, weighted by their numbers of true cards."""
    sizes = np.bincount(true, minlength=categories)
    return float(category_f1(true, predicted, categories) @ sizes / len(true))


def macro_f1(true: IntArray, predicted: IntArray, categories: int) -> float:
    """Mean F1 of the categories that have true cards."""
    sizes = np.bincount(true, minlength=categories)
    return float(category_f1(true, predicted, categories)[sizes > 0].mean())
