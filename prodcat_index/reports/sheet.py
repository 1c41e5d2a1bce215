"""Contact sheets: listings with the cards nearest to them, strips of cards, small pictures."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prodcat_index.cards.cleaning import tidy
from prodcat_index.cards.pictures import load_picture
from prodcat_index.errors import PictureError, ProdcatError
from prodcat_index.reports import style
from prodcat_index.reports.page import write_file
from prodcat_index.reports.style import GREY, INK, RIGHT, WRONG
from prodcat_index.types import CATEGORY_SEPARATOR
from prodcat_index.voting.prediction import Neighbour, Prediction

if TYPE_CHECKING:
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont


FIELD, TRACK, BAR, PANEL = "#EBEEF2", "#E4E9EF", "#6F8AA5", "#F5F7F9"
# Sides of pictures in pixels: in a strip, of a neighbour, of a listing, alone in a page.
STRIP_PICTURE, PICTURE, QUERY_PICTURE, THUMBNAIL = 168, 200, 240, 200
MARGIN, GAP, STRIP_GAP, PADDING, ACCENT, SPACE = 40, 24, 16, 18, 6, 6
BAR_NAME, BAR_GAP, BAR_VALUE, BAR_THICKNESS, BAR_ROW = 100, 10, 48, 8, 20
QUERY_WIDTH = ACCENT + QUERY_PICTURE + 2 * PADDING
FIRST_TILE = MARGIN + QUERY_WIDTH + GAP
# Signs of the legend and their meanings: more lines than any sheet needs.
LEGEND_LINES = 8
MOST_NEIGHBOURS = 6
NO_PICTURE, NO_TITLE, NO_COSINE = "no picture", "no title", "none"
# JPEG quality: thumbnails are many; strips have letters, which blur first.
THUMBNAIL_QUALITY, STRIP_QUALITY = 80, 85


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


TEXT, STRIP_TEXT, STRONG, FIGURE = Font(15), Font(14), Font(14, bold=True), Font(18, bold=True)
SMALL, SMALL_FIGURE, HEADING = Font(13, GREY), Font(13, bold=True), Font(13, GREY, bold=True)


class Canvas:
    """Boxes, pictures and texts with their places, painted once the size is known."""

    def __init__(self) -> None:
        self.boxes: list[tuple[int, int, int, int, str]] = []
        self.pictures: list[tuple[int, int, int, str]] = []
        self.texts: list[tuple[float, float, str, Font, str]] = []

    def box(self, left: int, top: int, width: int, height: int, colour: str) -> None:
        """Fill a rectangle; of two, the later one is on top."""
        self.boxes.append((left, top, width, height, colour))

    def picture(self, left: int, top: int, side: int, path: str) -> None:
        """Show a picture in a square, or a field with words where there is none."""
        self.pictures.append((left, top, side, path))

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
        for left, top, side, path in self.pictures:
            fitted = _load_fitted(path, side - 2 * SPACE)
            frame = (left, top, left + side - 1, top + side - 1)
            draw.rectangle(frame, style.WHITE if fitted else FIELD, style.LINE)
            if fitted:
                inset = ((side - fitted.width) // 2, (side - fitted.height) // 2)
                image.paste(fitted, (left + inset[0], top + inset[1]))
            else:
                texts.append((left + side // 2, top + side // 2, NO_PICTURE, SMALL, "mm"))
        for x, y, text, font, anchor in texts:
            draw.text((x, y), text, font.colour, font.face, anchor)
        return image


def _load(path: str, min_side: int) -> Image | None:
    try:
        return load_picture(path, min_side) if path else None
    except PictureError:
        return None


def _load_fitted(path: str, side: int) -> Image | None:
    """Load a picture and scale it, up or down, into a square."""
    from PIL import Image

    picture = _load(path, side)
    if picture is None:
        return None
    scale = side / max(picture.size)
    width, height = (max(round(length * scale), 1) for length in picture.size)
    return picture.resize((width, height), Image.Resampling.LANCZOS)


def thumbnail(path: str) -> bytes | None:
    """Make a small JPEG file of a picture; None where there is none."""
    picture = _load(path, THUMBNAIL)
    if picture is None:
        return None
    picture.thumbnail((THUMBNAIL, THUMBNAIL))
    # A photograph says where it was taken.
    picture.info.clear()
    return _encode(picture, "JPEG", quality=THUMBNAIL_QUALITY)


def _encode(image: Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


class Column:
    """Puts things below one another on a canvas, none wider than the column."""

    def __init__(self, canvas: Canvas, left: int, top: int, width: int) -> None:
        self.canvas, self.left, self.top, self.width = canvas, left, top, width
        self.right = left + width

    def gap(self, height: int) -> None:
        """Leave room, in pixels."""
        self.top += height

    def picture(self, path: str) -> None:
        """Show a picture as wide as the column."""
        self.canvas.picture(self.left, self.top, self.width, path)
        self.gap(self.width)

    def text(
        self, text: str, font: Font, lines: int = 1, shorten: style.Shorten = style.shorten_end
    ) -> None:
        """Write a text on at most so many lines."""
        for line in style.wrap(text, font.face, self.width, lines, shorten):
            self.canvas.text(self.left, self.top, line, font)
            self.gap(font.line)

    def category(self, category: str) -> None:
        """Write the last part of a category on at most two lines, then the path to it on one."""
        above, _, last = tidy(category).rpartition(CATEGORY_SEPARATOR)
        self.text(last, STRONG, lines=2, shorten=style.shorten_middle)
        if above:
            self.gap(2)
            path = style.shorten_path(above, SMALL.face, self.width)
            self.canvas.text(self.left, self.top, path, SMALL)
            self.gap(SMALL.line)

    def similarity(self, similarity: float, vote_share: float | None) -> None:
        """Write the similarity at the left and the share of the vote, if any, at the right."""
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

    def bar(self, name: str, value: float | None, name_width: int) -> None:
        """Draw a named cosine from 0 to 1 as a bar with its figure."""
        shown = style.shorten_middle(name, SMALL.face, name_width)
        self.canvas.text(self.left, self.top, shown, SMALL)
        if value is None:
            self.canvas.text(self.right, self.top, NO_COSINE, SMALL, "ra")
        else:
            self.canvas.text(self.right, self.top, write_number(value), Font(SMALL.size), "ra")
            left, top = (
                self.left + name_width + BAR_GAP,
                self.top + (SMALL.line - BAR_THICKNESS) // 2,
            )
            whole = self.right - BAR_VALUE - left
            self.canvas.box(left, top, whole, BAR_THICKNESS, TRACK)
            if length := round(whole * max(0.0, min(1.0, value))):
                self.canvas.box(left, top, length, BAR_THICKNESS, BAR)
        self.gap(BAR_ROW)


def write_number(value: float) -> str:
    """Write a similarity with two digits and a true minus, never ``-0.00``."""
    return f"{round(value, 2) + 0.0:.2f}".replace("-", "−")


@dataclass(frozen=True)
class Tile:
    """A card of a strip."""

    id: str
    title: str
    image: str
    note: str = ""


def draw_strip(tiles: Sequence[Tile]) -> bytes:
    """Draw cards side by side, as a JPEG file."""
    canvas, bottom = Canvas(), 0
    for number, tile in enumerate(tiles):
        column = Column(canvas, number * (STRIP_PICTURE + STRIP_GAP), 0, STRIP_PICTURE)
        column.picture(tile.image)
        column.gap(6)
        column.text(tile.title or NO_TITLE, STRIP_TEXT, lines=2)
        column.gap(2)
        column.text(tile.id, SMALL)
        column.text(tile.note, SMALL, lines=2)
        bottom = max(bottom, column.top)
    image = canvas.paint(len(tiles) * (STRIP_PICTURE + STRIP_GAP) - STRIP_GAP, bottom)
    return _encode(image, "JPEG", quality=STRIP_QUALITY, subsampling=0)


@dataclass(frozen=True)
class SheetRow:
    """One listing with the cards near it, and what is predicted and true of it, if known.

    Attributes
    ----------
    title, image
        Title and path of the picture of the listing.
    neighbours
        Cards from ``ProductIndex.search`` or of a prediction, nearest first.
    prediction
        Prediction for the listing; None in a search.
    truth
        True category of the listing; None where it is unknown.
    """

    title: str
    image: str
    neighbours: Sequence[Neighbour]
    prediction: Prediction | None = None
    truth: str | None = None

    @property
    def shown(self) -> Sequence[Neighbour]:
        """The neighbours that are drawn."""
        return self.neighbours[:MOST_NEIGHBOURS]

    @property
    def is_right(self) -> bool | None:
        """Whether the predicted category is the true one; None where that is unknown."""
        if self.prediction is None or not self.truth:
            return None
        return self.prediction.category == self.truth


def draw_sheet(rows: Sequence[SheetRow], path: str | Path) -> Path:
    """Draw listings and their nearest cards as one picture.

    Each listing is a row about 500 pixels high: its picture, title, predicted and true category,
    then its nearest cards with picture, title, category, similarity, the cosine of every block
    and the share of the vote. A picture that cannot be read is a grey field.

    Parameters
    ----------
    rows
        The listings, from top to bottom.
    path
        The ``.png`` file to write; an existing file is replaced.

    Returns
    -------
    pathlib.Path
        The file that was written.

    Raises
    ------
    ProdcatError
        If the name does not end in ``.png``, or the file cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() != ".png":
        raise ProdcatError(
            f"The sheet {target} is a PNG picture: give it a name that ends in .png."
        )
    if not target.parent.is_dir():
        raise ProdcatError(
            f"The sheet {target} cannot be written, for there is no folder {target.parent}: "
            "create it, or name another."
        )
    canvas = Canvas()
    width, height = lay_out_sheet(canvas, rows)
    write_file(target, _encode(canvas.paint(width, height), "PNG"))
    return target


def lay_out_sheet(canvas: Canvas, rows: Sequence[SheetRow]) -> tuple[int, int]:
    """Put a sheet on a canvas; return its width and height."""
    near = [neighbour for row in rows for neighbour in row.shown]
    # All tiles show the blocks that any of them has, so that their bars stand alike.
    blocks = list(dict.fromkeys(name for neighbour in near for name in neighbour.by_block))
    tiles = max([1, *(len(row.shown) for row in rows)])
    right = FIRST_TILE + tiles * (PICTURE + GAP) - GAP
    Column(canvas, MARGIN, MARGIN, QUERY_WIDTH).text("LISTING", HEADING)
    Column(canvas, FIRST_TILE, MARGIN, right - FIRST_TILE).text("NEAREST CARDS", HEADING)
    top = MARGIN + HEADING.line + GAP
    for row in rows:
        inner = top + PADDING
        end = max(_put_listing(canvas, inner, row), _put_neighbours(canvas, inner, row, blocks))
        height = end + PADDING - top
        canvas.box(MARGIN, top, QUERY_WIDTH, height, PANEL)
        if row.is_right is not None:
            canvas.box(MARGIN, top, ACCENT, height, RIGHT if row.is_right else WRONG)
        top += height + GAP
    legend = Column(canvas, MARGIN, top, right - MARGIN)
    legend.text(" · ".join(_explain_signs(rows, near, blocks)), SMALL, lines=LEGEND_LINES)
    return right + MARGIN, legend.top + MARGIN


def _put_listing(canvas: Canvas, top: int, row: SheetRow) -> int:
    column = Column(canvas, MARGIN + ACCENT + PADDING, top, QUERY_PICTURE)
    column.picture(row.image)
    column.gap(12)
    column.text(row.title, TEXT, lines=3)
    if row.prediction is not None:
        column.gap(14)
        if row.is_right is not None:
            verdict, colour = ("✓ right", RIGHT) if row.is_right else ("✗ wrong", WRONG)
            canvas.text(column.right, column.top, verdict, Font(SMALL.size, colour, True), "ra")
        column.text(f"predicted, {row.prediction.share:.0%} vote", SMALL)
        column.gap(4)
        column.category(row.prediction.category or "no category")
    if row.truth:
        column.gap(12)
        column.text("true category", SMALL)
        column.gap(4)
        column.category(row.truth)
    return column.top


def _put_neighbours(canvas: Canvas, top: int, row: SheetRow, blocks: Sequence[str]) -> int:
    """Put cards side by side; titles, categories and bars have one place each, long or short."""
    if not row.shown:
        Column(canvas, FIRST_TILE, top, PICTURE).text("no cards near it", SMALL)
    title = top + PICTURE + 12
    category = title + 2 * TEXT.line + 8
    figures = category + 2 * STRONG.line + SMALL.line + 12
    widest = max((SMALL.face.getlength(tidy(block)) for block in blocks), default=0.0)
    end = top
    for number, neighbour in enumerate(row.shown):
        column = Column(canvas, FIRST_TILE + number * (PICTURE + GAP), top, PICTURE)
        column.picture(neighbour.image)
        column.top = title
        column.text(neighbour.title or NO_TITLE, TEXT, lines=2)
        column.top = category
        column.category(neighbour.category or "no category")
        column.top = figures
        column.similarity(neighbour.similarity, neighbour.vote_share)
        column.gap(4)
        for block in blocks:
            column.bar(tidy(block), neighbour.by_block.get(block), min(ceil(widest), BAR_NAME))
        end = column.top
    return end


def _explain_signs(
    rows: Sequence[SheetRow], near: Sequence[Neighbour], blocks: Sequence[str]
) -> Iterator[str]:
    """Yield the meaning of each sign that is on the sheet."""
    if any(row.is_right is not None for row in rows):
        yield "✓ the predicted category is the true one"
        yield "✗ it is not"
    if near:
        yield "similarity: weighted mean of the bars"
        yield "bars: cosine; of learned, less hubness"
    if any(len(neighbour.by_block) < len(blocks) for neighbour in near):
        yield f"{NO_COSINE}: the listing or the card lacks it"
    if any(neighbour.vote_share is not None for neighbour in near):
        yield "vote: the card's share of the vote"
    if any(len(row.neighbours) > MOST_NEIGHBOURS for row in rows):
        yield f"cards: the {MOST_NEIGHBOURS} nearest of those found"
