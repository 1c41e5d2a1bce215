"""Encoders that can be fine-tuned: networks of timm, and models of sentence-transformers."""

from __future__ import annotations

import random
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from prodcat_index.cards.pictures import load_picture
from prodcat_index.encoders.base import Encoder, join_options, split_options
from prodcat_index.encoders.networks import import_with_torch, pick_device, quiet
from prodcat_index.encoders.registry import FINETUNED, MODEL, WEIGHTS
from prodcat_index.encoders.sentences import SbertEncoder
from prodcat_index.encoders.timm_image import (
    LITE0,
    LITE0_ARCHITECTURE,
    EfficientNetLite0Encoder,
    TimmEncoder,
    TimmOptions,
)
from prodcat_index.errors import EncoderError
from prodcat_index.learning.projection import fit_projection
from prodcat_index.learning.training_data import Rows
from prodcat_index.types import Float32Array, Int64Array

if TYPE_CHECKING:
    import pandas as pd
    import torch
    from sentence_transformers import SentenceTransformer


# The first layer of a picture network; its constants were measured: docs/decisions.md.
DIMENSIONS = 256
SHRINKAGE = 0.5
# How much longer the components are than the discriminants.
SHARE = 1.5
# A component that varies this little, beside the first, is rounding.
SMALLEST_RATIO = 1e-4
# Random crops are cut from the whole picture, squeezed into a square of this many times the size
# that the network gets.
SQUEEZED = 1.3


class TrainableEncoder(ABC):
    """An encoder whose network is trained in place."""

    scheme: ClassVar[Literal["timm", "sbert"]]
    learning_rate: ClassVar[float]
    # Share of the network's tensors, from the input, that stay as they are.
    freeze: ClassVar[float]
    encoder: Encoder
    network: torch.nn.Module
    # For the spec of the result: timm's name of the network, and what follows "?".
    name: str = ""
    options: str

    def rows(self, cards: pd.DataFrame) -> Rows:
        """Embed some cards of the training data with the network as it is at the moment."""
        self.network.eval()
        encoded = self.encoder.encode(cards["value"].tolist(), label="embedding")
        return Rows(encoded.vectors, cards["code"].to_numpy())

    def begin(self, cards: pd.DataFrame) -> None:
        """Prepare the network for the cards that it will be trained on."""

    @abstractmethod
    def load(self, value: str, draw: int) -> Any:
        """Return a value as the network gets it while training, varied by a random number."""

    @abstractmethod
    def collate(self, loaded: Sequence[Any]) -> Any:
        """Join what :meth:`load` returned into the input of the network."""

    @abstractmethod
    def features(self, inputs: Any) -> torch.Tensor:
        """Return the network's rows, of shape (n, dim), not of unit length."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the network as safetensors."""


def make_trainable(spec: str, input_size: int | None) -> TrainableEncoder:
    """Load an encoder that is to be trained."""
    scheme = spec.partition(":")[0]
    if scheme == FINETUNED:
        raise EncoderError(
            f"{spec} is fine-tuned already; fine-tune the encoder that it came from."
        )
    if scheme in ("timm", LITE0):
        return _PictureNetwork(spec, input_size)
    if scheme != "sbert":
        raise EncoderError(
            f"The encoder {spec} has no network to train; take {LITE0}, or one that "
            "begins with timm: or sbert:."
        )
    if input_size is not None:
        raise EncoderError(f"The encoder {spec} reads texts; leave the input size out.")
    return _TextModel(spec)


class _PictureNetwork(TrainableEncoder):
    """A network of timm that sees whole pictures and ends in a linear layer."""

    scheme = "timm"
    learning_rate = 2e-4
    freeze = 0.9
    encoder: TimmEncoder

    def __init__(self, spec: str, input_size: int | None) -> None:
        argument = LITE0_ARCHITECTURE if spec == LITE0 else spec.partition(":")[2]
        named, given = split_options(argument, TimmOptions)
        size = given.input_size if input_size is None else input_size
        whole = given.model_copy(update={"crop": "none", "rows": None, "input_size": size})
        # Written and read again, so that the input size is checked.
        spelled = join_options(named, whole)
        _, self._options = split_options(spelled, TimmOptions)
        if spec == LITE0:
            self.encoder = EfficientNetLite0Encoder.with_options(self._options)
        else:
            self.encoder = TimmEncoder.from_spec(spelled)
        self.name = named.partition("@")[0]
        self.network = self.encoder.network
        self._size = max(self.encoder.preprocessing["input_size"][1:])
        self._vary = import_with_torch("timm.data").create_transform(
            **self.encoder.preprocessing,
            is_training=True,
            scale=(0.35, 1.0),
            ratio=(0.75, 4 / 3),
            hflip=0.5,
            color_jitter=0.3,
            auto_augment=None,
        )

    def begin(self, cards: pd.DataFrame) -> None:
        """Let the network end in a linear layer that separates the categories."""
        import torch

        values, codes = cards["value"].tolist(), cards["code"].to_numpy()
        # Mirror images too: no category should depend on which way a shoe points.
        views = [self.encoder.features(values, "embedding", mirrored=m) for m in (False, True)]
        weights, biases = first_layer(np.concatenate(views), np.tile(codes, len(views)))
        self.network.reset_classifier(len(weights))  # type: ignore[operator]
        layer = self.network.get_classifier()  # type: ignore[operator]
        if not isinstance(layer, torch.nn.Linear):
            raise EncoderError(
                f"The network {self.name} has no linear classifier, whose place the trained layer "
                f"could take; take another one, such as {LITE0}."
            )
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weights))
            layer.bias.copy_(torch.from_numpy(biases))
        self.network.to(pick_device())
        ends_in_layer = self._options.model_copy(update={"rows": "classifier"})
        self.options = join_options("", ends_in_layer).removeprefix("?")

    def load(self, value: str, draw: int) -> torch.Tensor:
        """Return a picture cropped, mirrored and coloured at random."""
        side = int(SQUEEZED * self._size)
        picture = load_picture(value, min_side=2 * self._size).resize((side, side))
        with seeded(draw):
            return self._vary(picture)

    def collate(self, loaded: Sequence[torch.Tensor]) -> torch.Tensor:
        import torch

        return torch.stack(list(loaded)).contiguous(memory_format=torch.channels_last)

    def features(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.network(inputs)

    def save(self, folder: Path) -> None:
        from safetensors.torch import save_file

        state = self.network.state_dict()
        save_file({n: t.detach().cpu().contiguous() for n, t in state.items()}, folder / WEIGHTS)


class _TextModel(TrainableEncoder):
    """A model of sentence-transformers."""

    scheme = "sbert"
    learning_rate = 1e-4
    freeze = 0.0
    encoder: SbertEncoder
    network: SentenceTransformer

    def __init__(self, spec: str) -> None:
        self.encoder = SbertEncoder.from_spec(spec.partition(":")[2])
        self.network = self.encoder.own_network()
        self.options = self.encoder.spec.partition("?")[2]

    def load(self, value: str, draw: int) -> str:
        return value

    def collate(self, loaded: Sequence[str]) -> dict[str, Any]:
        return self.encoder.tokenize(loaded)

    def features(self, inputs: dict[str, Any]) -> torch.Tensor:
        return self.network(inputs)["sentence_embedding"][:, : self.encoder.dim]

    def save(self, folder: Path) -> None:
        with quiet():
            self.network.save_pretrained(str(folder / MODEL), create_model_card=False)


@contextmanager
def seeded(number: int) -> Iterator[None]:
    """Seed the generators of Python, numpy and torch meanwhile, and put them back afterwards."""
    import torch

    python_state, numpy_state = random.getstate(), np.random.get_state()
    with torch.random.fork_rng(devices=[]):
        random.seed(number)
        np.random.seed(number)
        torch.manual_seed(number)
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)


def first_layer(rows: Float32Array, codes: Int64Array) -> tuple[Float32Array, Float32Array]:
    """Return weights and biases of a linear layer, fitted to rows of shape (n, dim).

    Its outputs, 256 at most, are the discriminants of the categories and, beside them, the
    principal components of the rows, with which cards of one category still differ.
    """
    mean = rows.mean(axis=0)
    centred = rows - mean
    present = np.ones((len(rows), 1), dtype=bool)
    # Not stretched: no discriminant outweighs the others.
    fitted = fit_projection([centred], present, codes, SHRINKAGE, stretch=0.0)
    weights = np.zeros((0, rows.shape[1]), dtype=np.float32)
    if fitted is not None:
        weights = _scaled(fitted.matrices[0].T, centred)[:DIMENSIONS]
    _, deviations, components = np.linalg.svd(centred, full_matrices=False)
    kept = deviations > SMALLEST_RATIO * deviations[0]
    beside = _scaled(components[kept] / np.sqrt(deviations[kept, None]), centred)
    beside = SHARE * beside[: DIMENSIONS - len(weights)]
    weights = np.concatenate([weights, beside]).astype(np.float32)
    return weights, -weights @ mean


def _scaled(weights: Float32Array, centred: Float32Array) -> Float32Array:
    """Scale weights so that the outputs of the rows have length 1 on average."""
    return weights / np.linalg.norm(centred @ weights.T, axis=1).mean()
