"""The graph of an audit, made by the workers of a cluster, in parts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from prodcat_index import __version__, files
from prodcat_index.audit.graph import NEIGHBOURS, AuditGraph, GraphCards, Work, build_graph
from prodcat_index.distributed.engines import Engine
from prodcat_index.distributed.results import find_all, kept_until_done
from prodcat_index.index.folder import MANIFEST
from prodcat_index.index.product_index import ProductIndex


def graph_in_shards(
    index: str | Path, work: str | Path, *, engine: Engine, neighbours: int = NEIGHBOURS
) -> AuditGraph:
    """Find the nearest cards of each card, and answer each out of fold, by an engine.

    The workers take some cards at a time for their neighbours, and a fold at a time for the
    answers. What they found lies in a folder until all is done: after an interruption, the same
    call goes on where it was.

    Parameters
    ----------
    index
        Folder of the index, which all nodes reach.
    work
        A new folder, which all nodes reach; it is removed at the end.
    engine
        From :func:`open_engine`.
    neighbours
        Number of neighbours of each card.

    Returns
    -------
    AuditGraph
        For :func:`audit_catalogue`: that which it makes itself, bit for bit.

    Raises
    ------
    IndexFolderError
        If the index cannot be read, or the folder cannot be written.
    ClusterError
        If the workers of a cluster fail or cannot be reached.
    """
    folder, place = Path(index).absolute(), Path(work).absolute()
    engine.connect()
    opened = ProductIndex.load(folder, verify=False)
    version = f"{files.sha256_of(folder / MANIFEST)[:32]}-{__version__}-{neighbours}"

    def spread(work: Work, items: Sequence[Any], label: str, unit: str) -> Iterator[Any]:
        start = partial(GraphCards.load, folder, neighbours)
        names = [f"{work.__name__}-{number:05d}-{version}" for number in range(len(items))]
        return find_all(engine, start, work, items, names, label=label, unit=unit, folder=place)

    with kept_until_done(place, "unfinished audit"):
        return build_graph(opened, neighbours=neighbours, spread=spread)
