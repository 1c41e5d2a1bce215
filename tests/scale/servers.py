"""Servers that a test starts, kills and starts again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from prodcat_index.distributed.milvus import MilvusStore, connect
from prodcat_index.errors import StoreError
from prodcat_index.index.stores import StoreAddress

ROOT = Path(__file__).parents[2]
MILVUS = ROOT / ".venv-milvus" / "bin" / "milvus-server"
LITE = Path(sys.executable).parent / "milvus-lite"
STARTING = 120.0


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as tried, suppress(OSError):
        tried.bind(("127.0.0.1", port))
        return True
    return False


class MilvusServer:
    """A server in a group of processes of its own, over a folder that outlives it."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.environment = {"MILVUS_TOKEN": "root:Milvus"}  # which one of kind lite ignores
        self.port = free_port()
        self.address = StoreAddress(f"milvus+http://127.0.0.1:{self.port}")
        self.folder = folder
        self.kind = kind
        program = {"lite": LITE, "standalone": MILVUS}[kind]
        if not program.exists():
            if os.environ.get("PRODCAT_SCALE_OPTIONAL"):
                pytest.skip(f"{program} is not installed")
            pytest.fail(f"{program} is not installed; run scripts/test-scale")
        self.command: list[str] = [str(program)]
        if kind == "lite":
            self.command += ["server", "--host", "127.0.0.1", "--port", str(self.port)]
            self.command += ["--data-dir", str(folder)]
        else:
            self.command += ["--proxy-port", str(self.port), "--data", str(folder)]
            self.command += self._guard(folder.parent)
        self.process: subprocess.Popen[bytes] | None = None

    def _guard(self, folder: Path) -> list[str]:
        """Return the options of a server that has a certificate and wants a token."""
        key, certificate = folder / "server.key", folder / "server.pem"
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"]
        command += ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
        command += ["-keyout", str(key), "-out", str(certificate)]
        subprocess.run(command, check=True, capture_output=True, timeout=60)
        self.address = StoreAddress(f"milvus+https://localhost:{self.port}")
        self.environment["GRPC_DEFAULT_SSL_ROOTS_FILE_PATH"] = str(certificate)
        options = ["--authorization-enabled", "true", "--tls-mode", "1"]
        return [*options, "--server-pem-path", str(certificate), "--server-key-path", str(key)]

    def start(self) -> MilvusServer:
        # While the last connections end, a standalone server would take another port.
        end = time.monotonic() + STARTING
        while not _is_free(self.port):
            assert time.monotonic() < end, "the port stays in use"
            time.sleep(0.2)
        with (self.folder.parent / f"{self.folder.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, start_new_session=True
            )
        return self

    def wait(self) -> MilvusServer:
        """Wait until it answers."""
        end = time.monotonic() + STARTING
        while True:
            try:
                self.connect().tables("")
            except StoreError:
                assert time.monotonic() < end, "the server did not start"
                assert self.process is not None and self.process.poll() is None, "it ended"
            else:
                return self

    def connect(self) -> MilvusStore:
        return connect(self.address)

    def stop(self) -> None:
        """Ask it to end. SIGTERM would orphan the child of a standalone server."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def _end(self, number: int) -> None:
        if self.process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, number)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=20)
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(timeout=20)
        self.process = None
