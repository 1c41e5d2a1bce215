"""``prodcat report``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prodcat_index.cli import options


def report(
    index: Annotated[
        Path | None, typer.Argument(help="Index folder; by default as for the other commands.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", help="HTML file to write; by default report-NAME.html."),
    ] = None,
    split: options.SplitOption = None,
    by: options.ByOption = "group",
    test: options.TestOption = 0.25,
    repeat: options.RepeatOption = 1,
    seed: options.SeedOption = 0,
    baselines: options.BaselinesOption = True,
    precision: Annotated[
        float, typer.Option(help="Share of right answers that is marked in the confidence.")
    ] = 0.95,
    allow_trained_on: options.AllowTrainedOnOption = False,
    image_root: options.ImageRootOption = None,
    device: options.DeviceOption = None,
) -> None:
    """Write a page on what an index is worth on cards that are held out, with its mistakes."""
    if repeat > 1 and split:
        raise typer.BadParameter("--split is one split; leave out --repeat")
    from prodcat_index.cards.split import read_split
    from prodcat_index.reports.report import report as make_report
    from prodcat_index.reports.report_page import write_report

    folder = index or options.default_index()
    page = output or Path(f"report-{folder.resolve().name}.html")
    if page.is_dir():
        raise typer.BadParameter(f"{page} is a folder; name a file")
    options.choose_device(device)
    found = make_report(
        options.open_index(folder, image_root),
        split=read_split(split) if split else None,
        by=by,
        test=test,
        repeat=repeat,
        seed=seed,
        baselines=baselines,
        precision=precision,
        allow_trained_on=allow_trained_on,
    )
    options.warn(found.evaluation.findings)
    typer.echo(write_report(found, page))
