"""Codes of what cards share: numbers from 0, -1 for none; and joining cards that share any."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from prodcat_index.types import MISSING, BoolArray, Int64Array

# A product with many variants has one category, but for a wrong label here and there.
PLACEHOLDER_CARDS = 10
PLACEHOLDER_SHARE = 0.8


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
    import pandas as pd

    by_id = np.argsort(np.array(ids, dtype=object))
    ordered = np.empty(len(codes), dtype=np.int64)
    ordered[by_id] = pd.factorize(codes[by_id])[0]
    return ordered


def rows_together(codes: Int64Array) -> list[Int64Array]:
    """Return the rows, rising, of each code but -1 that several have, the lowest code first."""
    order = np.argsort(codes, kind="stable")
    order = order[codes[order] != MISSING]
    parts = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    return [rows for rows in parts if len(rows) > 1]


def components(a: Int64Array, b: Int64Array, nodes: int) -> Int64Array:
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


def without_placeholders(codes: Int64Array, categories: Int64Array) -> tuple[Int64Array, BoolArray]:
    """Return the codes without those of placeholders, and the cards that had one."""
    known = codes != MISSING
    shared = np.zeros(len(codes), dtype=bool)
    shared[known] = are_placeholders(category_counts(codes, categories))[codes[known]]
    return np.where(shared, MISSING, codes), shared


def are_placeholders(counts: Any) -> BoolArray:
    """Find the values that too many cards of several categories share; counts as (M, C)."""
    cards = counts.sum(axis=1)
    most = counts.max(axis=1).toarray().ravel()
    return (cards >= PLACEHOLDER_CARDS) & (most < PLACEHOLDER_SHARE * cards)
