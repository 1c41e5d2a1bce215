"""The KazanExpress layout."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.errors import CatalogueError

LAMP = {
    "title": "Лампа &quot;Уют&quot;",
    "description": "<p>Для <b>дома</b></p><p>5 Вт</p>",
    "attributes": ["красная", "настольная"],
    "custom_characteristics": {},
    "defined_characteristics": {"Цвет": ["красный"], "Цоколь": "E27"},
    "filters": {"Бренд": "Уют"},
}


def table(text_fields: list[Any]) -> pd.DataFrame:
    count = len(text_fields)
    return pd.DataFrame(
        {
            "product_id": [10 + row for row in range(count)],
            "category_id": [7] * count,
            "sale": [True] * count,
            "shop_title": ["Лавка"] * count,
            "rating": [4.5] * count,
            "text_fields": text_fields,
            "category_name": ["Все категории->Дом->Свет"] * count,
        }
    )


def test_a_card_is_taken_out_of_its_json() -> None:
    catalogue = read_catalogue(
        table([json.dumps(LAMP)]), text_columns=["attributes", "defined_characteristics"]
    )
    card = catalogue.cards.iloc[0].to_dict()
    assert card == {
        "id": "10",
        "title": 'Лампа "Уют"',
        "description": "Для дома 5 Вт",
        "attributes": "красная, настольная",
        "defined_characteristics": "Цвет: красный, Цоколь: E27",
        "image": "",
        "category": "Все категории > Дом > Свет",
        "category_id": "7",
        "group": "",
        "sale": True,
        "shop_title": "Лавка",
        "rating": 4.5,
        "custom_characteristics": "",
        "filters": "Бренд: Уют",
    }
    assert catalogue.text_modalities == (
        *("title", "description", "attributes", "defined_characteristics"),
    )


def test_the_category_can_be_the_identifier() -> None:
    catalogue = read_catalogue(table([json.dumps(LAMP)]), category_column="category_id")
    assert catalogue.values("category") == ["7"]


def test_absent_fields_are_empty() -> None:
    catalogue = read_catalogue(table(['{"title": "Лампа"}', "", None]))
    assert catalogue.values("title") == ["Лампа", "", ""]
    assert catalogue.values("description") == ["", "", ""]


@pytest.mark.parametrize("broken", ['{"title": "Ла', "[1]", "[" * 100_000])
def test_a_broken_card_is_named(broken: str) -> None:
    with pytest.raises(
        CatalogueError, match=r"^text_fields of product 11 is (not JSON \(|JSON, but no object)"
    ):
        read_catalogue(table(['{"title": "a"}', broken]))


def test_a_file_without_categories_is_read_as_new_listings(tmp_path: Path) -> None:
    path = tmp_path / "test.parquet"
    table([json.dumps(LAMP)] * 2).drop(columns=["category_id", "category_name"]).to_parquet(path)
    catalogue = read_catalogue(path)
    assert catalogue.values("category") == ["", ""]
    assert catalogue.findings == ()


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("images/train", "train"),
        ("images", "train"),
        ("images/train", "part"),
        ("images/test", "part"),
        ("images", "part"),
    ],
)
def test_pictures_are_found_where_the_layout_has_them(
    tmp_path: Path, folder: str, name: str
) -> None:
    """Without its pictures the catalogue would be indexed by texts alone."""
    picture = tmp_path / folder / "10.jpg"
    picture.parent.mkdir(parents=True)
    picture.touch()
    path = tmp_path / f"{name}.parquet"
    table([json.dumps(LAMP)] * 2).to_parquet(path)
    catalogue = read_catalogue(path)
    assert catalogue.values("image") == [str(picture.resolve()), ""]
    tried = tmp_path / "images" / "11.jpg"
    assert [str(finding) for finding in catalogue.findings] == [
        f"1 card has no picture file of its id (the first: {tried}): 11"
    ]


def test_pictures_of_its_own_part_come_first(tmp_path: Path) -> None:
    for folder in ("images/train", "images/test"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "10.jpg").touch()
    table([json.dumps(LAMP)]).to_parquet(tmp_path / "test.parquet")
    [found] = read_catalogue(tmp_path / "test.parquet").values("image")
    assert Path(found).parent.name == "test"
