"""Saving an index: its parts as the next version of a folder, or its settings alone."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from prodcat_index.cards.card import IMAGE
from prodcat_index.errors import IndexFolderError
from prodcat_index.index.folder import open_index, parse_manifest
from prodcat_index.index.manifest import LEARNED, JournalEntry, Manifest
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.reading import has_pictures_there
from prodcat_index.index.stored_cards import as_text, common_folder, read_cards
from prodcat_index.index.stored_rows import read_positions
from prodcat_index.index.stores import StoreAddress
from prodcat_index.index.transaction import change
from prodcat_index.index.writing import Writer, settings_of, weights_of


def save_parts(
    parts: IndexParts,
    folder: Path,
    check: Callable[[], object] = lambda: None,
    entry: JournalEntry | None = None,
    wait: float = 0.0,
    store: StoreAddress | None = None,
) -> None:
    """Write the parts as a new version of an index folder; `check` may raise an error before.

    Where they were read from its current version, only what is new is written. With a store, their
    rows are written into it.
    """
    if store is None and parts.opened and parts.opened.folder.resolve() == folder.resolve():
        table = parts.opened.table
        store = table.address if table else None
    if store is None and parts.is_stored:
        plain = replace(parts, opened=None, searcher=None, similar=None, covered=())
        parts = plain.indexed(is_fitted=True)
    # What a store searches needs no searcher here.
    parts = parts.indexed() if store is None else parts
    with change(folder, check, wait) as transaction:
        opened = parts.opened
        if opened and opened.manifest != transaction.current:
            opened = None
        manifest = Writer.of(parts, transaction, opened, store).write()
        transaction.commit(manifest, entry or JournalEntry("build", {"cards": manifest.cards}))


def save_next(parts: IndexParts, folder: Path, wait: float = 0.0) -> None:
    """Write the parts as the next version of the index that they were loaded from."""
    before = parts.opened.manifest if parts.opened else None

    def check() -> None:
        if parse_manifest(folder) != before:
            raise IndexFolderError(
                f"The index {folder} was changed since it was opened (built again, tuned or added "
                "to), and is left as it is; open it and add the cards again."
            )

    save_parts(parts, folder, check, parts.pending, wait)


def save_settings(parts: IndexParts, folder: Path) -> None:
    """Write the weights, the vote and how they were tuned as a new version of an index folder.

    Arrays are written only where the weights need a search index of other blocks.
    """
    indexed, entry = parts.indexed(), JournalEntry("tune")
    if indexed is not parts:
        save_parts(indexed, folder, lambda: _check_same(folder, parts), entry)
        return
    # Before the lock, which would make a folder where there is none.
    parse_manifest(folder)
    with change(folder) as transaction:
        manifest = _check_same(folder, parts)
        learned = manifest.learned and replace(manifest.learned, weight=parts.weights[LEARNED])
        blocks = tuple(replace(b, **weights_of(parts, b.name)) for b in manifest.blocks)
        manifest = replace(manifest, blocks=blocks, learned=learned, **settings_of(parts))
        transaction.commit(manifest, entry)


def _check_same(folder: Path, parts: IndexParts) -> Manifest:
    """Return the manifest if the folder still holds these cards, labels and encoders."""
    index = open_index(folder, verify=False)
    manifest = index.manifest
    if parts.opened and parts.opened.manifest == manifest and parts.pending is None:
        return manifest
    stored = read_cards(index, read_positions(index), Path(manifest.image_root))
    # Encoders that are not fitted have the same fingerprints over any cards.
    is_same = [b.fingerprint for b in manifest.blocks] == [b.slot.fingerprint for b in parts.blocks]
    for column in ("id", "category"):
        own = map(as_text, parts.catalogue.values(column))
        is_same = is_same and stored.values(column) == list(own)
    if not is_same:
        raise IndexFolderError(f"The index {folder} was built again meanwhile; tune the new one.")
    return manifest


def save_image_root(parts: IndexParts, folder: Path) -> None:
    """Write the folder of the pictures into the manifest of an index folder that lost them."""
    pictures = parts.catalogue.values(IMAGE)
    if not any(pictures):
        raise IndexFolderError(f"The index {folder} has no pictures, so they are in no folder.")
    if not has_pictures_there(parts.catalogue):
        raise IndexFolderError(
            f"The pictures of {folder} are not in {common_folder(pictures)}; name the folder that "
            "they are in now."
        )
    parse_manifest(folder)
    with change(folder) as transaction:
        manifest = replace(_check_same(folder, parts), image_root=common_folder(pictures))
        transaction.commit(manifest, JournalEntry("image-root"))
