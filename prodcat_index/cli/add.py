"""``prodcat add``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodcat_index.cli import options

if TYPE_CHECKING:
    from prodcat_index.index.product_index import ProductIndex


@options.with_columns
def add(
    catalogue: Annotated[Path, typer.Argument(help="CSV, TSV, JSONL or Parquet file of cards.")],
    index: options.IndexOption = None,
    device: options.DeviceOption = None,
    *,
    columns: options.Columns,
) -> None:
    """Add cards to an index; nothing is fitted again, and they take part at once."""
    from prodcat_index.cards.catalogue import ALONE

    options.choose_device(device)
    folder = index or options.default_index()
    opened = options.open_index(folder)
    # Others of their category may be in the index.
    cards = options.read_listed(catalogue, unsaid={ALONE}, **_with_texts_of(opened, columns))
    grown = opened.add(cards)
    options.warn(grown.findings)
    count = len(grown) - len(opened)
    if count:
        grown.save_next(folder)
    typer.echo(
        f"Added {count} cards to {folder}: {len(grown)} cards in "
        f"{len(grown.parts.labels.names)} categories."
    )
    _advise(folder)


def _with_texts_of(index: ProductIndex, columns: options.Columns) -> dict[str, Any]:
    texts = columns["text_column"] or options.further_texts(index)
    return {**columns, "text_column": texts}


def _advise(folder: Path) -> None:
    from prodcat_index.index.folder import read_manifest
    from prodcat_index.index.index_card import rebuild_reason

    told = rebuild_reason(read_manifest(folder, verify=False))
    options.warn([told] if told else [])
