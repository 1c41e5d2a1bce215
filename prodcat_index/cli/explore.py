"""``prodcat explore``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodcat_index.cli import options
from prodcat_index.cli.output import Format, emit

if TYPE_CHECKING:
    from prodcat_index.reports.explore import Exploration

OF_CARDS = ("labelled", "with_picture")
DOUBTS = {"spelling": "all but spelling", "leaf": "their last part", "alike": "nearly all letters"}
LANGUAGES = 3


@options.with_columns
def explore(
    catalogue: Annotated[Path, typer.Argument(help="CSV, TSV, JSONL or Parquet file of cards.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="Folder to write; by default explore-NAME."),
    ] = None,
    form: options.FormatOption = Format.table,
    *,
    columns: options.Columns,
) -> None:
    """Show what a catalogue holds, what it lacks, and what looks odd in it."""
    from prodcat_index.reports.explore import explore as analyse
    from prodcat_index.reports.explore_page import write_exploration

    cards = options.read_listed(catalogue, **columns)
    found = analyse(cards)
    page = write_exploration(found, output or Path(f"explore-{catalogue.stem}"))
    if form is Format.json:
        typer.echo(json.dumps(found.as_dict(), ensure_ascii=False, indent=2))
    elif form is Format.jsonl:
        typer.echo(json.dumps(found.as_dict(), ensure_ascii=False))
    else:
        emit(list(_summarize(found)), form)
    typer.echo(f"Wrote {page}", err=True)


def _summarize(found: Exploration) -> Iterator[dict[str, Any]]:
    cards = len(found.catalogue)
    for name, count in found.counts.items():
        yield _row(name.replace("_", " "), count, count / cards if name in OF_CARDS else None)
    for column in found.columns:
        if column.missing:
            yield _row(f"without {column.name}", column.missing, column.missing_share)
    yield _row("pictures that cannot be read", found.pictures.unreadable_count)
    yield _row("categories with one card", found.categories.with_one_card)
    yield _row("in duplicate groups", found.duplicates.cards, found.duplicates.cards / cards)
    yield _row(
        "duplicate groups of several categories", found.duplicates.groups_of_several_categories
    )
    for kind, groups in vars(found.label_issues).items():
        yield _row(f"labels alike in {DOUBTS[kind]}", len(groups))
    for name, text in found.languages.items():
        sampled = f" (of {text.read:,} read)" if text.read < text.texts else ""
        for code, count in list(text.counts.items())[:LANGUAGES]:
            yield _row(f"{name} in {code}{sampled}", count, count / text.read)


def _row(what: str, value: int, share: float | None = None) -> dict[str, Any]:
    return {"what": what, "count": value, "share": "" if share is None else f"{share:.1%}"}
