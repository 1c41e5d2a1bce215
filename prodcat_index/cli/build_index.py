"""``prodcat build-index``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prodcat_index.cli import options


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
    id_column: options.IdColumn = None,
    title_column: options.TitleColumn = None,
    description_column: options.DescriptionColumn = None,
    category_column: options.CategoryColumn = None,
    group_column: options.GroupColumn = None,
    image_column: options.ImageColumn = None,
    text_column: options.TextColumn = None,
    image_root: options.ImageRootOption = None,
    encoding: options.EncodingOption = None,
) -> None:
    """Embed a catalogue of labelled cards and index it, or only the train part of a split."""
    from prodcat_index.index.product_index import ProductIndex

    options.choose_device(device)
    cards = options.read_listed(
        catalogue,
        id_column=id_column,
        title_column=title_column,
        description_column=description_column,
        category_column=category_column,
        group_column=group_column,
        image_column=image_column,
        text_columns=text_column,
        image_root=image_root,
        encoding=encoding,
    )
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
