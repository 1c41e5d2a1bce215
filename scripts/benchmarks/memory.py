"""Does embedding a large catalogue need more memory than embedding a small one?"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from scripts.benchmarks.measuring import MB, cores, in_own_process, peak_bytes, stopwatch
from scripts.benchmarks.page import PAGE, PageOption, table, write_section

NETWORK = "test_efficientnet"
SIDE, COARSE = 32, 4
WARM_UP = 64
SEED = 0


@dataclass(frozen=True)
class Embedded:
    """What embedding some pictures took; sizes in bytes."""

    cards: int
    seconds: float
    before: int
    peak: int
    vectors: int


def memory(
    cards: Annotated[int, typer.Option(min=1000, help="Pictures of the larger run.")] = 100_000,
    page: PageOption = PAGE,
) -> None:
    """Compare the memory of embedding few and many small pictures, through the cache."""
    with tempfile.TemporaryDirectory() as folder:
        in_own_process(draw_pictures, Path(folder), cards)
        runs = [in_own_process(embed_pictures, Path(folder), n) for n in (cards // 10, cards)]
    rows = [
        [
            f"{run.cards:,}",
            f"{run.cards / run.seconds:,.0f}",
            f"{run.before / MB:.0f}",
            f"{run.peak / MB:.0f}",
            f"{run.vectors / MB:.0f}",
            f"{(run.peak - run.vectors) / MB:.0f}",
        ]
        for run in runs
    ]
    few, many = ((run.peak - run.vectors) / MB for run in runs)
    per_card = 1024 * (many - few) / (cards - cards // 10)
    header = ["pictures", "a second", "MB before", "peak MB", "MB returned", "peak less returned"]
    write_section(
        page,
        "Memory of embedding",
        f"`scripts/bench memory --cards {cards}`: distinct JPEG files of {SIDE} x {SIDE} pixels "
        f"through `embed` with a new cache, by timm's `{NETWORK}` with random weights, {cores()} "
        "cores, no GPU; resident memory, each run in a process of its own. *Before*: with the "
        f"network loaded and {WARM_UP} pictures embedded.\n\n{table(header, rows)}\n\n"
        f"{many - few:+.0f} MB ({per_card:.2f} KB a picture) beside the vectors themselves.",
    )


def draw_pictures(folder: Path, count: int) -> None:
    from PIL import Image

    rng = np.random.default_rng(SEED)
    for n in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (COARSE, COARSE, 3), dtype=np.uint8))
        coarse.resize((SIDE, SIDE)).save(folder / f"{n:07d}.jpg")


def embed_pictures(folder: Path, count: int) -> Embedded:
    from prodcat_index.encoders.cache import EmbeddingCache
    from prodcat_index.encoders.embedding import embed
    from prodcat_index.encoders.networks import import_with_torch
    from prodcat_index.encoders.timm_image import TimmEncoder, TimmOptions

    model = import_with_torch("timm").create_model(NETWORK, pretrained=False, num_classes=0)
    encoder = TimmEncoder(NETWORK, model, "benchmark", TimmOptions(input_size=SIDE))
    paths = [str(folder / f"{n:07d}.jpg") for n in range(count)]
    embed(encoder, paths[:WARM_UP], cache=None)
    before = peak_bytes()
    with tempfile.TemporaryDirectory() as place, stopwatch() as spent:
        found = embed(encoder, paths, cache=EmbeddingCache(Path(place)))
    assert found.present.all()
    return Embedded(count, spent.wall, before, peak_bytes(), found.vectors.nbytes)
