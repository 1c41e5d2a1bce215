"""Decisions by a calibration: accept an answer, back off or leave it to a person."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, get_args

import numpy as np

from prodcat_index.errors import QueryError
from prodcat_index.findings import counted
from prodcat_index.types import MISSING, BoolArray, Float64Array, Int64Array
from prodcat_index.voting.calibration import MINIMUM_CARDS, Calibration, ProbabilityModel
from prodcat_index.voting.prediction import ACCEPT, NEW, REVIEW
from prodcat_index.voting.prefixes import CategoryTree, likeliest_prefixes
from prodcat_index.voting.sets import category_sets
from prodcat_index.voting.thresholds import CERTAINTY, PrecisionCurve, check_share
from prodcat_index.voting.vote import Vote

# What a target precision holds for: the accepted answers together, or those of each category.
Per = Literal["all", "category"]


@dataclass(frozen=True)
class Decision:
    """Decisions on n votes."""

    # (n,): probability of the category with the largest share; without a calibration that share
    confidence: Float64Array
    accepted: BoolArray | None = None  # (n,), None without a target precision
    backed_off: Sequence[str] | None = None  # prefix of those not accepted, or empty; None likewise
    in_set: BoolArray | None = None  # (n, k): categories in the set, None without a coverage
    known: Float64Array | None = None  # (n,): probability of a known category, None without a model
    of_none: BoolArray | None = None  # (n,): so improbable that the listing is new; None likewise
    notes: tuple[str, ...] = ()
    probabilities: Float64Array | None = None  # (n, k): of the vote's categories; None likewise

    @cached_property
    def words(self) -> list[str] | None:
        """``accept``, ``new`` or ``review`` for each; None without a target precision."""
        if self.accepted is None:
            return None
        of_none = np.zeros(len(self.accepted), dtype=bool) if self.of_none is None else self.of_none
        words: list[str] = np.select([self.accepted, of_none], [ACCEPT, NEW], REVIEW).tolist()
        return words


# Reasons why no calibration holds for a vote.
NOT_CALIBRATED = (
    f"the index is not calibrated, which takes {MINIMUM_CARDS} labelled cards that have a "
    "neighbour; build it again with as many, or run prodcat tune INDEX if it has them"
)
OTHER_SETTING = (
    "the index is not calibrated for these weights and this vote, but for its own weights and vote "
    "only; leave out k, weights, temperature and exponents"
)

FILTERED = "the index is calibrated for the votes of all its cards, not of those of a filter"


def trusted_calibration(
    calibration: Calibration | None, is_own: bool, is_filtered: bool = False
) -> Calibration | str:
    """Return the calibration of an index, or the reason why it does not hold for a vote.

    ``is_own`` says whether the vote is by the index's own setting, and ``is_filtered`` whether some
    of the cards do not vote.
    """
    if calibration is None:
        return NOT_CALIBRATED
    if is_filtered:
        return FILTERED
    return calibration if is_own else OTHER_SETTING


def check_targets(
    trusted: Calibration | str, precision: float | None, coverage: float | None, per: Per = "all"
) -> None:
    """Raise QueryError if a target precision or coverage cannot be kept."""
    targets = {"precision": precision, "coverage of sets": coverage}
    given = {name: share for name, share in targets.items() if share is not None}
    for name, share in given.items():
        check_share(name, share)
    if per not in get_args(Per):
        raise QueryError(f"A precision holds per {' or per '.join(get_args(Per))}, not {per!r}.")
    if per == "category" and precision is None:
        raise QueryError("Per category, a precision is needed that each keeps, such as 0.95.")
    if not given:
        return
    if isinstance(trusted, str):
        raise QueryError(f"Neither a precision nor a coverage of sets can be kept: {trusted}.")
    if per == "category" and trusted.categories is None:
        raise QueryError(
            "An earlier version calibrated this index, for all categories together only. Build it "
            "again, or run prodcat tune INDEX, to keep a precision per category."
        )
    if coverage is not None and trusted.sets.least_probability(coverage) is None:
        raise QueryError(
            f"No set can hold the true category with {coverage:g}: it got a vote at only "
            f"{trusted.sets.highest_coverage:.1%} of the calibration cards. Ask for less, or let "
            "more neighbours vote and calibrate again."
        )


def accept_or_review(
    trusted: Calibration | str,
    vote: Vote,
    similarities: Float64Array,
    names: Sequence[str],
    precision: float | None = None,
    coverage: float | None = None,
    per: Per = "all",
    evidence: Float64Array | None = None,
    is_new: bool = True,
) -> Decision:
    """Decide on n votes, for targets that :func:`check_targets` accepts.

    How many are expected to be accepted is said of new listings.
    """
    if isinstance(trusted, str):
        # Shares may sum to slightly more than 1.
        shares = np.minimum(vote.shares[:, 0], 1.0)
        return Decision(shares, notes=(f"confidence is the raw share of the vote: {trusted}",))
    probabilities = trusted.model.probabilities(vote, similarities, evidence)
    confidence = trusted.model.confidence(probabilities)
    known, of_none, warnings = _known(trusted.model, evidence)
    least = None if coverage is None else trusted.sets.least_probability(coverage)
    in_set = None if least is None else category_sets(probabilities, vote.categories, least)
    ranked = trusted.model.ranked(probabilities)
    plain = Decision(confidence, None, None, in_set, known, of_none, warnings, ranked)
    if precision is None:
        return plain
    if per == "category":
        predicted = [names[code] if code >= 0 else "" for code in vote.categories[:, 0]]
        return _accept_by_category(plain, trusted, predicted, precision, is_new=is_new)
    whole = _accept(plain, trusted.precision, precision, is_new=is_new)
    return _back_off(whole, trusted, probabilities, vote.categories, names, precision)


def _accept(plain: Decision, curve: PrecisionCurve, precision: float, *, is_new: bool) -> Decision:
    found = curve.accept_at(precision)
    accepted = plain.confidence >= (found.threshold if found else np.inf)
    n, promise = len(accepted), _promise(precision)
    if found:
        expected = f" (expected acceptance {found.coverage:.0%})" if is_new else ""
        note = f"{promise}: accepted {accepted.sum():,} of {n:,}{expected}"
    else:
        note = (
            f"{promise} cannot be shown on the {curve.cards:,} calibration cards: all {n:,} go to "
            f"review; {_way_out(curve, precision)}"
        )
    return replace(plain, accepted=accepted, backed_off=[""] * n, notes=(note, *plain.notes))


def _promise(precision: float) -> str:
    return f"precision {precision:g} (with {CERTAINTY:.0%} certainty)"


def _way_out(curve: PrecisionCurve, precision: float) -> str:
    lacking = curve.cards_lacking(precision)
    if lacking is None:
        return "more cards like these would not show it either, ask for less or check their labels"
    digits = max(0, len(str(lacking)) - 2)
    rounded = -(-lacking // 10**digits) * 10**digits
    return f"about {rounded:,} more labelled cards like these may show it"


def _back_off(
    whole: Decision,
    trusted: Calibration,
    probabilities: Float64Array,
    categories: Int64Array,
    names: Sequence[str],
    precision: float,
) -> Decision:
    """Give what is not accepted the longest prefix that is sure enough."""
    part = trusted.prefixes.accept_at(precision) if trusted.prefixes else None
    if part is None:
        return whole
    tree = CategoryTree.from_categories(names)
    sure = likeliest_prefixes(probabilities, categories, tree).deepest(part.threshold)
    # Code -1 stands for no prefix, and picks the empty name at the end.
    prefixes = [*tree.names, ""]
    left = np.where(np.asarray(whole.accepted, dtype=bool), MISSING, sure)
    backed_off = [prefixes[code] for code in left]
    count = sum(map(bool, backed_off))
    note = f"{count:,} of the others reach it with the shorter category in backed_off"
    notes = (*whole.notes, note) if count else whole.notes
    return replace(whole, backed_off=backed_off, notes=notes)


def _accept_by_category(
    plain: Decision,
    trusted: Calibration,
    predicted: Sequence[str],
    precision: float,
    *,
    is_new: bool,
) -> Decision:
    """Accept by the threshold of each category; nothing backs off, since no precision is known."""
    shown = {
        name: found
        for name, thresholds in (trusted.categories or {}).items()
        if (found := thresholds.accept_at(precision))
    }
    least = np.array([shown[name][0] if name in shown else np.inf for name in predicted])
    accepted = plain.confidence >= least
    share = sum(cards for _, cards in shown.values()) / trusted.cards
    expected = f" (expected acceptance {share:.0%})" if is_new else ""
    seen = [name for name in predicted if name]
    others = [name for name in seen if name not in shown]
    notes = [
        f"{_promise(precision)} for each category by itself: accepted {accepted.sum():,} of "
        f"{len(accepted):,}{expected}"
    ]
    if others:
        fewest = int(np.ceil(np.log(1 - CERTAINTY) / np.log(precision)))
        notes.append(
            f"{len(set(others)):,} of {counted(len(set(seen)), 'categories')} have too few "
            f"calibration cards for this precision. Answers for review because of it: "
            f"{len(others):,}. A category needs {fewest:,} cards that are all answered "
            "correctly, and more if some are not: label more cards, or ask for a lower precision"
        )
    notes += plain.notes
    return replace(plain, accepted=accepted, backed_off=[""] * len(accepted), notes=tuple(notes))


def _known(
    model: ProbabilityModel, evidence: Float64Array | None
) -> tuple[Float64Array | None, BoolArray | None, tuple[str, ...]]:
    """Return how likely listings are to be of a known category, which are not, and how many."""
    if model.evidence is None or evidence is None:
        return None, None, ()
    known = model.evidence.known(evidence)
    of_none: BoolArray = known < model.evidence.new_below
    count = int(of_none.sum())
    note = f"new, like no category of the index: {count:,} of {len(known):,}"
    return known, of_none, (note,) if count else ()
