"""The pen of a contact sheet: texts, pictures and bars below one another."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from prodcat_index.cards.cleaning import tidy
from prodcat_index.cards.pictures import load_picture
from prodcat_index.errors import PictureError
from prodcat_index.types import CATEGORY_SEPARATOR

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont


Shorten: TypeAlias = "Callable[[str, FreeTypeFont, float], str]"

ELLIPSIS = "…"
# Far more than fits any tile: a description of a megabyte need not be measured.
LONGEST = 1_000


@cache
def load_font(size: int, bold: bool = False) -> FreeTypeFont:
    """Load DejaVu Sans, which has Latin, Cyrillic, ✓ and ✗ and comes with matplotlib."""
    import matplotlib
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)


def shorten_end(text: str, font: FreeTypeFont, width: float) -> str:
    """Return the text, with an ellipsis for what does not fit."""
    return _longest_cut(text, font, width, lambda count: text[:count].rstrip(" ,;:·-") + ELLIPSIS)


def shorten_middle(text: str, font: FreeTypeFont, width: float) -> str:
    """Return the text, with an ellipsis in its middle for what does not fit."""

    def cut(count: int) -> str:
        head, tail = text[: (count + 1) // 2], text[len(text) - count // 2 :]
        return head.rstrip() + ELLIPSIS + tail.lstrip()

    return _longest_cut(text, font, width, cut)


def shorten_path(parts: Sequence[str], font: FreeTypeFont, width: float) -> str:
    """Join as many of the last parts of a category path as fit."""
    for start in range(len(parts)):
        left_out = [ELLIPSIS] if start else []
        joined = CATEGORY_SEPARATOR.join([*left_out, *parts[start:]])
        if font.getlength(joined) <= width:
            return joined
    return shorten_middle(parts[-1], font, width) if parts else ""


def wrap(
    text: str, font: FreeTypeFont, width: float, lines: int, shorten: Shorten = shorten_end
) -> list[str]:
    """Break a text at its spaces, or within a word that is wider than a line."""
    rest = tidy(text)[:LONGEST]
    written: list[str] = []
    while rest and len(written) < lines - 1:
        line, rest = _break_line(rest, font, width)
        written.append(line)
    return [*written, shorten(rest, font, width)] if rest else written


def _longest_cut(text: str, font: FreeTypeFont, width: float, cut: Callable[[int], str]) -> str:
    if font.getlength(text) <= width:
        return text
    fitting = bisect_right(range(len(text)), width, key=lambda n: font.getlength(cut(n)))
    return cut(fitting - 1) if fitting else ""


def _break_line(text: str, font: FreeTypeFont, width: float) -> tuple[str, str]:
    ends = range(1, len(text) + 1)
    fitting = max(bisect_right(ends, width, key=lambda end: font.getlength(text[:end])), 1)
    space = text.rfind(" ", 0, fitting + 1)
    end = space if space > 0 and fitting < len(text) else fitting
    return text[:end], text[end:].lstrip()


WHITE, FIELD, LINE, TRACK = "#FFFFFF", "#EBEEF2", "#DCE1E7", "#E4E9EF"
INK, GREY, BAR = "#1B2733", "#5B6875", "#6F8AA5"

BAR_NAME, BAR_GAP, BAR_VALUE, BAR_THICKNESS = 100, 10, 48, 8
BAR_ROW = 20
DISC, SMOOTH = 20, 4
SPACE, BETWEEN_NOTES = 6, 32
NO_PICTURE, NOTHING = "no picture", "none"


@dataclass(frozen=True)
class Style:
    """How a text looks."""

    size: int
    colour: str = INK
    bold: bool = False

    @property
    def font(self) -> FreeTypeFont:
        """The font to measure and to draw with."""
        return load_font(self.size, self.bold)

    @property
    def line(self) -> int:
        """Height of a line in pixels."""
        return round(self.size * 1.35)


TEXT, STRONG, FIGURE = Style(15), Style(14, bold=True), Style(18, bold=True)
SMALL, SMALL_FIGURE = Style(13, GREY), Style(13, bold=True)
SIGN = Style(14, WHITE, bold=True)


class Column:
    """Draws each thing below the one before, never wider than itself."""

    def __init__(self, sheet: Image, left: int, top: int, width: int) -> None:
        from PIL import ImageDraw

        self._sheet, self._draw = sheet, ImageDraw.Draw(sheet)
        self._left, self._right, self._width = left, left + width, width
        self.top = top

    def gap(self, height: int) -> None:
        """Leave room, in pixels."""
        self.top += height

    def text(self, text: str, style: Style, lines: int = 1, shorten: Shorten = shorten_end) -> None:
        """Write a text on at most `lines` lines."""
        self._lines(wrap(text, style.font, self._width, lines, shorten), style)

    def category(self, category: str) -> None:
        """Write the last part of a category on at most two lines, then the path to it on one."""
        *above, last = tidy(category).split(CATEGORY_SEPARATOR)
        self.text(last, STRONG, lines=2, shorten=shorten_middle)
        if above:
            self.gap(2)
            self._lines([shorten_path(above, SMALL.font, self._width)], SMALL)

    def figure(self, value: str, label: str, value_right: str = "", label_right: str = "") -> None:
        """Write a large figure with its label and, at the right end, a small one with its own."""
        base = self.top + FIGURE.font.getmetrics()[0]
        right = self._right - SMALL.font.getlength(label_right)
        self._write(right, base, label_right, SMALL, anchor="ls")
        right -= SMALL_FIGURE.font.getlength(value_right) + SPACE
        self._write(right, base, value_right, SMALL_FIGURE, anchor="ls")
        left = self._left + FIGURE.font.getlength(value) + SPACE
        self._write(self._left, base, value, FIGURE, anchor="ls")
        shown = shorten_end(label, SMALL.font, right - SPACE - left)
        self._write(left, base, shown, SMALL, anchor="ls")
        self.gap(FIGURE.line)

    def bars(self, values: Mapping[str, float | None]) -> None:
        """Draw named cosines from 0 to 1 as bars with their figures; ``None`` is written so."""
        names = [tidy(name) for name in values]
        widest = max((SMALL.font.getlength(name) for name in names), default=0.0)
        left = self._left + min(ceil(widest), BAR_NAME) + BAR_GAP
        for name, value in zip(names, values.values(), strict=True):
            self._bar(name, value, left)
            self.gap(BAR_ROW)

    def picture(self, path: str) -> None:
        """Show a picture in a square as wide as the column, or say that there is none."""
        box = (self._left, self.top, self._right - 1, self.top + self._width - 1)
        found = _load_fitted(path, self._width - 2 * SPACE)
        self._draw.rectangle(box, fill=WHITE if found else FIELD, outline=LINE)
        if found:
            left = self._left + (self._width - found.width) // 2
            self._sheet.paste(found, (left, self.top + (self._width - found.height) // 2))
        else:
            middle = self._width // 2
            self._write(self._left + middle, self.top + middle, NO_PICTURE, SMALL, anchor="mm")
        self.gap(self._width)

    def verdict(self, sign: str, word: str, colour: str) -> None:
        """Write a word after a sign in a disc, at the right end of the line that comes next."""
        style = Style(SMALL.size, colour, bold=True)
        left = self._right - round(style.font.getlength(word))
        self._write(left, self.top, word, style)
        self._disc(left - SPACE - DISC, self.top + (style.line - DISC) // 2, sign, colour)

    def notes(self, notes: Sequence[tuple[str, str, str]]) -> None:
        """Write signs, each with its colour and meaning, as many on a line as fit."""
        left: float = self._left
        for sign, colour, meaning in notes:
            style = Style(SMALL.size, colour, bold=True)
            indent = style.font.getlength(sign) + SPACE
            shown = shorten_end(meaning, SMALL.font, self._width - indent)
            length = indent + SMALL.font.getlength(shown)
            if left > self._left and left + length > self._right:
                left = self._left
                self.gap(BAR_ROW)
            self._write(left, self.top, sign, style)
            self._write(left + indent, self.top, shown, SMALL)
            left += length + BETWEEN_NOTES
        self.gap(BAR_ROW)

    def _lines(self, lines: Sequence[str], style: Style) -> None:
        for line in lines:
            self._write(self._left, self.top, line, style)
            self.gap(style.line)

    def _bar(self, name: str, value: float | None, left: int) -> None:
        shown = shorten_middle(name, SMALL.font, left - BAR_GAP - self._left)
        self._write(self._left, self.top, shown, SMALL)
        if value is None:
            self._write(self._right, self.top, NOTHING, SMALL, anchor="ra")
            return
        self._write(self._right, self.top, write_number(value), Style(SMALL.size), anchor="ra")
        self._track(left, self._right - BAR_VALUE, value)

    def _disc(self, left: int, top: int, sign: str, colour: str) -> None:
        from PIL import Image, ImageDraw

        large = Image.new("L", (DISC * SMOOTH, DISC * SMOOTH))
        ImageDraw.Draw(large).ellipse((0, 0, large.width - 1, large.height - 1), fill=255)
        mask = large.resize((DISC, DISC), Image.Resampling.LANCZOS)
        self._sheet.paste(colour, (left, top), mask)
        ink = SIGN.font.getbbox(sign)
        x, y = left + (DISC - ink[0] - ink[2]) / 2, top + (DISC - ink[1] - ink[3]) / 2
        self._write(x, y, sign, SIGN)

    def _write(self, x: float, y: float, text: str, style: Style, anchor: str = "la") -> None:
        self._draw.text((x, y), text, fill=style.colour, font=style.font, anchor=anchor)

    def _track(self, left: int, right: int, value: float) -> None:
        top = self.top + (SMALL.line - BAR_THICKNESS) // 2
        bottom = top + BAR_THICKNESS - 1
        self._draw.rectangle((left, top, right, bottom), fill=TRACK)
        length = round((right - left) * max(0.0, min(1.0, value)))
        if length:
            self._draw.rectangle((left, top, left + length, bottom), fill=BAR)


def write_number(value: float) -> str:
    """Write a similarity with two digits and a true minus, never ``-0.00``."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


def _load_fitted(path: str, side: int) -> Image | None:
    """Load a picture and scale it, up or down, into a square; ``None`` where it cannot be read."""
    from PIL import Image

    if not path:
        return None
    try:
        picture = load_picture(path, min_side=side)
    except PictureError:
        return None
    scale = side / max(picture.size)
    width, height = (max(round(length * scale), 1) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)
