"""Milvus as a store, against real servers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from servers import MilvusServer
from stores import StoreContract

from prodcat_index.distributed.milvus import MilvusStore


@pytest.fixture(scope="class")
def store(milvus: MilvusServer) -> Iterator[MilvusStore]:
    store = milvus.connect()
    yield store
    store.close()


class TestMilvus(StoreContract):
    pass
