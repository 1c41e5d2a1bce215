"""``prodcat cache`` as a user runs it."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import pytest
from command import ENVIRONMENT, prodcat

from prodcat_index.encoders.cache import EmbeddingCache


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the cache, so that no test touches the user's."""
    monkeypatch.setitem(ENVIRONMENT, "PRODCAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setitem(ENVIRONMENT, "PRODCAT_CACHE_SIZE", "1.5G")
    return tmp_path / "cache"


@pytest.fixture
def filled(folder: Path) -> EmbeddingCache:
    """Two embeddings of one encoder and one of another."""
    cache = EmbeddingCache(folder)
    row = np.ones(4, dtype=np.float32)
    cache.put("sbert:some", "abc", {b"1" * 32: row, b"2" * 32: row})
    cache.put("efficientnet-lite0", "def", {b"1" * 32: row})
    return cache


ENCODERS = [
    {"spec": "sbert:some", "fingerprint": "abc", "entries": 2, "bytes": 32},
    {"spec": "efficientnet-lite0", "fingerprint": "def", "entries": 1, "bytes": 16},
]


def test_info_tells_place_size_and_encoders(filled: EmbeddingCache) -> None:
    """A user could not find out what fills the disk, or where."""
    lines = prodcat("cache", "info").out.splitlines()
    size = filled.path.stat().st_size / 1024
    assert lines[0] == f"{filled.path}: 3 embeddings in {size:.4g} KiB of at most 1.5 GiB"
    assert [line.split() for line in lines if "abc" in line or "def" in line] == [
        ["sbert:some", "abc", "2", "32"],
        ["efficientnet-lite0", "def", "1", "16"],
    ]


def test_info_as_json_holds_the_same(filled: EmbeddingCache) -> None:
    """A script that watches the disk would have to read the table."""
    expected = {
        "path": str(filled.path),
        "entries": 3,
        "bytes": filled.path.stat().st_size,
        "limit": 3 * 2**29,
        "encoders": ENCODERS,
    }
    assert prodcat("cache", "info", "--format", "json").json == [expected]
    assert prodcat("cache", "info", "--format", "jsonl").json == expected


def test_info_as_csv_lists_the_encoders(filled: EmbeddingCache) -> None:
    """The table could not be opened as a spreadsheet."""
    rows = list(csv.DictReader(io.StringIO(prodcat("cache", "info", "-f", "csv").out)))
    assert rows == [{key: str(cell) for key, cell in row.items()} for row in ENCODERS]


def test_info_of_a_new_cache_is_no_error() -> None:
    """Who looks before the first build would be told of a failure."""
    done = prodcat("cache", "info")
    assert done.code == 0 and ": 0 embeddings in " in done.out and done.err == ""


def test_clear_removes_everything_and_counts_it(filled: EmbeddingCache) -> None:
    """The disk would stay full."""
    assert prodcat("cache", "clear").out == f"Removed 3 embeddings from {filled.path}.\n"
    assert filled.summary().entries == 0


@pytest.mark.parametrize("command", ["info", "clear"])
def test_a_cache_that_is_off_is_said(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`Removed 0 embeddings` would hide that another cache is still there."""
    monkeypatch.setitem(ENVIRONMENT, "PRODCAT_CACHE", "off")
    done = prodcat("cache", command)
    assert (done.code, done.out) == (1, "")
    assert "PRODCAT_CACHE=off" in done.err


def test_a_cache_that_cannot_be_cleared_is_said(folder: Path) -> None:
    """The user would believe that the disk is free again."""
    folder.write_text("a file where the folder should be")
    done = prodcat("cache", "clear")
    assert (done.code, done.out) == (1, "")
    assert "cannot be emptied" in done.err and "Traceback" not in done.err
