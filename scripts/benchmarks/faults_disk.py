"""A disk that fails: the nth call about a folder, as an error, as a kill, or as a power cut.

This is how SQLite is tested. Calls of Python's ``os`` are counted, whoever makes them.
"""

from __future__ import annotations

import builtins
import errno
import io
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

# An error of the disk, the end of the process in the middle of a write, and the same with the
# loss of all that was not flushed: of the names of files, or of their content alone.
Failure = Literal["error", "kill", "lost names", "lost content"]
CALLS = ("open", "write", "fsync", "mkdir", "replace", "truncate", "unlink", "rmdir")
ALIASES = {"rename": "replace", "remove": "unlink"}
FULL_DISK = {"open", "write", "fsync", "mkdir"}
KILLED = 97


class Disk:
    """Counts the calls about a folder while it is installed, and fails one of them."""

    def __init__(self, folder: Path, failing: int | None = None, failure: Failure = "error"):
        self.calls: list[str] = []
        self._folder = folder.absolute()
        self._failing, self._failure = failing, failure
        self._is_quiet = False
        self._paths: dict[int, Path] = {}  # of open descriptors
        self._flushed: dict[Path, int] = {}  # bytes that are safe, of files that were written to
        self._undo: dict[Path, list[Callable[[], object]]] = {}  # of folders that are not flushed
        self._original = {name: getattr(os, name) for name in CALLS}

    @contextmanager
    def installed(self) -> Iterator[Disk]:
        """Count and fail while the context lasts."""
        names = [*CALLS, *ALIASES]
        before = {name: getattr(os, name) for name in names}
        opened = io.open
        for name in names:
            setattr(os, name, self._wrapped(ALIASES.get(name, name)))

        def open_file(file: Any, *rest: Any, **options: Any) -> Any:
            if isinstance(file, str | Path) and self._is_inside(Path(file)):
                self._count("open", Path(file))
            return opened(file, *rest, **options)

        builtins.open = io.open = open_file
        try:
            yield self
        finally:
            builtins.open = io.open = opened
            for name, function in before.items():
                setattr(os, name, function)

    def _is_inside(self, path: Path) -> bool:
        return not self._is_quiet and path.absolute().is_relative_to(self._folder)

    def _wrapped(self, name: str) -> Callable[..., Any]:
        original, note = self._original[name], getattr(self, f"_note_{name}", None)

        def call(target: Any, *rest: Any, **options: Any) -> Any:
            path = self._paths.get(target) if isinstance(target, int) else Path(target).absolute()
            if path is None or not self._is_inside(path):
                return original(target, *rest, **options)
            self._count(name, path, target, *rest)
            # What is read here to be undone later is no call of the writer.
            self._is_quiet = True
            try:
                after = note(path, *rest) if note else None
                result = original(target, *rest, **options)
                if name == "open":
                    self._paths[result] = path
                if after:
                    after()
            finally:
                self._is_quiet = False
            return result

        return call

    def _count(self, name: str, path: Path, *arguments: Any) -> None:
        self.calls.append(f"{name} {path.absolute().relative_to(self._folder)}")
        if len(self.calls) != self._failing:
            return
        if self._failure == "error":
            code = errno.ENOSPC if name in FULL_DISK else errno.EIO
            raise OSError(code, os.strerror(code), str(path))
        if name == "write":
            half = memoryview(arguments[1]).cast("B")
            self._original["write"](arguments[0], half[: len(half) // 2])
        self._is_quiet = True
        if self._failure == "lost names":
            for changes in self._undo.values():
                for undo in reversed(changes):
                    undo()
        if self._failure != "kill":
            for file, size in self._flushed.items():
                if file.is_file() and file.stat().st_size > size:
                    os.truncate(file, size)
        os._exit(KILLED)

    def _will_undo(self, path: Path, undo: Callable[[], object]) -> None:
        self._undo.setdefault(path.parent, []).append(undo)

    def _note_open(self, path: Path, flags: int = 0, *_: Any) -> Callable[[], None] | None:
        if not flags & (os.O_WRONLY | os.O_RDWR):
            return None
        is_new = not os.path.lexists(path)
        size = 0 if is_new or flags & os.O_TRUNC else path.stat().st_size

        def opened() -> None:
            self._flushed.setdefault(path, size)
            if is_new:
                self._will_undo(path, lambda: _restore(path, None))

        return opened

    def _note_fsync(self, path: Path) -> Callable[[], None]:
        def flushed() -> None:
            if path.is_dir():
                self._undo.pop(path, None)
            else:
                self._flushed[path] = path.stat().st_size

        return flushed

    def _note_mkdir(self, path: Path, *_: Any) -> Callable[[], None]:
        return lambda: self._will_undo(path, lambda: shutil.rmtree(path, ignore_errors=True))

    def _note_unlink(self, path: Path) -> Callable[[], None] | None:
        if path.is_symlink() or not path.is_file():
            return None
        content = path.read_bytes()
        return lambda: self._will_undo(path, lambda: _restore(path, content))

    def _note_replace(self, path: Path, target: Any) -> Callable[[], None]:
        new = Path(target).absolute()
        content = new.read_bytes() if new.is_file() else None

        def replaced() -> None:
            self._flushed[new] = self._flushed.pop(path, new.stat().st_size)
            self._will_undo(new, undo)

        def undo() -> None:
            self._flushed.pop(new)
            _restore(new, content)

        return replaced


def _restore(path: Path, content: bytes | None) -> None:
    if content is None:
        path.unlink(missing_ok=True)
    elif path.parent.is_dir():
        path.write_bytes(content)
