"""Exports of shop systems and data sets: the values of their cards."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from catalogue_files import findings, written

from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.cards.exports import recognise
from prodcat_index.cards.readers import read_table
from prodcat_index.cards.table import Table


def saved(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Write rows as CSV, with empty fields for what one lacks."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
    return path


def parts(table: Table) -> list[dict[str, Any]]:
    """Return the parts of each card that the format defines."""
    frame = table.frame.astype(object).where(table.frame.notna(), "")
    return [
        {part: row[column] for part, column in table.columns.items()}
        for row in frame.to_dict("records")
    ]


def of_rows(rows: list[dict[str, Any]]) -> Table:
    return recognise(Table(pd.DataFrame(rows)), "the table")


SHOPIFY = [
    {
        **{"Handle": "lamp", "Title": "Lamp", "Body (HTML)": "<p>Nice</p>", "Vendor": "V"},
        **{"Product Category": "", "Type": "Lamps", "Tags": "a, b", "Option1 Name": "Size"},
        **{"Option1 Value": "S", "Image Src": "https://x/1.jpg", "Image Position": "1"},
    },
    {"Handle": "lamp", "Option1 Value": "M", "Image Src": "https://x/2.jpg"},
    {"Handle": "mug", "Title": "Mug", "Body (HTML)": "", "Type": "Mugs", "Tags": ""},
    {"Handle": "lamp", "Image Src": "https://x/3.jpg", "Tags": "late"},
    {"Handle": "mug", "Image Src": "https://x/m.jpg"},
    {"Handle": "rug", "Title": "Rug", "Product Category": "Home > Rugs"},
]


def test_rows_of_a_shopify_product_are_one_card(tmp_path: Path) -> None:
    """Else most of the index are cards without a text."""
    path = saved(tmp_path / "products_export.csv", SHOPIFY)
    assert parts(read_table(path)) == [
        {
            **{"id": "lamp", "title": "Lamp", "description": "<p>Nice</p>"},
            **{"category": "Lamps", "image": "https://x/1.jpg"},
        },
        {
            **{"id": "mug", "title": "Mug", "description": ""},
            **{"category": "Mugs", "image": "https://x/m.jpg"},
        },
        {"id": "rug", "title": "Rug", "description": "", "category": "", "image": ""},
    ]
    assert findings(path) == [
        "3 rows hold a variant or a further picture of a product (joined to it): "
        "row 2, row 4, row 5"
    ]
    assert read_table(path).format == "Shopify product export"


def test_the_fuller_category_of_shopify_is_taken() -> None:
    rows = [{**row, "Product Category": "Home > All"} for row in SHOPIFY]
    assert {card["category"] for card in parts(of_rows(rows))} == {"Home > All"}


def test_the_newer_shopify_export_is_read() -> None:
    rows = [
        {"URL handle": "lamp", "Title": "Lamp", "Description": "Nice", "Type": "Lamps"},
        {"URL handle": "lamp", "Title": "", "Product image URL": "https://x/1.jpg"},
    ]
    assert parts(of_rows(rows)) == [
        {
            **{"id": "lamp", "title": "Lamp", "description": "Nice"},
            **{"category": "Lamps", "image": "https://x/1.jpg"},
        }
    ]


def test_shopify_rows_without_a_handle_are_not_joined() -> None:
    """Joined to each other, all but one of the products would be lost."""
    rows = [{"Handle": "", "Title": f"Lamp {n}", "Vendor": "V"} for n in range(3)]
    assert [card["title"] for card in parts(of_rows(rows))] == ["Lamp 0", "Lamp 1", "Lamp 2"]


WOO_RUSSIAN = {
    **{"Type": "Тип", "SKU": "Артикул", "Name": "Имя", "Categories": "Категории"},
    **{"Description": "Описание", "Short description": "Краткое описание", "Images": "Изображения"},
    **{"Parent": "Родительский", "Published": "Опубликован"},
    **{"Attribute 1 name": "Название атрибута 1", "Attribute 2 name": "Название атрибута 2"},
    **{"Attribute 1 value(s)": "Значения атрибутов 1"},
    **{"Attribute 2 value(s)": "Значение(-я) атрибута(-ов) 2"},
}
WOO = [
    {
        **{"ID": "10", "Type": "variable", "SKU": "H", "Name": "Hoodie", "Published": "1"},
        **{"Description": "", "Short description": "Warm", "Parent": ""},
        "Categories": "Sale, Clothing &gt; Men > Hoodies, Clothing > Men",
        "Images": "https://x/a.jpg, https://x/b.jpg",
        **{"Attribute 1 name": "Color", "Attribute 1 value(s)": "Red, Blue"},
        **{"Attribute 2 name": "Logo", "Attribute 2 value(s)": ""},
    },
    {"ID": "11", "Type": "variation", "SKU": "H-R", "Name": "Hoodie - Red", "Parent": "id:10"},
    {"ID": "12", "Type": "variation, virtual", "Name": "Hoodie - Blue", "Parent": "H"},
    {
        **{"ID": "13", "Type": "simple", "Name": "Bag", "Description": "Big"},
        "Categories": "Bags\\, cases",
    },
    {"ID": "14", "Type": "variation", "Name": "Lost", "Parent": "id:99"},
]
WOO_CARDS = [
    ["10", "Hoodie", "Warm", "Clothing > Men > Hoodies", "https://x/a.jpg", "10"],
    ["11", "Hoodie - Red", "Warm", "Clothing > Men > Hoodies", "https://x/a.jpg", "10"],
    ["12", "Hoodie - Blue", "Warm", "Clothing > Men > Hoodies", "https://x/a.jpg", "10"],
    ["13", "Bag", "Big", "Bags, cases", "", ""],
    ["14", "Lost", "", "", "", "id:99"],
]


@pytest.mark.parametrize("names", [{}, WOO_RUSSIAN], ids=["English", "Russian"])
def test_variations_of_woocommerce_get_what_their_product_has(
    tmp_path: Path, names: dict[str, str]
) -> None:
    """Variations have neither a description nor a category of their own."""
    rows = [{names.get(name, name): value for name, value in row.items()} for row in WOO]
    table = read_table(saved(tmp_path / "wc-product-export.csv", rows))
    order = ("id", "title", "description", "category", "image", "group")
    assert [[card[part] for part in order] for card in parts(table)] == WOO_CARDS
    assert table.frame["attributes"][0] == "Color: Red, Blue"
    assert [str(found) for found in table.findings] == [
        "2 rows hold a variation (what it lacks is taken from its product): row 2, row 3"
    ]
    assert table.format == "WooCommerce product export"


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (WOO, "id: ID, title: Name, description: Description, category: Categories"),
        ("MAGENTO", "id: sku, title: name, description: description, category: categories (2)"),
    ],
)
def test_what_is_made_of_a_column_bears_its_name(tmp_path: Path, rows: Any, line: str) -> None:
    """Who reads the line looks for the columns of the file."""
    path = saved(tmp_path / "export.csv", MAGENTO if rows == "MAGENTO" else rows)
    described = read_catalogue(path).describe_columns()
    assert described.startswith(line) and "categor" not in described.partition("ignored:")[2]


MAGENTO = [
    {
        **{"sku": "MH01-S", "store_view_code": "", "attribute_set_code": "Top", "name": "Hoodie S"},
        **{"product_type": "simple", "categories": "", "base_image": "/m/h/mh01-s.jpg"},
        "additional_attributes": "color=Red,size=S",
    },
    {"sku": "MH01-S", "store_view_code": "de", "name": "Kapuzenpulli"},
    {
        **{"sku": "MH01", "name": "Hoodie", "product_type": "configurable"},
        "categories": "Default Category/Men,Default Category/Men/Tops/Hoodies,Default Category",
        **{"description": "", "short_description": "<p>Warm</p>", "base_image": "/m/h/mh01.jpg"},
        "configurable_variations": "sku=MH01-S,size=S|sku=MH01-X,size=X",
    },
    {
        **{"sku": "B1", "name": "Bag", "product_type": "simple", "description": "Big"},
        "categories": "Default Category/Gear/Bags",
    },
]


def test_products_of_magento_are_read(tmp_path: Path) -> None:
    table = read_table(saved(tmp_path / "export.csv", MAGENTO))
    order = ("id", "title", "description", "category", "image", "group")
    assert [[card[part] for part in order] for card in parts(table)] == [
        ["MH01-S", "Hoodie S", "<p>Warm</p>", "Men > Tops > Hoodies", "m/h/mh01-s.jpg", "MH01"],
        ["MH01", "Hoodie", "<p>Warm</p>", "Men > Tops > Hoodies", "m/h/mh01.jpg", "MH01"],
        ["B1", "Bag", "Big", "Gear > Bags", "", ""],
    ]
    assert table.frame["attributes"][0] == "color: Red, size: S"
    assert [str(found) for found in table.findings] == [
        "1 row holds a translation of a product (left out): row 2"
    ]


def test_a_translation_without_its_product_is_kept() -> None:
    table = of_rows([{**MAGENTO[3], "store_view_code": "de"}])
    assert [card["id"] for card in parts(table)] == ["B1"]


AMAZON_2018 = {
    **{"asin": "B01", "title": "Lamp", "description": ["Nice.", "Bright."], "main_cat": "Home"},
    "category": ["Home &amp; Kitchen", "Lamps", "</span></span></span>"],
    **{"feature": ["E27", "5 W"], "also_buy": ["B02"], "brand": "V", "price": "$5"},
    **{"imageURL": ["https://x/s.jpg"], "imageURLHighRes": ["https://x/l.jpg"]},
}
AMAZON_2023 = {
    **{"parent_asin": "B09", "title": "Mug", "description": [], "main_category": "Home"},
    **{"categories": ["Kitchen", "Mugs"], "features": ["Clay"], "store": "S", "price": 3.5},
    "images": [{"thumb": "https://x/t.jpg", "large": "https://x/L.jpg", "hi_res": None}],
    "details": {"Color": "Red"},
}


def test_amazon_metadata_of_2018_is_read(tmp_path: Path) -> None:
    lines = [AMAZON_2018, {**AMAZON_2018, "asin": "B02", "category": []}, AMAZON_2018]
    path = written(tmp_path, "meta.jsonl", "\n".join(map(json.dumps, lines)))
    first, second = parts(read_table(path))
    assert first == {
        **{"id": "B01", "title": "Lamp", "description": "Nice.\nBright."},
        **{"category": "Home & Kitchen > Lamps", "image": "https://x/l.jpg"},
    }
    assert (second["id"], second["category"]) == ("B02", "Home")
    assert findings(path) == ["1 row is the same as an earlier one (left out): row 3"]
    assert read_table(path).frame["attributes"][0] == "E27\n5 W"


def test_amazon_metadata_of_2014_is_read() -> None:
    row = {"asin": "B01", "title": "Lamp", "description": "Nice", "imUrl": "https://x/1.jpg"}
    assert parts(of_rows([{**row, "categories": [["Home"], ["Home", "Lamps"]]}])) == [
        {
            **{"id": "B01", "title": "Lamp", "description": "Nice"},
            **{"category": "Home > Lamps", "image": "https://x/1.jpg"},
        }
    ]


@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_amazon_metadata_of_2023_is_read(tmp_path: Path, form: str) -> None:
    path = tmp_path / f"meta.{form}"
    if form == "jsonl":
        path.write_text(json.dumps(AMAZON_2023) + "\n")
    else:
        sizes = {"hi_res": [None], "large": ["https://x/L.jpg"], "thumb": ["https://x/t.jpg"]}
        pd.DataFrame([{**AMAZON_2023, "images": sizes, "description": ["Big"]}]).to_parquet(path)
    assert parts(read_table(path)) == [
        {
            **{"id": "B09", "title": "Mug", "description": "Clay" if form == "jsonl" else "Big"},
            **{"category": "Kitchen > Mugs", "image": "https://x/L.jpg"},
        }
    ]


@pytest.mark.parametrize("prefix", ["", "g:"])
@pytest.mark.parametrize("space", ["_", " "])
def test_a_google_feed_as_a_table_is_read(tmp_path: Path, prefix: str, space: str) -> None:
    names = ["id", "title", "description", "link", "image_link", "availability", "price"]
    names += ["google_product_category", "product_type", "item_group_id"]
    values = ["1", "Lamp", "Nice", "https://x", "https://x/1.jpg", "in stock", "1 EUR"]
    values += ["594", "Home > Lamps", "G"]
    header = "\t".join(prefix + name.replace("_", space) for name in names)
    path = written(tmp_path, "feed.tsv", header + "\n" + "\t".join(values) + "\n")
    assert parts(read_table(path)) == [
        {
            **{"id": "1", "title": "Lamp", "description": "Nice", "group": "G"},
            **{"category": "Home > Lamps", "image": "https://x/1.jpg"},
        }
    ]


def test_a_plain_table_is_no_export() -> None:
    for names in (
        ["id", "title", "description", "category"],
        ["id", "type", "name", "categories", "price"],
        ["sku", "name", "categories"],
        ["asin", "title", "category", "price"],
        ["title", "handle"],
    ):
        table = of_rows([dict.fromkeys(names, "a")])
        assert (table.columns, table.findings) == ({}, ())
        assert list(table.frame.columns) == names


def test_a_table_that_a_user_read_is_recognised_as_well() -> None:
    cards = read_catalogue(pd.DataFrame(SHOPIFY))
    assert cards.ids == ["lamp", "mug", "rug"]


WOOCOMMERCE_HEADS = {
    "en": "ID,Type,SKU,Name,Published,Categories,Images,Parent,Attribute 1 name,"
    "Attribute 1 value(s)",
    "de": "ID,Typ,Artikelnummer,Name,Veröffentlicht,Kategorien,Bilder,Übergeordnetes Produkt,"
    "Name des Attributs 1,Attributwert(e) 1",
    "fr": "ID,Type,UGS,Nom,Publié,Catégories,Images,Parent,Nom de l’attribut 1,"
    "Valeur(s) de l’attribut 1 ",
    "es": "ID,Tipo,SKU,Nombre,Publicado,Categorías,Imágenes,Superior,Nombre del atributo 1,"
    "Valor(es) del atributo 1",
    "it": "ID,Tipo,COD,Nome,Pubblicato,Categorie,Immagini,Genitore,Nome dell'attributo 1,"
    "Valore dell'attributo 1",
    "pt": "ID,Tipo,SKU,Nome,Publicado,Categorias,Imagens,Ascendente,Nome do atributo 1,"
    "Valores do atributo 1",
    "pl": "ID,Rodzaj,SKU,Nazwa,Opublikowano,Kategorie,Obrazki,Nadrzędny,Nazwa atrybutu 1,"
    "Wartość atrybutu 1",
}


@pytest.mark.parametrize("language", WOOCOMMERCE_HEADS)
def test_a_woocommerce_export_of_each_language_is_one(tmp_path: Path, language: str) -> None:
    """Else a list of paths is one category, and variations have none."""
    rows = (
        '7,variable,L,Lamp,1,"Home > Lamps, Home","https://x/1.jpg, https://x/2.jpg",,Size,"S, M"\n'
        "8,variation,L,Lamp S,1,,,id:7,Size,S\n9,variation,L-M,Lamp M,1,,,L,Size,M\n"
    )
    path = written(tmp_path, "a.csv", f"{WOOCOMMERCE_HEADS[language]}\n{rows}")
    cards = read_catalogue(path).cards
    assert list(cards["category"]) == ["Home > Lamps"] * 3
    assert list(cards["group"]) == ["7"] * 3
    assert read_table(path).frame["attributes"][0] == "Size: S, M"


def test_a_woocommerce_export_needs_no_type(tmp_path: Path) -> None:
    content = 'ID,Name,Published,Short description,Categories\n7,Lamp,1,a\\nb,"A > B, A"\n'
    [card] = read_catalogue(written(tmp_path, "a.csv", content))
    assert (card.category, card.description) == ("A > B", "a b")


def test_a_table_with_types_of_its_own_is_no_woocommerce_export(tmp_path: Path) -> None:
    """Else of the names of a category with commas all but one are lost."""
    content = 'id,type,name,categories,images\n1,lamp,A,"Home, In, Out",a.jpg\n'
    [card] = read_catalogue(written(tmp_path, "a.csv", content))
    assert card.category == "Home, In, Out"


def test_lists_of_json_are_no_woocommerce_export(tmp_path: Path) -> None:
    row = {"id": 1, "type": "simple", "name": "A", "published": True, "categories": ["A", "B, C"]}
    [card] = read_catalogue(written(tmp_path, "a.json", json.dumps([row])))
    assert card.category == "A > B, C"


def test_a_slash_in_a_magento_name_is_kept() -> None:
    row = {"sku": "1", "name": "A", "product_websites": "base"}
    [card] = read_catalogue(of_rows([row | {"categories": "R/A/B \\/ C,R/A"}]))
    assert card.category == "A > B / C"


def test_rows_of_a_magento_1_product_are_one_card() -> None:
    """Else the export is refused, for its further rows have no id."""
    first = {"sku": "1", "_store": "", "_category": "Sale", "name": "A", "image": "/a/1.jpg"}
    more = {"sku": "", "_store": "", "_category": "Home, in/Lamps", "name": "", "image": ""}
    other = first | {"sku": "2", "name": "B"}
    table = of_rows([first, more, other])
    assert parts(table) == [
        {"id": "1", "title": "A", "category": "Home, in > Lamps", "image": "a/1.jpg"},
        {"id": "2", "title": "B", "category": "Sale", "image": "a/1.jpg"},
    ]
    assert [str(finding) for finding in table.findings] == [
        "1 row holds a variant or a further picture of a product (joined to it): row 2"
    ]


def test_a_variation_with_the_sku_of_its_product_has_its_category() -> None:
    """Else it is its own parent, and has no category."""
    head = {"type": "variable", "sku": "W", "name": "A", "categories": "H > L", "parent": ""}
    variation = {"type": "variation", "sku": "W", "name": "A red", "categories": "", "parent": "W"}
    rows = [{"id": "1", **head}, {"id": "2", **variation}]
    assert [card["category"] for card in parts(of_rows(rows))] == ["H > L", "H > L"]


def test_lists_of_json_are_no_shopify_export() -> None:
    """Rows of the same handle are other products there; joined, all but one were lost."""
    row = {"handle": "a", "title": "A", "vendor": ["V", "W"], "category": "C"}
    assert [
        card.title for card in read_catalogue([row, row | {"title": "B"}], id_column="title")
    ] == ["A", "B"]
