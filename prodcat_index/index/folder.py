"""The index folder as a versioned, checked store of files.

``manifest.json`` names the folder of the current version, and is replaced by one rename after
everything else is on disk. A writer that dies leaves the old manifest, hence the old version;
its unfinished files are removed by the next one that ends. Readers keep the version that they
have open.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

from pydantic import ValidationError

from prodcat_index import files
from prodcat_index.errors import IndexFolderError
from prodcat_index.index.manifest import FORMAT_VERSION, FileRecord, Manifest

MANIFEST = "manifest.json"
VERSIONS = "versions"
CARD = "card.md"
OWN_NAMES = {VERSIONS, files.LOCK, MANIFEST, CARD, f".{MANIFEST}.new", f".{CARD}.new"}
MAX_MANIFEST_BYTES = 64 * 2**20


def read_manifest(folder: Path, *, verify: bool = True) -> Manifest:
    """Read and check the manifest of an index folder."""
    while True:
        manifest = _parse(folder)
        try:
            _check_files(folder, manifest, verify)
            return manifest
        except IndexFolderError:
            # A writer may have switched to a new version while this one was being checked.
            if _parse(folder) == manifest:
                raise


def _parse(folder: Path) -> Manifest:
    content = _manifest_content(folder)
    found = content.get("format_version")
    if not isinstance(found, int) or isinstance(found, bool):
        raise _damaged(folder, "the manifest has no format version")
    if found > FORMAT_VERSION:
        raise IndexFolderError(
            f"{folder} has index format {found} and this version reads up to {FORMAT_VERSION}; "
            "upgrade with: pip install --upgrade prodcat-index"
        )
    try:
        return Manifest.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "manifest"
        raise _damaged(folder, f"{where}: {first['msg']}") from error


def _manifest_content(folder: Path) -> dict[str, object]:
    path = folder / MANIFEST
    if not folder.is_dir():
        raise IndexFolderError(
            f"There is no index at {folder}; make one with: "
            f"prodcat build-index CATALOGUE --output {folder}"
        )
    if not path.is_file():
        state = "holds an unfinished build" if (folder / VERSIONS).is_dir() else "is not an index"
        raise IndexFolderError(
            f"{folder} {state} (it has no {MANIFEST}); make one with: "
            f"prodcat build-index CATALOGUE --output {folder}"
        )
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            raise _damaged(folder, f"{MANIFEST} is far too large")
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _damaged(folder, f"{MANIFEST} cannot be read: {error}") from error
    if not isinstance(content, dict):
        raise _damaged(folder, f"{MANIFEST} is not a JSON object")
    return content


def _damaged(folder: Path, what: str) -> IndexFolderError:
    return IndexFolderError(
        f"The index {folder} is damaged ({what}); copy it again or build it again."
    )


def _check_files(folder: Path, manifest: Manifest, verify: bool) -> None:
    for name, record in manifest.files.items():
        try:
            _check_file(folder, name, record, verify)
        except (OSError, RuntimeError) as error:
            raise _damaged(folder, f"{name} cannot be read: {error}") from error


def _check_file(folder: Path, name: str, record: FileRecord, verify: bool) -> None:
    path = folder / name
    if not path.resolve().is_relative_to(folder.resolve()):
        raise _damaged(folder, f"{name} leads out of the folder")
    if not path.is_file():
        raise _damaged(folder, f"{name} is missing")
    if path.stat().st_size != record.bytes:
        raise _damaged(folder, f"{name} has {path.stat().st_size} bytes and not {record.bytes}")
    if verify and files.sha256_of(path) != record.sha256:
        raise _damaged(folder, f"the content of {name} has changed")


def write_version(
    folder: Path,
    write_files: Callable[[Path], None],
    make_manifest: Callable[[int, str, dict[str, FileRecord]], Manifest],
    make_card: Callable[[Manifest], str],
    check: Callable[[], None] = lambda: None,
) -> Manifest:
    """Write a new version into an index folder and switch to it at once."""

    def write() -> Manifest:
        check()
        return _write_locked(folder, write_files, make_manifest, make_card)

    check()
    _refuse_foreign(folder)
    with files.exclusive_folder(folder, "index", IndexFolderError):
        return write()


def rewrite_manifest(
    folder: Path, change: Callable[[Manifest], Manifest], make_card: Callable[[Manifest], str]
) -> Manifest:
    """Replace the manifest of an index folder, its files staying as they are."""

    def write() -> Manifest:
        manifest = change(_parse(folder))
        files.replace_text(folder / MANIFEST, manifest.model_dump_json(indent=1))
        files.replace_text(folder / CARD, make_card(manifest))
        return manifest

    _parse(folder)
    with files.exclusive_folder(folder, "index", IndexFolderError):
        return write()


def _refuse_foreign(folder: Path) -> None:
    found = _format_version(folder)
    # The lock tells an unfinished or damaged index from somebody's own files of the same names.
    is_index = (found or (folder / files.LOCK).exists()) and not (folder / VERSIONS).is_symlink()
    files.check_output_folder(folder, "index", IndexFolderError, OWN_NAMES if is_index else ())
    if found > FORMAT_VERSION:
        _parse(folder)


def _format_version(folder: Path) -> int:
    try:
        found = _manifest_content(folder).get("format_version")
    except IndexFolderError:
        return 0
    return found if isinstance(found, int) else 0


def _write_locked(
    folder: Path,
    write_files: Callable[[Path], None],
    make_manifest: Callable[[int, str, dict[str, FileRecord]], Manifest],
    make_card: Callable[[Manifest], str],
) -> Manifest:
    number = 1 + max((int(v.name) for v in _versions(folder)), default=0)
    data = f"{VERSIONS}/{number:04d}"
    (folder / data).mkdir(parents=True)
    write_files(folder / data)
    manifest = make_manifest(number, data, _flushed_files(folder, data))
    files.replace_text(folder / MANIFEST, manifest.model_dump_json(indent=1))
    files.replace_text(folder / CARD, make_card(manifest))
    for superseded in _versions(folder):
        if superseded != folder / data:
            shutil.rmtree(superseded, ignore_errors=True)
    return manifest


def _versions(folder: Path) -> list[Path]:
    return [v for v in (folder / VERSIONS).glob("*") if v.name.isascii() and v.name.isdigit()]


def _flushed_files(folder: Path, data: str) -> dict[str, FileRecord]:
    records = {}
    for path in sorted((folder / data).rglob("*")):
        if path.is_file():
            files.flush(path)
            name = path.relative_to(folder).as_posix()
            records[name] = FileRecord(bytes=path.stat().st_size, sha256=files.sha256_of(path))
    return records
