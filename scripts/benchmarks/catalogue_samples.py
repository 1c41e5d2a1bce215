"""Small catalogue files of every format, to be damaged."""

from __future__ import annotations

import gzip
import io
import json
from typing import Any

NAMES = ("lamp", "mug", "rug", "chair", "Лампа «Уют»", "café")
CARDS: list[dict[str, Any]] = [
    {
        "id": f"p{n}",
        "title": f"{name} {n}, red",
        "description": f'<p>For "home" &amp; more;\n{name * 3}</p>',
        "category": f"Home > {name}",
        "price": 1.5 * n,
        "tags": [name, str(n)],
    }
    for n, name in enumerate(NAMES * 4)
]


def catalogue_files() -> dict[str, bytes]:
    """Return the content of a file of each format by its name."""
    import pandas as pd

    plain = pd.DataFrame(CARDS).drop(columns="tags")
    lines = "\n".join(json.dumps(card, ensure_ascii=False) for card in CARDS)
    csv = plain.to_csv(index=False)
    semicolons = plain.to_csv(index=False, sep=";")
    shopify = [
        {"Handle": c["id"], "Title": c["title"], "Body (HTML)": c["description"], "Type": "Lamps"}
        for c in CARDS
    ]
    images = [{"Handle": c["id"], "Image Src": "https://x/1.jpg"} for c in CARDS]
    woo = [
        {"ID": n, "Type": "variation" if n % 2 else "variable", "Parent": f"id:{n - n % 2}"}
        | {"SKU": c["id"], "Name": c["title"], "Categories": "A > B, A", "Images": "a.jpg, b.jpg"}
        for n, c in enumerate(CARDS, start=2)
    ]
    magento = [
        {
            "sku": c["id"],
            "name": c["title"],
            "categories": "Default Category/A,Default Category/A/B",
        }
        | {"product_type": "simple", "attribute_set_code": "x", "store_view_code": ""}
        | {"configurable_variations": "sku=p2,size=S|sku=p3,size=M"}
        for c in CARDS
    ]
    amazon = [
        {"parent_asin": c["id"], "title": c["title"], "description": [c["description"]]}
        | {"categories": ["Home", "Lamps"], "features": ["a"], "images": [{"large": "https://x"}]}
        for c in CARDS
    ]
    kazanexpress = [
        {"product_id": n, "text_fields": json.dumps(c), "category_name": "A->B"}
        for n, c in enumerate(CARDS)
    ]
    return {
        "comma.csv": csv.encode(),
        "semicolon.csv": f"sep=;\n{semicolons}{';;;;' * 3}\n".encode("utf-16"),
        "cp1251.csv": f"Prices\n;;;\n{semicolons}".encode("cp1251", "ignore"),
        "tabs.tsv": plain.assign(description="short").to_csv(index=False, sep="\t").encode(),
        "packed.csv.gz": gzip.compress(csv.encode(), mtime=0),
        "lines.jsonl": lines.encode(),
        "packed.jsonl.gz": gzip.compress(lines.encode(), mtime=0),
        "array.json": json.dumps(CARDS, ensure_ascii=False).encode(),
        "google.xml": _google(CARDS),
        "yandex.yml": _yandex(CARDS),
        "shopify.csv": pd.DataFrame(shopify + images).to_csv(index=False).encode(),
        "woocommerce.csv": pd.DataFrame(woo).to_csv(index=False).encode(),
        "magento.csv": pd.DataFrame(magento).to_csv(index=False).encode(),
        "amazon.jsonl": "\n".join(map(json.dumps, amazon)).encode(),
        "kazanexpress.parquet": _parquet(pd.DataFrame(kazanexpress)),
        "plain.parquet": _parquet(pd.DataFrame(CARDS)),
        "pictures.parquet": _parquet(
            plain.assign(image=[{"bytes": b"\x89PNG rubbish", "path": "a.png"}] * len(plain))
        ),
        "sheet.xlsx": _workbook(plain),
    }


def _google(cards: list[dict[str, Any]]) -> bytes:
    from lxml import etree

    space = "http://base.google.com/ns/1.0"
    root = etree.Element("rss", nsmap={"g": space})
    channel = etree.SubElement(root, "channel")
    for card in cards:
        item = etree.SubElement(channel, "item")
        for name in ("id", "title", "description"):
            etree.SubElement(item, f"{{{space}}}{name}").text = card[name]
        etree.SubElement(item, f"{{{space}}}product_type").text = card["category"]
    return etree.tostring(root, encoding="utf-8", xml_declaration=True, pretty_print=True)


def _yandex(cards: list[dict[str, Any]]) -> bytes:
    from lxml import etree

    root = etree.Element("yml_catalog")
    shop = etree.SubElement(root, "shop")
    categories = etree.SubElement(shop, "categories")
    etree.SubElement(categories, "category", id="1").text = "Дом"
    etree.SubElement(categories, "category", id="2", parentId="1").text = "Свет"
    offers = etree.SubElement(shop, "offers")
    for card in cards:
        offer = etree.SubElement(offers, "offer", id=card["id"], group_id="7")
        for name, value in {"name": card["title"], "categoryId": "2", "vendor": "V"}.items():
            etree.SubElement(offer, name).text = value
        etree.SubElement(offer, "param", name="Цвет").text = "красный"
    kind = '<!DOCTYPE yml_catalog SYSTEM "shops.dtd">'
    return etree.tostring(root, encoding="windows-1251", xml_declaration=True, doctype=kind)


def _parquet(frame: Any) -> bytes:
    file = io.BytesIO()
    frame.to_parquet(file, index=False)
    return file.getvalue()


def _workbook(frame: Any) -> bytes:
    file = io.BytesIO()
    frame.to_excel(file, index=False)
    return file.getvalue()
