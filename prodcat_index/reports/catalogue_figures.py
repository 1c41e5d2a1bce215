"""Figures of a catalogue: category sizes, text lengths, languages, picture sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from prodcat_index.reports.column import GREY, LINE
from prodcat_index.reports.style import (
    BLUE,
    NEUTRAL,
    PALETTE,
    VERMILLION,
    bars,
    draw_png,
    label,
    name,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes


BAR, FRAME = 0.3, 0.9
BINS = 24
ROUNDING = 1e-9
SHOWN_LANGUAGES = len(PALETTE)
ASPECTS = {0.5: "1 : 2", 1.0: "1 : 1", 2.0: "2 : 1"}
SMALLEST_DOT, LARGEST_DOT = 12.0, 400.0


def draw_rank_sizes(sizes: Sequence[int]) -> bytes:
    """Draw the size of each category against its rank, both on logarithmic scales."""

    def draw(axes: Axes) -> None:
        ranks = np.arange(1, len(sizes) + 1)
        held = np.cumsum(sizes) / np.sum(sizes)
        half = int(np.searchsorted(held, 0.5))
        axes.loglog(ranks, sizes, ".-", color=BLUE, linewidth=1, markersize=5)
        _mark(axes, half + 1, f"half of the cards in the {half + 1:,} largest")
        axes.set_xlabel("rank of the category by size")
        axes.set_ylabel("cards")
        _count_in_full(axes, "xy")

    return draw_png(draw, 4.2)


def draw_largest(sizes: Mapping[str, int]) -> bytes:
    """Draw the sizes of categories as bars."""

    def draw(axes: Axes) -> None:
        bars(axes, [label(category) for category in sizes], list(sizes.values()))
        axes.set_xlabel("cards")

    return draw_png(draw, FRAME + BAR * len(sizes))


def draw_missing(missing: Mapping[str, float]) -> bytes:
    """Draw the share of the cards that lack a value, column by column."""

    def draw(axes: Axes) -> None:
        places = range(len(missing))
        axes.barh(places, 1.0, color=LINE, height=0.6)
        axes.barh(places, list(missing.values()), color=VERMILLION, height=0.6)
        axes.set_yticks(places, [name(column) for column in missing])
        axes.set_ylim(len(missing) - 0.4, -0.6)
        axes.set_xlim(0, 1)
        for place, share in zip(places, missing.values(), strict=True):
            axes.text(1.01, place, f"{share:.1%}", va="center", transform=axes.transData)
        axes.grid(visible=False)
        _show_percents(axes)
        axes.set_xlabel("cards without a value")

    return draw_png(draw, FRAME + BAR * len(missing))


def draw_lengths(lengths: npt.NDArray[np.int64], median: float) -> bytes:
    """Draw a histogram of text lengths on a logarithmic scale."""

    def draw(axes: Axes) -> None:
        axes.hist(lengths, bins=_bins(lengths).tolist(), color=BLUE)
        axes.set_xscale("log")
        axes.yaxis.set_major_formatter("{x:,.0f}")
        _mark(axes, median, f"median {median:,.0f}")
        axes.set_xlabel("characters")
        axes.set_ylabel("cards")
        _count_in_full(axes, "x")

    return draw_png(draw, 3.0)


def draw_languages(shares: Mapping[str, Mapping[str, float]]) -> bytes:
    """Draw the shares of the languages in each column as one bar."""
    totals: dict[str, float] = {}
    for column in shares.values():
        for language, share in column.items():
            totals[language] = totals.get(language, 0.0) + share
    shown = sorted(totals, key=lambda language: (-totals[language], language))[:SHOWN_LANGUAGES]

    def draw(axes: Axes) -> None:
        places = range(len(shares))
        left = np.zeros(len(shares))
        for language, colour in zip(shown, PALETTE, strict=False):
            widths = np.array([column.get(language, 0.0) for column in shares.values()])
            axes.barh(places, widths, left=left, color=colour, height=0.6, label=language)
            left += widths
        others = np.array([sum(column.values()) for column in shares.values()]) - left
        if others.max() > ROUNDING:
            axes.barh(places, others, left=left, color=GREY, height=0.6, label="others")
        rest = 1 - left - others
        if rest.max() > ROUNDING:
            axes.barh(places, rest, left=1 - rest, color=LINE, height=0.6, label="undetermined")
        axes.set_yticks(places, [name(column) for column in shares])
        axes.set_ylim(len(shares) - 0.5, -0.5)
        axes.set_xlim(0, 1)
        axes.grid(visible=False)
        _show_percents(axes)
        axes.set_xlabel("texts")
        axes.legend(loc="lower center", bbox_to_anchor=(0.5, 1.0), ncols=SHOWN_LANGUAGES + 2)

    return draw_png(draw, FRAME + 0.5 + 0.4 * len(shares))


def draw_picture_sizes(sizes: npt.NDArray[np.int64]) -> bytes:
    """Draw width against height, a larger dot where more pictures are of one size."""
    different, counts = np.unique(sizes, axis=0, return_counts=True)
    largest = int(counts.max())

    def draw(axes: Axes) -> None:
        low, high = 0.8 * sizes.min(), 1.25 * sizes.max()
        for aspect, ratio in ASPECTS.items():
            _draw_aspect(axes, aspect, ratio, low, high)
        areas = SMALLEST_DOT + (LARGEST_DOT - SMALLEST_DOT) * (counts - 1) / max(largest - 1, 1)
        x, y = different.T
        axes.scatter(x, y, s=areas, color=BLUE, alpha=0.45, linewidths=0)
        width, height = different[counts.argmax()]
        axes.text(0, 1.02, f"most often {width} x {height}: {largest:,}", transform=axes.transAxes)
        axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
        axes.set_xlabel("width, pixels")
        axes.set_ylabel("height, pixels")
        _count_in_full(axes, "xy")

    return draw_png(draw, 5.2, 5.6)


def _draw_aspect(axes: Axes, aspect: float, ratio: str, low: float, high: float) -> None:
    ends = np.array([low, high])
    axes.plot(ends, ends / aspect, color=NEUTRAL, linewidth=1, linestyle=":", zorder=1)
    start = max(low, low * aspect)
    place = (start, start / aspect)
    axes.annotate(ratio, place, (18, 3), textcoords="offset points", color=GREY)


def _mark(axes: Axes, x: float, text: str) -> None:
    """Draw an upright line with its meaning above the axes, where nothing else is."""
    axes.axvline(x, color=VERMILLION, linestyle="--", linewidth=1)
    transform = axes.get_xaxis_transform()
    axes.text(x, 1.02, text, color=VERMILLION, ha="center", transform=transform)


def _bins(lengths: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """Return edges between whole numbers, evenly spaced on a logarithmic scale."""
    edges = np.geomspace(lengths.min(), lengths.max() + 1, BINS + 1)
    return np.unique(np.append(np.floor(edges), lengths.max() + 1)) - 0.5


def _count_in_full(axes: Axes, which: str) -> None:
    """Write 1,000 rather than 10 to the power of 3."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for axis in (axes.xaxis if a == "x" else axes.yaxis for a in which):
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
        axis.set_minor_formatter(NullFormatter())


def _show_percents(axes: Axes) -> None:
    from matplotlib.ticker import PercentFormatter

    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
