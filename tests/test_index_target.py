"""Any column is predicted as the category is, and is no evidence for itself."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from made import row
from test_index_learned import COLOURS, THINGS
from test_index_relabel import nothing_is_embedded

from prodcat_index.cards.card import Card, Catalogue
from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.cards.target import unify, with_target
from prodcat_index.errors import QueryError
from prodcat_index.index.product_index import ProductIndex

__all__ = ["nothing_is_embedded"]  # a fixture
MAKERS = ("Bosch", "Makita", "Acme")
NUMBERS = {"title": "numbers", "description": "numbers"}


def shop(n: int = 120) -> Catalogue:
    """Titles that name the thing, and descriptions that name the maker under another word."""
    words = {"Bosch": "stuttgart", "Makita": "anjo", "Acme": "toontown"}
    rows = []
    for number in range(n):
        thing, maker, colour = THINGS[number % 5], MAKERS[number % 3], COLOURS[number % 7]
        rows.append(
            {
                "sku": f"c{number:03}",
                "name": f"{colour} {thing} {number * 37 % 101}",
                "text": f"made in {words[maker]} {number}",
                "shelf": f"Home > {thing}",
                "Brand": maker.upper() if number == 7 else "" if number % 20 == 1 else maker,
                "tone": colour,
            }
        )
    return read(rows)


def read(rows: list[dict[str, str]], **options: object) -> Catalogue:
    named = {"id_column": "sku", "title_column": "name", "category_column": "shelf"}
    named = {part: column for part, column in named.items() if column in rows[0]}
    if "text" in rows[0]:
        named["description_column"] = "text"
    return read_catalogue(pd.DataFrame(rows), **{**named, **options})  # type: ignore[arg-type]


@cache
def built() -> ProductIndex:
    return ProductIndex.build(shop())


@cache
def of_brands() -> ProductIndex:
    return built().for_target("Brand")


def few(**columns: list[str]) -> Catalogue:
    """Four cards, told apart by one number of the title and of the description each."""
    rows = [row("a", "1 0", "1 0"), row("b", "1 0", "0 1")]
    rows += [row("c", "0 1", "1 0"), row("d", "0 1", "0 1")]
    rows = [{**each, "category": shelf} for each, shelf in zip(rows, "XXYY", strict=True)]
    return read_catalogue(pd.DataFrame(rows).assign(**columns))


@pytest.mark.parametrize(("told_by", "weights"), [("title", (1, 0)), ("description", (0, 1))])
def test_the_neighbours_vote_for_the_values_of_the_column(
    told_by: str, weights: tuple[int, int]
) -> None:
    """A brand that only one modality tells would be guessed from the categories."""
    brands = ["Acme", "Acme", "Zeta", "Zeta"] if told_by == "title" else ["Acme", "Zeta"] * 2
    index = ProductIndex.build(few(brand=brands), encoders=NUMBERS).for_target("brand")
    listings = [Card(title="1 0", description="1 0"), Card(title="0 1", description="0 1")]
    named = dict(zip(("title", "description"), weights, strict=True))
    answers = index.predict(listings, weights=named, k=2)
    assert [answer.category for answer in answers] == ["Acme", "Zeta"]
    assert [answer.share for answer in answers] == [1.0, 1.0]
    # Weighed the other way, each value has one of the two neighbours.
    other = dict(zip(("description", "title"), weights, strict=True))
    assert [answer.share for answer in index.predict(listings, weights=other, k=2)] == [0.5, 0.5]


@pytest.mark.usefixtures("nothing_is_embedded")
def test_all_that_is_fitted_is_as_if_the_column_had_been_the_category() -> None:
    """Scores, weights or confidence of the categories would answer for the brands."""
    target = of_brands().parts
    fresh = ProductIndex.build(with_target(shop(), "Brand")).parts
    assert target.labels.names == fresh.labels.names == ("Acme", "Bosch", "Makita")
    assert (target.weights, target.vote) == (fresh.weights, fresh.vote)
    assert target.calibration == fresh.calibration
    for own, other in zip(target.all_blocks, fresh.all_blocks, strict=True):
        assert np.array_equal(own.vectors, other.vectors)
    assert tuple(target.text_scores.categories) == target.labels.names
    assert built().parts.labels.names[0].startswith("Home > "), "the index itself is as it was"


def test_precision_explanation_tuning_and_own_cards_work_for_the_column() -> None:
    """A user of --target would get answers without the confidence that decisions need."""
    index = of_brands()
    listings = [
        {"sku": "n1", "name": "red lamp", "text": "made in anjo", "Brand": "MAKITA"},
        {"sku": "n2", "name": "red lamp", "text": "made in toontown", "Brand": "Acme"},
    ]
    answers = index.predict(read(listings), precision=0.9, explain=True)
    assert [(answer.category, answer.decision) for answer in answers] == [
        ("Makita", "accept"),
        ("Acme", "accept"),
    ]
    why = answers[0].explanation
    assert why is not None
    assert why.decided_by == "description"
    assert "anjo" in why.words[0][0]
    # The truth is read in the spelling of the index.
    assert index.score(answers, {"n1": "MAKITA", "n2": "acme"}).accuracy == 1.0
    assert index.tuned(index.tune()).predict(read(listings))[0].category == "Makita"
    own = index.predict(shop().select([0, 1]))
    assert "labelled cards of this index among the listings: 1 of 2" in " ".join(own.notes)
    assert [answer.category for answer in own] == ["Bosch", "Makita"]


def test_filters_know_the_categories_and_the_other_columns() -> None:
    """The brands of drills could not be asked for among drills alone."""
    index = of_brands()
    assert index.matches('shelf under "Home"').mask.sum() == 120
    assert index.matches('shelf = "Home > lamp"').mask.tolist() == [n % 5 == 2 for n in range(120)]
    assert index.matches("brand = Bosch and tone = red").mask.sum() == 5
    listing = Card(title="red lamp", description="made in anjo")
    answers = index.predict(listing, where='shelf = "Home > lamp"')
    assert answers[0].category == "Makita"


def test_a_target_is_kept_as_an_index_of_its_own(tmp_path: Path) -> None:
    """What takes minutes to fit would be fitted at each call."""
    folder = of_brands().save(tmp_path / "brands")
    loaded = ProductIndex.load(folder)
    listings = [Card(title="red mug", description="made in stuttgart")]
    before = of_brands().predict(listings)[0]
    assert loaded.predict(listings)[0].as_dict() == before.as_dict()
    assert loaded.parts.choices.target == "Brand"
    assert loaded.matches('shelf under "Home"').mask.sum() == 120
    assert loaded.catalogue.card(0) == of_brands().catalogue.card(0)
    assert loaded.refit().parts.labels.names == ("Acme", "Bosch", "Makita")
    # A delivery is read from the column, in the spelling that is known.
    fresh = {"sku": "n1", "name": "mug", "text": "anjo", "shelf": "Home > mug", "Brand": "makita"}
    grown = loaded.add(pd.DataFrame([{**fresh, "tone": "red"}]))
    assert grown.parts.labels.names == ("Acme", "Bosch", "Makita")
    assert grown.parts.labels.codes[-1] == 2
    assert grown.matches("shelf = 'Home > mug'").mask.sum() == 25


def test_a_column_that_is_embedded_is_no_evidence_for_itself() -> None:
    """The answer would be read from the column itself, which new listings lack."""
    rows = shop().to_frame().to_dict("records")
    frame = pd.DataFrame(rows).drop(columns=["category_id", "group", "image"])
    frame["facts"] = [f'{{"brand": "{row["Brand"]}", "n": {n}}}' for n, row in enumerate(rows)]
    frame["told"] = ["sold by Bosch" if n % 3 == 0 else "" for n in range(len(rows))]
    frame["told"] += [f" since {1900 + n}" for n in range(len(rows))]
    cards = read_catalogue(frame, text_columns=["Brand", "facts", "told"])
    index = ProductIndex.build(cards)
    assert {"Brand", "facts", "told"} <= set(index.parts.modalities)
    target = index.for_target("Brand")
    # A third of the cards names the brand in `told`, as a title may.
    assert target.parts.modalities == ["title", "description", "told"]
    assert set(target.parts.text_scores.vectorizer.vocabularies) == {"title", "description", "told"}
    assert "left out as evidence" in " ".join(target.catalogue.notes)
    listing = Card(title="red lamp", description="made in anjo", texts={"Brand": "Bosch"})
    assert target.predict(listing)[0].category == "Makita"
    with pytest.raises(QueryError, match="has nothing to predict 'Brand' from"):
        alone = read_catalogue(frame[["id", "Brand", "category"]], text_columns=["Brand"])
        ProductIndex.build(alone).for_target("Brand")


def test_the_column_of_the_categories_is_the_index_itself() -> None:
    """A script that always names a target would fit everything once more."""
    assert built().for_target("category") is built()
    assert built().for_target("shelf") is built()
    assert with_target(shop(), "SHELF").values("category")[0] == "Home > boots"


@pytest.mark.parametrize(
    ("column", "values", "said"),
    [
        (
            "ean",
            [f"40{n}" for n in range(4)],
            "4 of the 4 cards .* like ids, free text or measured",
        ),
        ("tax", ["A"] * 4, "has one value only, 'A'"),
        ("tax", [""] * 4, "is empty"),
        ("tax", ["A", "A", "B", ""], "1 value"),
    ],
)
def test_columns_that_cannot_be_predicted_are_refused(
    column: str, values: list[str], said: str
) -> None:
    """Minutes of fitting would end in a meaningless answer."""
    cards = few(**{column: values})
    if said == "1 value":
        assert with_target(cards, column).values("category") == values
        return
    with pytest.raises(QueryError, match=said):
        with_target(cards, column)


def test_values_of_one_card_are_counted_in_a_note() -> None:
    """A long tail of brands would look as predictable as the frequent ones."""
    for alone, is_said in ((2, False), (3, True), (8, True)):
        brands = [f"only {n}" if n < alone else "Acme" for n in range(10)] + ["Zeta"] * 2
        cards = read([{"sku": str(n), "name": "x", "brand": b} for n, b in enumerate(brands)])
        said = f"{alone} of these cards have a value that no other card has"
        assert (said in " ".join(with_target(cards, "brand").notes)) is is_said


def test_an_unknown_column_is_named_with_those_that_are_there() -> None:
    """A typing error would cost a look into the file."""
    with pytest.raises(QueryError, match=r"no column 'brnad' to predict.*brand.*id, title"):
        with_target(few(brand=["A", "A", "B", "B"]), "brnad")
    for part in ("id", "image", "group"):
        with pytest.raises(QueryError, match=f"'{part}' is the {part} of the cards"):
            with_target(few(), part)


def test_numbers_are_classes_and_a_note_says_so() -> None:
    """A price is predicted as a name, and the user would not know."""
    cards = read([{"sku": str(n), "name": f"lamp {n}", "price": n % 30} for n in range(90)])
    labelled = with_target(cards, "price")
    assert labelled.values("category")[:2] == ["0", "1"]
    assert "each is a class of its own" in " ".join(labelled.notes)
    classes = read([{"sku": str(n), "name": f"lamp {n}", "tax": n % 3 * 0.5} for n in range(9)])
    assert with_target(classes, "tax").values("category")[:3] == ["0", "0.5", "1"]
    assert "each is a class" not in " ".join(with_target(classes, "tax").notes)


def test_values_are_unified_as_a_person_would() -> None:
    """One brand in three spellings would be three brands."""
    brands = ["Bosch", " bosch ", "BOSCH", "Bosch", "Zeta; Bosch", "Zeta", "Smith, John", "N/A"]
    cards = read([{"sku": str(n), "name": "x", "brand": b} for n, b in enumerate(brands)])
    labelled = with_target(cards, "brand")
    assert labelled.values("category") == [*(["Bosch"] * 4), *("Zeta", "Zeta", "Smith, John", "")]
    notes = " ".join(labelled.notes)
    assert "2 values differ from another in letter case alone" in notes
    assert "1 card has several values" in notes
    colours = [["red", "blue"], ["blue"], ["red"], ["blue", "red"]]
    table = few().cards.assign(colour=colours)
    assert with_target(replace(few(), cards=table), "colour").values("category") == [
        *("red", "blue", "red", "blue")
    ]


@settings(max_examples=60, deadline=None)
@example(["a", "A"])
@given(st.lists(st.text("aAbB;, ", max_size=4), max_size=12))
def test_unified_values_do_not_depend_on_the_order(values: list[str]) -> None:
    """Cards in another order would have other brands, and so other answers."""
    meant = unify(values)
    assert meant == unify(values[::-1])
    assert set(meant) == set(values)
    # One spelling for each value, and what is meant is one of the values that were there.
    again = unify([meant[value] for value in values])
    assert len({value.casefold() for value in again.values()}) == len(set(again.values()))
    assert all(own.casefold() in {v.casefold() for v in values} for own in meant.values())
