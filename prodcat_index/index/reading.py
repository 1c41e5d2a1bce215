"""Reading an index folder into the parts of an index; what is large stays on disk."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.findings import Finding, list_findings
from prodcat_index.index.approximate import ApproximateSearcher
from prodcat_index.index.block import Block, EncoderSlot
from prodcat_index.index.folder import OpenIndex, open_index
from prodcat_index.index.learned import MIN_CARDS_TO_LEARN, FittedModel, LearnedBlock
from prodcat_index.index.manifest import (
    LEARNED,
    SCORES,
    BlockRecord,
    Choices,
    HeadRecord,
    LearnedRecord,
    SearchRecord,
)
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.quantized import Codes, Effort, are_distinct, array_shapes
from prodcat_index.index.searchers import FlatSearcher
from prodcat_index.index.store_table import read_searcher
from prodcat_index.index.stored_cards import StoredCards, common_folder, read_cards
from prodcat_index.index.stored_rows import read_block_rows, read_positions, read_rows
from prodcat_index.learning.head import LinearHead
from prodcat_index.learning.projection import HubnessCorrection, Projection
from prodcat_index.types import MISSING, BoolArray, FloatingArray, Int64Array, evenly_spaced

# Whether an index was moved without its pictures shows in any of them.
PICTURES_LOOKED_FOR = 20


def load_parts(folder: Path, *, verify: bool = True, image_root: Path | None = None) -> IndexParts:
    """Read the parts of an index folder; arrays stay on disk until they are touched."""
    index = open_index(folder, verify=verify)
    stored_root = Path(index.manifest.image_root)
    parts = _read_parts(index, image_root or stored_root)
    if image_root and not has_pictures_there(parts.catalogue):
        # Of pictures that a catalogue names images/1.jpg, the folder above may be given.
        catalogue = read_cards(index, read_positions(index), image_root / stored_root.name)
        if has_pictures_there(catalogue):
            return replace(parts, catalogue=catalogue)
    return parts


def find_moved(catalogue: Catalogue, folder: Path) -> tuple[Finding, ...]:
    """Return a finding where the pictures of an index folder are not where they were."""
    if has_pictures_there(catalogue):
        return ()
    pictures = catalogue.values(IMAGE)
    what = (
        f"cards have pictures that are not in {common_folder(pictures)} (name their folder once: "
        f"prodcat info {folder} --image-root FOLDER)"
    )
    return list_findings({what: map(bool, pictures)}, catalogue.ids)


def has_pictures_there(catalogue: Catalogue) -> bool:
    """Check whether any of some pictures of an index is a file, or there are none at all."""
    pictures = _some_pictures(catalogue)
    return not pictures or any(Path(picture).is_file() for picture in pictures)


def _some_pictures(catalogue: Catalogue) -> list[str]:
    """Return some of the pictures of an index, without reading all if that can be."""
    first = catalogue.pieces.stacked[0]
    if isinstance(first, StoredCards) and not first.image_root.is_absolute():
        return []  # there are none
    rows = evenly_spaced(len(catalogue), PICTURES_LOOKED_FOR)
    named = [picture for picture in catalogue.values_at(IMAGE, rows) if picture]
    if named:
        return named
    named = [picture for picture in catalogue.values(IMAGE) if picture]
    return [named[place] for place in evenly_spaced(len(named), PICTURES_LOOKED_FOR)]


def _read_parts(index: OpenIndex, image_root: Path) -> IndexParts:
    """Return the parts of an index, with its pictures below a folder."""
    manifest, positions = index.manifest, read_positions(index)
    learned = None
    if manifest.learned:
        learned = _read_learned(index, manifest.learned, positions)
    # What was chosen when an index of formats 1 to 4 was built, as far as it shows.
    is_plain = manifest.learned is None and manifest.labelled >= MIN_CARDS_TO_LEARN
    # Of formats 1 to 4, a searcher is made of the blocks when it is needed.
    path, searcher = manifest.search.rows, None
    if path is not None:
        searcher = FlatSearcher(read_rows(index, path, "float32", manifest.search.dim, positions))
    parts = IndexParts(
        catalogue=read_cards(index, positions, image_root),
        blocks=[_read_block(index, record, positions) for record in manifest.blocks],
        learned=learned,
        weights=manifest.weights,
        chosen_search_weights=manifest.search_weights,
        vote=manifest.vote,
        searcher=searcher,
        covered=manifest.search.blocks if searcher else (),
        tuning=manifest.tuning,
        calibration=manifest.calibration,
        drift=manifest.drift,
        aliases=manifest.aliases,
        choices=manifest.choices or Choices(projection="none" if is_plain else "lda"),
        decided=manifest.decided,
        asked=manifest.asked,
        opened=index,
    )
    if manifest.search.codes:
        searching = _read_codes(index, manifest.search, parts)
        parts = replace(parts, searcher=searching, covered=manifest.search.blocks)
    if manifest.similar:
        parts = replace(parts, similar=_read_codes(index, manifest.similar, parts))
    if stored := read_searcher(index, parts):
        parts = replace(parts, searcher=stored, covered=parts.block_names)
    head = learned.model.head if learned else None
    if learned is None or head is None or learned.categories:
        return parts
    fitted = tuple(parts.labels.names[code] for code in head.categories)
    return replace(parts, learned=replace(learned, categories=fitted))


def _read_codes(index: OpenIndex, search: SearchRecord, parts: IndexParts) -> ApproximateSearcher:
    space = parts.space_of([block for block in parts.all_blocks if block.name in search.blocks])
    record = search.codes
    assert record is not None, "there are codes"
    shapes = array_shapes(record.kind, search.dim, record.size, record.cells, record.links)
    arrays = {
        name: index.array(record.files[name], dtype, shape)
        for name, (dtype, shape) in shapes.items()
    }
    try:
        codes = Codes.from_arrays(record.kind, arrays)
    except ValueError as error:
        raise index.damaged(record.files["codes"], str(error)) from error
    index.remember(codes, *(record.files[name] for name in sorted(arrays)))
    cards = np.arange(record.size)
    if record.cards:
        cards = index.array(record.cards, "int64", (record.size,))
        if not are_distinct(cards[cards != MISSING], len(space.present)):
            raise index.damaged(record.cards, "it names cards that are not there, or one twice")
    elif record.size != len(space.present):
        raise index.damaged(record.files["codes"], "there are more or fewer codes than cards")
    effort = Effort(record.fetch, record.margin, record.walk, record.recall, record.compared)
    return ApproximateSearcher(codes, cards, space.blocks, space.present, effort)


def _read_block(index: OpenIndex, record: BlockRecord, positions: Int64Array | None) -> Block:
    encoder = index.within(record.fitted)
    slot = EncoderSlot(record.encoder, record.fingerprint, encoder)
    return Block(
        name=record.name,
        modality=record.modality,
        slot=index.remember(slot, *(f"{record.fitted}/{name}" for name in encoder)),
        vectors=read_block_rows(index, record.name, record.vectors, positions),
        present=_read_present(index, record.present, record.cards),
        mean=index.array(record.mean, "float32", (record.dim,)),
        projected_dim=record.projected_dim,
        references=_read_references(index, record.references, record.dim),
    )


def _read_present(index: OpenIndex, path: str, cards: int) -> BoolArray:
    present: BoolArray = index.array(path, "bool", (index.manifest.cards,))
    if np.any(present.view(np.uint8) > 1) or int(present.sum()) != cards:
        raise index.damaged(path, "it is not true for as many cards as the manifest says")
    return present


def _read_references(index: OpenIndex, path: str | None, dim: int) -> FloatingArray | None:
    return index.array(path, "float16", (None, dim)) if path else None


def _read_learned(
    index: OpenIndex, record: LearnedRecord, positions: Int64Array | None
) -> LearnedBlock:
    manifest, n = index.manifest, index.manifest.cards
    dims = [b.projected_dim or b.dim for b in manifest.blocks if b.name != SCORES]
    # A row of the learned block ends in the hubness of its card, which nothing is projected into.
    dim = record.dim - (record.hubness is not None)
    matrix = index.array(record.matrix, "float32", (sum(dims), dim))
    offset = index.array(record.offset, "float32", (sum(dims),))
    edges = np.cumsum(dims)[:-1]
    head = hubness = None
    if record.head:
        head = _read_head(index, record.head, dim, manifest.categories)
    if record.hubness:
        references = index.array(record.hubness.references, "float32", (record.hubness.size, dim))
        hubness = HubnessCorrection(references, record.hubness.near)
    reliability = None
    if record.reliability:
        reliability = index.array(record.reliability, "float16", (n,))
        if not np.all((reliability <= 0) & np.isfinite(reliability)):
            raise index.damaged(record.reliability, "a reliability is no number of at most 0")
    projection = Projection(np.split(matrix, edges), np.split(offset, edges))
    index.remember(projection, record.matrix, record.offset)
    return LearnedBlock(
        FittedModel(projection, head, hubness),
        vectors=read_block_rows(index, LEARNED, record.vectors, positions),
        present=_read_present(index, record.present, record.cards),
        log_reliability=reliability,
        references=_read_references(index, record.expected, record.dim),
        categories=record.head.names if record.head else (),
    )


def _read_head(index: OpenIndex, record: HeadRecord, dim: int, known: int) -> LinearHead:
    size, path = record.size, record.categories
    categories = index.array(path, "int64", (size,))
    # Categories that were fitted by their names may be gone or merged since.
    if not np.all((categories >= (MISSING if record.names else 0)) & (categories < known)):
        raise index.damaged(path, "it names categories that are not there")
    if not record.names and len(np.unique(categories)) < size:
        raise index.damaged(path, "it names a category twice")
    return LinearHead(
        coefficients=index.array(record.coefficients, "float32", (dim, size)),
        intercepts=index.array(record.intercepts, "float32", (size,)),
        categories=categories,
    )
