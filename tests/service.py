"""A served index, and a client of it, that the tests of the service and of its page share."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn

from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.demo.shop import make_demo_catalogue
from prodcat_index.encoders.registry import SCHEMES
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.service.app import create_app
from prodcat_index.service.settings import ServeSettings
from prodcat_index.service.shared import Service

CARDS = 160


@dataclass(frozen=True)
class Served:
    """A running server: where it is, and what it answers with."""

    url: str
    service: Service
    client: httpx.Client

    @property
    def index(self) -> ProductIndex:
        return self.service.current.index


@contextmanager
def serving(settings: ServeSettings, port: int = 0) -> Iterator[Served]:
    """Run the application in a thread, by default on a free port, until the block ends."""
    app = create_app(settings)
    with socket.create_server((settings.host, port)) as listening:
        port = listening.getsockname()[1]
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, lifespan="on"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the server did not start"
                time.sleep(0.01)
            url = f"http://{settings.host}:{port}{settings.path_prefix}"
            with httpx.Client(base_url=url, timeout=30) as client:
                yield Served(url, app.state.service, client)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture(scope="session")
def shop_index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of an index of a made-up shop with pictures; do not change it."""
    SCHEMES.setdefault("colours", "made:ColoursEncoder")
    folder = tmp_path_factory.mktemp("shop")
    make_demo_catalogue(folder / "catalogue", cards=CARDS)
    cards = read_catalogue(folder / "catalogue" / "catalogue.csv")
    return ProductIndex.build(cards, encoders={"image": "colours"}).save(folder / "index")


@pytest.fixture
def own_shop_index(shop_index: Path, tmp_path: Path) -> Path:
    """A copy of that folder for a test that changes it."""
    return Path(shutil.copytree(shop_index, tmp_path / "index"))


@pytest.fixture(scope="session")
def served(shop_index: Path) -> Iterator[Served]:
    """That index, served to read."""
    with serving(ServeSettings(shop_index)) as running:
        yield running
