"""Seconds and memory."""

from __future__ import annotations

import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

MB = 1024**2
_T = TypeVar("_T")


@dataclass
class Spent:
    """Seconds on the clock, and of processor time."""

    wall: float = 0.0
    cpu: float = 0.0


@contextmanager
def stopwatch() -> Iterator[Spent]:
    spent, wall, cpu = Spent(), time.perf_counter(), time.process_time()
    yield spent
    spent.wall, spent.cpu = time.perf_counter() - wall, time.process_time() - cpu


def in_own_process(work: Callable[..., _T], *arguments: Any) -> _T:
    """Run a function where nothing else has taken memory before."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(work, *arguments).result()


def peak_bytes() -> int:
    """Return the largest resident memory of this process, mapped files included."""
    status = Path("/proc/self/status")
    if status.is_file():
        # What getrusage tells of a new process may be its parent's peak.
        line = next(ln for ln in status.read_text().splitlines() if ln.startswith("VmHWM"))
        return 1024 * int(line.split()[1])
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def cores() -> int:
    return os.cpu_count() or 1
