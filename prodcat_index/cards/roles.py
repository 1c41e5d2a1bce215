"""Roles: which column of a table is which part of a card."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
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
    "identyfikator, indeks, numer katalogowy, kod produktu, ürün kodu, ürün id, stok kodu, kod, "
    "uniq_id, objectID, артикул продавца, Art.-Nr., item no",
    "title": "title, product_title, name, product_name, item_name, product, heading, "
    "titles, names, item_title, display_name, headline, "
    "название, наименование, название товара, наименование товара, товар, имя, заголовок, "
    "номенклатура, Titel, Bezeichnung, Produktname, Artikelname, Artikelbezeichnung, "
    "Produktbezeichnung, Produkttitel, titre, nom, nom du produit, désignation, libellé, intitulé, "
    "título, nombre, nombre del producto, denominación, titolo, nome, nome prodotto, "
    "denominazione, nome do produto, título do produto, tytuł, nazwa, nazwa produktu, "
    "nazwa towaru, başlık, ürün adı, ürün ismi, ad, isim, "
    "product_display_name, название позиции, название товара или услуги, item_description, "
    "Artikel, artículo",
    "description": "description, product_description, desc, text, body, details, "
    "descriptions, long_description, full_description, short_description, body_html, "
    "описание, описание товара, текст, полное описание, краткое описание, "
    "Beschreibung, Produktbeschreibung, Artikelbeschreibung, Langtext, Kurzbeschreibung, "
    "description du produit, descriptif, descripción, descripción del producto, descrizione, "
    "descrizione prodotto, descrição, descrição do produto, opis, opis produktu, "
    "açıklama, ürün açıklaması, Langbeschreibung, description longue, about_product",
    "category": "category, category_name, category_path, category_title, product_category, "
    "google_product_category, categories, category_names, product_categories, full_category, "
    "category_tree, product_category_tree, breadcrumb, breadcrumbs, "
    "категория, категория товара, название категории, путь категории, раздел, рубрика, "
    "категории, категории товара, товарная группа, группа товаров, категория продавца, "
    "название группы, reparto, "
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
    "typ produktu, typ, rodzaj, ürün tipi, tür, tip, familia, famille, группа, collection"
)
# Not every product has one: the ids only where all have one of their own.
WEAK_IDS = "code, ean, gtin, barcode"
# What a name may say beside a usual one: its language; or that it is the main one, or its number.
LANGUAGES = "en de fr es it pt pl tr ru uk ua nl cs cz sk hu ro bg sv da fi el lt lv et hr zh ja ko"
IN_LANGUAGE = re.compile(
    r"(?P<name>.+?)[\s_.(\[-]+(?:{0})(?:[-_][a-z]{{2}})?[)\]]*|(?:{0})[\s_.-]+(?P<other>.+)".format(
        LANGUAGES.replace(" ", "|")
    )
)
REMARK = re.compile(r"\s*[(\[].*")
TRANSLATED = ("title", "description", "category")
MAIN = "main|primary|haupt|principale?|glowne|glowna|ana|главное|основное"
OF_SEVERAL = re.compile(rf"^(?:{MAIN})|(?:{MAIN})$|\d+")
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
    values: Callable[[str], Iterable[str]] = lambda column: [column],
) -> dict[str, str]:
    """Find the column of each part of a card and of each further text, empty where there is none.

    In this order: `wanted`; that of other cards (`known`; the part comes from no other, but for ids
    and groups); `defined` by the format; a usual name, the first that has `values`.
    """
    known, defined = known or {}, defined or {}
    named = {part: column for part, column in wanted.items() if column}
    text_columns = [c if c in seen else defined.get(c, c) for c in text_columns]
    for column in (*named.values(), *text_columns):
        if column not in seen:
            hint = did_you_mean(column, seen)
            raise CatalogueError(f"There is no column {column!r}.{hint} {list_columns(seen)}")
    by_key = {column_key(column): column for column in reversed(seen)}

    def recall(part: str) -> str:
        column = known.get(part, "")
        return column if column in seen else by_key.get(column_key(column), "")

    for part in (*USUAL_NAMES, *known):
        if found := recall(part) or defined.get(part, ""):
            named.setdefault(part, found)
        elif known.get(part) and part not in MAY_DIFFER:
            named.setdefault(part, "")
    free = [column for column in seen if column not in named.values()]

    def choose(found: Sequence[str]) -> str:
        return next((column for column in found if any(values(column))), "".join(found[:1]))

    columns = {part: named.get(part) or choose(usual_columns(part, free)) for part in USUAL_NAMES}
    columns |= {part: "" for part, column in named.items() if not column}
    if not columns["id"]:
        weak_ids = ((column, [*values(column)]) for column in _find_named(WEAK_IDS, free))
        unique = (column for column, ids in weak_ids if all(ids) and not find_repeated(ids))
        columns["id"] = next(unique, "")
    if "category" not in named:
        first = columns["category"]
        names = [
            column
            for column in usual_columns("category", free)
            if any(values(column)) and not are_numbers(values(column))
        ]
        weak = choose(_find_named(WEAK_NAMES, free))
        columns["category"] = "".join(names[:1]) or first or columns["category_id"] or weak
        if first != columns["category"] and "category_id" not in named:
            columns["category_id"] = columns["category_id"] or first
    further = {part: column for part, column in named.items() if part not in USUAL_NAMES}
    columns |= {} if text_columns else further
    for column in dict.fromkeys(text_columns):
        if column not in (columns["title"], columns["description"]):
            columns[free_name(column, columns)] = column
    texts = [column for name, column in columns.items() if name not in NO_TEXTS]
    reserved = {part: columns[part] for part in ("category", "category_id", "image")}
    first = "".join(usual_columns("category", seen)[:1])
    if "category" not in named and first in texts:
        # A title that is the category by its name would give the labels away.
        reserved["category"] = first
    for part, column in reserved.items():
        if column and column in texts:
            raise CatalogueError(
                f"The column {column!r} is the {part} of the cards, and cannot be one of "
                f"their texts: choose another with {OPTIONS}."
            )
    return columns


def doubt_category(
    column: str,
    labels: Iterable[str],
    seen: Sequence[str],
    values: Callable[[str], Iterable[str]] = lambda column: [],
) -> str:
    """Return a sentence if a column that was taken by its name seems to hold no categories."""
    distinct = sorted(set(labels) - {""})
    folded = {value.casefold() for value in distinct}
    if are_numbers(distinct):
        holds = f"numbers ({name_first(distinct)})"
    elif folded and any(folded.issubset(words.split()) for words in (KINDS, FLAGS)):
        holds = " and ".join(distinct)
    elif len(distinct) == 1 and any(
        len({*values(other)} - {""}) > 1
        for other in (*usual_columns("category", seen), *_find_named(WEAK_NAMES, seen))
    ):
        holds = f"{distinct[0]} only"
    else:
        return ""
    return (
        f"the category is taken from the column {column!r}, which holds {holds}; "
        f"if these are no categories, name another with --category-column. {list_columns(seen)}"
    )


def note_languages(columns: Mapping[str, str], seen: Sequence[str]) -> list[str]:
    """Return a sentence for each part that is there in several languages."""
    notes = []
    for part in TRANSLATED:
        others = [column for column in _in_languages(part, seen) if column != columns[part]]
        if others and columns[part] in _in_languages(part, seen):
            notes.append(
                f"the {part} is taken from the column {columns[part]!r}, the first of several "
                f"languages (others: {name_first(others)})"
            )
    return notes


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
    return any(column_key(name) in usual_keys(part) for part in USUAL_NAMES)


def no_category(catalogue: Catalogue, result: str) -> CatalogueError:
    """Return the error for a catalogue of which no card has a category."""
    column = catalogue.columns.get("category")
    empty = f" (the column {column!r} is empty)" if column else ""
    seen = f" {list_columns(catalogue.source_columns)}" if catalogue.columns else ""
    return CatalogueError(
        f"No card of {catalogue.source} has a category{empty}, so {result}; name the column with "
        f"--category-column.{seen}"
    )


def usual_columns(part: str, seen: Sequence[str]) -> list[str]:
    """Return the columns of a usual name of a part, the likeliest first."""
    found = _find_named(USUAL_NAMES[part], seen)
    return [*found, *(column for column in _variants(part, seen) if column not in found)]


@cache
def usual_keys(part: str) -> frozenset[str]:
    """Return what :func:`column_key` makes of the usual names of a part."""
    return frozenset(map(column_key, USUAL_NAMES[part].split(",")))


def column_key(name: str) -> str:
    """Return the letters and digits of a name, without case and accents."""
    # Decomposed, so that the accents go with all else that is no letter or digit.
    plain = name.casefold().translate(WITHOUT_ACCENT)
    return re.sub(r"[\W_]+", "", unicodedata.normalize("NFKD", plain))


def are_numbers(values: Iterable[str]) -> bool:
    """Check whether there are values, and all are whole numbers."""
    checked = [value.isdecimal() for value in values if value]
    return bool(checked) and all(checked)


def _find_named(names: str, seen: Sequence[str]) -> list[str]:
    by_key = {column_key(column): column for column in reversed(seen)}
    usual = (by_key.get(column_key(name)) for name in names.split(","))
    return list(dict.fromkeys(filter(None, usual)))


def _variants(part: str, seen: Sequence[str]) -> list[str]:
    """Return columns of a usual name with a language or a remark; of pictures, main or a number."""
    keys = usual_keys(part)
    if part == "image":
        found = [column for column in seen if OF_SEVERAL.sub("", column_key(column)) in keys]
        return sorted(found, key=lambda column: int(f"0{re.sub('[^0-9]', '', column)}"))
    remarked = (column for column in seen if column_key(REMARK.sub("", column)) in keys)
    return list(dict.fromkeys((*_in_languages(part, seen), *remarked)))


def _in_languages(part: str, seen: Sequence[str]) -> list[str]:
    keys = usual_keys(part) if part in TRANSLATED else frozenset[str]()
    matched = {column: IN_LANGUAGE.fullmatch(column.casefold()) for column in seen}
    return [
        column
        for column, named in matched.items()
        if named and column_key(named["name"] or named["other"]) in keys
    ]
