"""Embedding through the cache: every content once, and what is in the cache not at all."""

from __future__ import annotations

import hashlib
import stat
import time
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from prodcat_index.cards.card import ModalityKind
from prodcat_index.cards.pictures import MAX_PIXELS
from prodcat_index.encoders.base import Encoded, Encoder, distinct, group_by_reason
from prodcat_index.encoders.cache import EmbeddingCache
from prodcat_index.files import sha256_of
from prodcat_index.progress import progress_bar
from prodcat_index.types import MISSING

# A killed run loses one batch, or what was embedded within some seconds, whichever is less.
STORED_EVERY = 2.0
BATCH: dict[ModalityKind, int] = {"picture": 128, "text": 512}
# A few queries are embedded in less time than it takes to write them to disk safely.
FEWEST_STORED = 16
HASHING_THREADS = 2
# Files that are hashed ahead of the network at most.
LOOK_AHEAD = 256
# The largest picture in four bytes a pixel; a longer file is embedded without the cache.
MAX_HASHED_BYTES = 4 * MAX_PIXELS

# Inode, size and time of change in nanoseconds.
_Stamp = tuple[int, int, int]


def embed(
    encoder: Encoder, values: Sequence[str], *, label: str = "", cache: EmbeddingCache | None
) -> Encoded:
    """Embed values, as ``encoder.encode`` does, taking from the cache what it holds."""
    if cache is None or not encoder.cached:
        return encoder.encode(values, label=label)
    wanted = distinct(values)
    contents = _contents(encoder.reads, wanted)
    with progress_bar(len(wanted), label, encoder.reads) as bar:
        run = _Run(encoder, cache, len(wanted), bar, stores=len(values) >= FEWEST_STORED)
        try:
            while window := list(islice(contents, BATCH[encoder.reads])):
                run.add(window)
            return run.finish(values)
        finally:
            # Also of a run that is interrupted.
            run.store()


def content_digests(reads: ModalityKind, values: Sequence[str]) -> list[str]:
    """Return the sha256 in hex of what each value stands for; "" where nothing can be read."""
    known = {content.value: content.digest for content in _contents(reads, distinct(values))}
    return [(known.get(value) or b"").hex() for value in values]


class _Content(NamedTuple):
    """A value, and the digest of what it stands for: none for a file that is not to be read."""

    value: str
    digest: bytes | None = None
    stamp: _Stamp | None = None

    @property
    def key(self) -> bytes | str:
        return self.digest or self.value


def _contents(reads: ModalityKind, values: Sequence[str]) -> Iterator[_Content]:
    if reads == "picture":
        yield from _pictures_ahead(values)
    else:
        for text in values:
            encoded = text.encode("utf-8", "surrogatepass")
            yield _Content(text, hashlib.sha256(encoded).digest())


def _pictures_ahead(paths: Sequence[str]) -> Iterator[_Content]:
    """Read files in threads, a bounded number of them ahead of the network."""
    with ThreadPoolExecutor(HASHING_THREADS) as pool:
        waiting: deque[Future[_Content]] = deque()
        for path in paths:
            waiting.append(pool.submit(_picture, path))
            if len(waiting) > LOOK_AHEAD:
                yield waiting.popleft().result()
        yield from (future.result() for future in waiting)


def _picture(path: str) -> _Content:
    stamp = _stamp(path)
    if stamp is not None:
        with suppress(OSError):
            return _Content(path, bytes.fromhex(sha256_of(Path(path))), stamp)
    return _Content(path)


def _stamp(path: str) -> _Stamp | None:
    try:
        found = Path(path).stat()
    except (OSError, ValueError):
        return None
    # Reading a named pipe would wait for ever.
    if not stat.S_ISREG(found.st_mode) or found.st_size > MAX_HASHED_BYTES:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


class _Run:
    """The rows that are known so far, and the contents that wait to fill a batch."""

    def __init__(
        self, encoder: Encoder, cache: EmbeddingCache, count: int, bar: Any, stores: bool
    ) -> None:
        self._encoder, self._fingerprint = encoder, encoder.fingerprint
        self._cache, self._stores, self._bar = cache, stores, bar
        # The last row, of zeros, is that of missing values.
        self._vectors = np.zeros((count + 1, encoder.dim), dtype=np.float32)
        self._row_of_key: dict[bytes | str, int] = {}
        self._row_of_value: dict[str, int] = {}
        self._reasons: dict[int, str] = {}
        self._waiting: list[_Content] = []
        self._unstored: list[_Content] = []
        self._stored_at = time.monotonic()

    def add(self, window: Sequence[_Content]) -> None:
        """Take from the cache what it holds, and embed the rest as soon as it fills a batch."""
        fresh = []
        for content in window:
            if content.key not in self._row_of_key:
                self._row_of_key[content.key] = len(self._row_of_key)
                fresh.append(content)
            self._row_of_value[content.value] = self._row_of_key[content.key]
        digests = [content.digest for content in fresh if content.digest]
        found = self._cache.get(self._fingerprint, digests, self._encoder.dim)
        for digest, vector in found.items():
            self._vectors[self._row_of_key[digest]] = vector
        missing = [content for content in fresh if content.digest not in found]
        self._bar.update(len(window) - len(missing))
        self._waiting += missing
        size = BATCH[self._encoder.reads]
        while len(self._waiting) >= size:
            self._embed(self._waiting[:size])
            del self._waiting[:size]

    def finish(self, values: Sequence[str]) -> Encoded:
        """Embed what still waits, and return a row for each value, and the problems."""
        if self._waiting:
            self._embed(self._waiting)
        rows = [self._row_of_value.get(value, MISSING) for value in values]
        problems = group_by_reason(map(self._reasons.get, rows))
        every = self._vectors[:-1]
        # A large catalogue, each of its values another one, is not copied.
        in_order = np.array_equal(rows, np.arange(len(every)))
        return Encoded(every if in_order else self._vectors[rows], problems)

    def _embed(self, batch: Sequence[_Content]) -> None:
        contents = {content.value: content for content in batch}
        for values, encoded in self._encoder.encode_parts(list(contents)):
            rows = [self._row_of_key[contents[value].key] for value in values]
            self._vectors[rows] = encoded.vectors
            for reason, positions in encoded.problems.items():
                self._reasons.update({rows[position]: reason for position in positions})
            self._unstored += [contents.pop(value) for value in values]
            self._bar.update(len(values))
            if time.monotonic() - self._stored_at > STORED_EVERY:
                self.store()
        # What has no row at all, such as a text without a letter.
        self._unstored += contents.values()
        self._bar.update(len(contents))
        self.store()

    def store(self) -> None:
        """Put the rows into the cache that are not there yet."""
        if self._stores and self._unstored:
            rows = [self._row_of_key[content.key] for content in self._unstored]
            vectors = {
                content.digest: self._vectors[row]
                for content, row in zip(self._unstored, rows, strict=True)
                if content.digest
                and row not in self._reasons
                # A file that was changed meanwhile has another content than its digest says.
                and (content.stamp is None or content.stamp == _stamp(content.value))
            }
            self._cache.put(self._encoder.spec, self._fingerprint, vectors)
        self._unstored.clear()
        self._stored_at = time.monotonic()
