"""Nodes of a Ray cluster on this machine, and work on them that a test can hold up."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from servers import ROOT, free_port

from prodcat_index import files
from prodcat_index.distributed import shards
from prodcat_index.distributed.ray_engine import RayEngine

HEAD, WORKER = "127.0.0.2", "127.0.0.3"
STARTING = 120.0
# Every process of a node inherits it, whatever session it moves to.
MARK = "SCALE_TEST_NODE"
SMALL = 80_000_000


class RayNodes:
    """A head and a worker of two CPUs each, which can be killed as a machine that loses power."""

    def __init__(self) -> None:
        # A path of a socket has 107 characters at most.
        self.folder = Path(tempfile.mkdtemp(prefix="ray", dir="/tmp"))
        self.name, self.address = uuid.uuid4().hex, f"{HEAD}:{free_port()}"
        self.environment = {
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": secrets.token_hex(32),
            "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
            "PRODCAT_CACHE": "off",
            "PYTHONPATH": os.pathsep.join([str(ROOT), str(Path(__file__).parent)]),
        }

    def start_head(self) -> None:
        _, _, port = self.address.rpartition(":")
        self._start(HEAD, "--head", "--port", port, "--include-dashboard=false", "--num-cpus=2")

    def start_worker(self, cpus: int = 2) -> None:
        self._start(WORKER, "--address", self.address, f"--num-cpus={cpus}")

    def kill(self, node: str) -> None:
        """Kill all processes of a node at once, until none is left."""
        until = time.monotonic() + STARTING
        while pids := self.processes(node):
            assert time.monotonic() < until, f"processes of {node} do not end: {pids}"
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.05)

    def stop(self) -> None:
        self.kill(WORKER)
        self.kill(HEAD)
        shutil.rmtree(self.folder, ignore_errors=True)

    def run(self, *arguments: object, **more: str) -> subprocess.CompletedProcess[str]:
        """Run Python with the cluster's token, to its end."""
        return subprocess.run(
            [sys.executable, *map(str, arguments)],
            env={**os.environ, **self.environment, **more},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    def _start(self, node: str, *options: str) -> None:
        program = Path(sys.executable).parent / "ray"
        if not program.exists():
            if os.environ.get("PRODCAT_SCALE_OPTIONAL"):
                pytest.skip("ray is not installed")
            pytest.fail("ray is not installed; run scripts/test-scale")
        command = [str(program), "start", *options, "--node-ip-address", node]
        command += [f"--object-store-memory={SMALL}", "--disable-usage-stats"]
        command += ["--temp-dir", str(self.folder)] if node == HEAD else []
        started = subprocess.run(
            command,
            env={**os.environ, **self.environment, MARK: f"{self.name}-{node}"},
            capture_output=True,
            text=True,
            timeout=STARTING,
            check=False,
        )
        assert started.returncode == 0, started.stdout + started.stderr

    def processes(self, node: str) -> list[int]:
        """Return the processes of a node that live."""
        mark = f"{MARK}={self.name}-{node}".encode()
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                is_dead = b") Z " in (process / "stat").read_bytes()
                if mark in (process / "environ").read_bytes() and not is_dead:
                    found.append(int(process.name))
        return found


@dataclass(frozen=True)
class WatchedEngine(RayEngine):
    """Writes down what is done where; on the worker node, the first write of all is held up."""

    log: Path = Path()
    rows: int = 50
    seconds: float = 0.0  # that each item takes at least
    is_held_up: bool = False

    def map(
        self,
        start: Callable[[], Any],
        work: Callable[[Any, Any], Any],
        items: Sequence[Any],
        **more: Any,
    ) -> Iterator[tuple[int, Any]]:
        begin = partial(_begin, start, self.rows, self.log if self.is_held_up else None)
        watched = partial(_watched, work, self.log, self.seconds)
        yield from super().map(begin, watched, items, **more)

    def done(self) -> list[tuple[str, str]]:
        """Return the node and the item of all that was done."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        return [(line.split()[0], line.split()[1]) for line in lines]


def node() -> str:
    import ray

    return str(ray.util.get_node_ip_address())


def _begin(start: Callable[[], Any], rows: int, log: Path | None) -> Any:
    shards.ROWS_IN_SHARD = rows
    if log is not None and node() == WORKER:
        create = files.create

        def held_up(path: Path) -> Any:
            # Half of the first file of a shard, and then the power goes.
            if path.suffix == ".f16":
                path.write_bytes(b"half")
                log.with_name("held up").touch()
                time.sleep(600)
            return create(path)

        files.create = held_up
    return start()


def _watched(
    work: Callable[[Any, Any], Any], log: Path, seconds: float, state: Any, item: Any
) -> Any:
    time.sleep(seconds)
    result = work(state, item)
    with log.open("a", encoding="utf-8") as file:
        file.write(f"{node()} {item}\n")
    return result
