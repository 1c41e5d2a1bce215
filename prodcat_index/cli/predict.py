"""``prodcat predict``."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodcat_index.cli import options
from prodcat_index.cli.answers import SHEET_ROWS, emit_predictions, sheet
from prodcat_index.cli.output import Format
from prodcat_index.errors import CatalogueError

if TYPE_CHECKING:
    from prodcat_index.cards.card import Card, Catalogue
    from prodcat_index.index.product_index import ProductIndex
    from prodcat_index.voting.prediction import Predictions

STDIN = Path("-")


def predict(
    new_catalogue: Annotated[
        Path | None,
        typer.Argument(help="File of new listings; - reads one as a JSON object from stdin."),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a CSV file of predictions.")
    ] = None,
    labels: Annotated[
        Path | None, typer.Option(help="File of ids and true categories, to print the score.")
    ] = None,
    split: options.SplitOption = None,
    part: Annotated[
        options.Part | None, typer.Option(help="Part of the split to predict; by default test.")
    ] = None,
    title: options.TitleOption = "",
    description: options.DescriptionOption = "",
    image: options.ImageOption = None,
    k: Annotated[int | None, typer.Option("--k", "-k", min=1, help="Neighbours that vote.")] = None,
    temperature: Annotated[float | None, typer.Option(help="Of the vote.")] = None,
    prior_exponent: Annotated[float | None, typer.Option(help="Of the vote.")] = None,
    head_exponent: Annotated[
        float | None, typer.Option(help="How much the linear head has to say; 0: nothing.")
    ] = None,
    weights: options.WeightsOption = None,
    index: options.IndexOption = None,
    form: options.FormatOption = Format.table,
    explain: options.ExplainOption = False,
    precision: Annotated[
        float | None, typer.Option(help="Accept answers that are right this often, such as 0.95.")
    ] = None,
    coverage: Annotated[
        float | None,
        typer.Option("--set", help="Name categories that hold the true one this often."),
    ] = None,
    sheet_file: options.SheetOption = None,
    id_column: options.IdColumn = None,
    title_column: options.TitleColumn = None,
    description_column: options.DescriptionColumn = None,
    category_column: options.CategoryColumn = None,
    image_column: options.ImageColumn = None,
    image_root: options.ImageRootOption = None,
    encoding: options.EncodingOption = None,
) -> None:
    """Predict the categories of new listings: a file of them, or one from options or stdin."""
    opened = options.open_index(index)
    _check_split(new_catalogue, split, part)
    listings: Catalogue | list[Card] = (
        [_listing(new_catalogue, title, description, image)]
        if new_catalogue in (None, STDIN)
        else _read_part(
            new_catalogue,
            split,
            part or options.Part.test,
            id_column=id_column,
            title_column=title_column,
            description_column=description_column,
            category_column=category_column,
            image_column=image_column,
            text_column=options.further_texts(opened),
            image_root=image_root,
            encoding=encoding,
        )
    )
    predictions = opened.predict(
        listings,
        k=k,
        temperature=temperature,
        prior_exponent=prior_exponent,
        head_exponent=head_exponent,
        weights=options.parse_weights(weights),
        explain=explain,
        precision=precision,
        coverage=coverage,
    )
    options.warn(predictions.notes)
    truths = _truths(labels, encoding, listings)
    _print_score(opened, predictions, truths)
    if output is not None:
        predictions.to_frame().to_csv(output, index=False)
        typer.echo(f"Wrote {output}: {len(predictions)} predictions.")
    else:
        emit_predictions(predictions, form, explain)
    shown = predictions[:SHEET_ROWS]
    sheet(sheet_file, _cards(listings), [p.neighbours for p in shown], shown, truths)


def _check_split(file: Path | None, split: Path | None, part: options.Part | None) -> None:
    if split is None and part is not None:
        raise typer.BadParameter("--part is a part of a split: name its file with --split")
    if split is not None and file in (None, STDIN):
        raise typer.BadParameter("--split needs the file of listings that was split")


def _read_part(file: Path, split: Path | None, part: options.Part, **columns: Any) -> Catalogue:
    return options.select_part(options.read_listed(file, **columns), split, part)


def _listing(file: Path | None, title: str, description: str, image: Path | None) -> Card:
    from prodcat_index.cards.card import Card

    if file == STDIN:
        return _from_json(sys.stdin.read())
    if not (title or description or image):
        raise typer.BadParameter(
            "give a file of new listings, - for one as JSON on stdin, or --title, --description "
            "or --image"
        )
    return Card(id="listing", title=title, description=description, image=str(image or ""))


def _from_json(text: str) -> Card:
    from prodcat_index.cards.card import CORE_TEXTS, IMAGE, Card

    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CatalogueError(f"The listing on stdin is not JSON: {error}.") from error
    if not isinstance(content, dict) or not all(isinstance(v, str) for v in content.values()):
        raise CatalogueError(
            'The listing on stdin must be one JSON object of texts, such as {"title": "red mug"}.'
        )
    own = {name: content.pop(name) for name in ("id", *CORE_TEXTS, IMAGE) if name in content}
    return Card(**{"id": "stdin", **own}, texts=content)


def _truths(
    labels: Path | None, encoding: str | None, listings: Catalogue | list[Card]
) -> dict[str, str]:
    from prodcat_index.cards.card import Catalogue
    from prodcat_index.cards.catalogue import read_labels

    if labels is not None:
        return read_labels(labels, encoding=encoding)
    if not isinstance(listings, Catalogue):
        return {}
    own = zip(listings.ids, listings.values("category"), strict=True)
    return {card_id: category for card_id, category in own if category}


def _print_score(index: ProductIndex, predictions: Predictions, truths: dict[str, str]) -> None:
    if not truths:
        return
    typer.echo(f"score: {index.score(predictions, truths)}", err=True)


def _cards(listings: Catalogue | list[Card]) -> list[Card]:
    from prodcat_index.cards.card import Catalogue

    if not isinstance(listings, Catalogue):
        return listings
    return [listings.card(row) for row in range(min(len(listings), SHEET_ROWS))]
