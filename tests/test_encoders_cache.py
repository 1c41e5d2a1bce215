"""The file of embeddings: what is kept, for how long, and what happens when it is damaged."""

from __future__ import annotations

import os
import sqlite3
import stat
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock

from prodcat_index.encoders import cache as cache_module
from prodcat_index.encoders.cache import DEFAULT_LIMIT, EmbeddingCache, default_cache
from prodcat_index.errors import EncoderError
from prodcat_index.progress import note_once
from prodcat_index.types import Float32Array

DIM = 256
AWKWARD = np.array([-0.0, 1e-45, np.pi, -1.0, np.nextafter(np.float32(1), np.float32(2))], "f4")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for the cache, so that no test touches the user's."""
    monkeypatch.setenv("PRODCAT_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("PRODCAT_CACHE_SIZE", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time in days that the cache sees."""
    now = [1000.0]
    monkeypatch.setattr(cache_module.time, "time", lambda: now[0] * 24 * 3600)
    return now


def name(number: int) -> bytes:
    return number.to_bytes(32, "big")


def rows(start: int, stop: int) -> dict[bytes, Float32Array]:
    return {
        name(number): np.random.default_rng(number).normal(size=DIM).astype(np.float32)
        for number in range(start, stop)
    }


def kept(cache: EmbeddingCache, start: int, stop: int) -> set[int]:
    found = cache.get("f", [name(number) for number in range(start, stop)], DIM)
    return {int.from_bytes(digest, "big") for digest in found}


def change(cache: EmbeddingCache, statement: str) -> None:
    with closing(sqlite3.connect(cache.path)) as db, db:
        db.execute(statement)


def test_rows_come_back_bit_for_bit(folder: Path) -> None:
    """Rounded rows would make a cached index differ from a fresh one."""
    EmbeddingCache(folder).put("s", "f", {name(1): AWKWARD})
    found = EmbeddingCache(folder).get("f", [name(1), name(2)], len(AWKWARD))
    assert list(found) == [name(1)]
    assert found[name(1)].dtype == np.float32
    assert found[name(1)].tobytes() == AWKWARD.tobytes()


def test_encoders_do_not_share_rows(folder: Path) -> None:
    """Rows of other weights would be mixed into an index without a word."""
    cache = EmbeddingCache(folder)
    one, two = rows(1, 2), rows(2, 3)
    cache.put("same spec", "f", {name(7): one[name(1)]})
    cache.put("same spec", "g", {name(7): two[name(2)]})
    assert cache.get("f", [name(7)], DIM)[name(7)].tolist() == one[name(1)].tolist()
    assert cache.get("g", [name(7)], DIM)[name(7)].tolist() == two[name(2)].tolist()
    assert cache.get("h", [name(7)], DIM) == {}


def test_storing_again_replaces(folder: Path) -> None:
    """Two processes that embed the same cards must not double the file."""
    cache = EmbeddingCache(folder)
    cache.put("s", "f", rows(0, 5))
    cache.put("s", "f", rows(3, 8))
    assert cache.summary().entries == 8


def test_the_summary_counts_by_encoder(folder: Path) -> None:
    """A user could not tell which model fills the disk."""
    cache = EmbeddingCache(folder, limit=10**6)
    cache.put("small", "f", rows(0, 3))
    cache.put("large", "g", rows(0, 5))
    summary = cache.summary()
    assert [(e.spec, e.fingerprint, e.entries, e.bytes) for e in summary.encoders] == [
        ("large", "g", 5, 5 * 4 * DIM),
        ("small", "f", 3, 3 * 4 * DIM),
    ]
    assert summary.path == folder / "embeddings.sqlite"
    assert (summary.entries, summary.limit) == (8, 10**6)
    assert summary.bytes == summary.path.stat().st_size


def test_a_full_cache_drops_what_was_stored_first(folder: Path) -> None:
    """A cache without a bound would fill the disk; one that drops the newest would be useless."""
    cache = EmbeddingCache(folder, limit=2**20)
    for start in range(0, 3000, 100):
        cache.put("s", "f", rows(start, start + 100))
        assert cache.path.stat().st_size <= 2**20
    left = kept(cache, 0, 3000)
    assert len(left) > 400, "it is not emptied, only kept in bounds"
    assert left == set(range(3000 - len(left), 3000))


def test_use_keeps_an_old_row(folder: Path, clock: list[float]) -> None:
    """Embeddings that are read at every build would be lost to some that never are again."""
    cache = EmbeddingCache(folder, limit=2**20)
    cache.put("s", "f", rows(0, 400))
    clock[0] += 2
    assert kept(cache, 0, 50) == set(range(50))
    clock[0] += 2
    cache.put("s", "f", rows(400, 800))
    left = kept(cache, 0, 800)
    assert left >= set(range(50)) | set(range(400, 800))
    assert not left & set(range(50, 256))


def test_looking_up_again_on_the_same_day_writes_nothing(folder: Path, clock: list[float]) -> None:
    """A look-up would wait for the disk, though nothing has changed."""
    cache = EmbeddingCache(folder)
    cache.put("s", "f", rows(0, 10))
    before = cache.path.stat().st_mtime_ns, cache.path.read_bytes()
    clock[0] += 0.5
    assert len(kept(cache, 0, 10)) == 10
    assert (cache.path.stat().st_mtime_ns, cache.path.read_bytes()) == before


def test_a_smaller_limit_shrinks_the_file(folder: Path) -> None:
    """A user who lowers the limit because the disk is full would win nothing."""
    EmbeddingCache(folder).put("s", "f", rows(0, 2000))
    smaller = EmbeddingCache(folder, limit=2**19)
    smaller.put("s", "f", rows(2000, 2001))
    assert smaller.path.stat().st_size <= 2**19
    assert 2000 in kept(smaller, 1990, 2001)


def test_clearing_empties_the_file_and_says_how_many(folder: Path) -> None:
    """The disk would stay full after `prodcat cache clear`."""
    cache = EmbeddingCache(folder)
    empty = cache.summary().bytes
    cache.put("s", "f", rows(0, 500))
    cache.path.with_suffix(".damaged").write_bytes(b"set aside before")
    assert cache.clear() == 500
    assert cache.summary().encoders == ()
    assert cache.path.stat().st_size <= empty
    assert not cache.path.with_suffix(".damaged").exists()


@pytest.mark.parametrize(
    "damage",
    [
        "vector = zeroblob(1024)",
        "vector = x'00'",
        "vector = 'text'",
        "vector = CAST(x'ff' AS TEXT)",
        "checksum = checksum + 1",
        "checksum = 'text', used = 'text'",
    ],
)
def test_a_damaged_row_is_a_missing_one(folder: Path, damage: str) -> None:
    """A flipped bit on the disk would be searched with as if it were an embedding."""
    cache = EmbeddingCache(folder)
    cache.put("s", "f", rows(0, 2))
    change(cache, f"UPDATE embeddings SET {damage} WHERE digest = x'{name(1).hex()}'")
    assert kept(cache, 0, 2) == {0}
    cache.put("s", "f", rows(1, 2))
    assert kept(cache, 0, 2) == {0, 1}


def garbage(path: Path) -> None:
    path.write_bytes(b"not a database " * 1000)


def cut_off(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def overwritten(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[200:] = b"\xff" * (len(content) - 200)
    path.write_bytes(content)


@pytest.mark.parametrize("damage", [garbage, cut_off, overwritten])
def test_a_damaged_file_is_set_aside_and_a_new_one_begun(
    folder: Path, damage: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """A bad sector in a mere cache would stop every build until somebody finds the file."""
    cache = EmbeddingCache(folder)
    cache.put("s", "f", rows(0, 300))
    damage(cache.path)  # type: ignore[operator]
    # What is found in a file that is cut off must be whole; the rest is missing.
    found = cache.get("f", [name(number) for number in range(300)], DIM)
    assert all(found[digest].tobytes() == rows(0, 300)[digest].tobytes() for digest in found)
    cache.put("s", "f", rows(0, 300))
    assert kept(cache, 0, 300) == set(range(300))
    assert (folder / "embeddings.damaged").is_file()
    err = capsys.readouterr().err
    assert err.count("note: ") == 1 and f"the cache {cache.path} is damaged" in err
    assert "set aside as embeddings.damaged" in err


def test_an_empty_file_is_a_new_cache(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A process that was killed as it made the file would leave a useless cache behind."""
    folder.mkdir()
    cache = EmbeddingCache(folder)
    cache.path.touch()
    cache.put("s", "f", rows(0, 3))
    assert kept(cache, 0, 3) == {0, 1, 2}
    assert capsys.readouterr().err == ""


def no_folder(folder: Path) -> None:
    folder.write_text("a file where the folder should be")


def folder_for_a_file(folder: Path) -> None:
    (folder / "embeddings.sqlite").mkdir(parents=True)


def foreign_tables(folder: Path) -> None:
    folder.mkdir()
    with closing(sqlite3.connect(folder / "embeddings.sqlite")) as db, db:
        db.execute("CREATE TABLE something (else_ INTEGER)")


def not_writable(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(stat.S_IRUSR | stat.S_IXUSR)
    if os.access(folder, os.W_OK):
        pytest.skip("this user may write everywhere")


@pytest.mark.parametrize("make", [no_folder, folder_for_a_file, foreign_tables, not_writable])
def test_without_a_usable_place_there_is_no_cache_and_it_is_said_once(
    folder: Path, make: object, capsys: pytest.CaptureFixture[str]
) -> None:
    """A read-only home would stop every build, or bury its output in one line a batch."""
    make(folder)  # type: ignore[operator]
    cache = EmbeddingCache(folder)
    for _ in range(3):
        cache.put("s", "f", rows(0, 3))
        assert cache.get("f", [name(1)], DIM) == {}
    EmbeddingCache(folder).put("s", "f", rows(0, 3))
    err = capsys.readouterr().err
    assert err.count("note: ") == 1
    assert f"embeddings are not cached in {folder} (" in err and "PRODCAT_CACHE" in err
    assert cache.summary().entries == 0
    with pytest.raises(EncoderError, match=r"cannot be emptied .*; remove the file by hand"):
        EmbeddingCache(folder).clear()


def test_a_process_that_never_lets_go_costs_no_answer(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A stopped build would hold up every other one, or lose its file to one that sets it aside."""
    monkeypatch.setattr(cache_module, "PATIENCE", 0.1)
    cache = EmbeddingCache(folder)
    cache.put("s", "f", rows(0, 3))
    with ThreadPoolExecutor(1) as other:
        lock = FileLock(folder / "embeddings.lock", thread_local=False)
        other.submit(lock.acquire).result()
        assert kept(cache, 0, 3) == set()
        other.submit(lock.release).result()
    assert "embeddings.lock' could not be acquired" in capsys.readouterr().err
    assert kept(EmbeddingCache(folder), 0, 3) == {0, 1, 2}


def test_the_variable_names_the_folder(folder: Path) -> None:
    """A user with a small home disk could not move the cache."""
    cache = default_cache()
    assert cache is not None
    assert (cache.path, cache.limit) == (folder / "embeddings.sqlite", DEFAULT_LIMIT)


def test_without_the_variable_it_is_in_the_user_s_cache_folder(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A cache in the working folder would be lost or committed with it."""
    import platformdirs

    monkeypatch.delenv("PRODCAT_CACHE")
    cache = default_cache()
    assert cache is not None
    assert cache.path.parent == platformdirs.user_cache_path("prodcat-index", appauthor=False)


def test_off_means_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who measures speed or may not write could not turn it off."""
    monkeypatch.setenv("PRODCAT_CACHE", "off")
    assert default_cache() is None


@pytest.mark.parametrize(
    ("text", "limit"),
    [("1000", 1000), ("2K", 2048), ("500M", 500 * 2**20), ("1.5 GiB", 3 * 2**29), ("4gb", 2**32)],
)
def test_the_size_is_read_as_people_write_it(
    monkeypatch: pytest.MonkeyPatch, text: str, limit: int
) -> None:
    """A size that is read wrongly fills the disk, or keeps nothing."""
    monkeypatch.setenv("PRODCAT_CACHE_SIZE", text)
    cache = default_cache()
    assert cache is not None and cache.limit == limit


@pytest.mark.parametrize("text", ["lots", "-1", "4X", "G", "1e9", "9" * 400])
def test_a_size_that_is_none_is_said_and_not_obeyed(
    monkeypatch: pytest.MonkeyPatch, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A typing mistake would go unnoticed until the disk is full."""
    note_once.cache_clear()
    monkeypatch.setenv("PRODCAT_CACHE_SIZE", text)
    cache = default_cache()
    assert cache is not None and cache.limit == DEFAULT_LIMIT
    assert f"PRODCAT_CACHE_SIZE={text} is no size such as 500M or 4G" in capsys.readouterr().err
