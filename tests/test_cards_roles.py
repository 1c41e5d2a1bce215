"""Which column of a table is which part of a card."""

from __future__ import annotations

import pytest

from prodcat_index.cards.levels import find_levels
from prodcat_index.cards.roles import USUAL_NAMES, WEAK_NAMES, doubt_category, find_columns
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


@pytest.mark.parametrize(
    ("seen", "found"),
    [
        (["Artikelnummer", "Bezeichnung", "Kategorien", "Bild"], "de"),
        (["Référence", "Désignation", "Catégorie", "Photo"], "fr"),
        (["Código", "Nombre", "Categoría", "Imagen"], "es"),
        (["Codice", "Titolo", "Categorie", "Immagini"], "it"),
        (["Referência", "Título", "Categorias", "Imagem"], "pt"),
        (["Indeks", "Nazwa produktu", "kategorie", "Zdjęcie"], "pl"),
        (["ÜRÜN KODU", "Ürün Adı", "KATEGORİ", "Görsel"], "tr"),
        (["Код товара", "Номенклатура", "Категории", "Изображения"], "ru"),
        (["SKU", "Names", "Categories", "Images"], "en"),
        (["Art.-Nr.", "Artikel", "Kategorie", "Bild 1"], "numbered"),
        (["Item No.", "productDisplayName", "product_category_tree", "Main Image URL"], "main"),
        (["Артикул продавца", "Название_позиции", "Название_группы", "Фото 1"], "ru, numbered"),
        (["objectID", "title_ru", "category_ru", "Immagine principale"], "of a language"),
        (["uniq_id", "Название товара или услуги", "Категория продавца", "RESİM 1"], "tr"),
        (["ID *", "Name (required)", "Categories (x,y,z...)", "Bild"], "with a remark"),
        (["id", "Название товара (обязательно)", "Категория товара*", "Фото"], "ru, with a remark"),
        (["id", "DE_Name", "Kategorie", "Bild"], "a language first"),
        (["id", "name(ru-ru)", "Reparto", "Image URL 1"], "of a language and region"),
        (["referencia", "titulo", "CATEGORIA", "imagem"], "without accents"),
    ],
)
def test_the_usual_names_of_many_languages_are_known(seen: list[str], found: str) -> None:
    """A shop abroad would have to name every column, or get an index of something else."""
    columns = find_columns(seen, {})
    assert [columns[part] for part in ("id", "title", "category", "image")] == seen, found


def test_a_usual_name_is_of_one_part() -> None:
    """Which of two parts a column becomes would depend on the order of a list."""
    lists = [names.split(",") for names in (*USUAL_NAMES.values(), WEAK_NAMES)]
    keys = [
        {find_columns([name], {})[part] for name in names}
        for part, names in zip([*USUAL_NAMES, "category"], lists, strict=True)
    ]
    assert not any("" in found for found in keys)
    names = [name.strip().casefold() for own in lists for name in own]
    assert sum(names.count(name) for name in set(names)) <= len(set(names)) + 5


@pytest.mark.parametrize(
    "better", ["categories", "Kategorie", "category_id", "google_product_category"]
)
@pytest.mark.parametrize("weak", ["type", "product_type", "label", "class"])
def test_a_weak_name_is_the_category_only_where_there_is_no_better(weak: str, better: str) -> None:
    """A Magento export would be sorted into simple and configurable products."""
    assert find_columns([weak, "name", better], {})["category"] == better
    assert find_columns([weak, "name"], {})["category"] == weak


@pytest.mark.parametrize("values", [["simple", "Configurable"], ["0", "1", ""], ["yes", "no"]])
def test_values_that_are_no_categories_are_doubted(values: list[str]) -> None:
    """An index of flags answers every question with a flag, and says that it is right."""
    doubt = doubt_category("type", values, ["type", "name"])
    assert doubt.startswith("the category is taken from the column 'type', which holds ")
    assert doubt.endswith("The columns are type, name.")
    assert doubt_category("type", [*values, "Lamps"], ["type"]) == ""


KNOWN = {"id": "sku", "title": "headline", "category": "shelf", "image": "", "brand": "maker"}


def test_other_cards_are_read_from_the_same_columns() -> None:
    """A delivery read by its usual names would be compared by other texts, without a word."""
    seen = ["id", "sku", "title", "Headline", "category", "shelf", "maker", "image"]
    assert find_columns(seen, {}, known=KNOWN) == {
        **dict.fromkeys(PARTS, ""),
        **{"id": "sku", "title": "Headline", "category": "shelf", "image": "image"},
        "brand": "maker",
    }


def test_what_was_read_from_a_column_comes_from_no_other() -> None:
    """The column "title" may hold anything: the index does not know it."""
    columns = find_columns(["id", "title", "category", "brand"], {}, known=KNOWN)
    assert {part: name for part, name in columns.items() if name} == {"id": "id"}
    assert "brand" in columns


def test_an_option_and_a_known_format_are_stronger_than_what_is_missing() -> None:
    columns = find_columns(
        ["id", "title", "shelf", "g:type"],
        {"title": "title"},
        known=KNOWN,
        defined={"category": "g:type"},
    )
    assert (columns["title"], columns["category"]) == ("title", "shelf")
    columns = find_columns(["title", "g:type"], {}, known=KNOWN, defined={"category": "g:type"})
    assert (columns["title"], columns["category"]) == ("", "g:type")


def test_a_format_is_stronger_than_a_usual_name() -> None:
    columns = find_columns(["title", "name"], {}, defined={"title": "name"})
    assert columns["title"] == "name"


def test_the_first_of_numbered_pictures_is_taken_whatever_the_order() -> None:
    assert find_columns(["image10", "image2", "image1"], {})["image"] == "image1"
    assert find_columns(["image2", "Main image"], {})["image"] == "Main image"


@pytest.mark.parametrize(
    ("seen", "levels"),
    [
        (["category_level_2", "category_level_1"], ["category_level_1", "category_level_2"]),
        (["category l1", "category l2", "id"], ["category l1", "category l2"]),
        (["Subcategory", "Category"], ["Category", "Subcategory"]),
        (["Kategorie", "Unterkategorie"], ["Kategorie", "Unterkategorie"]),
        (["Categoria", "Sottocategoria"], ["Categoria", "Sottocategoria"]),
        (["masterCategory", "subCategory"], ["masterCategory", "subCategory"]),
        (["Категория", "Подкатегория"], ["Категория", "Подкатегория"]),
        (
            ["Категория 1 уровня", "Категория 2 уровня"],
            ["Категория 1 уровня", "Категория 2 уровня"],
        ),
        (["Kategoria główna", "Podkategoria"], ["Kategoria główna", "Podkategoria"]),
        (
            ["sub_category_2", "category", "sub_category_1"],
            ["category", "sub_category_1", "sub_category_2"],
        ),
        (["Untergruppe", "Warengruppe"], ["Warengruppe", "Untergruppe"]),
        (["category", "sub_sub_category", "sub_category"], None),
        # No levels: one alone, or beside a column of whole categories.
        (["subcategory", "title"], []),
        (["category_1", "title"], []),
        (["category", "category_1", "category_2"], []),
        (["category_id_1", "category_id_2"], []),
    ],
)
def test_levels_are_found_by_their_names(seen: list[str], levels: list[str] | None) -> None:
    expected = ["category", "sub_category", "sub_sub_category"] if levels is None else levels
    assert find_levels(seen) == expected
