"""``prodcat finetune``."""

from __future__ import annotations

from dataclasses import asdict
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prodcat_index.cli import options
from prodcat_index.cli.output import Format, emit

if TYPE_CHECKING:
    from prodcat_index.learning.finetuning.finetune import Finetuned

CURVES = "learning_curves.png"


class TrainingPrecision(str, Enum):
    """Of the numbers while training."""

    float32 = "float32"
    bfloat16 = "bfloat16"
    float16 = "float16"


@options.with_columns
def finetune(
    catalogue: Annotated[Path, typer.Argument(help="CSV, TSV, JSONL or Parquet file of cards.")],
    encoder: Annotated[
        str,
        typer.Option(help="MODALITY=SPEC of a picture network or an sbert: model, to be trained."),
    ],
    output: Annotated[
        Path,
        typer.Option(
            "--output", "-o", help="Encoder folder; that of a run that was stopped goes on."
        ),
    ],
    split: options.SplitOption = None,
    valid: Annotated[
        float, typer.Option(help="Share of cards by which training stops, without --split.")
    ] = 0.15,
    test: Annotated[
        float, typer.Option(help="Share of cards that are only judged, without --split.")
    ] = 0.25,
    epochs: Annotated[int, typer.Option(min=1, help="Passes over the cards, at most.")] = 4,
    patience: Annotated[
        int, typer.Option(min=1, help="Epochs without a better score before it stops.")
    ] = 3,
    batch: Annotated[int, typer.Option(min=1, help="Cards at once.")] = 32,
    accumulate: Annotated[
        int, typer.Option(min=1, help="Batches whose gradients make one step.")
    ] = 1,
    learning_rate: Annotated[
        float | None, typer.Option(help="By default 0.0002 for pictures, 0.0001 for texts.")
    ] = None,
    balance: Annotated[
        bool, typer.Option("--balance", help="Draw categories of unequal size equally often.")
    ] = False,
    freeze: Annotated[
        float | None,
        typer.Option(
            help="Share of the network, from its input, that stays as it is; "
            "by default 0.9 for pictures, 0 for texts."
        ),
    ] = None,
    input_size: Annotated[
        int | None, typer.Option(help="Side of the pictures in pixels; smaller is faster.")
    ] = None,
    precision: Annotated[
        TrainingPrecision | None,
        typer.Option(help="By default half precision on CUDA, float32 elsewhere."),
    ] = None,
    seed: options.SeedOption = 0,
    device: options.DeviceOption = None,
    form: options.FormatOption = Format.table,
    *,
    columns: options.Columns,
) -> None:
    """Train an encoder on a catalogue; the result is a folder, and a spec for every command."""
    from prodcat_index.cards.split import read_split
    from prodcat_index.learning.finetuning.finetune import FinetuneSettings
    from prodcat_index.learning.finetuning.finetune import finetune as train

    options.choose_device(device)
    modality, spec = _one_encoder(encoder)
    cards = options.read_listed(catalogue, **columns)
    result = train(
        cards,
        modality,
        spec,
        output,
        split=read_split(split) if split else None,
        valid=valid,
        test=test,
        settings=FinetuneSettings(
            epochs=epochs,
            patience=patience,
            batch=batch,
            accumulate=accumulate,
            learning_rate=learning_rate,
            balance=balance,
            freeze=freeze,
            input_size=input_size,
            precision=precision.value if precision else None,
            seed=seed,
        ),
        say=lambda line: typer.echo(line, err=True),
    )
    options.warn(result.findings)
    _draw_curves(result)
    emit([{**asdict(score), "gain": score.gain} for score in result.scores], form)
    _say_what_next(result, modality)


def _one_encoder(pair: str) -> tuple[str, str]:
    [(modality, [spec])] = options.parse_encoders([pair]).items()
    return modality, spec


def _draw_curves(result: Finetuned) -> None:
    from prodcat_index.reports.tuning_figures import draw_learning_curves

    picture = draw_learning_curves(result.history, result.scores[0].before)
    (result.folder / CURVES).write_bytes(picture.content)


def _say_what_next(result: Finetuned, modality: str) -> None:
    if result.scores[0].gain <= 0:
        typer.echo(
            "note: the encoder did not get better at the cards it was stopped by; go on with the "
            "one it came from, or try another learning rate.",
            err=True,
        )
    typer.echo(
        f"Wrote {result.folder}; use it as --encoder {modality}={result.spec}, and judge it with "
        f"prodcat evaluate --split {result.folder / 'split.csv'}.",
        err=True,
    )
