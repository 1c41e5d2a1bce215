"""The review journal: who decided what and when, and what became of it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from typing import Any

from prodcat_index.service.review_records import (
    HOLDING,
    LEASE,
    Caller,
    Entry,
    QueueItem,
    State,
    TakenError,
    UnknownError,
    read_entry,
    read_item,
)
from prodcat_index.service.review_store import ItemStore

OF_CALLER, LAST = "WHERE who = ? AND client = ?", "ORDER BY number DESC LIMIT 1"


class ReviewJournal(ItemStore):
    """The decisions about the items of a file."""

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
        """Write one decision about an item, and about others that are decided with it."""
        now = self.clock()
        with self.writing() as db:
            item = next(iter(becomes))
            if done := self._entries("WHERE id = ?", id):
                [entry] = done
                if entry.who != caller.who:
                    raise TakenError(
                        f"The decision {id!r} is another person's; choose another name."
                    )
                own = self._items_of(entry)
                if item not in own or entry.said != said:
                    raise TakenError(f"The decision {id!r} was another one; choose another name.")
                return entry, len(own)
            first = self._row(item)
            self._check_free(caller, first)
            rows = [first, *self._free(caller, list(becomes)[1:])]
            before = [entry.at for entry in self._entries(f"{OF_CALLER} {LAST}", *caller)]
            is_held = (first["who"], first["client"]) == caller
            begun = max([first["since"], *before]) if is_held else 0.0
            # A person who held nothing and decided nothing before has looked for no known time.
            seconds = min(LEASE, max(0.0, now - begun)) if begun else 0.0
            cards = sum(max(1, row["cards"]) for row in rows)
            number = db.execute(
                "INSERT INTO decisions (id, who, client, at, seconds, said, category, title, "
                "cards, state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    *(id, *caller, now, seconds, said, category, title, cards),
                    "skipped" if said == "skip" else "pending",
                ),
            ).lastrowid
            db.executemany(
                "INSERT INTO decided VALUES (?, ?, ?)",
                [(number, row["id"], becomes[row["id"]]) for row in rows],
            )
            state = "open" if said == "skip" else "decided"
            db.executemany(
                "UPDATE items SET state = ?, decision = ?, until = 0 WHERE id = ?",
                [(state, number, row["id"]) for row in rows],
            )
            return self.entry(id), len(rows)

    def _check_free(self, caller: Caller, item: sqlite3.Row) -> None:
        if item["state"] == "decided":
            [by] = self._entries("WHERE number = ?", item["decision"])
            raise TakenError(f"This item is decided already: {by.who} said {by.said!r}.")
        if item["state"] == "gone":
            raise TakenError("This item needs no decision any more: its cards have changed since.")
        if item["until"] > self.clock() and (item["who"], item["client"]) != caller:
            who = "another tab" if item["who"] == caller.who else item["who"]
            raise TakenError(
                f"This item was not decided for {LEASE / 60:.0f} minutes, and is with {who} now."
            )

    def entry(self, id: str) -> Entry:
        """Return a decision by its name; raise UnknownError if there is none."""
        if found := self._entries("WHERE id = ?", id):
            return found[0]
        raise UnknownError(f"There is no decision {id!r} in the review journal.")

    def _entries(self, which: str, *values: Any) -> list[Entry]:
        rows = self.db.execute(f"SELECT * FROM decisions {which}", values)
        return [read_entry(row) for row in rows]

    def last(self, caller: Caller) -> Entry:
        """Return the last decision of a tab that holds, or of the person where it made none."""
        has = self._entries(f"{OF_CALLER} {LAST}", *caller)
        holds = "state IN ('pending', 'applying', 'applied', 'skipped')"
        which = f"WHERE who = ? AND (client = ? OR ?) AND {holds} {LAST}"
        if found := self._entries(which, *caller, not has):
            return found[0]
        raise UnknownError(f"{caller.who or 'You'} made no decision that can be taken back.")

    def take_back(
        self, entry: Entry, state: State, caller: Caller, expected: State
    ) -> list[QueueItem]:
        """Open the items of a decision again, for the caller, and return them."""
        with self.writing() as db:
            changed = db.execute(
                "UPDATE decisions SET state = ? WHERE number = ? AND state = ? AND "
                "state != 'applying'",
                (state, entry.number, expected),
            )
            if not changed.rowcount:
                raise TakenError(
                    "This decision is being carried out right now; take it back in a moment."
                )
            ids = self._items_of(entry)
            db.executemany(
                "UPDATE items SET state = 'open', decision = NULL, until = 0 WHERE id = ? AND "
                "decision = ?",
                [(id, entry.number) for id in ids],
            )
            rows = self._free(caller, ids)
            self._hold(caller, rows, is_shown=True)
        return [read_item(row) for row in rows]

    def decided(self, entry: Entry) -> list[tuple[QueueItem, str]]:
        """Return the items of a decision, and what each becomes."""
        rows = self.db.execute(
            "SELECT whole.*, becomes FROM decided JOIN whole ON id = item WHERE decided.decision "
            "= ? ORDER BY item",
            (entry.number,),
        )
        return [(read_item(row), row["becomes"]) for row in rows]

    def _items_of(self, entry: Entry) -> list[str]:
        rows = self.db.execute("SELECT item FROM decided WHERE decision = ?", (entry.number,))
        return [item for (item,) in rows]

    def due(self, *, older: float, beyond: int) -> list[Entry]:
        """Return the pending decisions older than some seconds, but for each person's last few."""
        rows = self.db.execute(
            "SELECT * FROM (SELECT *, row_number() OVER (PARTITION BY who ORDER BY number DESC) "
            "AS nth FROM decisions WHERE state NOT IN ('undone', 'reverted')) "
            "WHERE state = 'applying' OR (state = 'pending' AND nth > ? AND at <= ?) "
            "ORDER BY number",
            (beyond, self.clock() - older),
        )
        return [read_entry(row) for row in rows]

    def begin(self, changes: Mapping[int, Mapping[str, Any]]) -> set[int]:
        """Note what a revert will need; return the decisions that nobody has taken back."""
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
        return self._entries("ORDER BY number DESC LIMIT ?", most)

    def counts(self) -> dict[str, Any]:
        """Count items and decisions."""
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
            "SELECT DISTINCT who FROM items WHERE until > ? AND state = 'open' ORDER BY who", (now,)
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

    def list_decisions(self, limit: int | None = None) -> list[dict[str, Any]]:
        """Return the decisions as the rows of a table for people, the newest first."""
        kept = ("who", "category", "title", "cards", "state", "note", "version")
        return [
            {
                "decision_id": entry.id,
                "when": datetime.fromtimestamp(entry.at, timezone.utc).isoformat("T", "seconds"),
                "decision": entry.said,
                "ids": [c["id"] for item, _ in self.decided(entry) for c in item.content["cards"]],
                **{name: getattr(entry, name) for name in kept},
            }
            for entry in self.entries(limit)
        ]

    def as_review(self) -> list[dict[str, Any]]:
        """Return the decisions about cards that hold, as `prodcat relabel` reads them."""
        holding = (entry for entry in reversed(self.entries()) if entry.state in HOLDING)
        decided = (each for entry in holding for each in self.decided(entry))
        rows = []
        for number, (item, becomes) in enumerate((d for d in decided if not d[0].is_new), 1):
            rows += [item.as_row(number, card, becomes) for card in item.asked]
        return rows
