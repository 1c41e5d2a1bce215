"""How an encoder is fine-tuned, as far as one may choose."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from prodcat_index.errors import EncoderError

TrainingPrecision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class FinetuneSettings:
    """How an encoder is fine-tuned.

    Attributes
    ----------
    epochs
        Passes over the training cards, at most.
    patience
        Epochs without a better score after which training stops.
    batch
        Cards that the network sees at once.
    accumulate
        Batches whose gradients are added up before a step.
    learning_rate
        None for what was measured to suit pictures or texts.
    balance
        Draw the categories equally often.
    freeze
        Share of the network's tensors, from the input, that stay as they are; None for what was
        measured to suit pictures or texts.
    input_size
        Side of the pictures in pixels; None for the encoder's own.
    precision
        Of the numbers while training; None for half precision on CUDA and full elsewhere.
    seed
        Of everything that is drawn at random.
    """

    epochs: int = 4
    patience: int = 3
    batch: int = 32
    accumulate: int = 1
    learning_rate: float | None = None
    balance: bool = False
    freeze: float | None = None
    input_size: int | None = None
    precision: TrainingPrecision | None = None
    seed: int = 0


def check_settings(settings: FinetuneSettings) -> None:
    """Refuse settings that nothing can be trained with.

    Raises
    ------
    EncoderError
        If one is out of range; names it.
    """
    for name in ("epochs", "patience", "batch", "accumulate"):
        if getattr(settings, name) < 1:
            raise EncoderError(f"The setting {name} must be 1 or more.")
    rate = settings.learning_rate
    if rate is not None and not (math.isfinite(rate) and rate > 0):
        raise EncoderError(f"The learning rate must be above 0; it is {rate}.")
    if settings.freeze is not None and not 0 <= settings.freeze < 1:
        raise EncoderError(
            f"The frozen share of the network must be from 0 to below 1; it is {settings.freeze}."
        )
    if settings.seed < 0:
        raise EncoderError(f"The seed must be 0 or more; it is {settings.seed}.")
