"""Weighted F1 of nearest neighbours over embeddings, which is what training is to improve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prodcat_index.encoders.base import FloatArray, unit_rows
from prodcat_index.voting.objectives import weighted_f1
from prodcat_index.voting.vote import VoteParameters, vote

IntArray = npt.NDArray[np.int64]

VOTE = VoteParameters(k=10, temperature=0.1)
QUERIES_AT_ONCE = 1024


@dataclass(frozen=True)
class Rows:
    """Labelled embeddings.

    Attributes
    ----------
    vectors
        float32, shape (n, dim): unit rows.
    codes
        int64, shape (n,): category codes.
    """

    vectors: FloatArray
    codes: IntArray

    def centred(self, mean: FloatArray) -> FloatArray:
        """Return unit rows without the mean, as an index compares them."""
        return unit_rows(self.vectors - mean)


def knn_f1(taught: Rows, asked: Rows) -> float:
    """Let the nearest taught cards vote on each asked one, found exactly, and judge the answers.

    Parameters
    ----------
    taught
        At least one row.
    asked
        At least one row; categories that are not taught are always missed.

    Returns
    -------
    float
        Weighted F1 of the vote with k = 10 and temperature 0.1.
    """
    mean = taught.vectors.mean(axis=0)
    known, queries = taught.centred(mean), asked.centred(mean)
    starts = range(0, len(queries), QUERIES_AT_ONCE)
    predicted = [_vote(known, taught.codes, queries[s : s + QUERIES_AT_ONCE]) for s in starts]
    categories = int(max(taught.codes.max(), asked.codes.max())) + 1
    return weighted_f1(asked.codes, np.concatenate(predicted), categories)


def best_epoch(history: Sequence[Mapping[str, float]]) -> tuple[float, float]:
    """Return the epoch after which the network is kept, and its weighted F1.

    Parameters
    ----------
    history
        Entries with ``epoch`` and, in at least one, ``f1``, in the order of training. Epoch 0 is
        the network as it began, which gives way to an epoch that is as good; of epochs that are
        as good, the first is kept.
    """
    scores = [(entry["epoch"], entry["f1"]) for entry in history if "f1" in entry]
    return max(scores, key=lambda point: (point[1], point[0] > 0))


def _vote(known: FloatArray, codes: IntArray, queries: FloatArray) -> IntArray:
    similarities = queries @ known.T
    # A stable sort settles equal similarities by the order of the cards.
    nearest = np.argsort(-similarities, axis=1, kind="stable")[:, : VOTE.k]
    ordered = np.take_along_axis(similarities, nearest, axis=1).astype(np.float64)
    winners: IntArray = vote(ordered, codes[nearest], np.bincount(codes), VOTE).categories[:, 0]
    return winners
