"""Natural wrong calls of the library, and what each one says."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import made
import numpy as np
import pandas as pd
import pytest

from prodcat_index import (
    CatalogueError,
    EncoderError,
    ProductIndex,
    QueryError,
    evaluate,
    explore,
    find_groups,
    make_encoder,
    read_catalogue,
    split_catalogue,
)

Call = Callable[[ProductIndex], object]
CARDS: Any = made.catalogue()

WRONG_VALUES: dict[str, Call] = {
    "The projection is one of lda, none; it is 'x'.": lambda index: ProductIndex.build(
        CARDS, projection="x"
    ),
    "The projection is one of lda, none; it is None.": lambda index: ProductIndex.build(
        CARDS, projection=None
    ),
    "The projection is one of lda, none; it is 'LDA'.": lambda index: evaluate(
        CARDS, projection="LDA", by="random"
    ),
}


@pytest.mark.parametrize("sentence", WRONG_VALUES)
def test_a_wrong_value_is_refused_in_words(sentence: str, index: ProductIndex) -> None:
    """It would be taken for another, and scores printed that are not of what was asked."""
    with pytest.raises(QueryError, match=f"^{re.escape(sentence)}$"):
        WRONG_VALUES[sentence](index)


TABLE: Any = pd.DataFrame(made.CARDS)
WRONG_TYPES: dict[str, Call] = {
    "A split is what read_split or split_catalogue returns; this is of the type str.": (
        lambda index: evaluate(CARDS, split="split.csv")  # type: ignore[arg-type]
    ),
    "Cards are split by group, random or the name of a column; this is of the type NoneType.": (
        lambda index: evaluate(CARDS, by=None)  # type: ignore[arg-type]
    ),
    "Encoders are given by name, such as {'title': 'lexical:128'}; this is of the type str.": (
        lambda index: evaluate(CARDS, encoders="lexical")  # type: ignore[arg-type]
    ),
    "The encoder of title is a text or several, such as 'lexical:128'; this is of the type "
    "NoneType.": lambda index: ProductIndex.build(CARDS, encoders={"title": None}),  # type: ignore[dict-item]
    "The share of test is a number, such as 0.25; this is of the type str.": (
        lambda index: evaluate(CARDS, test="a")  # type: ignore[arg-type]
    ),
    "The number of splits is a whole number; 1.5 is none.": (
        lambda index: evaluate(CARDS, repeat=1.5)  # type: ignore[arg-type]
    ),
    "The seed is a whole number; None is none.": (
        lambda index: evaluate(CARDS, seed=None)  # type: ignore[arg-type]
    ),
    "The sample is a whole number; 'a' is none.": lambda index: index.tune(sample="a"),  # type: ignore[arg-type]
    "Parameters of the vote are VoteParameters, such as VoteParameters(k=5); this is of the type "
    "dict.": lambda index: ProductIndex.build(CARDS, vote_parameters={"k": 3}),  # type: ignore[arg-type]
    "The column of the title is given by its name; this is of the type int.": (
        lambda index: read_catalogue(TABLE, title_column=5)  # type: ignore[arg-type]
    ),
    "The weight of title is a number; 'x' is none.": (
        lambda index: index.predict("boots", weights={"title": "x"})  # type: ignore[dict-item]
    ),
    "An index folder is given by its path; this is of the type NoneType.": (
        lambda index: ProductIndex.load(None)  # type: ignore[arg-type]
    ),
    "An index folder is given by its path; this is of the type int.": (
        lambda index: index.save(3)  # type: ignore[arg-type]
    ),
    "The separator of categories is a text; this is of the type int.": (
        lambda index: read_catalogue(TABLE, category_separator=5)  # type: ignore[arg-type]
    ),
    "Cards are read like those of a Catalogue; this is of the type ProductIndex.": (
        lambda index: read_catalogue(TABLE, like=index)  # type: ignore[arg-type]
    ),
    "An encoder is named by a text, such as 'lexical:128'; this is of the type NoneType.": (
        lambda index: make_encoder(None)  # type: ignore[arg-type]
    ),
    "An index is tuned by the result of tune(); this is of the type int.": (
        lambda index: index.tuned(3)  # type: ignore[arg-type]
    ),
}


@pytest.mark.parametrize("sentence", WRONG_TYPES)
def test_a_wrong_type_is_refused_in_words(sentence: str, index: ProductIndex) -> None:
    """An AttributeError of the insides tells nobody what to give instead."""
    with pytest.raises(TypeError, match=f"^{re.escape(sentence)}$"):
        WRONG_TYPES[sentence](index)


def test_all_that_takes_cards_takes_a_table_and_a_list() -> None:
    """What build takes was refused by the functions that look at the same cards."""
    rows = TABLE.fillna("").to_dict("records")
    read = read_catalogue(rows)
    for cards in (rows, read):
        assert find_groups(cards).codes.tolist() == find_groups(read).codes.tolist()
        assert split_catalogue(cards, by="random").parts == split_catalogue(read, by="random").parts
        assert explore(cards).counts == explore(read).counts


@pytest.mark.parametrize("column", ["title_column", "description_column"])
@pytest.mark.parametrize("further", [{}, {"category_id": ["1", "2"]}])
def test_a_category_is_no_title(column: str, further: dict[str, list[str]]) -> None:
    """Every answer would be read off the label, and the scores be worth nothing."""
    table = pd.DataFrame({"id": [1, 2], "name": ["a", "b"], "category": ["X", "Y"], **further})
    with pytest.raises(CatalogueError, match=r"^The column 'category' is the category of"):
        read_catalogue(table, **{column: "category"})
    named = {column: "category", "category_column": "shelf"}
    known = read_catalogue(table.assign(shelf=["A", "B"]), **named)
    assert known.values("category") == ["A", "B"]
    # So are the later cards of that catalogue.
    part = column.removesuffix("_column")
    assert read_catalogue(table, like=known).values(part) == ["X", "Y"]


def test_titles_are_predicted_from_anything_that_holds_texts(index: ProductIndex) -> None:
    """A column of a table is what most people have, and it was taken for no cards at all."""
    titles = [card["title"] for card in made.CARDS]
    expected = [answer.ranked for answer in index.predict(titles)]
    for given in (pd.Series(titles), np.array(titles), tuple(titles), (t for t in titles)):
        assert [answer.ranked for answer in index.predict(given)] == expected


def test_one_text_column_may_be_named_by_itself() -> None:
    """Its letters were looked for as columns."""
    cards = read_catalogue(TABLE.assign(brand="Torvik"), text_columns="brand")
    assert cards.values("brand") == ["Torvik"] * len(TABLE)


def test_a_preset_that_is_no_text_is_named() -> None:
    """An option of a program that is not set would end in an error of the insides."""
    with pytest.raises(EncoderError, match=r"^There is no preset None; the presets are embedded"):
        ProductIndex.build(CARDS, preset=None)  # type: ignore[arg-type]
