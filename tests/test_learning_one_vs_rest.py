"""One category against its rivals, beside scikit-learn's machines against all."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from sklearn.svm import LinearSVC

from prodcat_index.learning import one_vs_rest
from prodcat_index.learning.one_vs_rest import add_families, fit_one_vs_rest

COUNT = 30
Rows = tuple[csr_matrix, np.ndarray]


@pytest.fixture(scope="module")
def rows() -> Rows:
    """300 rows of 30 categories: each has two features of its own, and shares one with the next."""
    rng = np.random.default_rng(1)
    codes = np.repeat(np.arange(COUNT), 10)
    dense = (rng.random((len(codes), 100)) < 0.05).astype(np.float32)
    for row, code in enumerate(codes):
        dense[row, [code, 30 + code, 60 + (code + rng.integers(2)) % COUNT]] += rng.random(3)
    return csr_matrix(dense), codes


def scores(matrix: csr_matrix, codes: np.ndarray) -> np.ndarray:
    coefficients, intercepts = fit_one_vs_rest(matrix, codes)
    return (matrix @ coefficients).toarray() + intercepts


def test_few_categories_are_fitted_against_all_rows(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Answers would not be those of the classifier that was measured."""
    monkeypatch.setattr(one_vs_rest, "SMALLEST_COEFFICIENT", 0.0)
    matrix, codes = rows
    settings = {"C": one_vs_rest.INVERSE_PENALTY, "tol": one_vs_rest.TOLERANCE}
    oracle = LinearSVC(random_state=0, **settings).fit(matrix, codes)
    np.testing.assert_allclose(
        scores(matrix, codes), oracle.decision_function(matrix), rtol=1e-4, atol=1e-4
    )


def test_the_score_of_a_category_has_a_part_of_its_families(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A category of two cards would learn nothing from its sisters."""
    monkeypatch.setattr(one_vs_rest, "SMALLEST_COEFFICIENT", 0.0)
    matrix, codes = rows
    levels = [np.arange(COUNT) // 10 + 7, np.array([*np.arange(COUNT // 2) // 3, *range(10, 25)])]

    def decision(labels: np.ndarray, of_category: np.ndarray) -> np.ndarray:
        settings = {"C": one_vs_rest.INVERSE_PENALTY, "tol": one_vs_rest.TOLERANCE}
        machine = LinearSVC(random_state=0, **settings).fit(matrix, labels)
        places = np.searchsorted(machine.classes_, of_category)
        return np.asarray(machine.decision_function(matrix)[:, places])

    families = [decision(level[codes], level) for level in levels]
    expected = (decision(codes, np.arange(COUNT)) + (families[0] + families[1]) / 4) / 1.5
    own = fit_one_vs_rest(matrix, codes)
    coefficients, intercepts = add_families(own, matrix, codes, np.stack(levels))
    found = (matrix @ coefficients).toarray() + intercepts
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert np.abs(found - scores(matrix, codes)).max() > 0.1


def test_against_rivals_alone_the_answers_are_those_against_all(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shop of many categories would pay for its speed with wrong answers."""
    matrix, codes = rows
    whole = scores(matrix, codes)
    monkeypatch.setattr(one_vs_rest, "RIVALS", 5)
    monkeypatch.setattr(one_vs_rest, "COMMON_CARDS", 40)
    monkeypatch.setattr(one_vs_rest, "ROWS_AT_ONCE", 7)
    rivals = scores(matrix, codes)
    assert np.mean(rivals.argmax(axis=1) == whole.argmax(axis=1)) > 0.98
    np.testing.assert_array_equal(rivals, scores(matrix, codes))


def test_a_category_sees_its_own_cards_and_those_that_are_near_it(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A category that never met a card that resembles it would claim it."""
    monkeypatch.setattr(one_vs_rest, "RIVALS", 5)
    monkeypatch.setattr(one_vs_rest, "COMMON_CARDS", 0)
    matrix, codes = rows
    seen = list(one_vs_rest._rows_of_categories(matrix, codes))
    assert len(seen) == COUNT
    centroids = np.stack([matrix.toarray()[codes == c].mean(axis=0) for c in range(COUNT)])
    centroids /= np.linalg.norm(centroids, axis=1, keepdims=True)
    near = np.argsort(-(matrix @ centroids.T), axis=1)[:, :5]
    for category, of_category in enumerate(seen):
        expected = (near == category).any(axis=1) | (codes == category)
        np.testing.assert_array_equal(of_category, np.flatnonzero(expected))


def test_common_cards_are_seen_by_every_category(
    rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without far cards, a listing that has nothing to do with a category could score high."""
    monkeypatch.setattr(one_vs_rest, "RIVALS", 2)
    monkeypatch.setattr(one_vs_rest, "COMMON_CARDS", 50)
    seen = list(one_vs_rest._rows_of_categories(*rows))
    shared = set(seen[0]).intersection(*map(set, seen))
    assert len(shared) >= 50


def test_centroids_keep_their_largest_values(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_vs_rest, "CENTROID_VALUES", 3)
    matrix, codes = rows
    centroids = one_vs_rest._centroids(matrix, codes, COUNT).toarray()
    sums = np.stack([matrix.toarray()[codes == c].sum(axis=0) for c in range(COUNT)])
    for category, own in enumerate(sums):
        largest = np.argsort(-own, kind="stable")[:3]
        kept = np.zeros_like(own)
        kept[largest] = own[largest] / np.linalg.norm(own[largest])
        np.testing.assert_allclose(centroids[:, category], kept, rtol=1e-5)
