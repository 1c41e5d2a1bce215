"""``prodcat query``."""

from __future__ import annotations

from typing import Annotated

import typer

from prodcat_index.cli import options
from prodcat_index.cli.answers import emit_neighbours, emit_predictions, sheet
from prodcat_index.cli.output import Format


def query(
    text: Annotated[str, typer.Option(help="What to look for, taken as a title.")] = "",
    image: options.ImageOption = None,
    description: options.DescriptionOption = "",
    k: options.NeighboursOption = 10,
    weights: options.WeightsOption = None,
    index: options.IndexOption = None,
    image_root: options.ImageRootOption = None,
    form: options.FormatOption = Format.table,
    explain: options.ExplainOption = False,
    sheet_file: options.SheetOption = None,
) -> None:
    """Find the cards nearest to a text, a picture, or both."""
    from prodcat_index.cards.card import Card

    card = Card(id="query", title=text, description=description, image=str(image or ""))
    opened = options.open_index(index, image_root)
    chosen = options.parse_weights(weights)
    if explain:
        prediction = opened.predict([card], k=k, weights=chosen, explain=True)[0]
        emit_predictions([prediction], form, explain=True)
        sheet(sheet_file, [card], [prediction.neighbours], [prediction])
    else:
        neighbours = opened.search(card, k, weights=chosen)
        emit_neighbours(neighbours, form)
        sheet(sheet_file, [card], [neighbours])
