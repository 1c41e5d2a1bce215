"""``prodcat split``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from prodcat_index.cli import options
from prodcat_index.cli.output import Format, emit


@options.with_columns
def split(
    catalogue: Annotated[Path, typer.Argument(help="CSV, TSV, JSONL or Parquet file of cards.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="CSV file of ids and parts.")],
    valid: Annotated[float, typer.Option(help="Share of labelled cards to tune on.")] = 0.0,
    test: Annotated[float, typer.Option(help="Share of labelled cards to score.")] = 0.25,
    by: Annotated[
        str,
        typer.Option(
            help="group: near-duplicates and variants in one part; random: cards apart, which "
            "leaks; or a column: the newest of times, or whole values such as shops."
        ),
    ] = "group",
    seed: Annotated[int, typer.Option(min=0, help="Of chance.")] = 0,
    form: options.FormatOption = Format.table,
    *,
    columns: options.Columns,
) -> None:
    """Split a catalogue into train, valid and test, no product in two of them."""
    from prodcat_index.cards.duplicates import find_groups
    from prodcat_index.cards.splitting import split_catalogue

    cards = options.read_listed(catalogue, **columns)
    groups = None if by == "random" else find_groups(cards)
    made = split_catalogue(cards, valid=valid, test=test, by=by, seed=seed, groups=groups)
    if groups is not None:
        options.warn(groups.findings)
        joined = ", ".join(f"{n} by {rule}" for rule, n in groups.joined.items() if n)
        typer.echo(f"note: cards joined with others: {joined or 'none'}", err=True)
    options.warn(made.findings)
    made.save(output)
    typer.echo(f"Wrote {output}: {made.made}.", err=True)
    emit([asdict(part) for part in made.summary(cards)], form)
