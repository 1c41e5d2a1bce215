"""Files and folders: opened safely, written durably and with digests, locked, replaced at once.

Nothing else writes what an index consists of, so `os` here is the seam for faults in tests.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import mmap
import os
import stat
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.errors import IndexFolderError, ProdcatError, one_line

READ_AT_ONCE = 2**20
LOCK = ".lock"
# Links are not followed, and a pipe does not block. Windows has neither.
SAFELY = sum(getattr(os, name, 0) for name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY"))
# More than any header of an array that numpy would read.
HEADER_BYTES = 2**15


def sha256_of(path: Path) -> str:
    """Return the sha256 of a file in hex; it is never in memory as a whole."""
    # hashlib.file_digest came with Python 3.11.
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while part := file.read(READ_AT_ONCE):
            digest.update(part)
    return digest.hexdigest()


class Contents(dict[str, memoryview]):
    """Opened files by their names."""

    def __missing__(self, name: str) -> memoryview:
        raise ValueError(f"{name} is missing")


def open_content(path: Path) -> memoryview:
    """Map a regular file for reading: nothing is read until it is used, even if it is removed.

    Raises OSError for a link, a pipe, a device or a folder, without a wait.
    """
    _check_regular(path.lstat())
    descriptor = os.open(path, os.O_RDONLY | SAFELY)
    try:
        status = os.fstat(descriptor)
        _check_regular(status)
        # An empty file cannot be mapped.
        if not status.st_size:
            return memoryview(b"")
        return memoryview(mmap.mmap(descriptor, status.st_size, access=mmap.ACCESS_READ))
    finally:
        os.close(descriptor)


def _check_regular(status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file")


def open_array(content: memoryview, dtype: str, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
    """Return the array of an ``.npy`` file that is mapped, of this dtype and shape (None: any).

    Nothing is unpickled or copied. Raises ValueError if it is anything else.
    """
    header = io.BytesIO(content[:HEADER_BYTES])
    # A damaged or hostile header raises errors of almost any class.
    try:
        version = np.lib.format.read_magic(header)
        if version != (1, 0):
            raise ValueError(f"its format is {version}")
        found, is_fortran, stored = np.lib.format.read_array_header_1_0(header)
    except Exception as error:
        raise ValueError(str(error) or type(error).__name__) from error
    fits = len(found) == len(shape) and all(
        side in (None, length) for length, side in zip(found, shape, strict=True)
    )
    if stored != dtype or not fits:
        raise ValueError(f"its array is {stored} {found} and not {dtype} {shape}")
    content = content[header.tell() :]
    if is_fortran:
        return raw_array(content, dtype, found[::-1]).T
    return raw_array(content, dtype, found)


def read_json(content: memoryview) -> Any:
    """Return what a JSON file holds; raise ValueError if its texts are none."""
    text = str(content, "utf-8")
    read = json.loads(text)
    if "\\u" in text:
        # Half a surrogate pair, which JSON lets through, is no text.
        json.dumps(read, ensure_ascii=False).encode("utf-8")
    return read


def raw_array(content: memoryview, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
    """Return the array that a mapped file consists of, or raise ValueError for another length."""
    if any(side < 0 for side in shape) or len(content) != _bytes_of(dtype, shape):
        raise ValueError(f"it has {len(content)} bytes and not those of {dtype} {shape}")
    return np.frombuffer(content, dtype=dtype).reshape(shape)


def _bytes_of(dtype: str, shape: tuple[int, ...]) -> int:
    # Not by numpy, whose product of hostile sides may overflow.
    size = np.dtype(dtype).itemsize
    for side in shape:
        size *= side
    return size


def damaged_file(path: Path, what: str) -> IndexFolderError:
    """Return the error for a file of an index that is not as promised."""
    return IndexFolderError(
        f"The file {path} of the index is damaged ({one_line(what)}); copy the index again or "
        "build it again."
    )


class Output(io.RawIOBase):
    """A file that is being written, and the size and sha256 of what was written so far."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._digest = hashlib.sha256()
        self.bytes = 0

    @property
    def sha256(self) -> str:
        """Digest in hex."""
        return self._digest.hexdigest()

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: Any) -> int:
        """Write all bytes of a buffer."""
        whole = rest = memoryview(data).cast("B")
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]
        self._digest.update(whole)
        self.bytes += len(whole)
        return len(whole)


@contextmanager
def create(path: Path) -> Iterator[Output]:
    """Write a new file, which is on the disk at the end; raise FileExistsError if it is there."""
    with _writing(path, os.O_CREAT | os.O_EXCL) as output:
        yield output


@contextmanager
def append(path: Path) -> Iterator[Output]:
    """Write at the end of a regular file, which is on the disk at the end."""
    _check_regular(path.lstat())
    with _writing(path, os.O_APPEND) as output:
        yield output


@contextmanager
def _writing(path: Path, flags: int) -> Iterator[Output]:
    descriptor = os.open(path, os.O_WRONLY | SAFELY | flags, 0o666)
    try:
        yield Output(descriptor)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def truncate(path: Path, size: int) -> None:
    """Take back what was appended to a file."""
    os.truncate(path, size)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it, where they are not there."""
    if not folder.is_dir():
        make_folder(folder.parent)
        os.mkdir(folder)


def remove(path: Path) -> None:
    """Remove a file, a link or an empty folder, if that is possible."""
    if os.path.lexists(path):
        with suppress(OSError):
            (os.rmdir if path.is_dir() and not path.is_symlink() else os.unlink)(path)


def replace_text(path: Path, content: str) -> None:
    """Replace a text file at once: a reader, or a power cut, finds the old content or the new."""
    unfinished = path.with_name(f".{path.name}.new")
    remove(unfinished)
    with create(unfinished) as output:
        output.write(content.encode("utf-8"))
    os.replace(unfinished, path)
    # It is replaced for all by now, even if the disk cannot tell whether that will last.
    with suppress(OSError):
        flush_folder(path.parent)


def flush_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    # Elsewhere a folder cannot be opened.
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY | SAFELY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def check_output_folder(
    folder: Path, what: str, error: type[ProdcatError], own: Collection[str] = ()
) -> None:
    """Raise `error` if `folder` is a file, or holds anything but the names in `own`.

    For a folder whose whole content is ours (it has our mark in it), do not call this.
    """
    if folder.exists() and not folder.is_dir():
        raise error(f"{folder} is a file; name a folder for the {what}.")
    foreign = [path.name for path in folder.iterdir()] if folder.is_dir() else []
    foreign = sorted(set(foreign).difference(own))
    if foreign:
        raise error(
            f"{folder} holds other files ({foreign[0]}); name a new or empty folder for the {what}."
        )


@contextmanager
def exclusive_folder(
    folder: Path,
    what: str,
    error: type[ProdcatError],
    wait: float = 0.0,
    waits: Callable[[], object] | None = None,
) -> Iterator[None]:
    """Create `folder` and hold its lock, which is waited for so many seconds.

    A thread that holds it already goes on. `waits` is called before waiting, by a command that has
    the option --wait. Raises `error` if it is not to be had, or if writing
    fails meanwhile.
    """
    from filelock import FileLock, Timeout

    try:
        folder.mkdir(parents=True, exist_ok=True)
        # One name of the folder, so that the lock is known again.
        lock = folder.resolve() / LOCK
        if os.path.lexists(lock):
            _check_regular(lock.lstat())
        own = FileLock(lock, is_singleton=True)
        try:
            held = own.acquire(timeout=0)
        except Timeout:
            if not wait:
                raise
            if waits:
                waits()
            held = own.acquire(timeout=wait)
        with held:
            yield
    except Timeout:
        waited = f" and did not end in {wait:g} s" if wait else ""
        option = " (--wait SECONDS waits for it)" if waits and not wait else ""
        raise error(
            f"Another process is writing the {what} {folder}{waited}; wait until it ends and try "
            f"again{option}."
        ) from None
    except OSError as cause:
        raise error(
            f"The {what} {folder} cannot be written ({cause}); what was there before is unchanged."
        ) from cause
