"""The parts of an index to files and back. Nothing that is read is ever executed."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index import __version__
from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.errors import IndexFolderError
from prodcat_index.files import Output
from prodcat_index.findings import Finding, list_findings
from prodcat_index.index.block import Block, EncoderSlot
from prodcat_index.index.build import MIN_CARDS_TO_LEARN
from prodcat_index.index.folder import OpenIndex, open_index, parse_manifest, read_manifest
from prodcat_index.index.learned import FittedModel, LearnedBlock
from prodcat_index.index.manifest import (
    CARDS,
    FORMAT_VERSION,
    LEARNED,
    SCORES,
    SEARCH,
    BlockRecord,
    Choices,
    HeadRecord,
    HubnessRecord,
    JournalEntry,
    LearnedRecord,
    Manifest,
    SearchRecord,
)
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.search import FlatSearcher
from prodcat_index.index.transaction import Transaction, change
from prodcat_index.learning.head import LinearHead
from prodcat_index.learning.projection import HubnessCorrection, Projection
from prodcat_index.types import MISSING, FloatingArray, evenly_spaced

# Embeddings or arrays may depend on these.
PACKAGES = ("faiss-cpu", "numpy", "scikit-learn", "timm", "torch")
MAX_OPEN_ATTEMPTS = 3
SETTINGS = ("vote", "tuning", "calibration", "drift", "aliases", "choices")
# Whether an index was moved without its pictures shows in any of them.
PICTURES_LOOKED_FOR = 20


def package_versions() -> dict[str, str]:
    """Return the versions of this package and of those that its results may depend on."""
    return {"prodcat-index": __version__} | {name: version(name) for name in PACKAGES}


def save_parts(
    parts: IndexParts,
    folder: Path,
    check: Callable[[], object] = lambda: None,
    entry: JournalEntry | None = None,
) -> None:
    """Write the parts as a new version of an index folder; `check` may raise an error before."""
    parts = parts.indexed()
    searcher = parts.searcher
    assert searcher is not None, "indexed parts have a searcher"
    with change(folder, check) as transaction:
        blocks = tuple(
            _write_block(block, parts, transaction, place)
            for place, block in enumerate(parts.blocks)
        )
        learned = None
        if parts.learned:
            learned = _write_learned(parts.learned, parts.weights[LEARNED], transaction)
        image_root = _common_folder(parts.catalogue.values(IMAGE))
        with transaction.create(CARDS) as output:
            _write_cards(parts.catalogue, image_root, output)
        with transaction.create(SEARCH) as output:
            searcher.write(output)
        manifest = Manifest(
            format_version=FORMAT_VERSION,
            version=transaction.number,
            data=transaction.data,
            created="",
            packages=package_versions(),
            cards=len(parts.catalogue),
            labelled=int(parts.labels.labelled.sum()),
            categories=len(parts.labels.names),
            text_modalities=parts.catalogue.text_modalities,
            image_root=image_root,
            columns=dict(parts.catalogue.columns),
            category_separator=parts.catalogue.category_separator,
            blocks=blocks,
            learned=learned,
            search=SearchRecord("Flat", searcher.dim, tuple(parts.covered)),
            files=transaction.records,
            **_settings(parts),
        )
        transaction.commit(manifest, entry or JournalEntry("build", {"cards": manifest.cards}))


def save_next(parts: IndexParts, folder: Path) -> None:
    """Write the parts as the next version of the index that they were loaded from."""

    def check() -> None:
        if read_manifest(folder, verify=False) != parts.opened:
            raise IndexFolderError(
                f"The index {folder} was changed since it was opened (built again, tuned or added "
                "to), and is left as it is; open it and add the cards again."
            )

    save_parts(parts, folder, check, parts.pending)


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
        blocks = tuple(replace(b, **_weights(parts, b.name)) for b in manifest.blocks)
        manifest = replace(manifest, blocks=blocks, learned=learned, **_settings(parts))
        transaction.commit(manifest, entry)


def _guess_choices(manifest: Manifest) -> Choices:
    """Return what was chosen when an index of an earlier format was built, as far as it shows."""
    is_plain = manifest.learned is None and manifest.labelled >= MIN_CARDS_TO_LEARN
    return Choices(projection="none" if is_plain else "lda")


def _settings(parts: IndexParts) -> dict[str, Any]:
    return {name: getattr(parts, name) for name in SETTINGS}


def _weights(parts: IndexParts, block: str) -> dict[str, Any]:
    return {"weight": parts.weights[block], "search_weight": parts.search_weights.get(block, 0.0)}


def _check_same(folder: Path, parts: IndexParts) -> Manifest:
    """Return the manifest if the folder still holds these cards, labels and encoders."""
    index = open_index(folder, verify=False)
    manifest = index.manifest
    stored = _read_cards(index, Path(manifest.image_root))
    # Encoders that are not fitted have the same fingerprints over any cards.
    is_same = [b.fingerprint for b in manifest.blocks] == [b.slot.fingerprint for b in parts.blocks]
    for column in ("id", "category"):
        own = map(_as_text, parts.catalogue.values(column))
        is_same = is_same and stored.values(column) == list(own)
    if not is_same:
        raise IndexFolderError(f"The index {folder} was built again meanwhile; tune the new one.")
    return manifest


def save_image_root(parts: IndexParts, folder: Path) -> None:
    """Write the folder of the pictures into the manifest of an index folder that lost them."""
    pictures = parts.catalogue.values(IMAGE)
    if not any(pictures):
        raise IndexFolderError(f"The index {folder} has no pictures, so they are in no folder.")
    if not _are_there(pictures):
        raise IndexFolderError(
            f"The pictures of {folder} are not in {_common_folder(pictures)}; name the folder that "
            "they are in now."
        )
    parse_manifest(folder)
    with change(folder) as transaction:
        manifest = replace(_check_same(folder, parts), image_root=_common_folder(pictures))
        transaction.commit(manifest, JournalEntry("image-root"))


def find_moved(catalogue: Catalogue, folder: Path) -> tuple[Finding, ...]:
    """Return a finding where the pictures of an index folder are not where they were."""
    pictures = catalogue.values(IMAGE)
    if _are_there(pictures):
        return ()
    what = (
        f"cards have pictures that are not in {_common_folder(pictures)} (name their folder once: "
        f"prodcat info {folder} --image-root FOLDER)"
    )
    return list_findings({what: map(bool, pictures)}, catalogue.ids)


def _are_there(pictures: Sequence[str]) -> bool:
    """Check whether any of some pictures is a file, or there are none at all."""
    named = [picture for picture in pictures if picture]
    some = [named[place] for place in evenly_spaced(len(named), PICTURES_LOOKED_FOR)]
    return not some or any(Path(picture).is_file() for picture in some)


def load_parts(folder: Path, *, verify: bool = True, image_root: Path | None = None) -> IndexParts:
    """Read the parts of an index folder; arrays stay on disk until they are touched."""
    for _ in range(MAX_OPEN_ATTEMPTS):
        index = open_index(folder, verify=verify)
        stored_root = Path(index.manifest.image_root)
        try:
            parts = _open(index, image_root or stored_root)
            if image_root and not _are_there(parts.catalogue.values(IMAGE)):
                # Of pictures that a catalogue names images/1.jpg, the folder above may be given.
                catalogue = _read_cards(index, image_root / stored_root.name)
                if _are_there(catalogue.values(IMAGE)):
                    return replace(parts, catalogue=catalogue)
            return parts
        except FileNotFoundError:
            continue  # A writer switched to a new version while this one was being opened.
    raise IndexFolderError(f"The index {folder} is being rewritten all the time; try again later.")


def _open(index: OpenIndex, image_root: Path) -> IndexParts:
    manifest = index.manifest
    learned, path = manifest.learned, index.folder / manifest.data / SEARCH
    parts = IndexParts(
        catalogue=_read_cards(index, image_root),
        blocks=[_read_block(index, record) for record in manifest.blocks],
        learned=_read_learned(index, learned) if learned else None,
        weights=manifest.weights,
        chosen_search_weights=manifest.search_weights,
        vote=manifest.vote,
        searcher=FlatSearcher.open(path, manifest.search.dim, manifest.cards),
        covered=manifest.search.blocks,
        tuning=manifest.tuning,
        calibration=manifest.calibration,
        drift=manifest.drift,
        aliases=manifest.aliases,
        choices=manifest.choices or _guess_choices(manifest),
        opened=manifest,
    )
    head = parts.learned.model.head if parts.learned else None
    if parts.learned is None or head is None or parts.learned.categories:
        return parts
    fitted = tuple(parts.labels.names[code] for code in head.categories)
    return replace(parts, learned=replace(parts.learned, categories=fitted))


def _common_folder(pictures: list[str]) -> str:
    """Return the folder that all pictures lie under; empty where there is none."""
    folders = {str(Path(picture).parent) for picture in pictures if picture}
    try:
        return os.path.commonpath(folders) if folders else ""
    except ValueError:  # two drives, or relative and absolute paths
        return ""


def _write_cards(catalogue: Catalogue, image_root: str, file: Output | Path) -> None:
    pictures = catalogue.values(IMAGE)
    if image_root:
        pictures = [os.path.relpath(path, image_root) if path else "" for path in pictures]
    cards = catalogue.cards.assign(**{IMAGE: pictures})
    # Parquet has one type a column; what the reader of a catalogue left as objects becomes text.
    loose = [column for column in cards.columns if cards[column].dtype == object]
    texts = {column: [_as_text(value) for value in cards[column]] for column in loose}
    cards.assign(**texts).to_parquet(file, index=False)


def _as_text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    # Half a surrogate pair, which JSON lets through, is no text.
    return text.encode("utf-8", "replace").decode("utf-8")


def _read_cards(index: OpenIndex, image_root: Path) -> Catalogue:
    """Read the cards; a picture outside of the root is none."""
    import pandas as pd
    import pyarrow as pa

    manifest = index.manifest
    path = f"{manifest.data}/{CARDS}"
    try:
        cards = pd.read_parquet(pa.BufferReader(index.contents[path]))
    except Exception as error:  # of almost any class, for a damaged or hostile file
        raise index.damaged(path, f"it cannot be read: {error}") from error
    expected = {"id", "category", "category_id", "group", IMAGE, *manifest.text_modalities}
    if len(cards) != manifest.cards or not expected <= set(cards.columns):
        raise index.damaged(path, "its rows or columns are not those of the manifest")
    if not cards["id"].is_unique:
        raise index.damaged(path, "two cards have the same id")
    pictures = [_picture_path(image_root, str(picture)) for picture in cards[IMAGE]]
    cards = cards.assign(**{IMAGE: pictures})
    return Catalogue(
        cards,
        manifest.text_modalities,
        source=str(index.folder),
        columns=manifest.columns,
        category_separator=manifest.category_separator,
    )


def _picture_path(image_root: Path, picture: str) -> str:
    # A relative root, such as none, would make the reader's own folder the root.
    if not picture or not image_root.is_absolute():
        return ""
    path = os.path.normpath(image_root / picture)
    return path if Path(path).is_relative_to(image_root) else ""


def _save_arrays(
    transaction: Transaction, stem: str, arrays: Mapping[str, npt.NDArray[Any]]
) -> dict[str, str]:
    """Write arrays, and return the path of each by its name."""
    return {name: transaction.write(f"{stem}.{name}.npy", array) for name, array in arrays.items()}


def _write_block(
    block: Block, parts: IndexParts, transaction: Transaction, place: int
) -> BlockRecord:
    # A block may be named after a spec, with slashes.
    stem = f"{place}-" + re.sub(r"[^\w.-]+", "_", block.name)[:80]
    for name, part in block.slot.load().fitted_parts().items():
        transaction.write(f"encoders/{stem}/{name}", part)
    arrays = {"f16": np.asarray(block.vectors), "present": block.present, "mean": block.mean}
    if block.references is not None:
        arrays["references"] = np.asarray(block.references)
    paths = _save_arrays(transaction, stem, arrays)
    return BlockRecord(
        name=block.name,
        modality=block.modality,
        encoder=block.slot.spec,
        fingerprint=block.slot.fingerprint,
        dim=block.dim,
        cards=int(block.present.sum()),
        projected_dim=block.projected_dim,
        **_weights(parts, block.name),
        vectors=paths["f16"],
        present=paths["present"],
        mean=paths["mean"],
        fitted=f"{transaction.data}/encoders/{stem}",
        references=paths.get("references"),
    )


def _read_block(index: OpenIndex, record: BlockRecord) -> Block:
    n = index.manifest.cards
    return Block(
        name=record.name,
        modality=record.modality,
        slot=EncoderSlot(record.encoder, record.fingerprint, index.within(record.fitted)),
        vectors=index.array(record.vectors, "float16", (n, record.dim)),
        present=index.array(record.present, "bool", (n,)),
        mean=index.array(record.mean, "float32", (record.dim,)),
        projected_dim=record.projected_dim,
        references=_read_references(index, record.references, record.dim),
    )


def _read_references(index: OpenIndex, path: str | None, dim: int) -> FloatingArray | None:
    return index.array(path, "float16", (None, dim)) if path else None


def _write_learned(learned: LearnedBlock, weight: float, transaction: Transaction) -> LearnedRecord:
    model = learned.model
    arrays = {
        "vectors": np.asarray(learned.vectors),
        "present": learned.present,
        "matrix": np.concatenate(model.projection.matrices),
        "offset": np.concatenate(model.projection.offsets),
    }
    if learned.log_reliability is not None:
        arrays["reliability"] = learned.log_reliability
    if learned.references is not None:
        arrays["expected"] = learned.references
    head_record = hubness_record = None
    if model.head:
        paths = _save_arrays(transaction, f"{LEARNED}.head", vars(model.head))
        size = len(model.head.categories)
        head_record = HeadRecord(size, **paths, names=learned.categories)
    if model.hubness:
        references = model.hubness.references
        paths = _save_arrays(transaction, LEARNED, {"references": references})
        hubness_record = HubnessRecord(len(references), model.hubness.near, **paths)
    return LearnedRecord(
        dim=learned.dim,
        cards=int(learned.present.sum()),
        weight=weight,
        head=head_record,
        hubness=hubness_record,
        **_save_arrays(transaction, LEARNED, arrays),
    )


def _read_learned(index: OpenIndex, record: LearnedRecord) -> LearnedBlock:
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
    return LearnedBlock(
        FittedModel(projection, head, hubness),
        vectors=index.array(record.vectors, "float16", (n, record.dim)),
        present=index.array(record.present, "bool", (n,)),
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
