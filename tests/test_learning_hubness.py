"""The hubness correction, against the definition."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodcat_index.learning import projection
from prodcat_index.learning.projection import HubnessCorrection

Rows = npt.NDArray[np.float32]


def unit(n: int, seed: int, dim: int = 4) -> Rows:
    rows = np.random.default_rng(seed).normal(size=(n, dim))
    found: Rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    return found


def fit(rows: Rows) -> HubnessCorrection:
    correction = HubnessCorrection.fit(rows)
    assert correction is not None
    return correction


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 60), st.integers(1, 9), st.integers(0, 10**6))
def test_it_is_the_mean_of_the_nearest_but_for_the_first(n: int, asked: int, seed: int) -> None:
    rows, queries = unit(n, seed), unit(asked, seed + 1)
    correction = fit(rows)
    assert correction.near == min(20, n - 1)
    cosines = np.sort(queries.astype(np.float64) @ rows.T, axis=1)[:, ::-1]
    expected = cosines[:, 1 : correction.near + 1].mean(axis=1)
    np.testing.assert_allclose(correction.mean_similarity(queries), expected, atol=1e-5)


def test_a_row_does_not_crowd_itself() -> None:
    """Three rows at right angles: each has only itself near."""
    rows = np.eye(3, dtype=np.float32)
    assert fit(rows).mean_similarity(rows).tolist() == [0.0] * 3


def test_of_many_rows_some_are_compared_with_and_fewer_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As many near ones among fewer rows would reach farther."""
    monkeypatch.setattr(projection, "MOST_REFERENCES", 50)
    rows = unit(200, 0)
    correction = fit(rows)
    assert correction.near == 5
    np.testing.assert_array_equal(correction.references[[0, -1]], rows[[0, -1]])
    assert len(correction.references) == 50


def test_chunks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = unit(70, 3)
    whole = fit(rows).mean_similarity(rows)
    monkeypatch.setattr(projection, "HUBNESS_ROWS_AT_ONCE", 7)
    np.testing.assert_allclose(fit(rows).mean_similarity(rows), whole, atol=1e-6)


def test_one_row_is_not_crowded_by_anything() -> None:
    assert HubnessCorrection.fit(unit(1, 0)) is None
    assert HubnessCorrection.fit(unit(0, 0)) is None
