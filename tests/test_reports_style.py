"""The look of figures and sheets: texts are shortened visibly, colours can be told apart."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from prodcat_index.reports.style import (
    PALETTE,
    axis_label,
    load_font,
    shorten_end,
    shorten_middle,
    shorten_path,
    wrap,
)

FONT = load_font(15)
ALPHABET = "абвгдеёжзийклмнопрстуфхцчшщъыьэюяАБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ"
UNASSIGNED = "\u0378"
# Colours as people without red or green cones see them (Machado, Oliveira and Fernandes, 2009).
CONES = {
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
}

texts = st.text(st.one_of(st.sampled_from("abЖщ W.ф-,"), st.characters()), max_size=120)
widths = st.integers(min_value=40, max_value=300)


@settings(deadline=None)
@given(text=texts, width=widths, lines=st.integers(1, 4), bold=st.booleans())
def test_wrapped_lines_stay_in_their_tile(text: str, width: int, lines: int, bold: bool) -> None:
    """A title runs into the next card."""
    font = load_font(15, bold)
    written = wrap(text, font, width, lines)
    assert len(written) <= lines
    assert all(font.getlength(line) <= width for line in written)


@settings(deadline=None)
@given(text=st.text("abЖщ W.ф-,", max_size=120), width=widths)
def test_wrapping_loses_no_letter_while_there_is_room(text: str, width: int) -> None:
    """Words of a title vanish between two lines."""
    written = wrap(text, FONT, width, lines=200)
    assert "".join(written).replace(" ", "") == text.replace(" ", "")


@settings(deadline=None)
@given(text=st.text("abЖщ W.ф", min_size=40, max_size=200), width=widths)
def test_a_cut_text_says_so(text: str, width: int) -> None:
    """A cut title looks like the whole one."""
    whole = wrap(text, FONT, width, lines=200)
    assume(len(whole) > 2)
    assert wrap(text, FONT, width, lines=2)[0] == whole[0]
    assert wrap(text, FONT, width, lines=2)[1].endswith("…")


def test_text_breaks_between_words_and_only_long_words_inside() -> None:
    width = FONT.getlength("Смеситель для")
    assert wrap("Смеситель  для\nкухни", FONT, width, 2) == ["Смеситель для", "кухни"]
    assert wrap("Ж" * 9, FONT, FONT.getlength("ЖЖЖЖ"), 3) == ["ЖЖЖЖ", "ЖЖЖЖ", "Ж"]


@settings(deadline=None)
@given(text=st.text("abЖщ W.ф>", max_size=120), width=widths)
def test_shortened_texts_fit_and_keep_their_ends(text: str, width: int) -> None:
    for shorten in (shorten_end, shorten_middle):
        short = shorten(text, FONT, width)
        assert FONT.getlength(short) <= width
        assert (short == text) == (FONT.getlength(text) <= width)
        head, _, tail = short.partition("…")
        assert text.startswith(head)
        assert text.endswith(tail)
        assert shorten is shorten_middle or not tail


@pytest.mark.parametrize("shorten", [shorten_end, shorten_middle])
def test_no_room_is_wasted(shorten: Callable[..., str]) -> None:
    """A title is cut earlier than it must be."""
    short = shorten("ш" * 100, FONT, 150)
    assert FONT.getlength(short) <= 150 < FONT.getlength(short + "ш")


def test_not_even_room_for_an_ellipsis_is_no_error() -> None:
    assert shorten_end("Смеситель", FONT, 1) == ""
    assert shorten_middle("Смеситель", FONT, -5) == ""


def test_a_long_path_loses_its_beginning() -> None:
    """All categories of a large shop read "All categories > Electronics > …"."""
    path = "Все категории > Электроника > Кухня > Смесители"
    assert shorten_path(path, FONT, 1000) == path
    assert shorten_path(path, FONT, FONT.getlength("… > Кухня > Смесители")) == (
        "… > Кухня > Смесители"
    )
    last = shorten_path(path, FONT, 60)
    assert (last[:2], last[-1]) == ("См", "и")
    assert "…" in last
    assert shorten_path("", FONT, 60) == ""


@settings(deadline=None)
@given(parts=st.lists(st.text("abЖщ W.ф", max_size=30), max_size=6), width=widths)
def test_paths_fit(parts: list[str], width: int) -> None:
    assert FONT.getlength(shorten_path(" > ".join(parts), FONT, width)) <= width


@pytest.mark.parametrize("bold", [False, True])
def test_cyrillic_and_signs_have_glyphs(bold: bool) -> None:
    """A Russian shop sees rows of empty boxes."""
    font = load_font(15, bold)

    def ink(character: str) -> bytes:
        return bytes(font.getmask(character))

    assert [c for c in ALPHABET + "✓✗…−₽№" if ink(c) == ink(UNASSIGNED)] == []
    assert len({ink(c) for c in "абвгдежзиклмно"}) == 14


@pytest.mark.parametrize("cones", CONES.values(), ids=CONES)
def test_colour_blind_people_tell_the_colours_apart(cones: list[list[float]]) -> None:
    """Two lines of one figure look alike to one man in twelve."""
    colours = np.array([list(bytes.fromhex(colour[1:])) for colour in PALETTE]) / 255
    seen = np.clip(colours**2.2 @ np.array(cones).T, 0, 1) ** (1 / 2.2)
    distances = [np.linalg.norm(one - other) for one, other in combinations(seen, 2)]
    assert min(distances) > 0.13


def test_labels_of_axes_are_tidy_and_short() -> None:
    """A category of a line and a half would leave no room for the figure."""
    assert axis_label("Kitchen \n Kettles") == "Kitchen Kettles"
    assert axis_label(f"{'Long ' * 99}> End").endswith("> End")
    assert "…" in axis_label("x" * 999)
