"""The command ``build-index``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from prodcat_index.cli import options
from prodcat_index.cli.calls import Given, refuse
from prodcat_index.cli.output import note, say
from prodcat_index.cli.values import output_option, parse_encoders, parse_weights, writable
from prodcat_index.errors import ProdcatError
from prodcat_index.findings import counted

if TYPE_CHECKING:
    from prodcat_index.index.product_index import ProductIndex

# Seconds to wait for another process that writes the index.
PATIENCE = 60.0


@options.with_columns
def build_index(
    catalogue: options.CatalogueArgument,
    output: Annotated[Path | None, output_option("Index folder; by default indexes/NAME.")] = None,
    encoder: options.EncoderOption = None,
    preset: options.PresetOption = "embedded",
    projection: options.ProjectionOption = "lda",
    device: options.DeviceOption = None,
    weights: options.WeightsOption = None,
    split: options.SplitOption = None,
    keep_tuning: Annotated[
        bool,
        typer.Option(
            "--keep-tuning/--no-keep-tuning",
            help="Keep the tuned weights and vote of the index that is replaced, if it has any.",
        ),
    ] = True,
    index_kind: options.KindOption = "auto",
    memory: options.MemoryOption = None,
    recall: options.RecallOption = 0.99,
    *,
    columns: options.Columns,
    given: Given,
) -> None:
    """Build an index from a catalogue.

    With --split, only the cards of the train part are indexed.
    """
    from prodcat_index.index.folder import check_index_folder, parse_manifest
    from prodcat_index.index.folder_card import memory_warning
    from prodcat_index.index.product_index import ProductIndex

    if index_kind != "auto":
        refuse(given, ["memory"], f"Leave out {{}}, or --index {index_kind}: each says the kind.")
    if index_kind == "flat":
        refuse(given, ["recall"], "Leave out {}: an index of the kind flat misses no card.")
    options.choose_device(device)
    folder = output or writable(options.DEFAULT_ROOT / catalogue.stem)
    # Before anything is embedded, which may take hours.
    check_index_folder(folder)
    index = ProductIndex.build(
        options.select_part(options.read_cards(catalogue, columns), split, "train"),
        encoders=parse_encoders(encoder),
        preset=preset,
        weights=parse_weights(weights),
        projection=projection,
        index=index_kind,
        memory=memory,
        recall=recall,
    )
    note(index.findings)
    if len(names := index.parts.labels.names) == 1:
        note([f"all labelled cards are of one category, {names[0]}, and so is every answer"])
    if keep_tuning:
        index = _with_tuning_of(folder, index, is_weighed=weights is not None)
    # What took hours to build would be lost to a service that writes a card just now.
    index.save(folder, wait=PATIENCE)
    if warning := memory_warning(parse_manifest(folder)):
        note([warning])
    say(f"Built {folder}: {_size(index)}, embedded by {', '.join(index.parts.block_names)}.")


def _with_tuning_of(folder: Path, index: ProductIndex, *, is_weighed: bool) -> ProductIndex:
    """Return a new index with the tuning of the one that it replaces, and say so."""
    from prodcat_index.index.folder import is_index
    from prodcat_index.index.product_index import ProductIndex

    if not is_index(folder):
        return index
    try:
        old = ProductIndex.load(folder, verify=False)
        if old.parts.tuning is None:
            return index
        if is_weighed:
            note(["the tuning of the index that is replaced is dropped, since weights are given"])
            return index
        tuned = index.tuned_like(old)
    except ProdcatError as error:
        note([f"the tuning of the index that is replaced is dropped: {error}"])
        return index
    note(["the tuned weights and vote of the index that is replaced are kept, calibrated anew"])
    return tuned


def _size(index: ProductIndex) -> str:
    categories = counted(len(index.parts.labels.names), "categories")
    return f"{counted(len(index), 'cards')} in {categories}"
