"""An index of a catalogue that is larger than memory: fitted to a sample, then added to by shards.

It is the index that :meth:`ProductIndex.build` makes of the sample and :meth:`ProductIndex.add` of
all other cards. Everything that is unfinished lies in a folder beside the index; what is done there
is not done again.
"""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from prodcat_index import __version__, files
from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.cards.catalogue import ALONE, UNLABELLED, read_catalogue
from prodcat_index.cards.parquet_tables import ParquetTable
from prodcat_index.cards.pieces import CodedLabels, Pieces
from prodcat_index.distributed.bulk_embed import fill_cache
from prodcat_index.distributed.engines import Engine, LocalEngine
from prodcat_index.distributed.shards import (
    CARDS,
    CODES,
    PAIRS,
    PRESENT,
    ROWS_IN_SHARD,
    Worker,
    as_json,
    choose_sample,
    read_done,
    read_findings,
    read_pairs,
    read_part,
    shard_rows,
    survey,
)
from prodcat_index.encoders.registry import DEFAULT_PRESET
from prodcat_index.errors import IndexFolderError, QueryError, whole_number
from prodcat_index.findings import NAMED, Finding
from prodcat_index.index.changes import with_references
from prodcat_index.index.delivery import find_new_categories
from prodcat_index.index.drift import measure_drift
from prodcat_index.index.folder import check_index_folder
from prodcat_index.index.manifest import DriftRecord
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.index.rows import Rows, as_rows
from prodcat_index.index.stored_cards import StoredCards
from prodcat_index.index.stores import StoreAddress
from prodcat_index.types import MISSING, FloatingArray, evenly_spaced

FIT_CARDS, FEWEST_FIT = 200_000, 100
# Rows that tell which column is what, before the sample is chosen by them.
FIRST_LOOK = 5_000
# What is in the folder of an unfinished build. The first tells that the sample is fitted, by which
# plan, and is removed before all others.
FITTED = "base.json"
WORK = {FITTED, "base", "sample.npy", "others.json", "shards", files.LOCK}
# What a plan may differ in, for people.
PARTS = {"files": "files", "options": "options", "package": "version of prodcat-index"}


def build_in_shards(
    catalogue: str | Path,
    folder: str | Path,
    *,
    engine: Engine | None = None,
    fit_cards: int = FIT_CARDS,
    columns: Mapping[str, Any] | None = None,
    look: Callable[[Catalogue], object] = lambda cards: None,
    settle: Callable[[ProductIndex], ProductIndex] = lambda index: index,
    wait: float = 0.0,
    store: str | StoreAddress | None = None,
    **choices: Any,
) -> ProductIndex:
    """Build an index of Parquet files that need not fit into memory.

    What is fitted is fitted to a sample of the cards, labelled ones first, which is spread evenly
    over the catalogue and keeps groups together. The other cards are embedded by that, shard by
    shard. It gives the index that ``ProductIndex.build(sample).add(rest)`` is. If it is
    interrupted, the same call goes on where it was, from ``FOLDER.work`` beside the index.

    Parameters
    ----------
    catalogue
        A folder of Parquet files, which are one table in the order of their names, or one file.
    folder
        Folder of the index, as for :meth:`ProductIndex.save`.
    engine
        What embeds the shards: by default this process.
    fit_cards
        Cards that are fitted to, at most. A catalogue of no more is built as it always is.
    columns
        Arguments of :func:`read_catalogue`, but ``like`` and ``vectors``.
    look
        Called with the cards that are fitted to, before they are.
    settle
        Called with the index that was fitted; returns the one that the others are added to.
    wait, store
        As for :meth:`ProductIndex.save`.
    **choices
        Arguments of :meth:`ProductIndex.build`.

    Returns
    -------
    ProductIndex
        The index, as it is loaded from the folder. Its ``findings`` name the first few cards of
        each kind, and count the others.

    Raises
    ------
    CatalogueError
        As from :func:`read_catalogue`, and if the files have not the same columns.
    IndexFolderError
        If a folder cannot be written, or ``FOLDER.work`` is of another catalogue or other choices.
    ClusterError
        If the workers of a cluster fail or cannot be reached.
    """
    path, folder, named = Path(catalogue), Path(folder), dict(columns or {})
    if whole_number("number of cards to fit to", fit_cards) < FEWEST_FIT:
        raise QueryError(
            f"An index is fitted to {FEWEST_FIT} cards at least; {fit_cards} are too few."
        )
    check_index_folder(folder)
    workers = engine or LocalEngine()
    # Before anything is fitted, which may take hours.
    workers.connect()
    table = ParquetTable.open(path)

    def build(place: Path, cards: Catalogue) -> ProductIndex:
        look(cards)
        if not isinstance(workers, LocalEngine):
            encoders, preset = choices.get("encoders") or {}, choices.get("preset", DEFAULT_PRESET)
            fill_cache(cards, encoders, preset, engine=workers, folder=place)
        return settle(ProductIndex.build(cards, **choices))

    if len(table) <= fit_cards:
        index = build(folder.absolute().parent, read_catalogue(path, **named))
        index.save(folder, wait=wait, store=store)
        return index
    # Shards are read by workers that may be in other folders.
    table = ParquetTable.open(Path(path).absolute())
    work = folder.absolute().with_name(f"{folder.name}.work")
    options = {"fit_cards": fit_cards, "columns": named, "choices": choices}
    status = {str(file): file.stat() for file in table.files}
    stamps = [[name, found.st_size, found.st_mtime_ns] for name, found in status.items()]
    plan = json.loads(
        json.dumps({"package": __version__, "files": stamps, "options": options}, default=str)
    )
    with files.exclusive_folder(work, "unfinished build", IndexFolderError, wait):
        noticed = _fitted_before(work, plan)
        if noticed is None:
            noticed = _fit(table, work, fit_cards, named, partial(build, work))
            known = {"plan": plan, "findings": as_json(noticed)}
            files.replace_text(work / FITTED, json.dumps(known))
        dones = _embed(table, work, named, workers)
        parts, findings = _assembled(work, dones)
        if store is None:
            parts = parts.indexed(is_fitted=True, spill=work)
        ProductIndex(parts).save(folder, wait=wait, store=store)
        _empty(work)
    shutil.rmtree(work)
    index = ProductIndex.load(folder, verify=False)
    noticed += [finding for done in dones for finding in read_findings(done["findings"])]
    return ProductIndex(index.parts, [*_summed(noticed), *findings])


def _fitted_before(work: Path, plan: Mapping[str, Any]) -> list[Finding] | None:
    """Return what was noticed of the sample that is fitted already by a plan; None if none is."""
    if not (work / FITTED).exists():
        _empty(work)
        return None
    written = json.loads((work / FITTED).read_text(encoding="utf-8"))
    before = written["plan"]
    if differing := [what for part, what in PARTS.items() if before.get(part) != plan[part]]:
        raise IndexFolderError(
            f"{work} holds a build that is not finished, of other {' and '.join(differing)}: build "
            "with the same to go on with it, or remove that folder to begin anew."
        )
    return read_findings(written["findings"])


def _empty(work: Path) -> None:
    """Remove what an unfinished build left, first what tells of it."""
    hidden = {path.name for path in work.iterdir() if path.name.startswith(".")}
    files.check_output_folder(work, "unfinished build", IndexFolderError, WORK | hidden)
    files.remove(work / FITTED)
    files.flush_folder(work)
    for path in work.iterdir():
        if path.is_dir():
            shutil.rmtree(path)
        elif path.name != files.LOCK:
            path.unlink()


def _fit(
    table: ParquetTable,
    work: Path,
    fit_cards: int,
    columns: Mapping[str, Any],
    build: Callable[[Catalogue], ProductIndex],
) -> list[Finding]:
    """Build the index of the sample, and return what was noticed."""
    skips = bool(columns.get("skip_bad_rows"))
    cards = read_part(table, evenly_spaced(len(table), FIRST_LOOK), columns)
    while True:
        known = survey(table, cards, skip_bad_rows=skips)
        sample = choose_sample(known.codes, known.groups, fit_cards)
        seen, cards = cards.columns, read_part(table, sample, columns)
        if cards.columns == seen or len(sample) == len(table):
            break
    own = Counter(read_pairs(table, sample, cards.columns))
    others = [pair for pair, count in known.pairs.items() if count > own[pair] and any(pair)]
    index = build(cards)
    index.save(work / "base")
    np.save(work / "sample.npy", sample, allow_pickle=False)
    files.replace_text(work / "others.json", json.dumps(others))
    findings = [f for f in (*cards.findings, *index.findings) if f.what not in (ALONE, UNLABELLED)]
    return _summed(findings)


def _embed(
    table: ParquetTable, work: Path, columns: Mapping[str, Any], engine: Engine
) -> list[dict[str, Any]]:
    """Embed the shards that are not there, and return what is known of each."""
    count = -(-len(table) // ROWS_IN_SHARD)
    folders = [work / "shards" / f"{shard:05d}" for shard in range(count)]
    missing = [shard for shard, f in enumerate(folders) if read_done(f, verify=True) is None]
    for shard in missing:
        shutil.rmtree(folders[shard], ignore_errors=True)
    root = columns.get("image_root")
    named = {
        "image_root": None if root is None else Path(root).absolute(),
        "skip_bad_rows": bool(columns.get("skip_bad_rows")),
    }
    start = partial(Worker.start, table.path, work, named)
    for _ in engine.map(
        start, Worker.embed, missing, label="embedding shards", unit="shard", folder=work
    ):
        pass
    dones = [read_done(folder) for folder in folders]
    if lacking := [shard for shard, done in enumerate(dones) if done is None]:
        raise IndexFolderError(f"{work} lacks the shards {lacking}: build again to go on.")
    return [done for done in dones if done is not None]


def _assembled(work: Path, dones: Sequence[Mapping[str, Any]]) -> tuple[IndexParts, list[Finding]]:
    """Put the parts of an index together; rows and cards stay in the files of the shards."""
    base = ProductIndex.load(work / "base", verify=True).parts
    base = replace(with_references(base), opened=None)
    folders = [work / "shards" / f"{shard:05d}" for shard in range(len(dones))]
    counts = [int(done["rows"]) for done in dones]
    present = np.concatenate([np.load(f / PRESENT, allow_pickle=False) for f in folders])

    def grown(number: int, block: Any) -> Any:
        own = as_rows(block.vectors)
        assert own.positions is None, "the cards of the sample are stored in their order"
        new: list[Any] = [
            shard_rows(folder, number, count, block.dim)
            for folder, count in zip(folders, counts, strict=True)
            if count
        ]
        there = np.concatenate([block.present, present[:, number]])
        return replace(block, vectors=Rows((*own.pieces, *new)), present=there)

    blocks = [grown(number, block) for number, block in enumerate(base.blocks)]
    catalogue = _joined_cards(base.catalogue, folders, counts)
    parts = replace(
        base, catalogue=catalogue, blocks=blocks, searcher=None, covered=(), similar=None
    )
    if base.learned:
        learned = grown(len(blocks), base.learned)
        if learned.log_reliability is not None:
            none: FloatingArray = np.zeros(sum(counts), dtype=np.float16)
            reliability = np.concatenate([learned.log_reliability, none])
            learned = replace(learned, log_reliability=reliability)
        parts = replace(parts, learned=learned.recoded(parts.labels.code_of, parts.aliases))
    before = DriftRecord.without_change(len(base.catalogue))
    parts = replace(parts, drift=measure_drift(parts, before))
    known = {*base.labels.names}
    return parts, [*find_new_categories(parts.labels.names, known), *_unvoted(parts)]


def _joined_cards(base: Catalogue, folders: Sequence[Path], counts: Sequence[int]) -> Catalogue:
    """Put the cards of shards below those of the sample; nothing of them is read."""
    expected = frozenset({"id", "group", IMAGE, *base.text_modalities})
    stacked = [*base.pieces.stacked]
    labels = base.coded_labels
    code, codes = {pair: number for number, pair in enumerate(labels.pairs)}, [labels.codes]
    for folder, count in zip(folders, counts, strict=True):
        if not count:
            continue
        content = files.open_content(folder / CARDS)
        # Pictures are named by whole paths.
        stacked.append(StoredCards(content, folder / CARDS, count, expected, Path("/")))
        pairs = json.loads((folder / PAIRS).read_text(encoding="utf-8"))
        numbers = [code.setdefault((name, key), len(code)) for name, key in pairs]
        own = np.load(folder / CODES, allow_pickle=False)
        codes.append(np.array(numbers, dtype=np.int32)[own])
    cards: Any = Pieces(tuple(stacked), None, CodedLabels(tuple(code), np.concatenate(codes)))
    return replace(base, cards=cards)


def _unvoted(parts: IndexParts) -> list[Finding]:
    """Return what is noticed about categories of all cards together."""
    codes, sizes = parts.labels.codes, parts.labels.sizes
    alone = np.flatnonzero((codes != MISSING) & (sizes[codes] == 1))
    found = []
    for what, rows in ((UNLABELLED, np.flatnonzero(codes == MISSING)), (ALONE, alone)):
        ids = parts.catalogue.values_at("id", rows[:NAMED])
        found += [Finding(what, tuple(ids), len(rows) - len(ids))] if ids else []
    return found


def _summed(findings: Sequence[Finding]) -> list[Finding]:
    """Add up the findings of one kind, of which the first few cards are named."""
    summed: dict[str, Finding] = {}
    for finding in findings:
        before = summed.get(finding.what, Finding(finding.what, ()))
        ids = (*before.ids, *finding.ids)[:NAMED]
        summed[finding.what] = Finding(finding.what, ids, before.count + finding.count - len(ids))
    return list(summed.values())
