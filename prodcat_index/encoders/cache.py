"""Embeddings on disk, so that none is computed twice.

An embedding is found by the fingerprint of its encoder and the digest of what was embedded. The
file is SQLite; every access opens it for some milliseconds under a lock of its own, so that any
number of processes and threads may share it, and a damaged file can be set aside while nobody
has it open. A problem of the cache is one note on stderr and never costs an answer.
"""

from __future__ import annotations

import os
import re
import sqlite3
import time
import zlib
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np

from prodcat_index.errors import EncoderError
from prodcat_index.progress import note_once
from prodcat_index.types import Float32Array

CACHE_VARIABLE = "PRODCAT_CACHE"
SIZE_VARIABLE = "PRODCAT_CACHE_SIZE"
OFF = "off"
DEFAULT_LIMIT = 4 * 1024**3
# Seconds to wait for another process.
PATIENCE = 30.0
# Seconds within which the time of use is not updated: a finer grain would write at every look-up.
USE_GRAIN = 24 * 3600
# Large enough for few statements, small enough to remove little more than must go.
EVICTED_AT_ONCE = 256

_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
# Where a file system has no locks, the lock raises NotImplementedError.
_FAILURES = (OSError, NotImplementedError, sqlite3.Error)
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
# The casts let a damaged row be a wrong value instead of an error.
_SELECT = """
SELECT CAST(vector AS BLOB), checksum, CAST(used AS INTEGER), embeddings.rowid
FROM embeddings JOIN encoders ON encoder = encoders.id WHERE fingerprint = ? AND digest = ?
"""
_COUNT = """
SELECT spec, fingerprint, count(*), sum(length(vector)) FROM embeddings
JOIN encoders ON encoder = encoders.id GROUP BY encoders.id ORDER BY count(*) DESC, fingerprint
"""
_INSERT_ENCODER = "INSERT OR IGNORE INTO encoders (fingerprint, spec) VALUES (?, ?)"
_INSERT = """
INSERT OR REPLACE INTO embeddings (digest, vector, checksum, used, encoder)
SELECT ?, ?, ?, ?, id FROM encoders WHERE fingerprint = ?
"""
_EVICT = """
DELETE FROM embeddings WHERE rowid IN
(SELECT rowid FROM embeddings ORDER BY used, rowid LIMIT ?)
"""
_SIZE = """
SELECT (page_count - freelist_count) * page_size
FROM pragma_page_count, pragma_freelist_count, pragma_page_size
"""
_T = TypeVar("_T")


@dataclass(frozen=True)
class CachedEncoder:
    """What the cache holds of one encoder."""

    spec: str
    fingerprint: str
    entries: int
    bytes: int


@dataclass(frozen=True)
class CacheSummary:
    """What the cache holds; sizes are in bytes."""

    path: Path
    bytes: int
    limit: int
    encoders: tuple[CachedEncoder, ...]

    @property
    def entries(self) -> int:
        """Number of embeddings."""
        return sum(encoder.entries for encoder in self.encoders)


def default_cache() -> EmbeddingCache | None:
    """Return the cache that ``PRODCAT_CACHE`` names, or the user's; None if it is off."""
    folder = os.environ.get(CACHE_VARIABLE, "")
    if folder == OFF:
        return None
    from platformdirs import user_cache_path

    usual = user_cache_path("prodcat-index", appauthor=False)
    return EmbeddingCache(Path(folder) if folder else usual, _size_limit())


def _size_limit() -> int:
    text = os.environ.get(SIZE_VARIABLE, "")
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]+)?) *([KMGT]?)(?:I?B)?", text.strip().upper())
    if match:
        return int(float(match[1]) * _UNITS[match[2]])
    if text:
        note_once(f"{SIZE_VARIABLE}={text} is no size such as 500M or 4G; the cache keeps to 4G.")
    return DEFAULT_LIMIT


class EmbeddingCache:
    """A bounded store of embeddings; those that were used longest ago make room for new ones.

    Parameters
    ----------
    folder
        Folder of the file; it is made when it is first needed.
    limit
        Largest size of the file in bytes.
    """

    def __init__(self, folder: Path, limit: int = DEFAULT_LIMIT) -> None:
        self.path = folder / "embeddings.sqlite"
        self.limit = limit
        self._damaged_path = self.path.with_suffix(".damaged")
        self._usable = True

    def get(
        self, fingerprint: str, digests: Iterable[bytes], dim: int
    ) -> dict[bytes, Float32Array]:
        """Return digest -> float32 row of length `dim`, for those that are there and undamaged."""

        def select(db: sqlite3.Connection) -> dict[bytes, Float32Array]:
            now, found, stale = int(time.time()), {}, []
            for digest in wanted:
                row = db.execute(_SELECT, (fingerprint, digest)).fetchone()
                if row and _is_whole(row[0], row[1], dim):
                    found[digest] = np.frombuffer(row[0], dtype="<f4")
                    if row[2] <= now - USE_GRAIN:
                        stale.append((now, row[3]))
            if stale:
                with db:
                    db.execute("BEGIN IMMEDIATE")
                    db.executemany("UPDATE embeddings SET used = ? WHERE rowid = ?", stale)
            return found

        wanted = list(digests)
        return self._attempt(select, {})

    def put(self, spec: str, fingerprint: str, vectors: Mapping[bytes, Float32Array]) -> None:
        """Store the rows of an encoder by digest, all or none of them."""

        def insert(db: sqlite3.Connection) -> None:
            now = int(time.time())
            blobs = [(digest, vector.astype("<f4").tobytes()) for digest, vector in vectors.items()]
            with db:
                db.execute("BEGIN IMMEDIATE")
                db.execute(_INSERT_ENCODER, (fingerprint, spec))
                db.executemany(
                    _INSERT, ((d, blob, zlib.crc32(blob), now, fingerprint) for d, blob in blobs)
                )
                while _size(db) > self.limit:
                    if not db.execute(_EVICT, (EVICTED_AT_ONCE,)).rowcount:
                        break

        if vectors:
            self._attempt(insert, None)

    def summary(self) -> CacheSummary:
        """Count what is there."""

        def count(db: sqlite3.Connection) -> CacheSummary:
            encoders = tuple(CachedEncoder(*row) for row in db.execute(_COUNT))
            return CacheSummary(self.path, _size(db), self.limit, encoders)

        return self._attempt(count, CacheSummary(self.path, 0, self.limit, ()))

    def clear(self) -> int:
        """Remove every embedding and a damaged file that was set aside; return their number.

        Raises
        ------
        EncoderError
            If the cache cannot be written.
        """

        def delete(db: sqlite3.Connection) -> int:
            with db:
                db.execute("BEGIN IMMEDIATE")
                removed = db.execute("DELETE FROM embeddings").rowcount
                db.execute("DELETE FROM encoders")
            return removed

        try:
            removed = self._locked(delete)
            self._damaged_path.unlink(missing_ok=True)
        except _FAILURES as error:
            raise EncoderError(
                f"The cache {self.path} cannot be emptied ({error}); remove the file by hand."
            ) from error
        return removed

    def _attempt(self, work: Callable[[sqlite3.Connection], _T], otherwise: _T) -> _T:
        if not self._usable:
            return otherwise
        try:
            return self._locked(work)
        except _FAILURES as error:
            self._usable = False
            note_once(
                f"embeddings are not cached in {self.path.parent} ({error}); "
                f"set {CACHE_VARIABLE} to a folder that can be written, or to {OFF}."
            )
            return otherwise

    def _locked(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Do some work on the file while no other process has it, on a new file if damaged."""
        from filelock import FileLock

        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_suffix(".lock"), timeout=PATIENCE):
            try:
                return self._connected(work)
            except sqlite3.OperationalError:
                raise
            except sqlite3.DatabaseError as error:
                # A journal left beside would be played back into the new file.
                self.path.with_name(self.path.name + "-journal").unlink(missing_ok=True)
                self.path.replace(self._damaged_path)
                note_once(
                    f"the cache {self.path} is damaged ({error}); it is set aside as "
                    f"{self._damaged_path.name} and a new one is begun."
                )
                return self._connected(work)

    def _connected(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        """Open the file, with its tables if it is new, do some work, and close it."""
        with closing(sqlite3.connect(self.path, timeout=PATIENCE, isolation_level=None)) as db:
            if not db.execute("SELECT * FROM sqlite_master").fetchone():
                db.executescript(_SCHEMA)
            return work(db)


def _is_whole(vector: object, checksum: object, dim: int) -> bool:
    return isinstance(vector, bytes) and len(vector) == 4 * dim and zlib.crc32(vector) == checksum


def _size(db: sqlite3.Connection) -> int:
    """Return the size of the file in bytes, once the transaction is over."""
    return int(db.execute(_SIZE).fetchone()[0])
