"""The journal of an index folder: one line of JSON for each change, the oldest first.

Every version has its own entry in its manifest. A writer adds it to the journal after the switch
to that version; if it died in between, readers and the next writer take it from the manifest.
"""

from __future__ import annotations

from pathlib import Path

import pydantic

from prodcat_index import files
from prodcat_index.index.folder import JOURNAL, parse_manifest
from prodcat_index.index.manifest import JournalEntry

# A line has about 200 bytes.
MAX_JOURNAL_BYTES = 64 * 2**20
_ADAPTER = pydantic.TypeAdapter(JournalEntry)


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
