"""Exports that are known by their columns: shop systems, public data sets, Google Merchant."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from prodcat_index.cards.datasets import read_amazon, read_kazanexpress
from prodcat_index.cards.export_columns import Names, fullest, make_table
from prodcat_index.cards.roles import find_repeated
from prodcat_index.cards.shop_exports import read_magento, read_shopify, read_woocommerce
from prodcat_index.cards.table import Table
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import name_first


def recognise(table: Table, name: str) -> Table:
    """Return a table with plain column names and, if it is a known export, one row a card."""
    frame = table.frame
    heads = [str(head).strip() or f"column {n}" for n, head in enumerate(frame.columns, start=1)]
    if repeated := find_repeated(heads):
        raise CatalogueError(
            f"In {name} more than one column is named {name_first(repeated)}: rename all but one."
        )
    table = replace(table, frame=frame.set_axis(heads, axis=1))
    names = {_fold(head): head for head in reversed(heads)}
    for read, *needed in EXPORTS:
        if not table.columns and any(names.keys() >= each for each in needed):
            return read(table, names)
    return table


def _fold(name: str) -> str:
    return re.sub(r"[\s_]+", " ", name.casefold().removeprefix("g:")).strip()


def google_merchant(table: Table, names: Names | None = None) -> Table:
    """Name the columns of a Google Merchant feed, with or without ``g:`` before their names."""
    frame = table.frame
    names = names or {_fold(head): head for head in frame.columns}
    columns = {
        **{part: names.get(part) for part in ("id", "title", "description")},
        "category": fullest(frame, names, "product type", "google product category"),
        "image": names.get("image link"),
        "group": names.get("item group id"),
    }
    return make_table(table, frame, columns, "Google Merchant feed", {})


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
        read_woocommerce,
        *({"type", "name", "categories", name} for name in ("parent", "published", "images")),
        {"тип", "имя", "категории"},
    ),
    (
        read_magento,
        *(
            {"sku", "name", "categories", name}
            for name in ("attribute set code", "product websites", "store view code")
        ),
    ),
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
