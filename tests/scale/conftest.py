"""Real servers, which end with the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from servers import MilvusServer

pytest.register_assert_rewrite("stores")


@pytest.fixture(scope="session", params=["lite", "standalone"])
def milvus(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MilvusServer]:
    """A server of each kind, for tests that leave it running."""
    server = MilvusServer(request.param, tmp_path_factory.mktemp("milvus") / request.param)
    try:
        yield server.start().wait()
    finally:
        server.stop()
