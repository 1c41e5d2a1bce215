"""Commands that make and divide catalogues: ``demo`` and ``split``."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from prodcat_index.cli import options
from prodcat_index.cli.output import emit, note, say, tell
from prodcat_index.cli.values import option, output_folder, output_option, share_option


def demo(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", callback=output_folder, help="Folder of the catalogue."),
    ] = Path("demo"),
    cards: Annotated[int, option("Number of labelled cards.", min=100)] = 1500,
    seed: options.SeedOption = 0,
) -> None:
    """Make a demo catalogue of generated products."""
    from prodcat_index.demo.shop import make_demo_catalogue

    say(str(make_demo_catalogue(folder, cards=cards, seed=seed)))


def split(
    catalogue: options.CatalogueArgument,
    output: Annotated[Path, output_option("CSV file of ids and parts.", ".csv")],
    valid: Annotated[
        float, share_option("Share of labelled cards in the valid part, to tune on.", least=0)
    ] = 0.0,
    test: options.TestOption = 0.25,
    by: options.ByOption = "group",
    seed: options.SeedOption = 0,
    form: options.FormatOption = "table",
    *,
    columns: options.Columns,
) -> None:
    """Split a catalogue into train and test parts.

    No product is in two of them. The file is read by --split of the other commands.
    """
    from prodcat_index.cards.duplicates import find_groups
    from prodcat_index.cards.splitting import split_catalogue

    options.check_parts(valid, test)
    cards = options.read_cards(catalogue, columns)
    groups = None if by == "random" else find_groups(cards)
    made = split_catalogue(cards, valid=valid, test=test, by=by, seed=seed, groups=groups)
    if groups is not None:
        note(groups.findings)
        note([groups.describe()])
    note(made.findings)
    made.save(output)
    tell(f"Wrote {output}: {made.made}.")
    emit([asdict(part) for part in made.summary(cards)], form)
