"""Exports that are known by their columns: shop systems, public data sets, Google Merchant."""

from __future__ import annotations

import html
import re
from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prodcat_index.cards.categories import PATH_SEPARATOR
from prodcat_index.cards.cleaning import join_values, raw_text, tidy
from prodcat_index.cards.json_files import parse_object
from prodcat_index.cards.roles import find_repeated, free_name, is_usual_name
from prodcat_index.cards.shop_exports import (
    is_woocommerce,
    read_magento,
    read_magento_1,
    read_shopify,
    read_woocommerce,
)
from prodcat_index.cards.table import Names, Table, assign_parts, fullest, name_rows, texts_of
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import name_findings, name_first

if TYPE_CHECKING:
    import pandas as pd

KAZANEXPRESS_TEXTS = (
    *("title", "description", "attributes"),
    *("custom_characteristics", "defined_characteristics", "filters"),
)
REPEATED = "rows are the same as an earlier one (left out)"
PICTURE_SIZES = ("large", "hi_res", "thumb")
# Exports that are written as CSV; of JSON with such names the lists and objects are kept.
WRITTEN = (read_shopify, read_magento, read_magento_1)
SAMPLE_ROWS = 1_000
MIN_HEADS = 2
HEADERS = "rows hold names of columns or their numbers once more (left out)"
SAME_NAME = "column names are there twice or more (the later columns are renamed)"


def recognise(table: Table, name: str) -> Table:
    """Return a table with plain column names and, if it is a known export, one row a card."""
    frame = table.frame
    heads = [
        " ".join(str(head).split()) or f"column {n}"
        for n, head in enumerate(frame.columns, start=1)
    ]
    repeated = find_repeated(heads)
    if usual := list(filter(is_usual_name, repeated)):
        raise CatalogueError(
            f"In {name} more than one column is named {name_first(usual)}: rename all but one."
        )
    for n, head in enumerate(heads):
        again = heads[:n].count(head)
        heads[n] = free_name(f"{head} ({again + 1})", heads) if again else head
    findings = (*table.findings, *name_findings({SAME_NAME: repeated}))
    table = replace(table, frame=frame.set_axis(heads, axis=1), findings=findings)
    table = _without_headers(table, heads)
    if table.columns:
        return table
    names = {_fold(head): head for head in reversed(heads)}
    for read, *needed in EXPORTS:
        found = next((each for each in needed if names.keys() >= each), None)
        if found and (read not in WRITTEN or _is_written(table, [names[name] for name in found])):
            return read(table, names)
    is_shop = is_woocommerce(table, names) and _is_written(table, names.values())
    return read_woocommerce(table, names) if is_shop else table


def _without_headers(table: Table, heads: list[str]) -> Table:
    """Leave out rows that hold the header again, or right under it other names or numbers."""
    frame = table.frame
    if len(heads) < MIN_HEADS or not len(frame):
        return table
    first = [raw_text(cell) for cell in frame.iloc[0]]
    usual = sum(is_usual_name(cell) for cell in first)
    is_second = usual > 1 and 2 * usual >= sum(map(bool, first))
    is_second |= first == [str(n) for n in range(1, len(first) + 1)] and len(first) > MIN_HEADS
    left_out = [is_second and row == 0 for row in range(len(frame))]
    again = [
        n for n, cell in enumerate(frame.iloc[:, 0]) if isinstance(cell, str) and cell == heads[0]
    ]
    for row in again:
        left_out[row] = [raw_text(cell) for cell in frame.iloc[row]] == heads
    return table.without(left_out, HEADERS)


def _is_written(table: Table, columns: Iterable[str]) -> bool:
    """Check that the cells of columns are texts: those of JSON are lists and objects."""
    return not any(
        isinstance(value, (list, dict)) or getattr(value, "ndim", 0)
        for column in columns
        for value in table.frame[column].head(SAMPLE_ROWS)
    )


def _fold(name: str) -> str:
    return re.sub(r"[\s_]+", " ", name.casefold().removeprefix("g:")).strip()


def google_merchant(table: Table, names: Names | None = None) -> Table:
    """Name the columns of a Google Merchant feed, with or without ``g:`` before their names."""
    frame = table.frame
    names = names or {_fold(head): head for head in frame.columns}
    # Where Google's category is its number, the shop's own one has the names.
    categories = {
        name: names[name]
        for name in ("product type", "google product category")
        if name in names and not all(map(str.isdigit, filter(None, texts_of(frame, names[name]))))
    } or names
    columns = {
        **{part: names.get(part) for part in ("id", "title")},
        "description": fullest(frame, names, "description", "summary", "content"),
        "category": fullest(frame, categories, "product type", "google product category"),
        "image": names.get("image link"),
        "group": names.get("item group id"),
    }
    return table.as_export(frame, columns, "Google Merchant feed", {})


def read_kazanexpress(table: Table, names: Names) -> Table:
    """Unpack the texts of a product, which are one JSON object a row."""
    import pandas as pd

    frame = table.frame
    parsed = []
    products, packed = frame[names["product id"]], frame[names["text fields"]]
    for product, fields in zip(products, packed, strict=True):
        if isinstance(fields, str) and fields.strip():
            where = f"text_fields of product {product}"
            parsed.append(parse_object(fields, where, "correct or remove this row"))
        else:
            parsed.append(fields if isinstance(fields, dict) else {})
    columns = {name: [join_values(f.get(name)) for f in parsed] for name in KAZANEXPRESS_TEXTS}
    texts = pd.DataFrame(columns, index=frame.index, dtype=object)
    rest = frame.drop(columns=[names["text fields"], *KAZANEXPRESS_TEXTS], errors="ignore")
    return replace(table, frame=pd.concat([rest, texts], axis=1), format="KazanExpress data set")


def read_amazon(table: Table, names: Names) -> Table:
    """Read lists as paths and texts; of the path that is empty, the main category is taken."""
    key = names.get("parent asin") or names["asin"]
    ids = table.frame[key].astype(str)
    again = ids.duplicated(keep=False)
    is_repeated = table.frame[again].astype(str).duplicated().reindex(ids.index, fill_value=False)
    frame = table.frame[~is_repeated].reset_index(drop=True)
    main = texts_of(frame, names.get("main category") or names.get("main cat"))
    paths = _cells(frame, names.get("categories") or names.get("category"))
    features, texts = (
        ["\n".join(map(join_values, _listed(cell))) for cell in _cells(frame, column)]
        for column in (names.get("features") or names.get("feature"), names.get("description"))
    )
    pictures = [names.get(name) for name in ("images", "imageurlhighres", "imageurl", "imurl")]
    images = zip(*(_cells(frame, column) for column in pictures), strict=True)
    derived = {
        "description": [text or more for text, more in zip(texts, features, strict=True)],
        "category": [_path(cell) or other for cell, other in zip(paths, main, strict=True)],
        "image": [next(filter(None, map(_first_picture, cells)), "") for cells in images],
        "attributes": features,
    }
    own = {
        "description": names.get("description"),
        "category": names.get("categories") or names.get("category"),
        "image": next(filter(None, pictures), None),
    }
    frame, columns = assign_parts(frame, derived, own)
    columns |= {"id": key, "title": names["title"]}
    found = {REPEATED: name_rows(is_repeated)}
    return table.as_export(frame, columns, "Amazon product metadata", found)


def _cells(frame: pd.DataFrame, column: str | None) -> list[Any]:
    return list(frame[column]) if column else [None] * len(frame)


def _listed(cell: Any) -> list[Any]:
    if hasattr(cell, "tolist"):
        cell = cell.tolist()
    if isinstance(cell, (list, tuple)):
        return list(cell)
    return [cell] if isinstance(cell, (str, dict)) and cell else []


def _path(cell: Any) -> str:
    """Return a list of steps as a path; of several lists, the longest."""
    steps = _listed(cell)
    if steps and all(isinstance(step, list) for step in steps):
        steps = max(steps, key=len)
    texts = (tidy(html.unescape(join_values(step))) for step in steps)
    # The lists of 2018 hold leftovers of web pages.
    return PATH_SEPARATOR.join(text for text in texts if text and "<" not in text)


def _first_picture(cell: Any) -> str:
    """Return the first address of a text, a list, a list of sizes or sizes with lists."""
    for each in _listed(cell):
        if isinstance(each, str) and each:
            return each
        if isinstance(each, dict):
            sizes = (each.get(size) for size in PICTURE_SIZES)
            if found := next(filter(None, map(_first_picture, sizes)), ""):
                return found
    return ""


# The reader of each format, and the sets of names of which one must be there.
EXPORTS: tuple[tuple[Any, ...], ...] = (
    (read_kazanexpress, {"product id", "text fields"}),
    (
        read_shopify,
        *({"handle", "title", name} for name in ("body (html)", "variant sku", "image src")),
        *({"handle", "title", name} for name in ("option1 name", "variant price", "vendor")),
        {"url handle", "title"},
    ),
    (
        read_magento,
        *(
            {"sku", "name", "categories", name}
            for name in ("attribute set code", "product websites", "store view code")
        ),
    ),
    (read_magento_1, *({"sku", "name", "category", name} for name in ("root category", "store"))),
    (
        read_amazon,
        {"parent asin", "title"},
        *({"asin", "title", name} for name in ("main cat", "also buy", "imageurl", "imurl")),
        {"asin", "title", "category", "feature"},
    ),
    (
        google_merchant,
        *({"id", "title", "link", name} for name in ("image link", "availability", "price")),
        *({"id", "title", "availability", name} for name in ("price", "image link")),
        {"id", "title", "google product category"},
    ),
)
