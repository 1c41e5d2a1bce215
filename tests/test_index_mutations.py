"""Damaged and hostile index folders: refused in words, or the answers of the whole index.

`scripts/bench faults` makes ten thousand of them; here are a few of each kind.
"""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

from prodcat_index.index.integrity import verify_index
from prodcat_index.index.product_index import ProductIndex
from scripts.benchmarks import faults_workers
from scripts.benchmarks.faults_index import (
    FOLLOWED,
    FORGED,
    FOUND,
    GOOD,
    SILENT,
    damage_index,
    judge,
)
from scripts.benchmarks.faults_mutations import FAMILIES, Allowed, Mutation, copy_index, mutations
from scripts.benchmarks.faults_sample import (
    CARDS,
    answers,
    are_same,
    build_sample,
    draw_cards,
    is_sound,
)
from scripts.benchmarks.faults_workers import CRASH, HANG, OTHER, REFUSED, RIGHT, UNSOUND, Tried

pytestmark = pytest.mark.skipif(os.name != "posix", reason="pipes and devices are of POSIX systems")

MUTATIONS = 4 * len(FAMILIES)


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_sample(tmp_path_factory.mktemp("sample"))


def test_the_whole_index_passes(sample: Path) -> None:
    """Else every index would be called damaged."""
    assert verify_index(sample).cards == len(ProductIndex.load(sample))
    assert is_sound(answers(sample))


def test_no_mutation_is_answered_wrongly_in_silence(
    sample: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A torn or hostile file would put goods on the wrong shelves, or take the machine down."""
    monkeypatch.setattr(faults_workers, "MAX_SECONDS", 60.0)  # The machine may be busy.
    picture = sample.parent / "pictures" / "3.png"
    damage = damage_index(sample, picture, mutations(sample, MUTATIONS), tmp_path)
    assert damage.failures == []
    assert sum(counts.total() for counts in damage.counts.values()) == MUTATIONS
    assert set(damage.counts) == {family.name for family in FAMILIES}
    assert all(counts[REFUSED] for counts in damage.counts.values())


def test_a_mutation_can_be_made_again_and_changes_the_folder(sample: Path, tmp_path: Path) -> None:
    """A failure of the benchmark could not be looked at again."""
    for mutation in mutations(sample, len(FAMILIES), first=len(FAMILIES)):
        if mutation.family == "kinds of files":
            continue
        made = []
        for name in ("one", "other"):
            copy_index(sample, tmp_path / name / "index")
            mutation.apply(tmp_path / name / "index")
            made.append((tmp_path / name / "index" / mutation.target).read_bytes())
        assert made[0] == made[1] != (sample / mutation.target).read_bytes(), str(mutation)
        for name in ("one", "other"):
            (tmp_path / name).rename(tmp_path / f"{name} {mutation.seed}")


def _mutation(allowed: Allowed) -> Mutation:
    return Mutation("bytes", "a bit flipped", "a.npy", True, allowed, 0, lambda *_: None)


@pytest.mark.parametrize(
    ("allowed", "answered", "verified", "outcome"),
    [
        (Allowed.SAME, REFUSED, REFUSED, REFUSED),
        (Allowed.SAME, RIGHT, REFUSED, RIGHT),
        (Allowed.NOTHING, RIGHT, RIGHT, FOLLOWED),
        (Allowed.SAME, OTHER, REFUSED, FOUND),
        (Allowed.SAME, OTHER, RIGHT, SILENT),
        (Allowed.OTHER, OTHER, RIGHT, FORGED),
        (Allowed.OTHER, UNSOUND, RIGHT, SILENT),
        (Allowed.OTHER, UNSOUND, REFUSED, FOUND),
        (Allowed.OTHER, REFUSED, CRASH, CRASH),
    ],
)
def test_outcomes_are_judged(allowed: Allowed, answered: str, verified: str, outcome: str) -> None:
    """The benchmark would say that all is well, whatever happens."""
    assert judge(_mutation(allowed), Tried(answered, verified)) == outcome
    assert (outcome in GOOD) == (outcome not in (FOLLOWED, SILENT, CRASH))


def test_what_ends_hangs_or_runs_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker that dies must not pass for one that refused."""
    texts = pd.DataFrame(draw_cards(tmp_path, CARDS)).drop(columns="image")
    saved = ProductIndex.build(texts).save(tmp_path / "index")
    worker = faults_workers.Worker(saved)  # Without pictures it starts sooner.
    try:
        assert worker.attempt(saved).answered == RIGHT
        with monkeypatch.context() as patched:
            patched.setattr(faults_workers, "MAX_SECONDS", 0.0)
            assert worker.attempt(saved).answered == HANG
        assert worker.attempt(saved).answered == RIGHT
        assert worker._process is not None
        worker._process.kill()
        worker._process.join()
        tried = worker.attempt(saved)
        assert (tried.answered, tried.detail) == (CRASH, "SIGKILL")
    finally:
        worker.close()


def test_answers_are_compared_up_to_rounding() -> None:
    whole = {"found": [{"id": "a", "similarity": 0.5}], "card": None}
    assert are_same(whole, {"found": [{"id": "a", "similarity": 0.5 + 1e-9}], "card": None})
    assert not are_same(whole, {"found": [{"id": "a", "similarity": 0.501}], "card": None})
    assert not are_same(whole, {"found": [{"id": "b", "similarity": 0.5}], "card": None})
    assert not are_same(whole, {"found": [], "card": None})
    for unsound in (float("nan"), 1.5, -2.0):
        assert not is_sound({"similarity": unsound})
    assert not is_sound({"title": "\ud800"})
