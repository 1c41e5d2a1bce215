"""A contact sheet: listings on the left, the cards nearest to each on the right, as one PNG."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from prodcat_index.cards.pictures import load_picture
from prodcat_index.errors import PictureError, ProdcatError
from prodcat_index.reports.column import (
    BAR_ROW,
    INK,
    SMALL,
    TEXT,
    WHITE,
    Column,
    Style,
    write_number,
)
from prodcat_index.voting.prediction import Neighbour, Prediction

if TYPE_CHECKING:
    from PIL.Image import Image


SIDE, QUALITY = 200, 80


def thumbnail(path: str) -> bytes | None:
    """Make a small JPEG file of a picture."""
    try:
        picture = load_picture(path, min_side=SIDE) if path else None
    except PictureError:
        picture = None
    if picture is None:
        return None
    picture.thumbnail((SIDE, SIDE))
    picture.info.clear()
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


TILE, GAP, TALL = 168, 16, 320
QUALITY = 85
TITLE = Style(14)


@dataclass(frozen=True)
class Tile:
    """A card as it is shown."""

    id: str
    title: str
    image: str
    note: str = ""


def draw_strip(tiles: Sequence[Tile]) -> bytes:
    """Draw cards side by side."""
    from PIL import Image

    width = len(tiles) * (TILE + GAP) - GAP
    strip = Image.new("RGB", (width, TALL), WHITE)
    columns = [Column(strip, n * (TILE + GAP), 0, TILE) for n in range(len(tiles))]
    for column, tile in zip(columns, tiles, strict=True):
        _draw_tile(column, tile)
    file = io.BytesIO()
    bottom = max(column.top for column in columns)
    strip.crop((0, 0, width, bottom)).save(file, "JPEG", quality=QUALITY, subsampling=0)
    return file.getvalue()


def _draw_tile(column: Column, tile: Tile) -> None:
    column.picture(tile.image)
    column.gap(6)
    column.text(tile.title or "no title", TITLE, lines=2)
    column.gap(2)
    column.text(tile.id, SMALL)
    if tile.note:
        column.text(tile.note, SMALL, lines=2)


MOST_NEIGHBOURS = 6

# Okabe and Ito's blue and vermillion, which colour-blind people tell apart.
RIGHT, WRONG = "#0072B2", "#D55E00"
VERDICT_RIGHT, VERDICT_WRONG = ("✓", "right", RIGHT), ("✗", "wrong", WRONG)
PANEL, HEADING = "#F5F7F9", Style(13, SMALL.colour, bold=True)

MARGIN, GAP, PADDING, ACCENT = 40, 24, 18, 6
PICTURE, QUERY_PICTURE = 200, 240
QUERY_WIDTH = ACCENT + QUERY_PICTURE + 2 * PADDING
TILE_STEP = PICTURE + GAP
# Higher than any row without its bars; a row is drawn on it and cut where it ends.
TALL = 800


@dataclass(frozen=True)
class SheetRow:
    """One listing with the cards near it."""

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
        """Whether the predicted category is the true one; ``None`` where that is unknown."""
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
        The ``.png`` file to write; one that is there is replaced.

    Returns
    -------
    pathlib.Path
        The file that was written.

    Raises
    ------
    ProdcatError
        When the name does not end in ``.png``, or the file cannot be written.
    """
    target = Path(path)
    _check_target(target)
    width = QUERY_WIDTH + TILE_STEP * max([1, *(len(row.shown) for row in rows)])
    blocks = _list_blocks(rows)
    listings = [_draw_row(row, blocks, width) for row in rows]
    _save(_stack([_draw_heading(width), *listings, _draw_legend(rows, blocks, width)]), target)
    return target


def _check_target(target: Path) -> None:
    if target.suffix.lower() != ".png":
        raise ProdcatError(
            f"The sheet {target} is a PNG picture: give it a name that ends in .png."
        )
    if not target.parent.is_dir():
        raise ProdcatError(
            f"The sheet {target} cannot be written, for there is no folder {target.parent}: "
            "create it, or name another."
        )


def _save(sheet: Image, target: Path) -> None:
    try:
        sheet.save(target, format="PNG")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ProdcatError(
            f"The sheet {target} cannot be written ({reason}): name another file."
        ) from None


def _list_blocks(rows: Sequence[SheetRow]) -> list[str]:
    """Return the blocks that any neighbour has, so that the bars stand alike in all tiles."""
    return list(dict.fromkeys(name for row in rows for near in row.shown for name in near.by_block))


def _stack(strips: Sequence[Image]) -> Image:
    height = sum(strip.height for strip in strips) + GAP * (len(strips) - 1)
    sheet = _blank(strips[0].width + 2 * MARGIN, height + 2 * MARGIN)
    top = MARGIN
    for strip in strips:
        sheet.paste(strip, (MARGIN, top))
        top += strip.height + GAP
    return sheet


def _blank(width: int, height: int) -> Image:
    from PIL import Image

    return Image.new("RGB", (width, height), WHITE)


def _draw_heading(width: int) -> Image:
    strip = _blank(width, HEADING.line)
    Column(strip, 0, 0, QUERY_WIDTH).text("LISTING", HEADING)
    cards = "NEAREST CARDS"
    Column(strip, QUERY_WIDTH + GAP, 0, width - QUERY_WIDTH - GAP).text(cards, HEADING)
    return strip


def _draw_row(row: SheetRow, blocks: Sequence[str], width: int) -> Image:
    strip = _blank(width, TALL + BAR_ROW * len(blocks))
    end = max(_draw_listing(strip, row), _draw_neighbours(strip, row.shown, blocks))
    return strip.crop((0, 0, width, end + PADDING))


def _draw_neighbours(strip: Image, shown: Sequence[Neighbour], blocks: Sequence[str]) -> int:
    lefts = [QUERY_WIDTH + GAP + number * TILE_STEP for number in range(max(len(shown), 1))]
    columns = [Column(strip, left, PADDING, PICTURE) for left in lefts]
    if not shown:
        columns[0].text("no cards near it", SMALL)
    for draw in (_draw_title, _draw_category, partial(_draw_figures, blocks=blocks)):
        for column, neighbour in zip(columns, shown, strict=False):
            draw(column, neighbour)
        _level(columns)
    return columns[0].top


def _level(columns: Sequence[Column]) -> None:
    """Let what comes next stand on one line in all columns."""
    lowest = max(column.top for column in columns)
    for column in columns:
        column.top = lowest


def _draw_title(column: Column, neighbour: Neighbour) -> None:
    column.picture(neighbour.image)
    column.gap(12)
    column.text(neighbour.title or "no title", TEXT, lines=2)


def _draw_category(column: Column, neighbour: Neighbour) -> None:
    column.gap(8)
    column.category(neighbour.category or "no category")


def _draw_figures(column: Column, neighbour: Neighbour, blocks: Sequence[str]) -> None:
    column.gap(10)
    vote = neighbour.vote_share
    share = () if vote is None else (f"{vote:.0%}", "vote")
    column.figure(write_number(neighbour.similarity), "similarity", *share)
    column.gap(4)
    column.bars({block: neighbour.by_block.get(block) for block in blocks})


def _draw_listing(strip: Image, row: SheetRow) -> int:
    from PIL import ImageDraw

    draw = ImageDraw.Draw(strip)
    draw.rectangle((0, 0, QUERY_WIDTH - 1, strip.height), fill=PANEL)
    if row.is_right is not None:
        draw.rectangle((0, 0, ACCENT - 1, strip.height), fill=RIGHT if row.is_right else WRONG)
    column = Column(strip, ACCENT + PADDING, PADDING, QUERY_PICTURE)
    column.picture(row.image)
    column.gap(12)
    column.text(row.title, TEXT, lines=3)
    if row.prediction is not None:
        _draw_prediction(column, row.prediction, row.is_right)
    if row.truth:
        column.gap(12)
        column.text("true category", SMALL)
        column.gap(4)
        column.category(row.truth)
    return column.top


def _draw_prediction(column: Column, prediction: Prediction, is_right: bool | None) -> None:
    column.gap(14)
    if is_right is not None:
        column.verdict(*(VERDICT_RIGHT if is_right else VERDICT_WRONG))
    column.text(f"predicted, {prediction.share:.0%} vote", SMALL)
    column.gap(4)
    column.category(prediction.category or "nothing to go by")


def _draw_legend(rows: Sequence[SheetRow], blocks: Sequence[str], width: int) -> Image:
    strip = _blank(width, TALL)
    column = Column(strip, 0, 0, width)
    column.notes(list(_explain_signs(rows, blocks)))
    return strip.crop((0, 0, width, column.top))


def _explain_signs(
    rows: Sequence[SheetRow], blocks: Sequence[str]
) -> Iterator[tuple[str, str, str]]:
    """Yield each sign that is on the sheet, with its colour and its meaning."""
    near = [neighbour for row in rows for neighbour in row.shown]
    if any(row.is_right is not None for row in rows):
        yield "✓", RIGHT, "the predicted category is the true one"
        yield "✗", WRONG, "it is not"
    if near:
        yield "similarity", INK, "weighted mean of the bars"
        yield "bars", INK, "cosine; of learned, less hubness"
    if any(len(neighbour.by_block) < len(blocks) for neighbour in near):
        yield "none", INK, "the listing or the card lacks it"
    if any(neighbour.vote_share is not None for neighbour in near):
        yield "vote", INK, "the card's share of the vote"
    if any(len(row.neighbours) > MOST_NEIGHBOURS for row in rows):
        yield "cards", INK, f"the {MOST_NEIGHBOURS} nearest of those found"
