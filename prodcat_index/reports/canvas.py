"""A canvas that records pictures, texts and bars before it paints them with Pillow."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from prodcat_index.cards.cleaning import tidy
from prodcat_index.cards.pictures import load_picture
from prodcat_index.errors import PictureError
from prodcat_index.reports import style
from prodcat_index.reports.style import GREY, INK
from prodcat_index.types import CATEGORY_SEPARATOR

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont


FIELD, TRACK, BAR, EXPECTED = "#EBEEF2", "#E4E9EF", "#6F8AA5", "#B4C3D2"
# Pixels: room around pictures and between words; parts of a bar.
SPACE = 6
BAR_NAME, BAR_GAP, BAR_VALUE, BAR_THICKNESS, BAR_ROW = 90, 8, 42, 8, 20
NO_PART = "none"


@dataclass(frozen=True)
class Font:
    """The look of a text."""

    size: int
    colour: str = INK
    bold: bool = False

    @property
    def face(self) -> FreeTypeFont:
        """The font to measure and to draw with."""
        return style.load_font(self.size, self.bold)

    @property
    def line(self) -> int:
        """Height of a line in pixels."""
        return round(self.size * 1.35)


TEXT, STRONG, FIGURE = Font(15), Font(14, bold=True), Font(18, bold=True)
SMALL, SMALL_FIGURE, HEADING = Font(13, GREY), Font(13, bold=True), Font(13, GREY, bold=True)
ID = Font(11, GREY)


class Canvas:
    """Boxes, pictures and texts with their places, painted once the size is known."""

    def __init__(self) -> None:
        self.boxes: list[tuple[int, int, int, int, str]] = []
        self.pictures: list[tuple[int, int, int, int, str]] = []
        self.texts: list[tuple[float, float, str, Font, str]] = []

    def box(self, left: int, top: int, width: int, height: int, colour: str) -> None:
        """Fill a rectangle; of two, the later one is on top."""
        self.boxes.append((left, top, width, height, colour))

    def picture(self, left: int, top: int, width: int, height: int, path: str) -> None:
        """Show a picture in a frame, or a field with words where there is none."""
        self.pictures.append((left, top, width, height, path))

    def text(self, x: float, y: float, text: str, font: Font, anchor: str = "la") -> None:
        """Write one line; the anchor is Pillow's: ``la`` begins at `x`, ``ra`` ends there."""
        self.texts.append((x, y, text, font, anchor))

    def paint(self, width: int, height: int) -> Image:
        """Paint everything, pictures above boxes and texts above pictures."""
        from PIL import Image, ImageDraw

        image = Image.new("RGB", (width, height), style.WHITE)
        draw = ImageDraw.Draw(image)
        for left, top, across, down, colour in self.boxes:
            # Pillow takes the last pixel as a part of the rectangle.
            draw.rectangle((left, top, left + across - 1, top + down - 1), colour)
        texts = list(self.texts)
        for left, top, across, down, path in self.pictures:
            fitted = _load_fitted(path, across - 2 * SPACE, down - 2 * SPACE)
            frame = (left, top, left + across - 1, top + down - 1)
            draw.rectangle(frame, style.WHITE if fitted else FIELD, style.LINE)
            if fitted:
                free = (across - fitted.width, down - fitted.height)
                image.paste(fitted, (left + free[0] // 2, top + free[1] // 2))
            else:
                texts.append((left + across // 2, top + down // 2, "no picture", SMALL, "mm"))
        for x, y, text, font, anchor in texts:
            draw.text((x, y), text, font.colour, font.face, anchor)
        return image


def _load_fitted(path: str, width: int, height: int) -> Image | None:
    """Load a picture and scale it, up or down, into a frame."""
    from PIL import Image

    try:
        picture = load_picture(path, max(width, height))
    except PictureError:
        return None
    scale = min(width / picture.width, height / picture.height)
    across, down = (max(round(length * scale), 1) for length in picture.size)
    return picture.resize((across, down), Image.Resampling.LANCZOS)


class Column:
    """Puts things below one another on a canvas, none wider than the column."""

    def __init__(self, canvas: Canvas, left: int, top: int, width: int) -> None:
        self.canvas, self.left, self.top, self.width = canvas, left, top, width
        self.right = left + width

    def gap(self, height: int) -> None:
        """Leave room, in pixels."""
        self.top += height

    def picture(self, path: str, height: int) -> None:
        """Show a picture in a frame as wide as the column."""
        self.canvas.picture(self.left, self.top, self.width, height, path)
        self.gap(height + 2 * SPACE)

    def text(
        self, text: str, font: Font, lines: int = 1, shorten: style.Shorten = style.shorten_end
    ) -> None:
        """Write a text on at most so many lines."""
        for line in style.wrap(text, font.face, self.width, lines, shorten):
            self.canvas.text(self.left, self.top, line, font)
            self.gap(font.line)

    def category(self, category: str, is_right: bool | None = None) -> None:
        """Write the last part of a category on at most two lines, then the path to it on one."""
        above, _, last = tidy(category).rpartition(CATEGORY_SEPARATOR)
        sign, colour = style.SIGNS[is_right]
        font = replace(STRONG, colour=colour)
        self.text(f"{sign} {last}", font, lines=2, shorten=style.shorten_middle)
        if above:
            self.gap(2)
            path = style.shorten_path(above, SMALL.face, self.width)
            self.canvas.text(self.left, self.top, path, SMALL)
            self.gap(SMALL.line)

    def similarity(self, similarity: float, vote_share: float | None) -> None:
        """Write the similarity at the left and the share of the vote, if any, at the right."""
        # Letters of two sizes stand on one base line: the ascent below the top.
        base = self.top + FIGURE.face.getmetrics()[0]
        number = write_number(similarity)
        self.canvas.text(self.left, base, number, FIGURE, "ls")
        after = self.left + FIGURE.face.getlength(number) + SPACE
        self.canvas.text(after, base, "similarity", SMALL, "ls")
        if vote_share is not None:
            before = self.right - SMALL.face.getlength("vote") - SPACE
            self.canvas.text(before, base, f"{vote_share:.0%}", SMALL_FIGURE, "rs")
            self.canvas.text(self.right, base, "vote", SMALL, "rs")
        self.gap(FIGURE.line)

    def parts(
        self, parts: Mapping[str, float], names: Sequence[str], expected: Container[str], width: int
    ) -> None:
        """Draw the parts of a similarity as bars, each from where the one before it ends."""
        left = self.left + width + BAR_GAP
        whole = self.right - BAR_VALUE - left
        total = 0.0
        for name in names:
            self.canvas.text(
                self.left, self.top, style.shorten_middle(tidy(name), SMALL.face, width), SMALL
            )
            if name in parts:
                start, total = total, total + parts[name]
                # The figures are differences of rounded sums, so that they add up as well.
                figure = write_number(round(total, 2) - round(start, 2))
                self.canvas.text(self.right, self.top, figure, Font(SMALL.size), "ra")
                top = self.top + (SMALL.line - BAR_THICKNESS) // 2
                self.canvas.box(left, top, whole, BAR_THICKNESS, TRACK)
                low, high = (round(whole * max(0.0, min(1.0, e))) for e in sorted((start, total)))
                colour = EXPECTED if name in expected else BAR
                if high > low:
                    self.canvas.box(left + low, top, high - low, BAR_THICKNESS, colour)
            else:
                self.canvas.text(self.right, self.top, NO_PART, SMALL, "ra")
            self.gap(BAR_ROW)


def write_number(value: float) -> str:
    """Write a similarity with two digits and a true minus, never ``-0.00``."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")
