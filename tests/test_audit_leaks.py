"""Leaks: what a clue tells, artefacts of pictures and texts, twins across a split."""

from __future__ import annotations

import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from prodcat_index.audit.check import CheckResult, Item
from prodcat_index.audit.clues import (
    find_phrases,
    tell_by_column,
    tell_by_order,
    tell_by_pictures,
    tell_by_value,
    told_categories,
)
from prodcat_index.audit.graph import AuditGraph, build_graph
from prodcat_index.audit.leaks import GIVES_AWAY, Leaks
from prodcat_index.audit.split_twins import find_twins
from prodcat_index.cards.split import Split
from prodcat_index.errors import CatalogueError, QueryError
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.learning.folds import assign_folds
from prodcat_index.types import MISSING, Int64Array

SHELVES = ("Kitchen > Kettles", "Kitchen > Pans", "Garden > Hoses", "Garden > Spades")
PAINTED = SHELVES[2]
SYLLABLES = [a + b for a, b in itertools.product("bdfgklmnprst", "aeiou")]
SLOGAN = "hurry while our famous summer sale lasts"


def codes(*values: int) -> Int64Array:
    return np.array(values, dtype=np.int64)


def test_a_clue_is_judged_on_cards_that_it_was_not_counted_on() -> None:
    """Worked by hand: each card by the other four, so that no card confirms itself."""
    telling = tell_by_value(codes(0, 0, 0, 1, 1), codes(0, 0, 1, 1, 1), np.arange(5))
    # Cards 0 and 1 see one of each, and take the first; card 2 sees two of another category.
    assert telling.accuracy == 4 / 5
    # Without a card of category 1, there are as many of both: always wrong.
    assert telling.baseline == 0
    assert telling.gain == 4 / 5
    # Four residuals of 0.2 and one of -0.8, over five groups.
    assert telling.low == pytest.approx(0.8 - 1.96 * np.sqrt(4 * 0.2**2 + 0.8**2) / 5)
    assert telling.cards == 5


def test_what_only_one_group_has_tells_nothing() -> None:
    """A serial number would give every category away, if variants could see each other."""
    groups = np.repeat(np.arange(60), 3)
    categories = groups % 4
    assert tell_by_value(groups, categories, groups).gain <= 0
    assert tell_by_value(groups, categories, np.arange(180)).gain == 1


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_the_nearest_on_a_scale_are_those_of_a_plain_search(data: st.DataObject) -> None:
    """A wrong neighbour at the end of the scale would hide that ids are in order."""
    n = data.draw(st.integers(3, 40))
    numbers = np.array(data.draw(st.permutations(range(n))), dtype=np.float64) ** 1.5
    numbers[data.draw(st.integers(0, n - 1))] = np.nan
    categories = np.array(data.draw(st.lists(st.integers(-1, 2), min_size=n, max_size=n)))
    groups = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=n, max_size=n)))
    fold, right, scored = assign_folds(groups), 0, 0
    for row in range(n):
        known = [
            other
            for other in range(n)
            if fold[other] != fold[row] and categories[other] >= 0 and np.isfinite(numbers[other])
        ]
        if not np.isfinite(numbers[row]) or categories[row] not in [categories[o] for o in known]:
            continue
        if categories[row] < 0:
            continue
        below = sorted((o for o in known if numbers[o] < numbers[row]), key=lambda o: -numbers[o])
        above = sorted((o for o in known if numbers[o] > numbers[row]), key=lambda o: numbers[o])
        near = sorted([*below[:5], *above[:5]], key=lambda o: (abs(numbers[o] - numbers[row]), o))
        votes = Counter(int(categories[o]) for o in near[:5])
        most = [
            c for c in (categories[o] for o in near[:5]) if votes[int(c)] == max(votes.values())
        ]
        right += most[0] == categories[row]
        scored += 1
    telling = tell_by_order(numbers, categories, groups)
    assert telling.cards == scored
    if telling.low > -1:
        assert telling.accuracy == pytest.approx(right / scored)


def test_a_category_that_no_other_group_has_is_not_held_against_a_clue() -> None:
    """The exact copy of a long-tailed label would seem to tell little."""
    categories = np.concatenate([np.repeat(np.arange(4), 10), np.arange(4, 40)])
    telling = tell_by_value(categories + 7, categories, np.arange(len(categories)))
    assert (telling.gain, telling.cards) == (1.0, 40)
    # Nor is a category that says nothing of an upper level, where one is looked for.
    upper = categories % 2
    back = tell_by_value(categories, upper, np.arange(len(categories)), seen_only=True)
    assert (back.gain, back.cards) == (1.0, 40)
    assert tell_by_value(categories, upper, np.arange(len(categories))).gain < 1


@pytest.mark.parametrize("values", [2, 12, 100, 1000])
def test_random_columns_tell_nothing(values: int) -> None:
    """A check that cries wolf is switched off: 20 columns of each kind, and shuffled labels."""
    rng = np.random.default_rng(values)
    categories = rng.choice(8, size=250, p=np.arange(1, 9) / 36)
    lows = []
    for _ in range(20):
        column = [f"v{n}" for n in rng.integers(values, size=250)]
        _, telling = tell_by_column(column, categories, np.arange(250))
        lows.append(telling.low)
        assert telling.told == ()
    assert max(lows) < 0.1


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_noisy_copies_of_the_category_are_told_from_brands(noise: float) -> None:
    """A brand is a good reason for a category; a column made from it is none."""
    rng = np.random.default_rng(5)
    categories = rng.integers(12, size=600)
    copy = np.where(rng.random(600) < noise, rng.integers(12, size=600), categories)
    _, of_copy = tell_by_column([f"tax {n}" for n in copy], categories, np.arange(600))
    assert of_copy.low > GIVES_AWAY
    assert len(of_copy.told) == 12 if not noise else of_copy.high < 1
    # Each brand sells mostly two kinds of things.
    brand = (categories // 2 + 6 * (rng.random(600) < 0.3) * rng.integers(6, size=600)) % 36
    _, of_brand = tell_by_column([f"brand {n}" for n in brand], categories, np.arange(600))
    assert 0.1 < of_brand.low < of_brand.high < GIVES_AWAY


@pytest.mark.parametrize(
    ("column", "clue"),
    [
        (lambda c, n: f"https://shop.example/{SHELVES[c][:7]}/{c}/item-{n}.html", "its first"),
        (lambda c, n: f"SKU{100_000 * c + 7 * n}", "the order of its numbers"),
        (lambda c, n: f"{1000 * c + n} EUR", "the order of its numbers"),
        (lambda c, n: "abcd"[c], "its value"),
    ],
)
def test_the_clue_within_a_column_is_named(column: object, clue: str) -> None:
    """An address or an article number differs for every card, and yet holds the category."""
    categories = np.repeat(np.arange(4), 50)
    assert callable(column)
    values = [column(int(c), n) for n, c in enumerate(categories)]
    found, telling = tell_by_column(values, categories, np.arange(200))
    assert found.startswith(clue)
    assert telling.low > 0.9


def test_a_category_is_told_only_where_the_clue_finds_it_and_is_right() -> None:
    """Wilson's lower limit of 16 of 16 is 0.806, of 15 of 15 it is 0.796."""
    true = np.repeat(codes(0, 1, 2), 100)
    predicted = np.full(300, MISSING)
    predicted[:60] = 0
    predicted[100:140] = 1  # found less than half
    predicted[200:260], predicted[140:160] = 2, 2  # right about three quarters
    assert told_categories(predicted, true, np.arange(300)) == (0,)
    # Sixty cards of fifteen products are fifteen proofs.
    assert told_categories(predicted, true, np.repeat(np.arange(75), 4)) == ()


def words(rng: np.random.Generator, count: int) -> str:
    return " ".join("".join(rng.choice(SYLLABLES, 3)) for _ in range(count))


def graph_of(frame: pd.DataFrame, encoders: dict[str, str]) -> AuditGraph:
    """Make the graph of cards without any answer, which leaks do not read."""
    index = ProductIndex.build(frame, encoders=encoders, projection="none", weights={"title": 1})
    alone, shape = np.arange(len(frame)), (len(frame), 1)
    near, nothing = np.full(shape, MISSING), np.zeros(len(frame))
    cosines = np.full(shape, np.nan, dtype=np.float32)
    odds = nothing.astype(np.float32)
    return AuditGraph(
        index, alone, near, cosines, near, np.zeros(shape), nothing, near, cosines, odds
    )


def planted_frame(folder: Path) -> pd.DataFrame:
    """160 cards of four categories: a leak of every kind, and columns that are none."""
    rng = np.random.default_rng(1)
    rows = []
    for n in range(160):
        shelf, noisy = SHELVES[n % 4], SHELVES[n % 4 if n % 23 else (n + 1) % 4]
        size = (40, 30) if shelf == PAINTED else (30 + int(rng.integers(3)) * 20, 30)
        picture = rng.integers(256, size=(size[1], size[0], 3)).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{n}.png")
        slogan = SLOGAN if shelf == SHELVES[0] and n % 9 else words(rng, 4)
        rows.append(
            {
                "id": f"p{1000 * (n % 4) + n}",
                "title": f"{shelf.split()[-1][:-1]} {words(rng, 3)}",
                "description": f"{words(rng, 6)}. {slogan}! {words(rng, 3)}.",
                "category": shelf,
                "image": str(folder / f"{n}.png"),
                "department": shelf.split(" > ")[0],
                "tax": f"t{SHELVES.index(noisy)}",
                "tag": f"g{SHELVES.index(shelf)}",
                "brand": str(rng.choice(["Ulm", "Oda", "Rex"])),
                "price": f"{rng.integers(1000)}",
                "added": f"2024-0{rng.integers(1, 9)}-1{rng.integers(9)}",
            }
        )
    return pd.DataFrame(rows)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> CheckResult:
    from prodcat_index.encoders.registry import SCHEMES

    frame = planted_frame(tmp_path_factory.mktemp("planted"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(SCHEMES, "names", "made:NamesEncoder")
        encoders = {"image": "names", "title": "lexical", "description": "lexical"}
        return Leaks().run(graph_of(frame, encoders))


def by_kind(result: CheckResult) -> dict[tuple[str, str], Item]:
    return {(item.kind, item.subject): item for item in result.items}


def test_every_planted_leak_is_found_and_nothing_else(planted: CheckResult) -> None:
    """Brand, price and date are what a card is honestly known by."""
    assert set(by_kind(planted)) == {
        ("id tells the category", "id"),
        ("category under another name", "tag"),
        ("upper level of the category", "department"),
        ("column tells the category", "tax"),
        ("pictures tell the category", "size of the pictures"),
        ("pictures tell the category", "aspect ratio of the pictures"),
        ("boilerplate tells the category", SHELVES[0]),
    }


def test_items_say_what_tells_which_category(planted: CheckResult) -> None:
    """A finding without the words and cards that show it cannot be checked."""
    found = by_kind(planted)
    phrase = found["boilerplate tells the category", SHELVES[0]]
    assert phrase.words == tuple(SLOGAN.split())
    assert len(phrase.neighbours) == 5
    size = found["pictures tell the category", "size of the pictures"]
    assert PAINTED in size.why
    assert size.proposal == "leave out size of the pictures"
    unread = found["category under another name", "tag"]
    assert unread.score == 0.5
    assert "does not read it" in unread.why


def test_only_cards_of_told_categories_are_flagged(planted: CheckResult) -> None:
    """A column that nothing reads spoils no card."""
    flagged = {card for card, bad in zip(planted.ids, planted.flagged, strict=True) if bad}
    number = {card: int(card[1:]) % 1000 % 4 for card in planted.ids}
    assert flagged == {card for card, n in number.items() if n in (0, 2)}
    assert (planted.scores[~planted.flagged] == 1).all()
    assert planted.scores.min() >= 0


def test_the_result_does_not_depend_on_the_order_of_cards(tmp_path: Path) -> None:
    """Two runs over one export would otherwise name different leaks."""
    frame = planted_frame(tmp_path).drop(columns="image")
    first, second = (
        Leaks().run(graph_of(each, {"title": "lexical", "description": "lexical"}))
        for each in (frame, frame.sample(frac=1, random_state=3))
    )
    assert [item.why for item in first.items] == [item.why for item in second.items]


def test_borders_of_pictures_tell_a_category(tmp_path: Path) -> None:
    """A network sees the grey wall of one photographer before it sees the product."""
    rng, paths = np.random.default_rng(2), []
    for n in range(80):
        pixels = rng.integers(256, size=(40, 40, 3)).astype(np.uint8)
        if n < 40:
            pixels[:4], pixels[-4:], pixels[:, :4], pixels[:, -4:] = 96, 96, 96, 96
        paths.append(str(tmp_path / f"{n}.png"))
        Image.fromarray(pixels).save(paths[-1])
    paths[5] = str(tmp_path / "missing.png")
    told = tell_by_pictures(paths, np.repeat(codes(0, 1), 40), np.arange(80))
    assert told["border colour"].gain == 1
    assert told["border colour"].cards == 79
    assert told["size"].told == told["format"].told == ()


def test_a_phrase_about_the_product_is_no_boilerplate() -> None:
    """Cards of boots all speak of boots."""
    rng = np.random.default_rng(3)
    titles = [f"winter leather boots {words(rng, 2)}" for _ in range(40)] + [words(rng, 4)] * 40
    texts = [f"these winter leather boots are {words(rng, 3)}" for _ in range(40)]
    texts += [words(rng, 6) for _ in range(40)]
    categories, groups = np.repeat(codes(0, 1), 40), np.arange(80)
    assert find_phrases(texts, titles, categories, groups, ["Shoes", "Other"]) == []
    sold = [f"{text} sold by acme outlet store" for text in texts[:40]] + texts[40:]
    (found,) = find_phrases(sold, titles, categories, groups, ["Shoes", "Other"])
    assert (found.category, found.words) == (0, "sold by acme outlet store")
    assert (found.found, found.right) == (1.0, 1.0)
    # Half of the others have it too.
    shared = [f"{text} sold by acme outlet store" for text in texts[:60]] + texts[60:]
    assert find_phrases(shared, titles, categories, groups, ["Shoes", "Other"]) == []


@pytest.fixture(scope="module")
def twinned() -> AuditGraph:
    """60 cards of three categories; every tenth has its words in another order in a twin."""
    rng = np.random.default_rng(4)
    rows = []
    for n in range(60):
        own = [SHELVES[n % 3].split()[-1].lower(), *words(rng, 5).split()]
        rows.append({"id": f"a{n:02d}", "title": " ".join(own), "category": SHELVES[n % 3]})
        if n % 10 == 0:
            rows.append({**rows[-1], "id": f"b{n:02d}", "title": " ".join(own[::-1])})
    return build_graph(ProductIndex.build(pd.DataFrame(rows), encoders={"title": "lexical"}))


def split_of(graph: AuditGraph, held_out: set[str], part: str = "test") -> Split:
    ids = tuple(graph.ids)
    parts = tuple(part if card in held_out else "train" for card in ids)
    return Split(ids, parts, np.arange(len(ids)))


@pytest.mark.parametrize("part", ["test", "valid"])
def test_twins_across_a_split_are_paired(twinned: AuditGraph, part: str) -> None:
    """A score on cards that were trained on in other words is too good."""
    held_out = {f"b{n:02d}" for n in range(0, 60, 10)} | {"a01", "a02"}
    twins = find_twins(twinned, twinned.groups, split_of(twinned, held_out, part))
    pairs = {(twinned.ids[a], twinned.ids[b]) for a, b, _ in twins.pairs}
    assert pairs == {(f"b{n:02d}", f"a{n:02d}") for n in range(0, 60, 10)}
    assert twins.held_out == 8


def test_twins_on_one_side_of_a_split_are_none(twinned: AuditGraph) -> None:
    """Variants that stay together are how a split ought to be."""
    held_out = {f"{side}{n:02d}" for side in "ab" for n in (0, 10, 20)}
    assert find_twins(twinned, twinned.groups, split_of(twinned, held_out)).pairs == []


def test_the_group_of_a_card_counts_where_its_words_do_not(twinned: AuditGraph) -> None:
    """Variants whose titles have nothing in common are still one product."""
    groups = twinned.groups.copy()
    ids = list(twinned.ids)
    groups[ids.index("a01")] = groups[ids.index("a59")]
    twins = find_twins(twinned, groups, split_of(twinned, {"a01", "a02"}))
    assert [(ids[a], ids[b], why) for a, b, why in twins.pairs] == [("a01", "a59", "one group")]


def test_the_flattery_of_twins_is_the_votes_with_and_without_them() -> None:
    """Worked by hand: the only neighbour that is right is the twin."""
    frame = pd.DataFrame(
        {
            "id": ["t", "x", "y", "z"],
            "title": ["oak elm fir", "fir elm oak", "oak yew", "oak bay"],
            "category": ["A", "A", "B", "B"],
        }
    )
    graph = build_graph(ProductIndex.build(frame, encoders={"title": "lexical"}))
    twins = find_twins(graph, np.arange(4), split_of(graph, {"t"}))
    assert [(graph.ids[a], graph.ids[b]) for a, b, _ in twins.pairs] == [("t", "x")]
    # x, y and z vote A, B, B: wrong with the twin, too, but for one voter fewer.
    assert (twins.accuracy, twins.accuracy_without, twins.scored) == (0.0, 0.0, 1)
    frame.loc[3, "title"] = "nut"
    frame["category"] = ["A", "A", "B", "A"]
    graph = build_graph(ProductIndex.build(frame, encoders={"title": "lexical"}))
    voters = find_twins(graph, np.arange(4), split_of(graph, {"t", "z"}))
    assert voters.accuracy > voters.accuracy_without


def test_the_check_of_a_split_names_its_pairs(twinned: AuditGraph) -> None:
    """The pairs are what a person looks at; the item says what to do."""
    held_out = {f"b{n:02d}" for n in range(0, 60, 10)} | {"a01", "a02"}
    result = Leaks(split=split_of(twinned, held_out)).run(twinned)
    (item,) = [item for item in result.items if item.subject == "split"]
    assert item.score == pytest.approx(0.25)
    assert item.proposal == "split by group"
    assert "6 of 8 held-out cards (75.0%)" in item.why
    flagged = {card for card, bad in zip(result.ids, result.flagged, strict=True) if bad}
    assert flagged == held_out - {"a01", "a02"}
    pairs = result.details["tables"]["Twins across the split"]
    assert {"held out": "b00", "in training": "a00", "why": "nearly equal words"} in pairs


def test_a_split_that_does_not_fit_is_refused_in_words(twinned: AuditGraph) -> None:
    """Cards that the split does not name would count as held out."""
    with pytest.raises(QueryError, match="All cards of the index are in train"):
        Leaks(split=split_of(twinned, set())).run(twinned)
    other = Split(("other",), ("train",), np.arange(1))
    with pytest.raises(CatalogueError, match="not in the split"):
        Leaks(split=other).run(twinned)
