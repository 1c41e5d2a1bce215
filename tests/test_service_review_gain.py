"""What a review brought: the expected F1, worked out by hand."""

from __future__ import annotations

import pytest

from prodcat_index.service.review_gain import estimate_f1
from prodcat_index.service.review_records import Labels


def labels(becomes: str | None, wrong: float = 0.0, **more: object) -> Labels:
    named = {"own": "a", "proposal": "b", "is_new": False, "is_applied": False, "cards": 2, **more}
    return Labels(becomes=becomes, wrong=wrong, **named)  # type: ignore[arg-type]


def test_nothing_doubted_is_all_right() -> None:
    assert estimate_f1([], {"a": 3, "b": 1}) == {"before": 1.0, "now": 1.0}


def test_what_is_not_decided_is_wrong_with_its_probability() -> None:
    """By hand: of a's 4 cards, 2 are expected to be b's, which has 4 others.

    F1 of a: 2 * 2 / (4 + 2) = 2/3; of b: 2 * 4 / (4 + 6) = 4/5; weighted by 2 and 6 true cards.
    """
    expected = (2 * 2 / 3 + 6 * 4 / 5) / 8
    found = estimate_f1([labels(None, wrong=2.0, cards=4)], {"a": 4, "b": 4})
    assert found == {"before": pytest.approx(expected, abs=1e-4), "now": found["before"]}


def test_a_decision_that_changes_a_label_brings_something_and_one_that_keeps_it_does_not() -> None:
    """A counter that grows by every click would praise a person who changes nothing."""
    kept = estimate_f1([labels("keep", wrong=1.0)], {"a": 4, "b": 4})
    assert kept == {"before": 1.0, "now": 1.0}
    changed = estimate_f1([labels("b", wrong=1.0)], {"a": 4, "b": 4})
    # Before: 2 of a's 4 were b's. F1 of a 2*2/(2+4), of b 2*4/(6+4), weighted by 2 and 6.
    assert changed == {"before": pytest.approx((2 * 2 / 3 + 6 * 4 / 5) / 8, abs=1e-4), "now": 1.0}
    # It is the same once the index has it.
    assert estimate_f1([labels("b", 1.0, is_applied=True)], {"a": 2, "b": 6}) == changed


def test_removed_cards_and_left_out_listings_count_nowhere() -> None:
    expected = {"before": 1.0, "now": 1.0}
    assert estimate_f1([labels("remove", 2.0)], {"a": 4, "b": 4}) == expected
    assert estimate_f1([labels("remove", 2.0, is_applied=True)], {"a": 2, "b": 4}) == expected
    assert estimate_f1([labels("remove", 2.0, is_new=True)], {"a": 2, "b": 4}) == expected


def test_a_listing_is_beside_the_cards_of_the_index_until_it_is_added() -> None:
    waiting = estimate_f1([labels("b", is_new=True)], {"a": 2, "b": 4})
    added = estimate_f1([labels("b", is_new=True, is_applied=True)], {"a": 2, "b": 6})
    # It would have become a, wrongly: F1 of a 2*2/(2+4), of b 2*4/(6+4).
    assert waiting == added
    assert waiting == {"before": pytest.approx((2 * 2 / 3 + 6 * 0.8) / 8, abs=1e-4), "now": 1.0}
