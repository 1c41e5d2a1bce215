"""XML feeds of Google Merchant and Yandex Market."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest
from catalogue_files import findings, refusal, written

from prodcat_index.cards import feeds
from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.cards.readers import read_table

GOOGLE_PARTS = {
    "id": "id",
    "title": "title",
    "description": "description",
    "category": "product_type",
    "image": "image_link",
    "group": "item_group_id",
}
RSS = """<?xml version="1.0"?>
<rss xmlns:g="http://base.google.com/ns/1.0" version="2.0"><channel>
<title>A shop</title><link>https://shop.example</link><description>All</description>
<item>
  <g:id>A1</g:id><title>Plain title</title><g:title>Lamp &amp; shade</g:title>
  <g:description><![CDATA[<p>For the <b>home</b></p>]]></g:description>
  <link>https://shop.example/a1</link>
  <g:image_link>https://shop.example/a1.jpg</g:image_link>
  <g:additional_image_link>https://shop.example/a2.jpg</g:additional_image_link>
  <g:additional_image_link>https://shop.example/a3.jpg</g:additional_image_link>
  <g:product_type>Home &gt; Lamps</g:product_type><g:product_type>Sale</g:product_type>
  <g:google_product_category>2271</g:google_product_category>
  <g:item_group_id>AG</g:item_group_id>
  <g:shipping><g:country>DE</g:country><g:price>4 EUR</g:price></g:shipping>
  <g:product_detail><g:attribute_name>Socket</g:attribute_name>
    <g:attribute_value>E27</g:attribute_value></g:product_detail>
  <g:product_detail><g:attribute_name>Power</g:attribute_name>
    <g:attribute_value>5 W</g:attribute_value></g:product_detail>
</item>
<item><g:id>A2</g:id><title>Mug</title><description>Of clay</description>
  <g:product_type>Kitchen &gt; Mugs</g:product_type></item>
</channel></rss>"""
ATOM = """<feed xmlns="http://www.w3.org/2005/Atom" xmlns:g="http://base.google.com/ns/1.0">
<title>A shop</title><updated>2024-01-01</updated>
<entry><id>tag:shop,2024:1</id><g:id>A1</g:id><title>Lamp</title><summary>Nice</summary>
<link href="https://shop.example/a1"/><g:google_product_category>Home &gt; Lamps
</g:google_product_category></entry></feed>"""
YML = """<?xml version="1.0" encoding="{0}"?>
<!DOCTYPE yml_catalog SYSTEM "shops.dtd">
<yml_catalog date="2024-01-01 00:00"><shop><name>Лавка</name><company>Лавка</company>
<categories><category id="1">Дом</category><category id="2" parentId="1">Свет</category>
<category id="3" parentId="2">Лампы &amp; бра</category>
<category id="8" parentId="9">Круг</category>
<category id="9" parentId="8">Круг 2</category></categories>
<offers>
<offer id="101" available="true" group_id="77"><url>https://shop.example/101</url>
<price>100</price><currencyId>RUR</currencyId><categoryId>3</categoryId>
<picture>https://shop.example/1.jpg</picture><picture>https://shop.example/2.jpg</picture>
<name>Лампа «Уют»</name><vendor>Свет</vendor>
<description><![CDATA[<p>Для дома</p>]]></description>
<param name="Цвет">красный</param><param name="Мощность" unit="Вт">5</param></offer>
<offer id="102" type="vendor.model"><categoryId>8</categoryId><typePrefix>Бра</typePrefix>
<vendor>Свет</vendor><model>B-2</model></offer>
<offer id="103"><categoryId>55</categoryId><name>Прочее</name></offer>
</offers></shop></yml_catalog>"""


def cards(path: Path) -> list[dict[str, str]]:
    """Return the parts of each card that the format defines."""
    table = read_table(path)
    frame = table.frame.astype(object).where(table.frame.notna(), "")
    return [
        {part: row[column] for part, column in table.columns.items()}
        for row in frame.to_dict("records")
    ]


def test_a_google_feed_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "feed.xml", RSS)
    lamp, mug = cards(path)
    assert lamp == {
        "id": "A1",
        "title": "Lamp & shade",
        "description": "<p>For the <b>home</b></p>",
        "category": "Home > Lamps",
        "image": "https://shop.example/a1.jpg",
        "group": "AG",
    }
    assert (mug["id"], mug["title"], mug["category"]) == ("A2", "Mug", "Kitchen > Mugs")
    assert read_table(path).format == "Google Merchant feed"
    row = read_table(path).frame.iloc[0]
    assert row["attributes"] == "Socket: E27, Power: 5 W"
    assert row["further_additional_image_link"] == ["https://shop.example/a3.jpg"]
    assert row["further_product_type"] == ["Sale"]


def test_a_feed_that_does_not_declare_its_names_is_read(tmp_path: Path) -> None:
    path = written(tmp_path, "feed.xml", RSS.replace('xmlns:g="http://base.google.com/ns/1.0"', ""))
    assert cards(path) == cards(written(tmp_path, "declared.xml", RSS))


def test_an_empty_element_of_google_deletes_no_plain_one(tmp_path: Path) -> None:
    """Else a card whose title is in the plain element has none."""
    item = "<item><id>1</id><title>A</title><g:title/><description>B</description><g:description>"
    path = written(
        tmp_path, "feed.xml", f"<rss><channel>{item}</g:description></item></channel></rss>"
    )
    [card] = cards(path)
    assert (card["title"], card["description"]) == ("A", "B")


def test_a_named_category_is_taken_before_numbers(tmp_path: Path) -> None:
    item = (
        "<item><id>{0}</id><title>A</title><google_product_category>{0}</google_product_category>"
        "{1}</item>"
    )
    own = "<product_type>Lamps</product_type>"
    items = item.format(1, own) + item.format(2, "") + item.format(3, "")
    found = cards(written(tmp_path, "feed.xml", f"<rss><channel>{items}</channel></rss>"))
    assert [card["category"] for card in found] == ["Lamps", "", ""]


CYRILLIC = "<rss><channel><item><id>1</id><title>Лампа для дома</title></item></channel></rss>"


def test_a_feed_in_utf_8_that_declares_another_encoding_is_read(tmp_path: Path) -> None:
    """Else all its texts are mojibake, without a word."""
    content = '<?xml version="1.0" encoding="windows-1251"?>' + CYRILLIC
    path = written(tmp_path, "feed.xml", content)
    assert [card["title"] for card in cards(path)] == ["Лампа для дома"]
    assert findings(path) == ["1 feed is in another encoding than declared: utf-8"]


@pytest.mark.parametrize("head", ["", '<?xml version="1.0" encoding="UTF-8"?>'])
def test_a_feed_in_another_encoding_is_told_the_option(tmp_path: Path, head: str) -> None:
    path = written(tmp_path, "feed.xml", (head + CYRILLIC).encode("cp1251"))
    assert "add --encoding cp1251" in refusal(path)
    assert read_table(path, "cp1251").frame["title"][0] == "Лампа для дома"


@pytest.mark.parametrize("size", [1, 7, 2**16])
def test_entities_of_html_and_space_above_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """Whatever the parts that the file is read in."""
    read = feeds._PlainEntities.read
    monkeypatch.setattr(feeds._PlainEntities, "read", lambda self, _: read(self, size))
    item = "<item><id>1</id><title>a&nbsp;b &eacute; &amp; &lt;c</title></item>"
    content = f'\n <?xml version="1.0"?><rss><channel>{item}</channel></rss>'
    assert [c["title"] for c in cards(written(tmp_path, "feed.xml", content))] == ["a\xa0b é & <c"]


def test_a_broken_feed_is_read_as_far_as_possible_on_request(tmp_path: Path) -> None:
    content = "<rss><channel>\n<item><id>1</id><title>A & B</title></item>\n</channel></rss>"
    path = written(tmp_path, "feed.xml", content)
    assert "line 2" in refusal(path)
    assert "--skip-bad-rows" in refusal(path)
    table = read_table(path, skip_bad_rows=True)
    assert list(table.frame["id"]) == ["1"]
    assert list(map(str, table.findings)) == [
        "1 line is no valid XML (read as far as possible): line 2"
    ]


def test_the_offer_of_a_yandex_feed_has_its_own_id_and_path(tmp_path: Path) -> None:
    listed = '<category id="1">A</category><category id="2" parentId="1">B &gt; C</category>'
    offers = (
        '<offer id="7"><id>x</id><name>T</name><categoryId>2</categoryId></offer>'
        '<offer id="8"><name>U</name></offer>'
    )
    content = f"<yml_catalog><shop><categories>{listed}</categories>{offers}</shop></yml_catalog>"
    path = written(tmp_path, "feed.yml", content)
    catalogue = read_catalogue(path)
    assert [(c.id, c.category) for c in catalogue] == [("7", "A > B › C"), ("8", "")]
    assert findings(path) == []


def test_an_atom_feed_is_read(tmp_path: Path) -> None:
    [lamp] = cards(written(tmp_path, "feed.xml", ATOM))
    assert (lamp["id"], lamp["title"], lamp["category"]) == ("A1", "Lamp", "Home > Lamps")


@pytest.mark.parametrize("encoding", ["utf-8", "windows-1251"])
@pytest.mark.parametrize("name", ["feed.xml", "feed.yml", "feed.xml.gz"])
def test_a_yandex_feed_is_read(tmp_path: Path, encoding: str, name: str) -> None:
    content = YML.format(encoding).encode(encoding)
    path = written(tmp_path, name, gzip.compress(content) if name.endswith("gz") else content)
    lamp, wall, other = cards(path)
    assert lamp == {
        "id": "101",
        "title": "Лампа «Уют»",
        "description": "<p>Для дома</p>",
        "category": "Дом > Свет > Лампы & бра",
        "category_id": "3",
        "image": "https://shop.example/1.jpg",
        "group": "77",
    }
    assert (wall["title"], wall["category"]) == ("Бра Свет B-2", "Круг 2 > Круг")
    assert (other["category"], other["category_id"]) == ("", "55")
    assert findings(path) == ["1 card has a category that the feed does not list: 103"]
    assert read_table(path).frame["attributes"][0] == "Цвет: красный, Мощность: 5 Вт"


def test_categories_after_the_offers_are_found(tmp_path: Path) -> None:
    start, rest = YML.format("utf-8").split("<categories>")
    categories, end = rest.split("</categories>")
    path = written(
        tmp_path,
        "a.yml",
        start + end.replace("</shop>", f"<categories>{categories}</categories></shop>"),
    )
    assert cards(path)[0]["category"] == "Дом > Свет > Лампы & бра"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("<html><body/></html>", "is XML of no known format (<html>)"),
        ("<rss><channel><item><id>1</id>", "is no valid XML"),
        ("no: xml\n", "is no valid XML"),
        ("<rss>" * 100_000, "is no valid XML"),
        ("<rss><channel><item><title>a &shop; b</title></item></channel></rss>", "shop"),
        ("<feed><product><id>1</id></product></feed>", "has no <entry>"),
    ],
)
def test_other_xml_is_named(tmp_path: Path, content: str, said: str) -> None:
    assert said in refusal(written(tmp_path, "a.xml", content))


def test_a_feed_without_products_has_no_cards(tmp_path: Path) -> None:
    path = written(tmp_path, "a.xml", "<rss><channel><title>x</title></channel></rss>")
    assert "has no <item> in its <rss>: give one of Google" in refusal(path)


def test_entities_are_not_expanded(tmp_path: Path) -> None:
    """A billion laughs would fill the memory, and a file of the server would become a title."""
    (tmp_path / "secret.txt").write_text("secret")
    for value in ('"lol"', f'SYSTEM "{tmp_path / "secret.txt"}"'):
        entities = f"<!DOCTYPE rss [<!ENTITY a {value}>]>"
        product = "<item><id>1</id><title>x &a; y</title></item>"
        for content in (product, "<item>&a;<id>1</id></item>"):
            feed = f"{entities}<rss><channel>{content}</channel></rss>"
            assert "an entity of its own, &a;" in refusal(written(tmp_path, "a.xml", feed))
    laughs = '<!ENTITY l0 "lol">' + "".join(
        f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12)
    )
    for product in ("<item><title>&l11;</title></item>", '<item><title a="&l11;">a</title></item>'):
        feed = f"<!DOCTYPE rss [{laughs}]><rss><channel>{product}</channel></rss>"
        assert "XML" in (said := refusal(written(tmp_path, "b.xml", feed))) or "entities" in said


def test_a_long_feed_is_read_in_pieces(tmp_path: Path) -> None:
    items = "".join(f"<item><g:id>{n}</g:id><title>lamp {n}</title></item>" for n in range(30_000))
    head = '<rss xmlns:g="http://base.google.com/ns/1.0"><channel>'
    found = cards(written(tmp_path, "a.xml", f"{head}{items}</channel></rss>"))
    assert [card["id"] for card in found] == [str(n) for n in range(30_000)]
    assert found[-1]["title"] == "lamp 29999"
