"""Opens damaged indexes in processes of their own, within bounded memory and time."""

from __future__ import annotations

import resource
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from prodcat_index.errors import ProdcatError
from scripts.benchmarks.faults_sample import answers, are_same, is_sound
from scripts.benchmarks.measuring import MB, peak_bytes, stopwatch

MAX_MEMORY, MAX_SECONDS = 1024 * MB, 10.0
# A worker imports, and answers once, before it is given anything.
START_SECONDS = 300.0
# What a user may read of a damaged file, hostile names included.
MAX_SENTENCE = 2000
LINUX = sys.platform == "linux"

REFUSED, RIGHT, OTHER, UNSOUND = "refused", "right", "other answers", "impossible answers"
ERROR, MEMORY, HANG, CRASH = "another error", "memory", "hang", "crash"


@dataclass(frozen=True)
class Tried:
    """What became of one damaged index: of the answers, and of `info --verify`."""

    answered: str
    verified: str
    detail: str = ""
    seconds: float = 0.0
    memory: int = 0  # bytes, above what the worker had before


class Worker:
    """A process that opens one index after the other, and is replaced when it ends or hangs."""

    def __init__(self, sample: Path, picture: Path | None = None) -> None:
        self._sample, self._picture = sample, picture
        self._process: BaseProcess | None = None
        self._connection: Connection | None = None

    def attempt(self, folder: Path, pictured: bool = False) -> Tried:
        """Answer from an index and verify it."""
        if self._process is None:
            self._start()
        assert self._process and self._connection
        try:
            self._connection.send((folder, pictured))
            if not self._connection.poll(MAX_SECONDS):
                self.close()
                return Tried(HANG, HANG, f"no answer within {MAX_SECONDS:.0f} s", MAX_SECONDS)
            tried: Tried = self._connection.recv()
        except (BrokenPipeError, EOFError):
            self._process.join()
            code = self._process.exitcode or 0
            name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
            self.close()
            return Tried(CRASH, CRASH, name)
        return tried

    def _start(self) -> None:
        context = get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, self._sample, self._picture), daemon=True
        )
        self._process.start()
        theirs.close()
        if not self._connection.poll(START_SECONDS) or self._connection.recv() != "ready":
            raise RuntimeError("A worker does not answer from the undamaged index.")

    def close(self) -> None:
        """End the process."""
        if self._process and self._connection:
            self._process.kill()
            self._process.join()
            self._connection.close()
        self._process = self._connection = None


def _serve(connection: Connection, sample: Path, picture: Path | None) -> None:
    expected = answers(sample, picture)
    _verify(sample)
    connection.send("ready")
    if LINUX:
        limit = _virtual_bytes() + MAX_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    with suppress(EOFError, KeyboardInterrupt):
        while True:
            folder, pictured = connection.recv()
            connection.send(_try(folder, picture if pictured else None, expected))


def _virtual_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    return pages * resource.getpagesize()


def _try(folder: Path, picture: Path | None, expected: dict[str, Any]) -> Tried:
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    before = peak_bytes()
    with stopwatch() as spent:
        answered, detail = _outcome(lambda: _compare(answers(folder, picture), expected))
        verified, noticed = _outcome(lambda: _verify(folder))
    memory = peak_bytes() - before
    if memory > MAX_MEMORY:
        answered = MEMORY
    return Tried(answered, verified, detail or noticed, spent.wall, memory)


def _outcome(call: Any) -> tuple[str, str]:
    try:
        return call() or RIGHT, ""
    except ProdcatError as error:
        said = str(error)
        if any(isinstance(cause, MemoryError) for cause in _chain(error)):
            return MEMORY, said
        if not said.isprintable() or len(said) > MAX_SENTENCE:
            return ERROR, f"no sentence: {said[:MAX_SENTENCE]!r}"
        return REFUSED, said
    except MemoryError as error:
        return MEMORY, repr(error)
    except Exception as error:
        import traceback

        last = traceback.extract_tb(error.__traceback__)[-1]
        return ERROR, f"{error!r} at {Path(last.filename).name}:{last.lineno}"


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _compare(answer: dict[str, Any], expected: dict[str, Any]) -> str:
    if not is_sound(answer):
        return UNSOUND
    return RIGHT if all(are_same(answer[name], expected[name]) for name in answer) else OTHER


def _verify(folder: Path) -> str:
    """Do what ``prodcat info`` does."""
    from prodcat_index.index.folder import read_journal
    from prodcat_index.index.folder_card import index_card, rebuild_reason
    from prodcat_index.index.integrity import verify_index

    manifest = verify_index(folder)
    index_card(manifest)
    rebuild_reason(manifest)
    read_journal(folder)
    return ""
