"""Decisions by a calibration, and the notes and errors where there is none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from calibrated import PLAIN

from prodcat_index.errors import QueryError
from prodcat_index.voting.decision import (
    NOT_CALIBRATED,
    OTHER_SETTING,
    accept_or_review,
    check_targets,
    trusted_calibration,
)
from prodcat_index.voting.evidence import EvidenceModel
from prodcat_index.voting.thresholds import PrecisionCurve
from prodcat_index.voting.vote import Vote

NAMES = ["Bags", "Shoes > Boots", "Shoes > Sandals"]
SHARES = np.array([[0.8, 0.15, 0.05], [0.45, 0.35, 0.2], [0.5, 0.3, 0.2], [0.0, 0.0, 0.0]])
CODES = np.array([[0, 1, 2], [1, 2, 0], [1, 0, 2], [-1, -1, -1]])
VOTE = Vote(SHARES, CODES, SHARES)
NEAR = np.array([[0.9] * 3] * 3 + [[np.nan] * 3])


def test_without_a_question_there_is_confidence_only() -> None:
    decision = accept_or_review(PLAIN, VOTE, NEAR, NAMES)
    assert decision.confidence.tolist() == pytest.approx([0.8, 0.45, 0.5, 0.0], abs=1e-6)
    assert (decision.accepted, decision.backed_off, decision.in_set) == (None, None, None)
    assert decision.notes == ()


def test_answers_are_accepted_backed_off_or_left_to_a_person() -> None:
    """0.8 reaches 0.75; Boots and Sandals make 0.8 of Shoes, which reaches 0.7; 0.5 + 0.2 not."""
    decision = accept_or_review(PLAIN, VOTE, NEAR, NAMES, precision=0.9)
    assert decision.accepted is not None
    assert decision.accepted.tolist() == [True, False, False, False]
    assert decision.backed_off in (["", "Shoes", "", ""], ["", "Shoes", "Shoes", ""])
    first, *others = decision.notes
    assert first == "precision 0.9 (with 90% certainty): accepted 1 of 4 (expected acceptance 50%)"
    # Nothing is said where none reaches it.
    count = sum(map(bool, decision.backed_off))
    shorter = f"{count} of the others reach it with the shorter category in backed_off"
    assert others == ([shorter] if count else [])


def test_what_is_expected_of_new_listings_is_not_said_of_cards_of_the_index() -> None:
    """The expectation is of cards that the index has not seen, and would look wrong."""
    for per, votes, near in (("all", VOTE, NEAR), ("category", BOTH, NEAR[:3])):
        decision = accept_or_review(PLAIN, votes, near, NAMES, 0.9, per=per, is_new=False)  # type: ignore[arg-type]
        assert "accepted 1 of" in decision.notes[0]
        assert "expected" not in decision.notes[0]


def test_an_accepted_answer_is_not_backed_off() -> None:
    """A shop would be given half of a category that is sure as a whole."""
    sure = Vote(SHARES[:1], CODES[1:2], SHARES[:1])
    decision = accept_or_review(PLAIN, sure, NEAR[:1], NAMES, precision=0.9)
    assert decision.accepted is not None and decision.accepted.tolist() == [True]
    assert decision.backed_off == [""]


def test_a_precision_out_of_reach_leaves_everything_to_people_and_says_so() -> None:
    decision = accept_or_review(PLAIN, VOTE, NEAR, NAMES, precision=0.999)
    assert decision.accepted is not None
    assert not decision.accepted.any()
    assert decision.backed_off == [""] * 4
    assert decision.notes == (
        "precision 0.999 (with 90% certainty) cannot be shown on the 400 calibration cards: all 4 "
        "go to review; about 12,000 more labelled cards like these may show it",
    )


def test_where_even_the_surest_are_too_often_wrong_more_cards_are_not_asked_for() -> None:
    bad = replace(PLAIN, precision=PrecisionCurve(400, (0.9, 0.5), (100, 400), (20, 100)))
    note = accept_or_review(bad, VOTE, NEAR, NAMES, precision=0.9).notes[0]
    assert "all 4 go to review; more cards like these would not show it" in note


BOTH = Vote(SHARES[[0, 1, 0]], np.array([[0, 1, 2], [0, 2, 1], [1, 0, 2]]), SHARES[[0, 1, 0]])


def test_per_category_each_has_a_threshold_of_its_own() -> None:
    """Bags need 0.7 for 0.95: 0.8 has it, 0.45 has not. Boots cannot show it, however sure."""
    decision = accept_or_review(PLAIN, BOTH, NEAR[:3], NAMES, precision=0.95, per="category")
    assert decision.accepted is not None
    assert decision.accepted.tolist() == [True, False, False]
    assert decision.backed_off == [""] * 3
    assert decision.notes == (
        "precision 0.95 (with 90% certainty) for each category by itself: accepted 1 of 3 "
        "(expected acceptance 20%)",
        "1 of 2 categories have too few calibration cards for this precision. Answers for review "
        "because of it: 1. A category needs 45 cards that are all answered correctly, and "
        "more if some are not: label more cards, or ask for a lower precision",
    )


def test_per_category_a_precision_is_kept_like_the_next_higher_one() -> None:
    for precision, expected in ((0.7, "30%"), (0.85, "30%"), (0.86, "20%"), (0.96, "0%")):
        decision = accept_or_review(PLAIN, BOTH, NEAR[:3], NAMES, precision, per="category")
        assert f"(expected acceptance {expected})" in decision.notes[0]


def test_per_category_a_listing_that_nobody_voted_on_is_for_review() -> None:
    nothing = Vote(SHARES[3:], CODES[3:], SHARES[3:])
    decision = accept_or_review(PLAIN, nothing, NEAR[3:], NAMES, precision=0.95, per="category")
    assert decision.accepted is not None and decision.accepted.tolist() == [False]
    assert len(decision.notes) == 1


def test_per_category_is_refused_where_it_cannot_be_kept() -> None:
    """An index of an earlier version would send everything to review without a reason."""
    check_targets(PLAIN, 0.95, None, "category")
    with pytest.raises(QueryError, match="a precision is needed"):
        check_targets(PLAIN, None, 0.5, "category")
    with pytest.raises(QueryError, match=r"earlier version.*prodcat tune INDEX"):
        check_targets(replace(PLAIN, categories=None), 0.95, None, "category")
    with pytest.raises(QueryError, match="per all or per category, not 'shop'"):
        check_targets(PLAIN, 0.95, None, "shop")


def test_plain_labels_are_never_backed_off() -> None:
    decision = accept_or_review(replace(PLAIN, prefixes=None), VOTE, NEAR, NAMES, precision=0.9)
    assert decision.backed_off == [""] * 4
    assert len(decision.notes) == 1


def test_sets_hold_what_is_probable_enough_and_always_the_first() -> None:
    """0.5 asks for rank 201 of 400, the next kept one of which is 300: 0.3."""
    in_set = accept_or_review(PLAIN, VOTE, NEAR, NAMES, coverage=0.5).in_set
    assert in_set is not None
    assert in_set[:2].tolist() == [[True, False, False], [True, True, False]]
    assert in_set[3].tolist() == [False] * 3


def test_a_level_that_cannot_be_kept_is_refused_with_the_highest() -> None:
    with pytest.raises(QueryError, match=r"with 0.97.*only 94.8% of the calibration cards"):
        check_targets(PLAIN, None, 0.97)


@pytest.mark.parametrize("share", [0, 1, 95, -0.1, float("nan")])
@pytest.mark.parametrize("what", ["precision", "coverage"])
def test_95_is_not_a_share(what: str, share: float) -> None:
    with pytest.raises(QueryError, match="must be above 0 and below 1"):
        check_targets(PLAIN, **{"precision": None, "coverage": None, what: share})


def test_without_a_calibration_shares_are_shown_and_called_so() -> None:
    trusted = trusted_calibration(None, is_own=True)
    decision = accept_or_review(trusted, VOTE, NEAR, NAMES)
    assert decision.confidence.tolist() == SHARES[:, 0].tolist()
    assert decision.notes == (f"confidence is the raw share of the vote: {NOT_CALIBRATED}",)
    assert "prodcat tune INDEX" in NOT_CALIBRATED
    for targets in ((0.9, None), (None, 0.9)):
        with pytest.raises(QueryError, match="prodcat tune INDEX"):
            check_targets(trusted, *targets)


def test_a_calibration_does_not_hold_for_another_vote() -> None:
    """Confidence learned with k = 10 is not that of k = 1."""
    assert trusted_calibration(PLAIN, is_own=True) is PLAIN
    trusted = trusted_calibration(PLAIN, is_own=False)
    assert trusted is OTHER_SETTING
    with pytest.raises(QueryError, match="own weights and vote only"):
        check_targets(trusted, 0.9, None)


def test_listings_without_evidence_are_counted_in_a_note() -> None:
    """A person would not know why the confidence of an obvious answer is low."""
    model = replace(PLAIN.model, evidence=EvidenceModel(0.0, (2.0,), (0.0,)))
    trusted = replace(PLAIN, model=model)
    evidence = np.array([[3.0], [-2.0], [np.nan], [-5.0]])
    decision = accept_or_review(trusted, VOTE, NEAR, NAMES, evidence=evidence)
    assert decision.known is not None
    assert decision.known.tolist() == pytest.approx([0.9975, 0.0180, 0.5, 0.00005], abs=1e-4)
    assert decision.notes == ("new, like no category of the index: 2 of 4",)
    precise = accept_or_review(trusted, VOTE, NEAR, NAMES, precision=0.9, evidence=evidence)
    assert decision.notes[0] in precise.notes and precise.known is not None


def test_a_listing_is_new_below_the_threshold_unless_it_is_accepted() -> None:
    """A new product would be among the hundreds that a person has to look at for another reason."""
    model = EvidenceModel(0.0, (2.0,), (0.0,), new_below=0.5)
    trusted = replace(PLAIN, model=replace(PLAIN.model, evidence=model))
    evidence = np.array([[3.0], [-2.0], [np.nan], [-0.01]])
    plain = accept_or_review(trusted, VOTE, NEAR, NAMES, evidence=evidence)
    assert plain.words is None and plain.of_none is not None
    # Exactly at the threshold, as without any evidence, it is not.
    assert plain.of_none.tolist() == [False, True, False, True]
    decision = replace(plain, accepted=np.array([True, False, False, True]))
    assert decision.words == ["accept", "new", "review", "accept"]
    without = replace(decision, of_none=None)
    assert without.words == ["accept", "review", "review", "accept"]
