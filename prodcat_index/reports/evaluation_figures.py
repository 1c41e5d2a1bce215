"""Figures of an evaluation: scores with intervals, confidence, category sizes, confusions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from prodcat_index.reports.column import INK
from prodcat_index.reports.page import write_figure, write_percent
from prodcat_index.reports.style import (
    BLUE,
    GREEN,
    NEUTRAL,
    ORANGE,
    VERMILLION,
    bars,
    draw_png,
    label,
    name,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from prodcat_index.evaluation.result import ConfidenceScore, Row
    from prodcat_index.voting.breakdown import Bucket, Confusion
    from prodcat_index.voting.reliability import ReliabilityBin, RiskCoverage


# Shapes beside colours, for those who print in grey.
KINDS = {
    "modality": ("one modality alone", BLUE, "o"),
    "vote": ("vote over all modalities", VERMILLION, "D"),
    "classifier": ("classifier on the same embeddings", GREEN, "s"),
}
OTHER_KIND = (ORANGE, "^")
CONFIDENCES = {
    "confidence": ("share of the vote", ORANGE, "s"),
    "calibrated": ("calibrated", BLUE, "o"),
}
FRAME, ROW, PAIR = 1.2, 0.34, 0.52
DEVIATIONS = 1.96
# Among the very first answers one mistake is half of them, which would flatten all the rest.
STEADY = 0.05


def draw_f1(rows: Sequence[Row]) -> bytes:
    """Draw the weighted F1 of each way to categorize with its interval."""

    def draw(axes: Axes) -> None:
        for place, row in enumerate(rows):
            _draw_whisker(axes, place, row)
        low = min(row.interval.low for row in rows)
        high = max(row.interval.high for row in rows)
        room = max(high - low, 0.01)
        axes.set_xlim(low - 0.05 * room, high + 0.15 * room)
        axes.set_yticks(range(len(rows)), [name(row.name) for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("weighted F1, with the 95 % interval")
        _name_kinds(axes, [row.kind for row in rows])

    return draw_png(draw, FRAME + ROW * len(rows))


def _draw_whisker(axes: Axes, place: int, row: Row) -> None:
    _, colour, marker = _kind(row.kind)
    axes.hlines(place, row.interval.low, row.interval.high, color=colour, linewidth=2)
    axes.plot(row.weighted_f1, place, marker, color=colour, markersize=7)
    end = (row.interval.high, place)
    text = f"{row.weighted_f1:.3f}"
    axes.annotate(text, end, (8, 0), textcoords="offset points", va="center")


def _name_kinds(axes: Axes, kinds: Sequence[str]) -> None:
    for kind in dict.fromkeys(kinds):
        meaning, colour, marker = _kind(kind)
        axes.plot([], [], f"{marker}-", color=colour, linewidth=2, label=meaning)
    axes.legend(loc="lower center", bbox_to_anchor=(0.4, 1.0), ncols=3)


def _kind(kind: str) -> tuple[str, str, str]:
    return KINDS.get(kind, (kind, *OTHER_KIND))


def draw_reliability(scores: Sequence[ConfidenceScore]) -> bytes:
    """Draw accuracy against confidence, in bins of equally many answers."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], color=NEUTRAL, linestyle="--", zorder=1)
        for score in scores:
            _draw_bins(axes, score)
        _draw_intervals(axes, scores[-1].bins)
        axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), aspect="equal")
        axes.set_xlabel(f"confidence, means of {_write_bins(scores[-1].bins)}")
        axes.set_ylabel("share of right answers")
        _show_percents(axes, "xy")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0))

    return draw_png(draw, 5.8, 5.6)


def _draw_bins(axes: Axes, score: ConfidenceScore) -> None:
    meaning, colour, marker = CONFIDENCES[score.kind]
    confidence = [each.confidence for each in score.bins]
    accuracy = [each.accuracy for each in score.bins]
    text = f"{meaning}: expected calibration error {score.ece:.3f}"
    axes.plot(confidence, accuracy, f"{marker}-", color=colour, linewidth=1, label=text)


def _draw_intervals(axes: Axes, bins: Sequence[ReliabilityBin]) -> None:
    for each in bins:
        low, high = wilson_interval(each.accuracy, each.answers)
        axes.vlines(each.confidence, low, high, color=BLUE, alpha=0.4, linewidth=2)


def wilson_interval(share: float, count: int) -> tuple[float, float]:
    """Return the 95 % score interval (Wilson, 1927) of a share of so many."""
    middle = (share + DEVIATIONS**2 / (2 * count)) / (1 + DEVIATIONS**2 / count)
    spread = DEVIATIONS * np.sqrt(share * (1 - share) / count + (DEVIATIONS / (2 * count)) ** 2)
    reach = float(spread) / (1 + DEVIATIONS**2 / count)
    return middle - reach, middle + reach


def _write_bins(bins: Sequence[ReliabilityBin]) -> str:
    counts = sorted({each.answers for each in bins})
    return f"{len(bins)} bins of {' or '.join(f'{count:,}' for count in counts)} answers"


def draw_risk(curve: RiskCoverage, precision: float, coverage: float) -> bytes:
    """Draw the share of wrong answers when only the most confident ones are kept."""

    def draw(axes: Axes) -> None:
        axes.plot(curve.coverage, curve.risk, color=BLUE, linewidth=2)
        axes.axhline(1 - precision, color=VERMILLION, linestyle="--", linewidth=1)
        axes.vlines(coverage, 0, 1 - precision, color=VERMILLION, linestyle="--", linewidth=1)
        axes.text(0, 1.03, _write_risk(precision, coverage), transform=axes.transAxes)
        steady = curve.risk[curve.coverage >= STEADY].max()
        axes.set(xlim=(0, 1.01), ylim=(0, 1.1 * max(steady, 1 - precision)))
        axes.set_xlabel("answers kept, the most confident first")
        axes.set_ylabel("wrong among them")
        _show_percents(axes, "xy")

    return draw_png(draw, 3.8)


def _write_risk(precision: float, coverage: float) -> str:
    if not coverage:
        return f"no answers are right {write_percent(precision)} of the time"
    return (
        f"{write_percent(precision)} are right among the most confident {write_percent(coverage)}"
    )


def draw_buckets(buckets: Sequence[Bucket]) -> bytes:
    """Draw the weighted F1 by the number of training cards of the true category."""

    def draw(axes: Axes) -> None:
        places = range(len(buckets))
        axes.barh(places, [bucket.weighted_f1 for bucket in buckets], color=BLUE, height=0.7)
        axes.set_yticks(places, [f"{bucket.training_cards} in training" for bucket in buckets])
        axes.set_ylim(len(buckets) - 0.4, -0.6)
        axes.set_xlim(0, 1.45)
        axes.set_xticks(np.linspace(0, 1, 6))
        for place, bucket in enumerate(buckets):
            end = (bucket.weighted_f1, place)
            axes.annotate(
                _write_bucket(bucket), end, (6, 0), textcoords="offset points", va="center"
            )
        axes.grid(visible=False)
        axes.spines["bottom"].set_bounds(0, 1)
        axes.set_xlabel("weighted F1", x=0.5 / 1.45)

    return draw_png(draw, 0.9 + ROW * len(buckets))


def _write_bucket(bucket: Bucket) -> str:
    cards, categories = write_figure(bucket.cards), write_figure(bucket.categories)
    return f"{bucket.weighted_f1:.3f}   {cards} cards, {categories} categories"


def draw_confusions(confusions: Sequence[Confusion]) -> bytes:
    """Draw how often one category is taken for another."""
    from matplotlib.ticker import MaxNLocator

    def draw(axes: Axes) -> None:
        pairs = [f"{label(c.true)}\n→ {label(c.predicted) or 'nothing'}" for c in confusions]
        bars(axes, pairs, [confusion.count for confusion in confusions], VERMILLION)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.tick_params(axis="y", labelcolor=INK)
        axes.set_xlabel("test cards of the upper category that were taken for the lower one")

    return draw_png(draw, FRAME + PAIR * len(confusions))


def coverage_at(curve: RiskCoverage, precision: float) -> float:
    """Return the largest share of answers that is as precise as asked."""
    enough: npt.NDArray[np.bool_] = curve.risk <= 1 - precision + 1e-12
    return float(curve.coverage[enough].max(initial=0.0))


def _show_percents(axes: Axes, which: str) -> None:
    from matplotlib.ticker import PercentFormatter

    for axis in (axes.xaxis if a == "x" else axes.yaxis for a in which):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
