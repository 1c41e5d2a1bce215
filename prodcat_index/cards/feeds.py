"""XML feeds: Google Merchant (RSS and Atom) and Yandex Market (YML), read an offer at a time."""

from __future__ import annotations

import codecs
import re
from collections.abc import Iterator, Mapping, Sequence
from html.entities import html5
from typing import TYPE_CHECKING, Any, BinaryIO

from prodcat_index.cards.categories import PATH_SEPARATOR, USUAL, path_in_tree
from prodcat_index.cards.cleaning import tidy
from prodcat_index.cards.exports import google_merchant
from prodcat_index.cards.sources import Source, check_encoding
from prodcat_index.cards.table import Table, frame_of_rows, texts_of
from prodcat_index.errors import CatalogueError
from prodcat_index.findings import list_findings, name_findings

if TYPE_CHECKING:
    from lxml.etree import _Element

GOOGLE = re.compile(r"\{https?://base\.google\.com/ns/1\.0/?\}|g:")
# The elements of one product by the root of the feed.
PRODUCTS = {"rss": ("item",), "RDF": ("item",), "feed": ("entry",), "yml_catalog": ("offer",)}
KNOWN = "Google Merchant feeds (RSS or Atom) and Yandex Market YML"
YML_COLUMNS = {name: name for name in ("id", "title", "description", "category", "category_id")}
YML_COLUMNS |= {"image": "picture", "group": "group_id"}
DECLARED_ENCODING = re.compile(rb"""<\?xml[^>]*\sencoding=["']([\w.-]+)""")
ENTITY = re.compile(rb"&([a-zA-Z][a-zA-Z0-9]{1,31});")
MAX_ENTITY = 34
SAMPLE, PART = 1_000, 2**20
WRONG_BYTES = ("ERR_INVALID_CHAR", "ERR_INVALID_ENCODING", "ERR_UNKNOWN_ENCODING")
NO_NAMESPACE = "NS_ERR_UNDEFINED_NAMESPACE"
BROKEN = "lines are no valid XML (read as far as possible)"
DECLARED = "feeds are in another encoding than declared"
NO_CATEGORY = "cards have a category that the feed does not list"


def read_feed(source: Source, encoding: str | None, skip_bad_rows: bool) -> Table:
    """Read an XML feed; no entity is expanded and no address is opened."""
    from lxml import etree

    categories: dict[str, tuple[str, str]] = {}
    actual = encoding or _true_encoding(source)
    try:
        with source.open() as stream:
            options = {"resolve_entities": False, "no_network": True, "load_dtd": False}
            options |= {"remove_comments": True, "remove_pis": True, "recover": True}
            plain = _PlainEntities(stream)
            events = etree.iterparse(plain, ("start", "end"), encoding=actual, **options)
            _, root = next(iter(events))
            kind = _local(root)
            if kind not in PRODUCTS:
                raise CatalogueError(
                    f"{source.name} is XML of no known format (<{kind}>): give one of {KNOWN}."
                )
            read = _yandex_offer if kind == "yml_catalog" else _google_item
            products = _products(events, PRODUCTS[kind], categories)
            frame = frame_of_rows(read(product) for product in products)
        broken = [each for each in events.error_log if each.type_name != NO_NAMESPACE]
        if broken and not skip_bad_rows:
            raise _invalid(source, actual, broken)
    except (etree.LxmlError, StopIteration):
        raise _invalid(source, actual, list(events.error_log)) from None
    except LookupError:
        raise CatalogueError(f"There is no encoding {encoding!r} for XML.") from None
    if not len(frame):
        raise CatalogueError(
            f"{source.name} has no <{PRODUCTS[kind][0]}> in its <{kind}>: give one of {KNOWN}."
        )
    found = name_findings(
        {
            BROKEN: dict.fromkeys(f"line {each.line}" for each in broken),
            DECLARED: [actual] if actual and not encoding else [],
        }
    )
    if kind != "yml_catalog":
        return google_merchant(Table(frame, findings=found))
    keys = [str(key) for key in frame["category_id"]]
    given = texts_of(frame, "category" if "category" in frame.columns else None)
    paths = [PATH_SEPARATOR.join(filter(None, path_in_tree(key, categories))) for key in keys]
    frame["category"] = [path or text for path, text in zip(paths, given, strict=True)]
    unknown = [bool(key) and key not in categories for key in keys]
    found += list_findings({NO_CATEGORY: unknown}, [str(card) for card in frame["id"]])
    present = {part: name for part, name in YML_COLUMNS.items() if name in frame.columns}
    return Table(frame, present, found, "Yandex Market feed (YML)")


def _invalid(source: Source, encoding: str | None, broken: Sequence[Any]) -> CatalogueError:
    """Return the error that names the first of the errors, or the encoding that is wrong."""
    if broken and broken[0].type_name in WRONG_BYTES:
        check_encoding(source, encoding or "utf-8")
    cause = f"line {broken[0].line}: {broken[0].message.strip()}" if broken else "it is empty"
    return CatalogueError(
        f"{source.name} is no valid XML: {cause}. Correct it, or read what can be read of it with "
        "--skip-bad-rows."
    )


def _true_encoding(source: Source) -> str | None:
    """Return utf-8 for a feed that declares another encoding and is UTF-8 beyond ASCII."""
    with source.open() as stream:
        declared = DECLARED_ENCODING.match(stream.read(SAMPLE).lstrip())
        if not declared or declared[1].lower() in (b"utf-8", b"utf-16", b"us-ascii"):
            return None
    decode, is_ascii = codecs.getincrementaldecoder("utf-8")().decode, True
    with source.open() as stream:
        try:
            while part := stream.read(PART):
                decode(part)
                is_ascii = is_ascii and part.isascii()
            decode(b"", final=True)
        except UnicodeDecodeError:
            return None
    return None if is_ascii else "utf-8"


class _PlainEntities:
    """A feed without space above it, and with HTML's own entities as numbers: XML has five."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._rest = b""
        self._is_start = True

    def read(self, size: int) -> bytes:
        while True:
            part = self._stream.read(size)
            content = self._rest + part
            if self._is_start:
                content = content.lstrip(b" \t\r\n") if part else content
            # An entity that is cut here is kept for the next part.
            cut = content.rfind(b"&", -MAX_ENTITY) if part else -1
            self._rest = content[cut:] if cut >= 0 and b";" not in content[cut:] else b""
            content = content[: len(content) - len(self._rest)]
            if content or not part:
                self._is_start = self._is_start and not content
                return ENTITY.sub(_as_number, content)


def _as_number(found: re.Match[bytes]) -> bytes:
    name = found[1].decode()
    characters = "" if name in ("amp", "lt", "gt", "quot", "apos") else html5.get(f"{name};", "")
    return "".join(f"&#{ord(each)};" for each in characters).encode() or found[0]


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
        if (entity := next(element.iter(etree.Entity), None)) is not None:
            raise CatalogueError(
                f"The feed has an entity of its own, {entity.text}, which is not read; write its "
                "texts out."
            )
        if name in names:
            yield element
        elif name == "category" and element.get("id"):
            # A mark within a name does not separate two levels.
            own = tidy(re.sub(USUAL, " › ", tidy(_text(element))))
            categories[element.get("id", "")] = own, element.get("parentId") or ""
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
        is_own = bool(value and GOOGLE.match(child.tag))
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
    return {**own, **first, **{name: value for name, value in own.items() if value}}


def _first_and_further(found: Mapping[str, list[str]]) -> dict[str, Any]:
    first = {name: values[0] for name, values in found.items() if values}
    return first | {f"further_{name}": v[1:] for name, v in found.items() if len(v) > 1}
