"""Changing an index folder: each change is a new version, made as a whole or not at all.

A version is written beside the current one, which is replaced by one rename of ``manifest.json``
once everything else is on the disk. It may name files of older versions, and make those that hold
rows longer. The current version and the one before are kept; every other file is removed at the
beginning and at the end of a change, so that a writer that died leaves nothing for long.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from prodcat_index import __version__, files
from prodcat_index.encoders.base import FittedPart
from prodcat_index.errors import IndexFolderError
from prodcat_index.index.folder import (
    CARD,
    MANIFEST,
    REPLACED,
    VERSIONS,
    check_index_folder,
    is_whole,
    open_files,
    parse_manifest,
    read_text,
    write_journal,
)
from prodcat_index.index.folder_card import index_card
from prodcat_index.index.manifest import (
    FORMAT_VERSION,
    FileRecord,
    JournalEntry,
    Manifest,
    manifest_to_json,
)
from prodcat_index.index.rows import FileRows
from prodcat_index.index.store_table import drop_tables
from prodcat_index.index.stored_rows import ROWS_AT_ONCE
from prodcat_index.types import chunks


@dataclass
class Transaction:
    """A change of an index folder that this process has locked."""

    folder: Path
    current: Manifest | None  # None where there is no index that can be read
    number: int  # of the next version
    records: dict[str, FileRecord] = field(default_factory=dict)  # written or kept so far, by path
    _sizes: dict[str, int] = field(default_factory=dict)  # of files before they were appended to

    @property
    def data(self) -> str:
        """Path of the folder of the next version inside the index folder."""
        return version_path(self.number)

    @property
    def previous(self) -> Manifest | None:
        """The version before the current one, to which that can be rolled back."""
        with suppress(IndexFolderError):
            return _previous(self.folder, self.current) if self.current else None
        return None

    @contextmanager
    def create(self, name: str) -> Iterator[files.Output]:
        """Write a new file of the next version; its path is ``{data}/{name}``."""
        path = f"{self.data}/{name}"
        files.make_folder((self.folder / path).parent)
        with files.create(self.folder / path) as output:
            yield output
        self.records[path] = FileRecord(((output.bytes, output.sha256),))

    def write(self, name: str, content: FittedPart | FileRows | Sequence[Sequence[str]]) -> str:
        """Write an array as ``.npy``, or else a value as JSON, and return the path."""
        with self.create(name) as output:
            if isinstance(content, np.ndarray):
                np.save(output, content, allow_pickle=False)
            elif isinstance(content, FileRows):
                header = {"descr": content.dtype.str, "fortran_order": False}
                np.lib.format.write_array_header_1_0(output, {**header, "shape": content.shape})
                for part in chunks(len(content), ROWS_AT_ONCE):
                    output.write(content[part])
            else:
                output.write(json.dumps(content, ensure_ascii=False).encode("utf-8"))
        return f"{self.data}/{name}"

    def keep(self, path: str) -> str:
        """Let the next version have a file of the current one, and return its path."""
        assert self.current is not None, "there is a version that has it"
        self.records[path] = self.current.files[path]
        return path

    def append(self, path: str, data: Any) -> str:
        """Write a buffer behind a file, and return its path in the next version.

        It is a file of the current version, or what an earlier call returned. Readers of the
        current version do not see what is written.
        """
        path = self._appendable(path)
        record = self.records[path]
        with files.append(self.folder / path) as output:
            output.write(data)
        self.records[path] = FileRecord((*record.pieces, (output.bytes, output.sha256)))
        return path

    def _appendable(self, path: str) -> str:
        """Return the path of a file with the same content, that nobody has mapped any further."""
        if path in self._sizes or path.startswith(f"{self.data}/"):
            return path
        record = self.records[self.keep(path)]
        if (self.folder / path).lstat().st_size == record.bytes:
            self._sizes[path] = record.bytes
            return path
        content = files.open_content(self.folder / path)[: record.bytes]
        if not is_whole(content, record):
            raise files.damaged_file(self.folder / path, "its content has changed")
        del self.records[path]
        name = PurePosixPath(path).name
        with self.create(name) as output:
            output.write(content)
        copy = f"{self.data}/{name}"
        self.records[copy] = record
        return copy

    def commit(self, manifest: Manifest, change: JournalEntry) -> Manifest:
        """Make a manifest the current one, and return it as it was written."""
        change = replace(
            change,
            when=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            package=__version__,
            version=self.number,
            previous=self.current.version if self.current else None,
        )
        manifest = replace(
            manifest,
            format_version=FORMAT_VERSION,
            version=self.number,
            created=change.when,
            change=change,
        )
        try:
            text = manifest_to_json(manifest)
        except ValueError as error:
            raise IndexFolderError(
                f"The index {self.folder} cannot be written ({error}); what was there before is "
                "unchanged."
            ) from error
        self._write_own(self.number, text)
        if self.current and not self._own(self.current.version).exists():  # of an old format
            self._write_own(self.current.version, read_text(self.folder)[0])
        for parent in {above for name in self.records for above in PurePosixPath(name).parents}:
            files.flush_folder(self.folder / parent)
        files.replace_text(self.folder / MANIFEST, text)
        # From here on the new version is the current one, and the rest is made good by the next.
        with suppress(OSError):
            files.replace_text(self.folder / CARD, index_card(manifest))
            write_journal(self.folder, change)
        return manifest

    def _own(self, version: int) -> Path:
        return self.folder / version_path(version) / MANIFEST

    def _write_own(self, version: int, text: str) -> None:
        files.make_folder(self._own(version).parent)
        files.replace_text(self._own(version), text)

    def undo(self) -> None:
        """Take back what was appended, if the next version is certain not to be the current one."""
        now = _current(self.folder)
        if now is not None and now.version != self.number:
            for path, size in self._sizes.items():
                with suppress(OSError):
                    files.truncate(self.folder / path, size)


@contextmanager
def change(
    folder: Path, check: Callable[[], object] = lambda: None, wait: float = 0.0
) -> Iterator[Transaction]:
    """Change an index folder, or make one; no other process writes meanwhile.

    `check` may raise an error before anything is made, and again under the lock, which is waited
    for so many seconds. Without a :meth:`Transaction.commit` everything stays as it was.
    """
    check()
    check_index_folder(folder)
    with files.exclusive_folder(folder, "index", IndexFolderError, wait):
        check()
        clean(folder)
        current = _current(folder)
        if current and current.change:
            write_journal(folder, current.change)  # its writer may have died before
        numbers = [int(version.name) for version in _versions(folder)]
        last = max([current.version if current else 0, *numbers])
        transaction = Transaction(folder, current, last + 1)
        try:
            yield transaction
        except BaseException:
            transaction.undo()
            raise
        finally:
            clean(folder)


def rollback(folder: Path, wait: float = 0.0) -> Manifest:
    """Go back to the version before the current one, as a new version; twice is back again.

    Raises IndexFolderError if there is none, or the folder is no index or cannot be written.
    """
    parse_manifest(folder)  # before the lock, which would make a folder where there is none
    with change(folder, wait=wait) as transaction:
        current = parse_manifest(folder)
        previous = (current.change.previous if current.change else None) or 0
        before = f"{version_path(previous)}/{MANIFEST}"
        if not os.path.lexists(folder / before):
            raise IndexFolderError(
                f"The index {folder} has no version before this one to go back to; build it again "
                "from the cards that it should have."
            )
        manifest = parse_manifest(folder, before)
        open_files(folder, manifest, verify=False)
        for path, record in manifest.files.items():
            transaction.records[path] = record
        return transaction.commit(manifest, JournalEntry("rollback", {"version": previous}))


def clean(folder: Path) -> None:
    """Remove the files that neither the current version nor the one before names.

    The folder is locked. Everything is left as it is if a manifest cannot be read, and if there is
    none though a version was finished.
    """
    kept: set[Path] = set()
    versions: list[Manifest] = []
    try:
        if os.path.lexists(folder / MANIFEST):
            current = parse_manifest(folder)
            versions = [v for v in (current, _previous(folder, current)) if v]
            own = [f"{version_path(version.version)}/{MANIFEST}" for version in versions]
            kept = {folder / name for name in chain(own, *(v.files for v in versions))}
        elif any(os.path.lexists(version / MANIFEST) for version in _versions(folder)):
            return
    except IndexFolderError:
        return
    gone = []
    for path in {version / MANIFEST for version in _versions(folder)} - kept:
        with suppress(IndexFolderError):
            gone.append(parse_manifest(folder, path.relative_to(folder).as_posix()))
    drop_tables(folder, gone, versions)
    for version in _versions(folder):
        _remove_all_but(kept, version)
    for name in REPLACED:
        files.remove(folder / f".{name}.new")


def _previous(folder: Path, current: Manifest) -> Manifest | None:
    """Return the version before the current one; raise IndexFolderError if it cannot be read."""
    previous = (current.change.previous if current.change else None) or 0
    before = f"{version_path(previous)}/{MANIFEST}"
    return parse_manifest(folder, before) if os.path.lexists(folder / before) else None


def _remove_all_but(kept: set[Path], path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for inner in path.iterdir():
            _remove_all_but(kept, inner)
        if any(path.iterdir()):
            return
    if path not in kept:
        files.remove(path)


def _current(folder: Path) -> Manifest | None:
    try:
        return parse_manifest(folder)
    except IndexFolderError:
        return None


def version_path(number: int) -> str:
    """Return the path of a version's folder inside the index folder."""
    return f"{VERSIONS}/{number:04d}"


def _versions(folder: Path) -> list[Path]:
    return [v for v in (folder / VERSIONS).glob("*") if v.name.isascii() and v.name.isdigit()]
