"""Pictures through a convolutional or transformer network of timm, without its classifier."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict, deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from prodcat_index.cards.pictures import load_picture
from prodcat_index.encoders.base import Encoded, Encoder, FloatArray, unit_rows
from prodcat_index.encoders.torch_setup import import_with_torch
from prodcat_index.errors import PictureError
from prodcat_index.progress import progress_bar

if TYPE_CHECKING:
    import torch

# A small batch in channels-last layout stays in the cache of a CPU: measured in docs/decisions.md.
BATCH = 8
DECODERS = 2
LOOK_AHEAD = 64


class TimmEncoder(Encoder):
    """A timm network's pooled features.

    Parameters
    ----------
    spec
        The name by which the registry knows this encoder.
    model
        A timm model made with ``num_classes=0``, with its weights.
    weights_digest
        sha256 of the weights, part of the fingerprint.
    """

    reads = "picture"

    def __init__(self, spec: str, model: torch.nn.Module, weights_digest: str) -> None:
        timm_data = import_with_torch("timm.data")
        self.spec = spec
        import torch

        self._model = model.eval()
        self._model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._preprocessing: Mapping[str, Any] = timm_data.resolve_model_data_config(model)
        self._transform = timm_data.create_transform(**self._preprocessing, is_training=False)
        self._weights_digest = weights_digest

    @property
    def dim(self) -> int:
        """Length of a row."""
        return int(self._model.num_features)  # type: ignore[arg-type]

    @property
    def fingerprint(self) -> str:
        """Hex digest of the weights and the preprocessing."""
        preprocessing = json.dumps(self._preprocessing, sort_keys=True)
        return hashlib.sha256(f"{self._weights_digest} {preprocessing}".encode()).hexdigest()

    def encode(self, values: Sequence[str], *, label: str = "") -> Encoded:
        """Embed picture files; equal paths are embedded once, unreadable ones are absent."""
        paths = list(dict.fromkeys(value for value in values if value))
        features = np.zeros((len(paths) + 1, self.dim), dtype=np.float32)
        reasons: dict[str, str] = {}
        with progress_bar(len(paths), label, "picture") as bar:
            for rows, batch in _batches(self._decoded(paths, reasons, bar)):
                features[rows] = self._forward(batch)
        position = {path: row for row, path in enumerate(paths)}
        vectors = unit_rows(features)[[position.get(value, -1) for value in values]]
        vectors = vectors.reshape(-1, self.dim)
        return Encoded(vectors, np.any(vectors != 0, axis=1), _by_reason(values, reasons))

    def _decoded(
        self, paths: Sequence[str], reasons: dict[str, str], bar: Any
    ) -> Iterator[tuple[int, torch.Tensor]]:
        for row, future in _ahead(self._decode, paths):
            bar.update()
            try:
                yield row, future.result()
            except PictureError as error:
                reasons[paths[row]] = str(error)

    def _decode(self, path: str) -> torch.Tensor:
        tensor: torch.Tensor = self._transform(load_picture(path))
        return tensor

    def _forward(self, batch: Sequence[torch.Tensor]) -> FloatArray:
        import torch

        with torch.inference_mode():
            pictures = torch.stack(list(batch)).contiguous(memory_format=torch.channels_last)
            features: FloatArray = self._model(pictures).float().numpy()
        return features


def _ahead(decode: Any, paths: Sequence[str]) -> Iterator[tuple[int, Future[torch.Tensor]]]:
    """Decode in threads, a bounded number of pictures ahead of the network."""
    with ThreadPoolExecutor(DECODERS) as pool:
        waiting: deque[tuple[int, Future[torch.Tensor]]] = deque()
        for row, path in enumerate(paths):
            waiting.append((row, pool.submit(decode, path)))
            if len(waiting) > LOOK_AHEAD:
                yield waiting.popleft()
        yield from waiting


def _batches(
    pairs: Iterator[tuple[int, torch.Tensor]],
) -> Iterator[tuple[list[int], list[torch.Tensor]]]:
    rows: list[int] = []
    tensors: list[torch.Tensor] = []
    for row, tensor in pairs:
        rows.append(row)
        tensors.append(tensor)
        if len(rows) == BATCH:
            yield rows, tensors
            rows, tensors = [], []
    if rows:
        yield rows, tensors


def _by_reason(values: Sequence[str], reasons: Mapping[str, str]) -> dict[str, list[int]]:
    positions: dict[str, list[int]] = defaultdict(list)
    for position, value in enumerate(values):
        if value in reasons:
            positions[reasons[value]].append(position)
    return dict(positions)
