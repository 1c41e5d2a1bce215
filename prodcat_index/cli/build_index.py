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
    encoder: Annotated[
        list[str] | None,
        typer.Option(
            help="MODALITY=SPEC, such as title=lexical:128; repeat it, also for one modality."
        ),
    ] = None,
    preset: Annotated[
        str, typer.Option(help="Encoders of the other modalities; see prodcat encoders.")
    ] = "embedded",
    device: options.DeviceOption = None,
    weights: options.WeightsOption = None,
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
    """Embed a catalogue of labelled cards and index it."""
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
    chosen = _parse_encoders(encoder or [])
    index = ProductIndex.build(
        cards, encoders=chosen, preset=preset, weights=options.parse_weights(weights)
    )
    options.warn(index.findings)
    folder = index.save(output or options.DEFAULT_ROOT / catalogue.stem)
    typer.echo(
        f"Built {folder}: {len(index)} cards in {len(index.parts.labels.names)} categories, "
        f"embedded by {', '.join(index.parts.block_names)}."
    )


def _parse_encoders(pairs: list[str]) -> dict[str, list[str]]:
    chosen: dict[str, list[str]] = {}
    for pair in pairs:
        modality, separator, spec = pair.partition("=")
        if not separator or not modality or not spec:
            raise typer.BadParameter(
                f"{pair!r} is not MODALITY=SPEC; write for example --encoder title=lexical:128"
            )
        chosen.setdefault(modality, []).append(spec)
    return chosen
