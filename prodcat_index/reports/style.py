"""How every figure looks: colours that colour-blind people tell apart, quiet axes, any alphabet."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from prodcat_index.cards.cleaning import tidy
from prodcat_index.reports.column import GREY, INK, LINE, load_font, shorten_middle, shorten_path
from prodcat_index.types import CATEGORY_SEPARATOR

if TYPE_CHECKING:
    from matplotlib.axes import Axes


# The palette of Okabe and Ito without its yellow, which is too pale on white.
BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
SKY, ORANGE, PURPLE = "#56B4E9", "#E69F00", "#CC79A7"
PALETTE = (BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE)
NEUTRAL = "#B7C0CA"

WIDTH, DPI, LETTERS = 8.0, 120, 10
LABEL_WIDTH = 400

LOOK: dict[Any, Any] = {
    "axes.axisbelow": True,
    "axes.edgecolor": GREY,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.family": "DejaVu Sans",
    "font.size": LETTERS,
    "grid.color": LINE,
    "legend.frameon": False,
    # A category named "$x" is no formula.
    "text.parse_math": False,
    "xtick.color": GREY,
    "xtick.labelcolor": INK,
    "ytick.color": GREY,
    "ytick.labelcolor": INK,
}


def draw_png(draw: Callable[[Axes], None], height: float, width: float = WIDTH) -> bytes:
    """Draw one plot in the common look."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    file = io.BytesIO()
    with matplotlib.rc_context(LOOK), warnings.catch_warnings():
        # Letters that the font lacks become boxes.
        warnings.filterwarnings("ignore", message="Glyph")
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        draw(figure.add_subplot())
        figure.savefig(file, format="png", dpi=DPI)
    return file.getvalue()


def bars(axes: Axes, names: list[str], values: list[int], colour: str = BLUE) -> None:
    """Draw horizontal bars, the first on top, each with its number at its end."""
    places = range(len(names))
    axes.barh(places, values, color=colour, height=0.7)
    axes.set_yticks(places, names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, 1.12 * max(values, default=1))
    axes.xaxis.set_major_formatter("{x:,.0f}")
    for place, value in zip(places, values, strict=True):
        axes.annotate(f"{value:,}", (value, place), (4, 0), textcoords="offset points", va="center")
    axes.grid(visible=False, axis="y")
    axes.tick_params(axis="y", length=0)
    axes.spines["left"].set_visible(False)


def label(category: str) -> str:
    """Shorten a category for an axis: its last part, and as much of the path to it as fits."""
    font = load_font(round(LETTERS * DPI / 72))
    return shorten_path(tidy(category).split(CATEGORY_SEPARATOR), font, LABEL_WIDTH)


def name(text: str) -> str:
    """Shorten the name of a column for an axis."""
    return shorten_middle(tidy(text), load_font(round(LETTERS * DPI / 72)), LABEL_WIDTH)
