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


def test_a_sample_is_spread_evenly_and_takes_labelled_cards_first() -> None:
    """Of a catalogue in the order of its shelves, only the first shelves would be learned."""
    labelled = np.arange(100) % 2 == 0
    assert choose_sample(labelled, None, 5).tolist() == [0, 24, 48, 72, 98]
    every = choose_sample(labelled, None, 52)
    assert set(np.flatnonzero(labelled)) < set(every.tolist()) and len(every) == 52


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
    sample = choose_sample(labelled, groups, limit)
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
    assert found.labelled.tolist() == [bool(c) for c in seen.values("category")]
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
        (["a", "b", "c", "d", " ", "f"], r"1 card has no id in .*shop \(row 5\)"),
    ],
)
def test_ids_are_checked_over_all_files(
    tmp_path: Path, ids: list[str], said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A card would be overwritten by another one, or never be found."""
    monkeypatch.setattr(shards, "ROWS_IN_SHARD", 2)
    cards = pd.DataFrame({"id": ids, "title": [f"lamp {n}" for n in range(6)]})
    table = write(tmp_path / "shop", cards)
    seen = read_catalogue(cards.assign(id=list("abcdef")))
    with pytest.raises(CatalogueError, match=said):
        survey(table, seen, skip_bad_rows=False)
