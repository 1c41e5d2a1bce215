"""``prodcat info``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from prodcat_index.cli import options
from prodcat_index.cli.output import Format


def info(
    index: Annotated[
        Path | None, typer.Argument(help="Index folder; by default as for the other commands.")
    ] = None,
    form: options.FormatOption = Format.table,
    verify: Annotated[bool, typer.Option(help="Compare every file with its sha256.")] = True,
) -> None:
    """Say what an index holds, and check that it is whole."""
    from prodcat_index.index.folder import read_manifest
    from prodcat_index.index.index_card import index_card, rebuild_reason
    from prodcat_index.index.manifest import manifest_to_json

    manifest = read_manifest(index or options.default_index(), verify=verify)
    if form is Format.table:
        typer.echo(index_card(manifest))
    else:
        told = {**json.loads(manifest_to_json(manifest)), "advice": rebuild_reason(manifest)}
        typer.echo(json.dumps(told, indent=2, ensure_ascii=False))
