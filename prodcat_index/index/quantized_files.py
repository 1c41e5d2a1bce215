"""The codes of an approximate index to files and back, as plain arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from prodcat_index.index.approximate import ApproximateSearcher
from prodcat_index.index.folder import OpenIndex
from prodcat_index.index.manifest import CodesRecord, SearchRecord
from prodcat_index.index.quantized import Codes, Effort, are_distinct, array_shapes
from prodcat_index.types import MISSING, BoolArray, RowsLike

if TYPE_CHECKING:
    from prodcat_index.index.transaction import Transaction


def write_codes(
    searcher: ApproximateSearcher,
    blocks: Sequence[str],
    kept: Sequence[str],
    transaction: Transaction,
    stem: str,
) -> SearchRecord:
    """Write a searcher of some blocks; its codes only if they are not in files that are kept."""
    codes = searcher.codes
    assert isinstance(codes, Codes), "those of a store are not written to files"
    if kept:
        paths = dict(zip(sorted(codes.arrays), kept, strict=True))
    else:
        paths = {
            name: transaction.write(f"{stem}.{name}.npy", array)
            for name, array in codes.arrays.items()
        }
    m, n = len(codes), len(searcher.present)
    cards = None
    if m != n or not np.array_equal(searcher.cards, np.arange(n)):
        cards = transaction.write(f"{stem}.cards.npy", searcher.cards)
    record = CodesRecord(
        kind=codes.kind,
        size=m,
        cells=len(codes.arrays.get("centres", ())),
        links=len(codes.arrays.get("links", ())),
        files=paths,
        cards=cards,
        **vars(searcher.effort),
    )
    return SearchRecord(codes.kind, searcher.dim, tuple(blocks), codes=record)


def read_codes(
    index: OpenIndex, search: SearchRecord, blocks: Sequence[RowsLike], present: BoolArray
) -> ApproximateSearcher:
    """Open the searcher of some blocks, of which N cards have which: (N, blocks)."""
    record = search.codes
    assert record is not None, "there are codes"
    shapes = array_shapes(record.kind, search.dim, record.size, record.cells, record.links)
    arrays = {
        name: index.array(record.files[name], dtype, shape)
        for name, (dtype, shape) in shapes.items()
    }
    try:
        codes = Codes.from_arrays(record.kind, arrays)
    except ValueError as error:
        raise index.damaged(record.files["codes"], str(error)) from error
    index.remember(codes, *(record.files[name] for name in sorted(arrays)))
    cards = np.arange(record.size)
    if record.cards:
        cards = index.array(record.cards, "int64", (record.size,))
        if not are_distinct(cards[cards != MISSING], len(present)):
            raise index.damaged(record.cards, "it names cards that are not there, or one twice")
    elif record.size != len(present):
        raise index.damaged(record.files["codes"], "there are more or fewer codes than cards")
    effort = Effort(record.fetch, record.margin, record.walk, record.recall, record.compared)
    return ApproximateSearcher(codes, cards, blocks, present, effort)
