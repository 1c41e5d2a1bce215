"""What is written while work goes on: bars, lines and notes on stderr."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, TextIO, TypeVar

from prodcat_index.findings import counted

_Value = TypeVar("_Value")
_Result = TypeVar("_Result")


@dataclass
class Verbosity:
    """How much is written to stderr; a program that uses the library gets bars and notes alone."""

    quiet: bool = False
    # Seconds until a phase is named in a line, where no bar is drawn; None: never.
    lines_after: float | None = None
    # Lines are written in place of bars on a terminal, too.
    verbose: bool = False
    # The phase that was named last: one of many parts is named once.
    last: str = ""


verbosity = Verbosity()


@contextmanager
def quiet() -> Iterator[None]:
    """Draw no bars and write no notes meanwhile: what is done is a part of what has a bar."""
    before, verbosity.quiet = verbosity.quiet, True
    try:
        yield
    finally:
        verbosity.quiet = before


def write_line(text: str, stream: TextIO | None) -> None:
    """Write a line at once; one that nobody reads any more does not end the work."""
    if stream is None:  # closed before the program began
        return
    try:
        stream.write(f"{text}\n")
        stream.flush()
    except BrokenPipeError:
        # What is still in the buffer would fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


class _Phase:
    """Stands in for a bar: one line, as soon as the phase has taken some time."""

    def __init__(self, name: str, line: str, after: float) -> None:
        self._name, self._line, self._due = name, line, time.monotonic() + after
        self._is_told = False
        self.update(0)

    def __enter__(self) -> _Phase:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def update(self, _: float = 1) -> None:
        # Phases within this one are named in between, after which it is not named again.
        if not self._is_told and time.monotonic() >= self._due:
            if self._name != verbosity.last:
                write_line(self._line, sys.stderr)
            verbosity.last, self._is_told = self._name, True

    def set_postfix_str(self, _: str) -> None:
        pass

    clear = close = __exit__


def progress_bar(total: int, what: str, unit: str = "card") -> Any:
    """Open a progress bar with rate and time left: on a terminal; elsewhere a line names it."""
    hidden = not what or verbosity.quiet
    if hidden or verbosity.verbose or not (sys.stderr and sys.stderr.isatty()):
        after = None if hidden else verbosity.lines_after
        line = f"{what}: {counted(total, f'{unit}s')}"
        return _Phase(what, line, math.inf if after is None else after)
    from tqdm import tqdm

    return tqdm(total=total, desc=what, unit=unit, file=sys.stderr)


def map_in_threads(
    work: Callable[[_Value], _Result], values: Sequence[_Value], label: str
) -> dict[_Value, _Result]:
    """Call a function with each of the different pictures in threads, behind a bar."""
    results = {}
    with progress_bar(len(values), label, "picture") as bar, ThreadPoolExecutor() as pool:
        for value, result in zip(values, pool.map(work, values), strict=True):
            results[value] = result
            bar.update()
    return results


@cache
def note_once(message: str) -> None:
    """Write a note to stderr, the first time it is given only."""
    if not verbosity.quiet:
        write_line(f"note: {message}", sys.stderr)
