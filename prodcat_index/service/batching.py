"""One thread that calls the library, for all the requests that wait for it."""

from __future__ import annotations

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from prodcat_index.service.monitoring import Metrics
from prodcat_index.service.problem_details import Problem
from prodcat_index.service.settings import Limits

T = TypeVar("T")
R = TypeVar("R")
# Requests that are answered by one call. More would let the first of them wait for the last.
MOST = 64


@dataclass(eq=False)
class _Waiting:
    """A request that waits for the library."""

    kind: Hashable
    item: Any
    answer: Callable[[list[Any]], Sequence[Any]]
    future: asyncio.Future[Any]


class Batcher:
    """Calls the library in one thread, and answers requests of one kind that wait by one call."""

    # Nothing waits for others to come: while the thread is busy, a batch gathers by itself.

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits, self._metrics = limits, metrics
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="library")
        self._queue: deque[_Waiting] = deque()
        self._is_busy = False
        self._pace = 0.0  # seconds that a request took lately
        metrics.waiting.set_function(lambda: len(self._queue))

    async def run(self, call: Callable[[], R]) -> R:
        """Return what a call of the library returns."""
        return await self.ask(object(), None, lambda _: [call()])

    async def ask(self, kind: Hashable, item: T, answer: Callable[[list[T]], Sequence[R]]) -> R:
        """Return the answer for an item, given together with others of the same kind."""
        if len(self._queue) >= self._limits.waiting:
            seconds = max(1, math.ceil(self._pace * len(self._queue)))
            raise Problem(
                429,
                f"{len(self._queue)} requests wait already; ask again in {seconds} s.",
                Retry_After=str(seconds),
            )
        waiting = _Waiting(kind, item, answer, asyncio.get_running_loop().create_future())
        self._queue.append(waiting)
        self._start()
        try:
            result: R = await asyncio.wait_for(waiting.future, self._limits.seconds)
        except (TimeoutError, asyncio.TimeoutError):
            raise Problem(
                503,
                f"There was no answer within {self._limits.seconds:g} s; ask again later.",
                Retry_After=str(max(1, math.ceil(self._pace * len(self._queue)))),
            ) from None
        return result

    def close(self) -> None:
        """Wait for the call that is under way."""
        self._thread.shutdown()

    def _start(self) -> None:
        """Let the thread, if it is idle, answer the first request and those of its kind."""
        while self._queue and self._queue[0].future.done():
            self._queue.popleft()
        if self._is_busy or not self._queue:
            return
        kind, batch, rest = self._queue[0].kind, list[_Waiting](), deque[_Waiting]()
        for waiting in self._queue:
            if waiting.kind != kind or len(batch) == MOST:
                rest.append(waiting)
            elif not waiting.future.done():
                batch.append(waiting)
        self._queue, self._is_busy = rest, True
        self._metrics.batch_size.observe(len(batch))
        self._thread.submit(self._work, asyncio.get_running_loop(), batch)

    def _work(self, loop: asyncio.AbstractEventLoop, batch: list[_Waiting]) -> None:
        started = time.monotonic()
        outcomes = _outcomes(batch)
        self._pace = (time.monotonic() - started) / len(batch)
        loop.call_soon_threadsafe(self._finish, batch, outcomes)

    def _finish(
        self, batch: list[_Waiting], outcomes: list[tuple[Any, BaseException | None]]
    ) -> None:
        self._is_busy = False
        self._start()
        for waiting, (result, error) in zip(batch, outcomes, strict=True):
            if waiting.future.done():
                continue
            if error is None:
                waiting.future.set_result(result)
            else:
                waiting.future.set_exception(error)


def _outcomes(batch: list[_Waiting]) -> list[tuple[Any, BaseException | None]]:
    """Return the result or the error of each; where a batch fails, each is asked alone."""
    try:
        answers = batch[0].answer([waiting.item for waiting in batch])
        return [(answer, None) for _, answer in zip(batch, answers, strict=True)]
    except Exception as error:
        if len(batch) == 1:
            return [(None, error)]
        return [outcome for waiting in batch for outcome in _outcomes([waiting])]
