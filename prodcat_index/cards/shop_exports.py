"""Product exports of shop systems: Shopify, WooCommerce and Magento."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from prodcat_index.cards.categories import PATH_SEPARATOR
from prodcat_index.cards.cleaning import tidy
from prodcat_index.cards.export_columns import Names, assign_parts, fullest, make_table
from prodcat_index.cards.table import Table, name_rows, texts_of

if TYPE_CHECKING:
    import pandas as pd

JOINED = "rows hold a variant or a further picture of a product (joined to it)"
INHERITED = "rows hold a variation (what it lacks is taken from its product)"
VIEWS = "rows hold a translation of a product (left out)"
VARIATION = "variation"
LIST_COMMA = re.compile(r"(?<!\\),")
ATTRIBUTES = (
    re.compile(r"attribute (?P<number>\d+) (?:name|(?P<value>value.*))"),
    re.compile(r"(?:название|имя|(?P<value>значени.*)) атрибут\S* (?P<number>\d+)"),
)


def read_shopify(table: Table, names: Names) -> Table:
    """Join the rows of a handle: all but its first are variants and pictures."""
    key = names.get("handle") or names["url handle"]
    frame, joined = _join_rows(table.frame, key)
    columns = {
        "id": key,
        "title": names["title"],
        "description": names.get("body (html)") or names.get("description"),
        "category": fullest(frame, names, "type", "product category", "custom product type"),
        "image": names.get("image src") or names.get("product image url"),
    }
    return make_table(table, frame, columns, "Shopify product export", {JOINED: joined})


def read_woocommerce(table: Table, names: Names) -> Table:
    """Give variations what their product has, and put them into its group."""
    own = {
        "id": fullest(table.frame, names, "id", "sku", "артикул"),
        "sku": names.get("sku") or names.get("артикул"),
        "type": names.get("type") or names.get("тип"),
        "parent": names.get("parent") or names.get("родительский"),
        "title": names.get("name") or names.get("имя"),
        "description": names.get("description") or names.get("описание"),
        "short": names.get("short description") or names.get("краткое описание"),
        "category": names.get("categories") or names.get("категории"),
        "image": names.get("images") or names.get("изображения"),
    }
    values = {part: texts_of(table.frame, column) for part, column in own.items()}
    values["description"] = _either(values["description"], values["short"])
    values["category"] = [_deepest(text, ">") for text in values["category"]]
    values["image"] = [_split_list(text)[0] for text in values["image"]]
    rows_of = {sku: row for row, sku in enumerate(values["sku"]) if sku}
    rows_of |= {f"id:{key}": row for row, key in enumerate(values["id"])}
    parents = {
        row: rows_of.get(parent, -1)
        for row, (kind, parent) in enumerate(zip(values["type"], values["parent"], strict=True))
        if VARIATION in kind and parent
    }
    values["group"] = _inherit(values, parents, values["parent"])
    values["attributes"] = _attributes(table.frame)
    derived = ("title", "description", "category", "image", "group", "attributes")
    frame, columns = assign_parts(table.frame, {part: values[part] for part in derived}, own)
    found = {INHERITED: name_rows(parents.get(row, -1) >= 0 for row in range(len(frame)))}
    return make_table(
        table, frame, {"id": own["id"], **columns}, "WooCommerce product export", found
    )


def read_magento(table: Table, names: Names) -> Table:
    """Leave out translations, and put the products of a configurable one into its group."""
    views = texts_of(table.frame, names.get("store view code"))
    skus = texts_of(table.frame, names["sku"])
    default = {sku for sku, view in zip(skus, views, strict=True) if not view}
    left_out = [bool(view) and sku in default for sku, view in zip(skus, views, strict=True)]
    frame = table.frame[[not out for out in left_out]].reset_index(drop=True)
    values = {
        "sku": texts_of(frame, names["sku"]),
        "category": [_deepest(text, "/") for text in texts_of(frame, names["categories"])],
        # A path from the folder of the shop's pictures, but with a slash before it.
        "image": [text.lstrip("/") for text in texts_of(frame, names.get("base image"))],
        "description": _either(
            texts_of(frame, names.get("description")),
            texts_of(frame, names.get("short description")),
        ),
    }
    roots = {path.split(PATH_SEPARATOR)[0] for path in values["category"] if path}
    if len(roots) == 1:
        start = roots.pop() + PATH_SEPARATOR
        values["category"] = [path.removeprefix(start) for path in values["category"]]
    rows_of = {sku: row for row, sku in enumerate(values["sku"])}
    parents = {
        rows_of[child]: row
        for row, text in enumerate(texts_of(frame, names.get("configurable variations")))
        for child in re.findall(r"(?:^|\|)sku=([^,|]+)", text)
        if child in rows_of
    }
    values["group"] = _inherit(values, parents, [""] * len(frame))
    values["attributes"] = [
        text.replace("=", ": ").replace(",", ", ")
        for text in texts_of(frame, names.get("additional attributes"))
    ]
    derived = {part: values[part] for part in values if part != "sku"}
    origins = {"category": "categories", "image": "base image", "description": "description"}
    own = {part: names.get(origin) for part, origin in origins.items()}
    frame, columns = assign_parts(frame, derived, own)
    columns |= {"id": names["sku"], "title": names["name"]}
    found = {VIEWS: name_rows(left_out)}
    return make_table(table, frame, columns, "Magento product export", found)


def _join_rows(frame: pd.DataFrame, key: str) -> tuple[pd.DataFrame, list[str]]:
    """Return one row a key, with its first value in each column, and name the rows that went."""
    import pandas as pd

    keys = [value or f"\0{row}" for row, value in enumerate(texts_of(frame, key))]
    filled = frame.mask(frame == "")
    joined: pd.DataFrame = filled.groupby(keys, sort=False).first().reset_index(drop=True)
    return joined, name_rows(pd.Series(keys).duplicated())


def _inherit(
    values: dict[str, list[str]], parents: Mapping[int, int], otherwise: Sequence[str]
) -> list[str]:
    """Fill what rows lack from their parents, and return the groups of both."""
    key = values.get("id") or values["sku"]
    groups = [""] * len(key)
    for row, parent in parents.items():
        groups[row] = key[parent] if parent >= 0 else otherwise[row]
        if parent >= 0:
            groups[parent] = key[parent]
            for part in ("title", "description", "category", "image"):
                if part in values:
                    values[part][row] = values[part][row] or values[part][parent]
    return groups


def _either(texts: Sequence[str], others: Sequence[str]) -> list[str]:
    return [text or other for text, other in zip(texts, others, strict=True)]


def _split_list(text: str) -> list[str]:
    return [part.replace("\\,", ",").strip() for part in LIST_COMMA.split(text)]


def _deepest(text: str, mark: str) -> str:
    """Return the path with the most steps of a list of paths, the first one where equal."""
    paths = [
        [tidy(step) for step in path.split(mark) if step.strip()]
        for path in _split_list(html.unescape(text))
    ]
    deepest = max(map(len, paths))
    return PATH_SEPARATOR.join(next(path for path in paths if len(path) == deepest))


def _attributes(frame: pd.DataFrame) -> list[str]:
    """Return the attributes of WooCommerce as texts: numbered pairs of a name and values."""
    texts: list[list[str]] = [[] for _ in range(len(frame))]
    numbered = {
        (found["number"], bool(found["value"])): column
        for column in frame.columns
        for pattern in ATTRIBUTES
        if (found := pattern.fullmatch(column.casefold()))
    }
    for (number, is_value), column in numbered.items():
        if is_value and (number, False) in numbered:
            heads = texts_of(frame, numbered[number, False])
            for row, (head, value) in enumerate(zip(heads, texts_of(frame, column), strict=True)):
                texts[row] += [f"{head}: {value}"] if value else []
    return [", ".join(parts) for parts in texts]
