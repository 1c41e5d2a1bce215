"""The searcher by principal axes, against a comparison of all rows."""

from __future__ import annotations

import numpy as np
import pytest

from prodcat_index.index import principal_axes
from prodcat_index.index.fusion import fuse_cards
from prodcat_index.index.principal_axes import LONGEST, AxesSearcher
from prodcat_index.types import BoolArray, Float32Array, FloatingArray

WEIGHTS = np.array([0.8, 0.2])
K = 5


def made(count: int = 600, own: int = 8) -> tuple[list[FloatingArray], BoolArray]:
    """Unit rows of two blocks, of which the first lie near a few axes; some cards lack a block."""
    rng = np.random.default_rng(0)
    rows = [
        rng.normal(size=(count, own)) @ rng.normal(size=(own, 40)),
        rng.normal(size=(count, 30)),
    ]
    present = rng.random((count, 2)) < 0.9
    present[:3] = False
    blocks = [
        (row / np.linalg.norm(row, axis=1, keepdims=True) * present[:, [b]]).astype(np.float16)
        for b, row in enumerate(rows)
    ]
    return blocks, present


def asked(blocks: list[FloatingArray], expected: float = 0.3) -> Float32Array:
    """The cards as queries, with what a card without a block counts as."""
    weighed = [block * np.float32(w) for block, w in zip(blocks, WEIGHTS, strict=True)]
    counted = np.full((len(blocks[0]), 2), expected * WEIGHTS)
    return np.concatenate([*weighed, counted], axis=1, dtype=np.float32)


def nearest(blocks: list[FloatingArray], present: BoolArray) -> list[set[int]]:
    """The nearest cards of each, among those that have a block."""
    similar = asked(blocks).astype(np.float64) @ fuse_cards(blocks, present).T.astype(np.float64)
    similar[:, ~present.any(axis=1)] = -1
    return [set(row[:K]) for row in np.argsort(-similar, axis=1, kind="stable").tolist()]


def test_with_all_axes_the_nearest_are_proposed_and_cards_with_nothing_never() -> None:
    """A near card that is not proposed is lost; one with nothing would be near to all."""
    blocks, present = made()
    cards = np.flatnonzero(present.any(axis=1))
    searcher = AxesSearcher.build(blocks, present, WEIGHTS, cards)
    found, is_certain = searcher.search(asked(blocks), K, present.any(axis=1))
    assert not is_certain
    assert not np.isin(found, np.flatnonzero(~present.any(axis=1))).any()
    for card, near in enumerate(nearest(blocks, present)):
        if present[card].any():
            assert near <= set(found[card].tolist())


def test_similarities_are_weighed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of as few candidates as are wanted, other weights would propose other ones."""
    monkeypatch.setattr(principal_axes, "CANDIDATES", 1)
    blocks, present = made()
    cards = np.flatnonzero(present.all(axis=1))
    rows, _ = AxesSearcher.build(blocks, present, WEIGHTS, cards).search(asked(blocks), K)
    present[~present.all(axis=1)] = False
    expected = nearest(blocks, present)
    shares = [len(expected[card] & set(rows[card].tolist())) / K for card in cards.tolist()]
    assert np.mean(shares) > 0.99


def test_axes_are_those_of_the_weighed_similarity() -> None:
    """Axes of the rows alone would follow the block that weighs little, and miss near cards."""
    blocks, present = made()
    cards = np.flatnonzero(present.any(axis=1))
    searcher = AxesSearcher.build(blocks, present, WEIGHTS, cards, axes=12)
    rows, _ = searcher.search(asked(blocks), K)
    expected = nearest(blocks, present)
    shares = [len(expected[card] & set(rows[card].tolist())) / K for card in cards.tolist()]
    assert np.mean(shares) > 0.95


@pytest.mark.parametrize("at_once", [1, 7])
def test_what_is_proposed_depends_on_no_batch(at_once: int) -> None:
    """Sums that round would propose other cards for the same query, asked beside others."""
    blocks, present = made()
    searcher = AxesSearcher.build(blocks, present, WEIGHTS, np.flatnonzero(present.any(axis=1)), 12)
    queries = asked(blocks)[10:80]
    whole, _ = searcher.search(queries, K)
    for start in range(0, len(queries), at_once):
        some, _ = searcher.search(queries[start : start + at_once], K)
        for one, other in zip(some.tolist(), whole[start : start + at_once].tolist(), strict=True):
            assert set(one) - {-1} == set(other) - {-1}


def test_coordinates_are_whole_numbers_whose_sums_float32_holds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Above 2**24, the order in which products are added would change their sum."""
    monkeypatch.setattr(principal_axes, "ROWS_AT_ONCE", 100)
    blocks, present = made()
    searcher = AxesSearcher.build(blocks, present, WEIGHTS, np.arange(len(present)))
    assert (searcher.rows == np.rint(searcher.rows)).all()
    lengths = np.linalg.norm(searcher.rows.astype(np.float64), axis=1)
    assert LONGEST - 20 < lengths.max() < 2**12
