"""Figures of an evaluation: scores with intervals, confidence, category sizes, confusions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from prodcat_index.reports import style
from prodcat_index.reports.page import (
    Picture,
    write_counted,
    write_figure,
    write_percent,
    write_score,
)

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from prodcat_index.evaluation.result import ConfidenceScore, Row
    from prodcat_index.voting.breakdown import Bucket, Confusion
    from prodcat_index.voting.reliability import RiskCoverage


# Shapes beside colours, for those who print in grey.
KINDS = {
    "modality": ("one modality alone", style.BLUE, "o"),
    "vote": ("vote over all modalities", style.VERMILLION, "D"),
    "classifier": ("classifier on the same embeddings", style.GREEN, "s"),
}
OTHER_KIND = (style.ORANGE, "^")
CONFIDENCES = {
    "confidence": ("share of the vote", style.ORANGE, "s"),
    "calibrated": ("calibrated", style.BLUE, "o"),
}
# Inches around the rows, of a row, and of a row with two lines.
FRAME, ROW, PAIR = 1.2, 0.34, 0.52
# Of a normal distribution, 95 % lies within so many standard deviations.
DEVIATIONS = 1.96
# Among the very first answers one mistake is half of them, which would flatten all the rest.
STEADY = 0.05
# Room for the texts to the right of bars of at most 1.
BUCKETS_END = 1.45


def draw_f1(rows: Sequence[Row]) -> Picture:
    """Draw the weighted F1 of each method with its interval."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        for place, row in enumerate(rows):
            _, colour, marker = KINDS.get(row.kind, ("", *OTHER_KIND))
            axes.hlines(place, row.interval.low, row.interval.high, color=colour, linewidth=2)
            axes.plot(row.weighted_f1, place, marker, color=colour, markersize=7)
            style.write_after(axes, row.interval.high, place, write_score(row.weighted_f1))
        for kind in dict.fromkeys(row.kind for row in rows):
            meaning, colour, marker = KINDS.get(kind, (kind, *OTHER_KIND))
            axes.plot([], [], f"{marker}-", color=colour, linewidth=2, label=meaning)
        low = min(row.interval.low for row in rows)
        high = max(row.interval.high for row in rows)
        room = max(high - low, 0.01)
        axes.set(xlim=(low - 0.05 * room, high + 0.15 * room))
        axes.set_xlabel("weighted F1, with the 95 % interval")
        style.name_rows(axes, [style.axis_label(row.name) for row in rows])
        axes.legend(**style.LEGEND_ABOVE, ncols=3)

    shown = "; ".join(
        f"{row.name} {row.weighted_f1:.3f} ({row.interval.low:.3f} to {row.interval.high:.3f})"
        for row in rows
    )
    alt = f"Dots with whiskers: weighted F1 and its 95 % interval. {shown}."
    return Picture("weighted-f1.png", style.draw_png(draw, FRAME + ROW * len(rows)), alt)


def draw_reliability(scores: Sequence[ConfidenceScore]) -> Picture:
    """Draw accuracy against confidence, in bins of equally many answers."""
    last = scores[-1]
    counts = sorted({each.answers for each in last.bins})

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.plot([0, 1], [0, 1], color=style.NEUTRAL, linestyle="--", zorder=1)
        for score in scores:
            meaning, colour, marker = CONFIDENCES[score.kind]
            places = np.array([(each.confidence, each.accuracy) for each in score.bins]).T
            label = f"{meaning}: expected calibration error {score.ece:.3f}"
            axes.plot(*places, f"{marker}-", color=colour, linewidth=1, label=label)
        for each in last.bins:
            ends = wilson_interval(each.accuracy, each.answers)
            colour = CONFIDENCES[last.kind][1]
            axes.vlines(each.confidence, *ends, color=colour, alpha=0.4, linewidth=2)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        sizes = " or ".join(f"{count:,}" for count in counts)
        axes.set_xlabel(f"confidence, means of {len(last.bins)} bins of {sizes} answers")
        axes.set_ylabel("share of right answers")
        style.show_percents(axes.xaxis, axes.yaxis)
        axes.legend(**style.LEGEND_ABOVE)

    shown = "; ".join(f"{CONFIDENCES[score.kind][0]} {score.ece:.3f}" for score in scores)
    alt = f"Accuracy against confidence. Expected calibration errors: {shown}."
    return Picture("reliability.png", style.draw_png(draw, 5.8, 5.6), alt)


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % score interval (Wilson, 1927) of a share of so many."""
    middle = (share + DEVIATIONS**2 / (2 * count)) / (1 + DEVIATIONS**2 / count)
    spread = DEVIATIONS * np.sqrt(share * (1 - share) / count + (DEVIATIONS / (2 * count)) ** 2)
    reach = float(spread) / (1 + DEVIATIONS**2 / count)
    return middle - reach, middle + reach


def draw_risk(curve: RiskCoverage, precision: float) -> Picture:
    """Draw the share of wrong answers when only the most confident ones are kept."""
    coverage = coverage_at(curve, precision)

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        axes.plot(curve.coverage, curve.risk, color=style.BLUE, linewidth=2)
        axes.axhline(1 - precision, color=style.VERMILLION, linestyle="--", linewidth=1)
        axes.vlines(coverage, 0, 1 - precision, color=style.VERMILLION, linestyle="--", linewidth=1)
        kept = f"{write_percent(precision)} are right among the most confident "
        none_kept = f"no answers are right {write_percent(precision)} of the time"
        text = kept + write_percent(coverage) if coverage else none_kept
        axes.text(0, 1.03, text, transform=axes.transAxes)
        steady = curve.risk[curve.coverage >= STEADY].max()
        axes.set(xlim=(0, 1.01), ylim=(0, 1.1 * max(steady, 1 - precision)))
        axes.set(xlabel="answers kept, the most confident first", ylabel="wrong among them")
        style.show_percents(axes.xaxis, axes.yaxis)

    alt = (
        "Line: share of wrong answers against the share of answers kept. "
        f"{write_percent(coverage)} can be kept at a precision of {write_percent(precision)}."
    )
    return Picture("risk-coverage.png", style.draw_png(draw, 3.8), alt)


def coverage_at(curve: RiskCoverage, precision: float) -> float:
    """Return the largest share of answers that can be kept at a precision."""
    # Risks are quotients of counts: 1 in 20 is 5 % whatever rounding makes of 1 - 0.95.
    return float(curve.coverage[curve.risk <= 1 - precision + 1e-12].max(initial=0.0))


def draw_buckets(buckets: Sequence[Bucket]) -> Picture:
    """Draw the weighted F1 by the number of training cards of the true category."""

    def draw(figure: Figure) -> None:
        axes = figure.add_subplot()
        names = [f"{bucket.training_cards} in training" for bucket in buckets]
        values = [bucket.weighted_f1 for bucket in buckets]
        style.draw_bars(axes, names, values, [_describe(bucket) for bucket in buckets], style.BLUE)
        axes.set_xlim(0, BUCKETS_END)
        axes.set_xticks(np.linspace(0, 1, 6))
        axes.grid(visible=False)
        axes.spines["bottom"].set_bounds(0, 1)
        axes.set_xlabel("weighted F1", x=0.5 / BUCKETS_END)

    shown = "; ".join(f"{bucket.training_cards}: {bucket.weighted_f1:.3f}" for bucket in buckets)
    alt = f"Bars: weighted F1 by the training cards of the true category. {shown}."
    return Picture("category-sizes.png", style.draw_png(draw, 0.9 + ROW * len(buckets)), alt)


def _describe(bucket: Bucket) -> str:
    cards = write_counted(bucket.cards, "card")
    return (
        f"{bucket.weighted_f1:.3f}   {cards}, "
        f"{write_counted(bucket.categories, 'category', 'categories')}"
    )


def draw_confusions(confusions: Sequence[Confusion]) -> Picture:
    """Draw how often one category is taken for another."""
    counts = [confusion.count for confusion in confusions]

    def draw(figure: Figure) -> None:
        from matplotlib.ticker import MaxNLocator

        axes = figure.add_subplot()
        names = [
            f"{style.axis_label(c.true, style.shorten_path)}\n"
            f"→ {style.axis_label(c.predicted, style.shorten_path) or 'nothing'}"
            for c in confusions
        ]
        style.draw_bars(axes, names, counts, list(map(write_figure, counts)), style.VERMILLION)
        axes.set_xlim(0, 1.12 * max(counts))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.tick_params(axis="y", labelcolor=style.INK)
        axes.set_xlabel("test cards of the upper category that were taken for the lower one")

    shown = "; ".join(
        f"{c.true} taken for {c.predicted or 'nothing'} {c.count}" for c in confusions
    )
    alt = f"Bars: test cards of one category that were taken for another. {shown}."
    return Picture("confusions.png", style.draw_png(draw, FRAME + PAIR * len(confusions)), alt)
