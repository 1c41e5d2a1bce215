"""Where bulk work is done: by this process, or by the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from prodcat_index.errors import ClusterError
from prodcat_index.progress import progress_bar

EngineName = Literal["local", "ray"]

Start = Callable[[], Any]  # makes what a worker keeps
Work = Callable[[Any, Any], Any]  # does an item with that, and returns a result


class Engine(Protocol):
    """What does many items of work, each of which may be done twice with the same result."""

    def connect(self) -> None:
        """Raise ClusterError if there is nothing to work with; called before anything is done."""
        ...

    def map(
        self, start: Start, work: Work, items: Sequence[Any], *, label: str, unit: str, folder: Path
    ) -> Iterator[tuple[int, Any]]:
        """Do each item once or, where a worker dies, again, and yield its number and result.

        Each worker calls `start` once, and `work` with what that returned. Items are done in any
        order, and two workers may do one at the same time. What is large is written to files in
        `folder`, which all workers reach, and a result tells of them. An error of `start` or
        `work` ends it all, and is raised here.
        """
        ...


@dataclass(frozen=True)
class LocalEngine:
    """Does all items in this process, in their order."""

    def connect(self) -> None:
        """Do nothing: this process is there."""

    def map(
        self, start: Start, work: Work, items: Sequence[Any], *, label: str, unit: str, folder: Path
    ) -> Iterator[tuple[int, Any]]:
        """Do each item once."""
        if not items:
            return
        state = start()
        with progress_bar(len(items), label, unit) as bar:
            for number, item in enumerate(items):
                yield number, work(state, item)
                bar.update()


def open_engine(name: EngineName = "local", address: str | None = None) -> Engine:
    """Return the engine of a name.

    Parameters
    ----------
    name
        ``"local"`` for this process, ``"ray"`` for the workers of a Ray cluster.
    address
        ``HOST:PORT`` of the head of the cluster. By default Ray is started on this machine.

    Returns
    -------
    Engine
        For ``build_in_shards``, ``predict_in_shards`` and ``audit_catalogue``. Nothing is
        connected before it is used.

    Raises
    ------
    ClusterError
        If the address is none, or the package ray is not installed.
    """
    if name == "local":
        if address is not None:
            raise ClusterError(f"The address {address} is that of a cluster; name its engine, ray.")
        return LocalEngine()
    from prodcat_index.distributed.ray_engine import RayEngine

    return RayEngine(address)
