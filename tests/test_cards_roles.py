"""Which column of a table is which part of a card."""

from __future__ import annotations

import pytest

from prodcat_index.cards.roles import find_columns
from prodcat_index.errors import CatalogueError

PARTS = ("id", "title", "description", "category", "category_id", "image", "group")


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        (
            ["id", "title", "description", "category", "image", "group"],
            ["id", "title", "description", "category", "", "image", "group"],
        ),
        (
            ["SKU", "Product Name", "TEXT", "Label", "Photo", "variant-group"],
            ["SKU", "Product Name", "TEXT", "Label", "", "Photo", "variant-group"],
        ),
        (
            ["Артикул", "Наименование товара", "Описание", "Категория", "Фото"],
            ["Артикул", "Наименование товара", "Описание", "Категория", "", "Фото", ""],
        ),
        (
            ["product_id", "category_id", "title", "category_name"],
            ["product_id", "title", "", "category_name", "category_id", "", ""],
        ),
    ],
)
def test_usual_names_are_found(seen: list[str], found: list[str]) -> None:
    """Else every user has to type six options for an ordinary file."""
    assert find_columns(seen, {}) == dict(zip(PARTS, found, strict=True))


def test_the_plain_name_is_preferred_whatever_the_order() -> None:
    columns = find_columns(["category_path", "category", "name", "title"], {})
    assert (columns["category"], columns["title"]) == ("category", "title")


def test_an_identifier_is_the_category_where_there_is_no_other() -> None:
    assert find_columns(["title", "category_id"], {})["category"] == "category_id"


def test_columns_of_other_things_are_left_alone() -> None:
    columns = find_columns(["shop_title", "rating", "subcategory", "name2"], {})
    assert not any(columns.values())


def test_a_named_column_is_used_for_its_part_only() -> None:
    """The label taken for the title as well would give the answer away."""
    columns = find_columns(["name", "text"], {"category": "name", "title": "text"})
    assert {part: name for part, name in columns.items() if name} == {
        **{"title": "text", "category": "name"}
    }


def test_the_title_is_not_embedded_twice() -> None:
    columns = find_columns(["title", "brand"], {}, ["brand", "title", "brand"])
    assert [part for part in columns if part not in PARTS] == ["brand"]
    assert (columns["title"], columns["brand"]) == ("title", "brand")


def test_a_misspelled_column_is_answered_with_the_nearest() -> None:
    with pytest.raises(CatalogueError) as error:
        find_columns(["id", "Title", "price"], {"title": "titel"})
    assert "'titel'" in str(error.value)
    assert "Did you mean 'Title'?" in str(error.value)
    assert "The columns are id, Title, price." in str(error.value)


def test_a_column_like_no_other_gets_no_guess() -> None:
    with pytest.raises(CatalogueError) as error:
        find_columns(["id", "title"], {}, ["zzzzzzz"])
    assert "Did you mean" not in str(error.value)


@pytest.mark.parametrize("texts", [["category"], ["category_id"], ["image"]])
def test_the_answer_cannot_be_embedded_as_a_text(texts: list[str]) -> None:
    """A label among the texts scores near 1.0 in every test and fails on new cards."""
    with pytest.raises(CatalogueError, match=f"'{texts[0]}' is the {texts[0]} of the cards"):
        find_columns(["title", "category", "category_id", "image"], {}, texts)


def test_the_title_cannot_be_the_category() -> None:
    with pytest.raises(CatalogueError, match="cannot be one of their texts"):
        find_columns(["title"], {"title": "title", "category": "title"})
