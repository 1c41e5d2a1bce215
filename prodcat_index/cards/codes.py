"""Codes: numbers that stand for equal values, and joining rows that have one in common."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.types import MISSING, Int64Array


def encode(values: Sequence[str]) -> Int64Array:
    """Return the number of each value in sorted order, -1 for the empty one; int64, (N,)."""
    code = {value: number for number, value in enumerate(sorted(set(values) - {""}))}
    return np.array([code.get(value, MISSING) for value in values], dtype=np.int64)


def join_codes(rules: Sequence[Int64Array]) -> Int64Array:
    """Join N rows that have a code in common under any rule, transitively; int64, (N,)."""
    # One node a row, and after them one a code of each rule.
    rows, nodes, first = [], [], len(rules[0])
    for codes in rules:
        known = np.flatnonzero(codes != MISSING)
        rows.append(known)
        nodes.append(first + codes[known])
        first += int(codes.max(initial=MISSING)) + 1
    return components(np.concatenate(rows), np.concatenate(nodes), first)[: len(rules[0])]


def order_codes(codes: Int64Array, ids: Sequence[str]) -> Int64Array:
    """Renumber groups from 0 in the order of their smallest ids, whatever the order of rows."""
    by_id = np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.int64)
    _, first, inverse = np.unique(codes[by_id], return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    ordered = np.empty(len(codes), dtype=np.int64)
    ordered[by_id] = rank[inverse]
    return ordered


def components(a: npt.NDArray[Any], b: npt.NDArray[Any], nodes: int) -> Int64Array:
    """Return the connected component of each node of a graph with the edges a-b."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(a), dtype=np.int8), (a, b)), shape=(nodes, nodes))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def category_counts(codes: Int64Array, categories: Int64Array) -> Any:
    """Count the labelled cards of each code in each category: a sparse int64 matrix."""
    from scipy.sparse import coo_array

    known = (codes >= 0) & (categories >= 0)
    shape = int(codes.max(initial=MISSING)) + 1, max(1, int(categories.max(initial=MISSING)) + 1)
    ones = np.ones(int(known.sum()), dtype=np.int64)
    return coo_array((ones, (codes[known], categories[known])), shape=shape).tocsr()
