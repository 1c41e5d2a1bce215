"""Tables of an evaluation, for a page and for a terminal."""

from __future__ import annotations

from prodcat_index.evaluation.result import Evaluation, Row
from prodcat_index.reports.evaluation_figures import CONFIDENCES
from prodcat_index.reports.page import (
    NO_BREAK,
    Table,
    excerpt,
    write_figure,
    write_percent,
    write_score,
)
from prodcat_index.types import CATEGORY_SEPARATOR
from prodcat_index.voting.breakdown import category_paths
from prodcat_index.voting.metrics import COVERAGES

METRICS = {
    "macro F1": "macro_f1",
    "accuracy": "accuracy",
    "top 3": "top3",
    "top 5": "top5",
    "oracle": "oracle",
}
# Of a title of an example: enough to recognise the product.
TITLE_LETTERS = 24


def tabulate_evaluation(evaluation: Evaluation) -> dict[str, Table]:
    """Make the tables of an evaluation; ``tree`` is left out where the categories are none."""
    (*_, confidence) = evaluation.confidence
    spread = "Means over the splits, ± standard deviation"
    tables = {
        "rows": Table(
            spread if len(evaluation.splits) > 1 else "Scores on the one split",
            ("", "weighted F1", "95 % interval", "vs tuned", *METRICS, "cards/cat./unr."),
            [_make_row(row, evaluation) for row in evaluation.rows],
            write_score,
        ),
        "sizes": Table(
            "Scores of the tuned index",
            ("training cards", "cards", "categories", "weighted F1"),
            [
                (b.training_cards, write_figure(b.cards), write_figure(b.categories), b.weighted_f1)
                for b in evaluation.buckets
            ],
            write_score,
        ),
        "confidence": Table(
            "Less is better",
            ("", "calibration error", "Brier score", "log loss", "area under risk-coverage"),
            [
                (CONFIDENCES[score.kind][0], score.ece, score.brier, score.nll, score.area)
                for score in evaluation.confidence
            ],
            write_score,
        ),
        "bins": Table(
            f"Bins of the figure: {CONFIDENCES[confidence.kind][0]}",
            ("answers", "mean confidence", "accuracy"),
            [(each.answers, each.confidence, each.accuracy) for each in confidence.bins],
            write_score,
        ),
        "risk": Table(
            "The most confident answers",
            ("kept", "wrong among them"),
            list(zip(COVERAGES, confidence.risk, strict=True)),
            write_percent,
        ),
        "confusions": _tabulate_confusions(evaluation),
    }
    tree = [(row.name, row.hierarchy) for row in evaluation.rows if row.hierarchy]
    if tree:
        tables["tree"] = Table(
            f"Severity is from 1 to {tree[0][1].height}",
            ("", "precision", "recall", "F1", "severity", "mistakes"),
            [(name, s.precision, s.recall, s.f1, s.severity, s.mistakes) for name, s in tree],
            write_score,
        )
    return tables


def _make_row(row: Row, evaluation: Evaluation) -> tuple[str | float | None, ...]:
    spread = "" if row.deviation is None else f" ± {row.deviation:.3f}"
    score = write_score(row.weighted_f1) + spread
    interval = f"{row.interval.low:.3f} to {row.interval.high:.3f}"
    # Broken over two lines, the numbers of two rows would be taken for one another.
    whole = (text.replace(" ", NO_BREAK) for text in (score, interval))
    lead = f"{row.weighted_f1 - evaluation.tuned.weighted_f1:+.3f}"
    counts = "/".join(f"{row.mean(name):.0f}" for name in ("cards", "categories", "unreachable"))
    return (
        row.name,
        *whole,
        {"": "", "tie": "= tuned"}.get(row.verdict, lead),
        *(row.mean(metric) for metric in METRICS.values()),
        counts,
    )


def _tabulate_confusions(evaluation: Evaluation) -> Table:
    # The root that all categories share tells nothing apart, and takes the room.
    names = sorted(set(evaluation.catalogue.values("category")) - {""})
    paths = [CATEGORY_SEPARATOR.join(path) for path in category_paths(names)]
    short = {"": "(nothing)", **dict(zip(names, paths, strict=True))}
    rows = []
    for c in evaluation.confusions:
        examples = [
            f"{card['id']} {excerpt(card['title'], TITLE_LETTERS)}"
            for card in evaluation.examples(c)
        ]
        rows.append((short[c.true], short[c.predicted], c.count, c.share, "; ".join(examples)))
    heads = ("true", "predicted", "cards", "of the true category", "such as")
    return Table("Over all splits", heads, rows, write_percent)
