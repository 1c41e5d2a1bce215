"""The index folder as a versioned, checked store of files, and its page for people.

``manifest.json`` names the folder of the current version, and is replaced by one rename after
everything else is on disk. A writer that dies leaves the old version; its unfinished files are
removed by the next one that ends. Readers keep the version that they have open.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prodcat_index import files
from prodcat_index.errors import IndexFolderError
from prodcat_index.index.manifest import (
    FORMAT_VERSION,
    LEARNED,
    BlockDrift,
    DriftRecord,
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
# When to build again, measured: docs/decisions.md.
MANY_ADDED = 0.2
MANY_OF_NEW_CATEGORIES = 0.05
# Fewer cards than this share change an index little, however unlike the others they are.
FEW_ADDED = 0.05
LARGE_DRIFT = 0.25
BEYOND_CHANCE = 2.0


def read_manifest(folder: Path, *, verify: bool = True) -> Manifest:
    """Read a manifest; check that the files of the index are there and, by default, whole.

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
def next_version(folder: Path, check: Callable[[], object]) -> Iterator[tuple[int, str]]:
    """Make the folder of the next version; yield its number and its path inside the index folder.

    The caller fills it and writes the manifest; no other process writes meanwhile. `check` may
    raise an error before anything is made, and again under the lock.
    """
    check()
    check_index_folder(folder)
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
    for path in sorted(filter(Path.is_file, (folder / data).rglob("*"))):
        files.flush(path)
        name = path.relative_to(folder).as_posix()
        records[name] = FileRecord(path.stat().st_size, files.sha256_of(path))
    return records


def is_index(folder: Path) -> bool:
    """Check whether a folder holds an index, or what is left of one."""
    own = (folder / MANIFEST, folder / files.LOCK)
    return (folder / VERSIONS).is_dir() and any(path.exists() for path in own)


def check_index_folder(folder: Path) -> None:
    """Raise an error if an index cannot be written to a folder.

    It may hold what no index holds, or an index of a newer format, or be protected.
    """
    try:
        found = _manifest_text(folder)[1] or 0
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


def _versions(folder: Path) -> list[Path]:
    return [v for v in (folder / VERSIONS).glob("*") if v.name.isascii() and v.name.isdigit()]


def rebuild_reason(manifest: Manifest) -> str:
    """Return a sentence with the reasons to build an index again; empty where there are none."""
    drift, cards = manifest.drift, manifest.cards
    if drift is None:
        return ""
    added = 1 - drift.fitted_cards / cards
    reasons = []
    if added > MANY_ADDED:
        reasons.append(f"{added:.1%} were added since it was built")
    if drift.new_category_cards > MANY_OF_NEW_CATEGORIES * cards:
        reasons.append(f"{drift.new_category_cards / cards:.1%} are of new categories")
    many = [block for block in drift.blocks if block.cards > FEW_ADDED * cards]
    drifted = [block.block for block in many if _has_drifted(block)]
    if drifted:
        reasons.append(f"those that were added are unlike the others in {', '.join(drifted)}")
    return f"Build the index again with all cards: {'; '.join(reasons)}." if reasons else ""


def _has_drifted(block: BlockDrift) -> bool:
    beyond = max(0.0, block.shift**2 - block.chance**2) ** 0.5
    return block.shift > BEYOND_CHANCE * block.chance and beyond > LARGE_DRIFT


def index_card(manifest: Manifest) -> str:
    """Describe an index in Markdown."""
    rows = [(b.name, b.encoder, b.dim, b.cards, b.weight, b.search_weight) for b in manifest.blocks]
    if manifest.learned:
        learned = manifest.learned
        projected = "all of these, projected"
        searched = 0.0 if manifest.search_weights else None
        rows.append((LEARNED, projected, learned.dim, learned.cards, learned.weight, searched))
    blocks = "".join(
        f"| {b} | {e} | {d} | {n} | {voting:.3f} | {'-' if search is None else f'{search:.3f}'} |\n"
        for b, e, d, n, voting, search in rows
    )
    tuning = manifest.tuning
    tuned = "Not tuned; `prodcat tune` looks for better weights and a better vote."
    if tuning:
        tuned = (
            f"Tuned by leave-one-out over {tuning.cards} cards of {tuning.categories} categories: "
            f"{tuning.objective} {tuning.after.value:.3f}, with equal weights "
            f"{tuning.equal.value:.3f}."
        )
    return f"""# Product index

Version {manifest.version}, written {manifest.created} by \
{", ".join(" ".join(package) for package in manifest.packages.items())}.

{manifest.cards} cards, {manifest.labelled} of them labelled, in {manifest.categories} categories.
{_describe_drift(manifest, manifest.drift) if manifest.drift else ""}
| block | encoder | dimensions | cards that have it | weight in votes | weight in a search |
|---|---|---|---|---|---|
{blocks}
Vote of the nearest cards: {manifest.vote.describe()}. {tuned}
Search: FAISS {manifest.search.kind} over {", ".join(manifest.search.blocks)}; \
{manifest.search.dim} dimensions, one more per block than in the table.
The files and their sha256 are listed in `manifest.json`.
"""


def _describe_drift(manifest: Manifest, drift: DriftRecord) -> str:
    added, since = manifest.cards - drift.fitted_cards, manifest.cards - drift.tuned_cards
    new = "None is of a new category."
    if drift.new_categories:
        new = f"Of new categories ({drift.new_categories}): {drift.new_category_cards} cards."
    if manifest.tuning and since:
        tuned = "tuned and calibrated" if manifest.calibration else "tuned"
        new += f" {since} cards came since it was {tuned}."
    rows = "".join(
        f"| {b.block} | {b.cards} | {b.shift:.3f} | {b.chance:.3f} |\n" for b in drift.blocks
    )
    return f"""
{added} cards ({added / manifest.cards:.1%}) were added since it was built; nothing was fitted on \
them. {new}

| block | added cards that have it | distance from the mean of the others | by chance |
|---|---|---|---|
{rows}
{rebuild_reason(manifest) or "There is no need to build the index again."}
"""
