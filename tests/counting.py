"""Encoders that tell what they embedded, and embedding with them in a process of its own.

``python counting.py LOG SECONDS BATCH START STOP [STORED_EVERY]`` embeds the texts ``text START``
to ``text STOP - 1``, spends the seconds on each, writes each into the log, and prints the sha256
of the rows.
"""

from __future__ import annotations

import hashlib
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from prodcat_index.cards.card import ModalityKind
from prodcat_index.encoders import embedding
from prodcat_index.encoders.base import Encoded, Encoder, unit_rows
from prodcat_index.encoders.cache import default_cache
from prodcat_index.types import Float32Array

DIM = 8
UNREADABLE = "unreadable"


class CountingEncoder(Encoder):
    """Embeds a text, or a picture file's bytes, by their digest; what holds UNREADABLE, not."""

    spec = "counting"
    dim = DIM
    fingerprint = "one"

    def __init__(
        self,
        reads: ModalityKind = "text",
        fingerprint: str = fingerprint,
        *,
        log: Path | None = None,
        seconds: float = 0.0,
    ) -> None:
        self.reads = reads  # type: ignore[misc]
        self.fingerprint = fingerprint
        self.calls: list[list[str]] = []
        self._log = log
        self._seconds = seconds

    @property
    def embedded(self) -> list[str]:
        return [value for call in self.calls for value in call]

    @classmethod
    def from_spec(cls, argument: str) -> CountingEncoder:
        return cls()

    def encode(self, values: Sequence[str], *, label: str = "") -> Encoded:
        self.calls.append(list(values))
        rows = np.zeros((len(values), DIM), dtype=np.float32)
        problems: dict[str, list[int]] = {}
        for position, value in enumerate(values):
            self._tell(value)
            if UNREADABLE in value:
                problems.setdefault(f"it is {value[-1]}", []).append(position)
            elif value:
                rows[position] = self._row(value)
        return Encoded(rows, problems)

    def encode_parts(
        self, values: Sequence[str], *, label: str = ""
    ) -> Iterator[tuple[Sequence[str], Encoded]]:
        if not self._seconds:
            yield from super().encode_parts(values, label=label)
            return
        # A slow encoder yields what it has.
        for value in values:
            yield [value], self.encode([value])

    def _row(self, value: str) -> Float32Array:
        is_file = self.reads == "picture"
        content = Path(value).read_bytes() if is_file else value.encode("utf-8", "surrogatepass")
        seed = hashlib.sha256(self.fingerprint.encode() + content).digest()
        drawn = np.random.default_rng(list(seed)).normal(size=(1, DIM))
        return unit_rows(drawn)[0]

    def _tell(self, value: str) -> None:
        time.sleep(self._seconds)
        if self._log is not None:
            with self._log.open("a", encoding="utf-8") as file:
                file.write(f"{value}\n")


def texts(start: int, stop: int) -> list[str]:
    return [f"text {number}" for number in range(start, stop)]


def digest(encoded: Encoded) -> str:
    return hashlib.sha256(encoded.vectors.tobytes()).hexdigest()


def main(
    log: str, seconds: str, batch: str, start: str, stop: str, stored_every: str = "inf"
) -> None:
    embedding.BATCH["text"] = int(batch)
    embedding.STORED_EVERY = float(stored_every)
    encoder = CountingEncoder(log=Path(log), seconds=float(seconds))
    values = texts(int(start), int(stop))
    print(digest(embedding.embed(encoder, values, cache=default_cache())))


if __name__ == "__main__":
    # Ignored where the tests run in the background of a shell.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main(*sys.argv[1:])
