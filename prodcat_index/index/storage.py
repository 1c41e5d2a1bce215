"""The parts of an index to files and back. Nothing that is read is ever executed."""

from __future__ import annotations

import json
import os
import re
import struct
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np

from prodcat_index import __version__
from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.errors import IndexFolderError
from prodcat_index.files import damaged_file, read_array
from prodcat_index.index.block import Block, EncoderSlot
from prodcat_index.index.folder import read_manifest, rewrite_manifest, write_version
from prodcat_index.index.index_card import index_card
from prodcat_index.index.learned import FittedModel, LearnedBlock
from prodcat_index.index.manifest import (
    CARDS,
    FORMAT_VERSION,
    LEARNED,
    SEARCH,
    BlockRecord,
    FileRecord,
    HeadRecord,
    HubnessRecord,
    LearnedRecord,
    Manifest,
    SearchRecord,
    VoteRecord,
    calibration_record,
    read_calibration,
    read_tuning,
    tuning_record,
)
from prodcat_index.index.parts import IndexParts
from prodcat_index.learning.head import LinearHead
from prodcat_index.learning.hubness import HubnessCorrection
from prodcat_index.learning.projection import Projection
from prodcat_index.voting.vote import VoteParameters


def common_folder(pictures: list[str]) -> str:
    """Return the folder that all pictures lie under, or nothing where there is none."""
    folders = {str(Path(picture).parent) for picture in pictures if picture}
    try:
        return os.path.commonpath(folders) if folders else ""
    except ValueError:
        return ""


def write_cards(catalogue: Catalogue, image_root: str, path: Path) -> None:
    """Write cards, their pictures' paths starting from the root."""
    relative = [
        os.path.relpath(picture, image_root) if picture and image_root else picture
        for picture in catalogue.values(IMAGE)
    ]
    cards = catalogue.cards.assign(**{IMAGE: relative})
    loose = [column for column in cards.columns if cards[column].dtype == object]
    texts = {column: [as_text(value) for value in cards[column]] for column in loose}
    cards.assign(**texts).to_parquet(path, index=False)


def as_text(value: Any) -> str:
    """Return a value as the text that a Parquet file keeps."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text.encode("utf-8", "replace").decode("utf-8")


def read_cards(path: Path, image_root: Path, manifest: Manifest, source: str) -> Catalogue:
    """Read cards; a picture outside of the root is none."""
    import pandas as pd

    try:
        cards = pd.read_parquet(path)
    except FileNotFoundError:
        raise
    except Exception as error:
        raise damaged_file(path, f"it cannot be read: {error}") from error
    expected = {"id", "category", "category_id", "group", IMAGE, *manifest.text_modalities}
    if len(cards) != manifest.cards or not expected <= set(cards.columns):
        raise damaged_file(path, "its rows or columns are not those of the manifest")
    if not cards["id"].is_unique:
        raise damaged_file(path, "two cards have the same id")
    pictures = [_picture_path(image_root, str(picture)) for picture in cards[IMAGE]]
    return Catalogue(cards.assign(**{IMAGE: pictures}), manifest.text_modalities, source=source)


def _picture_path(image_root: Path, picture: str) -> str:
    path = os.path.normpath(image_root / picture)
    # A relative root, such as none, would make the reader's own folder the root.
    is_inside = image_root.is_absolute() and Path(path).is_relative_to(image_root)
    return path if picture and is_inside else ""


def write_learned(learned: LearnedBlock, target: Path) -> None:
    """Write the learned block into the folder of a version."""
    learner = learned.learner
    arrays = {
        "vectors": learned.vectors,
        "present": learned.present,
        "matrix": np.concatenate(learner.projection.matrices),
        "offset": np.concatenate(learner.projection.offsets),
    }
    if learner.head:
        arrays |= {f"head.{name}": array for name, array in vars(learner.head).items()}
    if learner.hubness:
        arrays["references"] = learner.hubness.references
    for name, array in arrays.items():
        np.save(target / f"{LEARNED}.{name}.npy", array, allow_pickle=False)


def learned_record(learned: LearnedBlock, data: str, weights: Mapping[str, float]) -> LearnedRecord:
    """Describe the learned block for the manifest."""
    head, hubness = learned.learner.head, learned.learner.hubness
    stem = f"{data}/{LEARNED}"
    return LearnedRecord(
        dim=learned.dim,
        cards=int(learned.present.sum()),
        weight=weights[LEARNED],
        vectors=f"{stem}.vectors.npy",
        present=f"{stem}.present.npy",
        matrix=f"{stem}.matrix.npy",
        offset=f"{stem}.offset.npy",
        head=_head_record(head, f"{stem}.head") if head else None,
        crowding=_hubness_record(hubness, stem) if hubness else None,
    )


def _head_record(head: LinearHead, stem: str) -> HeadRecord:
    return HeadRecord(
        size=len(head.categories),
        coefficients=f"{stem}.coefficients.npy",
        intercepts=f"{stem}.intercepts.npy",
        categories=f"{stem}.categories.npy",
    )


def _hubness_record(hubness: HubnessCorrection, stem: str) -> HubnessRecord:
    return HubnessRecord(
        size=len(hubness.references), near=hubness.near, references=f"{stem}.references.npy"
    )


def read_learned(folder: Path, record: LearnedRecord, manifest: Manifest) -> LearnedBlock:
    """Read the learned block; its arrays stay on disk until they are touched."""
    n, dims = manifest.cards, [block.dim for block in manifest.blocks]
    dim = record.dim - (record.crowding is not None)
    matrix = read_array(folder / record.matrix, "float32", (sum(dims), dim))
    offset = read_array(folder / record.offset, "float32", (sum(dims),))
    edges = np.cumsum(dims)[:-1]
    projection = Projection(np.split(matrix, edges), np.split(offset, edges))
    head = _read_head(folder, record.head, dim, manifest) if record.head else None
    hubness = _read_hubness(folder, record.crowding, dim) if record.crowding else None
    return LearnedBlock(
        learner=FittedModel(projection, head, hubness),
        vectors=read_array(folder / record.vectors, "float16", (n, record.dim)),
        present=read_array(folder / record.present, "bool", (n,)),
    )


def _read_hubness(folder: Path, record: HubnessRecord, dim: int) -> HubnessCorrection:
    references = read_array(folder / record.references, "float32", (record.size, dim))
    return HubnessCorrection(references, record.near)


def _read_head(folder: Path, record: HeadRecord, dim: int, manifest: Manifest) -> LinearHead:
    size = record.size
    categories = read_array(folder / record.categories, "int64", (size,))
    if not np.isin(categories, np.arange(manifest.categories)).all():
        raise damaged_file(folder / record.categories, "it names categories that are not there")
    if len(np.unique(categories)) < size:
        raise damaged_file(folder / record.categories, "it names a category twice")
    return LinearHead(
        coefficients=read_array(folder / record.coefficients, "float32", (dim, size)),
        intercepts=read_array(folder / record.intercepts, "float32", (size,)),
        categories=categories,
    )


FLAT = "Flat"
FLAT_FOURCC = b"IxFI"
FLAT_HEADER_BYTES = 4 + 4 + 8 + 8 + 8 + 1 + 4 + 8


def write_search(index: Any, path: Path) -> None:
    """Write a flat FAISS index."""
    import faiss

    faiss.write_index(index, str(path))


def read_search(path: Path, manifest: Manifest) -> Any:
    """Open a flat FAISS index after checking its header; its vectors stay on disk."""
    import faiss

    dim, n = manifest.search.dim, manifest.cards
    with path.open("rb") as file:
        header = file.read(FLAT_HEADER_BYTES)
    fields = struct.unpack("<4siqqq?iQ", header) if len(header) == FLAT_HEADER_BYTES else ()
    promised = (FLAT_FOURCC, dim, n, True, faiss.METRIC_INNER_PRODUCT, dim * n)
    if (*fields[:3], *fields[5:]) != promised:
        raise damaged_file(path, "it is not the flat inner-product index of the manifest")
    if path.stat().st_size != FLAT_HEADER_BYTES + 4 * dim * n:
        raise damaged_file(path, "its length is not that of its vectors")
    return faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)


PACKAGES = ("faiss-cpu", "numpy", "scikit-learn", "timm", "torch")
MAX_OPEN_ATTEMPTS = 3


def save_parts(
    parts: IndexParts, folder: Path, check: Callable[[], None] = lambda: None
) -> Manifest:
    """Write the parts as a new version of an index folder."""
    parts = parts.indexed()
    image_root = common_folder(parts.catalogue.values(IMAGE))
    stems = _file_stems(parts.blocks)

    def write_files(target: Path) -> None:
        write_cards(parts.catalogue, image_root, target / CARDS)
        for block, stem in zip(parts.blocks, stems, strict=True):
            np.save(target / f"{stem}.f16.npy", block.vectors, allow_pickle=False)
            np.save(target / f"{stem}.present.npy", block.present, allow_pickle=False)
            np.save(target / f"{stem}.mean.npy", block.mean, allow_pickle=False)
            fitted = target / "encoders" / stem
            fitted.mkdir(parents=True)
            block.slot.load().save(fitted)
        if parts.learned:
            write_learned(parts.learned, target)
        write_search(parts.faiss_index, target / SEARCH)

    def make_manifest(number: int, data: str, files: dict[str, FileRecord]) -> Manifest:
        return Manifest(
            format_version=FORMAT_VERSION,
            version=number,
            data=data,
            created=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            packages={"prodcat-index": __version__}
            | {name: package_version(name) for name in PACKAGES},
            cards=len(parts.catalogue),
            labelled=int(parts.labels.labelled.sum()),
            categories=len(parts.labels.names),
            text_modalities=parts.catalogue.text_modalities,
            image_root=image_root,
            blocks=tuple(
                _block_record(block, f"{data}/{stem}", f"{data}/encoders/{stem}", parts.weights)
                for block, stem in zip(parts.blocks, stems, strict=True)
            ),
            learned=learned_record(parts.learned, data, parts.weights) if parts.learned else None,
            vote=VoteRecord(**vars(parts.vote)),
            tuning=tuning_record(parts.tuning) if parts.tuning else None,
            calibration=calibration_record(parts.calibration) if parts.calibration else None,
            growth=parts.growth,
            search=SearchRecord(kind=FLAT, dim=parts.faiss_index.d, blocks=tuple(parts.covered)),
            files=files,
        )

    return write_version(folder, write_files, make_manifest, index_card, check)


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
    """Write the weights, the vote and how they were tuned into the manifest of an index folder."""
    indexed = parts.indexed()
    if indexed is not parts:
        return save_parts(
            indexed,
            folder,
            lambda: _require_same(folder, read_manifest(folder, verify=False), parts),
        )

    def change(manifest: Manifest) -> Manifest:
        _require_same(folder, manifest, parts)
        blocks = [
            block.model_copy(update={"weight": parts.weights[block.name]})
            for block in manifest.blocks
        ]
        learned = manifest.learned
        if learned:
            learned = learned.model_copy(update={"weight": parts.weights[LEARNED]})
        update = {
            "blocks": tuple(blocks),
            "learned": learned,
            "vote": VoteRecord(**vars(parts.vote)),
            "tuning": tuning_record(parts.tuning) if parts.tuning else None,
            "calibration": calibration_record(parts.calibration) if parts.calibration else None,
            "growth": parts.growth,
        }
        return Manifest.model_validate(manifest.model_copy(update=update).model_dump())

    return rewrite_manifest(folder, change, index_card)


def _require_same(folder: Path, manifest: Manifest, parts: IndexParts) -> None:
    # Encoders that are not fitted have the same fingerprints over any cards.
    path = folder / manifest.data / CARDS
    stored = read_cards(path, Path(manifest.image_root), manifest, str(folder))
    columns = [(stored.values(name), parts.catalogue.values(name)) for name in ("id", "category")]
    encoders = [block.slot.fingerprint for block in parts.blocks]
    if [block.fingerprint for block in manifest.blocks] != encoders or any(
        written != [as_text(value) for value in own] for written, own in columns
    ):
        raise IndexFolderError(f"The index {folder} was built again meanwhile; tune the new one.")


def _file_stems(blocks: Any) -> list[str]:
    safe = [re.sub(r"[^\w.-]+", "_", block.name)[:80] for block in blocks]
    return [f"{position}-{name}" for position, name in enumerate(safe)]


def _block_record(
    block: Block, stem: str, fitted: str, weights: Mapping[str, float]
) -> BlockRecord:
    return BlockRecord(
        name=block.name,
        modality=block.modality,
        encoder=block.slot.spec,
        fingerprint=block.slot.fingerprint,
        dim=block.dim,
        cards=int(block.present.sum()),
        weight=weights[block.name],
        vectors=f"{stem}.f16.npy",
        present=f"{stem}.present.npy",
        mean=f"{stem}.mean.npy",
        fitted=fitted,
    )


def load_parts(folder: Path, *, verify: bool = True, image_root: Path | None = None) -> IndexParts:
    """Read the parts of an index folder; arrays stay on disk until they are touched."""
    manifest = read_manifest(folder, verify=verify)
    for _ in range(MAX_OPEN_ATTEMPTS):
        try:
            return _open(folder, manifest, image_root)
        except FileNotFoundError:
            # A writer switched to a new version while this one was being opened.
            manifest = read_manifest(folder, verify=verify)
    raise IndexFolderError(f"The index {folder} is being rewritten all the time; try again later.")


def _open(folder: Path, manifest: Manifest, image_root: Path | None) -> IndexParts:
    data = folder / manifest.data
    root = image_root or Path(manifest.image_root)
    calibration = read_calibration(manifest.calibration) if manifest.calibration else None
    return IndexParts(
        catalogue=read_cards(data / CARDS, root, manifest, str(folder)),
        blocks=[_read_block(folder, record, manifest.cards) for record in manifest.blocks],
        learned=read_learned(folder, manifest.learned, manifest) if manifest.learned else None,
        weights=manifest.weights,
        vote=VoteParameters(**manifest.vote.model_dump()),
        faiss_index=read_search(data / SEARCH, manifest),
        covered=manifest.search.blocks,
        tuning=read_tuning(manifest.tuning, calibration) if manifest.tuning else None,
        calibration=calibration,
        growth=manifest.growth,
        opened=manifest,
    )


def _read_block(folder: Path, record: BlockRecord, n: int) -> Block:
    vectors = read_array(folder / record.vectors, "float16", (n, record.dim))
    present = read_array(folder / record.present, "bool", (n,))
    mean = read_array(folder / record.mean, "float32", (record.dim,))
    slot = EncoderSlot(record.encoder, record.fingerprint, folder / record.fitted)
    return Block(record.name, record.modality, slot, vectors, present, mean)
