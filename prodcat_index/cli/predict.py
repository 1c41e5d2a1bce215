"""The command ``predict``: categories of new listings, from a file, from options or from stdin."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from prodcat_index.cli import options
from prodcat_index.cli.answers import (
    SHEET_ROWS,
    draw_answers,
    emit_predictions,
    predictions_as_records,
)
from prodcat_index.cli.calls import Given, WrongCallError, refuse
from prodcat_index.cli.output import Format, note, tell, write_records, write_workbook
from prodcat_index.cli.values import between, option, output_option, share_option
from prodcat_index.findings import counted
from prodcat_index.progress import write_line

if TYPE_CHECKING:
    from prodcat_index.cards.card import Catalogue
    from prodcat_index.index.product_index import ProductIndex

FileFormat = Literal["csv", "json", "jsonl", "xlsx"]
FORMATS: dict[str, FileFormat] = {
    ".csv": "csv",
    ".json": "json",
    ".jsonl": "jsonl",
    ".xlsx": "xlsx",
}
# Of so many cards in unknown categories, a score would say nothing about the index.
MOST = 0.5
# Parameters that make up a listing.
LISTING = ("title", "description", "image")


@dataclass(frozen=True)
class Vote:
    """Options of the vote, named as the arguments of the library."""

    k: Annotated[int | None, option("Number of neighbours that vote.", "--k", "-k", min=1)] = None
    temperature: Annotated[
        float | None,
        option(
            "Temperature of the vote; a low one lets the nearest cards decide.",
            callback=between(0, inf),
        ),
    ] = None
    prior_exponent: Annotated[
        float | None,
        option(
            "Exponent of category sizes; a high one favours small categories.",
            callback=between(-inf, inf),
        ),
    ] = None
    head_exponent: Annotated[
        float | None, option("Exponent of the linear head in the vote; 0 leaves it out.", min=0)
    ] = None
    weights: options.WeightsOption = None
    where: options.WhereOption = None


def predict(
    new_catalogue: Annotated[
        Path | None,
        typer.Argument(
            metavar="LISTINGS", help="File of new listings; - reads JSON or CSV from stdin."
        ),
    ] = None,
    output: Annotated[
        Path | None,
        output_option(
            "Write the predictions to this file, in the format of its ending or --format.", *FORMATS
        ),
    ] = None,
    labels: Annotated[
        Path | None, option("File of ids and true categories, to print the score.")
    ] = None,
    split: options.SplitOption = None,
    part: Annotated[
        options.Part | None, option("Part of the split to predict; by default test.")
    ] = None,
    ids: Annotated[
        list[str] | None,
        option(
            "Predict only the listing of the file that has this id; repeat it for more.",
            "--id",
            metavar="ID",
        ),
    ] = None,
    title: Annotated[str, option("Title of a listing.")] = "",
    description: options.DescriptionOption = "",
    image: options.ImageOption = None,
    *,
    vote: Vote,
    index: options.IndexOption = None,
    target: options.TargetOption = None,
    form: options.FormatOption = "table",
    explain: options.ExplainOption = False,
    precision: Annotated[
        float | None, share_option("Accept answers at this target precision, such as 0.95.")
    ] = None,
    per: Annotated[
        options.Per, option("Keep the precision for all answers together or for each category.")
    ] = "all",
    coverage: Annotated[
        float | None,
        share_option("List categories that hold the true one this often, such as 0.9.", "--set"),
    ] = None,
    adjust_prior: Annotated[
        bool,
        option("Estimate how often each category comes in this file, and weigh answers by it."),
    ] = False,
    sheet: options.SheetOption = None,
    engine: options.EngineOption = "local",
    address: options.AddressOption = None,
    columns: options.Columns,
    given: Given,
) -> None:
    """Predict the categories of new listings.

    They come from a file or from stdin, or one comes from --title, --description and --image.
    """
    from prodcat_index.cards.card import Card
    from prodcat_index.cards.catalogue import as_listings
    from prodcat_index.cards.categories import note_unknown
    from prodcat_index.reports.page import write_file

    _check_call(new_catalogue, bool(title or description or image), given)
    does = options.choose_engine(engine, address, given)
    if engine != "local":
        if new_catalogue is None or output is None:
            raise WrongCallError(
                "The workers of --engine ray need a file of listings, and -o FILE beside which "
                "they keep what is done."
            )
        refuse(given, ("target",), "Leave out {}: the workers read the index as it is stored.")
    asked = form if "form" in given else None
    written = None if output is None else _output_format(output, asked)
    opened = options.for_target(options.open_index(index, verify=False), target)
    if new_catalogue is None:
        card = Card(id="listing", title=title, description=description, image=str(image or ""))
        listings = as_listings(card, opened.parts.catalogue)
    else:
        read = options.read_cards(new_catalogue, columns, index=opened)
        listings = options.select_part(read, split, part or "test")
        if ids:
            listings = listings.of_ids(ids)
    truths = _read_truths(labels, columns.encoding, listings, opened)
    answer = opened.predict
    if engine != "local" and output is not None:
        from prodcat_index.distributed.bulk_predict import predict_in_shards

        folder, work = options.choose_index(index), output.with_name(f"{output.name}.work")
        answer = partial(predict_in_shards, folder, work=work, engine=does)
    predictions = answer(
        listings,
        **vars(vote),
        explain=explain,
        precision=precision,
        per=per,
        coverage=coverage,
        adjust_prior=adjust_prior,
    )
    note(predictions.notes)
    if truths:
        score = opened.score(predictions, truths)
        column = listings.columns.get("category")
        source = f"; true categories from the column {column!r}" if column and not labels else ""
        if score.unreachable_share > MOST:
            unknown = f"{score.unreachable:,} of {counted(score.cards, 'cards')}"
            result = f"none, because the index does not have the categories of {unknown}"
        else:
            result = str(score)
        if labels:
            note(note_unknown([*truths.values()], opened.parts.labels.names))
        write_line(f"score: {result}{source}", sys.stderr)
    if output is not None and written is not None:
        records = predictions_as_records(predictions, written)
        if written == "xlsx":
            write_file(output, write_workbook(records))
        else:
            write_file(output, f"{write_records(records, written)}\n")
        tell(f"Wrote {output}: {counted(len(predictions), 'predictions')}.")
    else:
        emit_predictions(predictions, form, explain)
    shown = predictions[:SHEET_ROWS]
    cards = [listings.card(row) for row in range(len(shown))]
    neighbours = [each.neighbours for each in shown]
    draw_answers(sheet, cards, neighbours, shown, truths, len(predictions))


def _check_call(listings: Path | None, is_listing: bool, given: Given) -> None:
    """Refuse options that have no meaning beside the others."""
    if listings is not None:
        refuse(given, LISTING, "Leave out {}, or the file: each is a listing of its own.")
    elif not is_listing:
        raise WrongCallError(
            "Give a file of new listings, - for stdin, or --title, --description or --image."
        )
    else:
        refuse(
            given,
            (*options.COLUMN_OPTIONS, "labels", "ids", "adjust_prior"),
            "{} is about a file of listings; name the file.",
        )
    if listings in (None, options.STDIN):
        refuse(given, ("split",), "{} needs the file of listings that was split.")
    if "split" not in given:
        refuse(given, ("part",), "{} is a part of a split; name its file with --split.")
    if "precision" not in given:
        refuse(given, ("per",), "{} says what a precision is kept for; give --precision as well.")
    if given.keys() & {"precision", "coverage", "adjust_prior"}:
        refuse(
            given,
            Vote.__dataclass_fields__,
            "Leave out {}: --precision, --set and --adjust-prior hold for the vote of the index "
            "as it is.",
        )


def _output_format(output: Path, form: Format | None) -> FileFormat:
    """Return the format of a file by its ending and --format, which must agree."""
    by_ending = FORMATS.get(output.suffix.lower())
    if form and by_ending and form != by_ending:
        raise WrongCallError(f"--format {form} contradicts the ending of {output}; leave out one.")
    chosen = by_ending or form
    if chosen is None or chosen == "table":
        raise WrongCallError(
            f"Let {output} end in {' or '.join(FORMATS)}: the ending is the format."
        )
    return chosen


def _read_truths(
    labels: Path | None, encoding: str | None, listings: Catalogue, index: ProductIndex
) -> dict[str, str]:
    """Return the true categories by id: from a file, or those that the listings come with."""
    from prodcat_index.cards.catalogue import read_labels

    if labels is not None:
        return read_labels(labels, encoding=encoding, like=index.catalogue)
    own = zip(listings.ids, listings.values("category"), strict=True)
    return {card_id: category for card_id, category in own if category}
