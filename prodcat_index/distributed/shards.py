"""Shards: a catalogue of Parquet files in parts, each read and embedded without the others."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index import files
from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.catalogue import (
    ALONE,
    UNLABELLED,
    category_pairs,
    read_catalogue,
    read_ids,
    repeated_ids,
)
from prodcat_index.cards.categories import PATH_SEPARATOR
from prodcat_index.cards.cleaning import clean_id, tidy
from prodcat_index.cards.exports import recognise
from prodcat_index.cards.parquet_tables import ParquetTable
from prodcat_index.cards.roles import find_repeated
from prodcat_index.cards.table import Table, texts_of
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import NAMED, Finding
from prodcat_index.index.block import Block
from prodcat_index.index.changes import embed_fresh
from prodcat_index.index.difference import Update
from prodcat_index.index.learned import LearnedBlock
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.index.rows import FileRows
from prodcat_index.index.stored_cards import coded_labels, write_cards
from prodcat_index.progress import progress_bar, quiet
from prodcat_index.types import MISSING, Int64Array, chunks, evenly_spaced

ROWS_IN_SHARD = 50_000
# Cards of a category that are fitted to at least, where there is room for some of all.
OF_EACH = 10
DONE = "done.json"
CARDS, CODES, PAIRS, PRESENT = "cards.parquet", "codes.npy", "pairs.json", "present.npy"
# Of what is told from all cards together.
OF_ALL = (ALONE, UNLABELLED)


@dataclass(frozen=True)
class Survey:
    """What is known of all N rows before any is embedded."""

    codes: Int64Array  # (N,): number of the category and its key, MISSING for none
    groups: Int64Array | None  # (N,): number of the group, MISSING for none
    pairs: Counter[tuple[str, str]]  # rows of each category and key, as they are written


def survey(table: ParquetTable, seen: Catalogue, *, skip_bad_rows: bool) -> Survey:
    """Read ids, categories and groups of all rows; raise CatalogueError for ids that repeat."""
    columns = seen.columns
    id_column, group = columns.get("id", ""), columns.get("group", "")
    pairs: Counter[tuple[str, str]] = Counter()
    codes, groups, digests = (list[npt.NDArray[Any]]() for _ in range(3))
    number: dict[tuple[str, str], int] = {}
    with progress_bar(len(table), "looking at all rows", "row") as bar:
        for part in chunks(len(table), ROWS_IN_SHARD):
            rows = np.arange(part.start, part.stop)
            opened = _read_columns(table, rows, columns)
            own = category_pairs(opened, columns)
            for pair in own:
                number.setdefault(pair, len(number) if any(pair) else MISSING)
            codes.append(np.fromiter((number[pair] for pair in own), np.int64, len(own)))
            pairs.update(own)
            if group:
                groups.append(_digests(list(map(tidy, texts_of(opened.frame, group)))))
            if id_column:
                ids = texts_of(opened.frame, id_column)
                if not skip_bad_rows:
                    read_ids(ids, id_column, str(table.path), opened)
                digests.append(_digests([clean_id(card) for card in ids]))
            bar.update(len(rows))
    if id_column:
        _check_ids(table, id_column, np.concatenate(digests))
    known = np.concatenate(groups).astype(np.int64) if group else None
    return Survey(np.concatenate(codes), known, pairs)


def read_pairs(
    table: ParquetTable, rows: Int64Array, columns: Mapping[str, str]
) -> list[tuple[str, str]]:
    """Return the category and the key of some rows, as they are written."""
    return category_pairs(_read_columns(table, rows, columns), columns)


def _read_columns(table: ParquetTable, rows: Int64Array, columns: Mapping[str, str]) -> Table:
    """Read ids, categories, keys and groups of some rows, if they have columns in the files."""
    import pandas as pd

    named = [columns.get(part, "") for part in ("id", "category", "category_id", "group")]
    levels = [name.split(PATH_SEPARATOR) if name not in table.names else [name] for name in named]
    needed = dict.fromkeys(level for each in levels for level in each if level)
    if not needed:
        return Table(pd.DataFrame(index=range(len(rows))))
    if needed.keys() <= set(table.names):
        return table.read(rows, [*needed])
    opened = recognise(table.read(rows), str(table.path))
    if len(opened) != len(rows):
        raise CatalogueError(
            f"{table.path} is an export ({opened.format}) that has several rows a card, and cannot "
            "be read in parts: fit to all cards by a larger --fit-cards."
        )
    return opened


def _digests(values: Sequence[str]) -> Int64Array:
    """Return 64 bits of each text, (n,), as good as never equal for others; MISSING for none."""
    from pandas.util import hash_array

    found = hash_array(np.array(values, dtype=object), categorize=False).astype(np.int64)
    return np.where(np.array([not value for value in values], dtype=bool), MISSING, found)


def _check_ids(table: ParquetTable, column: str, digests: Int64Array) -> None:
    """Raise CatalogueError for ids that occur twice, of which only the suspects are read again."""
    rising = np.sort(digests)
    twice = np.unique(rising[1:][rising[1:] == rising[:-1]])
    suspects = np.flatnonzero(np.isin(digests, twice[twice != MISSING]))
    if len(suspects):
        ids = [clean_id(card) for card in texts_of(table.read(suspects, [column]).frame, column)]
        if repeated := find_repeated(ids):
            raise repeated_ids(repeated, column, str(table.path))


def choose_sample(codes: Int64Array, groups: Int64Array | None, limit: int) -> Int64Array:
    """Choose rows to fit on, rising: one and some of each category, labelled ones, then others.

    `codes`, (N,), are the categories of rows, MISSING for none. Each choice is evenly spread and
    takes whole groups, which are of the category of their first labelled row. A group that is
    larger than what is wanted is left out.
    """
    unit = np.arange(len(codes))
    if groups is not None:
        keys = np.where(groups == MISSING, unit, len(unit) + np.unique(groups, False, True)[1])
        _, firsts, numbers = np.unique(keys, return_index=True, return_inverse=True)
        unit = np.argsort(np.argsort(firsts))[numbers]
    sizes = np.bincount(unit)
    labelled = np.flatnonzero(codes != MISSING)[::-1]
    code_of = np.full(len(sizes), MISSING)
    code_of[unit[labelled]] = codes[labelled]  # the first of a group is written last
    known, other = (np.flatnonzero(found) for found in (code_of != MISSING, code_of == MISSING))
    chosen = np.zeros(len(sizes), dtype=bool)
    own = known[sizes[known] <= limit]
    of_each = [_some_of_each(own, code_of[own], count) for count in (1, OF_EACH)]
    for some in (*of_each, known, other):
        room = limit - int(sizes[chosen].sum())
        some = some[~chosen[some] & (sizes[some] <= room)]
        count = min(len(some), room)
        while (total := int(sizes[picked := some[evenly_spaced(len(some), count)]].sum())) > room:
            count = min(count - 1, count * room // total)
        chosen[picked] = True
    return np.flatnonzero(chosen[unit])


def _some_of_each(units: Int64Array, codes: Int64Array, count: int) -> Int64Array:
    """Return so many evenly spaced units of each category, or all that it has, rising."""
    order = np.argsort(codes, kind="stable")
    _, starts, counts = np.unique(codes[order], return_index=True, return_counts=True)
    middles = (np.arange(count) + 0.5) / count
    places = starts[:, None] + (middles * counts[:, None]).astype(np.int64)
    return np.sort(units[order[np.unique(places)]])


def read_part(
    table: ParquetTable,
    rows: Int64Array,
    columns: Mapping[str, Any],
    others: Sequence[tuple[str, str]] = (),
) -> Catalogue:
    """Read the cards of some rows as they are read with all others, of these categories."""
    opened = recognise(replace(table.read(rows), others=others), str(table.path))
    named = {name: value for name, value in columns.items() if name != "encoding"}
    return replace(read_catalogue(opened, **named), source=str(table.path))


@dataclass(frozen=True)
class Worker:
    """A worker that has opened the catalogue and what was fitted to the sample of it."""

    table: ParquetTable
    work: Path  # the folder of the unfinished build
    columns: Mapping[str, Any]
    base: ProductIndex
    sample: Int64Array
    others: Sequence[tuple[str, str]]

    @classmethod
    def start(cls, catalogue: Path, work: Path, columns: Mapping[str, Any]) -> Worker:
        """Open everything."""
        table = ParquetTable.open(catalogue, check=False)
        base = ProductIndex.load(work / "base", verify=False)
        sample = np.load(work / "sample.npy", allow_pickle=False)
        others = json.loads((work / "others.json").read_text(encoding="utf-8"))
        return cls(table, work, columns, base, sample, [(name, key) for name, key in others])

    def embed(self, shard: int) -> None:
        """Embed the cards of a shard that is not there, and write them."""
        folder = self.work / "shards" / f"{shard:05d}"
        if read_done(folder):
            return
        start = shard * ROWS_IN_SHARD
        rows = np.arange(start, min(start + ROWS_IN_SHARD, len(self.table)))
        rows = np.setdiff1d(rows, self.sample, assume_unique=True)
        folder.parent.mkdir(exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
        try:
            with quiet():
                self._write(rows, unfinished)
            unfinished.rename(folder)
        except OSError:
            # Another worker, which was thought to be dead, may have done it meanwhile.
            if not read_done(folder):
                raise
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
        files.flush_folder(folder.parent)

    def _write(self, rows: Int64Array, folder: Path) -> None:
        cards, noticed, count = self.base.catalogue.select([]), list[Finding](), len(self.base)
        if len(rows):
            columns = {**self.columns, "like": self.base.catalogue}
            cards = read_part(self.table, rows, columns, self.others)
            noticed = [*cards.findings]
        all_new = Update(
            base=self.base.parts,
            kept=np.arange(count),
            categories=(),
            keys=(),
            moved=np.zeros(count, dtype=bool),
            fresh=cards,
            sources=np.full(len(cards), MISSING),
            embedded={},
        )
        fresh, blocks, learned, found = embed_fresh(self.base.parts, all_new)
        every: list[Block | LearnedBlock] = [*blocks, *([learned] if learned else [])]
        records: dict[str, tuple[int, str]] = {}

        def write(name: str, put: Callable[[files.Output], object]) -> None:
            with files.create(folder / name) as output:
                put(output)
            records[name] = output.bytes, output.sha256

        labels = coded_labels(fresh)
        write(CARDS, lambda output: write_cards(fresh, "", output))
        write(CODES, lambda output: np.save(output, labels.codes, allow_pickle=False))
        write(PAIRS, partial(_put, json.dumps(labels.pairs).encode()))
        present = np.stack([block.present for block in every], axis=1)
        write(PRESENT, lambda output: np.save(output, present, allow_pickle=False))
        for number, block in enumerate(every):
            vectors = np.ascontiguousarray(block.vectors, dtype=np.float16)
            write(f"{number}.f16", partial(_put, vectors.tobytes()))
        kept = [finding for finding in (*noticed, *found) if finding.what not in OF_ALL]
        done = {"rows": len(fresh), "findings": as_json(kept), "files": records}
        files.replace_text(folder / DONE, json.dumps(done))


def _put(content: bytes, output: files.Output) -> None:
    output.write(content)


def as_json(findings: Sequence[Finding]) -> list[Any]:
    """Return findings as they are written, each with the first few cards."""
    return [(f.what, f.count, f.ids[:NAMED]) for f in findings]


def read_findings(written: Sequence[Any]) -> list[Finding]:
    """Return findings that were written."""
    return [Finding(what, tuple(ids), count - len(ids)) for what, count, ids in written]


def read_done(folder: Path, *, verify: bool = False) -> dict[str, Any] | None:
    """Return what is known of a shard that was written as a whole; None of any other."""
    try:
        done: dict[str, Any] = json.loads((folder / DONE).read_text(encoding="utf-8"))
        for name, (size, digest) in done["files"].items():
            path = folder / name
            # To compare the digests takes as long as to read all files.
            if path.stat().st_size != size or (verify and files.sha256_of(path) != digest):
                return None
    except (OSError, ValueError):
        return None
    return done


def shard_rows(folder: Path, number: int, rows: int, dim: int) -> FileRows:
    """Return the rows of a block in a shard, which stay on disk."""
    return FileRows(folder / f"{number}.f16", (rows, dim), "float16")
