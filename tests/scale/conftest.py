"""Real servers, which end with the tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from nodes import RayNodes
from servers import MilvusServer

pytest.register_assert_rewrite("stores")


@pytest.fixture(scope="session", params=["lite", "standalone"])
def milvus(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[MilvusServer]:
    """A server of each kind, for tests that leave it running.

    One standalone server runs on a machine: ports of its parts are fixed.
    """
    server = MilvusServer(request.param, tmp_path_factory.mktemp("milvus") / request.param)
    with pytest.MonkeyPatch.context() as patched:
        for name, value in server.environment.items():
            patched.setenv(name, value)
        try:
            yield server.start().wait()
        finally:
            server.stop()


@pytest.fixture(scope="session")
def nodes() -> Iterator[RayNodes]:
    """A Ray cluster of two nodes; a test that kills one starts it again."""
    nodes = RayNodes()
    with pytest.MonkeyPatch.context() as patched:
        for name, value in nodes.environment.items():
            patched.setenv(name, value)
        try:
            nodes.start_head()
            nodes.start_worker()
            yield nodes
        finally:
            nodes.stop()
