"""Reading an index folder: its manifest, the files that this lists, checked, and its journal.

``manifest.json`` describes the current version, whose files may lie in folders of older ones. A
reader opens them all at once and keeps what it opened, whatever a writer does to the folder.

The journal has a line of JSON for each change, the oldest first. A writer adds it after the switch
to its version; if it died in between, readers and the next writer take it from the manifest.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy.typing as npt
import pydantic

from prodcat_index import files
from prodcat_index.errors import IndexFolderError, one_line
from prodcat_index.index.manifest import (
    FORMAT_VERSION,
    LEARNED,
    SCORES,
    FileRecord,
    JournalEntry,
    Manifest,
    manifest_from_json,
)
from prodcat_index.index.stores import StoreAddress, StoreTable

T = TypeVar("T")

MANIFEST = "manifest.json"
VERSIONS = "versions"
CARD = "card.md"
JOURNAL = "journal.jsonl"
REPLACED = (MANIFEST, CARD, JOURNAL)
OWN_NAMES = {VERSIONS, files.LOCK, *REPLACED, *(f".{name}.new" for name in REPLACED)}
# The largest manifest of a real index, tuned over five blocks, is below 1 MiB.
MAX_MANIFEST_BYTES = 64 * 2**20
# Files up to this size are compared with their digests whenever an index is opened: labels, what
# is fitted, small catalogues. All of them together take a few milliseconds.
SMALL_BYTES = 4 * 2**20
# A line has about 200 bytes.
MAX_JOURNAL_BYTES = 64 * 2**20
_ADAPTER = pydantic.TypeAdapter(JournalEntry)


@dataclass(frozen=True)
class OpenIndex:
    """An index folder as it was when it was opened: its manifest, and its files by their names."""

    folder: Path
    manifest: Manifest
    contents: files.Contents
    # What was read, with its files, by its identity.
    _read: dict[int, tuple[object, tuple[str, ...]]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @cached_property
    def table(self) -> StoreTable | None:
        """The table of a store that holds the rows; None where they are in files."""
        stored, dims = self.manifest.stored, self.manifest.dims
        if stored is None or (record := stored.store) is None:
            return None
        place = StoreAddress(record.address), record.table, stored.rows
        encoders = sum(dim for name, dim in dims.items() if name not in (LEARNED, SCORES))
        return StoreTable(*place, sum(dims.values()) + len(dims), record.scale, encoders)

    def array(self, name: str, dtype: str, shape: tuple[int | None, ...]) -> npt.NDArray[Any]:
        """Return the array of an ``.npy`` file; raises IndexFolderError if it is another."""
        return self._array(files.open_array, name, dtype, shape)

    def raw_array(self, name: str, dtype: str, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Return the array that is all of a file; raises IndexFolderError if it is another."""
        return self._array(files.raw_array, name, dtype, shape)

    def _array(self, read: Callable[..., Any], name: str, *expected: Any) -> npt.NDArray[Any]:
        try:
            return self.remember(read(self.contents[name], *expected), name)
        except ValueError as error:
            raise self.damaged(name, str(error)) from error

    def json(self, name: str) -> Any:
        """Return what a JSON file holds; raises IndexFolderError if it cannot be read."""
        try:
            return files.read_json(self.contents[name])
        except (ValueError, RecursionError) as error:
            raise self.damaged(name, f"it cannot be read: {error}") from error

    def remember(self, made: T, *names: str) -> T:
        """Know what was made of some files, so that the next version can keep these."""
        self._read[id(made)] = made, names
        return made

    def paths_of(self, made: object) -> tuple[str, ...] | None:
        """Return the files that something was made of; None if it was not read here."""
        return self._read.get(id(made), (None, None))[1]

    def within(self, folder: str) -> files.Contents:
        """Return the files below a folder by their names in it."""
        start, opened = f"{folder}/", self.contents.items()
        return files.Contents((n[len(start) :], c) for n, c in opened if n.startswith(start))

    def damaged(self, name: str, what: str) -> IndexFolderError:
        """Return the error for a file that is not as promised."""
        return files.damaged_file(self.folder / name, what)


def open_index(folder: Path, *, verify: bool = True) -> OpenIndex:
    """Open the files of an index folder; check their sizes, and the digests of all or small ones.

    Raises IndexFolderError if the folder is no index, damaged, or of a newer format.
    """
    while True:
        manifest = parse_manifest(folder)
        try:
            return OpenIndex(folder, manifest, open_files(folder, manifest, verify=verify))
        except IndexFolderError:
            # A writer may have switched to a new version while this one was being opened.
            if parse_manifest(folder) == manifest:
                raise


def read_manifest(folder: Path, *, verify: bool = True) -> Manifest:
    """Read a manifest; check the files of the index as :func:`open_index` does.

    Raises IndexFolderError if the folder is no index, damaged, or of a newer format.
    """
    return open_index(folder, verify=verify).manifest


def parse_manifest(folder: Path, name: str = MANIFEST) -> Manifest:
    """Read a manifest alone, without a look at the files that it lists."""
    text, found = read_text(folder, name)
    if found is None:
        raise _damaged(folder, "the manifest has no format version")
    if found > FORMAT_VERSION:
        raise IndexFolderError(
            f"{folder} has index format {found} and this version reads up to {FORMAT_VERSION}; "
            "upgrade with: pip install --upgrade prodcat-index"
        )
    try:
        return manifest_from_json(text)
    except ValueError as error:
        raise _damaged(folder, str(error)) from error


def read_text(folder: Path, name: str = MANIFEST) -> tuple[str, int | None]:
    """Return the text and the format version, as nothing else of a newer format may be known."""
    hint = f"make one with: prodcat build-index CATALOGUE --output {folder}"
    if not folder.is_dir():
        raise IndexFolderError(f"There is no index at {folder}; {hint}")
    if not os.path.lexists(folder / name):
        state = "holds an unfinished build" if (folder / VERSIONS).is_dir() else "is not an index"
        raise IndexFolderError(f"{folder} {state} (it has no {name}); {hint}")
    try:
        content = files.open_content(folder / name)
        if len(content) > MAX_MANIFEST_BYTES:
            raise _damaged(folder, f"{name} is far too large")
        text = str(content, "utf-8")
        read = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(folder, f"{name} cannot be read: {error}") from error
    if not isinstance(read, dict):
        raise _damaged(folder, f"{name} is not a JSON object")
    found = read.get("format_version")
    return text, found if type(found) is int else None


def _damaged(folder: Path, what: str) -> IndexFolderError:
    return IndexFolderError(
        f"The index {folder} is damaged ({one_line(what)}); copy it again or build it again."
    )


def open_files(folder: Path, manifest: Manifest, *, verify: bool) -> files.Contents:
    """Open the files that a manifest lists; raise IndexFolderError if one is not as promised."""
    real = Path(os.path.realpath(folder))
    return files.Contents(
        (name, _open_file(folder, real, name, record, verify))
        for name, record in manifest.files.items()
    )


def _open_file(folder: Path, real: Path, name: str, record: FileRecord, verify: bool) -> memoryview:
    try:
        # No link on the way either: it would lead out of the folder, or the writer astray.
        if Path(os.path.realpath(folder / name)) != real / name:
            raise _damaged(folder, f"{name} leads out of the folder")
        content = files.open_content(folder / name)
    except FileNotFoundError as error:
        raise _damaged(folder, f"{name} is missing") from error
    except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself
        raise _damaged(folder, f"{name} cannot be read: {error}") from error
    # What comes after that is of a writer that died, or of a version that was rolled back.
    if len(content) < record.bytes:
        raise _damaged(folder, f"{name} has {len(content)} bytes and not {record.bytes}")
    content = content[: record.bytes]
    if (verify or record.bytes <= SMALL_BYTES) and not is_whole(content, record):
        raise _damaged(folder, f"the content of {name} has changed")
    return content


def is_whole(content: memoryview, record: FileRecord) -> bool:
    """Check whether a file has the digests that are promised."""
    for size, digest in record.pieces:
        if hashlib.sha256(content[:size]).hexdigest() != digest:
            return False
        content = content[size:]
    return True


def is_index(folder: Path) -> bool:
    """Check whether a folder holds an index, or what is left of one."""
    own = (folder / MANIFEST, folder / files.LOCK)
    return (folder / VERSIONS).is_dir() and any(path.exists() for path in own)


def check_index_folder(folder: Path) -> None:
    """Raise an error if an index cannot be written to a folder.

    It may hold what no index holds, or an index of a newer format, or be protected.
    """
    try:
        found = read_text(folder)[1] or 0
    except IndexFolderError:
        found = 0
    # The lock tells an unfinished or damaged index from somebody's own files of the same names.
    is_index = (found or (folder / files.LOCK).exists()) and not (folder / VERSIONS).is_symlink()
    files.check_output_folder(folder, "index", IndexFolderError, OWN_NAMES if is_index else ())
    if found > FORMAT_VERSION:
        parse_manifest(folder)
    nearest = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        raise IndexFolderError(
            f"The index {folder} cannot be written, as {nearest} is no folder that this process "
            "may write to; name another folder."
        )


def read_journal(folder: Path) -> list[JournalEntry]:
    """Return the changes of an index folder, the oldest first; those before format 5 are unknown.

    Raises IndexFolderError if the folder is no index.
    """
    manifest = parse_manifest(folder)
    entries = _entries(_text(folder))
    if manifest.change:
        entries[manifest.change.version] = manifest.change
    return [entries[number] for number in sorted(entries) if number <= manifest.version]


def write_journal(folder: Path, change: JournalEntry) -> None:
    """Add a change, if the journal lacks it."""
    text = _text(folder)
    if _entries(text).get(change.version) != change:
        whole = text[: text.rfind("\n") + 1]
        line = _ADAPTER.dump_json(change).decode()
        files.replace_text(folder / JOURNAL, f"{whole}{line}\n")


def _text(folder: Path) -> str:
    try:
        content = files.open_content(folder / JOURNAL)
    except OSError:
        return ""
    return bytes(content[:MAX_JOURNAL_BYTES]).decode("utf-8", "replace")


def _entries(text: str) -> dict[int, JournalEntry]:
    """Return the changes by the version that they made; a line that is damaged is left out."""
    entries = {}
    for line in text.splitlines():
        try:
            entry = _ADAPTER.validate_json(line, strict=True)
        except pydantic.ValidationError:
            continue
        entries[entry.version] = entry
    return entries
