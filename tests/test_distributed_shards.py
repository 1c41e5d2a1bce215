"""Which cards are fitted to, and what is known of all of them before."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodcat_index import CatalogueError, read_catalogue
from prodcat_index.cards.parquet_tables import ParquetTable
from prodcat_index.distributed import shards
from prodcat_index.distributed.shards import choose_sample, survey
from prodcat_index.types import MISSING


def test_a_sample_takes_each_category_then_labelled_cards_evenly() -> None:
    """What a sample lacks is not fitted: its cards would be answered by neighbours alone."""
    codes = np.array([0] * 500 + [MISSING] * 100 + [1] * 380 + [2, 2, 3] + [0] * 17)
    sample = choose_sample(codes, None, 4)
    assert sorted(codes[sample].tolist()) == [0, 1, 2, 3]
    sample = choose_sample(codes, None, 30)
    found = Counter(codes[sample].tolist())
    assert found[2] == 2 and found[3] == 1 and found[0] >= 10 and found[1] >= 10
    # In a catalogue in the order of its shelves, no part of a large shelf is left out.
    assert np.diff([0, *sample[sample < 500], 500]).max() < 100
    labelled = np.flatnonzero(codes != MISSING)
    every = choose_sample(codes, None, 902)
    assert set(labelled) < set(every.tolist()) and len(every) == 902


@given(
    st.lists(st.tuples(st.booleans(), st.integers(-1, 6)), min_size=1, max_size=60),
    st.integers(1, 60),
)
@settings(max_examples=200)
def test_groups_stay_together_in_a_sample(rows: list[tuple[bool, int]], limit: int) -> None:
    """Variants of a product on both sides of the cut would flatter what is measured."""
    labelled = np.array([label for label, _ in rows])
    groups = np.array([group for _, group in rows], dtype=np.int64)
    chosen = np.zeros(len(rows), dtype=bool)
    sample = choose_sample(np.where(labelled, 7, MISSING), groups, limit)
    chosen[sample] = True
    assert len(sample) <= limit and np.array_equal(sample, np.unique(sample))
    for group in set(groups[groups != MISSING].tolist()):
        assert len(set(chosen[groups == group].tolist())) == 1
    sizes = Counter(group for _, group in rows if group != MISSING)
    fits = [label and sizes[group] <= limit for label, group in rows]
    if any(fits):
        assert any(labelled[chosen]), "labelled cards come first"


def write(folder: Path, cards: pd.DataFrame) -> ParquetTable:
    folder.mkdir()
    for start in range(0, len(cards), 4):
        cards[start : start + 4].to_parquet(folder / f"{start:03d}.parquet")
    return ParquetTable.open(folder)


def test_a_survey_reads_labels_groups_and_keys_of_all_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sample would be drawn by columns that are not those of the cards."""
    monkeypatch.setattr(shards, "ROWS_IN_SHARD", 3)
    cards = pd.DataFrame(
        {
            "id": [f"c{n}" for n in range(8)],
            "title": [f"lamp {n}" for n in range(8)],
            "category": ["A", "A", " ", "B", "B", "B", "n/a", "A"],
            "category_id": ["1", "1", "", "2", "3", "2", "", "1"],
            "item_group_id": ["x", "x", "y", "", "", "y", "x", ""],
        }
    )
    table = write(tmp_path / "shop", cards)
    seen = read_catalogue(cards)
    found = survey(table, seen, skip_bad_rows=False)
    assert found.codes.tolist() == [0, 0, MISSING, 2, 3, 2, MISSING, 0]
    assert found.pairs == Counter({("A", "1"): 3, ("B", "2"): 2, ("", ""): 2, ("B", "3"): 1})
    if seen.columns["group"]:
        assert found.groups is not None
        same = found.groups[:, None] == found.groups
        names = np.array(seen.values("group"), dtype=object)
        there = names != ""
        assert np.array_equal(same[there][:, there], names[there][:, None] == names[there])
        assert (found.groups[~there] == MISSING).all()


@pytest.mark.parametrize(
    ("ids", "said"),
    [
        (["a", "b", "c", "d", "e", "a"], r"1 id occurs more than once in .*shop \(a\)"),
        (["a", "b", "c", "d", "e", "a\u200b"], r"1 id occurs more than once in .*shop \(a\)"),
        (["a", "b", "c", "d", " ", "f"], r"1 card has no id in .*shop \(row 5\)"),
    ],
)
@pytest.mark.parametrize("skips", [False, True])
def test_ids_are_checked_over_all_files(
    tmp_path: Path, ids: list[str], said: str, skips: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card would be overwritten by another one, or never be found."""
    monkeypatch.setattr(shards, "ROWS_IN_SHARD", 2)
    cards = pd.DataFrame({"id": ids, "title": [f"lamp {n}" for n in range(6)]})
    table = write(tmp_path / "shop", cards)
    seen = read_catalogue(cards.assign(id=list("abcdef")))
    if skips and "no id" in said:
        assert len(survey(table, seen, skip_bad_rows=skips).codes) == 6
        return
    with pytest.raises(CatalogueError, match=said):
        survey(table, seen, skip_bad_rows=skips)
