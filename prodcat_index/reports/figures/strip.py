"""Cards side by side, each with its picture, title and a note: samples and duplicates."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

from prodcat_index.reports.column import SMALL, WHITE, Column, Style

TILE, GAP, TALL = 168, 16, 320
QUALITY = 85
TITLE = Style(14)


@dataclass(frozen=True)
class Tile:
    """A card as it is shown.

    Attributes
    ----------
    id
        Of the card.
    title
        May be empty.
    image
        Path of its picture; empty when there is none.
    note
        A line below the title.
    """

    id: str
    title: str
    image: str
    note: str = ""


def draw_strip(tiles: Sequence[Tile]) -> bytes:
    """Draw cards side by side.

    Parameters
    ----------
    tiles
        From left to right, at least one.

    Returns
    -------
    bytes
        A JPEG file, for photographs are five times larger as PNG.
    """
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
