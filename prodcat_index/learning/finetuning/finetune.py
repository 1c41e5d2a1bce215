"""Training an encoder on a catalogue."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.split import Split
from prodcat_index.cards.splitting import split_catalogue
from prodcat_index.encoders.base import Encoder
from prodcat_index.encoders.cache import default_cache
from prodcat_index.encoders.device import import_with_torch
from prodcat_index.encoders.embedding import embed
from prodcat_index.encoders.registry import SCHEME, FinetunedRecord, make_encoder
from prodcat_index.errors import CatalogueError, EncoderError
from prodcat_index.findings import Finding
from prodcat_index.learning.finetuning.run_dir import (
    CHECKPOINTS,
    exclusive_run_dir,
    resume_point,
    write_encoder,
)
from prodcat_index.learning.finetuning.trainable import TrainableEncoder, make_trainable
from prodcat_index.learning.finetuning.training_data import (
    Rows,
    TrainingData,
    best_epoch,
    collect,
    knn_f1,
    numbered,
)

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
    """Refuse settings that nothing can be trained with."""
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


VALID, TEST = 0.15, 0.25
NOTHING_THERE = "cards have nothing that this encoder can read, and are left out"
LIBRARIES = ("torch", "timm", "sentence-transformers", "transformers", "accelerate")


@dataclass(frozen=True)
class PartScore:
    """How well the nearest training cards tell the categories of a part."""

    part: str
    cards: int
    before: float
    after: float

    @property
    def gain(self) -> float:
        """What fine-tuning brought."""
        return self.after - self.before


@dataclass(frozen=True)
class Finetuned:
    """A fine-tuned encoder.

    Attributes
    ----------
    folder
        Where it is.
    scores
        One for each part that has cards.
    history
        Losses and scores as they came: ``epoch`` with ``loss`` or ``f1``. Epoch 0 is the network
        as it began, a linear layer for pictures included.
    findings
        Cards that were left out.
    """

    folder: Path
    scores: tuple[PartScore, ...]
    history: tuple[Mapping[str, float], ...]
    findings: tuple[Finding, ...]

    @property
    def spec(self) -> str:
        """Name by which every command takes it."""
        return f"{SCHEME}:{self.folder}"


def finetune(
    catalogue: Catalogue,
    modality: str,
    encoder: str,
    folder: str | Path,
    *,
    split: Split | None = None,
    valid: float = VALID,
    test: float = TEST,
    settings: FinetuneSettings | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> Finetuned:
    """Train an encoder to tell the categories of a catalogue apart.

    Cards are split first. The network is trained so that the nearest of the other cards of the
    train part vote for a card's own category; one for pictures sees them whole, and ends in a
    linear layer. Before and after every epoch the nearest train cards vote on the valid part, and
    the network is kept as it was when their weighted F1 was best. A run that was stopped goes on
    from its last checkpoint when it is repeated.

    Parameters
    ----------
    catalogue
        Cards with categories.
    modality
        What the encoder embeds.
    encoder
        Spec of a timm or sentence-transformers encoder.
    folder
        Where the result is written: new, empty, or that of a run that was stopped.
    split
        Drawn by group with the shares `valid` and `test` by default.
    valid, test
        Shares of labelled cards.
    settings
        How to train.
    say
        Called with a line after every epoch.

    Raises
    ------
    CatalogueError
        If the cards cannot be split, or too few are left to teach or to stop by.
    EncoderError
        If the encoder cannot be trained, a setting is wrong, or the folder cannot be used.
    """
    chosen = settings or FinetuneSettings()
    check_settings(chosen)
    place = Path(folder)
    with exclusive_run_dir(place):
        parted = split or split_catalogue(catalogue, valid=valid, test=test, seed=chosen.seed)
        trainee = make_trainable(encoder, chosen.input_size)
        job = _Job.prepare(catalogue, parted, modality, encoder, chosen)
        history = job.train(trainee, place, say)
        after = {part: trainee.rows(pile) for part, pile in job.material.piles.items()}
        scores = _compare(job.before, after)
        record = job.record(trainee, catalogue.source, history, scores)
        write_encoder(place, trainee, parted, job.material, record)
    return Finetuned(place, scores, history, (*parted.findings, *job.material.findings))


@dataclass(frozen=True)
class _Job:
    """What is to be done, and how well the encoder does before."""

    material: TrainingData
    modality: str
    base: Encoder
    settings: FinetuneSettings
    before: Mapping[str, Rows]

    @classmethod
    def prepare(
        cls,
        catalogue: Catalogue,
        split: Split,
        modality: str,
        encoder: str,
        settings: FinetuneSettings,
    ) -> _Job:
        base = make_encoder(encoder)
        if not any(catalogue.values(modality)):
            raise CatalogueError(
                f"No card of {catalogue.source} has {modality!r}; name another modality."
            )
        collected = collect(catalogue, split, modality, base.reads)
        encoded = {
            part: embed(base, pile.values, label=f"embedding {part}", cache=default_cache())
            for part, pile in collected.piles.items()
        }
        there = {part: done.present for part, done in encoded.items()}
        material = _without_absent(collected, there, catalogue, modality)
        before = {
            part: Rows(done.vectors[done.present], material.piles[part].codes)
            for part, done in encoded.items()
        }
        return cls(material, modality, base, settings, before)

    @property
    def identity(self) -> str:
        """Digest of all that a resumed run must have in common with the one that was stopped."""
        piles = {
            part: [pile.ids, pile.digests, pile.codes.tolist()]
            for part, pile in self.material.piles.items()
        }
        whole = [asdict(self.settings), self.base.fingerprint, self.modality, piles]
        return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()

    def train(
        self, trainee: TrainableEncoder, place: Path, say: Callable[[str], None]
    ) -> tuple[dict[str, float], ...]:
        # The modules below import transformers at their tops, which needs the care taken here.
        import_with_torch("transformers.trainer")
        from prodcat_index.learning.finetuning.training import (
            KnnTrainer,
            Report,
            TimedCheckpoints,
            training_arguments,
        )

        trainee.begin(self.material.train)
        weights = {name: value.clone() for name, value in trainee.network.state_dict().items()}
        begun = trainee.rows(self.material.train)
        f1 = knn_f1(begun, trainee.rows(self.material.valid))
        start = resume_point(place, self.identity)
        if start:
            say(f"going on from step {start.name.partition('-')[2]} of the run that was stopped")
        cards = len(self.material.train)
        arguments = training_arguments(self.settings, trainee, cards, place / CHECKPOINTS)
        callbacks = [TimedCheckpoints(), Report(say)]
        trainer = KnnTrainer(trainee, self.material, begun, self.settings, arguments, callbacks)
        trainer.train(resume_from_checkpoint=str(start) if start else None)
        told = [_tidy(entry) for entry in trainer.state.log_history if _tells(entry)]
        history = {"epoch": 0.0, "f1": f1}, *told
        kept, _ = best_epoch(history)
        if kept == 0:
            say("no epoch was better than the network as it began, which is kept")
            trainee.network.load_state_dict(weights)
        return history

    def record(
        self,
        trainee: TrainableEncoder,
        source: str,
        history: tuple[dict[str, float], ...],
        scores: tuple[PartScore, ...],
    ) -> FinetunedRecord:
        return FinetunedRecord(
            scheme=trainee.scheme,
            name=trainee.name,
            options=trainee.options,
            base=self.base.spec,
            modality=self.modality,
            training={
                "catalogue": source,
                "cards": {part: len(pile) for part, pile in self.material.piles.items()},
                "categories": self.material.categories,
                "identity": self.identity,
                "settings": asdict(self.settings),
                "weighted_f1": {score.part: asdict(score) for score in scores},
                "history": list(history),
                "versions": {library: version(library) for library in LIBRARIES},
            },
        )


def _without_absent(
    material: TrainingData, there: Mapping[str, Any], catalogue: Catalogue, modality: str
) -> TrainingData:
    kept = {part: pile.select(there[part]) for part, pile in material.piles.items()}
    missing = tuple(
        card
        for part, pile in material.piles.items()
        for card, present in zip(pile.ids, there[part], strict=True)
        if not present
    )
    found = (*material.findings, *([Finding(NOTHING_THERE, missing)] if missing else []))
    return numbered(kept, catalogue, modality, found)


def _compare(before: Mapping[str, Rows], after: Mapping[str, Rows]) -> tuple[PartScore, ...]:
    return tuple(
        PartScore(
            part,
            len(before[part].codes),
            knn_f1(before["train"], before[part]),
            knn_f1(after["train"], after[part]),
        )
        for part in ("valid", "test")
        if len(before[part].codes)
    )


def _tells(entry: Mapping[str, float]) -> bool:
    return "loss" in entry or "eval_f1" in entry


def _tidy(entry: Mapping[str, float]) -> dict[str, float]:
    kept = {"epoch": "epoch", "loss": "loss", "eval_f1": "f1"}
    return {new: float(entry[old]) for old, new in kept.items() if old in entry}
