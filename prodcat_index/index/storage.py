"""The parts of an index to files and back. Nothing that is read is ever executed."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime, timezone
from importlib.metadata import version as package_version
from pathlib import Path
from typing import Any

import numpy as np

from prodcat_index import __version__
from prodcat_index.cards.card import IMAGE
from prodcat_index.errors import IndexFolderError
from prodcat_index.index.block import Block, EncoderSlot
from prodcat_index.index.calibration_record import calibration_record, read_calibration
from prodcat_index.index.folder import read_manifest, rewrite_manifest, write_version
from prodcat_index.index.index_card import index_card
from prodcat_index.index.manifest import (
    CARDS,
    FORMAT_VERSION,
    LEARNED,
    SEARCH,
    BlockRecord,
    FileRecord,
    Manifest,
    SearchRecord,
    VoteRecord,
)
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.records import read_tuning, tuning_record
from prodcat_index.index.stored_arrays import read_array
from prodcat_index.index.stored_cards import as_text, common_folder, read_cards, write_cards
from prodcat_index.index.stored_learned import learned_record, read_learned, write_learned
from prodcat_index.index.stored_search import FLAT, read_search, write_search
from prodcat_index.voting.vote import VoteParameters

PACKAGES = ("faiss-cpu", "numpy", "scikit-learn", "timm", "torch")
MAX_OPEN_ATTEMPTS = 3


def save_parts(
    parts: IndexParts, folder: Path, check: Callable[[], None] = lambda: None
) -> Manifest:
    """Write the parts as a new version of an index folder.

    Parameters
    ----------
    parts
        Of any index.
    folder
        New, empty, or an index folder.
    check
        As for :func:`~prodcat_index.index.folder.write_version`.

    Raises
    ------
    IndexFolderError
        If the folder cannot be written; what was there before is unchanged then.
    """
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
    """Write the parts as the next version of the index that they were loaded from.

    Raises
    ------
    IndexFolderError
        If the folder does not hold that very index any more, or cannot be written.
    """

    def check() -> None:
        if read_manifest(folder, verify=False) != parts.opened:
            raise IndexFolderError(
                f"The index {folder} was changed since it was opened (built again, tuned or added "
                "to), and is left as it is; open it and add the cards again."
            )

    return save_parts(parts, folder, check)


def save_settings(parts: IndexParts, folder: Path) -> Manifest:
    """Write the weights, the vote and how they were tuned into the manifest of an index folder.

    Where the stored FAISS index lacks blocks that are weighed now, or has others, a new version
    of the index is written.

    Parameters
    ----------
    parts
        Of the index in the folder.
    folder
        The index folder; its cards are compared, its arrays are not read.

    Raises
    ------
    IndexFolderError
        If the folder holds another index by now, or cannot be written.
    """
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
    """Read the parts of an index folder; arrays stay on disk until they are touched.

    Parameters
    ----------
    folder
        The index folder.
    verify
        Compare the sha256 of every file with the manifest's.
    image_root
        Where the pictures are now, if they moved.

    Raises
    ------
    IndexFolderError
        If the folder is no index, of a newer format, or damaged.
    """
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
