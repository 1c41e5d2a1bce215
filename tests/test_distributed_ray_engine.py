"""The queue of work, by workers that stand in for those of Ray; and what is said without Ray."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodcat_index.distributed import ray_engine
from prodcat_index.distributed.engines import LocalEngine, open_engine
from prodcat_index.distributed.ray_engine import RayEngine
from prodcat_index.distributed.work_queue import BEGINNING, TRIES, Event, Patience, WorkQueue
from prodcat_index.errors import ClusterError, QueryError


class Bar:
    done = 0

    def update(self) -> None:
        self.done += 1

    def set_postfix_str(self, _: str) -> None:
        pass


@dataclass
class FakeWorkers:
    """Workers that end, are silent or fail as told: (worker, number) -> what comes of it."""

    fate: Callable[[int, int], str] = lambda worker, number: "done"
    nodes: Callable[[int], int] = lambda second: 3
    where: str = "the cluster"
    second: int = 0
    begun: int = 0
    done: list[int] = field(default_factory=list)
    stopped: list[int] = field(default_factory=list)
    doing: dict[int, int] = field(default_factory=dict)

    def room(self) -> int:
        return self.nodes(self.second)

    def begin(self) -> int:
        self.begun += 1
        self.doing[self.begun] = BEGINNING
        return self.begun

    def give(self, worker: int, number: int) -> None:
        assert worker not in self.doing, "a worker does one item at a time"
        self.doing[worker] = number

    def wait(self, seconds: float) -> list[Event]:
        self.second += 1
        events = []
        for worker, number in [*self.doing.items()]:
            fate = self.fate(worker, number)
            if fate != "silent":
                del self.doing[worker]
                events.append(self.event(worker, number, fate))
        return events

    def event(self, worker: int, number: int, fate: str) -> Event:
        if fate == "error":
            return Event(worker, error=QueryError("no such thing"))
        if fate == "dies":
            return Event(worker, death="killed")
        self.done.append(number)
        return Event(worker, number * 10)

    def stop(self, worker: int) -> None:
        self.stopped.append(worker)
        self.doing.pop(worker, None)


def queue_of(workers: FakeWorkers, count: int, **patience: float) -> WorkQueue:
    clock = lambda: float(workers.second)  # noqa: E731
    return WorkQueue(workers, count, "shard", Patience(**patience), clock)


def work_off(workers: FakeWorkers, count: int, **patience: float) -> list[tuple[int, Any]]:
    return list(queue_of(workers, count, **patience).work_off(Bar()))


def test_each_item_is_done_once_and_no_worker_is_left() -> None:
    workers, bar = FakeWorkers(), Bar()
    assert sorted(queue_of(workers, 10).work_off(bar)) == [(n, n * 10) for n in range(10)]
    assert bar.done == 10
    assert sorted(workers.stopped) == [1, 2, 3]
    assert workers.begun == 3, "workers were not used again"


def test_no_more_workers_begin_than_there_are_items() -> None:
    workers = FakeWorkers(nodes=lambda second: 50)
    assert work_off(workers, 2) == [(0, 0), (1, 10)]
    assert workers.begun == 2


@given(st.sets(st.tuples(st.integers(1, 6), st.integers(-1, 11)), max_size=12), st.integers(1, 4))
@settings(deadline=None, max_examples=200)
def test_whatever_dies_no_item_is_lost_or_doubled(dying: set[tuple[int, int]], room: int) -> None:
    """A shard that is lost with a node would be missing from the index without a word."""
    workers = FakeWorkers(
        fate=lambda worker, number: "dies" if (worker, number) in dying else "done",
        nodes=lambda second: room,
    )
    try:
        results = work_off(workers, 12)
    except ClusterError:
        of_one = max(sum(n == number for _, n in dying) for number in range(-1, 12))
        assert of_one >= TRIES
    else:
        assert sorted(results) == [(n, n * 10) for n in range(12)]
    assert workers.doing == {}


def test_an_item_that_ends_its_workers_is_named_after_the_others_are_done() -> None:
    """It would end workers for ever, or take what was not begun yet with it."""
    workers = FakeWorkers(fate=lambda worker, number: "dies" if number == 2 else "done")
    done = []
    with pytest.raises(ClusterError, match=r"The shard 3 of 6 ended 3 workers of the cluster"):
        done.extend(n for n, _ in queue_of(workers, 6).work_off(Bar()))
    assert set(workers.done) - {BEGINNING} == {0, 1, 3, 4, 5}
    assert workers.doing == {}


def test_a_node_that_comes_back_gets_work() -> None:
    workers = FakeWorkers(nodes=lambda second: 1 if second < 4 else 3)
    assert len(work_off(workers, 12)) == 12
    assert workers.begun == 3


def test_an_error_of_the_work_is_raised_as_it_is_and_ends_all_workers() -> None:
    workers = FakeWorkers(fate=lambda worker, number: "error" if number == 3 else "done")
    with pytest.raises(QueryError, match="no such thing"):
        work_off(workers, 5)
    assert sorted(workers.stopped) == [1, 2, 3]


def test_workers_that_end_as_they_begin_are_not_begun_for_ever() -> None:
    workers = FakeWorkers(fate=lambda worker, number: "dies")
    with pytest.raises(ClusterError, match=r"end as they begin, the last one: killed\."):
        work_off(workers, 5)
    assert workers.begun <= TRIES * 3 + 3


def test_no_worker_is_waited_for_for_ever() -> None:
    workers = FakeWorkers(fate=lambda worker, number: "silent")
    with pytest.raises(ClusterError, match=r"No worker of the cluster began within 20 s, where 3"):
        work_off(workers, 5, begin=20.0)
    assert 20 < workers.second < 25


def test_an_item_that_hangs_is_done_by_another_worker() -> None:
    workers = FakeWorkers(
        fate=lambda worker, number: "silent" if (worker, number) == (1, 2) else "done"
    )
    queue = queue_of(workers, 4, item=30.0)
    assert sorted(queue.work_off(Bar())) == [(n, n * 10) for n in range(4)]
    assert queue.again == 1
    assert 1 in workers.stopped


def test_closing_what_is_not_read_to_the_end_stops_the_workers() -> None:
    """Ctrl-C would leave the nodes at work."""
    workers = FakeWorkers()
    results = queue_of(workers, 10).work_off(Bar())
    next(results)
    results.close()
    assert sorted(workers.stopped) == [1, 2, 3]


def test_this_process_does_all_items_in_their_order(tmp_path: Path) -> None:
    begun = []

    def start() -> str:
        begun.append(1)
        return "state"

    done = LocalEngine().map(
        start,
        lambda state, item: (state, item),
        ["a", "b"],
        label="",
        unit="letter",
        folder=tmp_path,
    )
    assert list(done) == [(0, ("state", "a")), (1, ("state", "b"))]
    assert begun == [1]


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ray_engine, "find_spec", lambda name: None)
    with pytest.raises(ClusterError, match=r"pip install 'prodcat-index\[cluster\]'"):
        open_engine("ray")


@pytest.mark.parametrize("address", ["host", "ray://host:10001", "host:port", ":6379", ""])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ClusterError, match=r"is no address of a cluster"):
        RayEngine(address)


def test_an_address_needs_the_engine_ray() -> None:
    with pytest.raises(ClusterError, match="name its engine, ray"):
        open_engine("local", "10.0.0.1:6379")


def test_a_node_of_another_version_or_without_the_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would answer otherwise, or say that a file is missing which is there."""
    monkeypatch.setattr(ray_engine, "_node", lambda: "10.0.0.7")
    worker, mark = ray_engine._Worker(), tmp_path / "mark"
    with pytest.raises(ClusterError, match=r"The node 10\.0\.0\.7 .* has prodcat-index .* and th"):
        worker.check("prodcat-index 99 and Python 3.11.7", mark)
    with pytest.raises(ClusterError, match=r"10\.0\.0\.7 of the cluster does not reach the folder"):
        worker.check(ray_engine.VERSIONS, mark)
    mark.touch()
    worker.check(ray_engine.VERSIONS, mark)


def test_ray_is_not_imported_until_it_is_used() -> None:
    code = "import sys, prodcat_index.distributed.ray_engine; assert 'ray' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
