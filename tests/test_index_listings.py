"""Cards as a program holds them: every form gives the same index and the same answers."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
import pandas as pd
import pytest
from made import BOOTS, CARDS, catalogue

from prodcat_index import Card, ProductIndex, VoteParameters, evaluate, read_catalogue, read_labels
from prodcat_index.cards.card import Catalogue
from prodcat_index.errors import CatalogueError, QueryError

# The columns have other names than the parts of a card, and the ids are numbers.
TABLE = pd.DataFrame(
    {
        "sku": range(100, 100 + len(CARDS)),
        "name": [card["title"] for card in CARDS],
        "about": [card["description"] for card in CARDS],
        "shelf": [card.get("category", "") for card in CARDS],
    }
).rename(columns={"about": "description", "shelf": "category"})
NEW = pd.DataFrame({"sku": [1, 2], "name": ["winter boots", "glass kettle"], "description": ""})


def as_file(table: pd.DataFrame, folder: Path) -> Path:
    table.to_csv(folder / "cards.csv", index=False)
    return folder / "cards.csv"


def as_cards(table: pd.DataFrame, folder: Path) -> list[Card]:
    return [
        Card(id=r["sku"], title=r["name"], description=r["description"], category=r.get("category"))
        for r in table.to_dict("records")
    ]


FORMS: dict[str, Callable[[pd.DataFrame, Path], Any]] = {
    "path": as_file,
    "text of a path": lambda table, folder: str(as_file(table, folder)),
    "table": lambda table, folder: table,
    "dicts": lambda table, folder: table.to_dict("records"),
    "tuple of dicts": lambda table, folder: tuple(table.to_dict("records")),
    "cards": as_cards,
    "catalogue": lambda table, folder: read_catalogue(table),
    "cards of a catalogue": lambda table, folder: list(read_catalogue(table)),
}


@cache
def built() -> ProductIndex:
    return ProductIndex.build(TABLE)


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_cards_builds_the_same_index(form: str, tmp_path: Path) -> None:
    index = ProductIndex.build(FORMS[form](TABLE, tmp_path))
    assert index.catalogue.ids == [str(number) for number in TABLE["sku"]]
    assert index.catalogue.values("category") == TABLE["category"].tolist()
    told, expected = index.predict(NEW), built().predict(NEW)
    assert told.to_frame().equals(expected.to_frame())


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_the_listings_gets_the_same_answers(form: str, tmp_path: Path) -> None:
    told = built().predict(FORMS[form](NEW, tmp_path))
    assert told.to_frame().equals(built().predict(NEW).to_frame())
    assert [p.id for p in told] == ["1", "2"]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_new_cards_is_added(form: str, tmp_path: Path) -> None:
    delivery = NEW.assign(category=BOOTS)
    larger = built().add(FORMS[form](delivery, tmp_path))
    assert larger.catalogue.ids[-2:] == ["1", "2"]
    assert larger.card(2) == Card(id="2", title="glass kettle", category=BOOTS)


def test_every_form_of_the_cards_is_evaluated(tmp_path: Path) -> None:
    table = pd.concat([TABLE[:8]] * 8, ignore_index=True)
    table = table.assign(
        sku=range(64), name=table["name"] + [f" no{i % 17}x{i}" for i in range(64)]
    )
    settings: dict[str, Any] = {"baselines": False, "by": "random", "seed": np.int64(1)}
    expected = evaluate(read_catalogue(table), **settings)
    assert type(expected.settings["seed"]) is int
    for form in ("path", "dicts", "cards"):
        told = evaluate(FORMS[form](table, tmp_path), **settings)
        assert told.as_dict()["rows"] == expected.as_dict()["rows"], form


def test_one_listing_needs_no_list() -> None:
    expected = built().predict([Card(title="winter boots")])[0]
    for listing in (
        "winter boots",
        ["winter boots"],
        Card(title="winter boots"),
        {"title": "winter boots"},
        {"name": "winter boots"},
    ):
        told = built().predict(listing)
        assert len(told) == 1
        assert (told[0].category, told[0].ranked) == (expected.category, expected.ranked)


def test_a_text_that_names_a_file_is_a_path(tmp_path: Path) -> None:
    """A mistyped name would be answered as if it were a product."""
    with pytest.raises(CatalogueError, match=r"There is no file new\.csv"):
        built().predict("new.csv")
    assert len(built().search("new.csv boots")) == len(TABLE)


def test_the_parts_of_a_card_are_named_whatever_the_index_was_built_from() -> None:
    """The index knows a column `name`; who writes {"title": …} means the same."""
    told = built().predict([{"id": 7, "title": "winter boots"}, {"id": 8, "title": "glass kettle"}])
    assert [p.id for p in told] == ["7", "8"]
    assert told.categories == built().predict(NEW).categories
    with pytest.raises(CatalogueError, match=r"1 card has no id in the list \(card number 2\)"):
        built().predict([{"id": 7, "title": "boots"}, {"title": "kettle"}])


def test_cards_are_asked_about_as_they_are() -> None:
    """A service answers many people at once, and nobody has given their listings ids."""
    told = built().predict([Card(title="boots"), Card(title="kettle"), Card(id="7"), Card(id="7")])
    assert [p.id for p in told] == ["", "", "7", "7"]


def test_what_was_noticed_while_reading_is_in_the_findings_and_notes() -> None:
    rows = [*TABLE.to_dict("records"), {"sku": "x", "name": "x" * 20_001, "category": "Shoes"}]
    found = [str(finding) for finding in ProductIndex.build(rows).findings]
    assert "1 card has a text that was cut at 20000 characters: x" in found
    notes = built().predict([{"title": "boots " * 5_000, "image": "nowhere.jpg"}]).notes
    assert notes[0].startswith("the list lacks description (column 'description'), which the cards")
    assert notes[1] == "1 card has a text that was cut at 20000 characters: 1"
    assert notes[2].startswith("1 card names a picture file that is not there (the first: /")


def test_pictures_in_memory_are_where_they_are(pictures: list[Path], tmp_path: Path) -> None:
    """A program knows whole paths, and a catalogue file from a stranger must not use them."""
    rows = [
        {"id": p.stem, "image": str(p), "category": "AB"[n % 2]} for n, p in enumerate(pictures)
    ]
    expected = [str(path) for path in pictures]
    cards = [Card(id=r["id"], image=r["image"], category=r["category"]) for r in rows]
    for source in (rows, pd.DataFrame(rows), cards):
        assert read_catalogue(source).values("image") == expected
    elsewhere = [rows[0], {"id": "gone", "image": str(tmp_path / "no" / "x.jpg")}]
    read = read_catalogue(elsewhere)
    assert read.values("image") == [expected[0], ""]
    assert [finding.ids for finding in read.findings if "not there" in finding.what] == [("gone",)]


@pytest.mark.parametrize(
    "ids",
    [
        [5, 6],
        [np.int64(5), np.int64(6)],
        [5.0, 6.0],
        [Decimal(5), Decimal(6)],
        [UUID(int=5), UUID(int=6)],
        [date(2020, 1, 5), date(2020, 1, 6)],
        [2**60 + 5, 2**60 + 6],
        [b"5", b"6"],
        [True, 6],
    ],
)
def test_an_id_is_any_scalar(ids: list[Any]) -> None:
    """Ids are numbers in most databases, and a look-up by the number failed."""
    rows = [
        {"id": i, "title": t, "category": t} for i, t in zip(ids, ("boots", "lamp"), strict=True)
    ]
    index = ProductIndex.build(rows)
    assert index.card(ids[1]).title == "lamp"
    assert [n.id for n in index.similar(ids[1])] == [index.card(ids[0]).id]
    told = index.predict([{"id": ids[1], "title": "a lamp"}])
    assert index.score(told, {ids[1]: "lamp"}).accuracy == 1.0
    assert read_labels(rows) == {index.catalogue.ids[0]: "boots", index.catalogue.ids[1]: "lamp"}


def test_a_listing_without_a_true_category_is_not_scored() -> None:
    """A table with a gap ended in an error about shapes."""
    rows = [{"id": c, "title": c, "category": c} for c in ("boots", "lamp")]
    index = ProductIndex.build(rows)
    told = index.predict([{"id": f"new {c}", "title": f"our {c}"} for c in ("boots", "lamp")])
    for nothing in (None, float("nan"), "", "N/A"):
        scored = index.score(told, {"new boots": "boots", "new lamp": nothing})
        assert (scored.cards, scored.accuracy) == (1, 1.0)
        with pytest.raises(QueryError, match="No listing is among the true categories"):
            index.score(told, {"new lamp": nothing})


NO_CARDS = (
    "Cards are given as the path of a file, a DataFrame, a Catalogue, or a list of dicts or of "
    "Cards; "
)


@pytest.mark.parametrize(
    ("source", "told"),
    [
        (5, "this is of the type int."),
        (None, "this is of the type NoneType."),
        (b"cards.csv", "this is of the type bytes."),
        ([{"title": "boots"}, None], "number 2 is of the type NoneType."),
        ([Card(title="boots"), {"title": "boots"}], "number 2 is of the type dict."),
        (np.ones((2, 2)), "number 1 is of the type ndarray."),
        (
            {"title": ["boots", "lamp"], "category": ["A", "B"]},
            "this is a dict of columns, of which pandas.DataFrame makes one.",
        ),
    ],
)
def test_what_is_no_cards_is_of_the_wrong_type(source: Any, told: str) -> None:
    """An AttributeError from deep inside names nothing that the caller wrote."""
    calls = (read_catalogue, ProductIndex.build, built().add, built().predict, evaluate)
    for call in calls:
        with pytest.raises(TypeError) as caught:
            call(source)
        assert str(caught.value) == NO_CARDS + told


def test_texts_are_listings_and_no_catalogue() -> None:
    with pytest.raises(TypeError, match="number 1 is of the type str"):
        ProductIndex.build(["red boots"])


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"k": 2.5}, "The number of neighbours k is a whole number; 2.5 is none."),
        ({"k": "3"}, "The number of neighbours k is a whole number; '3' is none."),
        ({"temperature": "hot"}, "The temperature of the vote is a number; 'hot' is none."),
        ({"head_exponent": [1]}, "The head exponent of the vote is a number; [1] is none."),
        (
            {"weights": [0.5, 0.5]},
            "Weights are given by name, such as {'title': 0.7, 'image': 0.3}; this is of the type "
            "list.",
        ),
    ],
)
def test_what_is_no_setting_is_of_the_wrong_type(options: dict[str, Any], told: str) -> None:
    with pytest.raises(TypeError) as caught:
        built().predict("boots", **options)
    assert str(caught.value) == told


def test_other_things_of_the_wrong_type_are_told() -> None:
    index = built()
    for call, told in (
        (
            lambda: index.search(5),
            "A query is a Card, or a text for its title; this is of type int.",
        ),
        (lambda: index.search("boots", "3"), "k is a whole number; '3' is none."),
        (lambda: index.similar(100, 1.5), "k is a whole number; 1.5 is none."),
        (lambda: index.score(index.predict(NEW), ["A"]), "True categories are given by name"),
        (lambda: ProductIndex.build(TABLE, encoders="lexical"), "Encoders are given by name"),
        (lambda: evaluate(TABLE, precision="high"), "precision is a number, such as 0.95; 'high'"),
    ):
        with pytest.raises(TypeError) as caught:
            call()
        assert told in str(caught.value)
    with pytest.raises(QueryError, match="There is no card None"):
        index.similar(None)


def test_numbers_of_numpy_are_numbers(tmp_path: Path) -> None:
    """The best k of a search is one of numpy, and an index with it could not be saved."""
    vote = VoteParameters(k=np.int64(3), temperature=np.float32(0.25))
    folder = ProductIndex.build(TABLE, vote_parameters=vote).save(tmp_path / "index")
    loaded = ProductIndex.load(folder)
    assert loaded.parts.vote == VoteParameters(k=3, temperature=0.25)
    assert len(loaded.search("boots", np.int32(2))) == 2
    assert len(loaded.predict("boots", k=np.uint8(2))[0].neighbours) == 2


def test_predictions_travel_without_the_index() -> None:
    """A worker would send back the whole index with every answer, or fail."""
    told = built().predict(NEW, explain=True)
    content = pickle.dumps(told)
    assert len(content) < 20_000
    again = pickle.loads(content)  # noqa: S301
    assert list(again) == list(told)
    assert again.notes == told.notes
    assert again.to_frame().equals(told.to_frame())


def test_a_catalogue_is_a_table_and_a_sequence_of_cards() -> None:
    cards = catalogue()
    assert [card.id for card in cards] == [card["id"] for card in CARDS]
    assert next(iter(cards)) == Card(
        id="b1", title="red leather boots", description="warm winter lining", category=BOOTS
    )
    table = cards.to_frame()
    table["title"] = ""
    assert cards.values("title")[0] == "red leather boots"
    again = read_catalogue(cards.to_frame())
    assert again.to_frame().equals(cards.to_frame())
    assert isinstance(again, Catalogue)


def test_the_columns_of_an_index_are_those_of_what_is_asked_and_added() -> None:
    """Columns of usual names beside them hold something else."""
    named = {"name": "wording", "category": "drawer", "description": "about"}
    table = TABLE.rename(columns=named).assign(title="the same", category="none")
    columns = {"title_column": "wording", "category_column": "drawer"}
    index = ProductIndex.build(read_catalogue(table, **columns))
    delivery = [
        {"sku": 1, "wording": "desk lamp", "title": "boots", "drawer": BOOTS, "category": 3}
    ]
    for source in (delivery, pd.DataFrame(delivery)):
        assert index.add(source).card(1) == Card(id="1", title="desk lamp", category=BOOTS)
        told = index.predict(source)
        assert told.categories == index.predict("desk lamp").categories != [BOOTS]


def test_further_texts_of_cards_are_modalities() -> None:
    """What tells the cards apart would be left out without a word."""
    cards = [
        Card(id=n, title="thing", texts={"colour": c, "type": "x"}, category=c, group=n)
        for n, c in enumerate(["red", "blue", "green", "red"])
    ]
    index = ProductIndex.build(cards)
    assert index.catalogue.text_modalities == ("title", "description", "colour", "type")
    assert index.predict(Card(texts={"colour": "blue"})).categories == ["blue"]
    assert list(index.catalogue) == cards


def test_large_numbers_beside_gaps_keep_their_digits() -> None:
    """A column of numbers with a gap becomes fractions, which round them."""
    key = 2**60 + 1
    rows = [
        {"id": 1, "title": "boots", "category": "A", "category_id": key},
        {"id": 2, "title": "b"},
    ]
    assert read_catalogue(rows).values("category_id") == [str(key), ""]


def test_pictures_of_cards_are_found_wherever_they_are(
    pictures: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(pictures[0].parent)
    cards = [
        Card(id="near", image=pictures[0].name),
        Card(id="far", image=str(pictures[1])),
        Card(id="web", image="https://shop.example/1.jpg", title="boots"),
    ]
    read = read_catalogue(cards)
    assert read.values("image") == [str(pictures[0]), str(pictures[1]), ""]
    assert [(f.ids, "web address" in f.what) for f in read.findings] == [(("web",), True)]
    monkeypatch.chdir(tmp_path)
    assert read_catalogue(cards[1:]).values("image") == [str(pictures[1]), ""]
    (tmp_path / "near.png").write_bytes(pictures[2].read_bytes())
    both = [Card(id="near", image="near.png"), cards[1]]
    assert read_catalogue(both).values("image") == [str(tmp_path / "near.png"), str(pictures[1])]
    nowhere = read_catalogue([{"id": 1, "title": "boots", "image": str(tmp_path / "no" / "x.jpg")}])
    assert [finding.ids for finding in nowhere.findings if "not there" in finding.what] == [("1",)]
