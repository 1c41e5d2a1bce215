"""Progress bars and notes on stderr; bars are drawn only when stderr is a terminal."""

from __future__ import annotations

import sys
from functools import cache
from typing import Any


def progress_bar(total: int, what: str, unit: str = "card") -> Any:
    """Open a progress bar with rate and time left."""
    from tqdm import tqdm

    hidden = not what or not sys.stderr.isatty()
    return tqdm(total=total, desc=what, unit=unit, file=sys.stderr, disable=hidden)


@cache
def note_once(message: str) -> None:
    """Write a note to stderr, the first time it is given only."""
    print(f"note: {message}", file=sys.stderr)
