"""What a delivery changes is named before anything is changed, and half an export is refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made import BOOTS, CARDS, KETTLES, LAMPS, catalogue, draw_pictures, row
from test_index_changes import NEW, NUMBERS, OLD, plane

from prodcat_index.cards.card import Card, Catalogue
from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.errors import CatalogueError
from prodcat_index.index.block import Block
from prodcat_index.index.product_index import ProductIndex

TABLE = pd.DataFrame(
    {
        "sku": ["a", "b", "c", "d"],
        "name": ["red boots", "blue boots", "steel kettle", "glass kettle"],
        "text": ["warm", "cold", "large", "small"],
        "shelf": [BOOTS, BOOTS, KETTLES, KETTLES],
        "price": [10, 20, 30, 40],
        "stock": ["x", None, "y", "z"],
    }
)


def shop(table: pd.DataFrame = TABLE) -> ProductIndex:
    columns = {"id_column": "sku", "category_column": "shelf", "description_column": "text"}
    return ProductIndex.build(read_catalogue(table, **columns))  # type: ignore[arg-type]


def test_the_lines_that_a_person_reads() -> None:
    """Nobody would dare to let a job change thousands of cards at night."""
    index = plane()
    delivery = [
        {**OLD[0], "title": "3 5", "description": "new"},
        {**OLD[2], "category": LAMPS},
        *NEW[:2],
    ]
    found = index.compare(catalogue(delivery))
    assert str(found) == (
        "2 new: e, f\n1 changed (title 1, description 1): a\n2 removed: b, d\n"
        f"1 category renamed: {KETTLES} -> {LAMPS} (1 card)\n0 unchanged"
    )
    assert found.counts == {"added": 2, "changed": 1, "removed": 2, "renamed": 1}
    assert (found.verb, bool(found)) == ("sync", True)
    told = index.compare(catalogue(delivery), removed=False)
    assert str(told) == (
        "2 new: e, f\n1 changed (title 1, description 1): a\n1 of another category: c\n"
        f"  {KETTLES} -> {LAMPS} (1 card): c\n2 unchanged"
    )


def test_only_what_differs_is_embedded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A corrected description would cost the picture's network a night."""
    cards = [{**card, "attributes": f"1 {n}"} for n, card in enumerate(OLD, 1)]
    texts = ("title", "attributes")
    encoders = dict.fromkeys(texts, "numbers")
    index = ProductIndex.build(catalogue(cards, texts), encoders=encoders)
    embedded: list[tuple[str, list[str]]] = []
    encode = Block.encode_queries

    def spy(block: Block, values: list[str], label: str = "") -> object:
        embedded.append((block.name, list(values)))
        return encode(block, values, label)

    monkeypatch.setattr(Block, "encode_queries", spy)
    delivery = [{**cards[0], "title": "4 3"}, {**cards[1], "category": LAMPS}, *cards[2:]]
    changed = index.sync(catalogue(delivery, texts))
    assert embedded == [("title", ["4 3"])]
    # The row that is not embedded is that of the card as it was.
    old, new = index.parts.blocks[1].vectors, changed.parts.blocks[1].vectors
    assert changed.parts.catalogue.ids == ["b", "c", "d", "a"]
    assert np.array_equal(np.asarray(new), np.asarray(old)[[1, 2, 3, 0]])


# Further columns.


def test_further_columns_are_as_delivered_and_embed_nothing(tmp_path: Path) -> None:
    """A filter by price would go on selling at the prices of the day of the build."""
    index = ProductIndex.load(shop().save(tmp_path / "index"))
    assert not index.compare(TABLE)
    dearer = TABLE.assign(price=[10, 25, 30, 40])
    found = index.compare(dearer)
    assert found.changed_parts == {"price": ("b",)}
    after = index.apply(found)
    assert dict(zip(after.catalogue.ids, after.catalogue.values("price"), strict=True))["b"] == "25"
    assert not after.compare(dearer)
    assert after.search("blue boots", 1)[0].id == "b"


def test_the_type_of_a_column_is_no_change(tmp_path: Path) -> None:
    """Every card would be another one each night, as a file holds texts and a table numbers."""
    index = shop()
    TABLE.to_csv(tmp_path / "cards.csv", index=False)
    assert not index.compare(tmp_path / "cards.csv")
    assert not index.compare(TABLE.assign(price=TABLE["price"].astype(float)))
    loaded = ProductIndex.load(index.save(tmp_path / "index"))
    assert not loaded.compare(tmp_path / "cards.csv")
    one = loaded.add(TABLE.assign(price=[None, 2.5, None, None]).iloc[:2])
    assert one.compare(TABLE).changed_parts == {"price": ("a", "b")}


def test_what_a_delivery_has_no_column_for_stays(tmp_path: Path) -> None:
    """A list of prices would empty the cards of all else."""
    index = ProductIndex.load(shop().save(tmp_path / "index"))
    prices = pd.DataFrame({"sku": ["b", "d"], "name": TABLE["name"][[1, 3]], "price": [21, 41]})
    found = index.compare(prices, removed=False)
    assert found.changed_parts == {"price": ("b", "d")}
    after = index.apply(found)
    assert after.card("b") == index.card("b")
    told = after.catalogue.to_frame().set_index("id").loc["d"]
    assert (str(told["price"]), told["stock"], told["description"]) == ("41", "z", "small")


def test_an_export_that_lacks_the_groups_is_refused() -> None:
    """Another format of an export would undo in silence which cards are variants of one product."""
    rows = [row(f"c{n}", f"1 {n}", category=BOOTS, group=f"g{n % 5}") for n in range(20)]
    index = ProductIndex.build(catalogue(rows), encoders=NUMBERS)
    found = index.compare(catalogue([{**card, "group": ""} for card in rows]))
    with pytest.raises(CatalogueError, match="has no group for 20 of the 20 cards that stay"):
        found.check()
    assert set(index.apply(found).catalogue.values("group")) == {""}


def test_one_card_is_not_alone_with_its_category() -> None:
    """Each card that comes by itself would be reported as the only one of its kind."""
    one = TABLE.iloc[:1].assign(sku="e")
    assert shop().compare(one, removed=False).findings == ()


# Half an export.


def test_a_whole_export_that_lacks_a_column_is_refused() -> None:
    """A failed join would take every description out of the index."""
    index = shop()
    with pytest.raises(CatalogueError) as caught:
        index.sync(TABLE.drop(columns="text"))
    assert str(caught.value) == (
        "the table lacks description (column 'text'), which the cards of the index have, so it is "
        "no whole export: choose the column with --description-column; or add its cards, which "
        "keep what is not in the file; or build the index again without. Nothing was changed."
    )
    with pytest.raises(CatalogueError, match="choose the column with --category-column; or add"):
        index.sync(TABLE.drop(columns="shelf"))


def test_an_export_that_lacks_many_cards_is_refused_with_the_way_out() -> None:
    """A job that was cut off would leave half a shop."""
    index = ProductIndex.build(
        catalogue([row(f"c{n}", f"1 {n}", category=BOOTS) for n in range(40)])
    )
    with pytest.raises(CatalogueError) as caught:
        index.sync(index.catalogue.select(range(37)))
    assert str(caught.value).endswith(
        " lacks 3 of the 40 cards of the index (8%); at most 5% may go at once, for it may be half "
        "an export. If it is right, allow it with --max-removed 8%. Nothing was changed."
    )
    assert len(index.sync(index.catalogue.select(range(38)))) == 38
    assert len(index.sync(index.catalogue.select(range(37)), max_removed=0.08)) == 37
    assert len(index.sync(index.catalogue.select(range(1)), max_removed=None)) == 1


def test_an_empty_export_removes_nothing(tmp_path: Path) -> None:
    """The night that the database was down would be the end of the index."""
    index = shop()
    for empty in (TABLE.head(0), []):
        assert index.add(empty).parts is index.parts
        assert not index.compare(empty, removed=False)
        with pytest.raises(CatalogueError, match="the delivery lacks 4 of the 4 cards"):
            index.sync(empty)
        with pytest.raises(CatalogueError, match="After the delivery, no card with a category"):
            index.sync(empty, max_removed=None)
    (tmp_path / "empty.csv").write_text("sku,name,text,shelf,price,stock\n")
    with pytest.raises(CatalogueError, match=r"empty.csv lacks 4 of the 4 cards .* 100%"):
        index.sync(tmp_path / "empty.csv")


def test_texts_and_labels_that_are_lost_are_counted_as_cards_are() -> None:
    """A column that is there and empty empties the index as well."""
    index = shop()
    emptied = TABLE.assign(text=["", "", "large", "small"])
    found = index.compare(emptied)
    assert found.lost == {"description": (2, 4)}
    with pytest.raises(CatalogueError) as caught:
        index.sync(emptied)
    assert str(caught.value).startswith(
        "the table has no description for 2 of the 4 cards that stay and have one (50%); at most "
    )
    assert index.sync(emptied, max_removed=0.5).card("a").description == ""
    unlabelled = TABLE.assign(shelf=["", BOOTS, KETTLES, KETTLES])
    with pytest.raises(CatalogueError, match="has no category for 1 of the 4 cards"):
        index.add(unlabelled)


def test_ids_that_occur_twice_are_refused() -> None:
    """One of the two cards would be lost, whichever."""
    with pytest.raises(CatalogueError, match=r"1 id occurs more than once in made-up cards \(x\)"):
        plane().compare(catalogue([row("x", "1 0"), row("x", "0 1")]))


def test_many_cards_of_new_categories_are_refused() -> None:
    """A wrong column would make a category of each colour."""
    index = ProductIndex.build(catalogue(CARDS))
    gnomes = [{**card, "id": f"n{n}", "category": f"Gnomes {n}"} for n, card in enumerate(CARDS)]
    found = index.compare(catalogue(gnomes), removed=False)
    with pytest.raises(CatalogueError, match="they are on 9 of its 9 labelled cards"):
        found.check(allow_new_categories=False)
    found.check()
    moved = [{**card, "category": "New"} if card["id"] != "k1" else card for card in CARDS]
    with pytest.raises(CatalogueError, match="has 1 new category"):
        index.compare(catalogue(moved)).check(allow_new_categories=False)


def test_cards_of_a_program_are_whole() -> None:
    """What a Card does not say it does not have."""
    index = ProductIndex.build(catalogue(OLD), encoders=NUMBERS)
    found = index.compare([Card(id="a", title="3 4", category=BOOTS)], removed=False)
    assert not found
    assert index.compare([Card(id="a", title="3 4")], removed=False).relabelled == ("a",)


def test_a_catalogue_that_is_read_is_compared_as_it_is() -> None:
    index = shop()
    read = read_catalogue(TABLE, like=index.catalogue)
    assert not index.compare(read)
    other = Catalogue(read.cards.assign(title="kettle"), read.text_modalities, columns=read.columns)
    assert len(index.compare(replace(other)).changed) == 4


def test_a_card_without_its_key_is_of_the_same_category() -> None:
    """Every card would be relabelled by a delivery that names categories and no keys."""
    keyed = [{**card, "category_id": "7" if card["category"] == BOOTS else "8"} for card in OLD]
    index = ProductIndex.build(catalogue(keyed), encoders=NUMBERS)
    assert not index.compare(catalogue(OLD))
    other = [{**keyed[0], "category_id": "9"}, *keyed[1:]]
    found = index.compare(catalogue(other))
    assert (found.relabelled, found.renamed, found.changed) == (("a",), {}, ())
    assert index.apply(found).card("a").category_id == "9"


def stock(number: int = 40, kinds: int = 8) -> list[dict[str, str]]:
    return [row(f"c{n}", f"1 {n}", category=f"Kind {n % kinds}") for n in range(number)]


def test_every_reason_is_named_and_shares_are_of_the_cards_that_stay() -> None:
    """Whoever allows for the cards that go would lose half the texts of the others unseen."""
    cards = [{**card, "description": "red"} for card in stock()]
    index = ProductIndex.build(catalogue(cards))
    emptied = [{**card, "description": "" if n < 9 else "red"} for n, card in enumerate(cards[:30])]
    with pytest.raises(CatalogueError) as caught:
        index.sync(catalogue(emptied))
    assert str(caught.value) == (
        "made-up cards lacks 10 of the 40 cards of the index (25%), and has no description for 9 "
        "of the 30 cards that stay and have one (30%); at most 5% may go at once, for it may be "
        "half an export. If it is right, allow it with --max-removed 30%. Nothing was changed."
    )
    with pytest.raises(CatalogueError, match="has no description for 9 of the 30"):
        index.sync(catalogue(emptied), max_removed=0.25)
    assert len(index.sync(catalogue(emptied), max_removed=0.3)) == 30


def test_pictures_in_another_folder_do_not_vanish(tmp_path: Path) -> None:
    """A half export that was allowed, read from another folder, took every picture out."""
    (tmp_path / "shop").mkdir()
    draw_pictures(tmp_path / "shop", 8)
    table = pd.DataFrame(stock(8))[["id", "title", "category"]]
    table = table.assign(image=[f"picture{n}.png" for n in range(8)])
    read = read_catalogue(table, image_root=tmp_path / "shop")
    index = ProductIndex.build(read)
    (tmp_path / "elsewhere").mkdir()
    moved = read_catalogue(table.head(5), image_root=tmp_path / "elsewhere", like=read)
    with pytest.raises(CatalogueError) as caught:
        index.sync(moved, max_removed=1.0)
    assert str(caught.value) == (
        "the table names picture files that are not there for 5 of its 5 cards that have a picture "
        "in the index. Name the folder of the pictures with --image-root, or leave their names out "
        "if they are gone. Nothing was changed."
    )
    with pytest.raises(CatalogueError, match=r"\(63%\); at most 5% .*; it names picture files"):
        index.add(moved)
    gone = read_catalogue(table.head(5).assign(image=""), like=read)
    assert not any(index.sync(gone, max_removed=1.0).catalogue.values("image"))


def test_a_few_categories_with_new_names_need_no_leave() -> None:
    """The nightly sync would fail for each category that is renamed."""
    index = ProductIndex.build(catalogue(stock()))

    def sync(**names: str) -> ProductIndex:
        renamed = {f"Kind {kind[1:]}": name for kind, name in names.items()}
        cards = [{**c, "category": renamed.get(c["category"], c["category"])} for c in stock()]
        return index.sync(catalogue(cards), allow_new_categories=False)

    assert "Sort 3" in sync(k1="Sort 1", k2="Sort 2", k3="Sort 3").parts.labels.names
    # To one name, or half of them, as a wrong column has it.
    for wrong in ({"k1": "Sort", "k2": "Sort"}, {f"k{n}": f"Sort {n}" for n in range(4)}):
        with pytest.raises(CatalogueError, match="rename categories first with prodcat relabel"):
            sync(**wrong)


def test_one_new_card_of_a_new_category_in_a_small_delivery_is_taken() -> None:
    """Deliveries of fewer than 20 cards were refused for one new category."""
    index = ProductIndex.build(catalogue(stock()))
    few = [row(f"n{n}", f"2 {n}", category="New" if n < 2 else "Kind 1") for n in range(10)]
    assert len(index.add(catalogue(few), allow_new_categories=False)) == 50
    more = [{**card, "category": "New"} if card["id"] == "n2" else card for card in few]
    with pytest.raises(CatalogueError, match="on 3 of its 10 labelled cards"):
        index.add(catalogue(more), allow_new_categories=False)


def test_a_column_that_a_delivery_lacks_is_named() -> None:
    """Its cards kept their old values in silence, under a new name of the column."""
    index = shop()
    delivery = TABLE.rename(columns={"stock": "store"})
    found = index.compare(delivery, removed=False)
    assert [str(each) for each in found.findings] == [
        "1 column is in the index and not in the delivery (cards keep what they had): stock"
    ]
    assert index.apply(found).catalogue.values("stock") == index.catalogue.values("stock")
