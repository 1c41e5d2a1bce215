"""Codes of an approximate index: damaged ones must be refused in words, never crash FAISS."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodcat_index.index.kinds import ApproximateKind
from prodcat_index.index.quantized import (
    Codes,
    Effort,
    add_rows,
    array_shapes,
    fill_index,
    trained_index,
)
from prodcat_index.index.searchers import padded
from prodcat_index.types import chunks

N, DIM, CELLS = 600, 20, 8
KINDS: list[ApproximateKind] = ["sq8", "ivf", "hnsw"]
EVERYTHING = Effort(fetch=20, margin=10.0, walk=N)


def rows_of(seed: int = 0, n: int = N) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(size=(n, DIM)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def coded(kind: ApproximateKind, rows: np.ndarray | None = None, threads: int = 1) -> Codes:
    rows = padded(rows_of() if rows is None else rows)
    ranges = np.stack([rows.min(axis=0), np.ptp(rows, axis=0)])
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(threads)
    try:
        index = trained_index(kind, ranges, rows, CELLS)
        add_rows(kind, index, rows)
    finally:
        faiss.omp_set_num_threads(before)
    return Codes.from_index(kind, index)


@pytest.mark.parametrize("kind", KINDS)
def test_with_all_effort_the_nearest_rows_are_found(kind: ApproximateKind) -> None:
    rows, queries = rows_of(), rows_of(1, 50)
    found = coded(kind).search(queries, 10, EVERYTHING)
    nearest = np.argsort(-(queries @ rows.T), axis=1)[:, :10]
    assert all(set(own) <= set(row) for own, row in zip(nearest, found, strict=True))


@pytest.mark.parametrize("kind", ["sq8", "ivf"])
def test_an_index_is_filled_part_by_part_as_at_once(kind: ApproximateKind, tmp_path: Path) -> None:
    """A catalogue of millions would be searched otherwise than the same cards in memory."""
    rows = padded(rows_of())
    ranges = np.stack([rows.min(axis=0), np.ptp(rows, axis=0)])
    index = trained_index(kind, ranges, rows, CELLS)
    fill_index(kind, index, lambda: (rows[part] for part in chunks(N, 70)))
    expected = coded(kind).arrays
    for spill in (None, tmp_path):
        arrays = Codes.from_index(kind, index, spill).arrays
        assert arrays.keys() == expected.keys()
        for name, array in expected.items():
            np.testing.assert_array_equal(np.asarray(arrays[name]), array)
    assert len(list(tmp_path.iterdir())) == (kind == "ivf"), "codes of cells are in a file"


@pytest.mark.parametrize("kind", KINDS)
def test_arrays_make_the_same_index_again(kind: ApproximateKind) -> None:
    codes, queries, effort = coded(kind), rows_of(1, 50), Effort(1, 0.1, 20)
    again = Codes.from_arrays(kind, codes.arrays)
    np.testing.assert_array_equal(
        codes.search(queries, 10, effort), again.search(queries, 10, effort)
    )
    shapes = array_shapes(kind, DIM, N, CELLS, len(codes.arrays.get("links", ())))
    assert {n: (a.dtype.name, a.shape) for n, a in codes.arrays.items()} == shapes
    assert len(codes) == len(again) == N


@pytest.mark.parametrize("kind", KINDS)
def test_the_codes_do_not_depend_on_the_number_of_threads(kind: ApproximateKind) -> None:
    one, two = coded(kind, threads=1), coded(kind, threads=2)
    for name, array in one.arrays.items():
        np.testing.assert_array_equal(array, two.arrays[name])


@pytest.mark.parametrize("kind", KINDS)
def test_a_query_finds_alone_what_it_finds_in_a_batch(kind: ApproximateKind) -> None:
    codes, queries, effort = coded(kind), rows_of(1, 64), Effort(1, 0.1, 20)
    batch = codes.search(queries, 10, effort)
    alone = np.concatenate([codes.search(queries[[i]], 10, effort) for i in range(64)])
    np.testing.assert_array_equal(batch, alone)


@pytest.mark.parametrize("kind", KINDS)
def test_only_rows_that_are_alive_are_found(kind: ApproximateKind) -> None:
    alive = np.arange(N) % 3 == 0
    found = coded(kind).search(rows_of(1, 20), 10, EVERYTHING, alive)
    assert (found >= 0).any(axis=1).all()
    assert alive[found[found >= 0]].all()


def test_a_margin_takes_in_the_cells_within_it_and_no_other() -> None:
    codes, query = coded("ivf"), rows_of(1, 1)
    sizes, numbers = codes.arrays["sizes"], codes.arrays["numbers"]
    cells = np.split(numbers, np.cumsum(sizes)[:-1])
    scores = codes.arrays["centres"][:, :DIM] @ query[0]
    for margin in (0.0, 0.1, 0.3):
        near = np.flatnonzero(scores >= scores.max() - margin)
        found = codes.search(query, N, Effort(margin=margin))[0]
        assert set(found[found >= 0]) == {row for cell in near for row in cells[cell]}


def change(codes: Codes, name: str, edit: Any) -> dict[str, np.ndarray]:
    array = codes.arrays[name].copy()
    edit(array)
    return {**codes.arrays, name: array}


def put(place: Any, value: Any) -> Any:
    return lambda array: array.__setitem__(place, value)


@pytest.mark.parametrize(
    ("kind", "name", "edit"),
    [
        ("sq8", "ranges", put((0, 3), np.nan)),
        ("sq8", "ranges", put((1, 3), np.inf)),
        ("sq8", "ranges", put((1, 3), -1.0)),
        ("ivf", "centres", put((2, 3), np.nan)),
        ("ivf", "sizes", put(0, -1)),
        ("ivf", "sizes", put(0, 2**62)),
        ("ivf", "sizes", put(0, 0)),
        ("ivf", "numbers", put(0, N)),
        ("ivf", "numbers", put(0, -1)),
        ("ivf", "numbers", lambda numbers: put(0, numbers[1])(numbers)),
        ("hnsw", "levels", put(0, 0)),
        ("hnsw", "levels", put(0, 2**30)),
        ("hnsw", "levels", lambda levels: put(0, levels[0] + 1)(levels)),
        ("hnsw", "links", put(0, N)),
        ("hnsw", "links", put(0, -2)),
    ],
)
def test_damaged_arrays_are_refused(kind: ApproximateKind, name: str, edit: Any) -> None:
    codes = coded(kind)
    with pytest.raises(ValueError, match=r"its|a row"):
        Codes.from_arrays(kind, change(codes, name, edit))


def test_a_link_to_a_row_without_that_level_is_refused() -> None:
    # FAISS would read the links of another row, or beyond the last.
    codes = coded("hnsw")
    levels, links = codes.arrays["levels"], codes.arrays["links"].copy()
    high = int(levels.argmax())
    assert levels[high] > 1
    start = int(sum(32 + 16 * (level - 1) for level in levels[:high]))
    links[start + 32] = int(np.flatnonzero(levels == 1)[-1])
    with pytest.raises(ValueError, match="no such level"):
        Codes.from_arrays("hnsw", {**codes.arrays, "links": links})


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(KINDS), st.data())
def test_any_damage_is_refused_or_harmless(kind: ApproximateKind, data: st.DataObject) -> None:
    codes = CODED[kind]
    name = data.draw(st.sampled_from(sorted(codes.arrays)))
    array = codes.arrays[name].copy()
    octets = array.reshape(-1).view(np.uint8)
    for place in data.draw(st.lists(st.integers(0, len(octets) - 1), min_size=1, max_size=5)):
        octets[place] = data.draw(st.integers(0, 255))
    try:
        again = Codes.from_arrays(kind, {**codes.arrays, name: array})
    except ValueError:
        return
    found = again.search(rows_of(1, 5), 10, EVERYTHING)
    assert ((found >= -1) & (found < N)).all()


CODED = {kind: coded(kind) for kind in KINDS}
