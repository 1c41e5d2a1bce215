"""Folds of cards."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodcat_index.learning import folds
from prodcat_index.learning.folds import FEW_CARDS, FOLDS, FOLDS_OF_FEW_CARDS, assign_folds


@given(st.lists(st.integers(0, 30), min_size=1, max_size=80))
def test_a_group_is_in_one_fold(groups: list[int]) -> None:
    """A card would be answered for by what has seen its variants."""
    codes = np.array(groups, dtype=np.int64)
    dealt = assign_folds(codes)
    assert all(len(set(dealt[codes == group])) == 1 for group in set(groups))
    np.testing.assert_array_equal(dealt, assign_folds(codes))


def test_folds_hold_about_as_many_cards(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is fitted for the largest fold would see the fewest cards."""
    monkeypatch.setattr(folds, "FEW_CARDS", 100)
    groups = np.repeat(np.arange(20), np.arange(1, 21))
    sizes = np.bincount(assign_folds(groups))
    assert len(sizes) == FOLDS
    assert sizes.max() - sizes.min() <= 3


def test_few_cards_have_more_folds() -> None:
    for cards, count in ((100, FOLDS_OF_FEW_CARDS), (FEW_CARDS, FOLDS_OF_FEW_CARDS)):
        assert set(assign_folds(np.arange(cards)).tolist()) == set(range(count))
    assert set(assign_folds(np.arange(FEW_CARDS + 1)).tolist()) == set(range(FOLDS))
