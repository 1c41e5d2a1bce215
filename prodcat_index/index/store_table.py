"""The table of a store as a part of an index: its rows are written with a version, and searched.

What is written takes effect when the manifest that names the table and its number of rows is
renamed; a writer that dies before leaves rows that no reader looks at, and that the next deletes.
A search proposes candidates, of which exact similarities decide, as everywhere.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodcat_index.errors import StoreError
from prodcat_index.index.approximate import ApproximateSearcher, fused_parts
from prodcat_index.index.effort import KEPT, scan_together, share_found
from prodcat_index.index.folder import OpenIndex
from prodcat_index.index.fusion import effective_weights, fuse_cards, fuse_queries
from prodcat_index.index.kinds import FAR_RECALL, HELD_OUT
from prodcat_index.index.learned import as_queries
from prodcat_index.index.manifest import Manifest, StoreRecord
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.quantized import Effort
from prodcat_index.index.rows import Rows
from prodcat_index.index.searchers import SPARE, fetch
from prodcat_index.index.stored_rows import Layout
from prodcat_index.index.stores import ROWS_AT_ONCE, StoreAddress, StoreTable, table_of
from prodcat_index.types import (
    MISSING,
    BoolArray,
    Float32Array,
    Float64Array,
    Int64Array,
    chunks,
    evenly_spaced,
)

if TYPE_CHECKING:
    from prodcat_index.index.transaction import Transaction

# Neighbours whose recall is measured.
RECALL_AT = 20
SHORTEST_WALK = 32


@dataclass(frozen=True)
class TableWriter:
    """What writes the rows of a version into a table: the one of now, or a new one."""

    table: StoreTable
    owner: int
    record: StoreRecord | None  # of the table of now; None for a new one
    last_change: str = ""  # its token, as the store has it

    @classmethod
    def behind(
        cls,
        parts: IndexParts,
        layout: Layout,
        opened: OpenIndex,
        address: StoreAddress,
        previous: Manifest | None,
    ) -> TableWriter | None:
        """Write new rows behind those of the table of the current version, if that can be.

        Not if a row was made anew, if the version before has later rows, as after a rollback, or if
        the table was changed by a copy of the folder, or a writer that died before its manifest.
        """
        table, record = opened.table, opened.manifest.store
        if not (table and record) or table.address != address or not layout.before:
            return None
        if record.owner != _number(opened.folder):
            return None
        if previous and previous.store and previous.store.table == record.table:
            assert previous.stored is not None, "it has a store"
            if previous.stored.rows > table.rows:
                return None
        for block in parts.all_blocks:
            rows = block.vectors
            if not isinstance(rows, Rows) or table_of(rows.pieces[0]) is not table:
                return None
            places = rows.places
            if not np.array_equal(np.where(places < table.rows, places, MISSING), layout.kept):
                return None
        last_change = table.store.last_change(table.name) if layout.is_new.any() else ""
        if last_change not in ("", record.token):
            return None
        return cls(table, record.owner, record, last_change)

    @classmethod
    def anew(
        cls, parts: IndexParts, address: StoreAddress, transaction: Transaction
    ) -> TableWriter:
        """Write all rows into a new table."""
        # Another name each time: a copy of the folder may have any other.
        owner, stem = _number(transaction.folder), f"prodcat_{secrets.token_hex(4)}"
        dim = sum(block.dim for block in parts.all_blocks) + len(parts.all_blocks)
        table = StoreTable(address, f"{stem}_{transaction.number}", 0, dim, *_scaling(parts))
        most = table.store.most_dimensions
        if dim > most:
            raise StoreError(
                f"A row of this index has {dim:,} columns, and the store {address} searches at "
                f"most {most:,}; choose encoders with shorter rows, or leave out --store."
            )
        return cls(table, owner, None)

    def write(self, parts: IndexParts, layout: Layout) -> StoreRecord:
        """Write the new rows."""
        table, token = self.table, secrets.token_hex(8)
        if self.record and not layout.is_new.any():
            return self.record
        self._put(parts, layout, token)
        if self.record:
            return replace(self.record, token=token)
        table.store.index(table.name)
        effort, far = choose_effort(parts, table)
        return StoreRecord(
            address=table.address.url,
            table=table.name,
            owner=self.owner,
            token=token,
            walk=effort.walk,
            recall=effort.recall,
            far_recall=far,
            asked=parts.asked.recall,
            scale=_scaling(parts)[0],
        )

    def _put(self, parts: IndexParts, layout: Layout, token: str) -> None:
        table, blocks, new = self.table, parts.all_blocks, np.flatnonzero(layout.is_new)
        with table.store.writing():
            if self.record:
                table.store.mark_change(table.name, self.last_change, token)
                table.store.truncate(table.name, layout.before)
            else:
                table.store.create(table.name, table.dim)
                table.store.mark_change(table.name, "", token)
            for part in chunks(len(new), ROWS_AT_ONCE):
                cards = new[part]
                present = np.stack([block.present[cards] for block in blocks], axis=1)
                rows = fuse_cards([block.vectors[cards] for block in blocks], present)
                ids = parts.catalogue.values_at("id", cards)
                table.put(layout.before + part.start, ids, rows)


def drop_tables(folder: Path, gone: Iterable[Manifest], kept: Iterable[Manifest]) -> None:
    """Drop the tables of versions that are gone, but for those that others have."""
    used = {manifest.store.table for manifest in kept if manifest.store}
    for record in {manifest.store for manifest in gone if manifest.store}:
        if record.table not in used and record.owner == _number(folder):
            # A store that is away now keeps the table; it costs space alone.
            with suppress(StoreError):
                store = StoreTable(StoreAddress(record.address), record.table, 0, 1).store
                # A copy of the folder may have gone on with it.
                if store.last_change(record.table) in ("", record.token):
                    store.drop(record.table)


def read_searcher(index: OpenIndex, parts: IndexParts) -> StoreSearcher | None:
    """Return the searcher of an index whose rows are in a store."""
    table, record = index.table, index.manifest.store
    if table is None or record is None:
        return None
    space = parts.space_of(parts.all_blocks)
    cards = np.full(table.rows, MISSING, dtype=np.int64)
    first = space.blocks[0]
    assert isinstance(first, Rows), "it was read"
    cards[first.places] = np.arange(len(first))
    effort = Effort(walk=record.walk, recall=record.recall)
    return StoreSearcher(table, cards, space.blocks, space.present, effort)


def _scaling(parts: IndexParts) -> tuple[int, int]:
    """Return what the columns of the encoders' blocks are stored times, and how many they are.

    The graph is made for all blocks alike. Where more blocks are fitted to labels than not, it
    would lead past the nearest by the encoders.
    """
    encoders = parts.encoder_blocks
    is_few = len(encoders) < len(parts.all_blocks) - len(encoders)
    return (2 if is_few else 1), sum(block.dim for block in encoders)


def _number(folder: Path) -> int:
    """Return the number of a folder, which it keeps when it is moved, and a copy has not."""
    return folder.stat().st_ino


@dataclass(frozen=True, eq=False)
class StoreSearcher(ApproximateSearcher):
    """A search of cards whose fused rows, of all blocks, lie in a table of a store.

    A number of a row is its place in the table. Cards that are not saved yet are compared here.
    """

    codes: StoreTable

    def _coded(
        self, queries: Float32Array, k: int, eligible: BoolArray | None, share: float
    ) -> Int64Array:
        """Walk through the graph for more and more rows, until enough of them are eligible."""
        table = self.codes

        def walk(asked: Float32Array, count: int) -> tuple[Float32Array, Int64Array]:
            longest = max(self.effort.walk, 2 * count)
            scores, places = table.search(asked, count, longest)
            # What lies behind the rows of this version is of later ones.
            return scores, np.where(places < len(table), places, MISSING)

        return fetch(walk, len(table), queries, k, self.cards, eligible)

    def scan(
        self, queries: Float32Array, k: int, eligible: BoolArray | None = None
    ) -> tuple[Int64Array, bool]:
        """Compare every eligible card, (N,), in the store."""
        table = self.codes
        is_compared = self.cards != MISSING
        if eligible is not None:
            is_compared &= eligible[self.cards]
        places = np.flatnonzero(is_compared)

        def compare(asked: Float32Array, count: int) -> tuple[Float32Array, Int64Array]:
            scores, found = table.search(asked, count, 1, places)
            return scores, np.where(found >= 0, np.searchsorted(places, found), MISSING)

        found = fetch(compare, len(places), queries, k, self.cards[places], None)
        return np.concatenate([found, *self._later(queries, k, eligible)], axis=1), True


def choose_effort(parts: IndexParts, table: StoreTable) -> tuple[Effort, float]:
    """Find the shortest walk that finds enough of the nearest cards of some of the cards.

    That is the recall that was asked for under the weights of votes and of a search, and at least
    0.95 under equal weights and for each block alone. Returns it with the recall under the
    weights of votes, and the lowest under others. The rows of the cards lie in the table in their
    order.
    """
    if len(parts.catalogue) <= SHORTEST_WALK:
        return Effort(walk=SHORTEST_WALK), 1.0
    blocks, space = parts.all_blocks, parts.space_of(parts.all_blocks)
    asked = evenly_spaced(len(space.present), HELD_OUT)
    vectors = [as_queries(block, asked) for block in blocks]
    expected = space.expected_similarities(vectors)
    trials = []
    for weights, least in _weights_to_measure(parts):
        shared = effective_weights(weights, space.present[asked])
        has_any = shared.any(axis=1)
        trials.append((fuse_queries(vectors, shared, expected)[has_any], asked[has_any], least))
    every = np.arange(len(space.present))
    rows = fused_parts(space.blocks, space.present, every)
    truths = scan_together(rows, [queries for queries, _, _ in trials], KEPT)
    measured = [
        (partial(_recall, table, queries, own, *truth), least)
        for (queries, own, least), truth in zip(trials, truths, strict=True)
    ]
    longest = min(table.store.most_walk, len(every))
    walk = min(SHORTEST_WALK, longest)
    while True:
        recalls: list[float] = []
        for found, least in measured:
            recalls.append(found(walk))
            if recalls[-1] < least and walk < longest:
                walk = min(2 * walk, longest)
                break
        else:
            return Effort(walk=walk, recall=recalls[0]), min(recalls[1:])


def _weights_to_measure(parts: IndexParts) -> Sequence[tuple[Float64Array, float]]:
    """Return weights, (B,), and the recall to reach under each; first those of votes."""
    blocks, least = len(parts.all_blocks), parts.asked.recall
    far = min(least, FAR_RECALL)
    return [
        (parts.weight_vector(None), least),
        (parts.weight_vector(parts.search_weights), least),
        (np.full(blocks, 1 / blocks), far),
        *((alone, far) for alone in np.eye(blocks)),
    ]


def _recall(
    table: StoreTable,
    queries: Float32Array,
    own: Int64Array,
    scores: Float32Array,
    places: Int64Array,
    walk: int,
) -> float:
    """Return which share of the nearest 20 is found, each card itself left out."""
    if not len(queries):
        return 1.0
    count = RECALL_AT + SPARE
    _, found = table.search(queries, count, max(walk, count))
    others = places != own[:, None]
    # A card that is not among its own nearest is left out in place of the last of them.
    others[others.all(axis=1), -1] = False
    shape = len(places), places.shape[1] - 1
    found = np.where(found == own[:, None], MISSING, found)
    truth = scores[others].reshape(shape), places[others].reshape(shape)
    return share_found(found, *truth, RECALL_AT)
