"""Pages: texts of strangers stay texts, and nothing is loaded or run."""

from __future__ import annotations

import re
from base64 import b64decode
from datetime import date
from html.parser import HTMLParser
from pathlib import Path

import made
import pytest

from prodcat_index.errors import ProdcatError
from prodcat_index.reports import style
from prodcat_index.reports.explore import explore
from prodcat_index.reports.explore_page import write_exploration
from prodcat_index.reports.page import (
    Link,
    Table,
    data_uri,
    excerpt,
    render_page,
    today,
    write_counted,
    write_figure,
    write_file,
    write_percent,
)
from prodcat_index.reports.style import Picture

ATTACK = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)> {{ 7 * 7 }} $x^2$ &lt;b&gt;"


class Reader(HTMLParser):
    """Collects tags, attributes and texts as a browser would see them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def values(self, tag: str, name: str) -> list[str]:
        return [v for t, n, v in self.attributes if (t, n) == (tag, name)]


def check_links(page: Reader) -> None:
    """Check that every link leads to one place on the page, and every section is linked to."""
    ids = [value for _, name, value in page.attributes if name == "id"]
    links = {link.removeprefix("#") for link in page.values("a", "href")}
    assert len(set(ids)) == len(ids) and links <= set(ids)
    assert set(page.values("section", "id")) <= links


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """The page of a catalogue in which everything that can be is hostile."""
    folder = tmp_path_factory.mktemp("hostile")
    pictures = made.draw_pictures(folder, 2)
    rows = [
        made.row(
            f"{ATTACK}{number}",
            ATTACK,
            f"{ATTACK} text",
            image=str(picture),
            category=f"{ATTACK} > shelf{end}",
            **{ATTACK: ATTACK},
        )
        for number, (picture, end) in enumerate(zip(pictures, ("", "."), strict=True))
    ]
    catalogue = made.catalogue(rows, texts=("title", "description", ATTACK))
    page = write_exploration(explore(catalogue), folder / "out")
    return Reader(page.read_text(encoding="utf-8"))


def test_hostile_texts_become_no_tags(hostile: Reader) -> None:
    """Whoever lists a product could run a script in the shop-keeper's browser."""
    assert "script" not in hostile.tags
    assert not [a for a in hostile.attributes if a[1].startswith("on")]
    assert all(source.startswith("data:image/") for source in hostile.values("img", "src"))


def test_hostile_texts_are_shown_as_they_are(hostile: Reader) -> None:
    """What is stripped instead of escaped cannot be found and mended."""
    cells = [text.strip() for text in hostile.texts]
    assert ATTACK[:160] in cells
    assert any(cell.startswith(f"{ATTACK} > shelf") for cell in cells)
    assert not any("49" in cell and "alert" in cell for cell in cells)


def test_a_page_loads_nothing_and_says_so_to_the_browser(hostile: Reader) -> None:
    assert not hostile.values("link", "href")
    assert all(link.startswith("#") for link in hostile.values("a", "href"))
    policy = hostile.values("meta", "content")
    assert any("default-src 'none'" in value for value in policy)


def test_every_picture_has_words_and_every_link_a_target(hostile: Reader) -> None:
    """Those who cannot see the page would miss half of it."""
    alts = hostile.values("img", "alt")
    assert len(alts) == hostile.tags.count("img") and all(len(alt) > 10 for alt in alts)
    check_links(hostile)
    assert hostile.tags.count("h1") == 1 and hostile.tags.count("title") == 1


def test_a_picture_inside_the_page_is_the_file() -> None:
    picture = Picture("a.jpg", b"\xff\xd8 content", "alt")
    head, content = data_uri(picture).split(",")
    assert head == "data:image/jpeg;base64" and b64decode(content) == b"\xff\xd8 content"


def test_a_template_that_names_what_is_not_there_fails() -> None:
    """A section would be empty, and nobody would see it."""
    from jinja2 import UndefinedError

    with pytest.raises(UndefinedError):
        render_page("explore.html", title="x", contents={})


def test_the_base_template_stands_alone() -> None:
    page = render_page("base.html", title="a & b", contents={"one": "<One>"})
    assert "<title>a &amp; b</title>" in page and "&lt;One&gt;" in page
    assert "<code>" not in page and not re.search(r"https?://", page)


def test_the_foot_has_the_date_and_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody knows whether the page is of this year, or how to make it again."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86399")
    page = render_page("base.html", "prodcat report '<i>'", title="a", contents={})
    assert "Written on 1970-01-01 by prodcat-index" in page
    assert "<code>prodcat report &#39;&lt;i&gt;&#39;</code>" in page
    for given in ("", "yesterday", "1" * 30):
        monkeypatch.setenv("SOURCE_DATE_EPOCH", given)
        assert today() == date.today().isoformat()


def test_right_and_wrong_look_on_pages_as_on_sheets() -> None:
    """The colour of a right answer on the sheet is that of a link, or of a wrong one, elsewhere."""
    page = render_page("base.html", title="a", contents={})
    assert f"--right: {style.RIGHT}; --wrong: {style.WRONG};" in page
    assert "prefers-color-scheme: dark" in page and "color-scheme: light dark" in page


def luminance(colour: str) -> float:
    """Return the relative luminance of a colour, as WCAG 2 defines it."""
    long = colour if len(colour) == 7 else "#" + "".join(2 * digit for digit in colour[1:])
    parts = [int(long[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_texts_can_be_read_in_light_and_in_dark() -> None:
    """Grey on grey: at least 4.5 to 1, as WCAG 2 asks for."""
    page = render_page("base.html", title="a", contents={})
    light, dark = re.findall(r":root \{([^}]*--ink[^}]*)\}", page)
    for look in (light, dark):
        colours = dict(re.findall(r"--(\w+): (#\w+);", look))
        for ground in ("page", "panel"):
            for text in ("ink", "grey", "right", "wrong"):
                low, high = sorted(luminance(colours[name]) for name in (ground, text))
                assert (high + 0.05) / (low + 0.05) >= 4.5, (text, ground, look)


@pytest.mark.parametrize(
    ("number", "written"),
    [(0.0, "0"), (0.4344, "0.434"), (12.0, "12"), (12.345, "12.3"), (1234.5, "1,234")],
)
def test_figures_are_written_with_the_digits_that_count(number: float, written: str) -> None:
    assert write_figure(number) == written


def test_counts_and_percentages() -> None:
    assert write_figure(91120) == "91,120"
    assert (write_percent(0.0), write_percent(0.125), write_percent(1.0)) == (
        "0.0\xa0%",
        "12.5\xa0%",
        "100.0\xa0%",
    )
    assert write_percent(0.0001) == "<\xa00.1\xa0%"


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ProdcatError, match="cannot be written"):
        write_file(tmp_path / "file" / "page.html", "x")


def test_a_lone_surrogate_does_not_stop_the_page(tmp_path: Path) -> None:
    write_file(tmp_path / "page.html", "a\ud800b")
    assert (tmp_path / "page.html").read_bytes() == b"a?b"


def test_one_thing_is_not_several() -> None:
    """A category with "1 cards" looks like a page that nobody has read."""
    assert write_counted(1, "cards") == "1\xa0card"
    assert write_counted(2, "cards") == "2\xa0cards"
    assert write_counted(1.5, "categories") == "1.5\xa0categories"


def test_cut_texts_say_so() -> None:
    """The end of a description seems to be missing in the catalogue."""
    assert excerpt("Leather boots", 13) == "Leather boots"
    assert excerpt("Leather boots, warm", 9) == "Leather…"


def test_tables_write_numbers_and_know_their_columns() -> None:
    """Scores would stand ragged below one another."""
    table = Table("t", ("", "cards", "share"), [("a", 1234, 0.5), ("b", 2, None)], write_percent)
    rows = [[table.write(cell) for cell in row] for row in table.rows]
    assert rows == [["a", "1,234", "50.0\xa0%"], ["b", "2", ""]]
    assert [table.is_number(column) for column in range(3)] == [False, True, True]


def test_wide_tables_become_lists_on_a_phone_and_narrow_ones_stay() -> None:
    """Half of the columns are beyond the edge of the screen."""
    numbers = Table("t", ("column", "filled", "missing", "share missing"), [("title", 1, 2, 0.5)])
    texts = Table("t", ("a", "b", "c"), [("long words " * 9, "long words " * 9, "x")])
    assert not numbers.is_wide and texts.is_wide
    assert Table("t", [f"head-{n}" for n in range(12)], [range(12)]).is_wide
    assert not Table("t", ("a", "b"), [("long words " * 9, "x")]).is_wide


def test_bars_are_shares_or_counts_beside_the_largest() -> None:
    """A third of the cards looks like all of them."""
    shares = Table("t", ("", "share"), [("a", 0.25), ("b", 0.5), ("c", None)], bars=1)
    assert [shares.bar(row) for row in shares.rows] == [0.25, 0.5, 0.0]
    counts = Table("t", ("", "cards"), [("a", 40), ("b", 10), ("c", 0)], bars=1)
    assert [counts.bar(row) for row in counts.rows] == [1.0, 0.25, 0.0]
    assert Table("t", ("cards",), [(0,)], bars=0).bar((0,)) == 0.0


def test_short_cells_are_not_broken_and_links_are_texts() -> None:
    table = Table("t", ("", ""), [("0.849 to 0.932", Link("a long name of a category", "x"))])
    assert (table.is_short(0), table.is_short(1)) == (True, False)
    assert table.write(table.rows[0][1]) == "a long name of a category"
