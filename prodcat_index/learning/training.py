"""The training itself, by the trainer of transformers with an optimiser of timm.

The trainer of sentence-transformers is the same one; its checkpoints leave out the rows that are
remembered, so that a resumed run would begin with others. Torch is imported at the top, as classes
of torch are derived here; only :mod:`~prodcat_index.learning.finetune` imports this module.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch.utils.data import Dataset, Sampler
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from prodcat_index.encoders.networks import import_with_torch, pick_device
from prodcat_index.errors import EncoderError
from prodcat_index.learning.finetune import (
    CHECKPOINTS,
    FinetuneSettings,
    TrainingPrecision,
    resume_point,
)
from prodcat_index.learning.trainable import TrainableEncoder
from prodcat_index.learning.training_data import VOTE, Rows, TrainingData, best_epoch, knn_f1
from prodcat_index.progress import progress_bar
from prodcat_index.types import Float64Array, Int64Array

WEIGHT_DECAY = 0.05
# Share of the steps in which the learning rate rises to its full value.
WARMUP = 0.1
LOG_EVERY = 10
METRIC = "eval_f1"
# More decode pictures faster than a GPU takes them.
MOST_WORKERS = 8
# A run that is killed loses this much at most.
SECONDS_BETWEEN_CHECKPOINTS = 300.0


def train(
    trainable: TrainableEncoder,
    data: TrainingData,
    settings: FinetuneSettings,
    run_dir: Path,
    identity: str,
    say: Callable[[str], None],
) -> tuple[dict[str, float], ...]:
    """Train a network in place, from the last checkpoint if there is one, and keep its best epoch.

    Returns ``epoch`` with ``loss`` or ``f1``, in order; epoch 0 is the network as it began.
    """
    cards = data.parts["train"]
    trainable.begin(cards)
    weights = {name: value.clone() for name, value in trainable.network.state_dict().items()}
    initial = trainable.rows(cards)
    f1 = knn_f1(initial, trainable.rows(data.parts["valid"]))
    start = resume_point(run_dir, identity)
    if start:
        say(f"going on from step {start.name.partition('-')[2]} of the run that was stopped")
    frozen = trainable.freeze if settings.freeze is None else settings.freeze
    model = Neighbourhood(trainable, initial, frozen)
    timm = import_with_torch("timm.optim")
    groups = timm.param_groups_weight_decay(model.network, WEIGHT_DECAY)
    rate = settings.learning_rate or trainable.learning_rate
    steps = -(-len(cards) // (settings.batch * settings.accumulate))
    trainer = _KnnTrainer(
        trainable,
        data,
        balanced=settings.balance,
        model=model,
        args=_training_arguments(settings, trainable, steps, run_dir / CHECKPOINTS),
        callbacks=[EarlyStoppingCallback(settings.patience), _Progress(say)],
        optimizers=(timm.create_optimizer_v2(groups, "adamw", rate), None),
    )
    trainer.train(resume_from_checkpoint=str(start) if start else None)
    history = [{"epoch": 0.0, "f1": f1}]
    for entry in trainer.state.log_history:
        for logged, name in (("loss", "loss"), (METRIC, "f1")):
            if logged in entry:
                history.append({"epoch": float(entry["epoch"]), name: float(entry[logged])})
    if best_epoch(history)[0] == 0:
        say("no epoch was better than the network as it began, which is kept")
        trainable.network.load_state_dict(weights)
    return tuple(history)


class Neighbourhood(torch.nn.Module):
    """A network, and the rows of the training cards as it last saw them, which vote."""

    codes: torch.Tensor
    mean: torch.Tensor
    known: torch.Tensor

    def __init__(self, trainable: TrainableEncoder, initial: Rows, frozen: float) -> None:
        super().__init__()
        self.network = trainable.network
        self._features = trainable.features
        self.register_buffer("codes", torch.tensor(initial.codes), persistent=False)
        # Within the checkpoints, as they may be written within an epoch.
        self.register_buffer("mean", torch.zeros(initial.vectors.shape[1]))
        self.register_buffer("known", torch.zeros(initial.vectors.shape))
        self.remember(initial)
        parameters = list(self.network.parameters())
        for weights in parameters[: int(frozen * len(parameters))]:
            weights.requires_grad_(False)

    def remember(self, rows: Rows) -> None:
        """Let the rows of the training cards be these from now on."""
        mean = rows.vectors.mean(axis=0)
        self.mean.copy_(torch.from_numpy(mean))
        self.known.copy_(torch.from_numpy(rows.centred(mean)))

    def train(self, mode: bool = True) -> Neighbourhood:
        """Switch to training, but for batch normalisation, which keeps its statistics."""
        super().train(mode)
        for module in self.network.modules():
            if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
                module.eval()
        return self

    def forward(self, inputs: Any, labels: torch.Tensor) -> dict[str, torch.Tensor]:
        """Return the mean negative logarithm of the share of votes for a card's own category.

        `labels` are row numbers of the training cards; a card alone in its category is left out.
        """
        normalize = torch.nn.functional.normalize
        rows = normalize(normalize(self._features(inputs).float()) - self.mean)
        closeness = (rows @ self.known.T).float() / VOTE.temperature
        itself = torch.nn.functional.one_hot(labels, len(self.codes)).bool()
        same_category = (self.codes[labels, None] == self.codes) & ~itself
        usable = same_category.any(dim=1)
        votes = closeness.masked_fill(itself, -torch.inf)[usable].logsumexp(dim=1)
        right = closeness.masked_fill(~same_category, -torch.inf)[usable].logsumexp(dim=1)
        return {"loss": (votes - right).sum() / max(1, len(votes))}


class _Examples(Dataset[tuple[Any, int]]):
    """Training cards with their row numbers, each loaded with a random number of its own."""

    def __init__(self, trainable: TrainableEncoder, cards: pd.DataFrame) -> None:
        self._trainable = trainable
        self._values = cards["value"].tolist()

    def __len__(self) -> int:
        return len(self._values)

    def __getitem__(self, drawn: tuple[int, int]) -> tuple[Any, int]:
        row, number = drawn
        return self._trainable.load(self._values[row], number), row


class _Draws(Sampler[tuple[int, int]]):
    """The rows of an epoch with a random number each, which depend on seed and epoch alone."""

    def __init__(self, cards: pd.DataFrame, balanced: bool, seed: int) -> None:
        self._size = len(cards)
        self._chances = _equal_chances(cards["code"].to_numpy()) if balanced else None
        self._seed = seed
        self._epoch = 0

    def __len__(self) -> int:
        return self._size

    def set_epoch(self, epoch: int) -> None:
        # The trainer calls this before each epoch, that of a resumed run included.
        self._epoch = epoch

    def __iter__(self) -> Iterator[tuple[int, int]]:
        rng = np.random.default_rng([self._seed, self._epoch])
        replace = self._chances is not None
        rows = rng.choice(self._size, self._size, replace=replace, p=self._chances)
        numbers = rng.integers(2**32, size=self._size)
        return zip(rows.tolist(), numbers.tolist(), strict=True)


def _equal_chances(codes: Int64Array) -> Float64Array:
    """Return each card's chance to be drawn, with every category drawn equally often."""
    sizes = np.bincount(codes)
    return 1.0 / (len(sizes) * sizes[codes])


class _KnnTrainer(Trainer):
    """A trainer that is judged by nearest neighbours."""

    model: Neighbourhood
    control: Any

    def __init__(
        self, trainable: TrainableEncoder, data: TrainingData, *, balanced: bool, **arguments: Any
    ) -> None:
        self._trainable, self._balanced = trainable, balanced
        self._train, self._valid = data.parts["train"], data.parts["valid"]
        super().__init__(
            train_dataset=_Examples(trainable, self._train),
            eval_dataset=_Examples(trainable, self._valid),
            data_collator=self._collate,
            **arguments,
        )
        self.remove_callback(PrinterCallback)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Score the embeddings of the valid part by those of the train part."""
        train = self._trainable.rows(self._train)
        self.model.remember(train)
        metrics = {METRIC: knn_f1(train, self._trainable.rows(self._valid))}
        self.log(metrics)
        report = self.callback_handler.on_evaluate
        self.control = report(self.args, self.state, self.control, metrics)
        return metrics

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        # safetensors refuses weights that lie in memory with the channels last.
        state = state_dict or self.model.state_dict()
        super()._save(output_dir, {name: tensor.contiguous() for name, tensor in state.items()})

    def _collate(self, examples: Sequence[tuple[Any, int]]) -> dict[str, Any]:
        loaded, rows = zip(*examples, strict=True)
        return {"inputs": self._trainable.collate(loaded), "labels": torch.tensor(rows)}

    def _get_train_sampler(self, train_dataset: Any = None) -> _Draws:
        return _Draws(self._train, self._balanced, self.args.seed)


def _training_arguments(
    settings: FinetuneSettings, trainable: TrainableEncoder, steps: int, checkpoints: Path
) -> TrainingArguments:
    """Translate the settings for the trainer; `steps` is the number of them in an epoch."""
    device = pick_device()
    precision = _precision(settings.precision, device)
    # On a CPU the network itself needs every core.
    decodes_aside = device == "cuda" and trainable.encoder.reads == "picture"
    return TrainingArguments(
        output_dir=str(checkpoints),
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch,
        gradient_accumulation_steps=settings.accumulate,
        lr_scheduler_type="cosine",
        warmup_steps=int(WARMUP * steps * settings.epochs),
        eval_strategy="epoch",
        save_strategy="epoch",
        save_total_limit=1,
        load_best_model_at_end=True,
        metric_for_best_model=METRIC,
        restore_callback_states_from_checkpoint=True,
        logging_steps=min(LOG_EVERY, steps),
        disable_tqdm=True,
        log_level="error",
        report_to="none",
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_num_workers=min(MOST_WORKERS, torch.get_num_threads()) if decodes_aside else 0,
        dataloader_pin_memory=device == "cuda",
        use_cpu=device == "cpu",
        seed=settings.seed,
        bf16=precision == "bfloat16",
        fp16=precision == "float16",
    )


def _precision(requested: TrainingPrecision | None, device: str) -> TrainingPrecision:
    if device == "cuda":
        return requested or ("bfloat16" if torch.cuda.is_bf16_supported() else "float16")
    if requested == "float16":
        raise EncoderError(f"Nothing is trained in float16 on {device}; take bfloat16.")
    return requested or "float32"


class _Progress(TrainerCallback):
    """Draws a bar, reports after every epoch, and asks for checkpoints within long epochs."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._loss = float("nan")

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._saved = time.monotonic()
        self._bar = progress_bar(state.max_steps, "fine-tuning", "step")
        # A resumed run goes on within the bar.
        self._bar.update(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._bar.update()
        if time.monotonic() - self._saved > SECONDS_BETWEEN_CHECKPOINTS:
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._saved = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, **details: Any) -> None:
        self._loss = details["logs"].get("loss", self._loss)
        self._bar.set_postfix_str(f"loss {self._loss:.3f}")

    def on_evaluate(self, args: Any, state: Any, control: Any, **details: Any) -> None:
        self._bar.clear()
        self._say(
            f"epoch {state.epoch:.0f} of {state.num_train_epochs}: loss {self._loss:.3f}, "
            f"valid weighted F1 {details['metrics'][METRIC]:.3f}"
        )

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        self._bar.close()
