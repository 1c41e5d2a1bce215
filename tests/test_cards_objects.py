"""Objects in the columns of a card: names, keys, paths, languages and addresses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from catalogue_files import written

from prodcat_index.cards.catalogue import read_catalogue, read_labels

HOME = {"id": 1, "name": "Home"}


@pytest.mark.parametrize(
    ("given", "category", "key"),
    [
        ({"id": 9, "name": "Lamps"}, "Lamps", "9"),
        ({"id": 9, "title": "Lamps", "slug": "lamps"}, "Lamps", "9"),
        ({"key": "k", "label": "Lamps", "image": "https://x/y.jpg"}, "Lamps", "k"),
        ({"id": 9, "name": "Lamps", "parent": HOME}, "Home > Lamps", "9"),
        ([HOME, {"id": 9, "name": "Lamps"}], "Home > Lamps", "9"),
        ([{"name": "Home", "url": "/"}, {"name": "Lamps"}], "Home > Lamps", ""),
        ([{"id": 3, "name": "Sale"}, {"id": 9, "name": "L", "parent": HOME}], "Home > L", "9"),
        ({"id": 9, "name": {"en": "Lamps", "de": "Lampen"}}, "Lamps", "9"),
        ({"en": "Lamps", "de": "Lampen"}, "Lamps", ""),
        ([{"lang": "en", "value": "Lamps"}, {"lang": "de", "value": "Lampen"}], "Lamps", ""),
        ({"category_id": 9, "category_name": "Lamps"}, "Lamps", "9"),
        ({"_id": {"$oid": "f9"}, "name": "Lamps"}, "Lamps", "f9"),
        (["Home", "Lamps"], "Home > Lamps", ""),
        ("Lamps", "Lamps", ""),
    ],
)
@pytest.mark.parametrize("form", ["json", "csv", "printed", "frame", "parquet"])
def test_a_category_is_its_name_and_key(
    tmp_path: Path, given: Any, category: str, key: str, form: str
) -> None:
    """Printed dictionaries as categories: no card of another file has the same."""
    frame = pd.DataFrame({"id": ["a"], "title": ["T"], "category": [given]})
    path: Any = tmp_path / f"a.{form}"
    if form == "json":
        path.write_text(json.dumps([{"id": "a", "title": "T", "category": given}]))
    elif form == "parquet":
        frame.to_parquet(path)
    elif form == "frame":
        path = frame
    else:
        path = tmp_path / "a.csv"
        write = json.dumps if form == "csv" and not isinstance(given, str) else str
        frame.assign(category=[write(given)]).to_csv(path, index=False)
    [card] = read_catalogue(path)
    assert (card.category, card.category_id) == (category, key)
    assert read_labels(path) == {"a": category}


def test_languages_are_told(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "title": {"en": "Lamp", "de": "Lampe"}},
        {"id": "b", "title": {"de": "Rad"}},
    ]
    catalogue = read_catalogue(written(tmp_path, "a.json", json.dumps(rows)))
    assert [card.title for card in catalogue] == ["Lamp", "Rad"]
    assert str(catalogue.findings[0]) == (
        "2 cards have a title in several languages, of which 'en' is taken: a, b"
    )


def test_an_object_without_a_name_is_told() -> None:
    catalogue = read_catalogue([{"id": "a", "title": "T", "category": {"level": 3}}])
    assert [card.category for card in catalogue] == ["level: 3"]
    told = "1 card has an object without a name as its category (read as it is written): a"
    assert told in map(str, catalogue.findings)


@pytest.mark.parametrize(
    "given", [[{"src": "a.png"}], {"url": "a.png"}, [{"id": 1, "src": "a.png"}, {"src": "b.png"}]]
)
def test_a_picture_is_the_file_of_its_object(tmp_path: Path, given: Any) -> None:
    (tmp_path / "a.png").write_bytes(b"")
    rows = [{"id": "a", "title": "T", "images": given}]
    path = written(tmp_path, "a.json", json.dumps(rows))
    [card] = read_catalogue(path)
    assert card.image == str(tmp_path / "a.png")


def test_the_names_and_values_of_a_description_are_kept() -> None:
    given = [{"name": "Colour", "value": "red"}]
    [card] = read_catalogue([{"id": "a", "title": "T", "description": given}])
    assert card.description == "name: Colour, value: red"


def test_an_id_of_a_database_is_its_text() -> None:
    cards = read_catalogue([{"id": {"$oid": "f9"}, "title": "T"}])
    assert cards.ids == ["f9"]


def test_the_line_of_columns_tells_where_the_keys_are() -> None:
    cards = [{"id": n, "title": "T", "category": {"id": 9, "name": "Lamps"}} for n in (1, 2)]
    assert "category: category (1), category key: within category" in str(
        read_catalogue(cards).describe_columns()
    )
