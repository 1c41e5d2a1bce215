"""Writing the rows of an index into a table of a store, as a part of its next version.

What is written takes effect when the manifest that names the table and its number of rows is
renamed; a writer that dies before leaves rows that no reader looks at, and that the next deletes.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from prodcat_index.errors import StoreError
from prodcat_index.index.folder import OpenIndex
from prodcat_index.index.fusion import fuse_cards
from prodcat_index.index.manifest import Manifest, StoreRecord
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.quantized import Effort
from prodcat_index.index.rows import Rows
from prodcat_index.index.store_search import StoreSearcher, choose_effort
from prodcat_index.index.stored_rows import Layout
from prodcat_index.index.stores import ROWS_AT_ONCE, StoreAddress, StoreTable, table_of
from prodcat_index.types import MISSING, chunks

if TYPE_CHECKING:
    from prodcat_index.index.transaction import Transaction


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

        It cannot be if any row of a block was made anew, if the version before has later rows, as
        after a rollback, or if another has changed the table: a copy of the folder, or a writer
        that died before its manifest.
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
