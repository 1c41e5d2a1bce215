"""Linear scores over sparse n-grams, beside scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest

from prodcat_index.encoders.ngrams import NgramVectorizer
from prodcat_index.learning import text_scores
from prodcat_index.learning.text_scores import (
    assign_folds,
    fit_text_scores,
    out_of_fold_scores,
    probabilities,
    take,
)
from prodcat_index.types import MISSING

WORDS = [["boot", "leather"], ["mug", "glass"], ["lamp", "bulb", "led"]]


@pytest.fixture(scope="module")
def cards() -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(3)
    codes = rng.integers(0, 3, 90)
    filler = [f"word{n}" for n in range(30)]
    texts = [" ".join([*rng.choice(filler, 4), rng.choice(WORDS[code])]) for code in codes]
    return texts, codes.astype(np.int64)


def test_scores_are_those_of_scikit_learn_but_for_small_coefficients(
    cards: tuple[list[str], np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers would not be those that were measured."""
    from scipy.sparse import csr_matrix
    from sklearn.svm import LinearSVC

    monkeypatch.setattr(text_scores, "SMALLEST_COEFFICIENT", 0.0)
    monkeypatch.setattr(text_scores, "ROWS_AT_ONCE", 7)
    texts, codes = cards
    rows = NgramVectorizer.fit(texts).transform(texts)
    matrix = csr_matrix((rows.values, rows.features, rows.starts), shape=(len(rows), rows.width))
    oracle = LinearSVC(C=text_scores.INVERSE_PENALTY, random_state=0).fit(matrix, codes)
    model = fit_text_scores(rows, codes)
    assert model is not None
    np.testing.assert_allclose(model.decision(rows), oracle.decision_function(matrix), atol=5e-3)


def test_small_coefficients_are_left_out(cards: tuple[list[str], np.ndarray]) -> None:
    texts, codes = cards
    model = fit_text_scores(NgramVectorizer.fit(texts).transform(texts), codes)
    assert model is not None
    smallest = np.abs(model.coefficients).min()
    assert smallest >= np.float16(text_scores.SMALLEST_COEFFICIENT)


def test_two_categories_have_opposite_scores(cards: tuple[list[str], np.ndarray]) -> None:
    texts, codes = cards
    rows = NgramVectorizer.fit(texts).transform(texts)
    model = fit_text_scores(rows, np.where(codes == 2, MISSING, codes))
    assert model is not None
    assert model.categories.tolist() == [0, 1]
    scores = model.decision(rows)
    np.testing.assert_allclose(scores[:, 0], -scores[:, 1], atol=1e-6)
    chosen = codes < 2
    assert np.mean(model.categories[scores.argmax(axis=1)][chosen] == codes[chosen]) == 1.0


def test_nothing_is_fitted_to_one_category_or_to_empty_rows() -> None:
    rows = NgramVectorizer.fit(["boot", "mug"]).transform(["boot", "mug", ""])
    assert fit_text_scores(rows, np.array([0, 0, 1])) is None
    assert fit_text_scores(rows, np.array([0, MISSING, 1])) is None


def test_what_n_grams_add_sums_to_the_score(cards: tuple[list[str], np.ndarray]) -> None:
    """The words that are named as the reason would not be the reason."""
    texts, codes = cards
    rows = NgramVectorizer.fit(texts).transform(texts)
    model = fit_text_scores(rows, codes)
    assert model is not None
    scores = model.decision(rows)
    for row in range(5):
        for code in range(3):
            total = model.contributions(rows, row, code).sum() + model.intercepts[code]
            assert total == pytest.approx(scores[row, code], abs=1e-5)


def test_out_of_fold_scores_have_not_seen_the_group() -> None:
    """A card would confirm its own wrong label."""
    rng = np.random.default_rng(5)
    names = ["".join(rng.choice(list("abcdefghijklmnopqrstuvwxyz"), 8)) for _ in range(60)]
    texts = [name for name in names for _ in range(2)]
    codes = np.repeat(rng.integers(0, 2, 60), 2)
    rows = NgramVectorizer.fit(texts).transform(texts)
    by_card = out_of_fold_scores(rows, codes, np.arange(120))
    by_group = out_of_fold_scores(rows, codes, np.repeat(np.arange(60), 2))
    # Only the name that both cards of a group have tells anything.
    assert np.mean(by_card.argmax(axis=1) == codes) > 0.7
    assert np.mean(by_group.argmax(axis=1) == codes) < 0.65


def test_probabilities_sum_to_one_or_to_nothing(cards: tuple[list[str], np.ndarray]) -> None:
    texts, codes = cards
    vectorizer = NgramVectorizer.fit(texts)
    model = fit_text_scores(vectorizer.transform(texts), codes + 1)
    assert model is not None
    proba = probabilities(model, vectorizer.transform(["leather boot", "", "qqqq"]), 5)
    np.testing.assert_allclose(proba.sum(axis=1), [1, 0, 0], atol=1e-6)
    assert proba[0].argmax() == 1
    assert proba[0, [0, 4]].tolist() == [0, 0]


def test_folds_hold_whole_groups_and_about_as_many_cards() -> None:
    groups = np.repeat(np.arange(20), np.arange(1, 21))
    folds = assign_folds(groups, 4)
    assert all(len(set(folds[groups == group])) == 1 for group in range(20))
    assert np.bincount(folds).min() >= 45
    np.testing.assert_array_equal(folds, assign_folds(groups, 4))


def test_taken_rows_are_the_rows(cards: tuple[list[str], np.ndarray]) -> None:
    texts, _ = cards
    rows = NgramVectorizer.fit(texts).transform(texts)
    some = take(rows, np.array([5, 0, 5]))
    for new, old in enumerate([5, 0, 5]):
        own, its = slice(*some.starts[new : new + 2]), slice(*rows.starts[old : old + 2])
        np.testing.assert_array_equal(some.features[own], rows.features[its])
        np.testing.assert_array_equal(some.values[own], rows.values[its])
