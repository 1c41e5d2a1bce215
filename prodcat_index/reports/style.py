"""The look that figures and sheets share: colours, font, shortened texts, pictures."""

from __future__ import annotations

import io
import warnings
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeAlias

from prodcat_index.cards.cleaning import tidy
from prodcat_index.types import CATEGORY_SEPARATOR

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from PIL.ImageFont import FreeTypeFont


# The palette of Okabe and Ito, which colour-blind people tell apart, without its yellow, which is
# too pale on white.
BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
SKY, ORANGE, PURPLE = "#56B4E9", "#E69F00", "#CC79A7"
PALETTE = (BLUE, ORANGE, GREEN, VERMILLION, SKY, PURPLE)
WHITE, INK, GREY, LINE, NEUTRAL = "#FFFFFF", "#1B2733", "#5B6875", "#DCE1E7", "#B7C0CA"
# Of answers, on sheets and pages alike: dark enough for text, and with a sign beside them.
RIGHT, WRONG = BLUE, "#B34700"
SIGNS = {True: ("✓", RIGHT), False: ("✗", WRONG), None: ("", INK)}

ELLIPSIS = "…"
# Far more than fits anywhere: a description of a megabyte need not be measured.
LONGEST = 1_000

# Inches, but for a figure that sets another size; dots per inch; points.
WIDTH, HEIGHT, DPI, LETTERS = 6.0, 3.4, 120, 11
# Pixels that a label of an axis may take.
LABEL_WIDTH = 260
# Where a legend hides no line: above the axes.
LEGEND_ABOVE: dict[str, Any] = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
# Where an annotation stands, in points from its point.
OFFSET: dict[str, Any] = {"textcoords": "offset points"}
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

P = ParamSpec("P")
Shorten: TypeAlias = "Callable[[str, FreeTypeFont, float], str]"


@cache
def load_font(size: int, bold: bool = False) -> FreeTypeFont:
    """Load DejaVu Sans, which has Latin, Cyrillic, ✓ and ✗ and comes with matplotlib."""
    import matplotlib
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)


def shorten_end(text: str, font: FreeTypeFont, width: float) -> str:
    """Return the text, with an ellipsis for an end that does not fit."""
    return _longest_cut(text, font, width, lambda count: text[:count].rstrip(" ,;:·-") + ELLIPSIS)


def shorten_middle(text: str, font: FreeTypeFont, width: float) -> str:
    """Return the text, with an ellipsis for a middle that does not fit."""

    def cut(count: int) -> str:
        head, tail = text[: (count + 1) // 2], text[len(text) - count // 2 :]
        return head.rstrip() + ELLIPSIS + tail.lstrip()

    return _longest_cut(text, font, width, cut)


def shorten_path(category: str, font: FreeTypeFont, width: float) -> str:
    """Return a category path, with an ellipsis for its first parts where they do not fit."""
    parts = category.split(CATEGORY_SEPARATOR)
    for start in range(len(parts)):
        shown = CATEGORY_SEPARATOR.join([ELLIPSIS] * bool(start) + parts[start:])
        if font.getlength(shown) <= width:
            return shown
    return shorten_middle(parts[-1], font, width)


def _longest_cut(text: str, font: FreeTypeFont, width: float, cut: Callable[[int], str]) -> str:
    if font.getlength(text) <= width:
        return text
    fitting = bisect_right(range(len(text)), width, key=lambda count: font.getlength(cut(count)))
    return cut(fitting - 1) if fitting else ""


def wrap(
    text: str, font: FreeTypeFont, width: float, lines: int, shorten: Shorten = shorten_end
) -> list[str]:
    """Break a text at its spaces, or within a word that is wider than a line."""
    rest = tidy(text)[:LONGEST]
    wrapped: list[str] = []
    while rest and len(wrapped) < lines - 1:
        end = _end_of_line(rest, font, width)
        wrapped.append(rest[:end])
        rest = rest[end:].lstrip()
    return [*wrapped, shorten(rest, font, width)] if rest else wrapped


def _end_of_line(text: str, font: FreeTypeFont, width: float) -> int:
    ends = range(1, len(text) + 1)
    # At least a letter a line, however narrow the column.
    fitting = max(bisect_right(ends, width, key=lambda end: font.getlength(text[:end])), 1)
    space = text.rfind(" ", 0, fitting + 1)
    return space if space > 0 and fitting < len(text) else fitting


def axis_label(text: str, width: int = LABEL_WIDTH) -> str:
    """Shorten a name for an axis."""
    return shorten_middle(tidy(text), load_font(round(LETTERS * DPI / 72)), width)


@dataclass(frozen=True)
class Picture:
    """A picture file, with the words for those who cannot see it."""

    file_name: str
    content: bytes
    alt: str


def drawn_as(
    file_name: str,
) -> Callable[[Callable[Concatenate[Figure, P], str]], Callable[P, Picture]]:
    """Let a function that draws on a figure and returns its words return a PNG picture."""

    def decorate(draw: Callable[Concatenate[Figure, P], str]) -> Callable[P, Picture]:
        @wraps(draw)
        def make_picture(*args: P.args, **kwargs: P.kwargs) -> Picture:
            import matplotlib
            from matplotlib.backends.backend_agg import FigureCanvasAgg
            from matplotlib.figure import Figure

            file = io.BytesIO()
            with matplotlib.rc_context(LOOK), warnings.catch_warnings():
                # Letters that the font lacks become boxes.
                warnings.filterwarnings("ignore", message="Glyph")
                figure = Figure(figsize=(WIDTH, HEIGHT), layout="constrained")
                FigureCanvasAgg(figure)
                alt = draw(figure, *args, **kwargs)
                figure.savefig(file, format="png", dpi=DPI)
            return Picture(file_name, file.getvalue(), alt)

        return make_picture

    return decorate


def add_rows(figure: Figure, names: Sequence[str], row: float, frame: float) -> Axes:
    """Add axes with a named row at y = 0, 1, …, the first on top; the heights are in inches."""
    figure.set_figheight(frame + row * len(names))
    axes = figure.add_subplot()
    axes.set_yticks(range(len(names)), names)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(visible=False, axis="y")
    return axes


def show_counts(*logarithmic: Axis) -> None:
    """Write 1,000 instead of 10 to the power of 3 at logarithmic axes."""
    from matplotlib.ticker import LogLocator, NullFormatter

    for axis in logarithmic:
        axis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
        axis.set_major_formatter("{x:,.0f}")
        axis.set_minor_formatter(NullFormatter())


def show_whole_counts(*linear: Axis) -> None:
    """Put ticks at whole numbers only: 2.5 cards would be labelled 2."""
    from matplotlib.ticker import MaxNLocator

    for axis in linear:
        axis.set_major_locator(MaxNLocator(integer=True))
        axis.set_major_formatter("{x:,.0f}")


def show_percents(*axes: Axis) -> None:
    """Write shares at axes as percentages."""
    from matplotlib.ticker import PercentFormatter

    for axis in axes:
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
