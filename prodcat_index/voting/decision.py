"""Decisions on votes: accept, back off to a prefix, or leave to a person. Pure, numpy alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prodcat_index.errors import QueryError
from prodcat_index.types import MISSING, BoolArray, Float64Array
from prodcat_index.voting.calibration import MINIMUM_CARDS, Calibration, category_sets
from prodcat_index.voting.thresholds import CERTAINTY, CategoryTree, likeliest_prefixes
from prodcat_index.voting.vote import Vote


@dataclass(frozen=True)
class Decision:
    """Decisions on n votes."""

    # (n,): probability of the category with the largest share; without a calibration that share
    confidence: Float64Array
    accepted: BoolArray | None = None  # (n,), None without a target precision
    backed_off: Sequence[str] | None = None  # prefix of those not accepted, or empty; None likewise
    in_set: BoolArray | None = None  # (n, k): categories in the set, None without a coverage
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Uncalibrated:
    """The reason why no calibration holds for a vote."""

    note: str  # shown beside raw shares
    hint: str  # error for a target precision or coverage


NOT_CALIBRATED = Uncalibrated(
    "not calibrated: confidence is the raw share of the vote; prodcat tune INDEX calibrates an "
    f"index if a third of its labelled cards are {MINIMUM_CARDS} or more",
    "This index is not calibrated, so it can keep neither a precision nor a coverage of sets; "
    f"calibrate it with: prodcat tune INDEX (a third of its labelled cards must be {MINIMUM_CARDS} "
    "or more)",
)
OTHER_SETTING = Uncalibrated(
    "not calibrated for these weights and this vote: confidence is the raw share of the vote",
    "A precision or a coverage of sets holds for the index's own weights and vote only; leave out "
    "k, weights, temperature and prior exponent.",
)


def trusted_calibration(
    calibration: Calibration | None, is_own: bool
) -> Calibration | Uncalibrated:
    """Return the calibration of an index if it holds for a vote, made by its own setting or not."""
    if calibration is None:
        return NOT_CALIBRATED
    return calibration if is_own else OTHER_SETTING


def check_targets(
    trusted: Calibration | Uncalibrated, precision: float | None, coverage: float | None
) -> None:
    """Raise QueryError if a target precision or coverage cannot be kept."""
    for what, share in (("precision", precision), ("coverage of sets", coverage)):
        if share is not None and not 0 < share < 1:
            raise QueryError(f"The {what} must be above 0 and below 1, as 0.95 is; it is {share}.")
        if share is not None and isinstance(trusted, Uncalibrated):
            raise QueryError(trusted.hint)
    if coverage is not None and isinstance(trusted, Calibration):
        highest = trusted.sets.highest_coverage
        if trusted.sets.least_probability(coverage) is None:
            raise QueryError(
                f"No set can hold the true category with {coverage:g}: it got a vote at only "
                f"{highest:.1%} of the calibration cards. Ask for less, or let more neighbours "
                "vote and calibrate again."
            )


def accept_or_review(
    trusted: Calibration | Uncalibrated,
    vote: Vote,
    similarities: Float64Array,
    names: Sequence[str],
    precision: float | None = None,
    coverage: float | None = None,
) -> Decision:
    """Decide on n votes, for targets that :func:`check_targets` accepts."""
    if isinstance(trusted, Uncalibrated):
        # Shares may sum to slightly more than 1.
        return Decision(np.minimum(vote.shares[:, 0], 1.0), notes=(trusted.note,))
    probabilities = trusted.model.probabilities(vote, similarities)
    confidence = trusted.model.confidence(probabilities)
    least = None if coverage is None else trusted.sets.least_probability(coverage)
    in_set = None if least is None else category_sets(probabilities, vote.categories, least)
    if precision is None:
        return Decision(confidence, in_set=in_set)
    whole = trusted.precision.accept_at(precision)
    accepted = confidence >= (np.inf if whole is None else whole.threshold)
    promise = f"precision {precision:g} (with {CERTAINTY:.0%} certainty)"
    n = len(accepted)
    notes = [
        f"{promise}: accepted {accepted.sum()} of {n} (expected acceptance {whole.coverage:.0%})"
        if whole
        else f"{promise} cannot be reached on the calibration cards: all {n} go to review"
    ]
    backed_off = [""] * n
    part = trusted.prefixes.accept_at(precision) if trusted.prefixes else None
    if part is not None:
        tree = CategoryTree.from_categories(names)
        sure = likeliest_prefixes(probabilities, vote.categories, tree).deepest(part.threshold)
        chosen = np.where(accepted, MISSING, sure).tolist()
        backed_off = [tree.names[prefix] if prefix != MISSING else "" for prefix in chosen]
        count = sum(map(bool, backed_off))
        notes.append(f"of the others, {count} are as sure up to the prefix under backed_off")
    return Decision(confidence, accepted, backed_off, in_set, tuple(notes))
