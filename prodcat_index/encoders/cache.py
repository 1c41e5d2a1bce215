"""Embeddings on disk, so that none is computed twice.

An embedding is found by the fingerprint of its encoder and the digest of what was embedded. The
file is SQLite; every access opens it for some milliseconds under a lock of its own, so that any
number of processes and threads may share it, and a damaged file can be set aside while nobody
has it open. Whatever is wrong with the cache is said once on stderr and never costs an answer.
"""

from __future__ import annotations

import os
import re
import sqlite3
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TypeVar

from prodcat_index.encoders import cache_tables as tables
from prodcat_index.encoders.base import FloatArray
from prodcat_index.errors import EncoderError

CACHE_VARIABLE = "PRODCAT_CACHE"
SIZE_VARIABLE = "PRODCAT_CACHE_SIZE"
OFF = "off"
DEFAULT_LIMIT = 4 * 1024**3

_UNITS = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
# Where a file system has no locks, the lock raises NotImplementedError.
_FAILURES = (OSError, NotImplementedError, sqlite3.Error)
_T = TypeVar("_T")


@dataclass(frozen=True)
class CacheSummary:
    """What the cache holds.

    Attributes
    ----------
    path
        The file.
    bytes
        Its size, at most about ``limit``.
    limit
        Largest size in bytes.
    encoders
        Those with entries, the largest first.
    """

    path: Path
    bytes: int
    limit: int
    encoders: tuple[tables.CachedEncoder, ...]

    @property
    def entries(self) -> int:
        """Number of embeddings."""
        return sum(encoder.entries for encoder in self.encoders)


def default_cache() -> EmbeddingCache | None:
    """Return the cache that the user means.

    It is in the folder ``$PRODCAT_CACHE``, or else in the user's cache folder, and as large as
    ``$PRODCAT_CACHE_SIZE`` allows; ``PRODCAT_CACHE=off`` means none.
    """
    folder = os.environ.get(CACHE_VARIABLE, "")
    if folder == OFF:
        return None
    if folder:
        return EmbeddingCache(Path(folder), _wanted_limit())
    from platformdirs import user_cache_path

    return EmbeddingCache(user_cache_path("prodcat-index", appauthor=False), _wanted_limit())


class EmbeddingCache:
    """A bounded store of embeddings; those that were used longest ago make room for new ones.

    Parameters
    ----------
    folder
        Made when it is first needed.
    limit
        Largest size of the file in bytes.
    """

    def __init__(self, folder: Path, limit: int = DEFAULT_LIMIT) -> None:
        self.path = folder / "embeddings.sqlite"
        self.limit = limit
        self._usable = True

    def get(self, fingerprint: str, digests: Iterable[bytes], dim: int) -> dict[bytes, FloatArray]:
        """Look up embeddings.

        Parameters
        ----------
        fingerprint
            Of the encoder.
        digests
            Of the contents that were embedded.
        dim
            Length of a row.

        Returns
        -------
        dict
            Digest -> float32 row of shape (dim,), for those that are there and undamaged.
        """
        wanted = list(digests)
        return self._attempt(lambda db: tables.select(db, fingerprint, wanted, dim), {})

    def put(self, spec: str, fingerprint: str, vectors: Mapping[bytes, FloatArray]) -> None:
        """Store embeddings, all or none of them.

        Parameters
        ----------
        spec, fingerprint
            Of the encoder.
        vectors
            Digest -> float32 row.
        """
        if vectors:
            self._attempt(
                lambda db: tables.insert(db, spec, fingerprint, vectors, self.limit), None
            )

    def summary(self) -> CacheSummary:
        """Count what is there."""
        nothing: tuple[tables.CachedEncoder, ...] = ()
        encoders, size = self._attempt(lambda db: (tables.count(db), tables.size(db)), (nothing, 0))
        return CacheSummary(self.path, size, self.limit, encoders)

    def clear(self) -> int:
        """Remove every embedding, and the damaged file that was set aside, if there is one.

        Returns
        -------
        int
            How many embeddings there were.

        Raises
        ------
        EncoderError
            If the cache cannot be written.
        """
        try:
            with self._lock():
                removed = self._work(tables.empty)
                self._set_aside_path.unlink(missing_ok=True)
        except _FAILURES as error:
            raise EncoderError(
                f"The cache {self.path} cannot be emptied ({error}); remove the file by hand."
            ) from error
        return removed

    @property
    def _set_aside_path(self) -> Path:
        return self.path.with_suffix(".damaged")

    def _attempt(self, work: Callable[[sqlite3.Connection], _T], otherwise: _T) -> _T:
        if not self._usable:
            return otherwise
        try:
            with self._lock():
                return self._work(work)
        except _FAILURES as error:
            self._usable = False
            _say_once(
                f"embeddings are not cached in {self.path.parent} ({error}); "
                f"set {CACHE_VARIABLE} to a folder that can be written, or to {OFF}."
            )
            return otherwise

    @contextmanager
    def _lock(self) -> Iterator[None]:
        from filelock import FileLock

        self.path.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.path.with_suffix(".lock"), timeout=tables.PATIENCE):
            yield

    def _work(self, work: Callable[[sqlite3.Connection], _T]) -> _T:
        try:
            return tables.connected(self.path, work)
        except sqlite3.OperationalError:
            raise
        except sqlite3.DatabaseError as error:
            self._set_aside(error)
            return tables.connected(self.path, work)

    def _set_aside(self, error: sqlite3.DatabaseError) -> None:
        # A journal left beside would be played back into the new file.
        self.path.with_name(self.path.name + "-journal").unlink(missing_ok=True)
        self.path.replace(self._set_aside_path)
        _say_once(
            f"the cache {self.path} is damaged ({error}); it is set aside as "
            f"{self._set_aside_path.name} and a new one is begun."
        )


@cache
def _say_once(what: str) -> None:
    print(f"note: {what}", file=sys.stderr)


def _wanted_limit() -> int:
    text = os.environ.get(SIZE_VARIABLE, "")
    match = re.fullmatch(r"([0-9]{1,15}(?:\.[0-9]+)?) *([KMGT]?)(?:I?B)?", text.strip().upper())
    if match:
        return int(float(match[1]) * _UNITS[match[2]])
    if text:
        _say_once(f"{SIZE_VARIABLE}={text} is no size such as 500M or 4G; the cache keeps to 4G.")
    return DEFAULT_LIMIT
