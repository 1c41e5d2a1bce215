"""Splitting: nothing leaks, shares are kept, columns of times are recognized."""

from __future__ import annotations

import random
import re
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
from prodcat_index.cards.split import Split
from prodcat_index.cards.splitting import (
    TEST,
    TRAIN,
    VALID,
    Plan,
    assign_by_category,
    assign_newest,
    read_times,
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


def test_every_category_is_split_in_the_requested_shares() -> None:
    """A category might be only in train or only in the test by chance."""
    catalogue = shop({"A": 40, "B": 20, "C": 8})
    split = split_catalogue(catalogue, valid=0.25, test=0.25, seed=3)
    counts = count(catalogue, split)
    for label, quarter in (("A", 10), ("B", 5), ("C", 2)):
        assert abs(counts[label, "test"] - quarter) <= 1
        assert abs(counts[label, "valid"] - quarter) <= 1
    assert split.made == "by group; 25% test, 25% valid; seed 3"


def test_the_only_group_of_a_category_is_train_and_a_finding() -> None:
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
def test_no_group_is_torn_and_every_category_is_in_train(
    cards: list[tuple[int, int]], requested: tuple[float, float], seed: int
) -> None:
    """A test card whose duplicate is in train makes every score too good."""
    named, categories = (np.array(column) for column in zip(*cards, strict=True))
    _, groups = np.unique(named, return_inverse=True)
    rng = np.random.default_rng(seed)
    shares = {TEST: requested[0], VALID: requested[1]}
    parts = assign_by_category(Plan(groups, categories), shares, rng)
    for group in range(groups.max() + 1):
        assert len(set(parts[groups == group].tolist())) == 1
        if not np.any(categories[groups == group] >= 0):
            assert set(parts[groups == group].tolist()) == {TRAIN}
    labelled = categories >= 0
    assert set(categories[labelled & (parts == TRAIN)]) == set(categories[labelled])


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=12), st.integers(0, 99))
def test_shares_are_those_requested(sizes: list[int], seed: int) -> None:
    """Of cards without duplicates a part never misses its share by more than a card a category."""
    categories = np.repeat(np.arange(len(sizes)), sizes)
    groups = np.arange(len(categories))
    rng = np.random.default_rng(seed)
    parts = assign_by_category(Plan(groups, categories), {TEST: 0.25, VALID: 0.1}, rng)
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
        tested += assign_by_category(Plan(groups, categories), {TEST: 0.25}, rng) == TEST
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
    """A model would be tested on cards older than those that it learns from."""
    days = [f"{1 + i:02}.01.2024" for i in range(20)]
    catalogue = shop({"A": 12, "B": 8}, listed=days)
    split = split_catalogue(catalogue, valid=0.1, test=0.25, by="listed")
    assert split.parts == ("train",) * 13 + ("valid",) * 2 + ("test",) * 5
    assert split.made == "by group, the newest by 'listed'; 25% test, 10% valid; seed 0"


def test_by_time_a_group_is_as_old_as_its_oldest_card() -> None:
    """The new listing of an old product would be in the test, the old one in train."""
    days = [f"2024-01-{1 + i:02}" for i in range(11)] + [""]
    catalogue = shop({"A": 12}, listed=days, group=["g", *[""] * 9, "g", ""])
    split = split_catalogue(catalogue, test=0.25, by="listed")
    assert [split.parts[row] for row in (0, 10, 11)] == ["train"] * 3
    assert split.parts.count("test") == 3 and split.parts[7:10] == ("test",) * 3
    found = {re.split(r",| \(", finding.what)[0]: finding.ids for finding in split.findings}
    assert found == {
        "cards are newer than the oldest outside train": ("c0010",),
        "cards have no date in a group without one": ("c0011",),
    }


def test_equal_times_are_parted_by_chance() -> None:
    years = np.repeat([2023.0, 2024.0], 4)
    plan = Plan(np.arange(8), np.zeros(8, dtype=np.int64), times=years)
    drawn = [
        assign_newest(plan, {TEST: 0.25}, np.random.default_rng(seed)).tolist() for seed in range(5)
    ]
    assert all(parts[:4] == [TRAIN] * 4 and parts.count(TEST) == 2 for parts in drawn)
    assert len(set(map(tuple, drawn))) > 1


def test_whole_shops_are_in_one_part() -> None:
    """The score would not show how well a new shop's cards are categorized."""
    owners = [f"shop{i % 12}" for i in range(120)]
    catalogue = shop({"A": 60, "B": 60}, owner=owners)
    for seed in range(10):
        split = split_catalogue(catalogue, by="owner", seed=seed)
        found = defaultdict(set)
        for owner, part in zip(owners, split.parts, strict=True):
            found[owner].add(part)
        assert all(len(parts) == 1 for parts in found.values())
        assert split.parts.count("test") in (20, 30, 40)


def test_shops_of_one_category_each_keep_the_share_of_the_whole() -> None:
    """No shop would be in the test, as none fits into a quarter of its category."""
    owners = [f"shop{i // 20}" for i in range(160)]
    catalogue = shop({f"C{i}": 20 for i in range(8)}, owner=owners)
    for seed in range(5):
        parts = split_catalogue(catalogue, by="owner", seed=seed).parts
        assert parts.count("test") == 40


def test_shops_that_share_a_product_are_one() -> None:
    """The product of one shop would be in train, that of the other in the test."""
    owners = [f"shop{i // 5}" for i in range(40)]
    groups = ["shared" if i in (0, 39) else "" for i in range(40)]
    catalogue = shop({"A": 40}, owner=owners, group=groups)
    for seed in range(5):
        parts = split_catalogue(catalogue, by="owner", seed=seed).parts
        assert len(set(parts[:5] + parts[35:])) == 1


def test_a_group_too_large_for_the_parts_is_a_finding() -> None:
    """The user would take 12 % of test cards for the 25 % that were requested."""
    catalogue = shop({"A": 45, "B": 10}, group=["big"] * 40 + [""] * 15)
    (finding,) = split_catalogue(catalogue, test=0.25).findings
    assert "too large for the requested shares" in finding.what and finding.count == 40


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


MAY_31 = 1717113600.0
JAN_1 = 1672531200.0


@pytest.mark.parametrize(
    "texts",
    [
        ("2024-05-31", "2023-01-01"),
        ("2024-05-31T00:00:00Z", "2023-01-01 00:00:00"),
        ("2024-05-31 03:00:00+03:00", "2023-01-01"),
        ("20240531", "20230101"),
        ("31.05.2024", "01.01.2023"),
        ("31.05.2024 00:00", "01.01.2023 00:00"),
        ("1717113600", "1672531200"),
        ("1717113600000", "1672531200000"),
    ],
)
def test_times_of_every_kind_are_read(texts: tuple[str, str]) -> None:
    """The newest cards would not be the test, but cards of whole days by chance."""
    times = read_times([texts[0], "", texts[1]])
    assert times is not None
    np.testing.assert_array_equal(times, [MAY_31, np.nan, JAN_1])


def test_years_are_times() -> None:
    times = read_times(["2023", "2024"])
    assert times is not None and times[0] == JAN_1 and times[1] > times[0]


@pytest.mark.parametrize(
    "texts",
    [
        ("123", "4567"),
        ("12", "2024"),
        ("1", "2"),
        ("shop", "2024-05-31"),
        ("4.5", "5"),
        ("20241301", "20240101"),
        ("9" * 30, "1"),
        ("", ""),
        ("2024-05-31", "0999-01-01"),
    ],
)
def test_keys_and_names_are_no_times(texts: tuple[str, str]) -> None:
    """Shops with high numbers would be the test."""
    assert read_times(texts) is None
