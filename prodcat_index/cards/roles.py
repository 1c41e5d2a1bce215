"""Roles: which column of a table is which part of a card."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Container, Mapping, Sequence

from prodcat_index.errors import CatalogueError
from prodcat_index.findings import name_first

SHOWN_COLUMNS = 30
RENAMED = "_in_file"
OPTIONS = "--title-column, --description-column, --text-column or --image-column"
NO_TEXTS = ("id", "category", "category_id", "image", "group")
# By part, the likeliest first. Case, spaces and underscores do not count.
USUAL_NAMES = {
    "id": "id, product_id, card_id, item_id, offer_id, listing_id, sku, article, asin, uid, "
    "артикул, ид, код, ид товара, id товара, код товара",
    "title": "title, product_title, name, product_name, item_name, product, heading, "
    "название, наименование, название товара, наименование товара, товар, имя, заголовок",
    "description": "description, product_description, desc, text, body, details, "
    "описание, описание товара, текст",
    "category": "category, category_name, category_path, category_title, product_category, "
    "label, class, target, product_type, google_product_category, "
    "категория, категория товара, название категории, путь категории, раздел, рубрика, класс",
    "category_id": "category_id, cat_id, id категории, ид категории, код категории",
    "image": "image, picture, photo, img, image_path, image_file, image_name, picture_path, "
    "photo_path, filename, image_url, image_link, picture_url, "
    "картинка, изображение, фото, фотография, файл картинки",
    "group": "group, group_id, variant_group, variant_group_id, item_group_id, parent_sku, "
    "группа вариантов, ид группы, id группы",
}


def find_columns(
    seen: Sequence[str], wanted: Mapping[str, str | None], text_columns: Sequence[str] = ()
) -> dict[str, str]:
    """Find the column of each part of a card and of each further text, empty where there is none.

    It is the one that is wanted, or one of a usual name.
    """
    named = {part: column for part, column in wanted.items() if column}
    for column in (*named.values(), *text_columns):
        _check_present(column, seen)
    free = [column for column in seen if column not in named.values()]
    columns = {part: named.get(part) or _find_usual(part, free) for part in USUAL_NAMES}
    columns["category"] = columns["category"] or columns["category_id"]
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


def _find_usual(part: str, seen: Sequence[str]) -> str:
    by_key = {_key(column): column for column in reversed(seen)}
    usual = (by_key.get(_key(name)) for name in USUAL_NAMES[part].split(","))
    return next(filter(None, usual), "")


def _key(name: str) -> str:
    return re.sub(r"[\W_]+", "", name.casefold())


def _check_present(column: str, seen: Sequence[str]) -> None:
    if column in seen:
        return
    folded = {name.casefold(): name for name in seen}
    close = difflib.get_close_matches(column.casefold(), folded, n=1)
    guess = f" Did you mean {folded[close[0]]!r}?" if close else ""
    raise CatalogueError(f"There is no column {column!r}.{guess} {list_columns(seen)}")
