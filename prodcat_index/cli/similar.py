"""``prodcat similar``."""

from __future__ import annotations

from typing import Annotated

import typer

from prodcat_index.cli import options
from prodcat_index.cli.answers import emit_neighbours, sheet
from prodcat_index.cli.output import Format


def similar(
    card_id: Annotated[str, typer.Argument(metavar="ID", help="Id of a card of the index.")],
    k: options.NeighboursOption = 10,
    weights: options.WeightsOption = None,
    index: options.IndexOption = None,
    image_root: options.ImageRootOption = None,
    form: options.FormatOption = Format.table,
    sheet_file: options.SheetOption = None,
) -> None:
    """Find the cards most like a card of the index."""
    opened = options.open_index(index, image_root)
    neighbours = opened.similar(card_id, k, weights=options.parse_weights(weights))
    emit_neighbours(neighbours, form)
    sheet(sheet_file, [opened.card(card_id)], [neighbours])
