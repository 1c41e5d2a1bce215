"""Contact sheets: listings with the cards nearest to them, and strips of cards."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from prodcat_index.cards.cleaning import tidy
from prodcat_index.errors import ProdcatError
from prodcat_index.reports.canvas import (
    BAR_NAME,
    HEADING,
    NO_COSINE,
    SMALL,
    STRIP_TEXT,
    STRONG,
    TEXT,
    Canvas,
    Column,
    Font,
    encode_image,
)
from prodcat_index.reports.page import write_file
from prodcat_index.reports.style import RIGHT, WRONG
from prodcat_index.voting.prediction import Neighbour, Prediction

PANEL = "#F5F7F9"
# Pixels: sides of pictures in a strip, of a neighbour and of a listing; distances.
STRIP_PICTURE, PICTURE, QUERY_PICTURE = 168, 200, 240
MARGIN, GAP, STRIP_GAP, PADDING, ACCENT = 40, 24, 16, 18, 6
QUERY_WIDTH = ACCENT + QUERY_PICTURE + 2 * PADDING
FIRST_TILE = MARGIN + QUERY_WIDTH + GAP
MOST_NEIGHBOURS = 6
NO_TITLE = "no title"


def draw_strip(cards: Sequence[tuple[str, str, str, str]]) -> bytes:
    """Draw cards (id, title, path of the picture, note) side by side, as a JPEG file."""
    canvas, bottom = Canvas(), 0
    for number, (id, title, image, note) in enumerate(cards):
        column = Column(canvas, number * (STRIP_PICTURE + STRIP_GAP), 0, STRIP_PICTURE)
        column.picture(image)
        column.gap(6)
        column.text(title or NO_TITLE, STRIP_TEXT, lines=2)
        column.gap(2)
        column.text(id, SMALL)
        column.text(note, SMALL, lines=2)
        bottom = max(bottom, column.top)
    strip = canvas.paint(len(cards) * (STRIP_PICTURE + STRIP_GAP) - STRIP_GAP, bottom)
    # Letters blur first.
    return encode_image(strip, "JPEG", quality=85, subsampling=0)


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
        raise ProdcatError(f"The sheet {target} is a PNG picture: name a file that ends in .png.")
    canvas = Canvas()
    width, height = lay_out_sheet(canvas, rows)
    write_file(target, encode_image(canvas.paint(width, height), "PNG"))
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
    # The legend of no sheet needs as many lines.
    legend.text(" · ".join(_explain_signs(rows, near, blocks)), SMALL, lines=8)
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
