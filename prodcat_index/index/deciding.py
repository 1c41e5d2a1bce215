"""From embedded queries to neighbours and their vote."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from prodcat_index.encoders.base import BoolArray, FloatArray
from prodcat_index.index.learned import log_heads
from prodcat_index.index.neighbours import IntArray, Neighbours, find_neighbours
from prodcat_index.index.parts import IndexParts
from prodcat_index.voting.vote import Vote, VoteParameters, vote


class Decision(NamedTuple):
    """What the nearest cards say of n queries.

    Attributes
    ----------
    found
        The nearest labelled cards.
    codes
        int64, shape (n, k): their category codes; -1 where there is none.
    vote
        How they voted.
    head
        float64, shape (n,): how probable the linear head finds the answer; NaN where it had no
        say.
    """

    found: Neighbours
    codes: IntArray
    vote: Vote
    head: npt.NDArray[np.float64]


def decide(
    parts: IndexParts,
    vectors: Sequence[FloatArray],
    present: BoolArray,
    weights: npt.NDArray[np.float64],
    parameters: VoteParameters,
) -> Decision:
    """Let the nearest labelled cards vote, together with the linear head where one is weighed.

    The head has its say in proportion to the weight of the learned block, which it reads.

    Parameters
    ----------
    parts
        The index.
    vectors, present
        Of all blocks, from :meth:`~prodcat_index.index.parts.IndexParts.with_learned`.
    weights
        float64, shape (B,), summing to 1.
    parameters
        How neighbours vote; all cards where ``k`` is more than there are.
    """
    labels, learned = parts.labels, parts.learned
    k = min(parameters.k, len(parts.catalogue))
    found = find_neighbours(parts.space, vectors, present, weights, k, labels.labelled)
    codes = np.where(found.rows >= 0, labels.codes[found.rows], -1)
    heads = log_heads(learned.learner if learned else None, vectors, codes)
    weighed = weights[-1] * heads
    decided = vote(found.similarities, codes, labels.sizes, parameters, weighed)
    is_heard = parameters.head_exponent > 0 and bool(weighed.any())
    return Decision(found, codes, decided, _of_answer(heads, codes, decided, is_heard))


def _of_answer(
    heads: npt.NDArray[np.float32], codes: IntArray, decided: Vote, is_heard: bool
) -> npt.NDArray[np.float64]:
    answered = (codes == decided.categories[:, :1]) & (codes >= 0) & is_heard
    probable = np.exp(np.where(answered, heads, -np.inf).max(axis=1))
    return np.where(answered.any(axis=1), probable, np.nan)
