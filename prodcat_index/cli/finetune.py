"""The command ``finetune``."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from math import inf
from pathlib import Path
from typing import Annotated

from prodcat_index.cli import options
from prodcat_index.cli.calls import Given
from prodcat_index.cli.output import emit, note, tell
from prodcat_index.cli.values import (
    between,
    check_encoders,
    option,
    output_option,
    parse_encoders,
    share_option,
)

CURVES = "learning_curves.png"


@dataclass(frozen=True)
class Training:
    """Options of the training, named as its settings in the library."""

    epochs: Annotated[int, option("Passes over the cards, at most.", min=1)] = 4
    patience: Annotated[
        int, option("Epochs without a better score before training stops.", min=1)
    ] = 3
    batch: Annotated[int, option("Cards in a batch.", min=1)] = 32
    accumulate: Annotated[int, option("Batches whose gradients make one step.", min=1)] = 1
    learning_rate: Annotated[
        float | None,
        option(
            "Learning rate; by default 0.0002 for pictures, 0.0001 for texts.",
            callback=between(0, inf),
        ),
    ] = None
    balance: Annotated[bool, option("Draw categories of unequal size equally often.")] = False
    freeze: Annotated[
        float | None,
        share_option(
            "Share of the network, from its input, that is not trained; by default 0.9 for "
            "pictures, 0 for texts.",
            least=0,
        ),
    ] = None
    input_size: Annotated[
        int | None, option("Side of the pictures in pixels; a smaller one is faster.", min=1)
    ] = None
    precision: Annotated[
        options.TrainingPrecision | None,
        option(
            "Type of the numbers in training; by default half precision on CUDA, float32 "
            "elsewhere.",
            "--dtype",
        ),
    ] = None
    seed: options.SeedOption = 0


def finetune(
    catalogue: options.CatalogueArgument,
    encoder: Annotated[
        str,
        option(
            "Encoder to train: a picture network or sbert: model.",
            metavar="MODALITY=SPEC",
            callback=check_encoders,
        ),
    ],
    output: Annotated[Path, output_option("Encoder folder; a stopped run in it is continued.")],
    split: options.SplitOption = None,
    valid: Annotated[
        float,
        share_option("Share of labelled cards in the valid part, which training is stopped by."),
    ] = 0.15,
    test: options.TestOption = 0.25,
    *,
    training: Training,
    device: options.DeviceOption = None,
    form: options.FormatOption = "table",
    columns: options.Columns,
    given: Given,
) -> None:
    """Fine-tune an encoder to be used by itself.

    It is for search, and for indexes of this modality alone. In an index of all modalities a gain
    has not been shown: compare both with evaluate first.
    The result is a folder, which other commands take as --encoder MODALITY=finetuned:FOLDER.
    """
    from prodcat_index.learning.finetune import FinetuneSettings
    from prodcat_index.learning.finetune import finetune as finetune_encoder
    from prodcat_index.reports.tuning_figures import draw_learning_curves

    options.check_split(given, "valid", "test")
    options.check_parts(valid, test)
    options.choose_device(device)
    [(modality, [spec])] = parse_encoders([encoder]).items()
    result = finetune_encoder(
        options.read_cards(catalogue, columns),
        modality,
        spec,
        output,
        split=options.open_split(split),
        valid=valid,
        test=test,
        settings=FinetuneSettings(**vars(training)),
        say=tell,
    )
    note(result.findings)
    valid_score = result.scores[0]
    curves = draw_learning_curves(result.history, valid_score.before)
    (result.folder / CURVES).write_bytes(curves.content)
    emit([{**asdict(score), "gain": score.gain} for score in result.scores], form)
    if valid_score.gain <= 0:
        note(
            [
                "the encoder did not improve on the cards that training is stopped by; keep the "
                "one it was made from, or try another learning rate."
            ]
        )
    tell(
        f"Wrote {result.folder}; use it as --encoder {modality}={result.spec}, and score it with "
        f"prodcat evaluate --split {result.folder / 'split.csv'}."
    )
