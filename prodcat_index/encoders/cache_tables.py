"""The tables of the cache of embeddings, and what is asked of them, over one open connection."""

from __future__ import annotations

import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from prodcat_index.encoders.base import FloatArray

PATIENCE = 30.0
# How exactly the time of use is kept: a finer one would write at every look-up.
USE_GRAIN = 24 * 3600
EVICTED_AT_ONCE = 256

_SCHEMA = """
PRAGMA auto_vacuum = FULL;
BEGIN IMMEDIATE;
CREATE TABLE encoders (
    id INTEGER PRIMARY KEY, fingerprint TEXT NOT NULL UNIQUE, spec TEXT NOT NULL
);
CREATE TABLE embeddings (
    encoder INTEGER NOT NULL, digest BLOB NOT NULL, vector BLOB NOT NULL,
    checksum INTEGER NOT NULL, used INTEGER NOT NULL, UNIQUE (encoder, digest)
);
CREATE INDEX by_use ON embeddings (used);
COMMIT;
"""
_T = TypeVar("_T")


@dataclass(frozen=True)
class CachedEncoder:
    """What the cache holds of one encoder."""

    spec: str
    fingerprint: str
    entries: int
    bytes: int


def connected(path: Path, work: Callable[[sqlite3.Connection], _T]) -> _T:
    """Open the file, with its tables if it is new, do some work, and close it.

    Raises
    ------
    sqlite3.OperationalError
        If the file cannot be used.
    sqlite3.DatabaseError
        If it is damaged.
    """
    with closing(sqlite3.connect(path, timeout=PATIENCE, isolation_level=None)) as db:
        if not _number(db, "SELECT count(*) FROM sqlite_master"):
            db.executescript(_SCHEMA)
        return work(db)


def _number(db: sqlite3.Connection, query: str) -> int:
    return int(db.execute(query).fetchone()[0])


def select(
    db: sqlite3.Connection, fingerprint: str, digests: Iterable[bytes], dim: int
) -> dict[bytes, FloatArray]:
    """Return the undamaged rows of length ``dim`` by their digest, and note that they are used."""
    now, found, seldom = int(time.time()), {}, []
    for digest in digests:
        row = db.execute(
            "SELECT CAST(vector AS BLOB), checksum, CAST(used AS INTEGER), embeddings.rowid "
            "FROM embeddings JOIN encoders "
            "ON encoder = encoders.id WHERE fingerprint = ? AND digest = ?",
            (fingerprint, digest),
        ).fetchone()
        if row and _is_whole(row[0], row[1], dim):
            found[digest] = np.frombuffer(row[0], dtype="<f4")
            if row[2] <= now - USE_GRAIN:
                seldom.append((now, row[3]))
    if seldom:
        with _transaction(db):
            db.executemany("UPDATE embeddings SET used = ? WHERE rowid = ?", seldom)
    return found


def _is_whole(vector: object, checksum: object, dim: int) -> bool:
    return isinstance(vector, bytes) and len(vector) == 4 * dim and zlib.crc32(vector) == checksum


def insert(
    db: sqlite3.Connection,
    spec: str,
    fingerprint: str,
    vectors: Mapping[bytes, FloatArray],
    limit: int,
) -> None:
    """Store rows by their digest in one transaction, and keep the file within its limit."""
    blobs = ((digest, vector.astype("<f4").tobytes()) for digest, vector in vectors.items())
    now = int(time.time())
    with _transaction(db):
        db.execute(
            "INSERT OR IGNORE INTO encoders (fingerprint, spec) VALUES (?, ?)", (fingerprint, spec)
        )
        (encoder,) = db.execute(
            "SELECT id FROM encoders WHERE fingerprint = ?", (fingerprint,)
        ).fetchone()
        db.executemany(
            "INSERT OR REPLACE INTO embeddings VALUES (?, ?, ?, ?, ?)",
            ((encoder, digest, blob, zlib.crc32(blob), now) for digest, blob in blobs),
        )
        _shrink(db, limit)


def _shrink(db: sqlite3.Connection, limit: int) -> None:
    """Remove what was used longest ago until the file is small enough."""
    while size(db) > limit:
        removed = db.execute(
            "DELETE FROM embeddings WHERE rowid IN "
            "(SELECT rowid FROM embeddings ORDER BY used, rowid LIMIT ?)",
            (EVICTED_AT_ONCE,),
        ).rowcount
        if not removed:
            return


def size(db: sqlite3.Connection) -> int:
    """Return the size of the file in bytes, once the transaction is over."""
    pages = _number(db, "PRAGMA page_count") - _number(db, "PRAGMA freelist_count")
    return pages * _number(db, "PRAGMA page_size")


def empty(db: sqlite3.Connection) -> int:
    """Remove everything, and return how many rows there were."""
    with _transaction(db):
        removed = db.execute("DELETE FROM embeddings").rowcount
        db.execute("DELETE FROM encoders")
    return removed


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    """Commit at the end; closing the connection before that rolls back."""
    db.execute("BEGIN IMMEDIATE")
    yield
    db.execute("COMMIT")


def count(db: sqlite3.Connection) -> tuple[CachedEncoder, ...]:
    """Count the rows of each encoder, the one with the most first."""
    rows = db.execute(
        "SELECT spec, fingerprint, count(*), sum(length(vector)) FROM embeddings "
        "JOIN encoders ON encoder = encoders.id GROUP BY encoders.id "
        "ORDER BY count(*) DESC, fingerprint"
    )
    return tuple(CachedEncoder(*row) for row in rows)
