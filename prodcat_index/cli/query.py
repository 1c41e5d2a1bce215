"""Commands that search an index: ``query`` and ``similar``."""

from __future__ import annotations

from typing import Annotated

import typer

from prodcat_index.cli import options
from prodcat_index.cli.answers import draw_answers, emit_neighbours
from prodcat_index.cli.calls import WrongCallError
from prodcat_index.cli.values import parse_weights


def query(
    text: Annotated[
        str, typer.Option(metavar="TEXT", help="Text to search for, taken as a title.")
    ] = "",
    image: options.ImageOption = None,
    description: options.DescriptionOption = "",
    k: options.NeighboursOption = 10,
    weights: options.WeightsOption = None,
    where: options.WhereOption = None,
    index: options.IndexOption = None,
    image_root: options.ImageRootOption = None,
    form: options.FormatOption = "table",
    explain: options.ExplainOption = False,
    sheet: options.SheetOption = None,
) -> None:
    """Find the cards nearest to a text or picture.

    With both, a card is compared with both.
    """
    from prodcat_index.cards.card import Card

    if not (text or image or description):
        raise WrongCallError("Give --text, --image or --description to search for.")
    card = Card(id="query", title=text, description=description, image=str(image or ""))
    opened = options.open_index(index, image_root, verify=False)
    neighbours = opened.search(card, k, weights=parse_weights(weights), where=where)
    options.note_matches(opened, where)
    emit_neighbours(neighbours, form, explain)
    draw_answers(sheet, [card], [neighbours])


def similar(
    card_id: Annotated[str, typer.Argument(metavar="ID", help="Id of a card of the index.")],
    k: options.NeighboursOption = 10,
    weights: options.WeightsOption = None,
    where: options.WhereOption = None,
    index: options.IndexOption = None,
    image_root: options.ImageRootOption = None,
    form: options.FormatOption = "table",
    explain: options.ExplainOption = False,
    sheet: options.SheetOption = None,
) -> None:
    """Find cards similar to a card of the index."""
    opened = options.open_index(index, image_root, verify=False)
    neighbours = opened.similar(card_id, k, weights=parse_weights(weights), where=where)
    options.note_matches(opened, where)
    emit_neighbours(neighbours, form, explain)
    draw_answers(sheet, [opened.card(card_id)], [neighbours])
