"""What an opened index must hold beyond its digests: numbers, texts, and parts that fit together.

It is read as a whole for this, so only ``prodcat info`` does it. What opening an index checks by
itself is not checked again.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from prodcat_index.errors import EncoderError, IndexFolderError
from prodcat_index.index.block import Block
from prodcat_index.index.fusion import fuse_cards
from prodcat_index.index.learned import LearnedBlock
from prodcat_index.index.manifest import SCORES, Manifest
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.reading import load_parts
from prodcat_index.index.rows import Rows
from prodcat_index.index.searchers import ROWS_AT_ONCE, FlatSearcher
from prodcat_index.types import BoolArray, Float32Array, chunks

# Rows are rounded to float16, which changes their length by less than this.
ROUNDING = 1e-2
# Half of the mean of cosines that are at least -1 and at most 1.
MOST_HUBNESS = 0.5


def verify_index(folder: Path) -> Manifest:
    """Check everything in an index folder, and return its manifest.

    Raises IndexFolderError if it is no index, of a newer format, or anything in it is damaged.
    """
    parts = load_parts(folder, verify=True)
    assert parts.opened is not None, "it was read from a folder"
    try:
        problem = next(find_problems(parts, parts.opened.manifest), "")
    except EncoderError as error:
        problem = str(error).rstrip(".")
    if problem:
        raise IndexFolderError(
            f"The index {folder} is damaged ({problem}); copy it again or build it again."
        )
    return parts.opened.manifest


def find_problems(parts: IndexParts, manifest: Manifest) -> Iterator[str]:
    """Yield what is wrong with the parts of an index, each in words."""
    yield from _problems_of_cards(parts, manifest)
    yield from _problems_of_table(parts)
    for part in chunks(len(parts.catalogue), ROWS_AT_ONCE):
        # A store has the rows of all blocks in one, and is read once.
        for block in parts.all_blocks:
            yield from _problems_of_rows(block, part)
    if isinstance(parts.searcher, FlatSearcher) and not _is_of_blocks(parts, parts.searcher):
        yield "the rows that are searched are not those of the blocks"
    for name, array in _fitted_arrays(parts).items():
        if not np.isfinite(array).all():
            yield f"{name} holds values that are no numbers"
    for block in parts.blocks:
        # Networks are not in the folder, and may take minutes to load.
        if block.slot.stored:
            block.slot.load()


def _problems_of_cards(parts: IndexParts, manifest: Manifest) -> Iterator[str]:
    catalogue, labels = parts.catalogue, parts.labels
    for column in catalogue.cards.columns:
        for card, value in zip(catalogue.ids, catalogue.values(column), strict=True):
            try:
                value.encode("utf-8")
            except UnicodeEncodeError:
                yield f"{column} of the card {card!r} is no text"
    if len(set(catalogue.ids)) < len(catalogue):
        yield "two cards have the same id"
    if "" in catalogue.ids:
        yield "a card has no id"
    counted = (int(labels.labelled.sum()), len(labels.names))
    if counted != (manifest.labelled, manifest.categories):
        yield f"its cards have other categories than the {manifest.categories} of the manifest"


def _problems_of_table(parts: IndexParts) -> Iterator[str]:
    """Check that the rows in a store are those of the cards: another program may write there."""
    table = parts.opened.table if parts.opened else None
    if table is None:
        return
    rows, ids = parts.all_blocks[0].vectors, parts.catalogue.ids
    assert isinstance(rows, Rows), "it was read"
    for part in chunks(len(rows), ROWS_AT_ONCE):
        stored = table.store.ids(table.name, rows.places[part])
        for card, found in zip(ids[part], stored, strict=True):
            # PostgreSQL knows no zero byte.
            if found not in (card, card.replace("\0", "")):
                yield f"the table {table.name} holds the row of {found!r} as that of {card!r}"


def _problems_of_rows(block: Block | LearnedBlock, part: slice) -> Iterator[str]:
    """Check that rows are there where they should be, and of the length that they should have."""
    width = block.model.projection.dim if isinstance(block, LearnedBlock) else block.dim
    rows, present = block.vectors[part].astype(np.float32), block.present[part]
    if not np.isfinite(rows).all():
        yield f"rows of {block.name} hold values that are no numbers"
    if rows[~present].any():
        yield f"{block.name} has rows of cards that are said to have none"
    if not np.all(_have_length(block, rows[present, :width])):
        yield f"rows of {block.name} are longer or shorter than they can be"
    if np.any(np.abs(rows[:, width:]) > MOST_HUBNESS + ROUNDING):
        yield f"rows of {block.name} have a hubness that they cannot have"


def _is_of_blocks(parts: IndexParts, searcher: FlatSearcher) -> bool:
    chosen = [block for block in parts.all_blocks if block.name in parts.covered]
    return all(
        np.array_equal(
            searcher.rows[part],
            fuse_cards(
                [block.vectors[part] for block in chosen],
                np.stack([block.present[part] for block in chosen], axis=1),
            ),
        )
        for part in chunks(len(parts.catalogue), ROWS_AT_ONCE)
    )


def _have_length(block: Block | LearnedBlock, rows: Float32Array) -> BoolArray:
    lengths = np.linalg.norm(rows, axis=1)
    # What the row of text scores lacks to length 1 belongs to no category.
    least = 0.0 if block.name == SCORES else 1 - ROUNDING
    return (lengths > 0) & (lengths >= least) & (lengths <= 1 + ROUNDING)


def _fitted_arrays(parts: IndexParts) -> dict[str, npt.NDArray[np.floating]]:
    arrays = {f"the mean of {block.name}": block.mean for block in parts.blocks}
    if parts.learned:
        model = parts.learned.model
        for kind in ("matrices", "offsets"):
            for n, array in enumerate(getattr(model.projection, kind)):
                arrays[f"the projection ({kind}, block {n})"] = array
        if model.head:
            arrays["the linear head"] = model.head.coefficients
            arrays["the intercepts of the linear head"] = model.head.intercepts
        if model.hubness:
            arrays["the references of the hubness"] = model.hubness.references
    return arrays
