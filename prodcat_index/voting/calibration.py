"""Confidence that means what it says: learned from cards of known category. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from prodcat_index.voting.backoff import (
    BackOffCurve,
    CategoryTree,
    back_off_curve,
    likeliest_prefixes,
)
from prodcat_index.voting.conformal import SetCurve, set_curve
from prodcat_index.voting.probability import ProbabilityModel, fit_probability_model
from prodcat_index.voting.reliability import FloatArray
from prodcat_index.voting.thresholds import IntArray, PrecisionCurve, precision_curve
from prodcat_index.voting.vote import Vote

MINIMUM_CARDS = 100


@dataclass(frozen=True)
class Calibration:
    """What is known of the vote's reliability.

    Attributes
    ----------
    cards
        Number of cards that it was learned from.
    model
        From shares to probabilities.
    precision
        From an asked precision to the confidence that it needs.
    prefixes
        The same for prefixes of categories; None where categories are no paths.
    sets
        From an asked level to sets of categories that keep it.
    """

    cards: int
    model: ProbabilityModel
    precision: PrecisionCurve
    prefixes: BackOffCurve | None
    sets: SetCurve

    def confidence(self, vote: Vote, similarities: FloatArray) -> FloatArray:
        """Return how probably the category with the largest share is the true one.

        Parameters
        ----------
        vote
            Of n queries.
        similarities
            float64, shape (n, k): of the neighbours that voted, nearest first.

        Returns
        -------
        numpy.ndarray
            float64, shape (n,): from 0, where nobody voted, to 1.
        """
        return self.model.confidence(self.model.probabilities(vote, similarities))


def fit_calibration(
    vote: Vote,
    similarities: FloatArray,
    true_codes: IntArray,
    names: Sequence[str],
) -> Calibration | None:
    """Learn from votes on cards of known category how far votes can be trusted.

    The votes must be such as new cards will get: on cards that neither voted for themselves nor
    had a part in choosing how to vote.

    Parameters
    ----------
    vote
        On n cards.
    similarities
        float64, shape (n, k), from -1 to 1: of the neighbours that voted, nearest first; NaN
        where there is none.
    true_codes
        int64, shape (n,): positions in `names`; -1 for a category that is not among them.
    names
        All categories.

    Returns
    -------
    Calibration or None
        None where fewer than 100 cards got a vote: too few to tell.

    Raises
    ------
    ValueError
        If shapes or values do not fit together.
    """
    _check(vote, similarities, true_codes, names)
    voted = vote.categories[:, 0] >= 0
    if voted.sum() < MINIMUM_CARDS:
        return None
    is_true = (vote.categories == true_codes[:, None]) & (vote.categories >= 0)
    model = fit_probability_model(_select(vote, voted), similarities[voted], is_true[voted])
    probabilities = model.probabilities(vote, similarities)
    confidence = model.confidence(probabilities)
    curve = precision_curve(confidence, is_true[:, 0])
    tree = CategoryTree.of(names)
    prefixes = likeliest_prefixes(probabilities, vote.categories, tree)
    return Calibration(
        cards=len(true_codes),
        model=model,
        precision=curve,
        prefixes=back_off_curve(curve, confidence, prefixes, true_codes, tree),
        sets=set_curve(probabilities, vote.categories, true_codes),
    )


def _select(vote: Vote, rows: npt.NDArray[np.bool_]) -> Vote:
    return Vote(vote.neighbour_shares[rows], vote.categories[rows], vote.shares[rows])


def _check(
    vote: Vote, similarities: FloatArray, true_codes: IntArray, names: Sequence[str]
) -> None:
    if similarities.shape != vote.shares.shape or true_codes.shape != vote.shares.shape[:1]:
        raise ValueError(
            f"Shares of shape {vote.shares.shape} need similarities of the same shape and one "
            f"true category a row; these are {similarities.shape} and {true_codes.shape}."
        )
    if true_codes.dtype.kind != "i" or not np.all((true_codes >= -1) & (true_codes < len(names))):
        raise ValueError("True categories must be whole numbers from -1 to their number less one.")
    if np.any(np.abs(similarities) > 1):
        raise ValueError("Similarities must be from -1 to 1.")
