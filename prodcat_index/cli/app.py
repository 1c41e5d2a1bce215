"""The ``prodcat`` application and its commands."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated

import typer

from prodcat_index import __version__
from prodcat_index.cli.audit import audit
from prodcat_index.cli.build_index import build_index
from prodcat_index.cli.calls import Debug, Quiet, Verbose, as_command
from prodcat_index.cli.changes import add, refit, relabel, remove, rollback, sync
from prodcat_index.cli.demo import demo, split
from prodcat_index.cli.evaluate import evaluate
from prodcat_index.cli.explore import explore, report
from prodcat_index.cli.finetune import finetune
from prodcat_index.cli.info import cache, encoders, info
from prodcat_index.cli.match import match
from prodcat_index.cli.predict import predict
from prodcat_index.cli.query import query, similar
from prodcat_index.cli.serve import serve
from prodcat_index.cli.tune import tune

app = typer.Typer(
    name="prodcat",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"prodcat-index {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version."),
    ] = False,
    quiet: Quiet = False,
    verbose: Verbose = False,
    debug: Debug = False,
) -> None:
    """Categorize products by their nearest neighbours in a catalogue of labelled cards."""


# The order of the command list: from a catalogue to an index, its answers and their quality.
COMMANDS: list[Callable[..., None]] = [build_index, sync, add, remove, relabel, refit, rollback]
COMMANDS += [query, similar, predict, tune, evaluate, explore, report, audit, match]
COMMANDS += [serve, split, finetune, info, demo, encoders]
for command in COMMANDS:
    app.command()(as_command(command))
app.add_typer(cache, name="cache")
