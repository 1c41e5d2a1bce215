"""Cells: every row is in that of its nearest centre, whatever the batch, and none is left empty."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from prodcat_index.index import cells
from prodcat_index.index.cells import find_centres, nearest_centres


def rows_of(seed: int, n: int, clusters: int = 8, dim: int = 16) -> npt.NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    about = np.random.default_rng(0).normal(size=(clusters, dim))
    rows: npt.NDArray[np.float32] = np.float32(
        about[rng.integers(0, clusters, n)] + 0.05 * rng.normal(size=(n, dim))
    )
    return rows


def distances(rows: npt.NDArray[np.float32], centres: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
    return ((rows[:, None].astype(float) - centres[None].astype(float)) ** 2).sum(axis=2)


@pytest.mark.parametrize("at_once", [1, 700, 2**24])
def test_each_row_is_in_the_cell_of_its_nearest_centre_whatever_the_batch(
    at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card that is coded alone would otherwise lie where a search of its cell misses it."""
    monkeypatch.setattr(cells, "NUMBERS_AT_ONCE", at_once)
    rows, centres = rows_of(1, 500), rows_of(2, 60)
    found = nearest_centres(rows, centres)
    np.testing.assert_array_equal(found, distances(rows, centres).argmin(axis=1))
    assert nearest_centres(rows[:0], centres).shape == (0,)


def test_centres_that_are_equally_near_but_for_roundings_are_told_apart_exactly() -> None:
    rng = np.random.default_rng(3)
    rows = np.float32(rng.normal(size=(400, 64)))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    # Twenty centres in nearly one place: products in single precision rank them anyhow.
    centres = rows[:1] + np.float32(1e-7) * np.float32(rng.normal(size=(20, 64)))
    exact = distances(rows, centres).argmin(axis=1)
    halves = np.float32((centres.astype(float) ** 2).sum(axis=1) / 2)
    assert ((halves - rows @ centres.T).argmin(axis=1) != exact).mean() > 0.1
    np.testing.assert_array_equal(nearest_centres(rows, centres), exact)


def test_the_first_of_equal_centres_is_taken() -> None:
    rows, centres = rows_of(1, 100), rows_of(2, 5)
    twice = np.concatenate([centres, centres])
    assert nearest_centres(rows, twice).max() < 5


def test_centres_settle_in_the_middle_of_their_rows() -> None:
    """Cells of rows that do not belong together make every search compare more of them."""
    rows = rows_of(1, 2000)
    about = np.random.default_rng(0).normal(size=(8, 16))
    centres = find_centres(rows, 24)
    assert distances(np.float32(about), centres).min(axis=1).max() < 0.01
    error = distances(rows, centres).min(axis=1).mean()
    drawn = distances(rows, rows[:24]).min(axis=1).mean()
    assert error < 0.75 * drawn
    np.testing.assert_array_equal(find_centres(rows, 24), centres)
    assert np.array_equal(centres, np.float32(np.float16(centres))), "as they are stored"


def test_no_cell_is_left_empty_while_others_have_several_rows() -> None:
    # Of 90 equal cards, one cell would hold all, and 6 centres would be searched for nothing.
    rows = np.concatenate([np.repeat(rows_of(1, 1), 90, axis=0), rows_of(2, 30, clusters=30)])
    centres = find_centres(rows, 16)
    sizes = np.bincount(nearest_centres(rows, centres), minlength=16)
    assert (sizes > 0).sum() >= 14


@pytest.mark.parametrize("count", [1, 5])
def test_equal_rows_have_as_many_centres_as_were_asked_for(count: int) -> None:
    rows = np.repeat(rows_of(1, 1), 5, axis=0)
    assert find_centres(rows, count).shape == (count, 16)
    np.testing.assert_array_equal(nearest_centres(rows, find_centres(rows, count)), 0)
