"""The training itself, by the trainer of transformers with an optimiser of timm.

The trainer of sentence-transformers is the same one; its checkpoints leave out the rows that are
remembered, so that a resumed run would begin with others. Torch is imported at the top, as classes
of torch are derived here; only :mod:`~prodcat_index.learning.finetuning.finetune` imports this
module.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset, Sampler
from transformers import (
    EarlyStoppingCallback,
    PrinterCallback,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from prodcat_index.encoders.device import import_with_torch, pick_device
from prodcat_index.errors import EncoderError
from prodcat_index.learning.finetuning.finetune import FinetuneSettings, TrainingPrecision
from prodcat_index.learning.finetuning.trainable import TrainableEncoder
from prodcat_index.learning.finetuning.training_data import (
    VOTE,
    Part,
    Rows,
    TrainingData,
    equal_chances,
    knn_f1,
)
from prodcat_index.progress import progress_bar

WEIGHT_DECAY = 0.05
WARMUP = 0.1
LOG_EVERY = 10
METRIC = "eval_f1"
MOST_WORKERS = 8


class Neighbourhood(torch.nn.Module):
    """A network, and the rows of the training cards as it last saw them, which vote."""

    codes: torch.Tensor
    mean: torch.Tensor
    known: torch.Tensor

    def __init__(self, trainee: TrainableEncoder, begun: Rows, frozen: float) -> None:
        super().__init__()
        self.network = trainee.network
        self._features = trainee.features
        self.register_buffer("codes", torch.from_numpy(begun.codes), persistent=False)
        mean = begun.vectors.mean(axis=0)
        # Within the checkpoints, as they may be written within an epoch.
        self.register_buffer("mean", torch.from_numpy(mean))
        self.register_buffer("known", torch.from_numpy(begun.centred(mean)))
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
        """Return how little of the votes falls to a card's own category, by the cards' numbers."""
        normalize = torch.nn.functional.normalize
        rows = normalize(normalize(self._features(inputs).float()) - self.mean)
        closeness = (rows @ self.known.T).float() / VOTE.temperature
        itself = torch.nn.functional.one_hot(labels, len(self.codes)).bool()
        alike = (self.codes[labels, None] == self.codes) & ~itself
        has_kin = alike.any(dim=1)
        votes = closeness.masked_fill(itself, -torch.inf)[has_kin].logsumexp(dim=1)
        right = closeness.masked_fill(~alike, -torch.inf)[has_kin].logsumexp(dim=1)
        return {"loss": (votes - right).sum() / max(1, len(votes))}


class Examples(Dataset[tuple[Any, int]]):
    """Training cards with their numbers, each loaded with a random number of its own."""

    def __init__(self, trainee: TrainableEncoder, pile: Part) -> None:
        self._trainee = trainee
        self._pile = pile

    def __len__(self) -> int:
        return len(self._pile)

    def __getitem__(self, drawn: tuple[int, int]) -> tuple[Any, int]:
        row, number = drawn
        loaded = self._trainee.load(self._pile.values[row], number)
        return loaded, row


class Draws(Sampler[tuple[int, int]]):
    """The rows of an epoch with a random number each, which depend on seed and epoch alone."""

    def __init__(self, pile: Part, balanced: bool, seed: int) -> None:
        self._size = len(pile)
        self._chances = equal_chances(pile.codes) if balanced else None
        self._seed = seed
        self._epoch = 0

    def __len__(self) -> int:
        return self._size

    def set_epoch(self, epoch: int) -> None:
        """Let the next draws be those of an epoch."""
        self._epoch = epoch

    def __iter__(self) -> Iterator[tuple[int, int]]:
        rng = np.random.default_rng([self._seed, self._epoch])
        rows = rng.choice(
            self._size, self._size, replace=self._chances is not None, p=self._chances
        )
        numbers = rng.integers(2**32, size=self._size)
        return zip(rows.tolist(), numbers.tolist(), strict=True)


class KnnTrainer(Trainer):
    """A trainer that is judged by nearest neighbours."""

    def __init__(
        self,
        trainee: TrainableEncoder,
        material: TrainingData,
        begun: Rows,
        settings: FinetuneSettings,
        arguments: TrainingArguments,
        callbacks: Sequence[Any],
    ) -> None:
        self._trainee = trainee
        self._material = material
        self._settings = settings
        frozen = trainee.freeze if settings.freeze is None else settings.freeze
        model = Neighbourhood(trainee, begun, frozen)
        super().__init__(
            model=model,
            args=arguments,
            train_dataset=Examples(trainee, material.train),
            eval_dataset=Examples(trainee, material.valid),
            data_collator=self._collate,
            callbacks=[EarlyStoppingCallback(settings.patience), *callbacks],
            optimizers=(_optimizer(model, settings.learning_rate or trainee.learning_rate), None),
        )
        self.remove_callback(PrinterCallback)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Judge the embeddings of the valid part by those of the training part."""
        taught = self._trainee.rows(self._material.train)
        assert isinstance(self.model, Neighbourhood)
        self.model.remember(taught)
        metrics = {METRIC: knn_f1(taught, self._trainee.rows(self._material.valid))}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        # safetensors refuses weights that lie in memory with the channels last.
        assert self.model is not None
        state = state_dict or self.model.state_dict()
        super()._save(output_dir, {name: tensor.contiguous() for name, tensor in state.items()})

    def _collate(self, examples: Sequence[tuple[Any, int]]) -> dict[str, Any]:
        loaded, rows = zip(*examples, strict=True)
        return {"inputs": self._trainee.collate(loaded), "labels": torch.tensor(rows)}

    def _get_train_sampler(self, train_dataset: Any = None) -> Draws:
        return Draws(self._material.train, self._settings.balance, self._settings.seed)


def _optimizer(model: Neighbourhood, rate: float) -> torch.optim.Optimizer:
    timm = import_with_torch("timm.optim")
    network = timm.param_groups_weight_decay(model.network, WEIGHT_DECAY)
    optimizer: torch.optim.Optimizer = timm.create_optimizer_v2(network, "adamw", rate)
    return optimizer


def training_arguments(
    settings: FinetuneSettings, trainee: TrainableEncoder, cards: int, checkpoints: Path
) -> TrainingArguments:
    """Tell the trainer of transformers what the settings mean."""
    device = pick_device()
    precision = _precision(settings, device)
    steps = -(-cards // (settings.batch * settings.accumulate))
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
        greater_is_better=True,
        restore_callback_states_from_checkpoint=True,
        logging_strategy="steps",
        logging_steps=min(LOG_EVERY, steps),
        disable_tqdm=True,
        log_level="error",
        report_to="none",
        remove_unused_columns=False,
        label_names=["labels"],
        dataloader_num_workers=_workers(trainee, device),
        dataloader_pin_memory=device == "cuda",
        use_cpu=device == "cpu",
        seed=settings.seed,
        bf16=precision == "bfloat16",
        fp16=precision == "float16",
    )


def _workers(trainee: TrainableEncoder, device: str) -> int:
    # On a CPU the network itself needs every core.
    if device != "cuda" or trainee.encoder.reads != "picture":
        return 0
    return min(MOST_WORKERS, torch.get_num_threads())


def _precision(settings: FinetuneSettings, device: str) -> TrainingPrecision:
    if device != "cuda":
        if settings.precision == "float16":
            raise EncoderError(f"Nothing is trained in float16 on {device}; take bfloat16.")
        return settings.precision or "float32"
    own: TrainingPrecision = "bfloat16" if torch.cuda.is_bf16_supported() else "float16"
    return settings.precision or own


# A run that is killed loses this much at most.
SECONDS_BETWEEN_CHECKPOINTS = 300.0


class TimedCheckpoints(TrainerCallback):
    """Asks for checkpoints within long epochs."""

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self._saved = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Ask for a checkpoint if the last one is old."""
        if time.monotonic() - self._saved > SECONDS_BETWEEN_CHECKPOINTS:
            control.should_save = True

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock anew."""
        self._saved = time.monotonic()


class Report(TrainerCallback):
    """Draws a bar over the steps, and says loss and score after every epoch."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._loss = float("nan")

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Open the bar at the step that training goes on from."""
        self._bar = progress_bar(state.max_steps, "fine-tuning", "step")
        self._bar.update(state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Move the bar."""
        self._bar.update()

    def on_log(self, args: Any, state: Any, control: Any, **said: Any) -> None:
        """Show the loss beside the bar."""
        self._loss = said["logs"].get("loss", self._loss)
        self._bar.set_postfix_str(f"loss {self._loss:.3f}")

    def on_evaluate(self, args: Any, state: Any, control: Any, **said: Any) -> None:
        """Say loss and score."""
        self._bar.clear()
        self._say(
            f"epoch {state.epoch:.0f} of {state.num_train_epochs}: loss {self._loss:.3f}, "
            f"valid weighted F1 {said['metrics'][METRIC]:.3f}"
        )

    def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Close the bar."""
        self._bar.close()
