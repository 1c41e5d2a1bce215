"""What is learned, to files of an index folder and back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from prodcat_index.index.learned import LearnedBlock, Learner
from prodcat_index.index.manifest import (
    LEARNED,
    CrowdingRecord,
    HeadRecord,
    LearnedRecord,
    Manifest,
)
from prodcat_index.index.stored_arrays import damaged_file, read_array
from prodcat_index.learning.crowding import Crowding
from prodcat_index.learning.head import LinearHead
from prodcat_index.learning.projection import Projection


def write_learned(learned: LearnedBlock, target: Path) -> None:
    """Write the learned block into the folder of a version.

    Parameters
    ----------
    learned
        The block.
    target
        The folder.
    """
    learner = learned.learner
    arrays = {
        "vectors": learned.vectors,
        "present": learned.present,
        "matrix": np.concatenate(learner.projection.matrices),
        "offset": np.concatenate(learner.projection.offsets),
    }
    if learner.head:
        arrays |= {f"head.{name}": array for name, array in vars(learner.head).items()}
    if learner.crowding:
        arrays["references"] = learner.crowding.references
    for name, array in arrays.items():
        np.save(target / f"{LEARNED}.{name}.npy", array, allow_pickle=False)


def learned_record(learned: LearnedBlock, data: str, weights: Mapping[str, float]) -> LearnedRecord:
    """Describe the learned block for the manifest.

    Parameters
    ----------
    learned
        The block.
    data
        Folder of this version's files.
    weights
        Block name -> weight.
    """
    head, crowding = learned.learner.head, learned.learner.crowding
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
        crowding=_crowding_record(crowding, stem) if crowding else None,
    )


def _head_record(head: LinearHead, stem: str) -> HeadRecord:
    return HeadRecord(
        size=len(head.categories),
        coefficients=f"{stem}.coefficients.npy",
        intercepts=f"{stem}.intercepts.npy",
        categories=f"{stem}.categories.npy",
    )


def _crowding_record(crowding: Crowding, stem: str) -> CrowdingRecord:
    return CrowdingRecord(
        size=len(crowding.references), near=crowding.near, references=f"{stem}.references.npy"
    )


def read_learned(folder: Path, record: LearnedRecord, manifest: Manifest) -> LearnedBlock:
    """Read the learned block; its arrays stay on disk until they are touched.

    Parameters
    ----------
    folder
        The index folder.
    record
        From its manifest.
    manifest
        The manifest.

    Raises
    ------
    IndexFolderError
        If a file is damaged.
    """
    n, dims = manifest.cards, [block.dim for block in manifest.blocks]
    dim = record.dim - (record.crowding is not None)
    matrix = read_array(folder / record.matrix, "float32", (sum(dims), dim))
    offset = read_array(folder / record.offset, "float32", (sum(dims),))
    edges = np.cumsum(dims)[:-1]
    projection = Projection(np.split(matrix, edges), np.split(offset, edges))
    head = _read_head(folder, record.head, dim, manifest) if record.head else None
    crowding = _read_crowding(folder, record.crowding, dim) if record.crowding else None
    return LearnedBlock(
        learner=Learner(projection, head, crowding),
        vectors=read_array(folder / record.vectors, "float16", (n, record.dim)),
        present=read_array(folder / record.present, "bool", (n,)),
    )


def _read_crowding(folder: Path, record: CrowdingRecord, dim: int) -> Crowding:
    references = read_array(folder / record.references, "float32", (record.size, dim))
    return Crowding(references, record.near)


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
