"""The items of the review queue, and who holds them, in a file that processes may share."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from prodcat_index.service.review_records import (
    FIELDS,
    LEASE,
    ORDER,
    SCHEMA,
    TABLES,
    Caller,
    JournalError,
    Labels,
    QueueItem,
    UnknownError,
    read_item,
)

# Seconds to wait for another process that writes.
PATIENCE = 30.0
# Of items that no other person has: the time now, and the caller.
FREE = "(until <= ? OR (who = ? AND client = ?))"


class ItemStore:
    """The items in a file."""

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path, self.clock = path, clock
        self._file: tuple[int, int] | None = None
        self._own = threading.local()
        try:
            version = self.db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, SCHEMA):
                raise JournalError(
                    f"The review journal {path} was written by a newer version of prodcat-index; "
                    "use that one, or name another file with --state."
                )
            with self.writing() as db:
                for statement in filter(str.strip, TABLES.split(";")):
                    db.execute(statement)
                db.execute(f"PRAGMA user_version = {SCHEMA}")
            self._file = self._found()
        except sqlite3.Error as error:
            raise JournalError(
                f"The review journal {path} cannot be used ({error}); name another file with "
                "--state."
            ) from error

    @property
    def db(self) -> sqlite3.Connection:
        """The connection of this thread; sqlite3.Error if the file is there no more."""
        # A connection would go on in a removed file, and what was decided be lost with it.
        if self._file and self._found() != self._file:
            raise sqlite3.OperationalError(f"{self.path} was removed or replaced; restart")
        db: sqlite3.Connection | None = getattr(self._own, "db", None)
        if db is None:
            db = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA journal_mode = WAL")
            # A commit returns when it is on the disk.
            db.execute("PRAGMA synchronous = FULL")
            self._own.db = db
        return db

    def _found(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    @contextmanager
    def writing(self) -> Iterator[sqlite3.Connection]:
        """Make one durable change of all that is done with the connection, or none."""
        db = self.db
        db.execute("BEGIN IMMEDIATE")
        try:
            yield db
        except BaseException:
            db.execute("ROLLBACK")
            raise
        db.execute("COMMIT")

    def fill(
        self,
        name: str,
        digest: str,
        items: Sequence[QueueItem],
        *,
        about: Any = None,
        reopened_from: int = 0,
    ) -> None:
        """Let a source have these items; open ones that it has no longer are gone."""
        # A decision stays, unless an audit of an index that it is carried out in asks again.
        fields = [name for name in FIELDS if name != "content"]
        names, marks = ", ".join(fields), ", ".join("?" * len(fields))
        updates = ", ".join(f"{name} = excluded.{name}" for name in fields[1:])
        put = (
            f"INSERT INTO items ({names}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {updates}"
            ", state = CASE WHEN state = 'decided' AND NOT EXISTS (SELECT 1 FROM decisions WHERE "
            "number = items.decision AND decisions.state IN ('applied', 'stale') AND version < ?) "
            "THEN 'decided' ELSE 'open' END"
        )
        with self.writing() as db:
            db.execute(
                "UPDATE items SET state = 'gone' WHERE source = ? AND state = 'open'", (name,)
            )
            for item in items:
                db.execute(put, (*(getattr(item, name) for name in fields), reopened_from))
                content = json.dumps(item.content, ensure_ascii=False)
                db.execute("INSERT OR REPLACE INTO contents VALUES (?, ?)", (item.id, content))
            db.execute(
                "INSERT OR REPLACE INTO sources VALUES (?, ?, ?)", (name, digest, json.dumps(about))
            )

    def source(self, name: str) -> tuple[str, Any] | None:
        """Return the digest of a source and what is told about it; None where it has none."""
        row = self.db.execute("SELECT * FROM sources WHERE name = ?", (name,)).fetchone()
        return row and (row["digest"], json.loads(row["about"]))

    def open_items(self) -> list[QueueItem]:
        """Return the items that are to be decided, in their order."""
        rows = self.db.execute(f"SELECT * FROM whole WHERE state = 'open' ORDER BY {ORDER}")
        return [read_item(row) for row in rows]

    def labels(self) -> list[Labels]:
        """Return the categories of the cards of all items that are open or decided, counted."""
        rows = self.db.execute(
            "SELECT own, proposal, becomes, is_new, coalesce(decisions.state, '') = 'applied', "
            "sum(items.cards), sum(items.cards * gain) FROM items LEFT JOIN decided ON "
            "decided.decision = items.decision AND decided.item = items.id LEFT JOIN decisions "
            "ON number = items.decision WHERE items.state IN ('open', 'decided') "
            "GROUP BY 1, 2, 3, 4, 5"
        )
        return [Labels(*row) for row in rows]

    def item(self, id: str) -> QueueItem:
        """Return an item; raise UnknownError if there is none."""
        return read_item(self._row(id))

    def drop(self, ids: Iterable[str]) -> None:
        """Note that open items need no decision any more."""
        with self.writing() as db:
            db.executemany(
                "UPDATE items SET state = 'gone' WHERE id = ? AND state = 'open'",
                [(id,) for id in ids],
            )

    def lease(self, caller: Caller, limit: int, skip: Sequence[str] = ()) -> list[QueueItem]:
        """Hand out open items: those that the caller has, free ones, and skipped ones."""
        now, rows = self.clock(), list[sqlite3.Row]()
        skipped = (
            "(SELECT item FROM decided JOIN decisions ON number = decision WHERE "
            "decisions.state = 'skipped' AND decisions.who = ?)"
        )
        with self.writing() as db:
            for chosen, values in (
                ("until > ? AND who = ? AND client = ? AND since > 0", (now, *caller)),
                (f"{FREE} AND id NOT IN {skipped}", (now, *caller, caller.who)),
                (f"{FREE} AND id IN {skipped}", (now, *caller, caller.who)),
            ):
                if len(rows) < limit:
                    out = json.dumps([*skip, *(row["id"] for row in rows)])
                    rows += db.execute(
                        f"SELECT * FROM whole WHERE state = 'open' AND {chosen} AND id NOT IN "
                        f"(SELECT value FROM json_each(?)) ORDER BY {ORDER} LIMIT ?",
                        (*values, out, limit - len(rows)),
                    ).fetchall()
            self._hold(caller, rows, is_shown=True)
        return [read_item(row) for row in rows]

    def lease_similar(self, caller: Caller, id: str, limit: int) -> list[QueueItem]:
        """Hand out the open items of an item's cluster that nobody else has, near first."""
        now = self.clock()
        with self.writing() as db:
            item = self._row(id)
            rows = db.execute(
                "SELECT * FROM whole WHERE cluster = ? AND cluster != '' AND state = 'open' AND "
                f"id != ? AND {FREE} ORDER BY abs(place - ?), id LIMIT ?",
                (item["cluster"], id, now, *caller, item["place"], limit),
            ).fetchall()
            # What is only looked at beside another item does not come first.
            self._hold(caller, rows, is_shown=False)
        return [read_item(row) for row in rows]

    def similar(self, caller: Caller, item: QueueItem) -> int:
        """Count the other open items of an item's cluster that no other person has."""
        found = self.db.execute(
            "SELECT count(*) FROM items WHERE cluster = ? AND cluster != '' AND state = 'open' AND "
            f"id != ? AND {FREE}",
            (item.cluster, item.id, self.clock(), *caller),
        ).fetchone()
        return int(found[0])

    def held(self, caller: Caller) -> set[str]:
        """Return the open items that a caller holds."""
        rows = self.db.execute(
            "SELECT id FROM items WHERE state = 'open' AND who = ? AND client = ? AND until > ?",
            (*caller, self.clock()),
        )
        return {id for (id,) in rows}

    def _row(self, id: str) -> sqlite3.Row:
        found = self.db.execute("SELECT * FROM whole WHERE id = ?", (id,))
        if (row := found.fetchone()) is None:
            raise UnknownError(f"There is no item {id!r} in the review queue.")
        return row

    def _free(self, caller: Caller, ids: Sequence[str]) -> list[sqlite3.Row]:
        rows = self.db.execute(
            "SELECT * FROM whole WHERE id IN (SELECT value FROM json_each(?)) AND state = 'open' "
            f"AND {FREE} ORDER BY {ORDER}",
            (json.dumps(ids), self.clock(), *caller),
        )
        return rows.fetchall()

    def _hold(self, caller: Caller, rows: Iterable[sqlite3.Row], *, is_shown: bool) -> None:
        """Give items to a caller, who has looked at those that they had since they got them."""
        now = self.clock()
        since = now if is_shown else 0.0
        self.db.executemany(
            "UPDATE items SET since = CASE WHEN who IS ? AND client IS ? AND until > ? AND since "
            "THEN since ELSE ? END, who = ?, client = ?, until = ? WHERE id = ?",
            [(*caller, now, since, *caller, now + LEASE, row["id"]) for row in rows],
        )
