"""The index folder as a versioned, checked store of files.

``manifest.json`` names the folder of the current version, and is replaced by one rename after
everything else is on disk. A writer that dies leaves the old manifest, hence the old version;
its unfinished files are removed by the next one that ends. Readers keep the version that they
have open.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prodcat_index import files
from prodcat_index.errors import IndexFolderError
from prodcat_index.index.index_card import index_card
from prodcat_index.index.manifest import (
    FORMAT_VERSION,
    FileRecord,
    Manifest,
    manifest_from_json,
    manifest_to_json,
)

MANIFEST = "manifest.json"
VERSIONS = "versions"
CARD = "card.md"
OWN_NAMES = {VERSIONS, files.LOCK, MANIFEST, CARD, f".{MANIFEST}.new", f".{CARD}.new"}
# The largest manifest of a real index, tuned over five blocks, is below 1 MiB.
MAX_MANIFEST_BYTES = 64 * 2**20


def read_manifest(folder: Path, *, verify: bool = True) -> Manifest:
    """Read the manifest of an index folder; check that its files are there and, by default, whole.

    Raises IndexFolderError if the folder is no index, damaged, or of a newer format.
    """
    while True:
        manifest = parse_manifest(folder)
        try:
            for name, record in manifest.files.items():
                _check_file(folder, name, record, verify)
            return manifest
        except IndexFolderError:
            # A writer may have switched to a new version while this one was being checked.
            if parse_manifest(folder) == manifest:
                raise


def parse_manifest(folder: Path) -> Manifest:
    """Read the manifest alone, without a look at the files that it lists."""
    text, found = _manifest_text(folder)
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


def _manifest_text(folder: Path) -> tuple[str, int | None]:
    """Return the text and the format version, as nothing else of a newer format may be known."""
    path = folder / MANIFEST
    hint = f"make one with: prodcat build-index CATALOGUE --output {folder}"
    if not folder.is_dir():
        raise IndexFolderError(f"There is no index at {folder}; {hint}")
    if not path.is_file():
        state = "holds an unfinished build" if (folder / VERSIONS).is_dir() else "is not an index"
        raise IndexFolderError(f"{folder} {state} (it has no {MANIFEST}); {hint}")
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise _damaged(folder, f"{MANIFEST} is far too large")
        text = path.read_text(encoding="utf-8")
        content = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(folder, f"{MANIFEST} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise _damaged(folder, f"{MANIFEST} is not a JSON object")
    found = content.get("format_version")
    return text, found if type(found) is int else None


def _damaged(folder: Path, what: str) -> IndexFolderError:
    return IndexFolderError(
        f"The index {folder} is damaged ({what}); copy it again or build it again."
    )


def _check_file(folder: Path, name: str, record: FileRecord, verify: bool) -> None:
    path = folder / name
    try:
        if not path.resolve().is_relative_to(folder.resolve()):
            raise _damaged(folder, f"{name} leads out of the folder")
        if not path.is_file():
            raise _damaged(folder, f"{name} is missing")
        size = path.stat().st_size
        if size != record.bytes:
            raise _damaged(folder, f"{name} has {size} bytes and not {record.bytes}")
        if verify and files.sha256_of(path) != record.sha256:
            raise _damaged(folder, f"the content of {name} has changed")
    except (OSError, RuntimeError) as error:  # RuntimeError: a link to itself
        raise _damaged(folder, f"{name} cannot be read: {error}") from error


@contextmanager
def next_version(
    folder: Path, check: Callable[[], object] = lambda: None
) -> Iterator[tuple[int, str]]:
    """Make the folder of the next version; yield its number and its path inside the index folder.

    The caller fills it and writes the manifest, which switches to it; no other process writes
    meanwhile. `check` may raise an error before anything is made, and again under the lock.
    """
    check()
    _check_own(folder)
    with files.exclusive_folder(folder, "index", IndexFolderError):
        check()
        number = 1 + max((int(version.name) for version in _versions(folder)), default=0)
        data = f"{VERSIONS}/{number:04d}"
        (folder / data).mkdir(parents=True)
        yield number, data
        for superseded in _versions(folder):
            if superseded != folder / data:
                shutil.rmtree(superseded, ignore_errors=True)


def write_manifest(folder: Path, manifest: Manifest) -> None:
    """Replace the manifest of a folder that this process has locked, and the page for people."""
    try:
        text = manifest_to_json(manifest)
    except ValueError as error:
        raise IndexFolderError(
            f"The index {folder} cannot be written ({error}); what was there before is unchanged."
        ) from error
    files.replace_text(folder / MANIFEST, text)
    files.replace_text(folder / CARD, index_card(manifest))


def flushed_files(folder: Path, data: str) -> dict[str, FileRecord]:
    """Wait until the files of a version are on disk, and return their sizes and digests."""
    records = {}
    for path in sorted((folder / data).rglob("*")):
        if path.is_file():
            files.flush(path)
            name = path.relative_to(folder).as_posix()
            records[name] = FileRecord(path.stat().st_size, files.sha256_of(path))
    return records


def _check_own(folder: Path) -> None:
    """Raise an error if the folder holds what no index holds, or an index of a newer format."""
    try:
        found = _manifest_text(folder)[1] or 0
    except IndexFolderError:
        found = 0
    # The lock tells an unfinished or damaged index from somebody's own files of the same names.
    is_index = (found or (folder / files.LOCK).exists()) and not (folder / VERSIONS).is_symlink()
    files.check_output_folder(folder, "index", IndexFolderError, OWN_NAMES if is_index else ())
    if found > FORMAT_VERSION:
        parse_manifest(folder)


def _versions(folder: Path) -> list[Path]:
    return [v for v in (folder / VERSIONS).glob("*") if v.name.isascii() and v.name.isdigit()]
