"""The command ``tune``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from prodcat_index.cli import options
from prodcat_index.cli.calls import Given, refuse
from prodcat_index.cli.output import emit, say, tell
from prodcat_index.cli.values import file_option, option
from prodcat_index.findings import counted

if TYPE_CHECKING:
    from prodcat_index.voting.tuning import Tuning


def tune(
    index: options.IndexArgument = None,
    index_option: options.IndexOption = None,
    objective: options.ObjectiveOption = "weighted-f1",
    sample: Annotated[
        int, option("Number of cards, at most, whose categories are predicted.", min=20)
    ] = 10_000,
    seed: options.SeedOption = 0,
    plot: Annotated[
        Path | None,
        file_option("Draw the objective over weights and vote into this PNG file.", ".png"),
    ] = None,
    restore: Annotated[bool, option("Undo the last tuning instead.")] = False,
    form: options.FormatOption = "table",
    *,
    given: Given,
) -> None:
    """Tune the weights and the vote of an index.

    They are those that predict the categories of its own cards best, if they do so as well on
    cards that tuning did not see. Nothing is rebuilt.
    """
    if restore:
        ignored = ("objective", "sample", "seed", "plot", "form")
        refuse(given, ignored, "Leave out {}: --restore tunes nothing.")
    folder = options.choose_index(index, index_option)
    opened = options.open_index(folder)
    if restore:
        opened.restored().save_settings(folder)
        say(f"Restored {folder}: weights and vote are those from before the tuning.")
        return
    tuning = opened.tune(objective=objective, sample=sample, seed=seed)
    opened.tuned(tuning).save_settings(folder)
    if not tuning.is_better:
        tell(f"{_no_better(tuning)}; kept as it was.")
    rows = _rows(tuning, opened.parts.block_names)
    if form == "table":
        cards, categories = counted(tuning.cards, "cards"), counted(tuning.categories, "categories")
        say(f"Predicted {cards} of {categories}.")
        rows = _side_by_side(rows, tuning.objective)
    emit(rows, form)
    if plot is not None:
        from prodcat_index.reports.page import write_file
        from prodcat_index.reports.tuning_figures import draw_tuning

        write_file(plot, draw_tuning(tuning, opened.parts.block_names).content)
        tell(f"Wrote {plot}")


def _side_by_side(rows: list[dict[str, Any]], objective: str) -> list[dict[str, Any]]:
    """Return a record of each number of the settings; in a table, one below another is read."""
    shown = ("setting", "weight", "objective", "cards", "categories")
    numbers = [
        {objective: row["value"]}
        | {f"weight of {block}": weight for block, weight in row["weight"].items()}
        | {name.replace("_", " "): row[name] for name in row if name not in (*shown, "value")}
        for row in rows
    ]
    return [
        {"": name, **{row["setting"]: own[name] for row, own in zip(rows, numbers, strict=True)}}
        for name in numbers[0]
    ]


def _no_better(tuning: Tuning) -> str:
    found = "No setting that was tried is better than that of the index"
    if tuning.check is None or tuning.check[0] == tuning.check[1]:
        return found
    before, best = tuning.check
    return f"{found}: on cards that tuning did not see, the best has {best:.4f}, not {before:.4f}"


def _rows(tuning: Tuning, blocks: list[str]) -> list[dict[str, Any]]:
    steps = {"before": tuning.before, "equal weights": tuning.equal, "tuned": tuning.after}
    return [
        {
            "setting": name,
            "value": round(step.value, 4),
            "weight": {
                block: round(weight, 4)
                for block, weight in zip(blocks, step.setting.weights, strict=True)
            },
            **vars(step.setting.vote),
            "objective": tuning.objective,
            "cards": tuning.cards,
            "categories": tuning.categories,
        }
        for name, step in steps.items()
    ]
