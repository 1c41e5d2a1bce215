"""Exports of shop systems and public data sets: what their columns mean, and which rows belong."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prodcat_index.cards.categories import PATH_SEPARATOR
from prodcat_index.cards.cleaning import column_texts, join_values, tidy
from prodcat_index.cards.json_files import parse_object
from prodcat_index.cards.roles import find_repeated, free_name
from prodcat_index.cards.table import Table
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import Finding, name_first

if TYPE_CHECKING:
    import pandas as pd

KAZANEXPRESS_TEXTS = (
    *("title", "description", "attributes"),
    *("custom_characteristics", "defined_characteristics", "filters"),
)
VARIATION = "variation"
JOINED = "rows are variants or further pictures of a product (joined to it)"
INHERITED = "rows are variations (they got what they lack from their product)"
VIEWS = "rows are translations of a product (left out)"
REPEATED = "rows are the same as an earlier one (left out)"
LIST_COMMA = re.compile(r"(?<!\\),")
ATTRIBUTES = (
    re.compile(r"attribute (?P<number>\d+) (?:name|(?P<value>value.*))"),
    re.compile(r"(?:название|имя|(?P<value>значени.*)) атрибут\S* (?P<number>\d+)"),
)
PICTURE_SIZES = ("large", "hi_res", "thumb")

Names = Mapping[str, str]


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


def _kazanexpress(table: Table, names: Names) -> Table:
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


def _shopify(table: Table, names: Names) -> Table:
    """Join the rows of a handle: all but its first are variants and pictures."""
    key = names.get("handle") or names["url handle"]
    frame, joined = _join_rows(table.frame, key)
    columns = {
        "id": key,
        "title": names["title"],
        "description": names.get("body (html)") or names.get("description"),
        "category": _fuller(frame, names, "type", "product category", "custom product type"),
        "image": names.get("image src") or names.get("product image url"),
    }
    return _made(table, frame, columns, "Shopify product export", {JOINED: joined})


def _woocommerce(table: Table, names: Names) -> Table:
    """Give variations what their product has, and put them into its group."""
    own = {
        "id": _fuller(table.frame, names, "id", "sku", "артикул"),
        "sku": names.get("sku") or names.get("артикул"),
        "type": names.get("type") or names.get("тип"),
        "parent": names.get("parent") or names.get("родительский"),
        "title": names.get("name") or names.get("имя"),
        "description": names.get("description") or names.get("описание"),
        "short": names.get("short description") or names.get("краткое описание"),
        "category": names.get("categories") or names.get("категории"),
        "image": names.get("images") or names.get("изображения"),
    }
    values = {part: _values(table.frame, column) for part, column in own.items()}
    values["description"] = [
        long or short for long, short in zip(values["description"], values["short"], strict=True)
    ]
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
    frame, columns = _derive(table.frame, {part: values[part] for part in derived}, own)
    found = {INHERITED: [f"row {row + 1}" for row, parent in parents.items() if parent >= 0]}
    return _made(table, frame, {"id": own["id"], **columns}, "WooCommerce product export", found)


def _magento(table: Table, names: Names) -> Table:
    """Leave out translations, and put the products of a configurable one into its group."""
    views = _values(table.frame, names.get("store view code"))
    skus = _values(table.frame, names["sku"])
    default = {sku for sku, view in zip(skus, views, strict=True) if not view}
    left_out = [bool(view) and sku in default for sku, view in zip(skus, views, strict=True)]
    frame = table.frame[[not out for out in left_out]].reset_index(drop=True)
    values = {
        "sku": _values(frame, names["sku"]),
        "category": [_deepest(text, "/") for text in _values(frame, names["categories"])],
        # A path from the folder of the shop's pictures, but with a slash before it.
        "image": [text.lstrip("/") for text in _values(frame, names.get("base image"))],
        "description": [
            long or short
            for long, short in zip(
                _values(frame, names.get("description")),
                _values(frame, names.get("short description")),
                strict=True,
            )
        ],
    }
    roots = {path.split(PATH_SEPARATOR)[0] for path in values["category"] if path}
    if len(roots) == 1:
        start = roots.pop() + PATH_SEPARATOR
        values["category"] = [path.removeprefix(start) for path in values["category"]]
    rows_of = {sku: row for row, sku in enumerate(values["sku"])}
    parents = {
        rows_of[child]: row
        for row, text in enumerate(_values(frame, names.get("configurable variations")))
        for child in re.findall(r"(?:^|\|)sku=([^,|]+)", text)
        if child in rows_of
    }
    values["group"] = _inherit(values, parents, [""] * len(frame))
    values["attributes"] = [
        text.replace("=", ": ").replace(",", ", ")
        for text in _values(frame, names.get("additional attributes"))
    ]
    derived = {part: values[part] for part in values if part != "sku"}
    origins = {"category": "categories", "image": "base image", "description": "description"}
    own = {part: names.get(origin) for part, origin in origins.items()}
    frame, columns = _derive(frame, derived, own)
    columns |= {"id": names["sku"], "title": names["name"]}
    rows = [f"row {row}" for row, out in enumerate(left_out, start=1) if out]
    return _made(table, frame, columns, "Magento product export", {VIEWS: rows})


def _amazon(table: Table, names: Names) -> Table:
    """Read lists as paths and texts; of the path that is empty, the main category is taken."""
    key = names.get("parent asin") or names["asin"]
    ids = table.frame[key].astype(str)
    again = ids.duplicated(keep=False)
    is_repeated = table.frame[again].astype(str).duplicated().reindex(ids.index, fill_value=False)
    frame = table.frame[~is_repeated].reset_index(drop=True)
    main = _values(frame, names.get("main category") or names.get("main cat"))
    paths = _cells(frame, names.get("categories") or names.get("category"))
    features = [
        [join_values(part) for part in _listed(cell)]
        for cell in _cells(frame, names.get("features") or names.get("feature"))
    ]
    texts = [
        [join_values(part) for part in _listed(cell)]
        for cell in _cells(frame, names.get("description"))
    ]
    pictures = [names.get(name) for name in ("images", "imageurlhighres", "imageurl", "imurl")]
    images = zip(*(_cells(frame, column) for column in pictures), strict=True)
    derived = {
        "description": [
            "\n".join(text or more) for text, more in zip(texts, features, strict=True)
        ],
        "category": [_path(cell) or other for cell, other in zip(paths, main, strict=True)],
        "image": [next(filter(None, map(_first_picture, cells)), "") for cells in images],
        "attributes": ["\n".join(parts) for parts in features],
    }
    own = {
        "description": names.get("description"),
        "category": names.get("categories") or names.get("category"),
        "image": next(filter(None, pictures), None),
    }
    frame, columns = _derive(frame, derived, own)
    columns |= {"id": key, "title": names["title"]}
    rows = [f"row {row}" for row, out in enumerate(is_repeated, start=1) if out]
    return _made(table, frame, columns, "Amazon product metadata", {REPEATED: rows})


def google_merchant(table: Table, names: Names | None = None) -> Table:
    """Name the columns of a Google Merchant feed, with or without ``g:`` before their names."""
    frame = table.frame
    names = names or {_fold(head): head for head in frame.columns}
    columns = {
        **{part: names.get(part) for part in ("id", "title", "description")},
        "category": _fuller(frame, names, "product type", "google product category"),
        "image": names.get("image link"),
        "group": names.get("item group id"),
    }
    return _made(table, frame, columns, "Google Merchant feed", {})


# The reader of each format, and the sets of names of which one must be there.
EXPORTS: tuple[tuple[Any, ...], ...] = (
    (_kazanexpress, {"product id", "text fields"}),
    (
        _shopify,
        *({"handle", "title", name} for name in ("body (html)", "variant sku", "image src")),
        *({"handle", "title", name} for name in ("option1 name", "variant price", "vendor")),
        {"url handle", "title"},
    ),
    (
        _woocommerce,
        *({"type", "name", "categories", name} for name in ("parent", "published", "images")),
        {"тип", "имя", "категории"},
    ),
    (
        _magento,
        *(
            {"sku", "name", "categories", name}
            for name in ("attribute set code", "product websites", "store view code")
        ),
    ),
    (
        _amazon,
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


def _made(
    table: Table,
    frame: pd.DataFrame,
    columns: Mapping[str, str | None],
    form: str,
    found: Mapping[str, Sequence[str]],
) -> Table:
    named = {part: name for part, name in columns.items() if name and part != "attributes"}
    findings = tuple(Finding(what, tuple(rows)) for what, rows in found.items() if rows)
    return Table(frame, named, (*table.findings, *findings), form)


def _values(frame: pd.DataFrame, column: str | None) -> list[str]:
    return column_texts(frame[column]) if column else [""] * len(frame)


def _cells(frame: pd.DataFrame, column: str | None) -> list[Any]:
    return list(frame[column]) if column else [None] * len(frame)


def _fuller(frame: pd.DataFrame, names: Names, *wanted: str) -> str | None:
    """Return the column of these names that has the most values, the first one where equal."""
    there = [names[name] for name in wanted if name in names]
    filled = [sum(map(bool, _values(frame, column))) for column in there]
    return there[filled.index(max(filled))] if there else None


def _join_rows(frame: pd.DataFrame, key: str) -> tuple[pd.DataFrame, list[str]]:
    """Return one row a key, with its first value in each column, and name the rows that went."""
    keys = [value or f"\0{row}" for row, value in enumerate(_values(frame, key))]
    filled = frame.mask(frame == "")
    joined: pd.DataFrame = filled.groupby(keys, sort=False).first().reset_index(drop=True)
    seen: set[str] = set()
    again = [value in seen or bool(seen.add(value)) for value in keys]  # type: ignore[func-returns-value]
    return joined, [f"row {row}" for row, each in enumerate(again, start=1) if each]


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


def _derive(
    frame: pd.DataFrame, parts: Mapping[str, Sequence[str]], origins: Mapping[str, str | None]
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Put the values of parts into the columns that they are made from, or new ones; name them."""
    columns = {part: origins.get(part) or free_name(part, list(frame.columns)) for part in parts}
    return frame.assign(**{columns[part]: list(parts[part]) for part in parts}), columns


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
            heads = _values(frame, numbered[number, False])
            for row, (head, value) in enumerate(zip(heads, _values(frame, column), strict=True)):
                texts[row] += [f"{head}: {value}"] if value else []
    return [", ".join(parts) for parts in texts]


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
