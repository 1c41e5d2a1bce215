"""Splits: nothing leaks, shares are kept, and a file that does not fit is refused."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

import made
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodcat_index import read_catalogue
from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.duplicates import Groups, find_groups
from prodcat_index.cards.splitting import (
    TEST,
    TRAIN,
    VALID,
    Split,
    allot_by_category,
    allot_newest,
    read_split,
    repeated_splits,
    split_catalogue,
)
from prodcat_index.errors import CatalogueError


def shop(sizes: dict[str, int], **columns: Sequence[str]) -> Catalogue:
    """Make a catalogue of cards with texts of their own, so many a category."""
    labels = [label for label, size in sizes.items() for _ in range(size)]
    rows = [made.row(f"c{i:04}", f"text {i}", category=label) for i, label in enumerate(labels)]
    catalogue = made.catalogue(rows)
    for name, values in columns.items():
        catalogue.cards[name] = list(values)
    return catalogue


def parts_of(split: Split) -> dict[str, str]:
    return dict(zip(split.ids, split.parts, strict=True))


def count(catalogue: Catalogue, split: Split) -> dict[tuple[str, str], int]:
    return dict(Counter(zip(catalogue.values("category"), split.parts, strict=True)))


def test_every_category_is_split_in_the_shares_asked_for() -> None:
    """A category might be only taught or only scored by chance."""
    catalogue = shop({"A": 40, "B": 20, "C": 8})
    split = split_catalogue(catalogue, valid=0.25, test=0.25, seed=3)
    counts = count(catalogue, split)
    for label, quarter in (("A", 10), ("B", 5), ("C", 2)):
        assert abs(counts[label, "test"] - quarter) <= 1
        assert abs(counts[label, "valid"] - quarter) <= 1
    assert split.made == "by group; 25% test, 25% valid; seed 3"


def test_the_only_group_of_a_category_is_train_and_told() -> None:
    """What cannot be learned would be scored as a mistake."""
    catalogue = shop({"A": 30, "B": 1, "C": 3}, group=[""] * 31 + ["g"] * 3)
    for seed in range(20):
        split = split_catalogue(catalogue, test=0.4, seed=seed)
        assert {part for _, part in zip(*_of(split, range(30, 34)), strict=True)} == {"train"}
        (finding,) = split.findings
        assert "only group of their category" in finding.what
        assert finding.ids == ("c0030", "c0031", "c0032", "c0033")


def _of(split: Split, rows: Sequence[int]) -> tuple[list[str], list[str]]:
    return [split.ids[r] for r in rows], [split.parts[r] for r in rows]


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 15), st.integers(-1, 4)), min_size=1, max_size=80),
    st.sampled_from([(0.25, 0.0), (0.2, 0.2), (0.5, 0.3)]),
    st.integers(0, 99),
)
def test_no_group_is_torn_and_every_category_taught(
    cards: list[tuple[int, int]], asked: tuple[float, float], seed: int
) -> None:
    """The whole point: what is scored must not have been seen."""
    named, categories = (np.array(column) for column in zip(*cards, strict=True))
    _, groups = np.unique(named, return_inverse=True)
    rng = np.random.default_rng(seed)
    parts = allot_by_category(groups, categories, {TEST: asked[0], VALID: asked[1]}, rng)
    for group in range(groups.max() + 1):
        assert len(set(parts[groups == group].tolist())) == 1
        if not np.any(categories[groups == group] >= 0):
            assert set(parts[groups == group].tolist()) == {TRAIN}
    labelled = categories >= 0
    assert set(categories[labelled & (parts == TRAIN)]) == set(categories[labelled])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(0, 99))
def test_shares_are_those_asked_for(sizes: list[int], seed: int) -> None:
    """Of cards without duplicates a part never misses its share by more than a card a category."""
    categories = np.repeat(np.arange(len(sizes)), sizes)
    groups = np.arange(len(categories))
    rng = np.random.default_rng(seed)
    parts = allot_by_category(groups, categories, {TEST: 0.25, VALID: 0.1}, rng)
    for category, size in enumerate(sizes):
        for part, share in ((TEST, 0.25), (VALID, 0.1)):
            found = np.sum((categories == category) & (parts == part))
            assert abs(found - share * size) <= 2
    assert abs(np.sum(parts == TEST) - 0.25 * sum(sizes)) <= 1 + len(sizes) / 4


def test_chance_is_fair_to_every_card() -> None:
    """A card that is never scored would bias every figure."""
    categories = np.repeat([0, 1], [12, 4])
    groups = np.arange(16)
    tested = np.zeros(16)
    for seed in range(600):
        rng = np.random.default_rng(seed)
        tested += allot_by_category(groups, categories, {TEST: 0.25}, rng) == TEST
    assert tested / 600 == pytest.approx(np.full(16, 0.25), abs=0.08)


@settings(deadline=None, max_examples=30)
@given(st.randoms(), st.sampled_from(["group", "random", "brand", "listed"]))
def test_a_split_is_the_same_again_and_in_any_order(shuffler: random.Random, by: str) -> None:
    """A colleague with the same seed would score other cards."""
    brands = [f"brand{i % 7}" for i in range(40)]
    days = [f"2024-01-{i % 28 + 1:02}" for i in range(40)]
    catalogue = shop({"A": 25, "B": 15}, brand=brands, listed=days)
    shuffled = catalogue.select(shuffler.sample(range(40), 40))
    one, again, other = (split_catalogue(c, by=by) for c in (catalogue, catalogue, shuffled))
    assert parts_of(one) == parts_of(again) == parts_of(other)
    assert dict(zip(one.ids, one.groups.tolist(), strict=True)) == dict(
        zip(other.ids, other.groups.tolist(), strict=True)
    )
    if by in ("group", "random"):
        assert parts_of(split_catalogue(catalogue, by=by, seed=1)) != parts_of(one)


def test_random_splits_tear_groups_and_say_so() -> None:
    catalogue = shop({"A": 20, "B": 20}, group=[f"g{i // 2}" for i in range(40)])
    split = split_catalogue(catalogue, by="random")
    parts = np.array(split.parts).reshape(-1, 2)
    assert np.any(parts[:, 0] != parts[:, 1])
    assert "duplicates apart" in split.made


def test_unlabelled_cards_are_train_but_stay_with_their_group() -> None:
    """They cannot be scored, and would make the test look larger than it is."""
    rows = [made.row(f"u{i}", f"nameless {i}") for i in range(10)]
    rows += [made.row(f"a{i}", f"text {i}", category="A", group=f"g{i}") for i in range(10)]
    rows += [made.row(f"v{i}", f"variant {i}", group=f"g{i}") for i in range(10)]
    parts = parts_of(split_catalogue(made.catalogue(rows), test=0.5))
    assert {parts[f"u{i}"] for i in range(10)} == {"train"}
    assert all(parts[f"a{i}"] == parts[f"v{i}"] for i in range(10))
    assert sum(parts[f"a{i}"] == "test" for i in range(10)) == pytest.approx(5, abs=1)


def test_the_newest_are_the_test_and_the_next_newest_valid() -> None:
    """A model would be scored on what was known before it was taught."""
    days = [f"{1 + i:02}.01.2024" for i in range(20)]
    catalogue = shop({"A": 12, "B": 8}, listed=days)
    split = split_catalogue(catalogue, valid=0.1, test=0.25, by="listed")
    assert split.parts == ("train",) * 13 + ("valid",) * 2 + ("test",) * 5
    assert split.made == "by group, the newest by 'listed'; 25% test, 10% valid; seed 0"


def test_by_time_a_group_is_as_old_as_its_oldest_card() -> None:
    """The new listing of an old product would be scored although it was taught."""
    days = [f"2024-01-{1 + i:02}" for i in range(11)] + [""]
    catalogue = shop({"A": 12}, listed=days, group=["g", *[""] * 9, "g", ""])
    split = split_catalogue(catalogue, test=0.25, by="listed")
    assert [split.parts[row] for row in (0, 10, 11)] == ["train"] * 3
    assert split.parts.count("test") == 3 and split.parts[7:10] == ("test",) * 3
    told = {finding.what.split(",")[0]: finding.ids for finding in split.findings}
    assert told == {
        "cards are newer than the oldest that is scored": ("c0010",),
        "cards have no date in a group without one": ("c0011",),
    }


def test_equal_times_are_parted_by_chance() -> None:
    groups, labelled = np.arange(8), np.ones(8, dtype=bool)
    years = np.repeat([2023.0, 2024.0], 4)
    drawn = [
        allot_newest(groups, years, labelled, {TEST: 0.25}, np.random.default_rng(seed)).tolist()
        for seed in range(5)
    ]
    assert all(parts[:4] == [TRAIN] * 4 and parts.count(TEST) == 2 for parts in drawn)
    assert len(set(map(tuple, drawn))) > 1


def test_whole_shops_are_in_one_part() -> None:
    """How well a new shop's cards are categorized could not be told."""
    owners = [f"shop{i % 12}" for i in range(120)]
    catalogue = shop({"A": 60, "B": 60}, owner=owners)
    for seed in range(10):
        split = split_catalogue(catalogue, by="owner", seed=seed)
        found = defaultdict(set)
        for owner, part in zip(owners, split.parts, strict=True):
            found[owner].add(part)
        assert all(len(parts) == 1 for parts in found.values())
        assert split.parts.count("test") in (20, 30, 40)


def test_shops_that_share_a_product_are_one() -> None:
    """The product would be taught by one shop and scored by the other."""
    owners = [f"shop{i // 5}" for i in range(40)]
    groups = ["shared" if i in (0, 39) else "" for i in range(40)]
    catalogue = shop({"A": 40}, owner=owners, group=groups)
    for seed in range(5):
        parts = split_catalogue(catalogue, by="owner", seed=seed).parts
        assert len(set(parts[:5] + parts[35:])) == 1


def test_a_group_too_large_for_the_parts_is_told() -> None:
    """The user would take 8 % of test cards for the 25 % asked for."""
    catalogue = shop({"A": 100, "B": 10}, group=["big"] * 90 + [""] * 20)
    (finding,) = split_catalogue(catalogue, test=0.25).findings
    assert "too large for the parts" in finding.what and finding.count == 90


def test_repeated_splits_differ_and_look_for_groups_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spread over splits would be nought, or take n times as long."""
    catalogue = shop({"A": 40, "B": 40})
    calls = []

    def counting(cards: Catalogue) -> Groups:
        calls.append(cards)
        return find_groups(cards)

    monkeypatch.setattr("prodcat_index.cards.splitting.find_groups", counting)
    splits = repeated_splits(catalogue, 4, seed=5)
    assert len(calls) == 1 and len({split.parts for split in splits}) == 4
    assert splits[2].parts == split_catalogue(catalogue, seed=7).parts


WRONG: dict[str, tuple[Callable[[], object], str]] = {
    "shares": (lambda: split_catalogue(shop({"A": 9}), valid=0.5, test=0.5), "below 1"),
    "negative": (lambda: split_catalogue(shop({"A": 9}), valid=-0.1), "0 or more"),
    "nan": (lambda: split_catalogue(shop({"A": 9}), test=float("nan")), "0 or more"),
    "column": (lambda: split_catalogue(shop({"A": 9}), by="shopp"), "no column 'shopp'"),
    "labels": (lambda: split_catalogue(made.catalogue([made.row("a")])), "has a category"),
    "one card": (lambda: split_catalogue(shop({"A": 1})), "No card is left for test"),
    "one shop": (lambda: split_catalogue(shop({"A": 3}, s=list("aaa")), by="s"), "left for test"),
    "seed": (lambda: split_catalogue(shop({"A": 9}), seed=-1), "seed must be 0"),
    "repeat": (lambda: repeated_splits(shop({"A": 9}), 0), "1 or more"),
    "by time": (
        lambda: repeated_splits(shop({"A": 2}, y=["2023", "2024"]), 2, by="y"),
        "one split only",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_cannot_be_split_is_refused_in_words(case: str) -> None:
    make, words = WRONG[case]
    with pytest.raises(CatalogueError, match=words):
        make()


def test_a_saved_split_is_read_as_it_was(tmp_path: Path) -> None:
    """The scores of two commands would be of different cards."""
    catalogue = shop({"A": 20, "B": 20}, group=[f"g{i // 2}" for i in range(40)])
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
    """A catalogue sorted anew would be taught its test cards."""
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
    "id,part\n": "no cards",
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
    assert parts_of(read_split(tmp_path / "split.csv")) == {"a": "train", "b": "test"}


def test_a_split_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    split = Split(("a",), ("test",), np.arange(1))
    with pytest.raises(CatalogueError, match="cannot be written"):
        split.save(tmp_path / "nowhere" / "split.csv")


def test_the_summary_counts_what_cannot_be_scored() -> None:
    rows = [
        made.row(c, c, category=label) for c, label in zip("abcd", ("A", "A", "B", ""), strict=True)
    ]
    split = Split(tuple("abcd"), ("train", "test", "test", "test"), np.array([0, 1, 2, 2]))
    train, test = split.summary(made.catalogue(rows))
    assert (train.cards, train.categories, train.groups, train.unreachable) == (1, 1, 1, 0)
    assert (test.cards, test.categories, test.groups) == (3, 2, 2)
    assert (test.unlabelled, test.unreachable) == (1, 1)


def test_no_real_photo_is_in_two_parts(shared_data: Path) -> None:
    """Variants of a plumbing part share their photo: a random split tells how to cheat."""
    catalogue = read_catalogue(shared_data / "santechtula" / "cards.csv")
    photos = np.array(catalogue.values("image_sha1"))
    for split in repeated_splits(catalogue, 5, valid=0.1):
        parts = np.array(split.parts)
        seen = [set(photos[parts == part]) - {"", "nan"} for part in ("train", "valid", "test")]
        assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])
        assert np.mean(parts == "test") == pytest.approx(0.25, abs=0.02)
        assert np.mean(parts == "valid") == pytest.approx(0.1, abs=0.02)
        assert all(part.unreachable == 0 for part in split.summary(catalogue))
