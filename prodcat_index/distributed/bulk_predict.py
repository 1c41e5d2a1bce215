"""Predictions of many listings by the workers of a cluster, in shards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from prodcat_index import __version__, files
from prodcat_index.cards.card import IMAGE, LABELS, Catalogue
from prodcat_index.cards.catalogue import Vectors
from prodcat_index.cards.inputs import CardSource
from prodcat_index.distributed.engines import Engine
from prodcat_index.distributed.results import LazyItems, find_all, kept_until_done
from prodcat_index.index.answers import Reasons, VoteResult
from prodcat_index.index.encoded_listings import EncodedListings, Queries, join_queries
from prodcat_index.index.folder import MANIFEST
from prodcat_index.index.leave_one_out import LeaveOneOut, leave_out_groups
from prodcat_index.index.own_cards import Voting, join_rows, vote_as_new
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.learning.folds import assign_folds
from prodcat_index.types import Int64Array, chunks
from prodcat_index.voting.prediction import Predictions

LISTINGS_IN_SHARD = 5_000


def predict_in_shards(
    index: str | Path,
    listings: CardSource,
    work: str | Path,
    *,
    engine: Engine,
    vectors: Vectors | None = None,
    shard: int = LISTINGS_IN_SHARD,
    **choices: Any,
) -> Predictions:
    """Predict the categories of many listings by the workers of an engine.

    They embed the listings and let their nearest cards vote, shard by shard. What they found lies
    in a folder until all is done: after an interruption, the same call goes on where it was.

    Parameters
    ----------
    index
        Folder of the index, which all nodes reach.
    listings, vectors
        As for :meth:`ProductIndex.predict`.
    work
        A new folder, which all nodes reach; it is removed at the end.
    engine
        From :func:`open_engine`.
    shard
        Listings that are answered at a time.
    **choices
        Further arguments of :meth:`ProductIndex.predict`.

    Returns
    -------
    Predictions
        Those of :meth:`ProductIndex.predict`, bit for bit.

    Raises
    ------
    IndexFolderError
        If the index cannot be read, or the folder cannot be written.
    ClusterError
        If the workers of a cluster fail or cannot be reached.
    QueryError, CatalogueError
        As from :meth:`ProductIndex.predict`.
    """
    folder, place = Path(index).absolute(), Path(work).absolute()
    engine.connect()
    with kept_until_done(place, "unfinished predictions"):
        spread = _SpreadIndex(folder, place, engine, shard)
        return spread.predict(listings, vectors=vectors, **choices)


class _SpreadIndex(ProductIndex):
    """An index whose listings are embedded and voted on by the workers of an engine."""

    def __init__(self, folder: Path, work: Path, engine: Engine, shard: int) -> None:
        opened = ProductIndex.load(folder, verify=False)
        super().__init__(opened.parts, opened.findings)
        self._folder, self._work, self._engine, self._shard = folder, work, engine, shard

    def encode(self, listings: CardSource, *, vectors: Vectors | None = None) -> EncodedListings:
        """Return listings that are not embedded yet."""
        read, noticed = self._read_listings(listings, vectors)
        return EncodedListings(read, Queries((), np.empty((0, 0), dtype=bool)), noticed)

    def _vote(
        self, encoded: list[EncodedListings], own_rows: Sequence[Int64Array], voting: Voting
    ) -> tuple[list[EncodedListings], list[tuple[VoteResult, Reasons | None]]]:
        ((listings, own),) = zip([each.listings for each in encoded], own_rows, strict=True)
        # Where any listing is a card of the index, all are compared by block at once.
        voting = voting._replace(by_block=voting.by_block or bool((own >= 0).any()))
        parts = [*chunks(len(listings), self._shard)]

        def shard(number: int) -> tuple[Catalogue, Int64Array]:
            part = parts[number]
            chosen = listings.select(np.arange(part.start, part.stop))
            return replace(chosen, findings=(), notes=()), own[part]

        shards = LazyItems(len(parts), shard)
        manifest = files.sha256_of(self._folder / MANIFEST)
        digests = [_digest(manifest, voting, *each) for each in shards]
        found = find_all(
            self._engine,
            partial(_Answering, self._folder, voting),
            _Answering.answer,
            shards,
            [f"{number:05d}-{digest}" for number, digest in enumerate(digests)],
            label="answering shards of listings",
            unit="shard",
            folder=self._work,
        )
        queries, results, reasons = zip(*found, strict=True)
        joined = join_queries(queries)
        problems: dict[str, list[int]] = {}
        for part, query in zip(parts, queries, strict=True):
            for why, places in query.problems.items():
                problems.setdefault(why, []).extend(part.start + place for place in places)
        answered = replace(encoded[0], queries=joined._replace(problems=problems))
        order = np.arange(len(listings))
        return [answered], [(join_rows(results, order), join_rows(reasons, order))]


def _digest(manifest: str, voting: Voting, listings: Catalogue, own: Int64Array) -> str:
    """Return what differs where a shard is another one, or is answered in another way."""
    digest = hashlib.sha256(f"{__version__} {manifest}".encode())
    digest.update(
        json.dumps(
            [asdict(voting.parameters), [*voting.explained], voting.by_block, voting.is_judged]
        ).encode()
    )
    voters = np.empty(0) if voting.voters is None else voting.voters
    for array in (voting.weights, voters, own, *listings.vectors.values()):
        digest.update(np.ascontiguousarray(array).tobytes())
    for name in ("id", *listings.text_modalities, IMAGE, *LABELS):
        digest.update(json.dumps([name, listings.values(name)]).encode())
    return digest.hexdigest()[:32]


class _Answering:
    """A worker that answers shards of listings by an index that it has loaded."""

    def __init__(self, folder: Path, voting: Voting) -> None:
        self._parts, self._voting = ProductIndex.load(folder, verify=False).parts, voting

    @cached_property
    def _folds(self) -> LeaveOneOut:
        """What is fitted without each fold of the cards, which is the same for all shards."""
        groups = leave_out_groups(self._parts.catalogue)
        every = np.flatnonzero(self._parts.voter_codes >= 0)
        return LeaveOneOut.in_folds(self._parts, groups, every, assign_folds(groups))

    def answer(
        self, item: tuple[Catalogue, Int64Array]
    ) -> tuple[Queries, VoteResult, Reasons | None]:
        """Embed some listings, and let their nearest cards vote."""
        listings, own = item
        queries = self._parts.encode(listings)
        asked = self._folds if np.any(own >= 0) else None
        return (queries, *vote_as_new(self._parts, queries, own, self._voting, asked))
