"""XML feeds: Google Merchant (RSS and Atom) and Yandex Market (YML), read an offer at a time."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from prodcat_index.cards.categories import PATH_SEPARATOR
from prodcat_index.cards.cleaning import tidy
from prodcat_index.cards.exports import google_merchant
from prodcat_index.cards.sources import Source
from prodcat_index.cards.table import Table, frame_of_rows
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import list_findings

if TYPE_CHECKING:
    from lxml.etree import _Element

GOOGLE = "{http://base.google.com/ns/1.0}"
# The elements of one product by the root of the feed.
PRODUCTS = {"rss": ("item",), "RDF": ("item",), "feed": ("entry",), "yml_catalog": ("offer",)}
KNOWN = "Google Merchant feeds (RSS or Atom) and Yandex Market YML"
YML_COLUMNS = {name: name for name in ("id", "title", "description", "category", "category_id")}
YML_COLUMNS |= {"image": "picture", "group": "group_id"}
NO_CATEGORY = "cards have a category that the feed does not list"


def read_feed(source: Source, encoding: str | None, skip_bad_rows: bool) -> Table:
    """Read an XML feed; no entity is expanded and no address is opened."""
    from lxml import etree

    categories: dict[str, tuple[str, str]] = {}
    try:
        with source.open() as stream:
            options = {"resolve_entities": False, "no_network": True, "load_dtd": False}
            options |= {"remove_comments": True, "remove_pis": True}
            events = etree.iterparse(stream, ("start", "end"), encoding=encoding, **options)
            _, root = next(iter(events))
            kind = _local(root)
            if kind not in PRODUCTS:
                raise CatalogueError(
                    f"{source.name} is XML of no known format (<{kind}>): give one of {KNOWN}."
                )
            read = _yandex_offer if kind == "yml_catalog" else _google_item
            products = _products(events, PRODUCTS[kind], categories)
            frame = frame_of_rows(read(product) for product in products)
    except etree.LxmlError as error:
        # What went wrong first; the error is about the end.
        first = next(iter(events.error_log), None)
        cause = f"line {first.line}: {first.message.strip()}" if first else str(error)
        raise CatalogueError(f"{source.name} is no valid XML: {cause}.") from None
    except LookupError:
        raise CatalogueError(f"There is no encoding {encoding!r} for XML.") from None
    if kind != "yml_catalog":
        return google_merchant(Table(frame))
    if not len(frame):
        return Table(frame)
    keys = [str(key) for key in frame["category_id"]]
    frame["category"] = [_category_path(key, categories) for key in keys]
    unknown = [key not in categories for key in keys]
    findings = list_findings({NO_CATEGORY: unknown}, [str(card) for card in frame["id"]])
    present = {part: name for part, name in YML_COLUMNS.items() if name in frame.columns}
    return Table(frame, present, findings, "Yandex Market feed (YML)")


def _products(
    events: Iterator[tuple[str, _Element]],
    names: tuple[str, ...],
    categories: dict[str, tuple[str, str]],
) -> Iterator[_Element]:
    """Yield the elements of products, each removed after use, and collect the categories."""
    from lxml import etree

    inside = 0
    for event, element in events:
        name = _local(element)
        inside += (1 if event == "start" else -1) if name in names else 0
        if event == "start" or inside:
            continue
        if next(element.iter(etree.Entity), None) is not None:
            raise CatalogueError(
                "The feed declares entities of its own, which are not read; write its texts out."
            )
        if name in names:
            yield element
        elif name == "category" and element.get("id"):
            parent = element.get("parentId") or ""
            categories[element.get("id", "")] = (tidy(_text(element)), parent)
        element.clear(keep_tail=False)
        while element.getprevious() is not None and element.getparent() is not None:
            del element.getparent()[0]


def _local(element: _Element) -> str:
    """Return the name of an element without its namespace, also one that is not declared."""
    return re.split("[}:]", element.tag)[-1]


def _text(element: _Element) -> str:
    from lxml import etree

    # A description may hold HTML as elements.
    inner = "".join(etree.tostring(child, encoding="unicode") for child in element)
    return ((element.text or "") + inner).strip()


def _google_item(item: _Element) -> dict[str, Any]:
    found: dict[str, list[str]] = {}
    own: set[str] = set()
    attributes = []
    for child in item:
        name = _local(child).lower()
        if name == "product_detail":
            parts = {_local(part): _text(part) for part in child}
            attributes.append(f"{parts.get('attribute_name')}: {parts.get('attribute_value')}")
            continue
        value = child.get("href") or _text(child)
        # What is in Google's own namespace is meant for it: RSS has a title and a link as well.
        is_own = child.tag.startswith((GOOGLE, "g:"))
        if is_own and name not in own:
            own.add(name)
            found[name] = []
        if value and (is_own or name not in own):
            found.setdefault(name, []).append(value)
    return _first_and_further(found) | {"attributes": ", ".join(attributes)}


def _yandex_offer(offer: _Element) -> dict[str, Any]:
    found: dict[str, list[str]] = {}
    attributes = []
    for child in offer:
        name = _local(child)
        value = _text(child)
        if name == "param" and value:
            unit = child.get("unit") or ""
            attributes.append(f"{child.get('name')}: {value} {unit}".strip())
        elif value:
            found.setdefault(name, []).append(value)
    first = _first_and_further(found)
    parts = (first.get(name, "") for name in ("author", "artist", "typePrefix", "vendor", "model"))
    own = {
        "id": offer.get("id", ""),
        "group_id": offer.get("group_id", ""),
        "title": first.pop("name", "") or first.pop("title", "") or " ".join(filter(None, parts)),
        "category_id": first.pop("categoryId", ""),
        "attributes": ", ".join(attributes),
    }
    return {**own, **first}


def _first_and_further(found: Mapping[str, list[str]]) -> dict[str, Any]:
    first = {name: values[0] for name, values in found.items() if values}
    return first | {f"further_{name}": v[1:] for name, v in found.items() if len(v) > 1}


def _category_path(key: str, categories: Mapping[str, tuple[str, str]]) -> str:
    """Return the names from the root of the tree to a category; a circle ends where it closes."""
    path: list[str] = []
    seen: set[str] = set()
    while key in categories and key not in seen:
        seen.add(key)
        name, key = categories[key]
        path.insert(0, name)
    return PATH_SEPARATOR.join(filter(None, path))
