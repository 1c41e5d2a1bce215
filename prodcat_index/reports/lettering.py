"""Texts made to fit a measured width: wrapped, or shortened with an ellipsis."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from prodcat_index.cards.cleaning import CATEGORY_SEPARATOR, tidy

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

Shorten: TypeAlias = "Callable[[str, FreeTypeFont, float], str]"

ELLIPSIS = "…"
# Far more than fits any tile: a description of a megabyte need not be measured.
LONGEST = 1_000


@cache
def load_font(size: int, bold: bool = False) -> FreeTypeFont:
    """Load DejaVu Sans, which has Latin, Cyrillic, ✓ and ✗ and comes with matplotlib.

    Parameters
    ----------
    size
        In pixels.
    bold
        Whether the bold face is wanted.
    """
    import matplotlib
    from PIL import ImageFont

    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    return ImageFont.truetype(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / name, size)


def shorten_end(text: str, font: FreeTypeFont, width: float) -> str:
    """Return the text, with an ellipsis for what does not fit.

    Parameters
    ----------
    text
        One line.
    font
        The font that it will be drawn with.
    width
        Room in pixels.

    Returns
    -------
    str
        At most `width` wide; empty where not even the ellipsis fits.
    """
    return _longest_cut(text, font, width, lambda count: text[:count].rstrip(" ,;:·-") + ELLIPSIS)


def shorten_middle(text: str, font: FreeTypeFont, width: float) -> str:
    """Return the text, with an ellipsis in its middle for what does not fit.

    Parameters
    ----------
    text, font, width
        As for `shorten_end`.

    Returns
    -------
    str
        At most `width` wide; empty where not even the ellipsis fits.
    """

    def cut(count: int) -> str:
        head, tail = text[: (count + 1) // 2], text[len(text) - count // 2 :]
        return head.rstrip() + ELLIPSIS + tail.lstrip()

    return _longest_cut(text, font, width, cut)


def shorten_path(parts: Sequence[str], font: FreeTypeFont, width: float) -> str:
    """Join as many of the last parts of a category path as fit.

    Parameters
    ----------
    parts
        From the root down.
    font, width
        As for `shorten_end`.

    Returns
    -------
    str
        Such as ``"… > Kitchen > Taps"``, at most `width` wide. Where even the last part alone
        does not fit, it has an ellipsis in its middle.
    """
    for start in range(len(parts)):
        left_out = [ELLIPSIS] if start else []
        joined = CATEGORY_SEPARATOR.join([*left_out, *parts[start:]])
        if font.getlength(joined) <= width:
            return joined
    return shorten_middle(parts[-1], font, width) if parts else ""


def wrap(
    text: str, font: FreeTypeFont, width: float, lines: int, shorten: Shorten = shorten_end
) -> list[str]:
    """Break a text at its spaces, or within a word that is wider than a line.

    Parameters
    ----------
    text
        As a person wrote it; white space is collapsed and invisible characters are left out.
    font, width
        As for `shorten_end`.
    lines
        How many there may be, at least 1.
    shorten
        What is done to the last line where the text is longer.

    Returns
    -------
    list of str
        At most `lines`, each at most `width` wide.
    """
    rest = tidy(text)[:LONGEST]
    written: list[str] = []
    while rest and len(written) < lines - 1:
        line, rest = _break_line(rest, font, width)
        written.append(line)
    return [*written, shorten(rest, font, width)] if rest else written


def _longest_cut(text: str, font: FreeTypeFont, width: float, cut: Callable[[int], str]) -> str:
    if font.getlength(text) <= width:
        return text
    fitting = bisect_right(range(len(text)), width, key=lambda n: font.getlength(cut(n)))
    return cut(fitting - 1) if fitting else ""


def _break_line(text: str, font: FreeTypeFont, width: float) -> tuple[str, str]:
    ends = range(1, len(text) + 1)
    fitting = max(bisect_right(ends, width, key=lambda end: font.getlength(text[:end])), 1)
    space = text.rfind(" ", 0, fitting + 1)
    end = space if space > 0 and fitting < len(text) else fitting
    return text[:end], text[end:].lstrip()
