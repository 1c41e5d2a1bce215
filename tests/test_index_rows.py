"""Rows in pieces against plain arrays of numpy, which would copy all rows for each change."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from made import catalogue, row

from prodcat_index.cards.card import Card
from prodcat_index.index.learned import learn
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.index.rows import Rows, as_rows
from prodcat_index.types import RowsLike

DIM = 3


@dataclass
class Both:
    """The same rows in pieces and in one array."""

    rows: Rows
    plain: npt.NDArray[np.float16]


def numbered(start: int, count: int) -> npt.NDArray[np.float16]:
    """Return rows that no other call returns."""
    return np.arange(start * DIM, (start + count) * DIM, dtype=np.float16).reshape(count, DIM)


@st.composite
def changed_rows(draw: st.DrawFn) -> Both:
    """Draw rows after some additions and selections, which may repeat and reorder rows."""
    made = draw(st.integers(0, 9))
    plain = numbered(0, made)
    rows = Rows((plain.copy(),))
    for is_added in draw(st.lists(st.booleans(), max_size=8)):
        if is_added:
            count = draw(st.integers(0, 7))
            new, made = numbered(made, count), made + count
            rows, plain = as_rows(rows).extended(new), np.concatenate([plain, new])
        else:
            kept = draw(st.lists(st.sampled_from(range(len(plain))))) if len(plain) else []
            chosen = np.array(kept, dtype=np.int64)
            rows, plain = as_rows(rows).select(chosen), plain[chosen]
    return Both(rows, plain)


@given(changed_rows())
def test_rows_are_those_of_an_array_that_was_changed_alike(both: Both) -> None:
    """A card would be answered with the embedding of another."""
    assert both.rows.shape == both.plain.shape
    assert len(both.rows) == len(both.plain)
    assert both.rows.dtype == np.float16
    np.testing.assert_array_equal(np.asarray(both.rows), both.plain)
    np.testing.assert_array_equal(both.rows.astype(np.float32), both.plain.astype(np.float32))
    stacked = np.concatenate([both.rows, both.plain])
    np.testing.assert_array_equal(stacked, np.concatenate([both.plain, both.plain]))


@given(changed_rows(), st.data())
def test_rows_are_indexed_as_an_array_is(both: Both, data: st.DataObject) -> None:
    n = len(both.plain)
    part = data.draw(st.slices(n))
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=bool)
    columns = data.draw(st.slices(DIM).filter(lambda own: (own.step or 1) > 0))
    keys: list[object] = [part, mask, slice(None), np.empty(0, dtype=np.int64)]
    if n:
        number = st.integers(-n, n - 1)
        some = np.array(data.draw(st.lists(number, min_size=1, max_size=6)))
        keys += [data.draw(number), some, some.astype(np.int32), some.tolist()]
        keys += [np.stack([some, some]), some[0]]
    for key in keys:
        np.testing.assert_array_equal(both.rows[key], both.plain[key])
        np.testing.assert_array_equal(both.rows[key, columns], both.plain[key, columns])


@given(changed_rows())
def test_what_numpy_refuses_is_refused(both: Both) -> None:
    """A wrong row number would silently be another card."""
    n = len(both.plain)
    for key in (n, -n - 1, np.array([0, n]), np.ones(n + 1, dtype=bool)):
        with pytest.raises(IndexError):
            both.rows[key]


@given(changed_rows(), st.data())
def test_rows_are_selected_by_mask_and_slice_too(both: Both, data: st.DataObject) -> None:
    n = len(both.plain)
    mask = np.array(data.draw(st.lists(st.booleans(), min_size=n, max_size=n)), dtype=bool)
    part = data.draw(st.slices(n))
    np.testing.assert_array_equal(as_rows(both.rows).select(mask), both.plain[mask])
    np.testing.assert_array_equal(as_rows(both.plain).select(mask), both.plain[mask])
    np.testing.assert_array_equal(as_rows(both.rows).select(part), both.plain[part])


@given(changed_rows(), st.integers(0, 4))
def test_rows_that_have_changed_stay_as_they_were(both: Both, count: int) -> None:
    """An index does not change: add and remove return another one."""
    extended = as_rows(both.rows).extended(np.full((count, DIM), -1))
    before = np.array(extended)
    as_rows(extended).select(slice(1, -3))
    np.testing.assert_array_equal(extended, before)
    np.testing.assert_array_equal(both.rows, both.plain)


def test_neither_adding_nor_removing_copies_the_rows_that_were_there() -> None:
    """A nightly change of a few cards would cost as much as the whole index."""
    many = numbered(0, 100)
    rows = as_rows(many).extended(numbered(100, 10))
    rows = as_rows(rows).select(np.arange(5, 110))
    assert np.shares_memory(rows.pieces[0], many)
    assert [len(piece) for piece in rows.pieces] == [100, 10]
    assert np.shares_memory(as_rows(many).select(slice(9)).pieces[0], many)


@settings(max_examples=30)
@given(st.lists(st.integers(1, 50), min_size=1, max_size=200))
def test_many_small_additions_make_few_pieces(counts: list[int]) -> None:
    """A search reads every piece, so a thousand deliveries must not make a thousand of them."""
    rows = Rows((numbered(0, 20),))
    for count in counts:
        rows = as_rows(rows).extended(np.zeros((count, DIM)))
    lengths = [len(piece) for piece in rows.pieces]
    assert lengths[0] == 20 and sum(lengths) == 20 + sum(counts)
    assert all(large >= 2 * small for large, small in pairwise(lengths[1:]))


def test_added_rows_that_were_removed_are_dropped() -> None:
    """The memory of a service that adds and removes every night would grow for ever."""
    first = numbered(0, 8)
    rows, plain = Rows((first,)), first
    for night in range(50):
        new = numbered(8 + 4 * night, 4)
        rows, plain = as_rows(rows).extended(new), np.concatenate([plain, new])
        kept = np.arange(4, len(plain))
        rows, plain = as_rows(rows).select(kept), plain[kept]
        np.testing.assert_array_equal(rows, plain)
        assert sum(map(len, rows.pieces[1:])) <= 16
    assert rows.pieces[0] is first or np.shares_memory(rows.pieces[0], first)


def test_rows_of_a_file_are_read_as_plain_arrays(tmp_path: Path) -> None:
    """Memory-mapped arrays are indexed several times slower than what they are made of."""
    np.save(tmp_path / "rows.npy", numbered(0, 4))
    rows = Rows((np.load(tmp_path / "rows.npy", mmap_mode="r"),))
    assert type(rows.pieces[0]) is np.ndarray
    assert isinstance(rows.pieces[0].base, np.memmap)
    np.testing.assert_array_equal(rows[1:3], numbered(1, 2))


def in_pieces(rows: RowsLike) -> Rows:
    """Put rows behind dead ones, in three pieces and out of order."""
    plain = np.asarray(rows)
    half = len(plain) // 2
    stacked = Rows((np.concatenate([np.full_like(plain[:3], 0.5), plain[:half]]),))
    stacked = as_rows(as_rows(stacked).extended(plain[half:-2])).extended(plain[-2:])
    backwards = np.arange(len(plain))[::-1] + 3
    return as_rows(as_rows(stacked).select(backwards)).select(slice(None, None, -1))


def test_an_index_over_rows_in_pieces_answers_and_learns_as_one_over_arrays() -> None:
    """An answer would depend on how a catalogue came into the index, and when."""
    shelves = ("red leather boots", "steel kettle for water", "warm desk lamp", "oak table")
    cards = [
        row(f"c{n:03}", f"{shelves[n % 4]} {n % 7}", "" if n % 3 else f"{n}", category=f"s{n % 4}")
        for n in range(120)
    ]
    index = ProductIndex.build(catalogue(cards))
    learned = index.parts.learned
    assert learned is not None
    changed = replace(
        index.parts,
        blocks=[replace(own, vectors=in_pieces(own.vectors)) for own in index.parts.blocks],
        learned=replace(learned, vectors=in_pieces(learned.vectors)),
        searcher=None,
    )
    other = ProductIndex(changed.indexed())
    listings = [Card(title=f"{name} of steel") for name in shelves]
    assert list(other.predict(listings)) == list(index.predict(listings))
    assert list(other.predict(index.catalogue)) == list(index.predict(index.catalogue))
    assert other.similar("c007") == index.similar("c007")
    assert other.search("lamp", weights={"title": 1.0}) == index.search(
        "lamp", weights={"title": 1}
    )
    assert other.tune() == index.tune()
    again = learn(other.parts.blocks, other.parts.labels.codes, other.parts.labels.names)
    assert again is not None
    np.testing.assert_array_equal(again.vectors, learned.vectors)
