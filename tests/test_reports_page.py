"""Pages: texts of strangers stay texts, and nothing is loaded or run."""

from __future__ import annotations

import re
from base64 import b64decode
from html.parser import HTMLParser
from pathlib import Path

import made
import pytest

from prodcat_index.errors import ProdcatError
from prodcat_index.reports.explore import explore
from prodcat_index.reports.explore_page import write_exploration
from prodcat_index.reports.page import (
    Table,
    data_uri,
    excerpt,
    render_page,
    write_count,
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
    ids = hostile.values("section", "id")
    assert {link.removeprefix("#") for link in hostile.values("a", "href")} == set(ids)
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
    assert not re.search(r"https?://", page)


@pytest.mark.parametrize(
    ("number", "written"),
    [(0.0, "0"), (0.4344, "0.434"), (12.0, "12"), (12.345, "12.3"), (1234.5, "1,234")],
)
def test_figures_are_written_with_the_digits_that_count(number: float, written: str) -> None:
    assert write_figure(number) == written


def test_counts_and_percentages() -> None:
    assert write_count(91120) == "91,120"
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
    assert write_counted(1, "card") == "1\xa0card"
    assert write_counted(2, "card") == "2\xa0cards"
    assert write_counted(1.5, "category", "categories") == "1.5\xa0categories"


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
