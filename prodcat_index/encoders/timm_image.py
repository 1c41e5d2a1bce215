"""Pictures through a convolutional or transformer network of timm, without its classifier."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prodcat_index.cards.pictures import load_picture
from prodcat_index.encoders.base import Encoded, Encoder, FloatArray, unit_rows
from prodcat_index.encoders.device import (
    each_core_alone,
    infer,
    pick_device,
    quick_precision,
    require_numbers,
    run_halving,
)
from prodcat_index.encoders.options import Crop, Precision
from prodcat_index.encoders.torch_setup import import_with_torch
from prodcat_index.errors import PictureError
from prodcat_index.progress import progress_bar

if TYPE_CHECKING:
    import torch

# On a CPU every core embeds small batches of its own on one thread: these stay in its cache, and
# no core ever waits for another. Measured in docs/decisions.md.
BATCH = {"cpu": 2, "mps": 32, "cuda": 64}

# The whole picture, squeezed into a square.
UNCROPPED = {"crop_mode": "squash", "crop_pct": 1.0}


class TimmEncoder(Encoder):
    """A timm network's pooled features.

    Parameters
    ----------
    spec
        The name by which the registry knows this encoder.
    model
        A timm model with its weights, made with ``num_classes=0``; or with a classifier, which then
        says the rows.
    weights_digest
        sha256 of the weights, part of the fingerprint.
    input_size
        Side of the pictures that the network gets, in pixels; None for its own.
    crop
        ``"none"`` squeezes the whole picture into a square; None for the network's own way, which
        mostly is to cut the middle out.
    precision
        Of its numbers; None for the device's own.
    """

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
    ) -> tuple[FloatArray, dict[str, str]]:
        """Return what the network says of picture files, before it gets unit length.

        Parameters
        ----------
        values
            n paths.
        label
            Of the progress bar.
        mirrored
            Let the network see everything the other way round.

        Returns
        -------
        tuple
            float32, shape (n, dim), zeros where there is no readable picture; and path -> why it
            cannot be read.
        """
        paths = list(dict.fromkeys(value for value in values if value))
        features = np.zeros((len(paths) + 1, self.dim), dtype=np.float32)
        reasons: dict[str, str] = {}
        size = BATCH[self._device]
        starts = range(0, len(paths), size)
        batches = [range(start, min(start + size, len(paths))) for start in starts]
        with (
            progress_bar(len(paths), label, "picture") as bar,
            each_core_alone() as pool,
        ):
            done = pool.map(lambda rows: self._embed(paths, rows, reasons, mirrored), batches)
            for batch, (readable, embedded) in zip(batches, done, strict=True):
                features[readable] = embedded
                bar.update(len(batch))
        position = {path: row for row, path in enumerate(paths)}
        rows = [position.get(value, -1) for value in values]
        return features[rows].reshape(-1, self.dim), reasons

    def _embed(
        self, paths: Sequence[str], rows: Sequence[int], reasons: dict[str, str], mirrored: bool
    ) -> tuple[list[int], FloatArray]:
        """Embed the readable ones of some pictures, and note why the others are not."""
        decoded = {}
        for row in rows:
            try:
                shown = self._transform(load_picture(paths[row]))
                decoded[row] = shown.flip(-1) if mirrored else shown
            except PictureError as error:
                reasons[paths[row]] = str(error)
        return list(decoded), run_halving(list(decoded.values()), self._forward)

    def _forward(self, pictures: Sequence[torch.Tensor]) -> FloatArray:
        import torch

        if not pictures:
            return np.zeros((0, self.dim), dtype=np.float32)
        batch = torch.stack(list(pictures)).contiguous(memory_format=torch.channels_last)
        if self._device == "cuda":
            batch = batch.pin_memory()
        features = infer(
            self._device,
            quick_precision(self._device, self._precision),
            lambda: self._model(batch.to(self._device, non_blocking=True)),
        )
        return require_numbers(features, self.spec)


def _by_reason(values: Sequence[str], reasons: Mapping[str, str]) -> dict[str, list[int]]:
    positions: dict[str, list[int]] = defaultdict(list)
    for position, value in enumerate(values):
        if value in reasons:
            positions[reasons[value]].append(position)
    return dict(positions)
