"""``prodcat demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    folder: Annotated[Path, typer.Argument(help="Where to write the catalogue.")] = Path("demo"),
    cards: Annotated[int, typer.Option(min=60, help="Number of labelled cards.")] = 1500,
    seed: Annotated[int, typer.Option(help="Another seed makes other cards.")] = 0,
) -> None:
    """Make a catalogue of drawn products to try everything on."""
    from prodcat_index.demo.folder import make_demo_catalogue

    typer.echo(str(make_demo_catalogue(folder, cards=cards, seed=seed)))
