"""The review journal: items, who holds them, and decisions, in one SQLite file.

Whatever a call returns is on the disk: it outlives the process and the machine. Several threads and
processes may use one file.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

from prodcat_index.errors import ProdcatError

SCHEMA = 1
# Seconds that an item stays with who asked for it, and that a person is taken to be at work on it.
LEASE = 300.0
# Seconds to wait for another process that writes.
PATIENCE = 30.0

State = Literal["pending", "applying", "applied", "stale", "skipped", "undone", "reverted"]
# Of decisions that hold: their items are not asked about.
HOLDING = ("pending", "applying", "applied", "stale")
TAKEN_BACK = ("undone", "reverted")

TABLES = """
CREATE TABLE IF NOT EXISTS items (
    id TEXT PRIMARY KEY, source TEXT NOT NULL, content TEXT NOT NULL,
    own TEXT NOT NULL, proposal TEXT NOT NULL, is_new INTEGER NOT NULL,
    gain REAL NOT NULL, urgency INTEGER NOT NULL, certainty REAL NOT NULL, cards INTEGER NOT NULL,
    cluster TEXT NOT NULL, place INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'open', decision INTEGER,
    who TEXT, client TEXT, since REAL NOT NULL DEFAULT 0, until REAL NOT NULL DEFAULT 0);
CREATE INDEX IF NOT EXISTS in_order ON items
    (state, gain DESC, urgency, certainty DESC, cards DESC, place);
CREATE INDEX IF NOT EXISTS in_clusters ON items (cluster, state);
CREATE TABLE IF NOT EXISTS decisions (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,
    who TEXT NOT NULL, client TEXT NOT NULL, at REAL NOT NULL, seconds REAL NOT NULL,
    said TEXT NOT NULL, category TEXT NOT NULL, title TEXT NOT NULL, cards INTEGER NOT NULL,
    state TEXT NOT NULL, note TEXT NOT NULL DEFAULT '', version INTEGER NOT NULL DEFAULT 0,
    changed TEXT NOT NULL DEFAULT '');
CREATE INDEX IF NOT EXISTS of_callers ON decisions (who, client, number);
CREATE INDEX IF NOT EXISTS in_states ON decisions (state, number);
CREATE TABLE IF NOT EXISTS decided (
    decision INTEGER NOT NULL, item TEXT NOT NULL, becomes TEXT NOT NULL,
    PRIMARY KEY (decision, item)) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS of_items ON decided (item);
CREATE TABLE IF NOT EXISTS sources (
    name TEXT PRIMARY KEY, digest TEXT NOT NULL, about TEXT NOT NULL);
"""
ORDER = "gain DESC, urgency, certainty DESC, cards DESC, place, id"


class JournalError(ProdcatError):
    """The file of the journal is none, is of a newer version, or cannot be written."""


class TakenError(ProdcatError):
    """An item is decided, with another person, or no longer to be decided."""


class UnknownError(ProdcatError):
    """There is no such item or decision."""


class Caller(NamedTuple):
    """Who asks: the name of a token, and the tab of a browser."""

    who: str
    client: str = ""


@dataclass(frozen=True)
class QueueItem:
    """An item as it is stored; `content` says what it is about, as `review_sources` makes it.

    Attributes
    ----------
    id, source
        A name that the same question has again, and where it comes from.
    own, proposal
        Category of its cards, or the predicted one of a listing; and what to do.
    is_new
        Whether it is a listing, which is no card of the index.
    gain
        Expected gain: the probability that the category is wrong and a decision puts it right.
    urgency, certainty, cards
        What decides between items of the same gain: as in the order of an audit.
    cluster, place
        Items of one cluster have near cards and may be decided together; near places are near.
    """

    id: str
    source: str
    content: Mapping[str, Any]
    own: str
    proposal: str
    is_new: bool
    gain: float
    urgency: int
    certainty: float
    cards: int
    cluster: str = ""
    place: int = 0


FIELDS = tuple(QueueItem.__dataclass_fields__)


class Labels(NamedTuple):
    """How many cards of items have a category, and what is known of it."""

    own: str
    proposal: str
    becomes: str | None  # None where nothing is decided
    is_new: bool
    is_applied: bool
    cards: int
    wrong: float  # number that is expected to be wrong


@dataclass(frozen=True)
class Entry:
    """One decision about one item or several.

    Attributes
    ----------
    number, id
        Its number in the journal, and the name that the client gave it.
    who, client
        Name of the token, and the tab of a browser.
    at, seconds
        When it was made, in seconds since 1970, and how long the person looked.
    said, category
        The decision in words, and the category that its cards get, if any.
    title, cards
        Title of the first card, and the number of cards.
    state, note, version
        What became of it, what could not be carried out, and the version of the index that has it.
    changed
        What a revert needs: the cards as they were.
    """

    number: int
    id: str
    who: str
    client: str
    at: float
    seconds: float
    said: str
    category: str
    title: str
    cards: int
    state: State
    note: str
    version: int
    changed: Mapping[str, Any]


class ReviewJournal:
    """The journal in a file.

    Parameters
    ----------
    path
        The file; it is made where there is none.
    clock
        Returns the time in seconds since 1970.

    Raises
    ------
    JournalError
        If the file is another one, of a newer version, or cannot be written.
    """

    def __init__(self, path: Path, clock: Callable[[], float] = time.time) -> None:
        self.path, self.clock = path, clock
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
        except sqlite3.Error as error:
            raise JournalError(
                f"The review journal {path} cannot be used ({error}); name another file with "
                "--state."
            ) from error

    @property
    def db(self) -> sqlite3.Connection:
        """The connection of this thread."""
        db: sqlite3.Connection | None = getattr(self._own, "db", None)
        if db is None:
            db = sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA journal_mode = WAL")
            # A commit returns when it is on the disk.
            db.execute("PRAGMA synchronous = FULL")
            self._own.db = db
        return db

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
        """Let a source have these items; open ones that it has no longer are gone.

        What is decided stays so, but for what was carried out before the version of the index that
        `reopened_from` names: where that asks again, it is open again.
        """
        names, marks = ", ".join(FIELDS), ", ".join("?" * len(FIELDS))
        updates = ", ".join(f"{name} = excluded.{name}" for name in FIELDS[1:])
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
                stored = (_stored(getattr(item, name)) for name in FIELDS)
                db.execute(put, (*stored, reopened_from))
            db.execute(
                "INSERT OR REPLACE INTO sources VALUES (?, ?, ?)", (name, digest, json.dumps(about))
            )

    def source(self, name: str) -> tuple[str, Any] | None:
        """Return the digest of a source and what is told about it; None where it has none."""
        row = self.db.execute("SELECT * FROM sources WHERE name = ?", (name,)).fetchone()
        return row and (row["digest"], json.loads(row["about"]))

    def open_items(self) -> list[QueueItem]:
        """Return the items that are to be decided, in their order."""
        rows = self.db.execute(f"SELECT * FROM items WHERE state = 'open' ORDER BY {ORDER}")
        return [_item(row) for row in rows]

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

    def held(self, caller: Caller) -> set[str]:
        """Return the open items that a caller holds."""
        rows = self.db.execute(
            "SELECT id FROM items WHERE state = 'open' AND who = ? AND client = ? AND until > ?",
            (*caller, self.clock()),
        )
        return {id for (id,) in rows}

    def drop(self, ids: Iterable[str]) -> None:
        """Note that open items need no decision any more."""
        with self.writing() as db:
            db.executemany(
                "UPDATE items SET state = 'gone' WHERE id = ? AND state = 'open'",
                [(id,) for id in ids],
            )

    def lease(
        self, caller: Caller, limit: int, skip: Sequence[str] = (), seconds: float = LEASE
    ) -> list[QueueItem]:
        """Hand out open items: first those that the caller has, then the next that nobody has.

        What the person skipped comes last.
        """
        now = self.clock()
        with self.writing() as db:
            rows = db.execute(
                "SELECT *, (who IS ? AND client IS ? AND until > ?) AS held, EXISTS (SELECT 1 FROM "
                "decided JOIN decisions ON number = decision WHERE item = items.id AND "
                "decisions.state = 'skipped' AND decisions.who = ?) AS skipped FROM items "
                "WHERE state = 'open' AND (until <= ? OR (who = ? AND client = ?)) "
                f"AND id NOT IN (SELECT value FROM json_each(?)) ORDER BY held DESC, skipped, "
                f"{ORDER} LIMIT ?",
                (*(*caller, now, caller.who, now, *caller), *(json.dumps(list(skip)), limit)),
            ).fetchall()
            self._hold(db, caller, [row["id"] for row in rows], now, seconds)
        return [_item(row) for row in rows]

    def lease_similar(
        self, caller: Caller, id: str, limit: int, seconds: float = LEASE
    ) -> list[QueueItem]:
        """Hand out the open items of the cluster of an item that no other person has, near first.

        Raises UnknownError if there is no such item.
        """
        now = self.clock()
        with self.writing() as db:
            item = self._row(db, id)
            rows = db.execute(
                "SELECT * FROM items WHERE cluster = ? AND cluster != '' AND state = 'open' AND "
                "id != ? AND (until <= ? OR (who = ? AND client = ?)) "
                "ORDER BY abs(place - ?), id LIMIT ?",
                (item["cluster"], id, now, *caller, item["place"], limit),
            ).fetchall()
            self._hold(db, caller, [row["id"] for row in rows], now, seconds)
        return [_item(row) for row in rows]

    def similar(self, caller: Caller, item: QueueItem) -> int:
        """Count the other open items of an item's cluster that no other person has."""
        found = self.db.execute(
            "SELECT count(*) FROM items WHERE cluster = ? AND cluster != '' AND state = 'open' AND "
            "id != ? AND (until <= ? OR (who = ? AND client = ?))",
            (item.cluster, item.id, self.clock(), *caller),
        ).fetchone()
        return int(found[0])

    def item(self, id: str) -> QueueItem:
        """Return an item; raise UnknownError if there is none."""
        return _item(self._row(self.db, id))

    def _row(self, db: sqlite3.Connection, id: str) -> sqlite3.Row:
        row: sqlite3.Row | None = db.execute("SELECT * FROM items WHERE id = ?", (id,)).fetchone()
        if row is None:
            raise UnknownError(f"There is no item {id!r} in the review queue.")
        return row

    def _hold(
        self, db: sqlite3.Connection, caller: Caller, ids: Iterable[str], now: float, seconds: float
    ) -> None:
        """Give items to a caller, who looks at those that they had since they got them."""
        db.executemany(
            "UPDATE items SET since = CASE WHEN who IS ? AND client IS ? AND until > ? THEN since "
            "ELSE ? END, who = ?, client = ?, until = ? WHERE id = ?",
            [(*caller, now, now, *caller, now + seconds, id) for id in ids],
        )

    def decide(
        self,
        caller: Caller,
        id: str,
        said: str,
        category: str,
        becomes: Mapping[str, str],
        *,
        title: str = "",
    ) -> tuple[Entry, int]:
        """Write one decision about an item, and about others that are decided with it.

        Parameters
        ----------
        caller
            Who decides.
        id
            Name of the decision; one that is there already is returned as it is.
        said, category
            The decision in words, and the category that the cards get. ``"skip"`` decides nothing.
        becomes
            Item -> what its cards become. The first is the item that the caller sees; others that
            are decided, gone or with another person are left out.
        title
            Title of the first card.

        Returns
        -------
        tuple
            The entry, and the number of items.

        Raises
        ------
        TakenError
            If the first item is decided already, gone, or with another person.
        UnknownError
            If there is no such item.
        """
        now = self.clock()
        with self.writing() as db:
            done = db.execute("SELECT * FROM decisions WHERE id = ?", (id,)).fetchone()
            if done and done["who"] != caller.who:
                raise TakenError(f"The decision {id!r} is another person's; choose another name.")
            if done:
                own = "SELECT count(*) FROM decided WHERE decision = ?"
                return _entry(done), db.execute(own, (done["number"],)).fetchone()[0]
            first = self._row(db, next(iter(becomes)))
            self._check_free(db, caller, first, now)
            rows = [first, *self._free(db, caller, list(becomes)[1:], now)]
            last = db.execute(
                "SELECT max(at) FROM decisions WHERE who = ? AND client = ?", caller
            ).fetchone()[0]
            is_held = (first["who"], first["client"]) == caller
            begun = max(first["since"], last or 0.0) if is_held else now
            seconds = min(LEASE, max(0.0, now - begun))
            cards = sum(max(1, row["cards"]) for row in rows)
            number = db.execute(
                "INSERT INTO decisions (id, who, client, at, seconds, said, category, title, "
                "cards, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(id, *caller, now, seconds, said, category, title, cards),
                    "skipped" if said == "skip" else "pending",
                ),
            ).lastrowid
            assert number is not None, "it was inserted"
            db.executemany(
                "INSERT INTO decided VALUES (?, ?, ?)",
                [(number, row["id"], becomes[row["id"]]) for row in rows],
            )
            state = "open" if said == "skip" else "decided"
            db.executemany(
                "UPDATE items SET state = ?, decision = ?, until = 0 WHERE id = ?",
                [(state, number, row["id"]) for row in rows],
            )
            return self._entry(db, "number", number), len(rows)

    def _check_free(
        self, db: sqlite3.Connection, caller: Caller, item: sqlite3.Row, now: float
    ) -> None:
        if item["state"] == "decided":
            by = self._entry(db, "number", item["decision"])
            raise TakenError(f"This item is decided already: {by.who} said {by.said!r}.")
        if item["state"] == "gone":
            raise TakenError("This item needs no decision any more: its cards have changed since.")
        if item["until"] > now and (item["who"], item["client"]) != caller:
            who = "another tab" if item["who"] == caller.who else item["who"]
            raise TakenError(
                f"This item was not decided for {LEASE / 60:.0f} minutes, and is with {who} now."
            )

    def _free(
        self, db: sqlite3.Connection, caller: Caller, ids: Sequence[str], now: float
    ) -> list[sqlite3.Row]:
        rows = db.execute(
            "SELECT * FROM items WHERE id IN (SELECT value FROM json_each(?)) AND state = 'open' "
            f"AND (until <= ? OR (who = ? AND client = ?)) ORDER BY {ORDER}",
            (json.dumps(ids), now, *caller),
        )
        return rows.fetchall()

    def entry(self, id: str) -> Entry:
        """Return a decision by its name; raise UnknownError if there is none."""
        return self._entry(self.db, "id", id)

    def _entry(self, db: sqlite3.Connection, column: str, value: Any) -> Entry:
        row = db.execute(f"SELECT * FROM decisions WHERE {column} = ?", (value,)).fetchone()
        if row is None:
            raise UnknownError(f"There is no decision {value!r} in the review journal.")
        return _entry(row)

    def last(self, caller: Caller) -> Entry:
        """Return the last decision of a tab that holds; of the person where the tab has made none.

        Raises UnknownError if there is none.
        """
        has = self.db.execute(
            "SELECT 1 FROM decisions WHERE who = ? AND client = ? LIMIT 1", caller
        ).fetchone()
        row = self.db.execute(
            "SELECT * FROM decisions WHERE who = ? AND (client = ? OR ?) AND state IN "
            "('pending', 'applying', 'applied', 'skipped') ORDER BY number DESC LIMIT 1",
            (*caller, not has),
        ).fetchone()
        if row is None:
            raise UnknownError(f"{caller.who or 'You'} made no decision that can be taken back.")
        return _entry(row)

    def take_back(
        self, entry: Entry, state: State, caller: Caller, expected: State
    ) -> list[QueueItem]:
        """Open the items of a decision again, for the caller, and return them.

        Raises TakenError if it is not in the expected state by now.
        """
        with self.writing() as db:
            changed = db.execute(
                "UPDATE decisions SET state = ? WHERE number = ? AND state = ?",
                (state, entry.number, expected),
            )
            if not changed.rowcount:
                raise TakenError(
                    "This decision is being carried out right now; take it back in a moment."
                )
            ids = [id for id, _ in self._decided(db, entry)]
            db.executemany(
                "UPDATE items SET state = 'open', decision = NULL, until = 0 WHERE id = ? AND "
                "decision = ?",
                [(id, entry.number) for id in ids],
            )
            rows = self._free(db, caller, ids, self.clock())
            self._hold(db, caller, [row["id"] for row in rows], self.clock(), LEASE)
        return [_item(row) for row in rows]

    def decided(self, entry: Entry) -> list[tuple[QueueItem, str]]:
        """Return the items of a decision, and what each becomes."""
        found = self._decided(self.db, entry)
        return [(self.item(id), becomes) for id, becomes in found]

    def _decided(self, db: sqlite3.Connection, entry: Entry) -> list[tuple[str, str]]:
        rows = db.execute("SELECT * FROM decided WHERE decision = ?", (entry.number,))
        return [(row["item"], row["becomes"]) for row in rows]

    def due(self, *, older: float, beyond: int) -> list[Entry]:
        """Return the pending decisions older than some seconds, but for each person's last few."""
        rows = self.db.execute(
            "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY who ORDER BY number DESC) "
            "AS nth FROM decisions WHERE state NOT IN ('undone', 'reverted')) "
            "WHERE state = 'applying' OR (state = 'pending' AND nth > ? AND at <= ?) "
            "ORDER BY number",
            (beyond, self.clock() - older),
        )
        return [_entry(row) for row in rows]

    def begin(self, changes: Mapping[int, Mapping[str, Any]]) -> set[int]:
        """Note what a revert will need, before decisions are carried out.

        Returns the numbers of those that nobody has taken back.
        """
        with self.writing() as db:
            return {
                number
                for number, changed in changes.items()
                if db.execute(
                    "UPDATE decisions SET state = 'applying', changed = ? WHERE number = ? AND "
                    "state IN ('pending', 'applying')",
                    (json.dumps(changed, ensure_ascii=False), number),
                ).rowcount
            }

    def wait_on(self, numbers: Iterable[int]) -> None:
        """Let decisions that could not be carried out wait on."""
        with self.writing() as db:
            db.executemany(
                "UPDATE decisions SET state = 'pending' WHERE number = ? AND state = 'applying'",
                [(number,) for number in numbers],
            )

    def finish(self, outcome: Mapping[int, tuple[State, str]], version: int) -> None:
        """Note what became of decisions."""
        with self.writing() as db:
            db.executemany(
                "UPDATE decisions SET state = ?, note = ?, version = ? WHERE number = ? AND state "
                "= 'applying'",
                [(state, note, version, number) for number, (state, note) in outcome.items()],
            )

    def entries(self, limit: int | None = None) -> list[Entry]:
        """Return the decisions, the newest first."""
        most = -1 if limit is None else limit
        rows = self.db.execute("SELECT * FROM decisions ORDER BY number DESC LIMIT ?", (most,))
        return [_entry(row) for row in rows]

    def counts(self) -> dict[str, Any]:
        """Count items and decisions.

        Returns
        -------
        dict
            Items ``done`` and ``left``; decisions ``pending``, ``applied`` and ``stale``;
            ``minutes`` that people looked; ``by``, name -> items decided; and ``reviewing``, the
            names of those who hold items.
        """
        db, now = self.db, self.clock()
        items = dict(db.execute("SELECT state, count(*) FROM items GROUP BY state").fetchall())
        states = dict(db.execute("SELECT state, count(*) FROM decisions GROUP BY state").fetchall())
        by = db.execute(
            "SELECT decisions.who, count(*) FROM items JOIN decisions ON number = decision WHERE "
            "items.state = 'decided' GROUP BY decisions.who ORDER BY decisions.who"
        )
        seconds = db.execute(
            "SELECT total(seconds) FROM decisions WHERE state NOT IN ('undone', 'reverted')"
        ).fetchone()[0]
        reviewing = db.execute(
            "SELECT DISTINCT who FROM items WHERE state = 'open' AND until > ? ORDER BY who", (now,)
        )
        return {
            "done": items.get("decided", 0),
            "left": items.get("open", 0),
            "pending": states.get("pending", 0) + states.get("applying", 0),
            "applied": states.get("applied", 0),
            "stale": states.get("stale", 0),
            "minutes": round(seconds / 60, 2),
            "by": dict(by.fetchall()),
            "reviewing": [who for (who,) in reviewing],
        }


def _stored(value: Any) -> Any:
    return json.dumps(value, ensure_ascii=False) if isinstance(value, Mapping) else value


def _item(row: sqlite3.Row) -> QueueItem:
    fields = {name: row[name] for name in FIELDS}
    return QueueItem(**{**fields, "content": json.loads(row["content"])})


def _entry(row: sqlite3.Row) -> Entry:
    fields = {name: row[name] for name in Entry.__dataclass_fields__}
    return Entry(**{**fields, "changed": json.loads(row["changed"] or "{}")})
