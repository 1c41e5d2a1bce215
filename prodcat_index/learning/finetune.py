"""Training an encoder on a catalogue."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Literal

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.split import Split
from prodcat_index.cards.splitting import split_catalogue
from prodcat_index.encoders.base import Encoder
from prodcat_index.encoders.cache import default_cache
from prodcat_index.encoders.embedding import embed
from prodcat_index.encoders.networks import import_with_torch
from prodcat_index.encoders.registry import FINETUNED, RECORD, SEEN, FinetunedRecord, make_encoder
from prodcat_index.errors import CatalogueError, EncoderError
from prodcat_index.files import LOCK, check_output_folder, exclusive_folder, replace_text
from prodcat_index.findings import Finding
from prodcat_index.learning.trainable import make_trainable
from prodcat_index.learning.training_data import UNREADABLE, Rows, TrainingData, collect, knn_f1

VALID, TEST = 0.15, 0.25
# Files of the folder beside those of the encoder itself.
CHECKPOINTS, IDENTITY, STATE, SPLIT = "checkpoints", "run.txt", "trainer_state.json", "split.csv"
LIBRARIES = ("torch", "timm", "sentence-transformers", "transformers", "accelerate")
TrainingPrecision = Literal["float32", "bfloat16", "float16"]


@dataclass(frozen=True)
class FinetuneSettings:
    """Settings of fine-tuning.

    Attributes
    ----------
    epochs
        Largest number of passes over the training cards.
    patience
        Number of epochs without a better score after which training stops.
    batch
        Number of cards that the network sees at once.
    accumulate
        Number of batches whose gradients are added up before a step.
    learning_rate
        Largest learning rate; None for what was measured to suit pictures or texts.
    balance
        Whether categories are drawn equally often.
    freeze
        Share of the network's tensors, from the input, that stay as they are; None for what was
        measured to suit pictures or texts.
    input_size
        Side of the pictures in pixels; None for the encoder's own.
    precision
        Precision of training; None for half precision on CUDA and float32 elsewhere.
    seed
        Seed of everything that is drawn at random.

    Raises
    ------
    EncoderError
        If nothing can be trained with a value.
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

    def __post_init__(self) -> None:
        for name in ("epochs", "patience", "batch", "accumulate"):
            if getattr(self, name) < 1:
                raise EncoderError(f"The setting {name} must be 1 or more.")
        rate = self.learning_rate
        if rate is not None and not (math.isfinite(rate) and rate > 0):
            raise EncoderError(f"The learning rate must be above 0; it is {rate}.")
        if self.freeze is not None and not 0 <= self.freeze < 1:
            raise EncoderError(
                f"The frozen share of the network must be from 0 to below 1; it is {self.freeze}."
            )
        if self.seed < 0:
            raise EncoderError(f"The seed must be 0 or more; it is {self.seed}.")


@dataclass(frozen=True)
class PartScore:
    """Weighted F1 of the nearest training cards on a part, before and after fine-tuning."""

    part: str
    cards: int
    before: float
    after: float

    @property
    def gain(self) -> float:
        """Difference that fine-tuning made."""
        return self.after - self.before


@dataclass(frozen=True)
class Finetuned:
    """A fine-tuned encoder.

    Attributes
    ----------
    folder
        Folder of the encoder.
    scores
        One score for each of the parts valid and test that has cards.
    history
        Losses and scores in order: ``epoch`` with ``loss`` or ``f1``. Epoch 0 is the network
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
        return f"{FINETUNED}:{self.folder}"


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
    """Train an encoder to separate the categories of a catalogue.

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
        Name of the modality that the encoder embeds.
    encoder
        Spec of a timm or sentence-transformers encoder.
    folder
        Folder of the result: new, empty, or that of a run that was stopped.
    split
        Parts of the cards; by default drawn by group with the shares `valid` and `test`.
    valid, test
        Shares of labelled cards.
    settings
        Settings of the training.
    say
        Function that is called with a line after every epoch.

    Returns
    -------
    Finetuned
        The folder of the encoder, its scores before and after, and its history.

    Raises
    ------
    CatalogueError
        If the cards cannot be split, or too few are left to train or to validate on.
    EncoderError
        If the encoder cannot be trained, or the folder cannot be used.
    """
    settings = settings or FinetuneSettings()
    run_dir = Path(folder)
    run = exclusive_run_dir(run_dir)
    # Before the folder is made: an encoder may have nothing to train.
    trainable = make_trainable(encoder, settings.input_size)
    with run:
        split = split or split_catalogue(catalogue, valid=valid, test=test, seed=settings.seed)
        base = make_encoder(encoder)
        data, before = _prepare(catalogue, split, modality, base)
        identity = _identity(data, settings, modality, base)
        # The module imports transformers at its top, which needs the care taken here.
        import_with_torch("transformers.trainer")
        from prodcat_index.learning.training import train

        history = train(trainable, data, settings, run_dir, identity, say)
        after = {name: trainable.rows(cards) for name, cards in data.parts.items()}
        scores = _score(before, after)
        record = FinetunedRecord(
            scheme=trainable.scheme,
            name=trainable.name,
            options=trainable.options,
            base=base.spec,
            modality=modality,
            training={
                "catalogue": catalogue.source,
                "cards": {name: len(cards) for name, cards in data.parts.items()},
                "categories": data.categories,
                "identity": identity,
                "settings": asdict(settings),
                "weighted_f1": {score.part: asdict(score) for score in scores},
                "history": list(history),
                "versions": {library: version(library) for library in LIBRARIES},
            },
        )
        trainable.save(run_dir)
        split.save(run_dir / SPLIT)
        (run_dir / SEEN).write_text("\n".join(sorted(data.seen)) + "\n", encoding="ascii")
        # The record last: with it the folder is a fine-tuned encoder.
        content = json.dumps(record.model_dump(), ensure_ascii=False, indent=2)
        replace_text(run_dir / RECORD, content)
        shutil.rmtree(run_dir / CHECKPOINTS)
    return Finetuned(run_dir, scores, history, (*split.findings, *data.findings))


def _prepare(
    catalogue: Catalogue, split: Split, modality: str, base: Encoder
) -> tuple[TrainingData, dict[str, Rows]]:
    """Return the cards that have an embedding, and their rows before training by part."""
    if not any(catalogue.values(modality)):
        raise CatalogueError(
            f"No card of {catalogue.source} has {modality!r}; name another modality."
        )
    data = collect(catalogue, split, modality, base.reads)
    values = data.cards["value"].tolist()
    encoded = embed(base, values, label="embedding", cache=default_cache())
    data = data.keep(encoded.present, UNREADABLE)
    vectors, part_of = encoded.vectors[encoded.present], data.cards["part"].to_numpy()
    rows = {
        name: Rows(vectors[part_of == name], cards["code"].to_numpy())
        for name, cards in data.parts.items()
    }
    return data, rows


def _identity(data: TrainingData, settings: FinetuneSettings, modality: str, base: Encoder) -> str:
    """Digest all that a resumed run must have in common with the one that was stopped."""
    parts = {
        name: [cards[column].tolist() for column in ("id", "digest", "code")]
        for name, cards in data.parts.items()
    }
    common = [asdict(settings), base.fingerprint, modality, parts]
    return hashlib.sha256(json.dumps(common, sort_keys=True).encode()).hexdigest()


def _score(before: Mapping[str, Rows], after: Mapping[str, Rows]) -> tuple[PartScore, ...]:
    scores = []
    for name in ("valid", "test"):
        if count := len(before[name].codes):
            f1 = [knn_f1(rows["train"], rows[name]) for rows in (before, after)]
            scores.append(PartScore(name, count, *f1))
    return tuple(scores)


def exclusive_run_dir(folder: Path) -> AbstractContextManager[None]:
    """Keep a folder for one training meanwhile: a new one, or that of a run that was stopped."""
    if (folder / RECORD).exists():
        raise EncoderError(f"{folder} holds a fine-tuned encoder already; name another folder.")
    if not (folder / CHECKPOINTS).exists():
        check_output_folder(folder, "encoder", EncoderError, own={LOCK})
    return exclusive_folder(folder, "encoder", EncoderError)


def resume_point(folder: Path, identity: str) -> Path | None:
    """Return the last whole checkpoint of a training that was stopped, None where there is none."""
    note = folder / CHECKPOINTS / IDENTITY
    if not note.is_file():
        note.parent.mkdir(exist_ok=True)
        note.write_text(identity, encoding="ascii")
    if note.read_text(encoding="ascii") != identity:
        raise EncoderError(
            f"{folder} holds an unfinished training of another encoder, other cards or other "
            "settings; repeat the command that began it, name another folder, or remove this one."
        )
    whole = [path for path in note.parent.glob("checkpoint-*") if _is_whole(path)]
    return max(whole, key=lambda path: int(path.name.partition("-")[2]), default=None)


def _is_whole(checkpoint: Path) -> bool:
    # The trainer writes this file last.
    try:
        json.loads((checkpoint / STATE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True
