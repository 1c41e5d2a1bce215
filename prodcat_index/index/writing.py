"""Writing the parts of an index as the next version of its folder, which keeps what is there."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from importlib.metadata import version
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index import __version__
from prodcat_index.cards.card import IMAGE
from prodcat_index.cards.pieces import MOST_PIECES
from prodcat_index.index.approximate import ApproximateSearcher
from prodcat_index.index.block import Block
from prodcat_index.index.folder import OpenIndex
from prodcat_index.index.learned import LearnedBlock
from prodcat_index.index.manifest import (
    CARDS,
    FORMAT_VERSION,
    LEARNED,
    SEARCH,
    BlockRecord,
    CodesRecord,
    HeadRecord,
    HubnessRecord,
    LearnedRecord,
    Manifest,
    SearchRecord,
    StoredRecord,
)
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.quantized import Codes
from prodcat_index.index.store_table import TableWriter
from prodcat_index.index.stored_cards import (
    StoredCards,
    coded_labels,
    common_folder,
    picture_folder,
    write_cards,
)
from prodcat_index.index.stored_rows import Layout, write_rows
from prodcat_index.index.stores import StoreAddress
from prodcat_index.index.transaction import Transaction
from prodcat_index.types import MISSING, RowsLike

# Embeddings or arrays may depend on these.
PACKAGES = ("faiss-cpu", "numpy", "scikit-learn", "timm", "torch")
SETTINGS = ("vote", "tuning", "calibration", "drift", "aliases", "choices", "asked", "decided")


@cache  # Each version is read from the whole description of its package.
def package_versions() -> dict[str, str]:
    """Return the versions of this package and of those that its results may depend on."""
    return {"prodcat-index": __version__} | {name: version(name) for name in PACKAGES}


def settings_of(parts: IndexParts) -> dict[str, Any]:
    """Return what a manifest holds of parts under the same names."""
    return {name: getattr(parts, name) for name in SETTINGS}


def weights_of(parts: IndexParts, block: str) -> dict[str, Any]:
    """Return what the record of a block holds of its weights."""
    return {"weight": parts.weights[block], "search_weight": parts.search_weights.get(block, 0.0)}


@dataclass(frozen=True)
class Writer:
    """What writes indexed parts as the next version of an index."""

    parts: IndexParts
    transaction: Transaction
    opened: OpenIndex | None  # the current version, if the parts were read from it
    layout: Layout
    image_root: str
    table: TableWriter | None = None  # None where the rows are written to files

    @classmethod
    def of(
        cls,
        parts: IndexParts,
        transaction: Transaction,
        opened: OpenIndex | None,
        store: StoreAddress | None,
    ) -> Writer:
        """Plan what is kept of the current version; with a store, rows go into a table of it."""
        table = None
        if opened:
            layout = _plan(parts, opened)
            root = _root_with(parts, layout)
            if store:
                table = TableWriter.behind(parts, layout, opened, store, transaction.previous)
            if layout.before and root is not None and (table or not store):
                return cls(parts, transaction, opened, layout, root, table)
        layout = Layout.anew(len(parts.catalogue))
        root = picture_folder(parts.catalogue)
        table = TableWriter.anew(parts, store, transaction) if store else None
        return cls(parts, transaction, opened, layout, root, table)

    def write(self) -> Manifest:
        """Write everything but the manifest, and return that."""
        parts, transaction = self.parts, self.transaction
        learned = None
        if parts.learned:
            learned = self._learned(parts.learned, parts.weights[LEARNED])
        blocks = [self._block(place, block) for place, block in enumerate(parts.blocks)]
        search, similar = self._search(), None
        if parts.similar and not self.table:
            names = [block.name for block in parts.encoder_blocks]
            similar = self._codes("similar", parts.similar, names)
        return Manifest(
            format_version=FORMAT_VERSION,
            version=transaction.number,
            data=transaction.data,
            created="",
            packages=package_versions(),
            cards=len(parts.catalogue),
            labelled=int(parts.labels.labelled.sum()),
            categories=len(parts.labels.names),
            text_modalities=parts.catalogue.text_modalities,
            image_root=self.image_root,
            columns=dict(parts.catalogue.columns),
            category_separator=parts.catalogue.category_separator,
            blocks=tuple(blocks),
            learned=learned,
            search=search,
            similar=similar,
            stored=self._stored(),
            files=transaction.records,
            **settings_of(parts),
        )

    def _search(self) -> SearchRecord:
        searcher, covered = self.parts.searcher, self.parts.covered
        if self.table:
            names = tuple(self.parts.block_names)
            return SearchRecord("store", self.table.table.dim, names)
        assert searcher is not None, "indexed parts have a searcher"
        if isinstance(searcher, ApproximateSearcher):
            return self._codes("search", searcher, covered)
        rows = self._rows(SEARCH, searcher.rows)
        return SearchRecord("Flat", searcher.dim, tuple(covered), rows)

    def _codes(
        self, stem: str, searcher: ApproximateSearcher, blocks: Sequence[str]
    ) -> SearchRecord:
        """Write a searcher of some blocks; its codes only if they are not there already."""
        codes, write = searcher.codes, self.transaction.write
        assert isinstance(codes, Codes), "those of a store are not written to files"
        paths = dict(zip(sorted(codes.arrays), self._keep(codes), strict=False))
        if not paths:
            paths = {name: write(f"{stem}.{name}.npy", a) for name, a in codes.arrays.items()}
        m, n = len(codes), len(searcher.present)
        is_plain = m == n and np.array_equal(searcher.cards, np.arange(n))
        record = CodesRecord(
            kind=codes.kind,
            size=m,
            cells=len(codes.arrays.get("centres", ())),
            links=len(codes.arrays.get("links", ())),
            files=paths,
            cards=None if is_plain else write(f"{stem}.cards.npy", searcher.cards),
            **vars(searcher.effort),
        )
        return SearchRecord(codes.kind, searcher.dim, tuple(blocks), codes=record)

    def _stored(self) -> StoredRecord:
        """Write which rows are those of the cards, new cards, and the labels of all."""
        catalogue, transaction, layout = self.parts.catalogue, self.transaction, self.layout
        cards = []
        if layout.before and self.opened:
            cards = [(transaction.keep(p), n) for p, n in self.opened.manifest.cards_files]
        new = np.flatnonzero(layout.is_new)
        if len(new) or not cards:
            fresh = catalogue if len(new) == len(catalogue) else catalogue.select(new)
            with transaction.create(CARDS) as output:
                write_cards(fresh, self.image_root, output)
            cards.append((f"{transaction.data}/{CARDS}", len(new)))
        labels = coded_labels(catalogue)
        return StoredRecord(
            rows=layout.rows,
            cards=tuple(cards),
            codes=transaction.write("codes.npy", labels.codes),
            categories=transaction.write("categories.json", labels.pairs),
            positions=None if layout.is_plain else transaction.write("rows.npy", layout.positions),
            store=self.table.write(self.parts, layout) if self.table else None,
        )

    def _rows(self, name: str, rows: RowsLike) -> str | None:
        if self.table:
            return None
        return write_rows(self.transaction, name, rows, self.layout, self.opened)

    def _keep(self, made: object) -> tuple[str, ...]:
        """Keep the files that something was made of; return them, none if it is new."""
        paths = self.opened.paths_of(made) if self.opened else None
        return tuple(map(self.transaction.keep, paths or ()))

    def _arrays(self, stem: str, arrays: Mapping[str, npt.NDArray[Any]]) -> dict[str, str]:
        """Write arrays that are not there already, and return the path of each by its name."""
        write = self.transaction.write
        return {
            name: next(iter(self._keep(array)), "") or write(f"{stem}.{name}.npy", array)
            for name, array in arrays.items()
        }

    def _block(self, place: int, block: Block) -> BlockRecord:
        # A block may be named after a spec, with slashes.
        stem = f"{place}-" + re.sub(r"[^\w.-]+", "_", block.name)[:80]
        arrays: dict[str, npt.NDArray[Any]] = {"present": block.present, "mean": block.mean}
        if block.references is not None:
            arrays["references"] = block.references
        paths = self._arrays(stem, arrays)
        return BlockRecord(
            name=block.name,
            modality=block.modality,
            encoder=block.slot.spec,
            fingerprint=block.slot.fingerprint,
            dim=block.dim,
            cards=int(block.present.sum()),
            projected_dim=block.projected_dim,
            **weights_of(self.parts, block.name),
            vectors=self._rows(f"{stem}.f16", block.vectors),
            present=paths["present"],
            mean=paths["mean"],
            fitted=self._encoder(stem, block),
            references=paths.get("references"),
        )

    def _encoder(self, stem: str, block: Block) -> str:
        """Write the fitted parts of an encoder, if they are not there, and return their folder."""
        if kept := self._keep(block.slot):
            return str(PurePosixPath(kept[0]).parent)
        for name, part in block.slot.load().fitted_parts().items():
            self.transaction.write(f"encoders/{stem}/{name}", part)
        return f"{self.transaction.data}/encoders/{stem}"

    def _learned(self, learned: LearnedBlock, weight: float) -> LearnedRecord:
        model, projection = learned.model, learned.model.projection
        matrices = self._keep(projection)
        if not matrices:
            matrices = tuple(
                self.transaction.write(f"{LEARNED}.{name}.npy", np.concatenate(parts))
                for name, parts in (("matrix", projection.matrices), ("offset", projection.offsets))
            )
        arrays: dict[str, npt.NDArray[Any]] = {"present": learned.present}
        if learned.log_reliability is not None:
            arrays["reliability"] = learned.log_reliability
        if learned.references is not None:
            arrays["expected"] = learned.references
        head_record = hubness_record = None
        if model.head:
            # Without what it keeps in memory.
            own = {each.name: getattr(model.head, each.name) for each in fields(model.head)}
            paths = self._arrays(f"{LEARNED}.head", own)
            size = len(model.head.categories)
            head_record = HeadRecord(size, **paths, names=learned.categories)
        if model.hubness:
            references = model.hubness.references
            paths = self._arrays(LEARNED, {"references": references})
            hubness_record = HubnessRecord(len(references), model.hubness.near, **paths)
        return LearnedRecord(
            dim=learned.dim,
            cards=int(learned.present.sum()),
            weight=weight,
            head=head_record,
            hubness=hubness_record,
            vectors=self._rows(f"{LEARNED}.f16", learned.vectors),
            matrix=matrices[0],
            offset=matrices[1],
            **self._arrays(LEARNED, arrays),
        )


def _plan(parts: IndexParts, opened: OpenIndex) -> Layout:
    """Return where the rows lie if those of the current version are kept, if that is worth it."""
    pieces, stored = parts.catalogue.pieces, opened.manifest.stored
    files = [opened.contents[path] for path, _ in opened.manifest.cards_files]
    ours = [piece.content for piece in pieces.stacked if isinstance(piece, StoredCards)]
    is_same = len(ours) == len(files) and all(map(operator.is_, ours, files))
    anew = Layout.anew(len(pieces))
    if stored is None or not is_same or not isinstance(pieces.stacked[0], StoredCards):
        return anew
    places = np.arange(len(pieces)) if pieces.positions is None else pieces.positions
    layout = Layout(np.where(places < stored.rows, places, MISSING), stored.rows)
    is_worth_it = len(files) < MOST_PIECES and not layout.is_loose
    return layout if is_worth_it else anew


def _root_with(parts: IndexParts, layout: Layout) -> str | None:
    """Return the folder of the pictures that are stored, if it is above those of new cards too."""
    first, new = parts.catalogue.pieces.stacked[0], np.flatnonzero(layout.is_new)
    assert isinstance(first, StoredCards), "the stored cards are the first"
    root = str(first.image_root) if first.image_root.is_absolute() else ""
    pictures = [picture for picture in parts.catalogue.values_at(IMAGE, new) if picture]
    if not pictures:
        return root
    return root if root and common_folder([f"{root}/any", *pictures]) == root else None
