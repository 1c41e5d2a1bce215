"""One thread that calls the library."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from prodcat_index.service import batching
from prodcat_index.service.batching import Batcher
from prodcat_index.service.monitoring import Metrics
from prodcat_index.service.problem_details import Problem
from prodcat_index.service.settings import Limits


class Library:
    """Doubles numbers, batch by batch, when it is let."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_go = threading.Event()

    def double(self, numbers: list[int]) -> list[int]:
        assert self.may_go.wait(10)
        self.batches.append(numbers)
        if 13 in numbers:
            raise ValueError("unlucky")
        return [2 * number for number in numbers]


def run(body: Callable[[Batcher, Library], Awaitable[Any]], limits: Limits | None = None) -> Any:
    async def main() -> Any:
        batcher, library = Batcher(limits or Limits(), Metrics()), Library()
        try:
            return await body(batcher, library)
        finally:
            library.may_go.set()
            batcher.close()

    return asyncio.run(main())


async def asked(*calls: Any) -> list[asyncio.Task[Any]]:
    """Start calls, and let each come as far as it can."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    await asyncio.sleep(0.01)
    return tasks


def test_what_waits_while_the_thread_is_busy_is_answered_by_one_call_a_kind() -> None:
    """Sixty-four clients would get a sixty-fourth of the speed of the network each."""

    async def body(batcher: Batcher, library: Library) -> None:
        kinds = ["a", "a", "b", "a", "b"]
        tasks = await asked(
            *(batcher.ask(kind, n, library.double) for n, kind in enumerate(kinds, start=1))
        )
        library.may_go.set()
        assert await asyncio.gather(*tasks) == [2, 4, 6, 8, 10]
        assert library.batches == [[1], [2, 4], [3, 5]]

    run(body)


def test_a_batch_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first of many would wait for the last."""
    monkeypatch.setattr(batching, "MOST", 2)

    async def body(batcher: Batcher, library: Library) -> None:
        tasks = await asked(*(batcher.ask("a", n, library.double) for n in range(6)))
        library.may_go.set()
        await asyncio.gather(*tasks)
        assert library.batches == [[0], [1, 2], [3, 4], [5]]

    run(body)


def test_an_error_is_of_the_request_that_caused_it() -> None:
    """A stranger's bad listing would spoil the answers of everybody beside it."""

    async def body(batcher: Batcher, library: Library) -> None:
        tasks = await asked(*(batcher.ask("a", n, library.double) for n in (1, 12, 13, 14)))
        library.may_go.set()
        one, twelve, thirteen, fourteen = await asyncio.gather(*tasks, return_exceptions=True)
        assert (one, twelve, fourteen) == (2, 24, 28)
        assert isinstance(thirteen, ValueError)

    run(body)


def test_more_than_may_wait_are_told_when_to_come_again() -> None:
    """Memory would fill with requests that nobody waits for any more."""

    async def body(batcher: Batcher, library: Library) -> None:
        tasks = await asked(*(batcher.ask("a", n, library.double) for n in range(4)))
        with pytest.raises(Problem) as refused:
            await batcher.ask("a", 4, library.double)
        assert refused.value.status_code == 429
        assert int((refused.value.headers or {})["Retry-After"]) >= 1
        library.may_go.set()
        assert await asyncio.gather(*tasks) == [0, 2, 4, 6]

    run(body, Limits(waiting=3))


def test_a_request_that_takes_too_long_is_answered_and_costs_nothing_more() -> None:
    """A client would hang, and the library would answer those who gave up."""

    async def body(batcher: Batcher, library: Library) -> None:
        late = asyncio.gather(
            *(batcher.ask("a", n, library.double) for n in (1, 2)), return_exceptions=True
        )
        first, second = await late
        assert isinstance(first, Problem) and first.status_code == 503
        assert isinstance(second, Problem) and "within 0.05 s" in second.detail
        library.may_go.set()
        await batcher.run(lambda: None)
        assert library.batches == [[1]]

    run(body, Limits(seconds=0.05))


def test_closing_waits_for_what_is_under_way() -> None:
    async def body(batcher: Batcher, library: Library) -> None:
        (task,) = await asked(batcher.ask("a", 1, library.double))
        library.may_go.set()
        await asyncio.to_thread(batcher.close)
        assert await task == 2

    run(body)
