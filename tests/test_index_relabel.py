"""Cards are removed, and categories renamed, merged and split, and nothing is embedded for it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from made import BOOTS, KETTLES, LAMPS, catalogue, row
from test_index_changes import NUMBERS, OLD, plane
from test_index_learned import THINGS, indexed, shop

from prodcat_index.cards.card import Card
from prodcat_index.errors import CatalogueError, QueryError
from prodcat_index.index.block import Block
from prodcat_index.index.difference import Difference
from prodcat_index.index.labelling import find_renamed, follow_names
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.learning.head import LinearHead, add_up, first_columns_of
from prodcat_index.voting.thresholds import CategoryThresholds, merge_thresholds

SHOP = shop(110).cards.to_dict("records")
LISTINGS = [
    Card(title="red boots mug", description="scarf in grey"),
    Card(title="pink lamp", description="kettle in blue"),
    Card(description="mug in black"),
]


def built() -> ProductIndex:
    return indexed(200)


@pytest.fixture
def nothing_is_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    def encode(*_: object) -> None:
        raise AssertionError("something was embedded")

    monkeypatch.setattr(Block, "encode_queries", encode)


# Removing.


@pytest.mark.usefixtures("nothing_is_embedded")
def test_removed_cards_are_gone_and_the_rest_is_as_it_was() -> None:
    """A product that is sold no more would be recommended on."""
    index = built()
    some = [f"c{number:03}" for number in range(0, 200, 7)]
    less = index.remove(some)
    kept = np.flatnonzero(~np.isin(index.parts.catalogue.ids, some))
    assert less.parts.catalogue.ids == [index.parts.catalogue.ids[row] for row in kept]
    for before, after in zip(index.parts.all_blocks, less.parts.all_blocks, strict=True):
        assert np.array_equal(after.vectors, before.vectors[kept])
        assert np.array_equal(after.present, before.present[kept])
    assert np.array_equal(less.parts.log_reliability, index.parts.log_reliability[kept])
    found = [near.id for near in index.similar("c001", 199) if near.id not in some]
    assert [near.id for near in less.similar("c001", 199)] == found
    assert (len(index), len(less)) == (200, 171)


def test_what_is_absent_counts_what_it_counted() -> None:
    """The order of all answers would shift with every card that comes or goes."""
    cards = [{**card, "description": ""} if card["id"] == "c003" else card for card in SHOP]
    index = ProductIndex.build(catalogue(cards))
    query = Card(title="red kettle", description="mug in pink")
    mugs = [card["id"] for card in cards if card["category"] == "mug"]
    more = index.add(catalogue([{**SHOP[4], "id": f"n{number}"} for number in range(50)]))
    for changed in (index.remove(mugs), more):
        before, after = (
            {near.id: near.similarity for near in each.search(query, len(each))}
            for each in (index, changed)
        )
        assert after["c003"] == before["c003"]


def test_ids_of_no_card_are_counted_and_named() -> None:
    """A list with the ids of another shop would seem to have been worked through."""
    found = plane().removal(["b", 7, "x"])
    assert found.removed == ("b",)
    assert [str(finding) for finding in found.findings] == [
        "2 ids are of no card of the index (left out): 7, x"
    ]
    assert str(found) == "1 removed: b\n3 unchanged"
    assert not plane().removal(["x"])
    with pytest.raises(TypeError, match=r"such as \['abc'\]"):
        plane().remove("abc")


@pytest.mark.parametrize("ids", ["abcd", "abcdx"])
def test_the_last_labelled_card_stays(ids: str) -> None:
    """Nothing could be answered any more, and what was there would be lost for a wrong list."""
    index = plane().add(catalogue([row("u", "0 1")]))
    with pytest.raises(CatalogueError) as caught:
        index.remove(list(ids))
    assert str(caught.value) == (
        "After the list of ids, no card with a category would be left, and an index has one at "
        "least; to begin anew, build an index. Nothing was changed."
    )


def test_one_category_alone_goes_on_answering() -> None:
    """The last card of the other categories must not leave an index that breaks."""
    index = built()
    others = [c.id for c in index.catalogue if c.category != "mug"]
    left = index.remove(others)
    assert left.parts.labels.names == ("mug",)
    assert left.predict(LISTINGS).categories == ["mug"] * 3
    assert left.parts.learned and left.parts.learned.model.head
    assert sorted(left.parts.learned.model.head.categories) == [-1, -1, -1, -1, 0]


def test_a_category_that_comes_back_takes_up_its_scores() -> None:
    """Half an export and its repair the night after would cost what was learned."""
    index = built()
    mugs = index.catalogue.select([c.category == "mug" for c in index.catalogue])
    again = index.remove(mugs.ids).add(mugs)
    assert again.parts.score_columns.tolist() == index.parts.score_columns.tolist()
    ours, theirs = (i.parts.learned.model.head for i in (index, again) if i.parts.learned)
    assert ours and theirs and np.array_equal(ours.categories, theirs.categories)
    assert again.predict(LISTINGS).categories == index.predict(LISTINGS).categories


# Renaming.


@pytest.mark.usefixtures("nothing_is_embedded")
def test_a_new_name_changes_nothing_else() -> None:
    """A shop that tidies up its names would have to build, tune and calibrate again."""
    index = built()
    found = index.relabelling({"boots": "Shoes > Boots"})
    assert (found.renamed, found.relabelled) == ({"boots": "Shoes > Boots"}, ())
    assert str(found) == "1 category renamed: boots -> Shoes > Boots (40 cards)\n160 unchanged"
    renamed = index.apply(found)
    assert np.array_equal(renamed.parts.log_reliability, index.parts.log_reliability)
    for before, after in zip(index.parts.all_blocks, renamed.parts.all_blocks, strict=True):
        assert after.vectors is before.vectors
    assert renamed.parts.searcher is index.parts.searcher
    back = renamed.relabel({"Shoes > Boots": "boots"})
    assert back.parts.aliases.get("boots") is None
    assert back.parts.calibration == index.parts.calibration


def named(index: ProductIndex, names: dict[str, str]) -> list[tuple[object, ...]]:
    answers = index.predict(LISTINGS, explain=True)
    return [
        (
            [(names.get(name, name), share) for name, share in answer.ranked],
            answer.confidence,
            [(near.id, near.similarity) for near in answer.neighbours],
            answer.explanation.words if answer.explanation else None,
            answer.familiarity,
        )
        for answer in answers
    ]


@pytest.mark.parametrize("saved", [False, True])
def test_answers_and_confidences_keep_under_new_names(saved: bool, tmp_path: Path) -> None:
    """The text scores and the head would take a renamed category for one that they never saw."""
    names = {"boots": "Z > Boots", "mug": "A > Mugs", "kettle": "lamp", "lamp": "kettle"}
    index = built().relabel(names)
    if saved:
        index = ProductIndex.load(index.save(tmp_path / "index"))
    assert set(index.parts.labels.names) == {"Z > Boots", "A > Mugs", "lamp", "kettle", "scarf"}
    assert named(index, {}) == named(built(), names)
    assert built().parts.calibration and index.parts.calibration
    before, after = built().parts.calibration.categories, index.parts.calibration.categories
    assert before and after == {names.get(name, name): own for name, own in before.items()}


def test_a_sync_finds_a_new_name_by_itself() -> None:
    """A category that is renamed at night would be unknown in the morning."""
    index = built()
    cards = index.catalogue.cards.replace({"category": {"boots": "Shoes > Boots"}})
    found = index.compare(replace(index.catalogue, cards=cards))
    assert found.renamed == {"boots": "Shoes > Boots"}
    assert not (found.changed or found.added or found.removed or found.relabelled)
    assert named(index.apply(found), {}) == named(built(), {"boots": "Shoes > Boots"})


def test_part_of_a_category_that_moves_is_no_new_name() -> None:
    index = plane()
    found = index.relabelling({"a": LAMPS})
    assert (found.renamed, found.relabelled) == ({}, ("a",))
    assert index.relabelling({"a": LAMPS, "b": LAMPS}).renamed == {BOOTS: LAMPS}
    delivered = catalogue([{**OLD[0], "category": LAMPS}, *OLD[2:]])
    # Card b is not in it: of a whole export, all cards of the category are lamps from now on.
    assert index.compare(delivered).renamed == {BOOTS: LAMPS}
    assert index.compare(delivered, removed=False).renamed == {}


def test_the_same_cards_get_another_category_again_and_again(tmp_path: Path) -> None:
    """An index whose labels were corrected twice could not be written any more."""
    plane().save(tmp_path)
    for category in (LAMPS, "", BOOTS):
        ProductIndex.load(tmp_path).relabel({"b": category, "c": category}).save_next(tmp_path)
    index = ProductIndex.load(tmp_path)
    assert index.catalogue.values("category") == [BOOTS, BOOTS, BOOTS, KETTLES]
    assert index.parts.drift is not None and index.parts.drift.relabelled_cards == 6
    assert "got another category 6 times" in (tmp_path / "card.md").read_text()


def test_names_follow_names() -> None:
    """After two renamings, scores would be those of what no longer is."""
    aliases = follow_names({}, {"a": "b"})
    assert aliases == {"a": "b"}
    # b, which was fitted as well, had been another category before it went.
    assert follow_names(aliases, {"b": "c"}) == {"a": "c", "b": "c"}
    assert follow_names(aliases, {"b": "a"}) == {"b": "a"}
    # A new category of the name a is not what was fitted by that name.
    assert follow_names(aliases, {"a": "d"}) == {"a": "b"}
    assert follow_names({}, {"a": "b", "b": "a"}) == {"a": "b", "b": "a"}
    before = np.array(["a", "a", "b", "c", "", "d"], dtype=object)
    after = np.array(["b", "b", "b", "a", "x", ""], dtype=object)
    assert find_renamed(before, after) == {"a": "b", "c": "a"}


# Merging and splitting.


def test_probabilities_of_merged_categories_add_up() -> None:
    """Two halves of one category would each be less likely than a third one."""
    codes = np.array([1, 0, 1, -1, -1])
    assert first_columns_of(codes).tolist() == [0, 1, 0, 3, 4]
    rows = np.array([[0.1, 0.2, 0.3, 0.15, 0.25]], dtype=np.float32)
    added = add_up(rows, first_columns_of(codes))
    assert added.tolist() == [pytest.approx([0.4, 0.2, 0.0, 0.15, 0.25])]
    # Scores are the logarithms of the row; -1 is there and is no answer; 2 was never seen.
    head = LinearHead(np.diag(np.log(rows[0])).astype(np.float32), np.zeros(5, np.float32), codes)
    found = np.exp(head.log_probabilities(np.ones((1, 5), dtype=np.float32), 3))
    assert found.tolist() == [pytest.approx([0.2, 0.4, 0.4])]


def test_merged_categories_answer_as_one() -> None:
    index = built().relabel({"boots": "shoes", "scarf": "shoes", "mug": "kettle"})
    assert index.parts.labels.names == ("kettle", "lamp", "shoes")
    columns = dict(zip(index.parts.text_scores.categories, range(5), strict=True))
    rows = np.zeros((1, 5), dtype=np.float32)
    for name, probability in {"boots": 0.3, "scarf": 0.25, "lamp": 0.35}.items():
        rows[0, columns[name]] = probability**0.5
    codes = np.array([[0, 1, 2]])
    vectors = [np.zeros((1, block.dim), np.float32) for block in index.parts.all_blocks]
    vectors[len(index.parts.blocks) - 1] = rows
    probable = np.exp(index.parts.head_log_proba(vectors, codes))[0]
    assert probable[1:].tolist() == pytest.approx([0.35 / 0.9, 0.55 / 0.9], abs=1e-6)
    for answer, before in zip(index.predict(LISTINGS), built().predict(LISTINGS), strict=True):
        names = {"boots": "shoes", "scarf": "shoes", "mug": "kettle"}
        assert answer.category == names.get(before.category, before.category)


def test_a_card_that_moves_is_no_longer_doubted() -> None:
    """The doubt was about the label that was wrong; a new name of it is as doubtful as before."""
    parts = built().parts
    assert parts.learned is not None
    doubt = np.full(200, -2.0, dtype=np.float16)
    index = ProductIndex(replace(parts, learned=replace(parts.learned, log_reliability=doubt)))
    moved = index.relabel({"c000": "lamp", "mug": "cup"}).parts
    assert moved.log_reliability.tolist() == [0.0, *[-2.0] * 199]


def test_a_card_without_a_category_does_not_vote() -> None:
    index = plane().relabel({"a": ""})
    assert index.card("a").category == ""
    assert index.predict([Card(title="3 4")], k=1)[0].neighbours[0].id != "a"


def test_a_new_category_of_separators_alone_is_no_empty_one() -> None:
    """A slip in a map would take the category from every card of a name."""
    said = rf"2 new categories have no name, .* \({BOOTS} -> '>', a -> '> » >'\); give their whole"
    with pytest.raises(QueryError, match=said):
        plane().relabel({BOOTS: " > ", "a": " > » > ", "c": ""})
    # A mark at an end of a path, and none at all, are as they were.
    assert plane().relabel({"a": "> Lamps >"}).card("a").category == "Lamps"
    assert plane().relabel({"a": None}).card("a").category == ""


def test_keys_follow_categories() -> None:
    """The shop's own system would get the key of what the card was before."""
    cards = [{**card, "category_id": {BOOTS: "7", KETTLES: "8"}[card["category"]]} for card in OLD]
    index = ProductIndex.build(catalogue(cards), encoders=NUMBERS)

    def keys(changed: ProductIndex) -> list[str]:
        return [card.category_id for card in changed.catalogue]

    assert keys(index.relabel({BOOTS: LAMPS})) == ["7", "7", "8", "8"]
    assert keys(index.relabel({BOOTS: KETTLES})) == ["8", "8", "8", "8"]
    assert keys(index.relabel({"a": KETTLES, "c": LAMPS})) == ["8", "7", "", "8"]
    assert keys(index.relabel({BOOTS: KETTLES, KETTLES: BOOTS})) == ["8", "8", "7", "7"]


def test_a_map_renames_a_category_of_which_some_cards_go_elsewhere() -> None:
    """The scores of the category would be lost for one card that was said to be another thing."""
    boots = [card.id for card in built().catalogue if card.category == "boots"]
    found = built().relabelling({"boots": "shoes", boots[0]: "lamp"})
    assert (found.renamed, found.relabelled) == ({"boots": "shoes"}, (boots[0],))
    assert found.renamed_cards == {"boots": len(boots) - 1}
    index = built().apply(found)
    assert index.parts.aliases == {"boots": "shoes"}
    # A category that keeps a card, or of which none follows, is not renamed by it.
    assert built().relabelling({"boots": "shoes", boots[0]: "boots"}).renamed == {}
    others = dict.fromkeys(boots, "lamp")
    assert built().relabelling({"boots": "shoes", **others}).renamed == {"boots": "lamp"}


def test_what_is_neither_a_card_nor_a_category_is_named() -> None:
    found = plane().relabelling({"Shoes": LAMPS, BOOTS: LAMPS})
    assert found.renamed == {BOOTS: LAMPS}
    assert [str(each) for each in found.findings] == [
        "1 name is of no card and no category of the index (left out): Shoes"
    ]
    index = plane().add(catalogue([row(KETTLES, "0 1", category=LAMPS)]))
    with pytest.raises(QueryError, match="is the id of a card and a category of this index"):
        index.relabel({KETTLES: LAMPS})


def test_thresholds_of_merged_categories_are_the_stricter_ones() -> None:
    """The precision that was asked for would be promised, and not be kept."""
    one = CategoryThresholds((0.8, 0.9), (0.3, 0.5), (40, 20))
    other = CategoryThresholds((0.7, 0.9, 0.95), (0.1, 0.6, 0.7), (30, 25, 5))
    # At 0.7 and 0.8 each takes that of its next higher precision; 0.95 is what one cannot show.
    merged = merge_thresholds([one, other])
    assert merged == CategoryThresholds((0.7, 0.8, 0.9), (0.3, 0.6, 0.6), (30, 25, 20))
    assert merge_thresholds([one, None]) is None
    assert merge_thresholds([one]) is one


def test_a_difference_is_of_one_index() -> None:
    """Rows of other cards would be removed."""
    found = plane().removal(["a"])
    with pytest.raises(QueryError, match="This difference is not of this index"):
        plane().apply(found)
    with pytest.raises(QueryError, match="This difference is not of this index"):
        plane().apply(Difference("by hand", removed=("a",)))
    with pytest.raises(TypeError, match=r"result of compare\(\)"):
        plane().apply("a")  # type: ignore[arg-type]


def test_things_stay_as_they_are() -> None:
    assert set(built().parts.labels.names) == set(THINGS)
