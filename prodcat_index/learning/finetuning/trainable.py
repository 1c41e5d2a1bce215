"""What may be fine-tuned: networks of timm for pictures, sentence-transformers for texts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from prodcat_index.encoders import timm_image as efficientnet
from prodcat_index.encoders.base import Encoder, join_options, split_options
from prodcat_index.encoders.device import import_with_torch, pick_device, quiet
from prodcat_index.encoders.registry import MODEL, SCHEME, WEIGHTS, make_encoder
from prodcat_index.encoders.sbert import SbertEncoder
from prodcat_index.encoders.timm_image import TimmEncoder, TimmOptions
from prodcat_index.errors import EncoderError
from prodcat_index.learning.finetuning.training_data import Part, Rows, seeded
from prodcat_index.learning.projection import fit_projection
from prodcat_index.types import Float32Array, Int64Array

if TYPE_CHECKING:
    import torch


DIMENSIONS = 256
SHRINKAGE = 0.5
# How much longer the components are than the discriminants.
SHARE = 1.5
# A component that varies this little, beside the first, is rounding.
SMALLEST_RATIO = 1e-4


def first_layer(rows: Float32Array, codes: Int64Array) -> tuple[Float32Array, Float32Array]:
    """Return the discriminants of the categories beside the principal components of the rows."""
    mean = rows.mean(axis=0)
    centred = rows - mean
    apart = _discriminants(centred, codes)[:DIMENSIONS]
    components = SHARE * _components(centred)[: DIMENSIONS - len(apart)]
    weights = np.concatenate([apart, components]).astype(np.float32)
    return weights, -weights @ mean


def _discriminants(centred: Float32Array, codes: Int64Array) -> Float32Array:
    there = np.ones((len(centred), 1), dtype=bool)
    learned = fit_projection([centred], there, codes, SHRINKAGE, stretch=0.0)
    if learned is None:
        return np.zeros((0, centred.shape[1]), dtype=np.float32)
    return _of_length_one(learned.matrices[0].T, centred)


def _components(centred: Float32Array) -> Float32Array:
    _, deviations, components = np.linalg.svd(centred, full_matrices=False)
    kept = deviations > SMALLEST_RATIO * deviations[0]
    return _of_length_one(components[kept] / np.sqrt(deviations[kept, None]), centred)


def _of_length_one(weights: Float32Array, centred: Float32Array) -> Float32Array:
    lengths = np.linalg.norm(centred @ weights.T, axis=1)
    scaled: Float32Array = weights / lengths.mean()
    return scaled


# Random crops are cut from the whole picture, squeezed into a square of this many times the size
# that the network gets.
SQUEEZED = 1.3


class TrainableEncoder(ABC):
    """An encoder whose network is trained in place."""

    scheme: ClassVar[Literal["timm", "sbert"]]
    learning_rate: ClassVar[float]
    freeze: ClassVar[float]
    encoder: Encoder
    network: torch.nn.Module

    def rows(self, pile: Part) -> Rows:
        """Embed the cards of a part with the network as it is at the moment."""
        self.network.eval()
        return Rows(self.encoder.encode(pile.values, label="embedding").vectors, pile.codes)

    def begin(self, pile: Part) -> None:
        """Prepare the network for the cards that it will be trained on."""

    @property
    @abstractmethod
    def name(self) -> str:
        """Timm's name of the network, or nothing."""

    @property
    @abstractmethod
    def options(self) -> str:
        """What follows ``?`` in the spec of the result."""

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


class TrainablePictureEncoder(TrainableEncoder):
    """A network of timm that sees whole pictures and ends in a linear layer."""

    scheme = "timm"
    learning_rate = 2e-4
    freeze = 0.9
    encoder: TimmEncoder

    def __init__(self, spec: str, input_size: int | None) -> None:
        self._name, self._options = _named(spec, input_size)
        self.encoder = _picture_encoder(spec, self._options)
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

    def begin(self, pile: Part) -> None:
        """Let the network end in a linear layer in which the categories are apart."""
        import torch

        views = [
            self.encoder.features(pile.values, "embedding", mirrored=mirrored)[0]
            for mirrored in (False, True)
        ]
        weights, biases = first_layer(np.concatenate(views), np.tile(pile.codes, len(views)))
        self.network.reset_classifier(len(weights))  # type: ignore[operator]
        layer = self.network.get_classifier()  # type: ignore[operator]
        if not isinstance(layer, torch.nn.Linear):
            raise EncoderError(
                f"The network {self._name} has no linear classifier, whose place the trained layer "
                f"could take; take another one, such as {efficientnet.SPEC}."
            )
        with torch.no_grad():
            layer.weight.copy_(torch.from_numpy(weights))
            layer.bias.copy_(torch.from_numpy(biases))
        self.network.to(pick_device())
        self._options = self._options.model_copy(update={"rows": "classifier"})

    @property
    def name(self) -> str:
        """Timm's name of the network."""
        return self._name

    @property
    def options(self) -> str:
        """What follows ``?`` in the spec of the result."""
        return join_options("", self._options).removeprefix("?")

    def load(self, value: str, draw: int) -> torch.Tensor:
        """Return a picture cropped, mirrored and coloured at random."""
        from prodcat_index.cards.pictures import load_picture

        side = int(SQUEEZED * self._size)
        picture = load_picture(value, min_side=2 * self._size).resize((side, side))
        with seeded(draw):
            varied: torch.Tensor = self._vary(picture)
        return varied

    def collate(self, loaded: Sequence[torch.Tensor]) -> torch.Tensor:
        """Stack pictures."""
        import torch

        return torch.stack(list(loaded)).contiguous(memory_format=torch.channels_last)

    def features(self, inputs: torch.Tensor) -> torch.Tensor:
        """Return what the layer says."""
        rows: torch.Tensor = self.network(inputs)
        return rows

    def save(self, folder: Path) -> None:
        """Write the weights, the layer as timm's classifier."""
        from safetensors.torch import save_file

        state = self.network.state_dict()
        save_file({n: t.detach().cpu().contiguous() for n, t in state.items()}, folder / WEIGHTS)


class TrainableTextEncoder(TrainableEncoder):
    """A model of sentence-transformers."""

    scheme = "sbert"
    learning_rate = 1e-4
    freeze = 0.0
    name = ""
    encoder: SbertEncoder

    def __init__(self, spec: str) -> None:
        encoder = make_encoder(spec)
        assert isinstance(encoder, SbertEncoder)
        self.encoder = encoder
        self._model = encoder.own_network()
        self.network = self._model

    @property
    def options(self) -> str:
        """What follows ``?`` in the spec of the result."""
        return self.encoder.spec.partition("?")[2]

    def load(self, value: str, draw: int) -> str:
        """Return the text as it is."""
        return value

    def collate(self, loaded: Sequence[str]) -> dict[str, Any]:
        """Tokenize texts."""
        return self.encoder.tokenize(loaded)

    def features(self, inputs: dict[str, Any]) -> torch.Tensor:
        """Return pooled tokens."""
        rows: torch.Tensor = self._model(inputs)["sentence_embedding"]
        return rows[:, : self.encoder.dim]

    def save(self, folder: Path) -> None:
        """Write the model in the form of its library."""
        with quiet():
            self._model.save_pretrained(str(folder / MODEL), create_model_card=False)


def make_trainable(spec: str, input_size: int | None) -> TrainableEncoder:
    """Load an encoder that is to be trained."""
    scheme = spec.partition(":")[0]
    if scheme == SCHEME:
        raise EncoderError(
            f"{spec} is fine-tuned already; fine-tune the encoder that it came from."
        )
    if scheme in ("timm", efficientnet.SPEC):
        return TrainablePictureEncoder(spec, input_size)
    if scheme != "sbert":
        raise EncoderError(
            f"The encoder {spec} has no network to train; take {efficientnet.SPEC}, or one that "
            "begins with timm: or sbert:."
        )
    if input_size is not None:
        raise EncoderError(f"The encoder {spec} reads texts; leave the input size out.")
    return TrainableTextEncoder(spec)


def _named(spec: str, input_size: int | None) -> tuple[str, TimmOptions]:
    argument = efficientnet.ARCHITECTURE if spec == efficientnet.SPEC else spec.partition(":")[2]
    named, options = split_options(argument, TimmOptions)
    sized = {"input_size": input_size} if input_size is not None else {}
    whole = options.model_copy(update={"crop": "none", "rows": None, **sized})
    named, options = split_options(join_options(named, whole), TimmOptions)
    return named.partition("@")[0], options


def _picture_encoder(spec: str, options: TimmOptions) -> TimmEncoder:
    if spec != efficientnet.SPEC:
        encoder = make_encoder(join_options(spec.partition("?")[0], options))
        assert isinstance(encoder, TimmEncoder)
        return encoder
    plain = efficientnet.EfficientNetLite0Encoder.from_spec("")
    return efficientnet.EfficientNetLite0Encoder(
        spec, plain.network, efficientnet.WEIGHTS_SHA256, input_size=options.input_size, crop="none"
    )
