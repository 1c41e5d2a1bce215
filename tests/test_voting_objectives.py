"""What tuning maximises must be what scikit-learn, and everybody, means by the name."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodcat_index.voting.metrics import accuracy, category_f1, macro_f1, weighted_f1

CATEGORIES = 5
Codes = npt.NDArray[np.int64]
CARDS = st.lists(
    st.tuples(st.integers(0, CATEGORIES - 1), st.integers(-1, CATEGORIES - 1)),
    min_size=1,
    max_size=40,
).map(lambda pairs: tuple(np.array(pairs, dtype=np.int64).T))


def sklearn_f1(true: Codes, predicted: Codes, average: str, labels: Codes | None = None) -> float:
    from sklearn.metrics import f1_score

    score = f1_score(true, predicted, average=average, labels=labels, zero_division=0.0)
    return float(score)


@settings(max_examples=150, deadline=None)
@given(CARDS)
def test_the_scores_are_scikit_learns(cards: tuple[Codes, Codes]) -> None:
    """Figures would not compare with anybody else's; unanswered cards (-1) count as wrong."""
    true, predicted = cards
    assert accuracy(true, predicted) == pytest.approx(np.mean(true == predicted))
    assert weighted_f1(true, predicted, CATEGORIES) == pytest.approx(
        sklearn_f1(true, predicted, "weighted")
    )
    assert macro_f1(true, predicted, CATEGORIES) == pytest.approx(
        sklearn_f1(true, predicted, "macro", np.unique(true))
    )


def test_the_true_categories_come_first() -> None:
    """A score of 0.884 is told of this task that comes from arguments in the wrong order."""
    true, predicted = np.array([0, 0, 0, 1, 2]), np.array([0, 0, 1, 1, 1])
    assert weighted_f1(true, predicted, 3) == pytest.approx(0.58)
    assert weighted_f1(predicted, true, 3) == pytest.approx(0.62)
    assert macro_f1(true, predicted, 3) == pytest.approx((0.8 + 0.5 + 0) / 3)
    assert macro_f1(predicted, true, 3) == pytest.approx((0.8 + 0.5) / 2)


def test_a_worked_f1() -> None:
    """Category 0: 2 hits of 3 true and 2 named; 1: one of one true and 3 named; 3: nowhere."""
    true, predicted = np.array([0, 0, 0, 1, 2]), np.array([0, 0, 1, 1, 1])
    assert category_f1(true, predicted, 4).tolist() == pytest.approx([0.8, 0.5, 0.0, 0.0])


def test_no_answer_is_an_answer_of_no_category() -> None:
    """To numpy, -1 is the last one: its F1 would suffer for cards that nobody answered."""
    true, predicted = np.array([0, 0, 2]), np.array([0, -1, 2])
    assert category_f1(true, predicted, 3).tolist() == pytest.approx([2 / 3, 0.0, 1.0])
