"""A disk that fails at any call leaves the old index or the new one, whole.

Here every few calls fail; `scripts/bench faults` fails every single one.
"""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import made
import pytest

from prodcat_index.errors import IndexFolderError
from prodcat_index.index.product_index import ProductIndex
from scripts.benchmarks.faults_disk import KILLED, Disk, Failure
from scripts.benchmarks.faults_points import (
    FAILURES,
    NEW,
    OLD,
    Change,
    count_calls,
    fail_every_call,
    is_clean,
    usual_changes,
)

pytestmark = pytest.mark.skipif(os.name != "posix", reason="processes are forked")

STEP = 29
CHANGES = (
    *("first build", "build", "add", "remove", "relabel", "tune", "refit", "sync"),
    "rollback",
)


@pytest.fixture(scope="module")
def changes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Change]:
    texts = [
        {key: card[key] for key in ("id", "title", "category") if key in card}
        for card in made.CARDS
    ]
    other = ProductIndex.build(made.catalogue([made.row(**card) for card in texts]))
    more = made.catalogue([made.row("z1", "red zebra boots", category=made.BOOTS)])
    made_changes = usual_changes(tmp_path_factory.mktemp("changes"), other, more)
    return {change.name: change for change in made_changes}


def test_every_change_is_tried(changes: dict[str, Change]) -> None:
    assert tuple(changes) == CHANGES
    same = [name for name, change in changes.items() if change.old == change.new]
    assert same == ["refit"]


@pytest.mark.parametrize("name", CHANGES)
def test_a_failing_disk_leaves_the_old_index_or_the_new_one(
    changes: dict[str, Change], tmp_path: Path, name: str
) -> None:
    """A full disk or a power cut in the night would cost the shop its index in the morning."""
    points = fail_every_call(changes[name], tmp_path, STEP)
    assert points.failures == []
    assert len(points.counts) == len(FAILURES)
    total = sum(points.counts.values(), Counter[str]())
    assert set(total) <= {OLD, NEW} and total[OLD]


def test_a_full_disk_is_said_in_words(changes: dict[str, Change], tmp_path: Path) -> None:
    """A person at night must know that nothing is lost, and why nothing was written."""
    calls = count_calls(changes["add"], tmp_path)
    written = next(n for n, call in enumerate(calls, start=1) if call.startswith("write "))
    folder = tmp_path / "changed"
    ProductIndex.load(changes["add"].folder).save(folder)
    changed = ProductIndex.load(folder).remove(["b1"])
    with Disk(folder, written).installed(), pytest.raises(IndexFolderError) as caught:
        changed.save(folder)
    assert f"The index {folder} cannot be written ([Errno {errno.ENOSPC}] No space left" in str(
        caught.value
    )
    assert "what was there before is unchanged" in str(caught.value)
    assert len(ProductIndex.load(folder)) == len(made.CARDS)
    assert is_clean(folder)


# The disk itself: would it notice a writer that is careless?


def _killed(folder: Path, write: Callable[[Path], object], failing: int, failure: Failure) -> int:
    child = os.fork()
    if child == 0:
        try:
            with Disk(folder, failing, failure).installed():
                write(folder)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _write(folder: Path, *, is_flushed: bool) -> None:
    descriptor = os.open(folder / "new", os.O_WRONLY | os.O_CREAT)
    os.write(descriptor, b"new content")
    if is_flushed:
        os.fsync(descriptor)
    os.close(descriptor)
    (folder / "new").replace(folder / "file")
    if is_flushed:
        directory = os.open(folder, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
    (folder / "last").write_text("the end")


@pytest.mark.parametrize(
    ("is_flushed", "failure", "content"),
    [
        (True, "kill", b"new content"),
        (True, "lost names", b"new content"),
        (True, "lost content", b"new content"),
        (False, "kill", b"new content"),
        (False, "lost names", b"old"),
        (False, "lost content", b""),
    ],
)
def test_a_power_cut_takes_what_was_not_flushed(
    tmp_path: Path, is_flushed: bool, failure: Failure, content: bytes
) -> None:
    """A writer that forgets to flush would pass all the tests above."""
    (tmp_path / "file").write_bytes(b"old")

    def write(folder: Path) -> None:
        _write(folder, is_flushed=is_flushed)

    last = 6 if is_flushed else 3
    assert _killed(tmp_path, write, last + 1, failure) == KILLED
    assert (tmp_path / "file").read_bytes() == content
    assert not (tmp_path / "last").exists()


def test_a_kill_in_a_write_leaves_half_of_it(tmp_path: Path) -> None:
    assert _killed(tmp_path, lambda folder: _write(folder, is_flushed=True), 2, "kill") == KILLED
    assert (tmp_path / "new").read_bytes() == b"new c"
    assert _killed(tmp_path, lambda folder: _write(folder, is_flushed=True), 99, "kill") == 0


def test_calls_elsewhere_are_neither_counted_nor_failed(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    with Disk(tmp_path / "own", 1).installed() as disk:
        _write(tmp_path, is_flushed=True)
        assert disk.calls == []
        with pytest.raises(OSError, match="No space left"):
            _write(tmp_path / "own", is_flushed=True)
    assert disk.calls == ["open new"]
    _write(tmp_path / "own", is_flushed=True)
