"""Roles: which column of a table is which part of a card."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING

from prodcat_index.errors import CatalogueError, did_you_mean
from prodcat_index.findings import name_first

if TYPE_CHECKING:
    from prodcat_index.cards.card import Catalogue

SHOWN_COLUMNS = 30
RENAMED = "_in_file"
MAY_DIFFER = ("id", "group")
OPTIONS = "--title-column, --description-column, --text-column or --image-column"
NO_TEXTS = ("id", "category", "category_id", "image", "group")
# Letters that do not decompose into another and an accent.
WITHOUT_ACCENT = str.maketrans("łıø", "lio")
# By part, the likeliest first: English, Russian, German, French, Spanish, Italian, Portuguese,
# Polish, Turkish. Case, accents, spaces and underscores do not count.
USUAL_NAMES = {
    "id": "id, product_id, card_id, item_id, offer_id, listing_id, sku, article, asin, uid, "
    "product_code, item_number, part_number, "
    "артикул, ид, код, ид товара, id товара, код товара, номенклатурный номер, "
    "Artikelnummer, Artikel-Nr, Artnr, Produktnummer, Bestellnummer, "
    "référence, référence produit, identifiant, code article, código, código producto, "
    "codice, codice articolo, codice prodotto, riferimento, código do produto, referência, "
    "identyfikator, indeks, numer katalogowy, kod produktu, ürün kodu, ürün id, stok kodu, kod",
    "title": "title, product_title, name, product_name, item_name, product, heading, "
    "titles, names, item_title, display_name, headline, "
    "название, наименование, название товара, наименование товара, товар, имя, заголовок, "
    "номенклатура, Titel, Bezeichnung, Produktname, Artikelname, Artikelbezeichnung, "
    "Produktbezeichnung, Produkttitel, titre, nom, nom du produit, désignation, libellé, intitulé, "
    "título, nombre, nombre del producto, denominación, titolo, nome, nome prodotto, "
    "denominazione, nome do produto, título do produto, tytuł, nazwa, nazwa produktu, "
    "nazwa towaru, başlık, ürün adı, ürün ismi, ad, isim",
    "description": "description, product_description, desc, text, body, details, "
    "descriptions, long_description, full_description, short_description, body_html, "
    "описание, описание товара, текст, полное описание, краткое описание, "
    "Beschreibung, Produktbeschreibung, Artikelbeschreibung, Langtext, Kurzbeschreibung, "
    "description du produit, descriptif, descripción, descripción del producto, descrizione, "
    "descrizione prodotto, descrição, descrição do produto, opis, opis produktu, "
    "açıklama, ürün açıklaması",
    "category": "category, category_name, category_path, category_title, product_category, "
    "google_product_category, categories, category_names, product_categories, full_category, "
    "category_tree, breadcrumb, breadcrumbs, "
    "категория, категория товара, название категории, путь категории, раздел, рубрика, "
    "категории, категории товара, товарная группа, группа товаров, "
    "Kategorie, Kategorien, Produktkategorie, Produktkategorien, Kategoriename, Kategoriepfad, "
    "Warengruppe, Produktgruppe, catégorie, catégories, catégorie de produit, rayon, "
    "categoría, categorías, categoría del producto, categoria, categorias, categorie, "
    "categoria prodotto, categoria do produto, kategoria, kategorie, kategoria produktu, "
    "kategori, kategoriler, ürün kategorisi, kategori adı",
    "category_id": "category_id, cat_id, id категории, ид категории, код категории, "
    "category_code, category_key, categories_id, Kategorie-ID, Warengruppennummer, "
    "id catégorie, id categoría, id categoria, id kategorii, kategori id, kategori kodu",
    "image": "image, picture, photo, img, image_path, image_file, image_name, picture_path, "
    "photo_path, filename, image_url, image_link, picture_url, "
    "images, pictures, photos, image_urls, image_src, main_image, base_image, photo_url, "
    "картинка, изображение, фото, фотография, файл картинки, картинки, изображения, фотографии, "
    "Bild, Bilder, Bild-URL, Produktbild, Bilddatei, Foto, Fotos, image produit, "
    "imagen, imágenes, immagine, immagini, imagem, imagens, zdjęcie, zdjęcia, obraz, obrazek, "
    "resim, resimler, görsel, görseller, fotoğraf, resim url",
    "group": "group, group_id, variant_group, variant_group_id, item_group_id, parent_sku, "
    "parent_asin, "
    "группа вариантов, ид группы, id группы, Variantengruppe, groupe de variantes, "
    "grupo de variantes, gruppo varianti, grupa wariantów, varyant grubu",
}
# Names of many things: the category only where no other column is it.
WEAK_NAMES = (
    "product_type, type, label, class, target, department, section, types, labels, classes, "
    "тип товара, тип, класс, вид товара, Produkttyp, Produktart, Typ, Klasse, type de produit, "
    "tipo de producto, tipo, tipo di prodotto, tipo prodotto, tipo de produto, clase, classe, "
    "typ produktu, typ, rodzaj, ürün tipi, tür, tip"
)
# Values that are no categories: kinds of products in a shop system, and flags.
KINDS = (
    "simple configurable variable variation variant grouped bundle virtual downloadable external "
    "affiliate subscription giftcard product parent child standard default physical digital"
)
FLAGS = (
    "0 1 true false yes no y n t f on off active inactive enabled disabled published draft "
    "да нет ja nein oui non sí si sim não tak nie evet hayır"
)


def find_columns(
    seen: Sequence[str],
    wanted: Mapping[str, str | None],
    text_columns: Sequence[str] = (),
    known: Mapping[str, str] | None = None,
    defined: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Find the column of each part of a card and of each further text, empty where there is none.

    It is the one that is wanted; or the one that other cards, such as those of an index, have it
    from; or the one that the format of the file defines; or one of a usual name. A part that is
    known from a column which is not there comes from no other, for its content would differ;
    but ids and groups, which are not compared, may.
    """
    known, defined = known or {}, defined or {}
    named = {part: column for part, column in wanted.items() if column}
    text_columns = [c if c in seen else defined.get(c, c) for c in text_columns]
    for column in (*named.values(), *text_columns):
        _check_present(column, seen)
    by_key = {_key(column): column for column in reversed(seen)}

    def recall(part: str) -> str:
        column = known.get(part, "")
        return column if column in seen else by_key.get(_key(column), "")

    for part in (*USUAL_NAMES, *known):
        if found := recall(part) or defined.get(part, ""):
            named.setdefault(part, found)
        elif known.get(part) and part not in MAY_DIFFER:
            named.setdefault(part, "")
    free = [column for column in seen if column not in named.values()]
    columns = {part: named.get(part, _find_usual(USUAL_NAMES[part], free)) for part in USUAL_NAMES}
    if "category" not in named:
        columns["category"] = (
            columns["category"] or columns["category_id"] or _find_usual(WEAK_NAMES, free)
        )
    further = {part: column for part, column in named.items() if part not in USUAL_NAMES}
    columns |= {} if text_columns else further
    for column in dict.fromkeys(text_columns):
        if column not in (columns["title"], columns["description"]):
            columns[free_name(column, columns)] = column
    texts = [column for name, column in columns.items() if name not in NO_TEXTS]
    for part in ("category", "category_id", "image"):
        if columns[part] and columns[part] in texts:
            raise CatalogueError(
                f"The column {columns[part]!r} is the {part} of the cards, and cannot be one of "
                f"their texts: choose another with {OPTIONS}."
            )
    return columns


def doubt_category(column: str, values: Iterable[str], seen: Sequence[str]) -> str:
    """Return a sentence if a column that was taken by its name holds no categories, or nothing."""
    distinct = sorted(set(values) - {""})
    folded = {value.casefold() for value in distinct}
    if not folded or not any(folded.issubset(words.split()) for words in (KINDS, FLAGS)):
        return ""
    return (
        f"the category is taken from the column {column!r}, which holds {' and '.join(distinct)}; "
        f"if these are no categories, name another with --category-column. {list_columns(seen)}"
    )


def free_name(name: str, taken: Container[str]) -> str:
    """Return a name, changed where it is taken."""
    while name in taken:
        name += RENAMED
    return name


def find_repeated(values: Sequence[str]) -> list[str]:
    """Return the values that occur more than once."""
    return [value for value, count in Counter(values).items() if count > 1]


def list_columns(seen: Sequence[str]) -> str:
    """Return the sentence of an error that names the columns of a table."""
    return f"The columns are {name_first(seen, SHOWN_COLUMNS)}."


def is_usual_name(name: str) -> bool:
    """Check whether a column of this name would be found for some part."""
    return _key(name) in _usual_keys()


@cache
def _usual_keys() -> frozenset[str]:
    return frozenset(_key(name) for names in USUAL_NAMES.values() for name in names.split(","))


def no_category(catalogue: Catalogue, result: str) -> CatalogueError:
    """Return the error for a catalogue of which no card has a category."""
    column = catalogue.columns.get("category")
    empty = f" (the column {column!r} is empty)" if column else ""
    seen = f" {list_columns(catalogue.source_columns)}" if catalogue.columns else ""
    return CatalogueError(
        f"No card of {catalogue.source} has a category{empty}, so {result}; name the column with "
        f"--category-column.{seen}"
    )


def _find_usual(names: str, seen: Sequence[str]) -> str:
    by_key = {_key(column): column for column in reversed(seen)}
    usual = (by_key.get(_key(name)) for name in names.split(","))
    return next(filter(None, usual), "")


def _key(name: str) -> str:
    # Decomposed, so that the accents go with all else that is no letter or digit.
    plain = name.casefold().translate(WITHOUT_ACCENT)
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKD", plain))


def _check_present(column: str, seen: Sequence[str]) -> None:
    if column not in seen:
        hint = did_you_mean(column, seen)
        raise CatalogueError(f"There is no column {column!r}.{hint} {list_columns(seen)}")
