"""The parts of an index to files and back. Nothing that is read is ever executed."""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index import __version__, files
from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.errors import IndexFolderError
from prodcat_index.index.block import Block, EncoderSlot
from prodcat_index.index.folder import (
    flushed_files,
    next_version,
    parse_manifest,
    read_manifest,
    write_manifest,
)
from prodcat_index.index.learned import FittedModel, LearnedBlock
from prodcat_index.index.manifest import (
    CARDS,
    FORMAT_VERSION,
    LEARNED,
    SEARCH,
    BlockRecord,
    HeadRecord,
    HubnessRecord,
    LearnedRecord,
    Manifest,
    SearchRecord,
)
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.search import FlatSearcher
from prodcat_index.learning.head import LinearHead
from prodcat_index.learning.projection import HubnessCorrection, Projection

# Their versions are noted in the manifest: embeddings or arrays may depend on them.
PACKAGES = ("faiss-cpu", "numpy", "scikit-learn", "timm", "torch")
MAX_OPEN_ATTEMPTS = 3
FLAT = "Flat"
FLAT_FOURCC = b"IxFI"
# The letters, the dimension, the count, two unused numbers, is it trained, the metric, the length.
FLAT_HEADER = struct.Struct("<4siqqq?iQ")


def save_parts(
    parts: IndexParts, folder: Path, check: Callable[[], object] = lambda: None
) -> Manifest:
    """Write the parts as a new version of an index folder; `check` may raise an error before."""
    parts = parts.indexed()
    searcher = parts.searcher
    assert searcher is not None, "indexed parts have a searcher"
    with next_version(folder, check) as (number, data):
        blocks = tuple(
            _write_block(block, parts.weights[block.name], folder, data, place)
            for place, block in enumerate(parts.blocks)
        )
        learned = None
        if parts.learned:
            learned = _write_learned(parts.learned, parts.weights[LEARNED], folder, data)
        image_root = _common_folder(parts.catalogue.values(IMAGE))
        _write_cards(parts.catalogue, image_root, folder / data / CARDS)
        searcher.write(folder / data / SEARCH)
        manifest = Manifest(
            format_version=FORMAT_VERSION,
            version=number,
            data=data,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            packages={
                "prodcat-index": __version__,
                **{name: package_version(name) for name in PACKAGES},
            },
            cards=len(parts.catalogue),
            labelled=int(parts.labels.labelled.sum()),
            categories=len(parts.labels.names),
            text_modalities=parts.catalogue.text_modalities,
            image_root=image_root,
            blocks=blocks,
            learned=learned,
            search=SearchRecord(FLAT, searcher.dim, tuple(parts.covered)),
            files=flushed_files(folder, data),
            **_settings(parts),
        )
        write_manifest(folder, manifest)
    return manifest


def save_next(parts: IndexParts, folder: Path) -> Manifest:
    """Write the parts as the next version of the index that they were loaded from."""

    def check() -> None:
        if read_manifest(folder, verify=False) != parts.opened:
            raise IndexFolderError(
                f"The index {folder} was changed since it was opened (built again, tuned or added "
                "to), and is left as it is; open it and add the cards again."
            )

    return save_parts(parts, folder, check)


def save_settings(parts: IndexParts, folder: Path) -> Manifest:
    """Write the weights, the vote and how they were tuned into the manifest of an index folder.

    A new version is written only where the weights need a search index of other blocks.
    """
    indexed = parts.indexed()
    if indexed is not parts:
        return save_parts(indexed, folder, lambda: _check_same(folder, parts))
    parse_manifest(folder)
    with files.exclusive_folder(folder, "index", IndexFolderError):
        manifest = _check_same(folder, parts)
        learned = manifest.learned and replace(manifest.learned, weight=parts.weights[LEARNED])
        blocks = (replace(b, weight=parts.weights[b.name]) for b in manifest.blocks)
        settings = _settings(parts)
        manifest = replace(manifest, blocks=tuple(blocks), learned=learned, **settings)
        write_manifest(folder, manifest)
    return manifest


def _settings(parts: IndexParts) -> dict[str, Any]:
    tuning = parts.tuning and replace(parts.tuning, calibration=None)
    return {
        "vote": parts.vote,
        "tuning": tuning,
        "calibration": parts.calibration,
        "drift": parts.drift,
    }


def _check_same(folder: Path, parts: IndexParts) -> Manifest:
    """Return the manifest if the folder still holds these cards, labels and encoders."""
    manifest = read_manifest(folder, verify=False)
    stored = _read_cards(folder, manifest, Path(manifest.image_root))
    # Encoders that are not fitted have the same fingerprints over any cards.
    is_same = [b.fingerprint for b in manifest.blocks] == [b.slot.fingerprint for b in parts.blocks]
    for column in ("id", "category"):
        own = [_as_text(value) for value in parts.catalogue.values(column)]
        is_same = is_same and stored.values(column) == own
    if not is_same:
        raise IndexFolderError(f"The index {folder} was built again meanwhile; tune the new one.")
    return manifest


def load_parts(folder: Path, *, verify: bool = True, image_root: Path | None = None) -> IndexParts:
    """Read the parts of an index folder; arrays stay on disk until they are touched."""
    for _ in range(MAX_OPEN_ATTEMPTS):
        manifest = read_manifest(folder, verify=verify)
        try:
            return _open(folder, manifest, image_root or Path(manifest.image_root))
        except FileNotFoundError:
            # A writer switched to a new version while this one was being opened.
            continue
    raise IndexFolderError(f"The index {folder} is being rewritten all the time; try again later.")


def _open(folder: Path, manifest: Manifest, image_root: Path) -> IndexParts:
    learned, tuning = manifest.learned, manifest.tuning
    return IndexParts(
        catalogue=_read_cards(folder, manifest, image_root),
        blocks=[_read_block(folder, record, manifest.cards) for record in manifest.blocks],
        learned=_read_learned(folder, learned, manifest) if learned else None,
        weights=manifest.weights,
        vote=manifest.vote,
        searcher=_read_search(folder / manifest.data / SEARCH, manifest),
        covered=manifest.search.blocks,
        tuning=tuning and replace(tuning, calibration=manifest.calibration),
        calibration=manifest.calibration,
        drift=manifest.drift,
        opened=manifest,
    )


def _common_folder(pictures: list[str]) -> str:
    """Return the folder that all pictures lie under; empty where there is none."""
    folders = {str(Path(picture).parent) for picture in pictures if picture}
    try:
        return os.path.commonpath(folders) if folders else ""
    except ValueError:  # two drives, or relative and absolute paths
        return ""


def _write_cards(catalogue: Catalogue, image_root: str, path: Path) -> None:
    relative = [
        os.path.relpath(picture, image_root) if picture and image_root else picture
        for picture in catalogue.values(IMAGE)
    ]
    cards = catalogue.cards.assign(**{IMAGE: relative})
    # Parquet has one type a column; what the reader of a catalogue left as objects becomes text.
    texts = {
        column: [_as_text(value) for value in cards[column]]
        for column in cards.columns
        if cards[column].dtype == object
    }
    cards.assign(**texts).to_parquet(path, index=False)


def _as_text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    # Half a surrogate pair, which JSON lets through, is no text.
    return text.encode("utf-8", "replace").decode("utf-8")


def _read_cards(folder: Path, manifest: Manifest, image_root: Path) -> Catalogue:
    """Read the cards; a picture outside of the root is none."""
    import pandas as pd

    path = folder / manifest.data / CARDS
    try:
        cards = pd.read_parquet(path)
    except FileNotFoundError:
        raise
    except Exception as error:  # of almost any class, for a damaged or hostile file
        raise files.damaged_file(path, f"it cannot be read: {error}") from error
    expected = {"id", "category", "category_id", "group", IMAGE, *manifest.text_modalities}
    if len(cards) != manifest.cards or not expected <= set(cards.columns):
        raise files.damaged_file(path, "its rows or columns are not those of the manifest")
    if not cards["id"].is_unique:
        raise files.damaged_file(path, "two cards have the same id")
    pictures = [_picture_path(image_root, str(picture)) for picture in cards[IMAGE]]
    cards = cards.assign(**{IMAGE: pictures})
    return Catalogue(cards, manifest.text_modalities, source=str(folder))


def _picture_path(image_root: Path, picture: str) -> str:
    path = os.path.normpath(image_root / picture)
    # A relative root, such as none, would make the reader's own folder the root.
    is_inside = image_root.is_absolute() and Path(path).is_relative_to(image_root)
    return path if picture and is_inside else ""


def _save_array(array: npt.NDArray[Any], folder: Path, path: str) -> str:
    np.save(folder / path, array, allow_pickle=False)
    return path


def _write_block(block: Block, weight: float, folder: Path, data: str, place: int) -> BlockRecord:
    # A block may be named after a spec, with slashes.
    stem = f"{place}-" + re.sub(r"[^\w.-]+", "_", block.name)[:80]
    fitted = f"{data}/encoders/{stem}"
    (folder / fitted).mkdir(parents=True)
    block.slot.load().save(folder / fitted)
    return BlockRecord(
        name=block.name,
        modality=block.modality,
        encoder=block.slot.spec,
        fingerprint=block.slot.fingerprint,
        dim=block.dim,
        cards=int(block.present.sum()),
        weight=weight,
        vectors=_save_array(block.vectors, folder, f"{data}/{stem}.f16.npy"),
        present=_save_array(block.present, folder, f"{data}/{stem}.present.npy"),
        mean=_save_array(block.mean, folder, f"{data}/{stem}.mean.npy"),
        fitted=fitted,
    )


def _read_block(folder: Path, record: BlockRecord, n: int) -> Block:
    return Block(
        name=record.name,
        modality=record.modality,
        slot=EncoderSlot(record.encoder, record.fingerprint, folder / record.fitted),
        vectors=files.read_array(folder / record.vectors, "float16", (n, record.dim)),
        present=files.read_array(folder / record.present, "bool", (n,)),
        mean=files.read_array(folder / record.mean, "float32", (record.dim,)),
    )


def _write_learned(learned: LearnedBlock, weight: float, folder: Path, data: str) -> LearnedRecord:
    def save(array: npt.NDArray[Any], name: str) -> str:
        return _save_array(array, folder, f"{data}/{LEARNED}.{name}.npy")

    model = learned.model
    head, hubness = model.head, model.hubness
    return LearnedRecord(
        dim=learned.dim,
        cards=int(learned.present.sum()),
        weight=weight,
        vectors=save(learned.vectors, "vectors"),
        present=save(learned.present, "present"),
        matrix=save(np.concatenate(model.projection.matrices), "matrix"),
        offset=save(np.concatenate(model.projection.offsets), "offset"),
        head=HeadRecord(
            size=len(head.categories),
            coefficients=save(head.coefficients, "head.coefficients"),
            intercepts=save(head.intercepts, "head.intercepts"),
            categories=save(head.categories, "head.categories"),
        )
        if head
        else None,
        hubness=HubnessRecord(
            len(hubness.references), hubness.near, save(hubness.references, "references")
        )
        if hubness
        else None,
    )


def _read_learned(folder: Path, record: LearnedRecord, manifest: Manifest) -> LearnedBlock:
    n, dims = manifest.cards, [block.dim for block in manifest.blocks]
    # A row of the learned block ends in the hubness of its card, which nothing is projected into.
    dim = record.dim - (record.hubness is not None)
    matrix = files.read_array(folder / record.matrix, "float32", (sum(dims), dim))
    offset = files.read_array(folder / record.offset, "float32", (sum(dims),))
    edges = np.cumsum(dims)[:-1]
    hubness = None
    if record.hubness:
        path, shape = folder / record.hubness.references, (record.hubness.size, dim)
        hubness = HubnessCorrection(files.read_array(path, "float32", shape), record.hubness.near)
    model = FittedModel(
        Projection(np.split(matrix, edges), np.split(offset, edges)),
        _read_head(folder, record.head, dim, manifest.categories) if record.head else None,
        hubness,
    )
    return LearnedBlock(
        model,
        vectors=files.read_array(folder / record.vectors, "float16", (n, record.dim)),
        present=files.read_array(folder / record.present, "bool", (n,)),
    )


def _read_head(folder: Path, record: HeadRecord, dim: int, known: int) -> LinearHead:
    size, path = record.size, folder / record.categories
    categories = files.read_array(path, "int64", (size,))
    if not np.isin(categories, np.arange(known)).all():
        raise files.damaged_file(path, "it names categories that are not there")
    if len(np.unique(categories)) < size:
        raise files.damaged_file(path, "it names a category twice")
    return LinearHead(
        coefficients=files.read_array(folder / record.coefficients, "float32", (dim, size)),
        intercepts=files.read_array(folder / record.intercepts, "float32", (size,)),
        categories=categories,
    )


def _read_search(path: Path, manifest: Manifest) -> FlatSearcher:
    """Open a flat FAISS index; its vectors stay on disk.

    FAISS believes what it reads, so a wrong header would crash the process: it is checked first.
    """
    import faiss

    dim, n = manifest.search.dim, manifest.cards
    with path.open("rb") as file:
        header = file.read(FLAT_HEADER.size)
    fields = FLAT_HEADER.unpack(header) if len(header) == FLAT_HEADER.size else ()
    promised = (FLAT_FOURCC, dim, n, True, faiss.METRIC_INNER_PRODUCT, dim * n)
    if (*fields[:3], *fields[5:]) != promised:
        raise files.damaged_file(path, "it is not the flat inner-product index of the manifest")
    if path.stat().st_size != FLAT_HEADER.size + 4 * dim * n:
        raise files.damaged_file(path, "its length is not that of its vectors")
    return FlatSearcher.open(path)
