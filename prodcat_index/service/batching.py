"""One thread that calls the library, and the requests that wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


class Batcher:
    """Calls the library in one thread, whatever the number of clients."""

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="library")

    async def run(self, call: Callable[[], T]) -> T:
        """Return what a call of the library returns."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)
