"""The command ``evaluate``, and its result as tables."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Annotated

from prodcat_index.cli import options
from prodcat_index.cli.calls import Given, refuse
from prodcat_index.cli.output import emit, note, print_table, say, tell
from prodcat_index.cli.values import file_option, output_option, parse_encoders

if TYPE_CHECKING:
    from prodcat_index.evaluation.result import Evaluation

HEADINGS = {
    "sizes": "By the number of training cards of the true category",
    "confidence": "Confidence of the tuned index",
    "tree": "In the tree of categories (severity: mean height where a mistake and the truth meet)",
    "confusions": "Confused most often",
}
LEGEND = """\
95 % interval: of the weighted F1; = tuned: the difference lies in the noise.
oracle: share with a neighbour of the true category, the most a vote can get.
"""


def evaluate(
    catalogue: options.CatalogueArgument,
    target: options.TargetOption = None,
    *,
    splitting: options.Splitting,
    encoder: options.EncoderOption = None,
    preset: options.PresetOption = "embedded",
    projection: options.ProjectionOption = "lda",
    device: options.DeviceOption = None,
    baselines: options.BaselinesOption = True,
    objective: options.ObjectiveOption = "weighted-f1",
    allow_trained_on: options.AllowTrainedOnOption = False,
    save_split: Annotated[
        Path | None, file_option("Write the split to this CSV file, for --split.", ".csv")
    ] = None,
    output: Annotated[
        Path | None, output_option("Write everything to this JSON file.", ".json")
    ] = None,
    form: options.FormatOption = "table",
    columns: options.Columns,
    given: Given,
) -> None:
    """Compare methods on held-out cards.

    They are each modality alone, the index as built, the tuned index, classifiers on the same
    embeddings, and TF-IDF with a linear classifier on the texts alone.
    """
    options.check_split(given, "by", "test", "repeat", "save_split")
    if splitting.repeat > 1:
        refuse(given, ["save_split"], "{} is about one split; leave out --repeat.")
    from prodcat_index.cards.target import with_target
    from prodcat_index.evaluation.evaluate import evaluate as evaluate_catalogue
    from prodcat_index.reports.page import write_file

    options.choose_device(device)
    cards = options.read_cards(catalogue, columns)
    if target is not None:
        cards = with_target(cards, target)
        note(cards.notes)
    evaluation = evaluate_catalogue(
        cards,
        **splitting.arguments(),
        encoders=parse_encoders(encoder),
        preset=preset,
        baselines=baselines,
        objective=objective,
        projection=projection,
        allow_trained_on=allow_trained_on,
    )
    note((*evaluation.findings, *evaluation.notes))
    if save_split:
        evaluation.splits[0].save(save_split)
        tell(f"Wrote {save_split}")
    if output:
        everything = json.dumps(evaluation.as_dict(), ensure_ascii=False, indent=2)
        write_file(output, everything)
        tell(f"Wrote {output}")
    if form == "table":
        print_evaluation(evaluation)
    elif form == "json":
        emit(evaluation.as_dict(), form)
    else:
        emit([row.as_row() for row in evaluation.rows], form)


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the table of methods, then tables of the tuned index's mistakes and confidence."""
    from prodcat_index.reports.evaluation import tabulate_evaluation

    tables = tabulate_evaluation(evaluation)
    made, counts = evaluation.settings["splits"], evaluation.counts
    drawn = f"{len(made)} splits, the first {made[0]}" if len(made) > 1 else f"split {made[0]}"
    trained = round(mean(split["train"] for split in counts))
    names = ("cards", "categories", "unreachable")
    cards, categories, unreachable = (f"{evaluation.tuned.mean(name):.0f}" for name in names)
    heading = (
        f"{evaluation.catalogue.source}: {drawn}; {trained} training cards; {cards} test cards of "
        f"{categories} categories, {unreachable} of categories without training cards"
    )
    # The last column of a page repeats the counts of the heading.
    shown = tables["rows"]
    rows = [row[:-1] for row in shown.rows]
    print_table(heading, replace(shown, heads=shown.heads[:-1], rows=rows))
    say(LEGEND)
    note(f"{row.name} {caveat}" for row in evaluation.rows for caveat in row.notes)
    for name, heading in HEADINGS.items():
        if name in tables and tables[name].rows:
            print_table(f"{heading}. {tables[name].caption}.", tables[name])
    if score := evaluation.acceptance:
        right = "" if score.precision is None else f"; {score.precision:.1%} of these are right"
        say(
            f"At a target precision of {score.target:g}, the tuned index accepts "
            f"{score.accepted:.1%} of the answers{right}."
        )
