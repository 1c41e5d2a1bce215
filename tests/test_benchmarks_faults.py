"""``scripts/bench faults``: damaged files are read or refused, and anything else is reported."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from prodcat_index.errors import PictureError
from scripts.benchmarks import faults
from scripts.benchmarks.__main__ import app
from scripts.benchmarks.faults import Outcome, damage_pictures, mutate
from scripts.benchmarks.faults_index import Damage
from scripts.benchmarks.faults_kills import Kills
from scripts.benchmarks.faults_points import FAILURES, NEW, OLD, Points
from scripts.benchmarks.faults_workers import REFUSED, RIGHT


def test_damaged_pictures_are_read_or_refused(tmp_path: Path) -> None:
    """One picture of a stranger would end the indexing of a catalogue."""
    outcome = damage_pictures(tmp_path, 3 * len(faults.PICTURES))
    assert outcome.failures == []
    assert outcome.read + outcome.refused.total() == 3 * len(faults.PICTURES)
    assert outcome.read and outcome.refused
    assert outcome.memory < faults.MAX_MEMORY and outcome.slowest < faults.MAX_SECONDS


def test_a_mutation_differs_and_can_be_made_again() -> None:
    content = bytes(range(256)) * 4
    made = [mutate(content, np.random.default_rng(seed)) for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
    assert content not in made


def test_another_error_and_a_long_time_are_failures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The benchmark would say that all is well, whatever happens."""

    def refuse(_: Path) -> None:
        raise PictureError("it is torn")

    def fail(_: Path) -> None:
        raise KeyError("size")

    outcome = Outcome()
    for read in (refuse, fail, lambda _: None):
        faults._try(read, tmp_path / "a.jpg", outcome, PictureError)
    assert (outcome.read, dict(outcome.refused)) == (1, {"it is torn": 1})
    assert outcome.failures == ["a.jpg: KeyError('size')"]
    monkeypatch.setattr(faults, "MAX_SECONDS", 0.01)
    faults._try(lambda _: time.sleep(0.02), tmp_path / "b.jpg", outcome, PictureError)
    assert outcome.failures[1:] == ["b.jpg: 0 s"]


@pytest.mark.parametrize(
    ("outcome", "failures", "code"),
    [
        (Outcome(read=3), [], 0),
        (Outcome(failures=["a.jpg: KeyError()"]), [], 1),
        (Outcome(memory=faults.MAX_MEMORY + 1), [], 1),
        (Outcome(read=3), ["crash: bytes, emptied, a.npy (7): KeyError"], 1),
    ],
)
def test_the_tables_are_written_and_a_failure_is_the_exit_status(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    outcome: Outcome,
    failures: list[str],
    code: int,
) -> None:
    """A failure among ten thousand mutations would be overlooked."""
    points = Points({f"add, {each}": Counter({OLD: 7, NEW: 2}) for each in FAILURES}, failures)
    kills = Kills({"sync": Counter({OLD: 4})}, reads=1234)
    results = {faults._fail_disk: points, faults._kill_writers: kills}
    monkeypatch.setattr(faults, "in_own_process", lambda work, *_: results.get(work, outcome))
    monkeypatch.setattr(faults, "build_sample", lambda folder: folder)
    monkeypatch.setattr(faults, "mutations", lambda *_: [])
    damage = Damage({"bytes": Counter({REFUSED: 5, RIGHT: 1})})
    monkeypatch.setattr(faults, "damage_index", lambda *_: damage)
    page = tmp_path / "page.md"
    done = CliRunner().invoke(app, ["faults", "--pictures", "3", "--page", str(page)])
    assert done.exit_code == code
    written = page.read_text(encoding="utf-8")
    assert "| pictures | " in written
    assert "| bytes | 6 | 5 | 1 | 0 | 0 |" in written
    assert f"| add | 36 | {' | '.join(['7 / 2'] * 4)} | 0 |" in written
    assert "| sync | 4 | 4 |" in written and "1,234 times" in written
    assert ("KeyError" in done.stderr) == bool(outcome.failures or failures)
