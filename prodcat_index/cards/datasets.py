"""Public data sets of product cards: KazanExpress and Amazon."""

from __future__ import annotations

import html
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from prodcat_index.cards.categories import PATH_SEPARATOR
from prodcat_index.cards.cleaning import join_values, tidy
from prodcat_index.cards.json_files import parse_object
from prodcat_index.cards.table import Names, Table, assign_parts, name_rows, texts_of

if TYPE_CHECKING:
    import pandas as pd

KAZANEXPRESS_TEXTS = (
    *("title", "description", "attributes"),
    *("custom_characteristics", "defined_characteristics", "filters"),
)
REPEATED = "rows are the same as an earlier one (left out)"
PICTURE_SIZES = ("large", "hi_res", "thumb")


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
