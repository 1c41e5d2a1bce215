"""Milvus as a store, against real servers."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from servers import MilvusServer
from stores import StoreContract, made_rows, nearest

from prodcat_index.distributed import milvus as milvus_module
from prodcat_index.distributed.milvus import MilvusStore
from prodcat_index.types import Float32Array


@pytest.fixture(scope="class")
def store(milvus: MilvusServer) -> Iterator[MilvusStore]:
    store = milvus.connect()
    yield store
    store.close()


class TestMilvus(StoreContract):
    @pytest.mark.parametrize("walks", [(1024, 4096), (12,)])
    def test_among_many_places_a_longer_walk_finds_the_nearest(
        self,
        store: MilvusStore,
        filled: tuple[str, Float32Array],
        walks: tuple[int, ...],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A filter that allows half of a million cards would fetch them all."""
        monkeypatch.setattr(milvus_module, "MOST_COMPARED", 100)
        monkeypatch.setattr(milvus_module, "LONG_WALKS", walks)
        table, rows = filled
        queries, among = made_rows(6, seed=4), np.arange(0, 1500, 3)
        products, places = store.search(table, queries, 10, walk=10, among=among)
        truth = nearest(rows, queries, 10, among)
        hits = [np.isin(*pair).mean() for pair in zip(places, truth, strict=True)]
        assert np.mean(hits) >= 0.99 and np.isin(places, among).all()
        own = np.einsum("nd,nkd->nk", queries, rows[places])
        np.testing.assert_allclose(products, own, atol=1e-5)
