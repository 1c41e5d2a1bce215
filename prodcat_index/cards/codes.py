"""Numbers that stand for equal values, and joining rows by them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.types import Int64Array

NO_CODE = -1


def encode(values: Sequence[str]) -> Int64Array:
    """Give numbers to values, in their sorted order; -1 for the empty string."""
    code = {value: number for number, value in enumerate(sorted(set(values) - {""}))}
    return np.array([code.get(value, NO_CODE) for value in values], dtype=np.int64)


def join_codes(rules: Sequence[Int64Array]) -> Int64Array:
    """Join rows that have a code in common under any rule, transitively."""
    rows, nodes, first = [], [], len(rules[0])
    for codes in rules:
        told = np.flatnonzero(codes >= 0)
        rows.append(told)
        nodes.append(first + codes[told])
        first += int(codes.max(initial=NO_CODE)) + 1
    return components(np.concatenate(rows), np.concatenate(nodes), first)[: len(rules[0])]


def order_codes(codes: Int64Array, ids: Sequence[str]) -> Int64Array:
    """Give numbers from 0 to groups, in the order of their smallest ids."""
    by_id = np.array(sorted(range(len(ids)), key=ids.__getitem__), dtype=np.int64)
    _, first, inverse = np.unique(codes[by_id], return_index=True, return_inverse=True)
    rank = np.argsort(np.argsort(first))
    ordered = np.empty(len(codes), dtype=np.int64)
    ordered[by_id] = rank[inverse]
    return ordered


def components(a: npt.NDArray[Any], b: npt.NDArray[Any], nodes: int) -> Int64Array:
    """Find the connected components of a graph."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(a), dtype=np.int8), (a, b)), shape=(nodes, nodes))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def category_counts(codes: Int64Array, categories: Int64Array) -> Any:
    """Count the labelled cards of each value in each category."""
    from scipy.sparse import coo_array

    known = (codes >= 0) & (categories >= 0)
    shape = int(codes.max(initial=NO_CODE)) + 1, max(1, int(categories.max(initial=NO_CODE)) + 1)
    ones = np.ones(int(known.sum()), dtype=np.int64)
    return coo_array((ones, (codes[known], categories[known])), shape=shape).tocsr()
