"""A queue of items, which go back into it where the worker that does them dies."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from prodcat_index.errors import ClusterError
from prodcat_index.findings import counted
from prodcat_index.progress import note_once

if TYPE_CHECKING:
    from prodcat_index.distributed.ray_engine import RayWorkers

# Workers that may die of an item before it is to blame.
TRIES = 3
# Seconds between two looks at how many workers the nodes hold.
TICK = 1.0
# What a worker does before its first item.
BEGINNING = -1
LOOK_AT = "Look at the memory of the nodes, and at the logs there (/tmp/ray/session_latest/logs)"


@dataclass(frozen=True)
class Event:
    """What came of what a worker did last: a result, an error of the work, or its death."""

    worker: Any
    result: Any = None
    error: BaseException | None = None
    death: str = ""


@dataclass(frozen=True)
class Patience:
    """Seconds after which something is not waited for any longer."""

    begin: float = 600.0  # until a first worker is ready; it loads what all items need
    item: float = 3600.0  # until an item is done


PATIENCE = Patience()


@dataclass
class WorkQueue:
    """The items of so many numbers, and the workers that do them."""

    workers: RayWorkers
    count: int
    unit: str  # what an item is called
    patience: Patience = PATIENCE
    clock: Callable[[], float] = time.monotonic
    again: int = 0  # items that went back into the queue
    _queue: deque[int] = field(default_factory=deque)
    _deaths: dict[int, int] = field(default_factory=dict)  # by number; of BEGINNING in a row
    _doing: dict[Any, tuple[int, float]] = field(default_factory=dict)  # number, and since when
    _idle: list[Any] = field(default_factory=list)

    def work_off(self, bar: Any) -> Generator[tuple[int, Any], None, None]:
        """Do all items, yield the number and the result of each once, and end the workers."""
        self._queue.extend(range(self.count))
        left, heard = self.count, self.clock()
        try:
            while left:
                room = self.workers.room()
                for _ in range(min(room, left) - len(self._doing) - len(self._idle)):
                    self._doing[self.workers.begin()] = BEGINNING, self.clock()
                self._hand_out()
                ready = [number for number, _ in self._doing.values() if number != BEGINNING]
                bar.set_postfix_str(counted(len(ready), "workers"))
                events = self.workers.wait(TICK)
                if events or ready:
                    heard = self.clock()
                elif self.clock() - heard > self.patience.begin:
                    raise ClusterError(
                        f"No worker of {self.workers.where} began within "
                        f"{self.patience.begin:.0f} s, where {counted(room, 'are possible')}. Look "
                        "at ray status: its nodes are gone, or busy with other work."
                    )
                done = [done for event in events for done in self._take(event, room)]
                for event in self._overdue():
                    self._take(event, room)
                # Workers get on while the results are dealt with.
                self._hand_out()
                for number_and_result in done:
                    left -= 1
                    bar.update()
                    yield number_and_result
        finally:
            for worker in [*self._doing, *self._idle]:
                self.workers.stop(worker)

    def _hand_out(self) -> None:
        while self._idle and self._queue:
            worker, number = self._idle.pop(), self._queue.popleft()
            self._doing[worker] = number, self.clock()
            self.workers.give(worker, number)

    def _take(self, event: Event, room: int) -> list[tuple[int, Any]]:
        """Return the item that is done, if one is; one whose worker died goes back."""
        number, _ = self._doing.pop(event.worker)
        if not event.death:
            self._idle.append(event.worker)
            if event.error is not None:
                raise event.error
            if number != BEGINNING:
                return [(number, event.result)]
            self._deaths[BEGINNING] = 0
            return []
        self.workers.stop(event.worker)
        note_once(f"a worker of {self.workers.where} ended: {event.death}")
        deaths = self._deaths[number] = self._deaths.get(number, 0) + 1
        if number == BEGINNING:
            # All that begin on a node end with it.
            if deaths >= TRIES * max(1, room):
                raise ClusterError(
                    f"The workers of {self.workers.where} end as they begin, the last one: "
                    f"{event.death}. {LOOK_AT}."
                )
            return []
        if deaths >= TRIES:
            raise ClusterError(
                f"The {self.unit} {number + 1:,} of {self.count:,} ended {TRIES} workers of "
                f"{self.workers.where}, the last one: {event.death}. {LOOK_AT}. What is done is "
                "kept, and the same command goes on from there."
            )
        self.again += 1
        # Last, so that an item that ends every worker does not keep the others waiting.
        self._queue.append(number)
        return []

    def _overdue(self) -> list[Event]:
        latest = self.clock() - self.patience.item
        death = f"the {self.unit} was not done within {self.patience.item:.0f} s"
        return [
            Event(worker, death=death)
            for worker, (number, since) in self._doing.items()
            if number != BEGINNING and since < latest
        ]
