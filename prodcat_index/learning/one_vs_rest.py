"""Linear support vector machines over sparse rows, one category against its rivals.

A machine against all other cards costs time in proportion to cards times categories. Where there
are many categories, most cards are far from most of them, and a machine learns nothing from a
card that no one would take for its category. Each category is therefore fitted against the cards
that have it among their nearest categories, and a random sample of the others (as in H. Jain and
others, "Slice: Scalable Linear Extreme Classifiers", 2019).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from prodcat_index.types import Float32Array, Int64Array, chunks

INVERSE_PENALTY = 3.0
# Looser than scikit-learn's: no answer differs, and a fit takes two thirds of the time.
TOLERANCE = 0.1
# Up to this many categories, each is fitted against all cards.
RIVALS = 48
# Cards that every category is fitted against, so that nothing far is taken for it.
COMMON_CARDS = 1000
# Largest values of a category's mean row that its cards are compared by.
CENTROID_VALUES = 256
# Coefficients this small change no answer, and are nine in ten.
SMALLEST_COEFFICIENT = 0.01
ROWS_AT_ONCE = 2048
# What the scores of families count, beside that of the category itself.
FAMILY_SHARE = 0.5
SEED = 0


class LinearScores(NamedTuple):
    """Coefficients of H categories over V features."""

    coefficients: Any  # scipy.sparse.csr_matrix, (V, H)
    intercepts: Float32Array  # (H,)


def fit_one_vs_rest(matrix: Any, codes: Int64Array, bar: Any = None) -> LinearScores:
    """Fit a score for each of H >= 2 categories to sparse rows, (n, V); codes are 0 to H - 1.

    A progress bar, where there is one, advances by one for each category.
    """
    from scipy.sparse import csc_matrix
    from sklearn.svm import LinearSVC

    kept, values, intercepts = [], [], []
    for category, rows in enumerate(_rows_of_categories(matrix, codes)):
        machine = LinearSVC(C=INVERSE_PENALTY, tol=TOLERANCE, random_state=SEED)
        machine.fit(matrix[rows], codes[rows] == category)
        features = np.flatnonzero(np.abs(machine.coef_[0]) >= SMALLEST_COEFFICIENT)
        kept.append(features)
        values.append(machine.coef_[0][features].astype(np.float32))
        intercepts.append(machine.intercept_[0])
        if bar is not None:
            bar.update()
    starts = np.cumsum([0, *map(len, kept)])
    shape = (matrix.shape[1], len(kept))
    coefficients = csc_matrix((np.concatenate(values), np.concatenate(kept), starts), shape)
    return LinearScores(coefficients.tocsr(), np.array(intercepts, dtype=np.float32))


def add_families(
    own: LinearScores, matrix: Any, codes: Int64Array, families: Int64Array, bar: Any = None
) -> LinearScores:
    """Return scores of H categories that have a part of the scores of their families.

    `families`, (L, H), are codes that related categories have in common, at L >= 1 levels of a
    tree: what tells a family from the others is learned from the cards of all its categories.
    """
    share = FAMILY_SHARE / (1 + FAMILY_SHARE)
    coefficients, intercepts = (1 - share) * own.coefficients, (1 - share) * own.intercepts
    for level in families:
        _, family_of = np.unique(level, return_inverse=True)
        scores = fit_one_vs_rest(matrix, family_of[codes], bar)
        coefficients = coefficients + share / len(families) * scores.coefficients[:, family_of]
        intercepts = intercepts + share / len(families) * scores.intercepts[family_of]
    return LinearScores(coefficients.tocsr(), intercepts.astype(np.float32))


def _rows_of_categories(matrix: Any, codes: Int64Array) -> Iterator[Int64Array]:
    """Yield the rows that each category is fitted to: its own, near ones and common ones."""
    n, count = len(codes), int(codes.max()) + 1
    if count <= RIVALS:
        yield from (np.arange(n) for _ in range(count))
        return
    nearest = _nearest_categories(matrix, codes, count)
    order = np.argsort(nearest, axis=None, kind="stable")
    edges = np.searchsorted(nearest.ravel()[order], np.arange(count + 1))
    common = np.random.default_rng(SEED).permutation(n)[:COMMON_CARDS]
    for category in range(count):
        near = order[edges[category] : edges[category + 1]] // RIVALS
        yield np.unique(np.concatenate([near, common, np.flatnonzero(codes == category)]))


def _nearest_categories(matrix: Any, codes: Int64Array, count: int) -> Int64Array:
    """Return the RIVALS categories whose mean rows are nearest to each row, (n, RIVALS)."""
    centroids = _centroids(matrix, codes, count)
    parts = [
        np.argpartition(-(matrix[rows] @ centroids).toarray(), RIVALS - 1, axis=1)[:, :RIVALS]
        for rows in chunks(len(codes), ROWS_AT_ONCE)
    ]
    nearest: Int64Array = np.concatenate(parts)
    return nearest


def _centroids(matrix: Any, codes: Int64Array, count: int) -> Any:
    """Return the unit mean rows of categories, cut to their largest values: sparse, (V, count)."""
    from scipy.sparse import csr_matrix
    from sklearn.preprocessing import normalize

    n = len(codes)
    membership = csr_matrix((np.ones(n, np.float32), (codes, np.arange(n))), shape=(count, n))
    sums = (membership @ matrix).tocsr()
    # In the order of the columns, so that of equal values the first are kept.
    sums.sort_indices()
    for category in range(count):
        values = sums.data[sums.indptr[category] : sums.indptr[category + 1]]
        values[np.argsort(-values, kind="stable")[CENTROID_VALUES:]] = 0.0
    sums.eliminate_zeros()
    return normalize(sums).T.tocsr()
