"""Commands that change the cards of an index, their labels, and what is fitted to them."""

from __future__ import annotations

from typing import Annotated

import typer

from prodcat_index.cli import options
from prodcat_index.cli.info import describe_change
from prodcat_index.cli.output import say
from prodcat_index.findings import counted

WaitOption = Annotated[
    float,
    typer.Option(
        metavar="SECONDS", min=0, help="Wait so long for another command that writes the index."
    ),
]


def rollback(
    index: options.IndexArgument = None,
    index_option: options.IndexOption = None,
    wait: WaitOption = 0.0,
) -> None:
    """Undo the last change of an index.

    Undone once more, the change is back.
    """
    from prodcat_index.index.folder import parse_manifest
    from prodcat_index.index.product_index import ProductIndex

    folder = options.choose_index(index, index_option)
    undone = parse_manifest(folder).change
    ProductIndex.rollback(folder, wait=wait)
    now = parse_manifest(folder)
    what = f" ({describe_change(undone)})" if undone else ""
    size = f"{counted(now.cards, 'cards')} in {counted(now.categories, 'categories')}"
    say(f"Undid the last change of {folder}{what}: {size}.")
