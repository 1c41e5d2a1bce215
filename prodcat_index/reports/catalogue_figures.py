"""Figures of a catalogue: its columns, categories, text lengths, languages and pictures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from prodcat_index.reports import style
from prodcat_index.reports.page import write_figure, write_percent
from prodcat_index.reports.style import drawn_as
from prodcat_index.types import Int64Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from prodcat_index.reports.explore import Categories
    from prodcat_index.reports.measurements import Languages


# Inches around the bars.
FRAME = 0.9
BINS = 24
# Shares are sums of quotients: what is left of 1 by rounding is no language.
ROUNDING = 1e-9
ASPECTS = {0.5: "1 : 2", 1.0: "1 : 1", 2.0: "2 : 1"}
SMALLEST_DOT, LARGEST_DOT = 12.0, 400.0


@drawn_as("category-sizes.png")
def draw_rank_sizes(figure: Figure, categories: Categories) -> str:
    """Draw the size of each category against its rank, both on logarithmic scales."""
    axes = figure.add_subplot()
    sizes = list(categories.sizes.values())
    half = categories.largest_that_hold_half_of_the_cards
    ranks = range(1, len(sizes) + 1)
    axes.loglog(ranks, sizes, ".-", color=style.BLUE, linewidth=1, markersize=5)
    largest = "largest" if half == 1 else f"{half:,} largest"
    _mark(axes, half, f"half of the cards in the {largest}")
    axes.set(xlabel="rank of the category by size", ylabel="cards")
    style.show_counts(axes.xaxis, axes.yaxis)
    return (
        f"Line on logarithmic scales: category sizes fall from {sizes[0]:,} cards to "
        f"{sizes[-1]:,} over {len(sizes):,} categories; the {half:,} largest hold half of the "
        "cards."
    )


@drawn_as("text-lengths.png")
def draw_lengths(figure: Figure, name: str, lengths: Int64Array) -> str:
    """Draw a histogram of text lengths on a logarithmic scale."""
    axes = figure.add_subplot()
    figure.set_figheight(3.0)
    # Edges lie between whole numbers, so that each length is in one bin.
    edges = np.geomspace(lengths.min(), lengths.max() + 1, BINS + 1)
    bins = np.unique(np.append(np.floor(edges), lengths.max() + 1)) - 0.5
    axes.hist(lengths, bins=bins.tolist(), color=style.BLUE)
    axes.set(xscale="log", xlabel="characters", ylabel="cards")
    style.show_whole_counts(axes.yaxis)
    median = float(np.median(lengths))
    _mark(axes, median, f"median {median:,.0f}")
    style.show_counts(axes.xaxis)
    return (
        f"Histogram of the characters of {name}: from {write_figure(lengths.min())} to "
        f"{write_figure(lengths.max())}, half of them up to {write_figure(median)}."
    )


@drawn_as("languages.png")
def draw_languages(figure: Figure, columns: Mapping[str, Languages]) -> str:
    """Draw the shares of the languages in each column as one bar."""
    axes = style.add_rows(figure, list(map(style.axis_label, columns)), 0.4, FRAME + 0.5)
    shares = {name: column.shares for name, column in columns.items()}
    totals = sum((Counter[str](column) for column in shares.values()), Counter[str]())
    ranked = sorted(totals, key=lambda language: (-totals[language], language))
    parts = {
        language: np.array([column.get(language, 0.0) for column in shares.values()])
        for language in ranked[: len(style.PALETTE)]
    }
    colours = [*style.PALETTE[: len(parts)], style.GREY, style.LINE]
    whole = np.array([sum(column.values()) for column in shares.values()])
    parts |= {"others": whole - sum(parts.values()), "undetermined": 1 - whole}
    left = np.zeros(len(columns))
    for (language, widths), colour in zip(parts.items(), colours, strict=True):
        if widths.max() > ROUNDING:
            look: dict[str, Any] = {"color": colour, "height": 0.6, "label": language}
            axes.barh(range(len(columns)), widths, left=left, **look)
        left += widths
    axes.set(xlim=(0, 1), xlabel="texts")
    axes.grid(visible=False)
    style.show_percents(axes.xaxis)
    axes.legend(**style.LEGEND_ABOVE, ncols=len(parts))
    shown = []
    for name, column in shares.items():
        first = [f"{code} {write_percent(share)}" for code, share in list(column.items())[:3]]
        shown.append(f"{name} {', '.join(first) or 'undetermined'}")
    return f"Stacked bars: languages of each text column. {'; '.join(shown)}."


@drawn_as("picture-sizes.png")
def draw_picture_sizes(figure: Figure, sizes: Int64Array) -> str:
    """Draw width against height, shape (n, 2), a larger dot where more pictures are of one size."""
    axes = figure.add_subplot()
    figure.set_size_inches(5.6, 5.2)
    different, counts = np.unique(sizes, axis=0, return_counts=True)
    low, high = 0.8 * sizes.min(), 1.25 * sizes.max()
    for aspect, ratio in ASPECTS.items():
        axes.axline((1, 1 / aspect), (2, 2 / aspect), color=style.NEUTRAL, lw=1, linestyle=":")
        start = max(low, low * aspect)
        place = (start, start / aspect)
        axes.annotate(ratio, place, (18, 3), color=style.GREY, **style.OFFSET)
    largest = int(counts.max())
    areas = SMALLEST_DOT + (LARGEST_DOT - SMALLEST_DOT) * (counts - 1) / max(largest - 1, 1)
    widths, heights = different.T
    axes.scatter(widths, heights, s=areas, color=style.BLUE, alpha=0.45, linewidths=0)
    width, height = different[counts.argmax()]
    axes.text(0, 1.02, f"most often {width} x {height}: {largest:,}", transform=axes.transAxes)
    axes.set(xscale="log", yscale="log", xlim=(low, high), ylim=(low, high), aspect="equal")
    axes.set(xlabel="width, pixels", ylabel="height, pixels")
    style.show_counts(axes.xaxis, axes.yaxis)
    return (
        f"Dots: width against height of {len(sizes):,} pictures, {widths.min()} to "
        f"{widths.max()} pixels wide and {heights.min()} to {heights.max()} pixels high."
    )


def _mark(axes: Axes, x: float, text: str) -> None:
    """Draw an upright line with its meaning above the axes, where nothing else is."""
    axes.axvline(x, color=style.VERMILLION, linestyle="--", linewidth=1)
    place = axes.get_xaxis_transform()
    axes.text(x, 1.02, text, color=style.VERMILLION, ha="center", transform=place)
