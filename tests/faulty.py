"""An `os` whose n-th call that changes the disk fails, in place of the one of `files`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from prodcat_index import files

CHANGING = {"fsync", "mkdir", "replace", "rmdir", "truncate", "unlink", "write"}


class PowerCut(BaseException):
    """Not an error that anything may handle."""


def full() -> OSError:
    """Return the error of a disk that is full."""
    return OSError(28, "No space left on device")


class FaultyOs:
    """Fails once with an error; after a power cut, nothing changes the disk any more."""

    def __init__(self, failing: int | None = None, error: BaseException | None = None) -> None:
        self.calls = 0
        self.failing = failing
        self.error = error

    def __getattr__(self, name: str) -> Any:
        # No test ends in a power cut of the machine, and waiting for the disk is slow.
        called = getattr(os, name) if name != "fsync" else id
        if name not in CHANGING and name != "open":
            return called

        def counted(*arguments: Any) -> Any:
            if name == "open" and not arguments[1] & (os.O_CREAT | os.O_WRONLY):
                return called(*arguments)
            call, self.calls = self.calls, self.calls + 1
            is_dead = isinstance(self.error, PowerCut)
            if self.failing is None or call < self.failing or (call > self.failing and not is_dead):
                return called(*arguments)
            if name == "write" and call == self.failing:
                called(arguments[0], arguments[1][: len(arguments[1]) // 2])
            assert self.error is not None
            raise self.error

        return counted


@contextmanager
def failing_at(call: int | None, error: BaseException | None = None) -> Iterator[FaultyOs]:
    """Let the n-th change of the disk fail; none for None, where changes are counted."""
    with pytest.MonkeyPatch.context() as patched:
        faulty = FaultyOs(call, error)
        patched.setattr(files, "os", faulty)
        yield faulty
