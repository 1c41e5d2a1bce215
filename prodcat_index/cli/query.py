"""Commands that search an index: ``query`` and ``similar``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from prodcat_index.cli import options
from prodcat_index.cli.answers import draw_answers, emit_neighbours
from prodcat_index.cli.calls import WrongCallError
from prodcat_index.cli.output import note
from prodcat_index.cli.values import option

if TYPE_CHECKING:
    from prodcat_index.cards.card import Card
    from prodcat_index.index.product_index import ProductIndex
    from prodcat_index.voting.prediction import Neighbour


@dataclass(frozen=True)
class Search:
    """Options of both commands."""

    k: Annotated[int, option("Number of neighbours.", "--k", "-k", min=1)] = 10
    weights: options.WeightsOption = None
    where: options.WhereOption = None
    index: options.IndexOption = None
    image_root: options.ImageRootOption = None
    form: options.FormatOption = "table"
    explain: options.ExplainOption = False
    sheet: options.SheetOption = None


def query(
    text: Annotated[str, option("Text to search for, taken as a title.")] = "",
    image: options.ImageOption = None,
    description: options.DescriptionOption = "",
    *,
    search: Search,
) -> None:
    """Find the cards nearest to a text or picture.

    With both, a card is compared with both.
    """
    from prodcat_index.cards.card import Card

    if not (text or image or description):
        raise WrongCallError("Give --text, --image or --description to search for.")
    card = Card(id="query", title=text, description=description, image=str(image or ""))
    opened = options.open_index(search.index, search.image_root, verify=False)
    found = opened.search(card, search.k, weights=search.weights, where=search.where)
    _answer(search, opened, card, found)


def similar(
    card_id: Annotated[str, typer.Argument(metavar="ID", help="Id of a card of the index.")],
    *,
    search: Search,
) -> None:
    """Find cards similar to a card of the index."""
    opened = options.open_index(search.index, search.image_root, verify=False)
    found = opened.similar(card_id, search.k, weights=search.weights, where=search.where)
    _answer(search, opened, opened.card(card_id), found)


def _answer(
    search: Search, index: ProductIndex, card: Card, neighbours: Sequence[Neighbour]
) -> None:
    if search.where is not None:
        note(index.matches(search.where).notes)
    emit_neighbours(neighbours, search.form, search.explain)
    draw_answers(search.sheet, [card], [neighbours])
