"""The graph of an audit by an engine: the one that the audit makes itself."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import made
import numpy as np
import pytest
from test_distributed_bulk_predict import KINDS, WORDS, Careless

from prodcat_index.audit.audit import audit_catalogue
from prodcat_index.audit.graph import AuditGraph, build_graph
from prodcat_index.distributed.bulk_audit import graph_in_shards
from prodcat_index.errors import ClusterError
from prodcat_index.index.product_index import ProductIndex


@pytest.fixture(scope="module", params=["lda", "none"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index, learned or not, with cards that have no category or nothing to embed."""
    rows = [
        made.row(
            f"{kind[0]}{n:03d}",
            f"{KINDS[kind]} {WORDS[n % 11]} {WORDS[n // 11]} {WORDS[n * n % 7]}",
            category=kind,
        )
        for kind in KINDS
        for n in range(36)
    ]
    rows += [made.row("x1", "leather boots red"), made.row("x2", category="Lamps")]
    index = ProductIndex.build(made.catalogue(rows), projection=request.param)
    return index.save(tmp_path_factory.mktemp("audited") / "index")


def same(one: AuditGraph, other: AuditGraph) -> None:
    for field in dataclasses.fields(AuditGraph):
        if field.name != "index":
            np.testing.assert_array_equal(getattr(one, field.name), getattr(other, field.name))


@pytest.fixture(autouse=True)
def few_cards_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prodcat_index.audit.graph.CARDS_AT_ONCE", 25)


def test_the_graph_is_the_same_and_so_is_the_audit(folder: Path, tmp_path: Path) -> None:
    """What is to be fixed first would depend on how many machines were free."""
    graph = graph_in_shards(folder, tmp_path / "work", engine=Careless(), neighbours=9)
    index = ProductIndex.load(folder)
    own = build_graph(index, neighbours=9)
    same(graph, own)
    found, expected = (audit_catalogue(index, graph=each) for each in (graph, own))
    assert found.as_dict() == expected.as_dict()
    assert not (tmp_path / "work").exists()


def test_what_an_engine_left_is_not_done_again(folder: Path, tmp_path: Path) -> None:
    work = tmp_path / "work"
    with pytest.raises(ClusterError, match="the cluster is gone"):
        graph_in_shards(folder, work, engine=Careless(ends_after=4))
    assert len([*work.glob("find_near-*.npz")]) == 4
    rest = Careless()
    graph = graph_in_shards(folder, work, engine=rest)
    folds = len(np.unique(graph.groups))
    assert rest.done == 1 + min(10, folds)
    same(graph, build_graph(ProductIndex.load(folder)))
