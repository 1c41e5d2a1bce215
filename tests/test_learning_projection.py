"""The learned projection, against the definition and against what can be worked out by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import eigh

from prodcat_index.learning import projection as projection_module
from prodcat_index.learning.projection import fit_projection, unit_parts

WIDTHS = (5, 3)


def planted(
    n: int = 120, categories: int = 4, seed: int = 0
) -> tuple[list[npt.NDArray[np.float32]], npt.NDArray[np.bool_], npt.NDArray[np.int64]]:
    """Clusters in two blocks, every card having both."""
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % categories
    blocks = []
    for width in WIDTHS:
        centres = rng.normal(size=(categories, width))
        rows = centres[codes] + 0.5 * rng.normal(size=(n, width))
        blocks.append((rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32))
    return blocks, np.ones((n, len(WIDTHS)), dtype=bool), codes


def discriminant(
    rows: npt.NDArray[np.float64],
    codes: npt.NDArray[np.int64],
    shrinkage: float,
    stretch: float,
    most: int = 3,
) -> npt.NDArray[np.float64]:
    """Solve Fisher's problem as it is written in books, covariances in full."""
    mean, dim = rows.mean(axis=0), rows.shape[1]
    within, between = np.zeros((dim, dim)), np.zeros((dim, dim))
    for code in np.unique(codes):
        own = rows[codes == code]
        share = len(own) / len(rows)
        within += share * np.cov(own.T, bias=True)
        between += share * np.outer(own.mean(axis=0) - mean, own.mean(axis=0) - mean)
    shrunk = (1 - shrinkage) * within + shrinkage * np.trace(within) / dim * np.eye(dim)
    strengths, vectors = eigh(between, shrunk)
    strengths = np.maximum(strengths, 0)
    projected: npt.NDArray[np.float64] = (rows - mean) @ (vectors * strengths**stretch)[:, -most:]
    return projected / np.linalg.norm(projected, axis=1, keepdims=True)


@pytest.mark.parametrize("stretch", [0.0, 0.2, 1.0])
@pytest.mark.parametrize("shrinkage", [0.05, 0.5, 1.0])
def test_it_is_the_shrunk_discriminant(shrinkage: float, stretch: float) -> None:
    blocks, present, codes = planted()
    fitted = fit_projection(blocks, present, codes, shrinkage, stretch)
    assert fitted is not None
    ours, known = fitted.project(blocks, present)
    rows = np.concatenate(blocks, axis=1).astype(np.float64)
    theirs = discriminant(rows, codes, shrinkage, stretch)
    assert fitted.dim == 3
    assert known.all()
    np.testing.assert_allclose(ours @ ours.T, theirs @ theirs.T, atol=1e-4)


def test_of_more_directions_than_are_kept_the_strongest_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A catalogue of 874 categories would else be projected onto what tells them apart least."""
    blocks, present, codes = planted()
    monkeypatch.setattr(projection_module, "MAX_DIMENSIONS", 2)
    fitted = fit_projection(blocks, present, codes, 0.5, 0.2)
    assert fitted is not None
    assert fitted.dim == 2
    ours, _ = fitted.project(blocks, present)
    theirs = discriminant(np.concatenate(blocks, axis=1).astype(np.float64), codes, 0.5, 0.2, 2)
    np.testing.assert_allclose(ours @ ours.T, theirs @ theirs.T, atol=1e-4)


def test_chunks_do_not_change_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A catalogue that is read in pieces must be learned from as a whole."""
    blocks, present, codes = planted()
    whole = fit_projection(blocks, present, codes)
    monkeypatch.setattr(projection_module, "ROWS_AT_ONCE", 7)
    pieces = fit_projection(blocks, present, codes)
    assert whole is not None
    assert pieces is not None
    a, b = whole.project(blocks, present)[0], pieces.project(blocks, present)[0]
    np.testing.assert_allclose(a @ a.T, b @ b.T, atol=1e-4)


def test_many_rows_are_projected_in_pieces_to_the_same_rows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A large file of listings would be copied whole, or its rows be put out of order."""
    blocks, present, codes = planted()
    projection = fit_projection(blocks, present, codes)
    assert projection is not None
    whole = projection.parts(blocks, present)
    monkeypatch.setattr(projection_module, "ROWS_AT_ONCE", 7)
    for part, pieces in zip(whole, projection.parts(blocks, present), strict=True):
        np.testing.assert_allclose(part, pieces, atol=1e-5)
        assert pieces.dtype == np.float32


def test_the_parts_of_the_blocks_add_up_to_the_row() -> None:
    """Otherwise the share of a modality in an answer would be made up."""
    blocks, present, codes = planted()
    present[3, 0] = present[4, 1] = False
    fitted = fit_projection(blocks, present, codes)
    assert fitted is not None
    parts, (rows, _) = unit_parts(fitted.parts(blocks, present)), fitted.project(blocks, present)
    np.testing.assert_allclose(np.sum(parts, axis=0), rows, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    assert not parts[0][3].any()
    assert not parts[1][4].any()


def test_what_an_absent_block_holds_does_not_matter() -> None:
    blocks, present, codes = planted()
    present[::3, 0] = False
    first = fit_projection(blocks, present, codes)
    blocks[0][::3] = 9.0
    second = fit_projection(blocks, present, codes)
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.matrices[0], second.matrices[0])
    np.testing.assert_array_equal(
        first.project(blocks, present)[0], second.project(blocks, present)[0]
    )


def test_unlabelled_cards_teach_nothing_but_are_projected() -> None:
    blocks, present, codes = planted()
    half = codes.copy()
    half[60:] = -1
    alone = fit_projection([b[:60] for b in blocks], present[:60], codes[:60])
    among = fit_projection(blocks, present, half)
    assert alone is not None
    assert among is not None
    np.testing.assert_array_equal(alone.matrices[0], among.matrices[0])
    assert among.project(blocks, present)[1].all()


def test_a_card_without_any_block_is_absent() -> None:
    blocks, present, codes = planted()
    present[5] = False
    fitted = fit_projection(blocks, present, codes)
    assert fitted is not None
    rows, known = fitted.project(blocks, present)
    assert not known[5]
    assert not rows[5].any()
    assert known.sum() == len(known) - 1


@pytest.mark.parametrize("codes", [[-1, -1, -1], [0, 0, 0], [0, -1, 0]])
def test_one_category_is_nothing_to_learn_from(codes: list[int]) -> None:
    rows = np.eye(3, dtype=np.float32)
    assert fit_projection([rows], np.ones((3, 1), dtype=bool), np.array(codes)) is None


@settings(max_examples=40, deadline=None)
@given(
    n=st.integers(2, 30),
    categories=st.integers(1, 30),
    constant=st.booleans(),
    duplicates=st.booleans(),
    seed=st.integers(0, 99),
)
def test_it_never_gives_anything_but_numbers(
    n: int, categories: int, constant: bool, duplicates: bool, seed: int
) -> None:
    """Single cards, fewer cards than dimensions, constant columns, equal cards: all occur."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n, 40)).astype(np.float32)
    if constant:
        rows[:, :20] = 0.25
    if duplicates:
        rows[: n // 2] = rows[0]
    codes = rng.integers(0, categories, size=n)
    present = rng.random((n, 2)) < 0.8
    fitted = fit_projection([rows[:, :25], rows[:, 25:]], present, codes)
    if fitted is not None:
        projected, known = fitted.project([rows[:, :25], rows[:, 25:]], present)
        assert np.isfinite(projected).all()
        assert fitted.dim < len(np.unique(codes[present.any(axis=1)]))
        np.testing.assert_allclose(np.linalg.norm(projected[known], axis=1), 1, atol=1e-4)


def test_categories_that_the_blocks_blur_are_apart() -> None:
    """One column tells the categories, and nine larger ones do not."""
    rng = np.random.default_rng(1)
    codes = np.arange(200) % 2
    rows = rng.normal(size=(200, 10))
    rows[:, 0] = np.where(codes, 0.6, -0.6) + 0.1 * rng.normal(size=200)
    rows = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)
    present = np.ones((200, 1), dtype=bool)
    fitted = fit_projection([rows[:150]], present[:150], codes[:150])
    assert fitted is not None
    projected, _ = fitted.project([rows[150:]], present[150:])
    alike = codes[150:, None] == codes[None, 150:]
    agreement = np.sign(projected @ projected.T) == np.where(alike, 1, -1)
    blurred = np.sign(rows[150:] @ rows[150:].T) == np.where(alike, 1, -1)
    assert agreement.mean() > 0.9
    assert blurred.mean() < 0.75
