"""An evaluation as tables for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import typer

from prodcat_index.cli.output import Format, emit

if TYPE_CHECKING:
    from prodcat_index.evaluation.result import AcceptanceScore, ConfidenceScore, Evaluation, Row
    from prodcat_index.voting.breakdown import Confusion

TITLE_LENGTH = 24
PATH_LENGTH = 48
COUNTS = ("cards", "categories", "unreachable")
KINDS = {"confidence": "share of the vote", "calibrated": "calibrated"}
LEGEND = """\
95 %: interval of the weighted F1; = tuned: the difference lies inside the noise.
oracle: share of cards with a neighbour of the true category, which no vote can exceed.
cards/cat./unr.: test cards, their categories, cards of categories that training does not have.
"""


def print_evaluation(evaluation: Evaluation) -> None:
    """Print the table of rows, then where the tuned row fails."""
    _print(_how(evaluation), [_line(row, evaluation) for row in evaluation.rows])
    typer.echo(LEGEND)
    for row in evaluation.rows:
        for note in row.notes:
            typer.echo(f"note: {row.name} {note}", err=True)
    _print("By the number of training cards of the true category (tuned):", _buckets(evaluation))
    _print(
        "How far the confidence of an answer can be trusted (tuned; less is better):",
        [{"": KINDS[score.kind], **_without_kind(score)} for score in evaluation.confidence],
    )
    _print_acceptance(evaluation.acceptance)
    _print_hierarchy(evaluation.rows)
    short = _short_names(evaluation)
    _print(
        "Confused most often (tuned):",
        [_confusion(c, evaluation, short) for c in evaluation.confusions],
    )


def _print(heading: str, records: Sequence[Mapping[str, Any]]) -> None:
    if records:
        typer.echo(heading)
        emit(records, Format.table)


def _how(evaluation: Evaluation) -> str:
    made, counts = evaluation.settings["splits"], evaluation.counts
    drawn = f"{len(made)} splits, the first {made[0]}" if len(made) > 1 else f"split {made[0]}"
    trained = round(sum(split["train"] for split in counts) / len(counts))
    return f"{evaluation.catalogue.source}: {drawn}; {trained} training cards"


def _line(row: Row, evaluation: Evaluation) -> dict[str, Any]:
    spread = "" if row.deviation is None else f" ± {row.deviation:.3f}"
    return {
        "": row.name,
        "weighted F1": f"{row.weighted_f1:.3f}{spread}",
        "95 %": f"{row.interval.low:.3f}–{row.interval.high:.3f}",
        "vs tuned": _against_tuned(row, evaluation),
        "macro F1": row.mean("macro_f1"),
        "accuracy": row.mean("accuracy"),
        "top 3": row.mean("top3"),
        "oracle": _or_empty(row.mean("oracle")),
        "cards/cat./unr.": "/".join(str(row.as_row()[count]) for count in COUNTS),
    }


def _against_tuned(row: Row, evaluation: Evaluation) -> str:
    if row.verdict in ("", "tie"):
        return "= tuned" if row.verdict else ""
    return f"{row.weighted_f1 - evaluation.tuned.weighted_f1:+.3f}"


def _or_empty(value: float | None) -> float | str:
    return "" if value is None else value


def _buckets(evaluation: Evaluation) -> list[dict[str, Any]]:
    return [
        {
            "training cards": bucket.training_cards,
            "cards": f"{bucket.cards:g}",
            "categories": f"{bucket.categories:g}",
            "weighted F1": bucket.weighted_f1,
        }
        for bucket in evaluation.buckets
    ]


def _without_kind(score: ConfidenceScore) -> dict[str, Any]:
    return {name: getattr(score, name) for name in ("ece", "brier", "nll", "area")}


def _print_acceptance(score: AcceptanceScore | None) -> None:
    if score is None:
        return
    right = "" if score.precision is None else f"; of these, {score.precision:.1%} are right"
    typer.echo(
        f"Asked for a precision of {score.target:g}, the tuned row accepts {score.accepted:.1%} of "
        f"the answers{right}.\n"
    )


def _print_hierarchy(rows: Sequence[Row]) -> None:
    found = [(row.name, row.hierarchy) for row in rows if row.hierarchy]
    if not found:
        return
    _print(
        "In the tree of categories (severity: mean height at which a mistake and the truth meet, "
        f"from 1 to {found[0][1].height}):",
        [
            {
                "": name,
                "precision": score.precision,
                "recall": score.recall,
                "F1": score.f1,
                "severity": _or_empty(score.severity),
                "mistakes": score.mistakes,
            }
            for name, score in found
        ],
    )


def _short_names(evaluation: Evaluation) -> dict[str, str]:
    """Return the categories without the root that all of them share."""
    from prodcat_index.types import CATEGORY_SEPARATOR
    from prodcat_index.voting.breakdown import category_paths

    names = sorted(set(evaluation.catalogue.values("category")) - {""})
    return {
        name: CATEGORY_SEPARATOR.join(path)
        for name, path in zip(names, category_paths(names), strict=True)
    }


def _confusion(
    confusion: Confusion, evaluation: Evaluation, short: Mapping[str, str]
) -> dict[str, Any]:
    cards = evaluation.examples(confusion)
    return {
        "true": _clipped(short[confusion.true]),
        "predicted": _clipped(short.get(confusion.predicted, "(nothing)")),
        "cards": confusion.count,
        "share": f"{confusion.share:.0%}",
        "such as": "; ".join(f"{card['id']} {card['title'][:TITLE_LENGTH]}" for card in cards),
    }


def _clipped(path: str) -> str:
    """Keep the end of a long path, which says most."""
    return path if len(path) <= PATH_LENGTH else f"…{path[1 - PATH_LENGTH :]}"
