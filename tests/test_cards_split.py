"""A split and its file: cards are found by id, and a file that does not fit is refused."""

from __future__ import annotations

from pathlib import Path

import made
import numpy as np
import pytest

from prodcat_index.cards.split import Split, read_split
from prodcat_index.cards.splitting import split_catalogue
from prodcat_index.errors import CatalogueError


def test_a_saved_split_is_read_as_it_was(tmp_path: Path) -> None:
    """The scores of two commands would be of different cards."""
    catalogue = made.catalogue(
        made.row(f"c{i:04}", f"t{i}", category="AB"[i // 20], group=f"g{i // 2}") for i in range(40)
    )
    split = split_catalogue(catalogue, valid=0.1)
    read = read_split(split.save(tmp_path / "split.csv"))
    assert (read.ids, read.parts) == (split.ids, split.parts)
    np.testing.assert_array_equal(read.groups, split.groups)
    first = (tmp_path / "split.csv").read_text().splitlines()[:2]
    assert first == ["id,part,group", f"c0000,{split.parts[0]},0"]


def test_ids_that_look_like_numbers_survive_the_file(tmp_path: Path) -> None:
    rows = [made.row(f"{i:03}", f"t{i}", category="A") for i in range(8)]
    catalogue = made.catalogue(rows)
    split = split_catalogue(catalogue)
    read = read_split(split.save(tmp_path / "split.csv"))
    assert read.rows(catalogue, "test").tolist() == split.rows(catalogue, "test").tolist()


def test_rows_are_found_by_id_also_in_a_part_of_the_catalogue() -> None:
    """A catalogue sorted anew would have its test cards in train."""
    split = Split(("a", "b", "c"), ("test", "train", "test"), np.arange(3))
    backwards = made.catalogue([made.row("c"), made.row("b"), made.row("a")])
    assert split.rows(backwards, "test").tolist() == [0, 2]
    assert split.select(backwards, "train").ids == ["b"]
    assert split.rows(backwards.select([1, 2]), "test").tolist() == [1]


def test_cards_of_another_catalogue_are_refused() -> None:
    split = Split(("a", "b"), ("test", "train"), np.arange(2))
    more = made.catalogue([made.row("a"), made.row("b"), made.row("n")])
    with pytest.raises(CatalogueError, match=r"made-up cards: 1 of its cards .*\(n\); make a new"):
        split.rows(more, "test")
    with pytest.raises(CatalogueError, match=r"1 of the cards of the split are not in it \(b\)"):
        split.check(made.catalogue([made.row("a")]))
    with pytest.raises(CatalogueError, match=r"in 'valid'; its parts are test \(1\), train \(1\)"):
        split.rows(made.catalogue([made.row("a"), made.row("b")]), "valid")


FILES = {
    "": "is empty",
    "id,part\n": r"a header \(id, part\) and no rows",
    "id,group\na,1\n": "no column 'part'",
    "part,group\ntest,1\n": "no column 'id'",
    "id,part\na,train\na,test\n": r"more than once \(a\)",
    "id,part\na,train\nb,Test\nc,holdout\n": "'Test', 'holdout'",
    "id,part\na,train\nb,\n": "of another name",
    "id,part\na,train\n,test\n": "without id: row 2",
    "id,part,group\na,train,1\nb,test,1\n": r"more than one part \(see the cards b\)",
}


@pytest.mark.parametrize("content", FILES)
def test_a_split_file_that_is_none_is_refused_in_words(tmp_path: Path, content: str) -> None:
    (tmp_path / "split.csv").write_text(content)
    with pytest.raises(CatalogueError, match=FILES[content]):
        read_split(tmp_path / "split.csv")


def test_a_split_made_by_hand_needs_no_groups(tmp_path: Path) -> None:
    (tmp_path / "split.csv").write_text("part;id\ntest; b \ntrain;a\n")
    split = read_split(tmp_path / "split.csv")
    assert (split.ids, split.parts) == (("b", "a"), ("test", "train"))


def test_a_split_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    split = Split(("a",), ("test",), np.arange(1))
    (tmp_path / "file").touch()
    with pytest.raises(CatalogueError, match="cannot be written"):
        split.save(tmp_path / "file" / "split.csv")


def test_the_summary_counts_what_cannot_be_scored() -> None:
    rows = [
        made.row(c, c, category=label) for c, label in zip("abcd", ("A", "A", "B", ""), strict=True)
    ]
    split = Split(tuple("abcd"), ("train", "test", "test", "test"), np.array([0, 1, 2, 2]))
    train, test = split.summary(made.catalogue(rows))
    assert (train.cards, train.categories, train.groups, train.unreachable) == (1, 1, 1, 0)
    assert (test.cards, test.categories, test.groups) == (3, 2, 2)
    assert (test.unlabelled, test.unreachable) == (1, 1)
