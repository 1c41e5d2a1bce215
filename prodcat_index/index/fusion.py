"""Blocks of embeddings fused into one vector whose inner product is the weighted similarity.

Each block is centred and scaled to unit length. The index stores blocks unweighted; a query
carries the weights. With B blocks, one more coordinate a block says "this card has no such
block": the card holds 1 there, and the query holds the weight times the similarity that
it may expect of a card in that block, so that

    inner product = sum over blocks of weight * (cosine, or the expected one where absent)

holds exactly for any weights without a rebuild. Pure functions over arrays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from prodcat_index.encoders.base import unit_rows
from prodcat_index.errors import QueryError
from prodcat_index.types import BoolArray, Float32Array

MINIMUM_LENGTH = 1e-6
ALREADY_SCALED = 1e-12
EXPECTED_QUANTILE = 0.9


def training_mean(vectors: npt.NDArray[np.floating], present: BoolArray) -> Float32Array:
    """Mean of the rows that are present."""
    if not present.any():
        return np.zeros(vectors.shape[1], dtype=np.float32)
    mean: Float32Array = vectors[present].mean(axis=0, dtype=np.float64).astype(np.float32)
    return mean


def centre(
    vectors: Float32Array, present: BoolArray, mean: Float32Array
) -> tuple[Float32Array, BoolArray]:
    """Remove the training mean and scale to unit length."""
    centred = np.where(present[:, None], vectors - mean, 0.0).astype(np.float32)
    still = np.linalg.norm(centred, axis=1) > MINIMUM_LENGTH
    centred[~still] = 0.0
    return unit_rows(centred), still


def weight_vector(weights: Mapping[str, float], blocks: Sequence[str]) -> npt.NDArray[np.float64]:
    """Check weights and scale them to sum to 1."""
    unknown = sorted(set(weights) - set(blocks))
    if unknown:
        raise QueryError(
            f"This index has no block {unknown[0]!r} to weigh; its blocks are {', '.join(blocks)}."
        )
    vector = np.array([weights.get(name, 0.0) for name in blocks], dtype=np.float64)
    total = sum(vector.tolist())
    if not np.isfinite(total) or (vector < 0).any() or total <= 0:
        given = ", ".join(f"{name}={value}" for name, value in weights.items())
        raise QueryError(
            "Weights must be zero or more, and at least one above zero; "
            f"these are {given or 'none'}."
        )
    # Scaled ones stay as they are to the last bit, so that an index answers by its own weights
    # exactly as another one that is asked with them.
    return vector if abs(total - 1.0) < ALREADY_SCALED else vector / total


def effective_weights(
    weights: npt.NDArray[np.float64], present: BoolArray
) -> npt.NDArray[np.float64]:
    """Share out the weights of the blocks that each query lacks among those that it has.

    Parameters
    ----------
    weights
        float64, shape (B,), from :func:`weight_vector`.
    present
        bool, shape (n, B).

    Returns
    -------
    numpy.ndarray
        float64, shape (n, B); a row sums to 1, or to 0 where no weighted block is present.
    """
    kept = np.where(present, weights, 0.0)
    totals = kept.sum(axis=1, keepdims=True)
    return np.divide(kept, totals, out=np.zeros_like(kept), where=totals > 0)


def expected_similarities(
    queries: Sequence[Float32Array], references: Sequence[npt.NDArray[np.floating]]
) -> npt.NDArray[np.float64]:
    """Say what a card that lacks a block counts as: the query's 90th percentile of cosines."""
    columns = []
    for block, reference in zip(queries, references, strict=True):
        sample = reference.astype(np.float32)
        columns.append([_high_cosine(query, sample) for query in block])
    return np.array(columns, dtype=np.float64).T


def _high_cosine(query: Float32Array, sample: Float32Array) -> float:
    if not len(sample):
        return 0.0
    place = int(EXPECTED_QUANTILE * (len(sample) - 1))
    return float(np.partition(np.vecdot(sample, query), place)[place])


def fuse_cards(blocks: Sequence[npt.NDArray[np.floating]], present: BoolArray) -> Float32Array:
    """Concatenate the blocks of cards with their absence coordinates.

    Parameters
    ----------
    blocks
        B arrays of shape (n, dim of the block), unit rows or zeros.
    present
        bool, shape (n, B).

    Returns
    -------
    numpy.ndarray
        float32, shape (n, sum of dims + B).
    """
    return np.concatenate([*blocks, ~present], axis=1, dtype=np.float32)


def fuse_queries(
    blocks: Sequence[Float32Array],
    weights: npt.NDArray[np.float64],
    expected: npt.NDArray[np.float64],
) -> Float32Array:
    """Concatenate the weighted blocks of queries with what absence is worth.

    Parameters
    ----------
    blocks
        B arrays of shape (n, dim of the block), unit rows or zeros.
    weights
        float64, shape (n, B), from :func:`effective_weights`.
    expected
        float64, shape (n, B), from :func:`expected_similarities`.

    Returns
    -------
    numpy.ndarray
        float32, shape (n, sum of dims + B).
    """
    weighted = [block * weights[:, [b]] for b, block in enumerate(blocks)]
    return np.concatenate([*weighted, weights * expected], axis=1, dtype=np.float32)


def block_similarities(
    query: Sequence[Float32Array], cards: Sequence[npt.NDArray[np.floating]], present: BoolArray
) -> Float32Array:
    """Cosine of one query with some cards in each block."""
    columns = [
        np.vecdot(rows.astype(np.float32), vector) if vector.any() else np.full(len(rows), np.nan)
        for vector, rows in zip(query, cards, strict=True)
    ]
    similarities = np.stack(columns, axis=1).astype(np.float32)
    similarities[~present] = np.nan
    return similarities


def weighted_similarity(
    similarities: Float32Array, weights: npt.NDArray[np.float64], expected: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    """Sum of the weighted cosines, the expected one standing in where a card lacks the block."""
    filled = np.where(np.isnan(similarities), expected, similarities.astype(np.float64))
    total: npt.NDArray[np.float64] = np.einsum("mb,b->m", filled, weights)
    return total
