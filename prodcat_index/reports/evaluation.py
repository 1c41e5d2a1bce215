"""Figures and tables of an evaluation, for a page and for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from prodcat_index.audit.two_samples import wilson_interval
from prodcat_index.reports import page, style
from prodcat_index.reports.style import drawn_as
from prodcat_index.types import CATEGORY_SEPARATOR
from prodcat_index.voting.breakdown import category_paths
from prodcat_index.voting.metrics import COVERAGES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from prodcat_index.evaluation.result import AcceptanceScore, Evaluation, Row
    from prodcat_index.voting.breakdown import Bucket
    from prodcat_index.voting.metrics import ConfidenceScore, RiskCoverage


# Shapes beside colours, for those who print in grey.
KINDS = {
    "modality": ("one modality alone", style.BLUE, "o"),
    "vote": ("vote over all modalities", style.ORANGE, "D"),
    "classifier": ("classifier on embeddings", style.GREEN, "s"),
    "texts": ("classifier on texts", style.PURPLE, "^"),
}
CONFIDENCES = {
    "confidence": ("share of the vote", style.ORANGE, "s"),
    "calibrated": ("calibrated", style.BLUE, "o"),
}
# Scores of a row beside the weighted F1, and what they are called.
METRICS = ("macro_f1", "accuracy", "top3", "top5", "oracle")
METRIC_HEADS = ("macro F1", "accuracy", "top 3", "top 5", "oracle")
# Of a title of an example: enough to recognise the product.
TITLE_LETTERS = 24
# Inches around the rows, and of a row.
FRAME, ROW = 1.4, 0.34
# Among the very first answers one mistake is half of them, which would flatten all the rest.
STEADY = 0.05
# Room for the texts to the right of bars of at most 1.
BUCKETS_END = 2.7


@drawn_as("weighted-f1.png")
def draw_f1(figure: Figure, rows: Sequence[Row]) -> str:
    """Draw the weighted F1 of each method with its interval."""
    axes = style.add_rows(figure, [style.axis_label(row.name) for row in rows], ROW, FRAME)
    for place, row in enumerate(rows):
        _, colour, marker = KINDS[row.kind]
        axes.hlines(place, row.interval.low, row.interval.high, color=colour, linewidth=2)
        axes.plot(row.weighted_f1, place, marker, color=colour, markersize=7)
        end, score = (row.interval.high, place), page.write_score(row.weighted_f1)
        axes.annotate(score, end, (6, 0), va="center", **style.OFFSET)
    for kind in dict.fromkeys(row.kind for row in rows):
        meaning, colour, marker = KINDS[kind]
        axes.plot([], [], f"{marker}-", color=colour, linewidth=2, label=meaning)
    low = min(row.interval.low for row in rows)
    high = max(row.interval.high for row in rows)
    room = max(high - low, 0.01)
    axes.set(xlim=(low - 0.05 * room, high + 0.15 * room))
    axes.set_xlabel("weighted F1, with the 95 % interval")
    axes.legend(**style.LEGEND_ABOVE, ncols=2, fontsize=style.LETTERS - 1, columnspacing=1)
    shown = (f"{row.name} {row.weighted_f1:.3f} ({_write_interval(row)})" for row in rows)
    return f"Dots with whiskers: weighted F1 and its 95 % interval. {'; '.join(shown)}."


@drawn_as("reliability.png")
def draw_reliability(figure: Figure, scores: Sequence[ConfidenceScore]) -> str:
    """Draw accuracy against confidence, in bins of equally many answers."""
    axes = figure.add_subplot()
    figure.set_size_inches(5.6, 5.8)
    axes.plot([0, 1], [0, 1], color=style.NEUTRAL, linestyle="--", zorder=1)
    for score in scores:
        meaning, colour, marker = CONFIDENCES[score.kind]
        places = np.array([(each.confidence, each.accuracy) for each in score.bins]).T
        label = f"{meaning}: expected calibration error {score.ece:.3f}"
        axes.plot(*places, f"{marker}-", color=colour, linewidth=1, label=label)
    bins = scores[-1].bins
    for each in bins:
        low, high = wilson_interval(each.accuracy, each.answers)
        axes.vlines(each.confidence, low, high, color=colour, alpha=0.4, linewidth=2)
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
    sizes = " or ".join(f"{count:,}" for count in sorted({each.answers for each in bins}))
    axes.set_xlabel(f"confidence, means of {len(bins)} bins of {sizes} answers")
    axes.set_ylabel("share of right answers")
    style.show_percents(axes.xaxis, axes.yaxis)
    axes.legend(**style.LEGEND_ABOVE)
    shown = "; ".join(f"{CONFIDENCES[score.kind][0]} {score.ece:.3f}" for score in scores)
    return f"Accuracy against confidence. Expected calibration errors: {shown}."


@drawn_as("risk-coverage.png")
def draw_risk(
    figure: Figure, curve: RiskCoverage, precision: float, accepted: AcceptanceScore | None
) -> str:
    """Draw the share of wrong answers when only the most confident ones are kept."""
    axes = figure.add_subplot()
    axes.plot(curve.coverage, curve.risk, color=style.BLUE, linewidth=2)
    dashes: dict[str, Any] = {"color": style.VERMILLION, "linestyle": "--", "linewidth": 1}
    axes.axhline(1 - precision, **dashes)
    text = "nothing is accepted, for the index is not calibrated"
    if accepted:
        axes.axvline(accepted.accepted, **dashes)
        share, target = page.write_percent(accepted.accepted), page.write_percent(precision)
        text = f"accepted at a precision of {target}: {share}"
    axes.text(0, 1.03, text, transform=axes.transAxes)
    steady = curve.risk[curve.coverage >= STEADY].max()
    axes.set(xlim=(0, 1.01), ylim=(0, 1.1 * max(steady, 1 - precision)))
    axes.set(xlabel="answers kept, the most confident first", ylabel="wrong among them")
    style.show_percents(axes.xaxis, axes.yaxis)
    return f"Line: share of wrong answers against the share of answers kept; {text}."


@drawn_as("category-sizes.png")
def draw_buckets(figure: Figure, buckets: Sequence[Bucket]) -> str:
    """Draw the weighted F1 by the number of training cards of the true category."""
    names = [f"{bucket.training_cards} in training" for bucket in buckets]
    axes = style.add_rows(figure, names, ROW, 0.9)
    texts = [
        f"{bucket.weighted_f1:.3f}   {page.write_counted(bucket.cards, 'cards')}, "
        f"{page.write_counted(bucket.categories, 'categories')}"
        for bucket in buckets
    ]
    values = [bucket.weighted_f1 for bucket in buckets]
    bars = axes.barh(range(len(values)), values, color=style.BLUE, height=0.7)
    axes.bar_label(bars, texts, padding=6)
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)
    axes.set_xlim(0, BUCKETS_END)
    axes.set_xticks(np.linspace(0, 1, 6))
    axes.grid(visible=False)
    axes.spines["bottom"].set_bounds(0, 1)
    axes.set_xlabel("weighted F1", x=0.5 / BUCKETS_END)
    shown = "; ".join(f"{bucket.training_cards}: {bucket.weighted_f1:.3f}" for bucket in buckets)
    return f"Bars: weighted F1 by the training cards of the true category. {shown}."


def tabulate_evaluation(evaluation: Evaluation) -> dict[str, page.Table]:
    """Make the tables of an evaluation; ``tree`` is left out where the categories are none."""
    scores, last = evaluation.confidence, evaluation.confidence[-1]
    several = len(evaluation.splits) > 1
    tables = {
        "rows": page.Table(
            "Means over the splits, ± standard deviation" if several else "Scores on the one split",
            ("", "weighted F1", "95 % interval", "vs tuned", *METRIC_HEADS, "cards/cat./unr."),
            [_make_row(row, evaluation) for row in evaluation.rows],
            page.write_score,
        ),
        "sizes": page.Table(
            "Scores of the tuned index",
            ("training cards", "cards", "categories", "weighted F1"),
            [
                (b.training_cards, *map(page.write_figure, (b.cards, b.categories)), b.weighted_f1)
                for b in evaluation.buckets
            ],
            page.write_score,
        ),
        "confidence": page.Table(
            "Less is better",
            ("", "calibration error", "Brier score", "log loss", "area under risk-coverage"),
            [(CONFIDENCES[s.kind][0], s.ece, s.brier, s.nll, s.area) for s in scores],
            page.write_score,
        ),
        "bins": page.Table(
            f"Bins of the figure: {CONFIDENCES[last.kind][0]}",
            ("answers", "mean confidence", "accuracy"),
            [(each.answers, each.confidence, each.accuracy) for each in last.bins],
            page.write_score,
        ),
        "risk": page.Table(
            "The most confident answers",
            ("kept", "wrong among them"),
            list(zip(COVERAGES, last.risk, strict=True)),
            page.write_percent,
        ),
        "confusions": _tabulate_confusions(evaluation),
    }
    tree = [(row.name, row.hierarchy) for row in evaluation.rows if row.hierarchy]
    if tree:
        tables["tree"] = page.Table(
            f"Severity is from 1 to {tree[0][1].height}",
            ("", "precision", "recall", "F1", "severity", "mistakes"),
            [(name, s.precision, s.recall, s.f1, s.severity, s.mistakes) for name, s in tree],
            page.write_score,
        )
    return tables


def _make_row(row: Row, evaluation: Evaluation) -> tuple[str | float | None, ...]:
    spread = "" if row.deviation is None else f" ± {row.deviation:.3f}"
    # Broken over two lines, the numbers of two rows would be taken for one another.
    whole = f"{row.weighted_f1:.3f}{spread}".replace(" ", page.NO_BREAK)
    lead = f"{row.weighted_f1 - evaluation.tuned.weighted_f1:+.3f}"
    return (
        row.name,
        whole,
        _write_interval(row).replace(" ", page.NO_BREAK),
        {"": "", "tie": "= tuned"}.get(row.verdict, lead),
        *(row.mean(metric) for metric in METRICS),
        "/".join(f"{row.mean(name):.0f}" for name in ("cards", "categories", "unreachable")),
    )


def _write_interval(row: Row) -> str:
    return f"{row.interval.low:.3f} to {row.interval.high:.3f}"


def _tabulate_confusions(evaluation: Evaluation) -> page.Table:
    # The root that all categories share tells nothing apart, and takes the room.
    names = sorted(set(evaluation.catalogue.values("category")) - {""})
    paths = [CATEGORY_SEPARATOR.join(path) for path in category_paths(names)]
    short = {"": "(nothing)", **dict(zip(names, paths, strict=True))}
    rows = []
    for number, c in enumerate(evaluation.confusions, start=1):
        shown = (
            f"{e['id']} {page.excerpt(e['title'], TITLE_LETTERS)}" for e in evaluation.examples(c)
        )
        true = page.Link(short[c.true], f"confusion-{number}")
        rows.append((true, short[c.predicted], c.count, c.share, "; ".join(shown)))
    heads = ("true", "predicted", "cards", "of the true category", "such as")
    return page.Table("Over all splits", heads, rows, page.write_percent, bars=2)
