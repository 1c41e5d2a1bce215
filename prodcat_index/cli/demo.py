"""``prodcat demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    folder: Annotated[Path, typer.Argument(help="Folder to write the catalogue to.")] = Path(
        "demo"
    ),
    cards: Annotated[int, typer.Option(min=100, help="Number of labelled cards.")] = 1500,
    seed: Annotated[int, typer.Option(help="Seed of the generated cards.")] = 0,
) -> None:
    """Make a catalogue of generated products to try every command on."""
    from prodcat_index.demo import make_demo_catalogue

    typer.echo(str(make_demo_catalogue(folder, cards=cards, seed=seed)))
