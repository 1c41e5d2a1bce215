"""What the original measured on the KazanExpress cards, and ours beside it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.cli.output import emit, note
from prodcat_index.errors import ProdcatError
from prodcat_index.evaluation.evaluate import evaluate
from prodcat_index.evaluation.result import Evaluation, Row

# Weighted F1 of nearest neighbours in one modality at a time.
ORIGINAL = {"image": 0.51, "title": 0.75, "description": 0.61}
ORIGINAL_CARDS = 91_120

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


@app.command()
def reproduce(
    data_dir: Annotated[
        Path, typer.Argument(help="Folder of train.parquet and images/train/{product_id}.jpg.")
    ],
    preset: Annotated[
        str, typer.Option(help="Encoders: embedded, or original, which needs the model hub.")
    ] = "embedded",
    limit: Annotated[
        int | None, typer.Option(min=1, help="Draw this many cards, to be done sooner.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the draw, the split and tuning.")] = 0,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write everything into this JSON file.")
    ] = None,
) -> None:
    """Split by groups of variants and near-duplicates, and judge each modality and all of them."""
    if output and not output.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {output.parent} for --output")
    catalogue = read_catalogue(data_dir / "train.parquet").labelled()
    note(catalogue.findings)
    drawn = draw(catalogue, limit or len(catalogue), seed)
    evaluation = evaluate(drawn, preset=preset, seed=seed, baselines=False)
    show(evaluation)
    if output:
        everything = {"original": ORIGINAL, **evaluation.as_dict()}
        output.write_text(json.dumps(everything, ensure_ascii=False, indent=2), encoding="utf-8")
        typer.echo(f"Wrote {output}", err=True)


def draw(catalogue: Catalogue, limit: int, seed: int) -> Catalogue:
    order = np.random.default_rng(seed).permutation(len(catalogue))
    return catalogue.select(np.sort(order[:limit]))


def show(evaluation: Evaluation) -> None:
    [counts], [split] = evaluation.counts, evaluation.settings["splits"]
    typer.echo(
        f"Weighted F1 by nearest neighbours: {counts['train']} training and {counts['test']} test "
        f"cards, {counts['categories']} categories; "
        f"encoders {evaluation.settings['preset']}; split {split}."
    )
    emit([line(row) for row in evaluation.rows], "table")
    if len(evaluation.catalogue) != ORIGINAL_CARDS:
        typer.echo(
            f"The original's figures are of {ORIGINAL_CARDS:,} cards and these of "
            f"{len(evaluation.catalogue):,}: compare the rows of one column only."
        )


def line(row: Row) -> dict[str, Any]:
    measured = ORIGINAL.get(row.name)
    return {
        "": row.name,
        "original": "–" if measured is None else f"{measured:.2f}",
        "ours": row.weighted_f1,
        "95 %": f"{row.interval.low:.3f}–{row.interval.high:.3f}",
    }


if __name__ == "__main__":
    try:
        app()
    except ProdcatError as error:
        sys.exit(f"reproduce-kazanexpress: {error}")
