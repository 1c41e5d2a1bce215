"""``prodcat build-index``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prodcat_index.cli import options


@options.with_columns
def build_index(
    catalogue: Annotated[Path, typer.Argument(help="CSV, TSV, JSONL or Parquet file of cards.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Index folder; by default indexes/NAME.")
    ] = None,
    encoder: options.EncoderOption = None,
    preset: options.PresetOption = "embedded",
    projection: options.ProjectionOption = options.ProjectionKind.lda,
    device: options.DeviceOption = None,
    weights: options.WeightsOption = None,
    split: options.SplitOption = None,
    *,
    columns: options.Columns,
) -> None:
    """Embed a catalogue of labelled cards and index it, or only the train part of a split."""
    from prodcat_index.index.product_index import ProductIndex

    options.choose_device(device)
    cards = options.read_listed(catalogue, **columns)
    cards = options.select_part(cards, split, options.Part.train)
    chosen = options.parse_encoders(encoder or [])
    index = ProductIndex.build(
        cards,
        encoders=chosen,
        preset=preset,
        weights=options.parse_weights(weights),
        projection=projection.value,
    )
    options.warn(index.findings)
    folder = index.save(output or options.DEFAULT_ROOT / catalogue.stem)
    typer.echo(
        f"Built {folder}: {len(index)} cards in {len(index.parts.labels.names)} categories, "
        f"embedded by {', '.join(index.parts.block_names)}."
    )
