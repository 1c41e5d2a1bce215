"""Product exports of shop systems: Shopify, WooCommerce and Magento."""

from __future__ import annotations

import html
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from prodcat_index.cards.categories import PATH_SEPARATOR
from prodcat_index.cards.cleaning import tidy
from prodcat_index.cards.table import Names, Table, assign_parts, fullest, name_rows, texts_of

if TYPE_CHECKING:
    import pandas as pd

JOINED = "rows hold a variant or a further picture of a product (joined to it)"
INHERITED = "rows hold a variation (what it lacks is taken from its product)"
VIEWS = "rows hold a translation of a product (left out)"
VARIATION = "variation"
STEP, STEP_SLASH = re.compile(">"), re.compile(r"(?<!\\)/")  # \/ is a slash in a name
LIST_COMMA = re.compile(r"(?<!\\),")
LINE_BREAK = re.compile(r"(?<!\\)\\n")
KINDS = {"simple", "variable", "variation", "grouped", "external", "virtual", "downloadable"}
# By part, as WooCommerce translates them: English, Russian, German, French, Spanish, Italian,
# Portuguese, Polish.
WOOCOMMERCE = {
    "id": "id, identyfikator",
    "sku": "sku, артикул, artikelnummer, ugs, cod, ref, codice, código",
    "type": "type, тип, typ, tipo, rodzaj",
    "parent": "parent, родительский, übergeordnetes produkt, übergeordnet, eltern, superior, "
    "principal, padre, genitore, ascendente, nadrzędny, rodzic, produkt nadrzędny",
    "title": "name, имя, nom, nombre, nome, nazwa",
    "description": "description, описание, beschreibung, descripción, descrizione, descrição, opis",
    "short": "short description, краткое описание, kurzbeschreibung, description courte, "
    "descripción corta, breve descrizione, descrizione breve, descrição curta, "
    "descrição breve, krótki opis",
    "category": "categories, категории, kategorien, catégories, categorías, categorie, "
    "categorias, kategorie",
    "image": "images, изображения, bilder, imágenes, immagini, imagens, obrazki, obrazy",
    "published": "published, опубликован, veröffentlicht, publié, publicado, pubblicato, "
    "opublikowano, opublikowany",
    "visibility": "visibility in catalog, видимость в каталоге, sichtbarkeit im katalog, "
    "visibilité dans le catalogue, visibilidad en el catálogo, visibilità nel catalogo, "
    "visibilidade no catálogo, widoczność w katalogu",
}
ATTRIBUTE = re.compile(r"\D*(?:att?ribut|atrybut|attr|атт?рибут)\D*(?P<number>\d+)\b.*", re.DOTALL)
ATTRIBUTE_VALUE = re.compile(r"valu|wert|valeur|valor|wartoś|значен")
ATTRIBUTE_NAME = re.compile(r"\b(?:name|nom|nombre|nome|nazwa|название|имя)\b")


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
    return table.as_export(frame, columns, "Shopify product export", {JOINED: joined})


def is_woocommerce(table: Table, names: Names) -> bool:
    """Check for the names of WooCommerce and its kinds of products, or more of its own names."""
    own = _woocommerce_names(names)
    if not own.keys() >= {"title", "category"}:
        return False
    if "type" not in own:
        return (
            own.keys() >= {"published"} and len(own.keys() & {"parent", "short", "visibility"}) > 0
        )
    if own.keys().isdisjoint({"parent", "published", "image", "short"}):
        return False
    kinds = {
        kind.strip() for text in texts_of(table.frame, own["type"]) for kind in text.split(",")
    }
    return kinds - {""} <= KINDS


def _woocommerce_names(names: Names) -> dict[str, str]:
    there = {
        part: next((names[name] for name in known.split(", ") if name in names), "")
        for part, known in WOOCOMMERCE.items()
    }
    return {part: column for part, column in there.items() if column}


def read_woocommerce(table: Table, names: Names) -> Table:
    """Give variations what their product has, and put them into its group."""
    there = _woocommerce_names(names)
    own: dict[str, str | None] = {part: there.get(part) for part in WOOCOMMERCE}
    keys: Names = {part: there[part] for part in ("id", "sku") if part in there}
    own["id"] = fullest(table.frame, keys, "id", "sku")
    values = {part: texts_of(table.frame, column) for part, column in own.items()}
    # Its export writes a line break as two characters.
    values["description"] = [
        LINE_BREAK.sub("\n", text) for text in _either(values["description"], values["short"])
    ]
    values["category"] = [_deepest(text, STEP) for text in values["category"]]
    values["image"] = [_split_list(text)[0] for text in values["image"]]
    # A variation may have the SKU of its product.
    is_own = [VARIATION not in kind for kind in values["type"]]
    rows_of = {s: row for row, s in enumerate(values["sku"]) if s and is_own[row]}
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
    parts = {"id": own["id"], **columns}
    return table.as_export(frame, parts, "WooCommerce product export", found)


def read_magento(table: Table, names: Names) -> Table:
    """Leave out translations, and put the products of a configurable one into its group."""
    views = texts_of(table.frame, names.get("store view code"))
    skus = texts_of(table.frame, names["sku"])
    default = {sku for sku, view in zip(skus, views, strict=True) if not view}
    left_out = [bool(view) and sku in default for sku, view in zip(skus, views, strict=True)]
    frame = table.frame[[not out for out in left_out]].reset_index(drop=True)
    values = {
        "sku": texts_of(frame, names["sku"]),
        "category": [_deepest(text, STEP_SLASH) for text in texts_of(frame, names["categories"])],
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
    return table.as_export(frame, columns, "Magento product export", found)


def read_magento_1(table: Table, names: Names) -> Table:
    """Join the rows of a product: those without a SKU are its further categories and pictures."""
    sku, category, image = names["sku"], names["category"], names.get("image")
    skus = list(accumulate(texts_of(table.frame, sku), _last_filled))
    paths: dict[str, list[str]] = defaultdict(list)
    for key, path in zip(skus, texts_of(table.frame, category), strict=True):
        paths[key].append(path.replace(",", "\\,"))
    frame, joined = _join_rows(table.frame.assign(**{sku: skus}), sku)
    frame[category] = [
        _deepest(",".join(filter(None, each)), STEP_SLASH) for each in paths.values()
    ]
    if image:
        frame[image] = [text.lstrip("/") for text in texts_of(frame, image)]
    columns = {"id": sku, "title": names["name"], "category": category, "image": image}
    columns["description"] = names.get("description")
    return table.as_export(frame, columns, "Magento 1 product export", {JOINED: joined})


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


def _last_filled(before: str, value: str) -> str:
    return value or before


def _either(texts: Sequence[str], others: Sequence[str]) -> list[str]:
    return [text or other for text, other in zip(texts, others, strict=True)]


def _split_list(text: str) -> list[str]:
    return [part.replace("\\,", ",").strip() for part in LIST_COMMA.split(text)]


def _deepest(text: str, mark: re.Pattern[str]) -> str:
    """Return the path with the most steps of a list of paths, the first one where equal."""
    paths = [
        [tidy(step.replace("\\/", "/")) for step in mark.split(path) if step.strip()]
        for path in _split_list(html.unescape(text))
    ]
    deepest = max(paths, key=len)
    return PATH_SEPARATOR.join(deepest)


def _attributes(frame: pd.DataFrame) -> list[str]:
    """Return the attributes of WooCommerce as texts: numbered pairs of a name and values."""
    texts: list[list[str]] = [[] for _ in range(len(frame))]
    numbered = {}
    for column in frame.columns:
        folded = column.casefold()
        is_value = bool(ATTRIBUTE_VALUE.search(folded))
        if (found := ATTRIBUTE.fullmatch(folded)) and (is_value or ATTRIBUTE_NAME.search(folded)):
            numbered[found["number"], is_value] = column
    for (number, is_value), column in numbered.items():
        if is_value and (number, False) in numbered:
            heads = texts_of(frame, numbered[number, False])
            for row, (head, value) in enumerate(zip(heads, texts_of(frame, column), strict=True)):
                texts[row] += [f"{head}: {value}"] if value else []
    return [", ".join(parts) for parts in texts]
