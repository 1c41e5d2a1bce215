"""Killing a build in the middle, with a real process and a real signal."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import made
import pandas as pd
import pytest
from command import ENVIRONMENT, prodcat

from prodcat_index import ProductIndex
from scripts.benchmarks.faults_kills import kill_writers, usual_commands
from scripts.benchmarks.faults_points import NEW, OLD

pytestmark = pytest.mark.skipif(os.name != "posix", reason="kill -9 is of POSIX systems")

CARDS = 3000
ANY_CATEGORY = "--allow-new-categories"
# Takes little to compute, as one category teaches nothing; what is killed is the writing.
QUICK = ("--encoder", "title=lexical:8")


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A catalogue that takes a while to write."""
    path = tmp_path_factory.mktemp("many") / "many.csv"
    rows = [
        {"id": f"lamp{i}", "title": f"lamp number {i}", "category": "lamp"} for i in range(CARDS)
    ]
    pd.DataFrame(rows).to_csv(path, index=False)
    return path


def _killed(*command: object, seen: Path) -> None:
    """Start a command that writes an index, and kill it once its unfinished version is there."""
    process = subprocess.Popen(
        [sys.executable, "-m", "prodcat_index", *map(str, command)],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not seen.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "the command ended before it could be killed"


def test_a_killed_build_leaves_the_old_index_whole(many: Path, tmp_path: Path) -> None:
    """A power cut while rebuilding would cost the shop the index that was there."""
    index = tmp_path / "index"
    ProductIndex.build(made.catalogue()).save(index)
    before = (index / "manifest.json").read_bytes()
    _killed("build-index", many, "-o", index, *QUICK, seen=index / "versions" / "0002")
    assert (index / "versions" / "0002").is_dir(), "the build was killed while writing"
    assert (index / "manifest.json").read_bytes() == before
    assert ProductIndex.load(index).search("electric kettle", 1)[0].id == "k2"
    done = prodcat("build-index", many, "-o", index, *QUICK)
    assert done.code == 0, done.err
    assert len(ProductIndex.load(index)) == CARDS
    assert sorted(version.name for version in (index / "versions").iterdir()) == ["0001", "0002"]


def test_a_killed_first_build_is_no_index_and_can_be_built_again(
    many: Path, tmp_path: Path
) -> None:
    """Half an index would answer as if it were whole, or block its own name for ever."""
    index = tmp_path / "index"
    _killed("build-index", many, "-o", index, *QUICK, seen=index / "versions" / "0001")
    unfinished = prodcat("info", index)
    assert unfinished.code == 1 and "unfinished build" in unfinished.err
    assert prodcat("build-index", many, "-o", index, *QUICK).code == 0
    assert len(ProductIndex.load(index)) == CARDS


def test_killed_while_adding_the_old_index_is_whole_and_adding_can_be_repeated(
    many: Path, tmp_path: Path
) -> None:
    """A power cut during a delivery would cost the shop what it had before."""
    index = tmp_path / "index"
    ProductIndex.build(made.catalogue()).save(index)
    before = (index / "manifest.json").read_bytes()
    _killed("add", many, "-i", index, ANY_CATEGORY, seen=index / "versions" / "0002")
    assert (index / "manifest.json").read_bytes() == before
    assert len(ProductIndex.load(index)) == 9
    done = prodcat("add", many, "-i", index, ANY_CATEGORY)
    assert done.code == 0, done.err
    assert len(ProductIndex.load(index)) == CARDS + 9
    assert sorted(version.name for version in (index / "versions").iterdir()) == ["0001", "0002"]


KILLS = 4


def test_kills_at_random_moments_leave_the_old_index_or_the_new_one(tmp_path: Path) -> None:
    """`scripts/bench faults` kills hundreds; a reader beside them must never notice."""
    before = ProductIndex.build(made.catalogue())
    folder = tmp_path / "index"
    commands = usual_commands(before, folder, tmp_path, ["add", "remove"])
    kills = kill_writers(before, folder, commands, KILLS)
    assert kills.failures == []
    outcomes = {name for counts in kills.counts.values() for name in counts}
    assert outcomes <= {OLD, NEW, f"{OLD} (it had ended)", f"{NEW} (it had ended)"}
    assert OLD in outcomes and sum(counts.total() for counts in kills.counts.values()) == KILLS
    assert kills.reads
