"""The linear head, against scikit-learn and against what can be worked out by hand."""

from __future__ import annotations

import warnings
from math import log

import numpy as np
import numpy.typing as npt
import pytest
from sklearn.linear_model import LogisticRegression

from prodcat_index.learning import head as head_module
from prodcat_index.learning.head import LEAST_LOGARITHM, LinearHead, fit_head

Rows = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int64]


def planted(codes: Codes, seed: int = 0, dim: int = 6) -> Rows:
    """Unit rows around a centre for each code."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(int(codes.max()) + 1, dim))
    rows = centres[codes] + rng.normal(size=(len(codes), dim))
    unit: Rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return unit


def fitted(rows: Rows, codes: Codes) -> LinearHead:
    head = fit_head(rows, codes)
    assert head is not None
    return head


@pytest.mark.parametrize("categories", [2, 5])
def test_it_is_the_regression_of_scikit_learn(
    categories: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two categories are a case of its own there: one row of weights for both."""
    monkeypatch.setattr(head_module, "STEPS", 1000)
    codes = np.arange(200) % categories
    rows, new = planted(codes), planted(codes[:7], seed=1)
    penalty = head_module.INVERSE_PENALTY * head_module.STRETCH**2
    regression = LogisticRegression(C=penalty, max_iter=1000, tol=1e-6).fit(rows, codes)
    found = fitted(rows, codes).log_probabilities(new, categories)
    np.testing.assert_allclose(found, regression.predict_log_proba(new), atol=0.03)


def test_probabilities_are_a_softmax_over_linear_scores() -> None:
    """Scores 1 and 0 + log 3 for the first row: probabilities e / (e + 3) and 3 / (e + 3)."""
    head = LinearHead(
        coefficients=np.array([[1, 0], [0, 1]], dtype=np.float32),
        intercepts=np.array([0, log(3)], dtype=np.float32),
        categories=np.array([2, 0]),
    )
    found = head.log_probabilities(np.array([[1, 0]], dtype=np.float32), 3)
    e = np.exp(1)
    np.testing.assert_allclose(np.exp(found[0, [2, 0]]), [e / (e + 3), 3 / (e + 3)], rtol=1e-5)


def test_a_category_that_it_never_saw_is_left_to_the_neighbours() -> None:
    """Cards of a new category are added to an index: the head must not silence them."""
    codes = np.array([0, 3] * 20)
    found = fitted(planted(codes), codes).log_probabilities(planted(codes, seed=2)[:5], 5)
    likeliest = found[:, [0, 3]].max(axis=1)
    for unseen in (1, 2, 4):
        np.testing.assert_array_equal(found[:, unseen], likeliest)


def test_a_row_of_zeros_says_nothing() -> None:
    """A listing that nothing is known of would be of the largest category."""
    codes = np.array([0] * 30 + [1] * 3)
    zeros = np.zeros((1, 6), dtype=np.float32)
    assert fitted(planted(codes), codes).log_probabilities(zeros, 2).tolist() == [[0.0, 0.0]]


def test_nothing_is_impossible_to_it() -> None:
    """One overconfident head would make the nearest card of all mean nothing."""
    head = LinearHead(
        coefficients=np.array([[100, -100]], dtype=np.float32),
        intercepts=np.zeros(2, dtype=np.float32),
        categories=np.array([0, 1]),
    )
    found = head.log_probabilities(np.array([[1.0]], dtype=np.float32), 2)
    assert found.tolist() == [[0.0, LEAST_LOGARITHM]]


def test_unlabelled_cards_and_cards_without_anything_teach_nothing() -> None:
    codes = np.arange(60) % 3
    rows = planted(codes)
    padding = planted(np.zeros(10, dtype=np.int64), seed=3)
    more = np.concatenate([rows, padding, np.zeros((4, 6), dtype=np.float32)])
    labels = np.concatenate([codes, np.full(10, -1), np.full(4, 1)])
    clean, dirty = fitted(rows, codes), fitted(more, labels)
    np.testing.assert_array_equal(clean.coefficients, dirty.coefficients)
    np.testing.assert_array_equal(clean.intercepts, dirty.intercepts)


def test_one_category_needs_no_head() -> None:
    codes = np.full(20, 4)
    assert fit_head(planted(codes), codes) is None
    assert fit_head(np.zeros((20, 6), dtype=np.float32), np.arange(20)) is None


def test_categories_of_one_card_are_fitted_without_a_warning() -> None:
    """A user would be told ten times that the labels may be numbers."""
    rows = np.eye(30, dtype=np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert fit_head(rows, np.arange(30)) is not None
