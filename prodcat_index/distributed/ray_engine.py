"""Bulk work by the workers of a Ray cluster."""

from __future__ import annotations

import logging
import os
import platform
import socket
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from prodcat_index import __version__
from prodcat_index.distributed.engines import Start, Work
from prodcat_index.distributed.work_queue import PATIENCE, Event, Patience, WorkQueue
from prodcat_index.errors import ClusterError, one_line
from prodcat_index.files import remove
from prodcat_index.findings import counted
from prodcat_index.progress import note_once, progress_bar, verbosity

# Seconds until a port answers, and until Ray, which tries for a while, has connected or started.
PORT_PATIENCE, CONNECT_PATIENCE = 10.0, 120.0
# Results are small: what is large is in files.
STORE_BYTES = 100 * 2**20
# Before ray is imported: it would ask a network who is there, and send figures of use to it.
DEFAULTS = {
    "RAY_AUTH_MODE": "token",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
}
VERSIONS = f"prodcat-index {__version__} and Python {platform.python_version()}"


@dataclass(frozen=True)
class RayEngine:
    """Does items by workers on all nodes of a Ray cluster, by one for each CPU but one."""

    address: str | None = None
    patience: Patience = PATIENCE

    def __post_init__(self) -> None:
        if self.address is not None:
            _host_and_port(self.address)
        if find_spec("ray") is None:
            raise ClusterError(
                "The engine ray needs the package ray, which is not installed; run: "
                "pip install 'prodcat-index[cluster]', or ray alone."
            )

    def connect(self) -> None:
        """Connect to the cluster, or start Ray here, unless that is done."""
        _connect(self.address)

    def map(
        self, start: Start, work: Work, items: Sequence[Any], *, label: str, unit: str, folder: Path
    ) -> Iterator[tuple[int, Any]]:
        """Do each item by some worker; see :class:`~prodcat_index.distributed.engines.Engine`."""
        if not items:
            return
        self.connect()
        folder.mkdir(parents=True, exist_ok=True)
        mark = folder.resolve() / f".reached-{uuid.uuid4().hex}"
        mark.touch()
        workers = RayWorkers(self.address, mark, start, work, items)
        queue = WorkQueue(workers, len(items), unit, self.patience)
        try:
            with progress_bar(len(items), label, unit) as bar, closing(queue.work_off(bar)) as done:
                yield from done
        finally:
            remove(mark)
        if queue.again:
            note_once(
                f"{counted(queue.again, f'{unit}s were')} begun by a worker that ended, and done "
                "by another one"
            )


def _host_and_port(address: str) -> tuple[str, int]:
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal():
        raise ClusterError(
            f"{address!r} is no address of a cluster, such as 10.0.0.1:6379: the machine and the "
            "port that ray start --head names."
        )
    return host, int(port)


def _connect(address: str | None) -> None:
    """Connect to a cluster, or start Ray here; raise ClusterError if that takes too long."""
    for name, value in DEFAULTS.items():
        os.environ.setdefault(name, value)
    import ray

    if ray.is_initialized():
        return
    if address is not None:
        host, port = _host_and_port(address)
        try:
            socket.create_connection((host, port), PORT_PATIENCE).close()
        except OSError as error:
            raise ClusterError(
                f"There is no Ray cluster at {address} ({error}). Start one with ray start --head "
                f"--port {port} on {host}, and ray start --address {address} on the other "
                "machines; a firewall may be between them."
            ) from None
    given = {"address": address or "local", "log_to_driver": False, "logging_level": logging.ERROR}
    if address is None:
        given |= {"include_dashboard": False, "object_store_memory": STORE_BYTES}
    logging.getLogger("ray").setLevel(logging.ERROR)
    # It writes the logs of nodes that die to stdout, among our results, even if none are wanted.
    ray._private.worker.print_to_stdstream = lambda *_, **__: None
    failures: list[Exception] = []

    def connect() -> None:
        try:
            ray.init(**given)
        except Exception as error:
            failures.append(error)

    # Nothing but a thread can be left alone where Ray waits for ever. What Ray starts here, though,
    # ends with the thread that started it.
    thread = threading.Thread(target=connect, daemon=True)
    if address is None:
        connect()
    else:
        with _silent_stderr():
            thread.start()
            thread.join(CONNECT_PATIENCE)
    if failures or thread.is_alive():
        cause = one_line(failures[0]) if failures else f"no answer in {CONNECT_PATIENCE:.0f} s"
        raise ClusterError(
            f"Ray did not start on this machine: {cause}"
            if address is None
            else f"The Ray cluster at {address} did not let this program in: {cause}. Look at the "
            "token, which must be that of the cluster (RAY_AUTH_TOKEN, or the file that "
            "RAY_AUTH_TOKEN_PATH names, by default ~/.ray/auth_token); at the versions of ray and "
            "Python, which must be the same; and at whether this machine is a node of the cluster "
            f"(ray start --address {address})."
        )


@contextmanager
def _silent_stderr() -> Iterator[None]:
    """Keep what Ray's own code writes there, a line for each of many attempts, from people."""
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


class _Worker:
    """What runs on a node."""

    def check(self, versions: str, mark: Path) -> None:
        """Raise ClusterError unless this node has these versions, and reaches a file."""
        if versions != VERSIONS:
            raise ClusterError(
                f"The node {_node()} of the cluster has {VERSIONS}, and this machine {versions}; "
                "install the same on all."
            )
        if not mark.is_file():
            raise ClusterError(
                f"The node {_node()} of the cluster does not reach the folder {mark.parent}; use "
                "one that all nodes find by the same name."
            )

    def begin(self, cwd: str, environment: dict[str, str], start: Start, work: Work) -> None:
        """Load what all items need."""
        verbosity.quiet = True
        os.environ.update(environment)
        # For relative paths of pictures. It may be on one machine alone.
        with suppress(OSError):
            os.chdir(cwd)
        self._work, self._state = work, start()

    def do(self, item: Any) -> Any:
        """Do an item."""
        return self._work(self._state, item)


def _node() -> str:
    import ray

    return str(ray.util.get_node_ip_address())


class RayWorkers:
    """Actors of one CPU each, wherever Ray has room for them."""

    def __init__(
        self, address: str | None, mark: Path, start: Start, work: Work, items: Sequence[Any]
    ) -> None:
        import ray

        self.where = f"the Ray cluster at {address}" if address else "Ray on this machine"
        self._kind = ray.remote(num_cpus=1, max_restarts=0, max_task_retries=0)(_Worker)
        own = {name: value for name, value in os.environ.items() if name.startswith("PRODCAT_")}
        self._mark, self._items = mark, items
        self._begin = (str(Path.cwd()), own, ray.put(start), ray.put(work))
        # What a worker does last -> the worker, and what must have come before.
        self._pending: dict[Any, tuple[Any, list[Any]]] = {}

    def room(self) -> int:
        """Return how many workers the nodes that live hold."""
        import ray

        nodes = [node for node in ray.nodes() if node["Alive"]]
        # One is left to the driver, and to what Ray itself does.
        return max(1, int(sum(node["Resources"].get("CPU", 0) for node in nodes)) - 1)

    def begin(self) -> Any:
        """Let a further worker begin, and return it; that it has begun is an event."""
        worker = self._kind.remote()
        checked = worker.check.remote(VERSIONS, self._mark)
        self._pending[worker.begin.remote(*self._begin)] = worker, [checked]
        return worker

    def give(self, worker: Any, number: int) -> None:
        """Let a worker that has nothing to do work on an item."""
        self._pending[worker.do.remote(self._items[number])] = worker, []

    def wait(self, seconds: float) -> list[Event]:
        """Return what has come of what workers do, after so many seconds at most."""
        import ray

        pending = [*self._pending]
        if not ray.wait(pending, timeout=seconds)[0]:
            return []
        ended, _ = ray.wait(pending, num_returns=len(pending), timeout=0)
        return [self._event(task) for task in ended]

    def _event(self, task: Any) -> Event:
        import ray
        from ray.exceptions import RayError, RayTaskError

        worker, before = self._pending.pop(task)
        try:
            return Event(worker, ray.get([*before, task], timeout=CONNECT_PATIENCE)[-1])
        except RayTaskError as error:
            error.cause.__cause__ = error
            return Event(worker, error=error.cause)
        except RayError as error:
            # The last line has the cause, and some guesses about it.
            lines = str(error).strip().splitlines() or [type(error).__name__]
            return Event(worker, death=one_line(lines[-1].split(" Some common causes")[0]))

    def stop(self, worker: Any) -> None:
        """End a worker at once, whatever it does."""
        import ray

        self._pending = {t: doing for t, doing in self._pending.items() if doing[0] is not worker}
        with suppress(Exception):
            ray.kill(worker)
