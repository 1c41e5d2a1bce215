"""Pages: pictures, tables and numbers for people, and templates with every text escaped."""

from __future__ import annotations

import os
from base64 import b64encode
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any, TypeAlias

from prodcat_index import __version__
from prodcat_index.cards.cleaning import tidy
from prodcat_index.cards.pictures import make_thumbnail
from prodcat_index.errors import PictureError, ProdcatError
from prodcat_index.findings import agree
from prodcat_index.reports import style
from prodcat_index.reports.style import ELLIPSIS, Picture

TEMPLATES = Path(__file__).parent / "templates"
NO_BREAK = "\N{NO-BREAK SPACE}"
# Letters of a title in the words for a picture; of a cell that is too short to be broken, of a line
# of a longer one, and of a line on a phone.
ALT_TITLE, SHORT, BROKEN, PHONE = 60, 16, 24, 46
THUMBNAIL = 200  # pixels

Cell: TypeAlias = "str | int | float | None"


class Link(str):
    """A text that leads to a place on the page; on a terminal it is the text alone."""

    place: str

    def __new__(cls, text: str, place: str) -> Link:
        """Make a link to the element of that id."""
        link = super().__new__(cls, text)
        link.place = place
        return link


@dataclass(frozen=True)
class Tile:
    """A card on a page."""

    id: str
    title: str
    image: str
    note: str = ""


@dataclass(frozen=True)
class Strip:
    """Cards beside one another, below a heading."""

    heading: str
    tiles: Sequence[Tile]
    place: str  # id of the element, for links


def write_counted(number: float, what: str) -> str:
    """Write a number with what is counted, which is given in the plural: 1 card, 2 cards."""
    return f"{write_figure(number)}{NO_BREAK}{agree(number, what)}"


def write_percent(share: float) -> str:
    """Write a share as a percentage; what is little but not nothing is no zero."""
    figure = "< 0.1" if 0 < share < 0.0005 else f"{share * 100:.1f}"
    return f"{figure} %".replace(" ", NO_BREAK)


def write_figure(number: float) -> str:
    """Write a number with three digits that count, or whole where it is large."""
    return f"{number:,.0f}" if number >= 100 or number == int(number) else f"{number:.3g}"


def write_score(number: float) -> str:
    """Write a score with three digits after the point."""
    return f"{number:.3f}"


def excerpt(text: str, letters: int) -> str:
    """Return the beginning of a text, with an ellipsis where it was cut."""
    return text if len(text) <= letters else text[: letters - 1].rstrip() + ELLIPSIS


@dataclass(frozen=True)
class Table:
    """A table for a page or a terminal."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    write_float: Callable[[float], str] = write_figure
    bars: int | None = None  # column of numbers that are drawn as bars as well

    def write(self, cell: Cell) -> str:
        """Write a cell as text; None, a number that is missing, as nothing."""
        if isinstance(cell, float):
            return self.write_float(cell)
        return write_figure(cell) if isinstance(cell, int) else cell or ""

    def is_number(self, column: int) -> bool:
        """Return whether a column holds numbers alone."""
        return not any(isinstance(row[column], str) for row in self.rows)

    def is_short(self, column: int) -> bool:
        """Return whether a column is so narrow that its cells need not be broken over lines."""
        return all(len(self.write(row[column])) <= SHORT for row in self.rows)

    @property
    def is_wide(self) -> bool:
        """Whether the table is too wide for a phone, where each row becomes a list then."""
        letters = 0
        for column, head in enumerate(self.heads):
            longest = max((len(self.write(row[column])) for row in self.rows), default=0)
            letters += max([min(longest, BROKEN), *map(len, head.split())])
        return letters > PHONE

    def bar(self, row: Sequence[Cell]) -> float:
        """Return how long the bar of a row is: a share, or a count as a part of the largest."""
        assert self.bars is not None, "the table has bars"
        values = [each[self.bars] for each in (row, *self.rows)]
        counts = [value for value in values if isinstance(value, int)]
        return float(values[0] or 0) / max([1, *counts])


def data_uri(picture: Picture) -> str:
    """Return an address that holds the picture itself."""
    kind = "png" if picture.file_name.endswith(".png") else "jpeg"
    return f"data:image/{kind};base64,{b64encode(picture.content).decode()}"


def draw_card(path: str, title: str) -> Picture | None:
    """Make a small picture of a card; None where it has none that can be read."""
    try:
        # A page has many thumbnails, so their quality is no higher than this.
        content = make_thumbnail(path, THUMBNAIL, quality=80)
    except PictureError:
        return None
    alt = f"Picture of {excerpt(tidy(title), ALT_TITLE) or 'a card without title'}"
    return Picture("card.jpg", content, alt)


def today() -> str:
    """Return the date for a page: SOURCE_DATE_EPOCH, where it is set, makes pages repeatable."""
    try:
        given = datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), timezone.utc)
    except (KeyError, ValueError, OverflowError, OSError):
        return date.today().isoformat()
    return given.date().isoformat()


def render_page(template: str, command: str = "", **values: Any) -> str:
    """Fill in a template; the command that made the page, if known, stands at its foot."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        counted=write_counted,
        agree=agree,
        figure=write_figure,
        percent=write_percent,
        score=write_score,
        excerpt=excerpt,
        data_uri=data_uri,
    )
    environment.globals.update(style=style, draw_card=cache(draw_card))
    foot = {"date": today(), "version": __version__, "command": command}
    return environment.get_template(template).render(foot | values)


def write_file(file: Path, content: str | bytes) -> None:
    """Write a file of a report, creating its folder."""
    content = content.encode("utf-8", "replace") if isinstance(content, str) else content
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ProdcatError(f"{file} cannot be written ({reason}): name another place.") from None
