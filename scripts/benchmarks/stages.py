"""Where the time of embedding pictures goes: network, decoding, encoder, cache."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from prodcat_index.encoders.cache import EmbeddingCache
from prodcat_index.encoders.embedding import embed
from prodcat_index.encoders.networks import single_threaded_workers
from prodcat_index.encoders.timm_image import BATCH, TimmEncoder

STAGES_HEADER = [
    "encoder",
    "network alone, a second",
    "with decoding",
    "`encoder.encode`",
    "`embed`, cache written",
    "decoding costs",
    "`encode` costs beyond it",
    "`embed` costs beyond it",
]
STAGES_LEGEND = (
    "The same pictures, pictures a second: the network alone, over pictures that lie decoded in "
    "memory; with reading, decoding and resizing by timm's own transform, in the same threads and "
    "nothing else of ours; `encoder.encode`; `embed` into a new cache. The last columns are "
    "medians of ratios within a round."
)

Stage = Callable[[Sequence[str]], Any]


def stage_row(name: str, encoder: TimmEncoder, paths: Sequence[str], rounds: int) -> list[str]:
    """Time each stage in turn, several times."""
    decoded = dict(zip(paths, map(_decode(encoder), paths), strict=True))
    stages: list[Stage] = [
        lambda some: _forward(encoder, some, decoded.__getitem__),
        lambda some: _forward(encoder, some, _decode(encoder)),
        encoder.encode,
        lambda some: _embed_anew(encoder, some),
    ]
    for stage in stages:
        stage(paths[: 2 * BATCH["cpu"]])
    seconds = [[_seconds(stage, paths) for stage in stages] for _ in range(rounds)]
    speeds = [
        f"{len(paths) / statistics.median(column):.1f}" for column in zip(*seconds, strict=True)
    ]
    costs = [_cost(seconds, *pair) for pair in ((1, 0), (2, 1), (3, 1))]
    return [name, *speeds, *costs]


def _decode(encoder: TimmEncoder) -> Callable[[str], Any]:
    return lambda path: encoder._transform(Image.open(path).convert("RGB"))


def _forward(encoder: TimmEncoder, paths: Sequence[str], load: Callable[[str], Any]) -> None:
    size = BATCH["cpu"]
    batches = [paths[start : start + size] for start in range(0, len(paths), size)]
    with single_threaded_workers() as pool:
        for _ in pool.map(lambda batch: encoder._forward([load(path) for path in batch]), batches):
            pass


def _embed_anew(encoder: TimmEncoder, paths: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        embed(encoder, paths, cache=EmbeddingCache(Path(folder)))


def _seconds(stage: Stage, paths: Sequence[str]) -> float:
    start = time.perf_counter()
    stage(paths)
    return time.perf_counter() - start


def _cost(seconds: Sequence[Sequence[float]], stage: int, beside: int) -> str:
    return f"{statistics.median(row[stage] / row[beside] for row in seconds) - 1:+.1%}"
