"""The ``prodcat`` application and its commands."""

from __future__ import annotations

from typing import Annotated

import typer

from prodcat_index import __version__
from prodcat_index.cli import (
    add,
    build_index,
    cache,
    demo,
    encoders,
    evaluate,
    explore,
    finetune,
    info,
    predict,
    query,
    report,
    similar,
    split,
    tune,
)

app = typer.Typer(
    name="prodcat",
    help="Categorize products by their nearest neighbours in a catalogue of labelled cards.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    add_completion=False,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"prodcat-index {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
    debug: Annotated[
        bool, typer.Option("--debug", help="Show the traceback of an error; may stand anywhere.")
    ] = False,
) -> None:
    """Categorize products by their nearest neighbours in a catalogue of labelled cards."""


app.command("build-index")(build_index.build_index)
app.command("add")(add.add)
app.command("query")(query.query)
app.command("similar")(similar.similar)
app.command("predict")(predict.predict)
app.command("tune")(tune.tune)
app.command("evaluate")(evaluate.evaluate)
app.command("explore")(explore.explore)
app.command("report")(report.report)
app.command("split")(split.split)
app.command("finetune")(finetune.finetune)
app.command("info")(info.info)
app.command("demo")(demo.demo)
app.command("encoders")(encoders.encoders)
app.add_typer(cache.app, name="cache")
