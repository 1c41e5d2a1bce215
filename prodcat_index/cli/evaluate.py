"""The command ``evaluate``, and its result as tables."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from prodcat_index.cli import options
from prodcat_index.cli.output import emit, note

if TYPE_CHECKING:
    from prodcat_index.evaluation.result import Evaluation, Row

TITLE_LENGTH = 24
PATH_LENGTH = 48
CONFIDENCES = {"confidence": "share of the vote", "calibrated": "calibrated"}
LEGEND = """\
95 %: interval of the weighted F1; = tuned: the difference lies inside the noise.
oracle: share of cards with a neighbour of the true category, which no vote can exceed.
cards/cat./unr.: test cards, their categories, cards of categories that training does not have.
"""


@options.with_columns
def evaluate(
    catalogue: options.CatalogueArgument,
    split: options.SplitOption = None,
    by: options.ByOption = "group",
    test: options.TestOption = 0.25,
    repeat: options.RepeatOption = 1,
    seed: options.SeedOption = 0,
    encoder: options.EncoderOption = None,
    preset: options.PresetOption = "embedded",
    projection: options.ProjectionOption = "lda",
    device: options.DeviceOption = None,
    baselines: options.BaselinesOption = True,
    objective: options.ObjectiveOption = "weighted-f1",
    allow_trained_on: options.AllowTrainedOnOption = False,
    save_split: Annotated[
        Path | None, typer.Option(help="Write the split to this file, for --split.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write everything to this JSON file.")
    ] = None,
    form: options.FormatOption = "table",
    *,
    columns: options.Columns,
) -> None:
    """Compare methods on held-out cards.

    They are each modality alone, the index as built, the tuned index, and classifiers.
    """
    if repeat > 1 and (split or save_split):
        raise typer.BadParameter("--split and --save-split are about one split; leave out --repeat")
    from prodcat_index.cards.split import read_split
    from prodcat_index.evaluation.evaluate import evaluate as evaluate_catalogue

    options.choose_device(device)
    evaluation = evaluate_catalogue(
        options.read_cards(catalogue, columns),
        split=read_split(split) if split else None,
        by=by,
        test=test,
        repeat=repeat,
        seed=seed,
        encoders=options.parse_encoders(encoder),
        preset=preset,
        baselines=baselines,
        objective=objective,
        projection=projection,
        allow_trained_on=allow_trained_on,
    )
    note(evaluation.findings)
    if save_split:
        evaluation.splits[0].save(save_split)
        typer.echo(f"Wrote {save_split}", err=True)
    if output:
        everything = json.dumps(evaluation.as_dict(), ensure_ascii=False, indent=2)
        output.write_text(everything, encoding="utf-8")
        typer.echo(f"Wrote {output}", err=True)
    if form == "table":
        print_evaluation(evaluation)
    elif form == "json":
        emit(evaluation.as_dict(), form)
    else:
        emit([row.as_row() for row in evaluation.rows], form)


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the table of methods, then tables of the tuned index's mistakes and confidence."""
    _print_table(_heading(evaluation), [_score_row(row, evaluation) for row in evaluation.rows])
    typer.echo(LEGEND)
    note(f"{row.name} {caveat}" for row in evaluation.rows for caveat in row.notes)
    _print_table(
        "By the number of training cards of the true category (tuned):", _sizes(evaluation)
    )
    _print_table(
        "How far the confidence of an answer can be trusted (tuned; less is better):",
        _confidences(evaluation),
    )
    if score := evaluation.acceptance:
        right = "" if score.precision is None else f"; {score.precision:.1%} of these are right"
        typer.echo(
            f"At a target precision of {score.target:g}, the tuned index accepts "
            f"{score.accepted:.1%} of the answers{right}.\n"
        )
    heights = {row.hierarchy.height for row in evaluation.rows if row.hierarchy}
    _print_table(
        "In the tree of categories (severity: mean height at which a mistake and the truth meet, "
        f"from 1 to {max(heights, default=1)}):",
        _hierarchies(evaluation),
    )
    _print_table("Confused most often (tuned):", _confusions(evaluation))


def _print_table(heading: str, records: Sequence[Mapping[str, Any]]) -> None:
    if records:
        typer.echo(heading)
        emit(records, "table")


def _heading(evaluation: Evaluation) -> str:
    made, counts = evaluation.settings["splits"], evaluation.counts
    drawn = f"{len(made)} splits, the first {made[0]}" if len(made) > 1 else f"split {made[0]}"
    trained = round(sum(split["train"] for split in counts) / len(counts))
    return f"{evaluation.catalogue.source}: {drawn}; {trained} training cards"


def _score_row(row: Row, evaluation: Evaluation) -> dict[str, Any]:
    flat = row.as_row()
    spread = "" if row.deviation is None else f" ± {row.deviation:.3f}"
    ahead = f"{row.weighted_f1 - evaluation.tuned.weighted_f1:+.3f}"
    return {
        "": row.name,
        "weighted F1": f"{row.weighted_f1:.3f}{spread}",
        "95 %": f"{row.interval.low:.3f}–{row.interval.high:.3f}",
        "vs tuned": {"": "", "tie": "= tuned"}.get(row.verdict, ahead),
        "macro F1": row.mean("macro_f1"),
        "accuracy": row.mean("accuracy"),
        "top 3": row.mean("top3"),
        "oracle": _or_empty(row.mean("oracle")),
        "cards/cat./unr.": f"{flat['cards']}/{flat['categories']}/{flat['unreachable']}",
    }


def _or_empty(value: float | None) -> float | str:
    return "" if value is None else value


def _sizes(evaluation: Evaluation) -> list[dict[str, Any]]:
    return [
        {
            "training cards": bucket.training_cards,
            "cards": f"{bucket.cards:g}",
            "categories": f"{bucket.categories:g}",
            "weighted F1": bucket.weighted_f1,
        }
        for bucket in evaluation.buckets
    ]


def _confidences(evaluation: Evaluation) -> list[dict[str, Any]]:
    return [
        {"": CONFIDENCES[s.kind], "ece": s.ece, "brier": s.brier, "nll": s.nll, "area": s.area}
        for s in evaluation.confidence
    ]


def _hierarchies(evaluation: Evaluation) -> list[dict[str, Any]]:
    return [
        {
            "": row.name,
            "precision": row.hierarchy.precision,
            "recall": row.hierarchy.recall,
            "F1": row.hierarchy.f1,
            "severity": _or_empty(row.hierarchy.severity),
            "mistakes": row.hierarchy.mistakes,
        }
        for row in evaluation.rows
        if row.hierarchy
    ]


def _confusions(evaluation: Evaluation) -> list[dict[str, Any]]:
    from prodcat_index.types import CATEGORY_SEPARATOR
    from prodcat_index.voting.breakdown import category_paths

    # The root that all categories share tells nothing apart.
    names = sorted(set(evaluation.catalogue.values("category")) - {""})
    paths = [CATEGORY_SEPARATOR.join(path) for path in category_paths(names)]
    short = {"": "(nothing)", **dict(zip(names, paths, strict=True))}
    return [
        {
            "true": _clipped(short[confusion.true]),
            "predicted": _clipped(short[confusion.predicted]),
            "cards": confusion.count,
            "share": f"{confusion.share:.0%}",
            "such as": "; ".join(
                f"{card['id']} {card['title'][:TITLE_LENGTH]}"
                for card in evaluation.examples(confusion)
            ),
        }
        for confusion in evaluation.confusions
    ]


def _clipped(path: str) -> str:
    """Keep the end of a long path, which says most."""
    return path if len(path) <= PATH_LENGTH else f"…{path[1 - PATH_LENGTH :]}"
