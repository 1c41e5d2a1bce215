"""Fixtures that the tests of the core share."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import made
import pytest
from hypothesis import settings

from prodcat_index.encoders.registry import SCHEMES
from prodcat_index.index.product_index import ProductIndex

# Tests neither read nor fill the cache of whoever runs them.
os.environ["PRODCAT_CACHE"] = "off"
# Commands that run in processes of their own would compile the package each time.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# No test asserts a time: a machine that has other work to do is no fault of the code.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

# Fixtures of served indexes, and of a browser.
pytest_plugins = ("service", "browser")
SHARED_DATA = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def index() -> ProductIndex:
    """A small index over two texts, one of which some cards lack."""
    return ProductIndex.build(made.catalogue())


@pytest.fixture(scope="session")
def _saved_once(index: ProductIndex, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return index.save(tmp_path_factory.mktemp("saved") / "index")


@pytest.fixture
def saved(_saved_once: Path, tmp_path: Path) -> Path:
    """The folder of that index, a fresh copy for each test."""
    return Path(shutil.copytree(_saved_once, tmp_path / "index"))


@pytest.fixture(autouse=True)
def _toy_encoders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let specs name the encoders that only the tests have."""
    monkeypatch.setitem(SCHEMES, "numbers", "made:NumbersEncoder")
    monkeypatch.setitem(SCHEMES, "names", "made:NamesEncoder")
    monkeypatch.setitem(SCHEMES, "colours", "made:ColoursEncoder")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Eight small pictures."""
    return made.draw_pictures(tmp_path_factory.mktemp("pictures"))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real product cards beside the project."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real product cards are not beside the project")
    return SHARED_DATA
