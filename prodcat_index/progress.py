"""Progress bars and notes on stderr; bars are drawn only when stderr is a terminal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any, TypeVar

_Value = TypeVar("_Value")
_Result = TypeVar("_Result")


def progress_bar(total: int, what: str, unit: str = "card") -> Any:
    """Open a progress bar with rate and time left."""
    from tqdm import tqdm

    hidden = not what or not sys.stderr.isatty()
    return tqdm(total=total, desc=what, unit=unit, file=sys.stderr, disable=hidden)


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
    print(f"note: {message}", file=sys.stderr)
