"""Running ``prodcat`` as a user does, and the list of its commands."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

import pytest
import typer

from prodcat_index.cli import main
from prodcat_index.cli.app import app

ENVIRONMENT = {
    **{key: value for key, value in os.environ.items() if key != "PRODCAT_INDEX"},
    "PRODCAT_CACHE": "off",
}


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def prodcat(
    *arguments: object, cwd: Path | None = None, stdin: str = "", encoding: str = "utf-8"
) -> Outcome:
    """Run the program in this process, with stdout and stderr of an encoding."""
    streams = {name: TextIOWrapper(BytesIO(), encoding) for name in ("stdout", "stderr")}
    streams["stdin"] = TextIOWrapper(BytesIO(stdin.encode()), "utf-8")
    with pytest.MonkeyPatch.context() as patched, warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("default", UserWarning)
        warnings.simplefilter("default", RuntimeWarning)
        patched.setattr(sys, "argv", ["prodcat", *map(str, arguments)])
        patched.delenv("PRODCAT_INDEX", raising=False)
        for name, value in ENVIRONMENT.items():
            patched.setenv(name, value)
        for name, stream in streams.items():
            patched.setattr(sys, name, stream)
        if cwd is not None:
            patched.chdir(cwd)
        with pytest.raises(SystemExit) as ended:
            main()
    out, err = (streams[name] for name in ("stdout", "stderr"))
    for stream in (out, err):
        stream.seek(0)
    said = "".join(f"{one.category.__name__}: {one.message}\n" for one in warned)
    return Outcome(int(ended.value.code or 0), out.read(), err.read() + said)


def run_apart(*arguments: object, cwd: Path | None = None, stdin: str = "") -> Outcome:
    """Run the program in a process of its own, as a user does."""
    done = subprocess.run(
        [sys.executable, "-m", "prodcat_index", *map(str, arguments)],
        cwd=cwd,
        input=stdin,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    return Outcome(done.returncode, done.stdout, done.stderr)


def call(
    arguments: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int, str, str]:
    """Run the program in this process; return exit status, stdout and stderr."""
    monkeypatch.setattr(sys, "argv", ["prodcat", *shlex.split(arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def _walk(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    yield name, command
    for sub_name, sub in getattr(command, "commands", {}).items():
        yield from _walk(sub, f"{name} {sub_name}")


# Full name, such as "prodcat cache info" -> command or group of commands.
COMMANDS = dict(_walk(typer.main.get_command(app), "prodcat"))
