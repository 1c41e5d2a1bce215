"""Exports that are known by their columns: shop systems, public data sets, Google Merchant."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from prodcat_index.cards.datasets import read_amazon, read_kazanexpress
from prodcat_index.cards.export_columns import Names, fullest, make_table
from prodcat_index.cards.roles import find_repeated
from prodcat_index.cards.shop_exports import (
    is_woocommerce,
    read_magento,
    read_magento_1,
    read_shopify,
    read_woocommerce,
)
from prodcat_index.cards.table import Table
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import name_first

# Exports that are written as CSV; of JSON with such names the lists and objects are kept.
WRITTEN = (read_shopify, read_magento, read_magento_1)
SAMPLE_ROWS = 1_000


def recognise(table: Table, name: str) -> Table:
    """Return a table with plain column names and, if it is a known export, one row a card."""
    frame = table.frame
    heads = [
        " ".join(str(head).split()) or f"column {n}"
        for n, head in enumerate(frame.columns, start=1)
    ]
    if repeated := find_repeated(heads):
        raise CatalogueError(
            f"In {name} more than one column is named {name_first(repeated)}: rename all but one."
        )
    table = replace(table, frame=frame.set_axis(heads, axis=1))
    names = {_fold(head): head for head in reversed(heads)}
    for read, *needed in EXPORTS:
        found = next((each for each in needed if names.keys() >= each), None)
        if not table.columns and found and _is_export(table, names, read, found):
            return read(table, names)
    if not table.columns and is_woocommerce(table, names) and _is_written(table, names):
        return read_woocommerce(table, names)
    return table


def _is_export(table: Table, names: Names, read: Any, found: Iterable[str]) -> bool:
    return read not in WRITTEN or _is_written(table, {name: names[name] for name in found})


def _is_written(table: Table, names: Names) -> bool:
    """Check that the cells of columns are texts: those of JSON are lists and objects."""
    return not any(
        isinstance(value, (list, dict)) or getattr(value, "ndim", 0)
        for name in names.values()
        for value in table.frame[name].head(SAMPLE_ROWS)
    )


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
