"""FAISS indexes of 8 bits a value as plain arrays, which are checked before FAISS sees them.

FAISS believes what it reads in a file of its own, and a wrong number in one crashes the process.
Rows are padded to a length that its fastest code reads.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.index.cells import find_centres, nearest_centres
from prodcat_index.index.kinds import ApproximateKind
from prodcat_index.index.rows import FileRows
from prodcat_index.index.searchers import SPARE, padded, padded_length
from prodcat_index.types import MISSING, BoolArray, Float32Array, Int64Array

# Cells whose centres are ranked first; more where these are all near.
FEW_CELLS = 64
LINKS = 16
CONSTRUCTION_EFFORT = 100

Arrays = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Effort:
    """How widely a query is searched for, chosen at build time for a recall."""

    fetch: int = 1  # candidates for each neighbour that is wanted
    margin: float = 0.0  # ivf: cells are compared whose centre is less near than the best by this
    walk: int = 0  # hnsw: rows that a walk keeps
    recall: float = 1.0  # of the nearest 10 and 30, under whichever weights it is lowest
    # ivf: share of the codes that a query was compared with on average, under all of the weights.
    compared: float | None = None


@dataclass(frozen=True, eq=False)
class Codes:
    """An index over m rows of d columns.

    Its arrays are ``codes``, uint8 (m, d), within ``ranges``, float32 (2, d): the lowest value of
    a column and its width. Of kind ``ivf``, codes lie cell by cell: ``centres``, float32
    (cells, d), ``sizes``, int64 (cells,), and ``numbers``, int64 (m,), of the rows. Of kind
    ``hnsw``: the ``levels``, int32 (m,), on which a row has links, and their ``links``, int32, row
    by row and level by level, -1 where there is none.
    """

    kind: ApproximateKind
    arrays: Arrays = field(repr=False)

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.arrays["codes"])

    @classmethod
    def from_arrays(cls, kind: ApproximateKind, arrays: Arrays) -> Codes:
        """Take arrays; raise ValueError if they do not fit together."""
        ranges = arrays["ranges"]
        if not (np.isfinite(ranges).all() and (ranges[1] >= 0).all()):
            raise ValueError("its ranges are no numbers")
        if not np.isfinite(arrays.get("centres", ranges)).all():
            raise ValueError("its centres are no numbers")
        codes = cls(kind, arrays)
        if kind == "ivf":
            _check_cells(arrays)
        if kind == "hnsw":
            _ = codes.faiss_index  # A graph is checked by what FAISS knows of levels.
        return codes

    @cached_property
    def faiss_index(self) -> Any:
        """The index of FAISS, into which the arrays are copied when they are first searched."""
        index = _empty(self.kind, self.arrays["ranges"], self.arrays.get("centres"))
        if self.kind == "ivf":
            _fill_cells(index, self.arrays)
        else:
            _flat_part(index).add_sa_codes(np.ascontiguousarray(self.arrays["codes"]))
        if self.kind == "hnsw":
            _link(index, self.arrays)
        index.ntotal = len(self)
        return index

    @classmethod
    def from_index(cls, kind: ApproximateKind, index: Any, spill: Path | None = None) -> Codes:
        """Take the arrays out of a FAISS index.

        With `spill`, a folder, the codes of cells are written into a file there, and neither they
        nor the index stay in memory.
        """
        faiss = _faiss()

        m, d = index.ntotal, index.d
        flat = _flat_part(index)
        ranges = faiss.vector_to_array(flat.sq.trained).reshape(2, d)
        arrays: dict[str, Any] = {"ranges": ranges}
        if kind == "ivf":
            arrays |= _cells_of(index, spill)
        else:
            arrays["codes"] = faiss.vector_to_array(flat.codes).reshape(m, d)
        if kind == "hnsw":
            arrays["levels"] = faiss.vector_to_array(index.hnsw.levels)
            arrays["links"] = faiss.vector_to_array(index.hnsw.neighbors)
        codes = cls(kind, arrays)
        if spill is None:
            vars(codes)["faiss_index"] = index
        return codes

    def search(
        self, queries: Float32Array, k: int, effort: Effort, alive: BoolArray | None = None
    ) -> Int64Array:
        """Return numbers of rows, (n, m), among those alive, (m,); MISSING after the last."""
        return search_index(self.kind, self.faiss_index, queries, k, effort, alive)


def array_shapes(
    kind: ApproximateKind, dim: int, size: int, cells: int, links: int
) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Return the dtype and the shape of each array of codes, by the length of a fused row."""
    width = padded_length(dim)
    shapes: dict[str, tuple[str, tuple[int, ...]]]
    shapes = {"codes": ("uint8", (size, width)), "ranges": ("float32", (2, width))}
    if kind == "ivf":
        shapes["centres"] = "float32", (cells, width)
        shapes |= {"sizes": ("int64", (cells,)), "numbers": ("int64", (size,))}
    if kind == "hnsw":
        shapes |= {"levels": ("int32", (size,)), "links": ("int32", (links,))}
    return shapes


def _faiss() -> Any:
    """Import FAISS, whose stubs lack what is used of it here."""
    import faiss

    return faiss


def trained_index(
    kind: ApproximateKind, ranges: Float32Array, sample: Float32Array, cells: int
) -> Any:
    """Return an empty FAISS index for rows within ranges, (2, d), with cells about a sample."""
    return _empty(kind, ranges, find_centres(sample, cells) if kind == "ivf" else None)


def add_rows(kind: ApproximateKind, index: Any, rows: Float32Array) -> None:
    """Add padded rows to a FAISS index, in the same way whatever the number of threads."""
    faiss = _faiss()

    if kind == "ivf":
        # Cells are searched by their score, and hold what is nearest to their centres.
        cells = nearest_centres(rows, index.quantizer.reconstruct_n(0, index.nlist))
        index.add_core(len(rows), faiss.swig_ptr(rows), None, faiss.swig_ptr(cells))
        return
    threads = faiss.omp_get_max_threads()
    try:
        if kind == "hnsw":
            # By several threads it would be another graph each time.
            faiss.omp_set_num_threads(1)
        index.add(rows)
    finally:
        faiss.omp_set_num_threads(threads)


def fill_index(
    kind: ApproximateKind, index: Any, parts: Callable[[], Iterable[Float32Array]]
) -> None:
    """Add padded rows to an empty FAISS index as :func:`add_rows` does, and reserve no more room.

    `parts` yields the rows, and does so twice for cells.
    """
    if kind != "ivf":
        for rows in parts():
            add_rows(kind, index, rows)
        return
    faiss = _faiss()

    centres = index.quantizer.reconstruct_n(0, index.nlist)
    found = [nearest_centres(rows, centres).astype(np.int32) for rows in parts()]
    cells = np.concatenate([np.empty(0, dtype=np.int32), *found])
    sizes, lists, width = np.bincount(cells, minlength=index.nlist), index.invlists, index.code_size
    memory: list[tuple[npt.NDArray[np.uint8], Int64Array]] = []
    for cell, size in enumerate(sizes.tolist()):
        lists.resize(cell, size)
        codes = faiss.rev_swig_ptr(lists.get_codes(cell), size * width) if size else ()
        numbers = faiss.rev_swig_ptr(lists.get_ids(cell), size) if size else ()
        memory.append((np.asarray(codes).reshape(-1, width), np.asarray(numbers)))
    filled = np.zeros(index.nlist, dtype=np.int64)
    start = 0
    for rows in parts():
        own = cells[start : start + len(rows)]
        coded = index.sq.compute_codes(rows)
        order = np.argsort(own, kind="stable")
        used, firsts = np.unique(own[order], return_index=True)
        for cell, group in zip(used.tolist(), np.split(order, firsts[1:]), strict=True):
            codes, numbers = memory[cell]
            place = slice(filled[cell], filled[cell] + len(group))
            codes[place], numbers[place] = coded[group], start + group
            filled[cell] += len(group)
        start += len(rows)
    index.ntotal = start


def search_index(
    kind: ApproximateKind,
    index: Any,
    queries: Float32Array,
    k: int,
    effort: Effort,
    alive: BoolArray | None = None,
) -> Int64Array:
    """Search a FAISS index as :meth:`Codes.search` does."""
    faiss = _faiss()

    fetch = min(effort.fetch * k + SPARE, index.ntotal)
    queries = padded(queries, index.d)
    # Held here, for FAISS only points to it.
    selector = None
    if alive is not None:
        selector = faiss.IDSelectorBitmap(np.packbits(alive, bitorder="little"))
    if kind == "ivf":
        scores, cells = _near_cells(index, queries, effort.margin)
        asked = faiss.SearchParametersIVF(nprobe=cells.shape[1], sel=selector)
        rows = np.empty((len(queries), fetch), dtype=np.int64)
        found = np.empty((len(queries), fetch), dtype=np.float32)
        given = map(faiss.swig_ptr, (cells, scores, found, rows))
        # The method of Python takes no parameters.
        index.search_preassigned_c(
            len(queries), faiss.swig_ptr(queries), fetch, *given, False, asked
        )
    elif kind == "hnsw":
        asked = faiss.SearchParametersHNSW(efSearch=max(fetch, effort.walk), sel=selector)
        _, rows = index.search(queries, fetch, params=asked)
    else:
        _, rows = index.search(queries, fetch, params=faiss.SearchParameters(sel=selector))
    numbers: Int64Array = rows
    return numbers


def _near_cells(
    index: Any, queries: Float32Array, margin: float
) -> tuple[Float32Array, Int64Array]:
    """Return the cells whose centre is within a margin of the best, best first, then MISSING."""
    count = min(FEW_CELLS, index.nlist)
    while True:
        scores, cells = index.quantizer.search(queries, count)
        is_near = scores >= scores[:, :1] - np.float32(margin)
        if count == index.nlist or not is_near[:, -1].any():
            break
        count = min(4 * count, index.nlist)
    used = max(1, int(is_near.sum(axis=1).max(initial=0)))
    cells = np.where(is_near, cells, MISSING)[:, :used]
    return np.ascontiguousarray(scores[:, :used]), np.ascontiguousarray(cells)


def centre_gaps(index: Any, queries: Float32Array) -> Float32Array:
    """Return by how much each centre is less near to a query than the best: (n, cells)."""
    scores, cells = index.quantizer.search(padded(queries, index.d), index.nlist)
    gaps: Float32Array = np.empty_like(scores)
    np.put_along_axis(gaps, cells, scores[:, :1] - scores, axis=1)
    return gaps


def cells_of_rows(index: Any) -> Int64Array:
    """Return the cell of each row of an inverted file: (m,)."""
    faiss = _faiss()

    lists, cells = index.invlists, np.empty(index.ntotal, dtype=np.int64)
    for cell in range(index.nlist):
        if size := lists.list_size(cell):
            cells[faiss.rev_swig_ptr(lists.get_ids(cell), size)] = cell
    return cells


def _empty(kind: ApproximateKind, ranges: Float32Array, centres: Float32Array | None) -> Any:
    faiss = _faiss()

    d, bits, metric = ranges.shape[1], faiss.ScalarQuantizer.QT_8bit, faiss.METRIC_INNER_PRODUCT
    if centres is not None:
        index = faiss.IndexIVFScalarQuantizer(
            _flat_index(centres, metric), d, len(centres), bits, metric, False
        )
    elif kind == "hnsw":
        index = faiss.IndexHNSWSQ(d, bits, LINKS, metric)
        index.hnsw.efConstruction = CONSTRUCTION_EFFORT
    else:
        index = faiss.IndexScalarQuantizer(d, bits, metric)
    flat = _flat_part(index)
    faiss.copy_array_to_vector(np.ascontiguousarray(ranges, np.float32).ravel(), flat.sq.trained)
    flat.is_trained = index.is_trained = True
    return index


def _flat_part(index: Any) -> Any:
    faiss = _faiss()

    return faiss.downcast_index(index.storage) if hasattr(index, "storage") else index


def _flat_index(centres: Float32Array, metric: int) -> Any:
    """Index centres so that they are compared in one way, alone and in a batch.

    FAISS multiplies float32 matrices for many queries and not for few: with other roundings.
    """
    faiss = _faiss()

    index = faiss.IndexScalarQuantizer(centres.shape[1], faiss.ScalarQuantizer.QT_fp16, metric)
    index.add(np.ascontiguousarray(centres))
    return index


def _cells_of(index: Any, spill: Path | None) -> dict[str, Any]:
    """Return the cells of an inverted file."""
    faiss = _faiss()

    lists, width = index.invlists, index.code_size
    sizes = np.array([lists.list_size(cell) for cell in range(index.nlist)], dtype=np.int64)
    numbers = np.empty(index.ntotal, dtype=np.int64)
    codes: Any = np.empty((0 if spill else index.ntotal, width), dtype=np.uint8)
    with tempfile.NamedTemporaryFile(dir=spill, delete=False) if spill else nullcontext() as file:
        for cell, (start, size) in enumerate(zip(np.cumsum(sizes) - sizes, sizes, strict=True)):
            if size:
                part = slice(int(start), int(start + size))
                coded = faiss.rev_swig_ptr(lists.get_codes(cell), int(size) * width)
                numbers[part] = faiss.rev_swig_ptr(lists.get_ids(cell), int(size))
                if file:
                    file.write(coded.data)
                else:
                    codes[part] = coded.reshape(-1, width)
    if file:
        codes = FileRows(Path(file.name), (index.ntotal, width), "uint8")
    centres = index.quantizer.reconstruct_n(0, index.nlist)
    return {"codes": codes, "centres": centres, "sizes": sizes, "numbers": numbers}


def are_distinct(numbers: Int64Array, end: int) -> bool:
    """Check whether numbers are below an end, none negative, and none there twice."""
    if len(numbers) and not 0 <= numbers.min() <= numbers.max() < end:
        return False
    there = np.zeros(end, dtype=bool)
    there[numbers] = True
    return np.count_nonzero(there) == len(numbers)


def _check_cells(arrays: Arrays) -> None:
    sizes, numbers, n = arrays["sizes"], arrays["numbers"], len(arrays["codes"])
    # First that none is negative or huge: the sum may overflow.
    if not (((sizes >= 0) & (sizes <= n)).all() and sizes.sum() == n):
        raise ValueError("its cells do not hold the rows")
    if not are_distinct(numbers, n):
        raise ValueError("a row is in no cell, or in two")


def _fill_cells(index: Any, arrays: Arrays) -> None:
    faiss = _faiss()

    sizes, numbers, codes = (arrays[name] for name in ("sizes", "numbers", "codes"))
    codes, numbers = np.ascontiguousarray(codes), np.ascontiguousarray(numbers)
    for cell, (start, size) in enumerate(zip(np.cumsum(sizes) - sizes, sizes, strict=True)):
        if size:
            own = faiss.swig_ptr(numbers[start : start + size])
            coded = faiss.swig_ptr(codes[start : start + size])
            index.invlists.add_entries(cell, int(size), own, coded)


def _link(index: Any, arrays: Arrays) -> None:
    """Give a graph its links; raise ValueError if one is invalid."""
    faiss = _faiss()

    graph, levels, links = index.hnsw, arrays["levels"], arrays["links"]
    # Links of a row up to a level, of FAISS itself: twice as many on the lowest level.
    upto = faiss.vector_to_array(graph.cum_nneighbor_per_level).astype(np.int64)
    if not ((levels >= 1) & (levels < len(upto))).all():
        raise ValueError("its graph has levels that there cannot be")
    ends = np.cumsum(upto[levels])
    if (ends[-1] if len(ends) else 0) != len(links):
        raise ValueError("its graph has more or fewer links than its levels")
    if not ((links >= -1) & (links < len(levels))).all():
        raise ValueError("its graph leads to rows that are not there")
    starts = ends - upto[levels]
    for level in range(1, int(levels.max(initial=1))):
        there = np.flatnonzero(levels > level)
        own = links[starts[there, None] + np.arange(upto[level], upto[level + 1])]
        if not (levels[own[own >= 0]] > level).all():
            raise ValueError("its graph leads to rows that have no such level")
    offsets = np.concatenate([[0], ends]).astype(np.uint64)
    faiss.copy_array_to_vector(offsets, graph.offsets)
    faiss.copy_array_to_vector(np.ascontiguousarray(levels), graph.levels)
    faiss.copy_array_to_vector(np.ascontiguousarray(links), graph.neighbors)
    # Any row of the highest level will do to begin at.
    graph.entry_point = int(levels.argmax()) if len(levels) else -1
    graph.max_level = int(levels.max(initial=0)) - 1
