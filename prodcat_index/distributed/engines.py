"""Where bulk work is done: by this process, or by the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

from prodcat_index.progress import progress_bar

State = TypeVar("State")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Engine(Protocol):
    """What does many items of work, each of which may be done twice with the same result."""

    def map(
        self,
        start: Callable[[], State],
        work: Callable[[State, Item], Result],
        items: Sequence[Item],
        *,
        label: str,
        unit: str,
    ) -> Iterator[tuple[int, Result]]:
        """Do each item once or, where a worker dies, again, and yield its number and result.

        Each worker calls `start` once, and `work` with what that returned. Items are done in any
        order. What is large is written to files, and a result tells of them.
        """
        ...


@dataclass(frozen=True)
class LocalEngine:
    """Does all items in this process, in their order."""

    def map(
        self,
        start: Callable[[], State],
        work: Callable[[State, Item], Result],
        items: Sequence[Item],
        *,
        label: str,
        unit: str,
    ) -> Iterator[tuple[int, Result]]:
        """Do each item once."""
        if not items:
            return
        state = start()
        with progress_bar(len(items), label, unit) as bar:
            for number, item in enumerate(items):
                yield number, work(state, item)
                bar.update()
