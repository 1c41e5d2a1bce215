"""Files of ids, and of new categories: what is read of them, and what would be lost."""

from __future__ import annotations

from pathlib import Path

import made
import pandas as pd
import pytest

from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.cards.lists import read_ids, read_new_categories
from prodcat_index.errors import CatalogueError

CARDS = read_catalogue(pd.DataFrame(made.CARDS).rename(columns={"id": "sku"}))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("gone.txt", "b1\n\n k1 \n"),
        ("gone.list", "b1\r\nk1"),
        ("gone.csv", "sku,title\nb1,red\nk1,steel\n"),
        ("gone.csv", "anything\nb1\nk1\n"),
        ("gone.csv", "article,title,sku\n1,red,b1\n2,steel,k1\n"),
        # Without names of columns, the first id would be taken for one.
        ("gone.csv", "b1\nk1\n"),
        ("gone.json", '[{"sku": "b1"}, {"sku": "k1"}]'),
    ],
)
def test_ids_are_read_from_lines_and_from_the_column_of_the_index(
    name: str, content: str, tmp_path: Path
) -> None:
    """A card would stay in the shop, or another one go."""
    (tmp_path / name).write_text(content, encoding="utf-8")
    assert read_ids(tmp_path / name, CARDS) == ["b1", "k1"]


def test_a_file_without_a_column_of_ids_names_its_columns(tmp_path: Path) -> None:
    (tmp_path / "gone.csv").write_text("colour,size\nred,1\n")
    with pytest.raises(
        CatalogueError, match=r"needs a column of ids\. The columns are colour, size"
    ):
        read_ids(tmp_path / "gone.csv", CARDS)
    with pytest.raises(CatalogueError, match="There is no file"):
        read_ids(tmp_path / "nothing.csv", CARDS)


def test_new_categories_are_read_by_category_and_by_id(tmp_path: Path) -> None:
    """Renaming, merging and splitting take one file."""
    file = tmp_path / "map.csv"
    file.write_text(f"old,new\n{made.BOOTS},Boots\nk1,Kettles > Steel\n", encoding="cp1251")
    read = read_new_categories(file, CARDS, "cp1251")
    assert read == {made.BOOTS: "Boots", "k1": "Kettles > Steel"}


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("old\nx\n", "needs two columns, a category or the id of a card and its new category"),
        ("old,new,more\nx,y,z\n", "The columns are old, new, more."),
        (f"{made.BOOTS},Boots\nk1,X\n", "begins with 'Shoes > Boots' and not with the names of"),
        ("k1,X\nk2,X\n", "begins with 'k1' and not with the names of its columns"),
        ("old,new\nk1,\n,Y\n", r"has lines without a name or a new category \(k1, nothing\)"),
        ("old,new\nk1,X\nk1,Y\n", "has several new categories for k1; leave one of each"),
    ],
)
def test_new_categories_that_are_not_clear_are_refused(
    content: str, said: str, tmp_path: Path
) -> None:
    """A category would be lost, or the first line of the file."""
    (tmp_path / "map.csv").write_text(content)
    with pytest.raises(CatalogueError, match=said):
        read_new_categories(tmp_path / "map.csv", CARDS)


def test_a_map_and_a_list_of_one_line_are_told_that_a_header_is_needed(tmp_path: Path) -> None:
    """The only line would be taken for a header, and nothing be changed without a reason."""
    path = tmp_path / "map.csv"
    path.write_text("A,B\n")
    with pytest.raises(CatalogueError, match=r"a header \(A, B\) and no rows. .*old,new is needed"):
        read_new_categories(path, CARDS)
    with pytest.raises(CatalogueError, match=r"a header \(A, B\) and no rows. .*id is needed"):
        read_ids(path, CARDS)
