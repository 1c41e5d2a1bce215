"""Blocks of embeddings fused into one vector whose inner product is the weighted similarity.

Each of the B blocks is centred and scaled to unit length. The index stores blocks unweighted; a
query carries the weights. One more coordinate for each block marks its absence: a card that lacks
the block holds 1 there, and the query the weight times the similarity to expect of such a card:

    inner product = sum over blocks of weight * (cosine, or the expected one where absent)

holds exactly for any weights without a rebuild. Pure functions over arrays.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.encoders.base import unit_rows
from prodcat_index.errors import QueryError, check_named, did_you_mean
from prodcat_index.types import (
    BoolArray,
    Float32Array,
    Float64Array,
    FloatingArray,
    Int64Array,
    chunks,
    evenly_spaced,
    shares_of,
)

# A weight, and the comma before the next one.
WEIGHT = re.compile(r"\s*([^\s,=].*?)\s*=\s*(\d+\.?\d*|\.\d+)\s*(?:,(?!$)|$)")
# A centred row shorter than this is rounding noise.
MINIMUM_LENGTH = 1e-6
# Weights whose sum is this close to 1 are not scaled again.
ALREADY_SCALED = 1e-12
# Why this percentile: docs/decisions.md.
EXPECTED_QUANTILE = 0.9
# Cards whose cosines it is taken of, at most: every query is compared with them all.
REFERENCES = 1000
# Queries whose cosines with them are in memory at a time.
QUERIES_AT_ONCE = 1024
# Products of matrices add up float32 in an order of their own: they are trusted to this much.
SCORE_ERROR = 1e-5


def training_mean(vectors: FloatingArray, present: BoolArray) -> Float32Array:
    """Return the mean of the rows that are present."""
    if not present.any():
        return np.zeros(vectors.shape[1], dtype=np.float32)
    return vectors[present].mean(axis=0, dtype=np.float64).astype(np.float32)


def centre(
    vectors: Float32Array, present: BoolArray, mean: Float32Array
) -> tuple[Float32Array, BoolArray]:
    """Subtract the training mean and scale to unit length; a row that is the mean is absent."""
    centred = np.where(present[:, None], vectors - mean, 0.0).astype(np.float32)
    still = np.linalg.norm(centred, axis=1) > MINIMUM_LENGTH
    centred[~still] = 0.0
    return unit_rows(centred), still


def parse_weights(text: str) -> dict[str, float]:
    """Read ``title=0.6,image=0.4``; a name may hold commas and equals signs itself."""
    weights: dict[str, float] = {}
    at = 0
    while found := WEIGHT.match(text, at):
        weights[found[1]] = float(found[2])
        at = found.end()
    if at < len(text) or not weights:
        raise QueryError(
            f"{text[at:]!r} is not NAME=NUMBER, from 0; write for example title=0.6,image=0.4"
        )
    if not any(weights.values()):
        raise QueryError("one weight at least must be above 0")
    return weights


def check_weights(weights: Mapping[str, Any]) -> None:
    """Raise TypeError unless weights are numbers by name."""
    check_named("Weights", weights, "{'title': 0.7, 'image': 0.3}")
    for name, weight in weights.items():
        if isinstance(weight, (str, bytes)) or not hasattr(weight, "__float__"):
            raise TypeError(f"The weight of {name} is a number; {weight!r} is none.")


def weight_vector(weights: Mapping[str, float], blocks: Sequence[str]) -> Float64Array:
    """Check the weights of blocks and scale them to sum to 1: (B,), 0 for those not named."""
    check_weights(weights)
    unknown = sorted(set(weights) - set(blocks))
    if unknown:
        raise QueryError(
            f"This index has no block {unknown[0]!r} to weigh; its blocks are {', '.join(blocks)}."
            f"{did_you_mean(unknown[0], blocks)}"
        )
    vector = np.array([weights.get(name, 0.0) for name in blocks], dtype=np.float64)
    total = sum(vector.tolist())
    if not np.isfinite(total) or (vector < 0).any() or total <= 0:
        given = ", ".join(f"{name}={value}" for name, value in weights.items()) or "none"
        raise QueryError(
            f"Weights must be zero or more, and at least one above zero; these are {given}."
        )
    # Scaled weights stay as they are to the last bit: an index answers by its stored weights
    # exactly as another index does that is given them.
    return vector if abs(total - 1.0) < ALREADY_SCALED else vector / total


def effective_weights(weights: Float64Array, present: BoolArray) -> Float64Array:
    """Share out the weights, (B,), of the blocks that each query lacks among those it has, (n, B).

    A row sums to 1, or to 0 where the query has no weighed block.
    """
    return shares_of(np.where(present, weights, 0.0))


def reference_rows(present: BoolArray) -> Int64Array:
    """Choose evenly spaced cards among those that have a block."""
    having = np.flatnonzero(present)
    return having[evenly_spaced(len(having), REFERENCES)]


def expected_similarities(
    queries: Sequence[Float32Array], references: Sequence[FloatingArray]
) -> Float64Array:
    """Return the 90th percentile of each query's cosines with the references: (n, B)."""
    pairs = zip(queries, references, strict=True)
    columns = [
        np.concatenate([_high_cosines(q[part], sample) for part in chunks(len(q), QUERIES_AT_ONCE)])
        for q, sample in pairs
    ]
    return np.stack(columns, axis=1).astype(np.float64)


def _high_cosines(queries: Float32Array, sample: FloatingArray) -> FloatingArray:
    there: BoolArray = np.any(queries, axis=1)
    if not (len(sample) and len(queries) and there.all()):
        # All cosines of a query that lacks the block are 0, and would all be compared again.
        found = np.zeros(len(queries), dtype=np.float32)
        if len(sample) and there.any():
            found[there] = _high_cosines(queries[there], sample)
        return found
    place = int(EXPECTED_QUANTILE * (len(sample) - 1))
    # A product of matrices is fast, but rounds differently in each batch: what it has near the
    # percentile is compared again pair by pair, and the percentile is among that.
    rough = queries @ sample.T
    distance = rough - np.partition(rough, place, axis=1)[:, [place]]
    below = np.count_nonzero(distance < -2 * SCORE_ERROR, axis=1)
    query, row = np.nonzero(np.abs(distance) <= 2 * SCORE_ERROR)
    cosines = np.vecdot(sample[row], queries[query])
    rising = cosines[np.lexsort((cosines, query))]
    firsts = np.searchsorted(query, np.arange(len(queries)))
    return rising[firsts + place - below]


def fuse_cards(
    blocks: Sequence[FloatingArray], present: BoolArray, dtype: npt.DTypeLike = np.float32
) -> FloatingArray:
    """Concatenate blocks of cards, (n, dim) each, and their absence: (n, sum of dims + B)."""
    # Of columns side by side numpy would make columns again.
    return np.ascontiguousarray(np.concatenate([*blocks, ~present], axis=1, dtype=dtype))


def fuse_queries(
    blocks: Sequence[Float32Array], weights: Float64Array, expected: Float64Array
) -> Float32Array:
    """Concatenate the weighted blocks of queries and what absence counts: (n, sum of dims + B).

    The effective weights and the expected similarities are (n, B).
    """
    weighted = [block * weights[:, [b]] for b, block in enumerate(blocks)]
    return np.concatenate([*weighted, weights * expected], axis=1, dtype=np.float32)
