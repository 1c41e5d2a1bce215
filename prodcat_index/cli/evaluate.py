"""``prodcat evaluate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from prodcat_index.cli import options
from prodcat_index.cli.evaluation_tables import print_evaluation
from prodcat_index.cli.output import Format, emit


@options.with_columns
def evaluate(
    catalogue: Annotated[Path, typer.Argument(help="CSV, TSV, JSONL or Parquet file of cards.")],
    split: Annotated[
        Path | None, typer.Option(help="File that says which cards are train and which test.")
    ] = None,
    by: options.ByOption = "group",
    test: options.TestOption = 0.25,
    repeat: options.RepeatOption = 1,
    seed: options.SeedOption = 0,
    encoder: options.EncoderOption = None,
    preset: options.PresetOption = "embedded",
    projection: options.ProjectionOption = options.ProjectionKind.lda,
    device: options.DeviceOption = None,
    baselines: options.BaselinesOption = True,
    objective: options.ObjectiveOption = options.Objective.weighted_f1,
    allow_trained_on: options.AllowTrainedOnOption = False,
    save_split: Annotated[
        Path | None, typer.Option(help="Write the split into this file, to be used again.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write everything into this JSON file.")
    ] = None,
    form: options.FormatOption = Format.table,
    *,
    columns: options.Columns,
) -> None:
    """Judge modalities, votes and classifiers on cards that are held out."""
    if repeat > 1 and (split or save_split):
        raise typer.BadParameter("--split and --save-split are about one split; leave out --repeat")
    from prodcat_index.cards.split import read_split
    from prodcat_index.evaluation.evaluate import evaluate as judge

    options.choose_device(device)
    cards = options.read_listed(catalogue, **columns)
    evaluation = judge(
        cards,
        split=read_split(split) if split else None,
        by=by,
        test=test,
        repeat=repeat,
        seed=seed,
        encoders=options.parse_encoders(encoder or []),
        preset=preset,
        baselines=baselines,
        objective=objective.value,
        projection=projection.value,
        allow_trained_on=allow_trained_on,
    )
    options.warn(evaluation.findings)
    if save_split:
        evaluation.splits[0].save(save_split)
        typer.echo(f"Wrote {save_split}", err=True)
    everything = json.dumps(evaluation.as_dict(), ensure_ascii=False, indent=2)
    if output:
        output.write_text(everything, encoding="utf-8")
        typer.echo(f"Wrote {output}", err=True)
    if form is Format.json:
        typer.echo(everything)
    elif form is Format.table:
        print_evaluation(evaluation)
    else:
        emit([row.as_row() for row in evaluation.rows], form)
