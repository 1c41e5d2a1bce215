"""Contact sheets: listings with the cards nearest to them."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

from prodcat_index.cards.cleaning import tidy
from prodcat_index.errors import ProdcatError
from prodcat_index.index.answers import HUBNESS
from prodcat_index.index.manifest import LEARNED
from prodcat_index.reports.canvas import (
    BAR_NAME,
    HEADING,
    ID,
    NO_PART,
    SMALL,
    SPACE,
    TEXT,
    Canvas,
    Column,
)
from prodcat_index.reports.page import write_file
from prodcat_index.reports.style import SIGNS, shorten_middle
from prodcat_index.voting.prediction import Neighbour, Prediction

PANEL = "#F5F7F9"
# Pixels: of a column and of the picture on top of it; distances.
COLUMN, PICTURE = 200, 150
MARGIN, GAP, PADDING, ACCENT = 32, 20, 12, 6
QUERY_WIDTH = ACCENT + COLUMN + 2 * PADDING
FIRST_TILE = MARGIN + QUERY_WIDTH + GAP
# Of a page, and of a listing; what does not fit is on further pages, or left out and named.
PAGE_ROWS, MOST_NEIGHBOURS = 6, 6
NO_TITLE = "no title"


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
    id
        Id of the listing; empty where it has none.
    """

    title: str
    image: str
    neighbours: Sequence[Neighbour]
    prediction: Prediction | None = None
    truth: str | None = None
    id: str = ""

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

    def is_of_truth(self, neighbour: Neighbour) -> bool | None:
        """Return whether a card is of the true category; None where that is unknown."""
        return neighbour.category == self.truth if self.truth else None


def draw_sheet(rows: Sequence[SheetRow], path: str | Path) -> tuple[Path, ...]:
    """Draw listings and their nearest cards as a picture, or as several of six listings each.

    Each listing is a row: its picture, title, id, predicted and true category, then its nearest
    cards with picture, title, id, category, similarity, the parts that sum to the similarity, and
    the share of the vote. A picture that cannot be read is a grey field.

    Parameters
    ----------
    rows
        The listings, from top to bottom.
    path
        The ``.png`` file to write; an existing file is replaced. Of more than six listings the
        files are ``NAME-1.png``, ``NAME-2.png`` and so on.

    Returns
    -------
    tuple of pathlib.Path
        The files that were written.

    Raises
    ------
    ProdcatError
        If the name does not end in ``.png``, or the file cannot be written.
    """
    target = Path(path)
    if target.suffix.lower() != ".png":
        raise ProdcatError(f"The sheet {target} is a PNG picture: name a file that ends in .png.")
    pages = [rows[at : at + PAGE_ROWS] for at in range(0, max(len(rows), 1), PAGE_ROWS)]
    files = [target.with_stem(f"{target.stem}-{number + 1}") for number in range(len(pages))]
    if len(pages) == 1:
        files = [target]
    for number, (page, file) in enumerate(zip(pages, files, strict=True), start=1):
        canvas = Canvas()
        heading = "LISTING" if len(pages) == 1 else f"LISTINGS, PAGE {number} OF {len(pages)}"
        size = lay_out_sheet(canvas, page, heading)
        content = io.BytesIO()
        canvas.paint(*size).save(content, "PNG")
        write_file(file, content.getvalue())
    return tuple(files)


def _sum_parts(neighbour: Neighbour) -> dict[str, float]:
    """Return the parts of a similarity by what they are due to, directly or by what is learned."""
    parts: dict[str, float] = {}
    for name, value in neighbour.contributions.items():
        source = name.removeprefix(f"{LEARNED}:")
        parts[source] = parts.get(source, 0.0) + value
    return parts


def _expected(neighbour: Neighbour) -> set[str]:
    """Return the weighed blocks that the card lacks."""
    direct = {name for name in neighbour.contributions if not name.startswith(f"{LEARNED}:")}
    return direct - set(neighbour.by_block)


def lay_out_sheet(
    canvas: Canvas, rows: Sequence[SheetRow], heading: str = "LISTING"
) -> tuple[int, int]:
    """Put a page of a sheet on a canvas; return its width and height."""
    near = [neighbour for row in rows for neighbour in row.shown]
    # All tiles have a place for the blocks that any of them has, so that their bars stand alike.
    blocks = list(dict.fromkeys(name for neighbour in near for name in _sum_parts(neighbour)))
    # A shop without pictures needs no room for them.
    has_pictures = any([row.image for row in rows] + [neighbour.image for neighbour in near])
    height_of_pictures = PICTURE if has_pictures else 0
    tiles = max([1, *(len(row.shown) for row in rows)])
    right = FIRST_TILE + tiles * (COLUMN + GAP) - GAP
    Column(canvas, MARGIN, MARGIN, QUERY_WIDTH).text(heading, HEADING)
    Column(canvas, FIRST_TILE, MARGIN, right - FIRST_TILE).text("NEAREST CARDS", HEADING)
    top = MARGIN + HEADING.line + GAP
    for row in rows:
        inner = top + PADDING
        listing = _put_listing(canvas, inner, row, height_of_pictures)
        end = max(listing, _put_neighbours(canvas, inner, row, blocks, height_of_pictures))
        height = end + PADDING - top
        canvas.box(MARGIN, top, QUERY_WIDTH, height, PANEL)
        if row.is_right is not None:
            canvas.box(MARGIN, top, ACCENT, height, SIGNS[row.is_right][1])
        top += height + GAP
    legend = Column(canvas, MARGIN, top, right - MARGIN)
    # The legend of no sheet needs as many lines.
    legend.text(" · ".join(_explain_signs(rows, near, blocks)), SMALL, lines=8)
    return right + MARGIN, legend.top + MARGIN


def _put_listing(canvas: Canvas, top: int, row: SheetRow, picture: int) -> int:
    column = Column(canvas, MARGIN + ACCENT + PADDING, top, COLUMN)
    if picture:
        column.picture(row.image, picture)
    column.text(row.title, TEXT, lines=3)
    column.text(row.id, ID, lines=2, shorten=shorten_middle)
    if row.prediction is not None:
        column.gap(SPACE)
        column.text(f"predicted, {row.prediction.share:.0%} vote", SMALL)
        column.category(row.prediction.category or "no category", row.is_right)
    if row.truth and not row.is_right:
        column.gap(SPACE)
        column.text("true category", SMALL)
        column.category(row.truth)
    return column.top


def _put_neighbours(
    canvas: Canvas, top: int, row: SheetRow, blocks: Sequence[str], picture: int
) -> int:
    """Put cards side by side; titles, categories and bars stand on one line, long or short."""
    if not row.shown:
        Column(canvas, FIRST_TILE, top, COLUMN).text("no cards near it", SMALL)
    widest = max((SMALL.face.getlength(tidy(block)) for block in blocks), default=0.0)

    def head(column: Column, card: Neighbour) -> None:
        if picture:
            column.picture(card.image, picture)
        column.text(card.title or NO_TITLE, TEXT, lines=2)
        column.text(card.id, ID, lines=2, shorten=shorten_middle)

    def category(column: Column, card: Neighbour) -> None:
        column.gap(SPACE)
        column.category(card.category or "no category", row.is_of_truth(card))

    def figures(column: Column, card: Neighbour) -> None:
        column.gap(SPACE)
        column.similarity(card.similarity, card.vote_share)
        expected = _expected(card)
        column.parts(_sum_parts(card), blocks, expected, min(ceil(widest), BAR_NAME))

    for put in (head, category, figures):
        tiles = [
            Column(canvas, FIRST_TILE + number * (COLUMN + GAP), top, COLUMN)
            for number in range(len(row.shown))
        ]
        for column, card in zip(tiles, row.shown, strict=True):
            put(column, card)
        top = max((column.top for column in tiles), default=top)
    return top


def _explain_signs(
    rows: Sequence[SheetRow], near: Sequence[Neighbour], blocks: Sequence[str]
) -> Iterator[str]:
    """Yield the meaning of each sign that is on the sheet."""
    if any(row.truth for row in rows):
        yield "✓ the true category"
        yield "✗ another one"
    if blocks:
        yield "similarity: sum of the bars"
    if HUBNESS in blocks:
        yield "hubness: taken off cards that are near to many others"
    if any(map(_expected, near)):
        yield "pale: expected, because the card lacks it"
    if any(len(_sum_parts(neighbour)) < len(blocks) for neighbour in near):
        yield f"{NO_PART}: the listing lacks it"
    if any(neighbour.vote_share is not None for neighbour in near):
        yield "vote: the card's share of the vote"
    if any(len(row.neighbours) > MOST_NEIGHBOURS for row in rows):
        yield f"cards: the {MOST_NEIGHBOURS} nearest of those found"
