"""One listing twice told from variants and from other products; products in several categories."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import made
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_audit_same_pictures import draw_product

from prodcat_index.audit.card_pairs import KINDS, NEAR, Pairs
from prodcat_index.audit.check import CheckResult, Item
from prodcat_index.audit.duplicate_cards import CATEGORIES, DuplicateCards, _join
from prodcat_index.audit.graph import AuditGraph, build_graph
from prodcat_index.audit.same_pictures import PictureMatches
from prodcat_index.audit.same_titles import TitlePairs, compare_titles
from prodcat_index.index.product_index import ProductIndex

WORDS = ("ash", "bay", "cat", "dog", "elm", "fig", "gnu", "hen", "ivy", "jay", "kid", "lot")
# Cards of no interest, so that the others have neighbours that are far.
FILLERS = [
    made.row(f"z{number:02d}", f"{what} {kind}", category="Other")
    for number, (what, kind) in enumerate(
        (what, kind)
        for what in ("oak", "pine", "steel", "glass", "paper")
        for kind in ("table", "shelf", "bench")
    )
]


def graph_of(rows: Sequence[Mapping[str, str]]) -> AuditGraph:
    every = [*rows, *FILLERS]
    letters = np.array([[row.get("image", "").count(c) for c in "0123456789"] for row in every])
    vectors = {"image": (letters + 0.01 * (letters.any(axis=1))[:, None]).astype(np.float32)}
    has_picture = any(row.get("image") for row in rows)
    index = ProductIndex.build(made.catalogue(every), vectors=vectors if has_picture else None)
    return build_graph(index)


def check(rows: Sequence[Mapping[str, str]], **options: bool) -> CheckResult:
    return DuplicateCards(**options).run(graph_of(rows))


def only(result: CheckResult) -> Item:
    (item,) = result.items
    return item


def picture(folder: Path, name: str, seed: int, *, mirrored: bool = False) -> str:
    drawn = draw_product(seed)
    path = folder / f"{name}.jpg"
    (drawn.transpose(0) if mirrored else drawn).save(path)
    return str(path)


def test_cards_with_equal_texts_are_one_listing_and_the_fullest_is_kept() -> None:
    """The card that says less would be kept, and the description lost."""
    rows = [
        made.row("a", "Red leather boots, warm", category="Shoes"),
        made.row("b", "red LEATHER boots - warm!", category="Shoes"),
        made.row("c", "Steel kettle", category="Kitchen"),
    ]
    result = check(rows)
    item = only(result)
    assert (item.kind, item.cards, item.neighbours) == ("exact duplicates", ("b",), ("a",))
    assert (item.proposal, item.subject, item.why) == ("remove", "Shoes", "equal texts")
    flagged = {i for i, is_so in zip(result.ids, result.flagged, strict=True) if is_so}
    assert flagged == {"a", "b"}
    assert result.scores[:3].tolist() == [pytest.approx(0.05), pytest.approx(0.05), 1]
    assert result.summary.startswith("Cards that repeat another one: 1;")
    unlabelled = [rows[0] | {"category": "", "description": "Rubber sole"}, *rows[1:]]
    unlabelled[1]["description"] = "rubber sole"
    assert only(check(unlabelled)).neighbours == ("b",), "the only one with a category"
    rows[1]["description"] = "Rubber sole"
    rows[0]["title"] = "Red leather boots, warm, sale"
    item = only(check(rows))
    assert (item.kind, item.cards, item.neighbours) == ("near duplicates", ("a",), ("b",))
    assert item.why.endswith("% alike")


@pytest.mark.parametrize(
    "other",
    [
        "leather boots 43 warm lined",  # another size
        "black leather boots 42 warm lined",  # another colour
        "leather boots 42 warm lined HX-77",  # a code
        "leather sandals 42 warm lined",  # another word
        "leather boots 42",  # less is said
        "leather boots 42 warm lined 1/2F",  # a size with letters
    ],
)
def test_variants_and_other_products_are_not_flagged(other: str) -> None:
    """All sizes of a shoe but one would be removed from the shop."""
    title = "leather boots 42 warm lined" + (" HX-78" if "HX" in other else "")
    rows = [made.row("a", title, category="Shoes"), made.row("b", other, category="Shoes")]
    result = check(rows)
    assert not result.items
    assert not result.flagged.any()


def test_the_same_product_in_other_categories_comes_first_and_most_cards_decide() -> None:
    """A product that buyers find under one category only half of the time."""
    boots = [
        made.row(str(size), f"warm leather boots {size}", category="Shoes") for size in (41, 42, 43)
    ]
    rows = [
        *boots,
        made.row("44", "warm leather boots 44", category="Kitchen"),
        made.row("x", "steel kettle with whistle", category="Kitchen"),
        made.row("y", "Steel kettle, with whistle", category="Kitchen"),
    ]
    first, second = (result := check(rows)).items
    assert (first.kind, first.subject, first.proposal) == (CATEGORIES, "Kitchen", "Shoes")
    assert (first.cards, set(first.neighbours)) == (("44",), {"41", "42", "43"})
    assert first.score == pytest.approx(0.25)
    assert (second.kind, second.cards) == ("exact duplicates", ("y",))
    flagged = {i for i, is_so in zip(result.ids, result.flagged, strict=True) if is_so}
    assert flagged == {"44", "x", "y"}


def test_a_word_more_may_tell_the_categories_apart() -> None:
    """Fittings of plastic would be proposed for the category of those of brass."""
    brass = [
        made.row(f"b{size}", f"threaded union coupling with nut HJ {size} mm", category="Brass")
        for size in (20, 25, 32)
    ]
    plastic = [
        made.row(f"p{size}", f"threaded union coupling with nut HJ {size} mm PPR", category="PPR")
        for size in (40, 50, 63)
    ]
    assert not check([*brass, *plastic]).items
    plastic[0]["title"] = "threaded union coupling with nut HJ 40 mm"
    item = only(check([*brass, *plastic]))
    assert {*item.cards, *item.neighbours} == {"b20", "b25", "b32", "p40"}


def test_one_picture_joins_titles_that_are_worded_otherwise_but_no_codes(tmp_path: Path) -> None:
    """A relisted product is found by its picture; a shared photo of two models joins nothing."""
    rows = [
        made.row("a", "Kettle Anna, enamel", category="K", image=picture(tmp_path, "1", 1)),
        made.row(
            "b",
            "SALE kettle Anna enamel best price",
            category="K",
            image=picture(tmp_path, "2", 1, mirrored=True),
        ),
        made.row("c", "Mixer KX-100 chrome", category="M", image=picture(tmp_path, "3", 2)),
        made.row("d", "Mixer KX-200 chrome", category="M", image=picture(tmp_path, "4", 2)),
        made.row("e", "Kettle Anna, enamel", category="K", image=picture(tmp_path, "5", 3)),
    ]
    result = check(rows[:4])
    item = only(result)
    assert (item.kind, {*item.cards, *item.neighbours}) == ("near duplicates", {"a", "b"})
    assert item.why.startswith("same picture, mirrored; titles ")
    without = check(rows[:4], pictures=False)
    assert not without.items
    texts = only(check([rows[0], rows[4]]))
    assert (texts.kind, texts.why) == ("same texts", "the pictures differ; equal texts")
    assert texts.score == pytest.approx(1 - 0.95 * 0.6)


def test_pictures_alone_are_compared_where_there_are_no_texts(tmp_path: Path) -> None:
    rows = [
        made.row(name, category="K", image=picture(tmp_path, name, seed))
        for name, seed in (("1", 1), ("2", 1), ("3", 2))
    ]
    item = only(check(rows))
    assert (item.kind, item.cards, item.neighbours) == ("exact duplicates", ("2",), ("1",))
    rows[1]["image"] = picture(tmp_path, "22", 1, mirrored=True)
    item = only(check(rows))
    assert (item.kind, item.why) == ("same picture", "same picture, mirrored")


def test_a_placeholder_picture_joins_nothing(tmp_path: Path) -> None:
    """All cards without a photo would be one product."""
    title = "oak kitchen table with two large drawers and brass handles"
    cards = [f"{title} {word}" for word in WORDS]
    placed = [
        made.row(f"c{n:02d}", card, category=card[-3], image=picture(tmp_path, f"{n}", 5))
        for n, card in enumerate(cards)
    ]
    assert not check(placed).items
    # The titles alone do not keep them apart: two of them are one product.
    assert only(check(placed[:2])).kind == CATEGORIES


def test_a_photo_that_variants_share_says_less_of_other_titles(tmp_path: Path) -> None:
    """In a shop with one photo for each family, other products of it would be removed."""
    reworded = [
        made.row("a", "tap Anna for sinks", category="K", image=picture(tmp_path, "11", 1)),
        made.row("b", "tap Anna", category="K", image=picture(tmp_path, "12", 1)),
    ]
    assert {*only(check(reworded)).cards, *only(check(reworded)).neighbours} == {"a", "b"}
    sizes = [
        made.row(f"s{n}", f"hose Bella {n} cm", category="K", image=picture(tmp_path, f"s{n}", 2))
        for n in range(20, 32)
    ]
    result = check([*reworded, *sizes])
    assert not result.items
    assert result.details["variants"] == {"products": 1, "cards": 12}


def test_no_more_pictures_are_compared_than_time_allows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large catalogue would take hours; and what was left out would go unsaid."""
    names = ("Kettle Anna, enamel", "Steel mixer with bowl", "Oak chest of drawers")
    rows = [
        made.row(
            f"{n}{side}",
            title + " now at the best price ever" * (side == "b"),
            category="K",
            image=picture(tmp_path, f"{n}{'' if n == 1 else side * (n + 1)}{side}", n),
        )
        for n, title in enumerate(names)
        for side in "ab"
    ]
    graph = graph_of(rows)
    assert len(DuplicateCards().run(graph).items) == 3
    monkeypatch.setattr("prodcat_index.audit.card_pairs.MOST_COMPARED", 1)
    result = DuplicateCards().run(graph)
    assert len(result.items) == 1
    assert result.notes == (
        "of 3 pairs of pictures, the 1 nearest for their surroundings were compared, those of "
        "equal texts first; the others by their texts",
    )


def test_a_picture_that_cannot_be_read_is_counted(tmp_path: Path) -> None:
    """A folder that was moved would pass for a catalogue without duplicates."""
    rows = [
        made.row(f"{n}", "Kettle Anna, enamel", category="K", image=str(tmp_path / f"gone{n}.jpg"))
        for n in range(2)
    ]
    result = check(rows)
    assert only(result).why == "equal texts"
    assert result.notes == (
        "pairs of cards with a picture that cannot be read, or is of one colour, compared by their "
        "texts alone: 1",
    )


def test_a_chain_of_near_titles_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each card is nearly the next one: without an end a whole catalogue is one product."""
    words = [f"{a}{b}ling" for a in "bdfgklm" for b in "aeiou"]
    rows = [
        made.row(f"c{n:02d}", " ".join(words[n : n + 12]), category="K") for n in range(len(words))
    ]
    graph = graph_of(rows)
    monkeypatch.setattr("prodcat_index.audit.duplicate_cards.MOST_NEAR", 5)
    sizes = [len(item.cards) + 1 for item in DuplicateCards().run(graph).items]
    assert sizes
    assert max(sizes) <= 5


def test_only_which_card_is_kept_depends_on_the_order_of_cards() -> None:
    rows = [
        made.row(
            f"c{n}", f"{'warm ' * (n % 2)}leather boots {'with lining' * (n % 3 > 0)}", category="K"
        )
        for n in range(8)
    ]
    results = []
    for order in (slice(None), slice(None, None, -1)):
        result = check(rows[order])
        scores = dict(zip(result.ids, result.scores.tolist(), strict=True))
        groups = [{*item.cards, *item.neighbours} for item in result.items]
        found = [(item.kind, item.score, item.why) for item in result.items]
        results.append((found, sorted(map(sorted, groups)), scores))
    assert results[0] == results[1]
    assert results[0][0]


def kept(*rows: Mapping[str, object]) -> str:
    """Return the card to keep of those of one listing."""
    table = pd.DataFrame([*rows, *FILLERS])
    item = only(DuplicateCards().run(build_graph(ProductIndex.build(table))))
    assert len(item.cards) == len(rows) - 1
    assert item.proposal == "remove"
    (card,) = item.neighbours
    return card


def test_of_one_listing_the_fullest_card_and_then_the_first_is_kept() -> None:
    """A relisted copy, longer by a promotion, would replace the card that its links lead to."""
    texts = "red leather boots, warm", "rubber sole"
    first: dict[str, object] = dict(made.row("q1", *texts, category="K"))
    copy = first | {"id": "a1", "title": "Sale! red leather boots, warm"}
    equal = first | {"id": "b1"}
    assert kept(first, copy) == "q1"
    assert kept(copy, first) == "a1"
    assert kept(first, copy, equal) == "q1"
    # Of further columns, what is missing is not filled.
    assert kept(first | {"price": None, "brand": ""}, copy | {"price": 7.0, "brand": ""}) == "a1"
    assert kept(first | {"price": 7.0, "brand": ""}, copy | {"price": 7.0, "brand": "Y"}) == "a1"
    assert kept(first | {"group": "g"}, copy) == "q1"
    # However much is filled, a card without a category goes.
    unlabelled = first | {"category": "", "price": 7.0}
    assert kept(unlabelled, copy) == "a1"


def test_a_card_with_nothing_has_no_score() -> None:
    result = check([made.row("a", category="K"), made.row("b", "boots", category="K")])
    assert np.isnan(result.scores[0])
    assert not result.flagged.any()


def titles(*pair: str) -> tuple[float, bool, bool, bool, int]:
    found = compare_titles(pair, np.array([0]), np.array([1]))
    return tuple(column[0].item() for column in found)  # type: ignore[return-value]


def test_titles_are_compared_by_hand() -> None:
    """Each of these decides whether a card is a duplicate, a variant or another product."""
    # alike, equal, words of both, codes of both, sizes
    assert titles("Red lamp", "RED  lamp!") == (1, True, False, False, 0)
    assert titles("Red lamp", "blue lamp") == (1, False, False, False, 2)
    assert titles("lamp 60 W", "60W lamp") == (1, False, False, False, 0)
    assert titles("lamp 60 W", "lamp") == (1, False, False, False, 1)
    assert titles("", "lamp")[1:] == (False, False, False, 0)
    assert np.isnan(titles("", "")[0])
    assert titles("10 x 20", "10 x 20")[:2] == (1, True)
    # A word of two titles weighs log(2), one of one title log(3).
    alike, *rest = titles("lamp anna", "lamp bella")
    assert alike == pytest.approx(np.log(2) / (np.log(2) + 2 * np.log(3)))
    assert rest == [False, True, False, 0]
    assert titles("lamp ab12", "lamp ab13")[2:] == (True, True, 0)
    assert titles("lamp ab12", "lamp")[2:] == (False, False, 0)
    assert titles("ceramic lamp", "ceramik lamp")[2] is False
    assert titles("cat lamp", "car lamp")[2] is True
    # The same numbers in another order are another size, and so is one there twice.
    assert titles("rail 500*600", "rail 600*500")[4] == 2
    assert titles("rail 500 x 600", "rail 500x600")[4] == 0
    assert titles("lamp 60 W 2 pcs", "lamp 2 pcs 60 W")[4] == 0
    assert titles("nut 1 1/2F*3/4F", "nut 1 1/4F*3/4F")[4] == 2
    assert titles("tap 1/2FF", "tap 1 FF")[4] == 1
    assert titles("lamp 5 5", "lamp 5")[4] == 1
    # Two slips; a word is the slip of no more than one.
    assert titles("ceramic lampion", "ceramik lampoin")[2] is False
    assert titles("ceramic lamp", "ceramik ceramig lamp")[2] is False


@given(st.lists(st.text("ab1 -", max_size=12), min_size=2, max_size=5))
@settings(max_examples=60, deadline=None)
def test_a_comparison_of_titles_is_symmetric_and_bounded(texts: list[str]) -> None:
    rows = np.arange(len(texts))
    first, second = np.repeat(rows, len(rows)), np.tile(rows, len(rows))
    one, other = compare_titles(texts, first, second), compare_titles(texts, second, first)
    for column, mirrored in zip(one, other, strict=True):
        np.testing.assert_allclose(column, mirrored, rtol=1e-6)
    known = one.alike[~np.isnan(one.alike)]
    assert ((known >= 0) & (known <= 1)).all()
    own = one.alike[first == second]
    assert (own[~np.isnan(own)] == 1).all()


def test_what_the_model_says_of_the_cards_decides_between_two() -> None:
    """One card in each of two categories: nobody could tell which is wrong."""
    graph = graph_of(
        [
            made.row("a", "warm leather boots 41", category="Shoes"),
            made.row("b", "warm leather boots 42", category="Kitchen"),
        ]
    )
    names = graph.parts.labels.names
    ranked, confidence = graph.ranked.copy(), np.zeros(len(graph.ids))
    ranked[:2, 0], confidence[:2] = list(names).index("Shoes"), (0.9, 0.7)
    item = only(DuplicateCards().run(replace(graph, ranked=ranked, confidence=confidence)))
    assert (item.cards, item.proposal) == (("b",), "Shoes")
    assert item.confidence == pytest.approx(0.8)
    assert item.score == pytest.approx(1 / (2 + 0.9 + 0.7))


def test_where_a_group_is_full_its_likeliest_pairs_are_kept() -> None:
    """A chain of weak pairs would fill the group, and the card's real copy would be left out."""
    nothing, number = np.zeros(25, dtype=bool), np.zeros(25, dtype=np.float32)
    probability = np.linspace(0.6, 0.9, 25)
    pairs = Pairs(
        first=np.zeros(25, dtype=np.int64),
        second=np.arange(1, 26),
        titles=TitlePairs(number, nothing, nothing, nothing, np.zeros(25, dtype=np.int64)),
        equal_texts=nothing,
        pictures=PictureMatches(number, number, number, *[nothing] * 4),
        probability=probability,
        kind=np.full(25, KINDS.index(NEAR)),
    )
    codes = _join(pairs, np.ones(25, dtype=bool), 26)
    with_first = np.flatnonzero(codes == codes[0])
    assert with_first.tolist() == [0, *range(7, 26)]
    assert len(np.unique(codes)) == 7
