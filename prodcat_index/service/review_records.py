"""What the review journal holds: items, decisions, and the tables that they are stored in."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from prodcat_index.errors import ProdcatError

SCHEMA = 1
# Seconds that an item stays with who asked for it, and that a person is taken to be at work on it.
LEASE = 300.0

State = Literal["pending", "applying", "applied", "stale", "skipped", "undone", "reverted"]
# Of decisions that hold: their items are not asked about.
HOLDING = ("pending", "applying", "applied", "stale")
TAKEN_BACK = ("undone", "reverted")

TABLES = """
CREATE TABLE IF NOT EXISTS items (
    id TEXT PRIMARY KEY, source TEXT NOT NULL,
    own TEXT NOT NULL, proposal TEXT NOT NULL, is_new INTEGER NOT NULL,
    gain REAL NOT NULL, urgency INTEGER NOT NULL, certainty REAL NOT NULL, cards INTEGER NOT NULL,
    cluster TEXT NOT NULL, place INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'open', decision INTEGER,
    who TEXT, client TEXT, since REAL NOT NULL DEFAULT 0, until REAL NOT NULL DEFAULT 0);
CREATE TABLE IF NOT EXISTS contents (id TEXT PRIMARY KEY, content TEXT NOT NULL);
CREATE VIEW IF NOT EXISTS whole AS SELECT items.*, content FROM items JOIN contents USING (id);
CREATE INDEX IF NOT EXISTS in_order ON items
    (state, gain DESC, urgency, certainty DESC, cards DESC, place, id);
CREATE INDEX IF NOT EXISTS of_holders ON items (until, who, client);
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
    """An item as it is stored; `content` says what it is about, as `review_sources` makes it."""

    id: str  # which the same question has again
    source: str
    content: Mapping[str, Any]
    own: str  # category of its cards, or the predicted one of a listing
    proposal: str
    is_new: bool  # a listing, which is no card of the index
    gain: float  # probability that the category is wrong and a decision puts it right
    # What decides between items of the same gain: as in the order of an audit.
    urgency: int
    certainty: float
    cards: int
    # Items of one cluster have near cards and may be decided together; near places are near.
    cluster: str = ""
    place: int = 0

    @property
    def asked(self) -> list[dict[str, str]]:
        """Its cards, each with its category then; of a question about a whole category, that."""
        return self.content["cards"] or [{"id": "", "category": self.own}]

    def as_row(self, number: int, card: Mapping[str, str], becomes: str) -> dict[str, Any]:
        """Return what one of its cards becomes as a row of a review."""
        about = {name: self.content[name] for name in ("check", "kind")}
        return {"item": number, **about, **card, "proposal": self.proposal, "decision": becomes}


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
    """One decision about one item or several."""

    number: int
    id: str  # the name that the client gave it
    who: str
    client: str
    at: float  # seconds since 1970
    seconds: float  # that the person looked
    said: str
    category: str  # that its cards get, if any
    title: str  # of the first card
    cards: int  # number of cards
    state: State
    note: str  # what could not be carried out
    version: int  # of the index that has it
    changed: Mapping[str, Any]  # what a revert needs: the cards as they were


def read_item(row: sqlite3.Row) -> QueueItem:
    """Return the item of a row."""
    fields = {name: row[name] for name in FIELDS}
    return QueueItem(**{**fields, "content": json.loads(row["content"])})


def read_entry(row: sqlite3.Row) -> Entry:
    """Return the decision of a row."""
    fields = {name: row[name] for name in Entry.__dataclass_fields__}
    return Entry(**{**fields, "changed": json.loads(row["changed"] or "{}")})
