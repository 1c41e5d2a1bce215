"""``prodcat tune``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodcat_index.cli import options
from prodcat_index.cli.output import Format, emit

if TYPE_CHECKING:
    from prodcat_index.voting.tuning import Step, Tuning


def tune(
    index: Annotated[
        Path | None, typer.Argument(help="Index folder; by default as for the other commands.")
    ] = None,
    objective: options.ObjectiveOption = options.Objective.weighted_f1,
    sample: Annotated[int, typer.Option(min=20, help="At most this many cards ask.")] = 10_000,
    seed: options.SeedOption = 0,
    plot: Annotated[
        Path | None, typer.Option(help="Draw the objective over weights and vote into this PNG.")
    ] = None,
    restore: Annotated[bool, typer.Option("--restore", help="Undo the tuning instead.")] = False,
    form: options.FormatOption = Format.table,
) -> None:
    """Find the weights and the vote that predict an index's own cards best; nothing is rebuilt."""
    folder = index or options.default_index()
    opened = options.open_index(folder)
    if restore:
        opened.restored().save_settings(folder)
        typer.echo(f"Restored {folder}: weights and vote are those from before the tuning.")
        return
    tuning = opened.tune(objective=objective.value, sample=sample, seed=seed)
    opened.tuned(tuning).save_settings(folder)
    emit(_rows(tuning, opened.parts.block_names), form)
    if plot is not None:
        _draw(tuning, opened.parts.block_names, plot)


def _rows(tuning: Tuning, blocks: list[str]) -> list[dict[str, Any]]:
    steps = {"before": tuning.before, "equal weights": tuning.equal, "tuned": tuning.after}
    told = {"objective": tuning.objective, "cards": tuning.cards, "categories": tuning.categories}
    return [{"setting": name, **_row(step, blocks), **told} for name, step in steps.items()]


def _row(step: Step, blocks: list[str]) -> dict[str, Any]:
    weights = zip(blocks, step.setting.weights, strict=True)
    return {
        "value": round(step.value, 4),
        "weight": {name: round(weight, 4) for name, weight in weights},
        **vars(step.setting.vote),
    }


def _draw(tuning: Tuning, blocks: list[str], plot: Path) -> None:
    from prodcat_index.reports.page import write_file
    from prodcat_index.reports.tuning_figures import draw_tuning

    write_file(plot, draw_tuning(tuning, blocks).content)
    typer.echo(f"Wrote {plot}", err=True)
