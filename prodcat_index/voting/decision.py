"""What to do with votes: accept, back off, or leave to a person; and what may be true. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from prodcat_index.errors import QueryError
from prodcat_index.types import BoolArray, Float64Array
from prodcat_index.voting.calibration import MINIMUM_CARDS, Calibration
from prodcat_index.voting.thresholds import (
    CERTAINTY,
    NOWHERE,
    Acceptance,
    CategoryTree,
    category_sets,
    likeliest_prefixes,
)
from prodcat_index.voting.vote import Vote


@dataclass(frozen=True)
class Decision:
    """What is thought of n votes."""

    confidence: Float64Array
    accepted: BoolArray | None = None
    backed_off: Sequence[str] | None = None
    in_set: BoolArray | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Uncalibrated:
    """Why there is no calibration for a vote."""

    note: str
    hint: str


NOT_CALIBRATED = Uncalibrated(
    "not calibrated: confidence is the raw share of the vote; prodcat tune INDEX calibrates an "
    f"index in which {MINIMUM_CARDS} labelled cards or more can be asked",
    "This index is not calibrated, so it can keep neither a precision nor a level of sets; "
    f"calibrate it with: prodcat tune INDEX (from {MINIMUM_CARDS} labelled cards on)",
)
OTHER_SETTING = Uncalibrated(
    "not calibrated for these weights and this vote: confidence is the raw share of the vote",
    "A precision or a level of sets holds for the index's own weights and vote only; leave out "
    "k, weights, temperature and prior exponent.",
)


def trusted_calibration(
    calibration: Calibration | None, is_own: bool
) -> Calibration | Uncalibrated:
    """Return the calibration of an index if it holds for a vote."""
    if calibration is None:
        return NOT_CALIBRATED
    return calibration if is_own else OTHER_SETTING


def check_targets(
    trusted: Calibration | Uncalibrated, precision: float | None, coverage: float | None
) -> None:
    """Refuse what cannot be kept."""
    for what, share in (("precision", precision), ("level of sets", coverage)):
        if share is not None and not 0 < share < 1:
            raise QueryError(f"The {what} must be above 0 and below 1, as 0.95 is; it is {share}.")
        if share is not None and isinstance(trusted, Uncalibrated):
            raise QueryError(trusted.hint)
    if coverage is not None and isinstance(trusted, Calibration):
        _least(trusted, coverage)


def accept_or_review(
    trusted: Calibration | Uncalibrated,
    vote: Vote,
    similarities: Float64Array,
    names: Sequence[str],
    precision: float | None = None,
    coverage: float | None = None,
) -> Decision:
    """Say how far n votes can be trusted."""
    check_targets(trusted, precision, coverage)
    if isinstance(trusted, Uncalibrated):
        return Decision(np.minimum(vote.shares[:, 0], 1.0), notes=(trusted.note,))
    probabilities = trusted.model.probabilities(vote, similarities)
    confidence = trusted.model.confidence(probabilities)
    in_set = (
        None
        if coverage is None
        else category_sets(probabilities, vote.categories, _least(trusted, coverage))
    )
    if precision is None:
        return Decision(confidence, in_set=in_set)
    whole = trusted.precision.accept_at(precision)
    part = trusted.prefixes.accept_at(precision) if trusted.prefixes else None
    accepted = confidence >= (np.inf if whole is None else whole.threshold)
    backed_off = _back_off(probabilities, vote, names, part, accepted)
    notes = _notes(precision, whole, part, accepted, backed_off)
    return Decision(confidence, accepted, backed_off, in_set, notes)


def _least(calibration: Calibration, level: float) -> float:
    least = calibration.sets.least_probability(level)
    if least is None:
        highest = calibration.sets.highest_level
        raise QueryError(
            f"No set can be promised to hold the true category with {level:g}: it got a vote at "
            f"only {highest:.1%} of the calibration cards. Ask for less, or let more neighbours "
            "vote and calibrate again."
        )
    return least


def _back_off(
    probabilities: Float64Array,
    vote: Vote,
    names: Sequence[str],
    part: Acceptance | None,
    accepted: BoolArray,
) -> list[str]:
    if part is None:
        return [""] * len(accepted)
    tree = CategoryTree.of(names)
    sure = likeliest_prefixes(probabilities, vote.categories, tree).deepest(part.threshold)
    chosen = np.where(accepted, NOWHERE, sure).tolist()
    return [tree.names[prefix] if prefix != NOWHERE else "" for prefix in chosen]


def _notes(
    precision: float,
    whole: Acceptance | None,
    part: Acceptance | None,
    accepted: BoolArray,
    backed_off: Sequence[str],
) -> tuple[str, ...]:
    n, passed, prefixes = len(accepted), int(accepted.sum()), sum(map(bool, backed_off))
    promise = f"precision {precision:g} (with {CERTAINTY:.0%} certainty)"
    first = (
        f"{promise}: accepted {passed} of {n}; about {whole.coverage:.0%} of such listings are"
        if whole
        else f"{promise} cannot be reached on the calibration cards: all {n} go to review"
    )
    if part is None:
        return (first,)
    return (first, f"of the others, {prefixes} are as sure up to the prefix under backed_off")
