"""The contact sheet: nothing is cut, everything is where a reader looks for it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from prodcat_index.errors import ProdcatError
from prodcat_index.reports.column import (
    BAR,
    BAR_ROW,
    FIELD,
    FIGURE,
    SMALL,
    SMALL_FIGURE,
    STRONG,
    TEXT,
    TRACK,
    WHITE,
    Style,
    load_font,
    shorten_end,
    shorten_middle,
    shorten_path,
    wrap,
    write_number,
)
from prodcat_index.reports.sheet import (
    ACCENT,
    GAP,
    HEADING,
    MARGIN,
    PADDING,
    PANEL,
    PICTURE,
    QUERY_PICTURE,
    QUERY_WIDTH,
    RIGHT,
    TILE_STEP,
    WRONG,
    SheetRow,
    draw_sheet,
)
from prodcat_index.voting.prediction import Neighbour, Prediction

Pixels = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]

FONT = load_font(15)
ALPHABET = "абвгдеёжзийклмнопрстуфхцчшщъыьэюяАБВГДЕЁЖЗИЙКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯ"
UNASSIGNED = "\u0378"
RED, GREEN, BLUE = "#FF0000", "#00FF00", "#0000FF"
FIRST_ROW = MARGIN + HEADING.line + GAP
# A letter such as J may begin a little before its place.
OVERHANG = 8
FIRST_TILE = MARGIN + QUERY_WIDTH + GAP

texts = st.text(st.one_of(st.sampled_from("abЖщ W.ф-,"), st.characters()), max_size=120)
widths = st.integers(min_value=40, max_value=300)


def near(
    number: int = 0,
    image: str = "",
    title: str = "Смеситель",
    category: str = "Дом > Кухня",
    by_block: dict[str, float] | None = None,
    vote_share: float | None = None,
) -> Neighbour:
    cosines = {"image": 0.5, "title": 0.9} if by_block is None else by_block
    return Neighbour(str(number), title, image, category, 0.8, cosines, vote_share)


def predicted(category: str, confidence: float = 0.87) -> Prediction:
    return Prediction("q", category, "", confidence, [(category, confidence)], [])


def painted(path: Path, colour: str, size: tuple[int, int] = (64, 64)) -> str:
    Image.new("RGB", size, colour).save(path)
    return str(path)


def drawn(rows: Sequence[SheetRow], folder: Path) -> Pixels:
    with Image.open(draw_sheet(rows, folder / "sheet.png")) as sheet:
        assert sheet.mode == "RGB"
        return np.asarray(sheet)


def is_colour(pixels: Pixels, colour: str) -> Mask:
    return (pixels == np.frombuffer(bytes.fromhex(colour[1:]), np.uint8)).all(axis=-1)


def box(mask: Mask) -> tuple[int, int, int, int]:
    """Return left, top, width and height of what is set."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1


def trimmed(mask: Mask) -> list[list[bool]]:
    """Return what is set as a shape, wherever it stands."""
    left, top, width, height = box(mask)
    return mask[top : top + height, left : left + width].tolist()


# -- lettering ---------------------------------------------------------------------------------


@given(text=texts, width=widths, lines=st.integers(1, 4), bold=st.booleans())
def test_wrapped_lines_stay_in_their_tile(text: str, width: int, lines: int, bold: bool) -> None:
    """A title runs into the next card."""
    font = load_font(15, bold)
    written = wrap(text, font, width, lines)
    assert len(written) <= lines
    assert all(font.getlength(line) <= width for line in written)


@given(text=st.text("abЖщ W.ф-,", max_size=120), width=widths)
def test_wrapping_loses_no_letter_while_there_is_room(text: str, width: int) -> None:
    """Words of a title vanish between two lines."""
    written = wrap(text, FONT, width, lines=200)
    assert "".join(written).replace(" ", "") == text.replace(" ", "")


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
    parts = ["Все категории", "Электроника", "Кухня", "Смесители"]
    assert shorten_path(parts, FONT, 1000) == " > ".join(parts)
    assert shorten_path(parts, FONT, FONT.getlength("… > Кухня > Смесители")) == (
        "… > Кухня > Смесители"
    )
    last = shorten_path(parts, FONT, 60)
    assert (last[:2], last[-1]) == ("См", "и")
    assert "…" in last
    assert shorten_path([], FONT, 60) == ""


@given(parts=st.lists(st.text("abЖщ W.ф", max_size=30), max_size=6), width=widths)
def test_paths_fit(parts: list[str], width: int) -> None:
    assert FONT.getlength(shorten_path(parts, FONT, width)) <= width


@pytest.mark.parametrize("bold", [False, True])
def test_cyrillic_and_signs_have_glyphs(bold: bool) -> None:
    """A Russian shop sees rows of empty boxes."""
    font = load_font(15, bold)

    def ink(character: str) -> bytes:
        return bytes(font.getmask(character))

    assert [c for c in ALPHABET + "✓✗…−₽№" if ink(c) == ink(UNASSIGNED)] == []
    assert len({ink(c) for c in "абвгдежзиклмно"}) == 14


@pytest.mark.parametrize("style", [TEXT, STRONG, FIGURE, SMALL, SMALL_FIGURE, HEADING])
def test_lines_do_not_touch(style: Style) -> None:
    """Letters with tails stand on the capitals of the next line."""
    _, top, _, bottom = style.font.getbbox("ЁЙÅgjруц,Щ")
    assert bottom - top < style.line


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.876, "0.88"), (-0.126, "−0.13"), (-0.001, "0.00"), (1.0000001, "1.00")],
)
def test_numbers(value: float, written: str) -> None:
    assert write_number(value) == written


# -- the sheet ---------------------------------------------------------------------------------


def test_height_grows_with_the_rows_and_width_with_the_cards(tmp_path: Path) -> None:
    """Rows lie upon one another, or cards beyond the edge."""
    row = SheetRow("Ковш", "", [near()])
    heights = [drawn([row] * count, tmp_path).shape[0] for count in (1, 2, 3)]
    assert heights[2] - heights[1] == heights[1] - heights[0] > QUERY_PICTURE
    wide = [drawn([SheetRow("", "", [near()] * n)], tmp_path).shape[1] for n in (1, 2, 6, 7)]
    assert wide[0] == 2 * MARGIN + QUERY_WIDTH + TILE_STEP
    assert (wide[1] - wide[0], wide[2] - wide[1], wide[3] - wide[2]) == (
        TILE_STEP,
        4 * TILE_STEP,
        0,
    )


def test_pictures_stand_at_their_places(tmp_path: Path) -> None:
    """Cards are shown under each other's pictures."""
    red, green, blue = (painted(tmp_path / f"{c}.png", c) for c in (RED, GREEN, BLUE))
    pixels = drawn([SheetRow("", red, [near(0, green), near(1, blue)])], tmp_path)
    found = [box(is_colour(pixels, colour)) for colour in (RED, GREEN, BLUE)]
    frames = [
        (MARGIN + ACCENT + PADDING, QUERY_PICTURE),
        (FIRST_TILE, PICTURE),
        (FIRST_TILE + TILE_STEP, PICTURE),
    ]
    for (left, top, width, height), (frame, side) in zip(found, frames, strict=True):
        assert left - frame == frame + side - (left + width)
        assert top == FIRST_ROW + PADDING + left - frame
        assert width == height > 0.9 * side


@pytest.mark.parametrize(("size", "ratio"), [((40, 20), 2.0), ((300, 900), 1 / 3)])
def test_pictures_keep_their_shape(tmp_path: Path, size: tuple[int, int], ratio: float) -> None:
    """A wide sofa looks like an armchair."""
    pixels = drawn([SheetRow("", painted(tmp_path / "red.png", RED, size), [])], tmp_path)
    _, _, width, height = box(is_colour(pixels, RED))
    assert width / height == pytest.approx(ratio, rel=0.02)
    assert max(width, height) > 0.9 * QUERY_PICTURE


def test_a_picture_a_pixel_high_is_drawn(tmp_path: Path) -> None:
    pixels = drawn([SheetRow("", painted(tmp_path / "line.png", RED, (2000, 1)), [])], tmp_path)
    assert box(is_colour(pixels, RED))[3] == 1


def test_unreadable_pictures_leave_a_field_and_the_others_stay(tmp_path: Path) -> None:
    """One damaged file costs the whole sheet."""
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(b"\xff\xd8\xff\xe0 no picture")
    images = ["", str(damaged), str(tmp_path / "absent.png"), str(tmp_path), "a\0b.png"]
    images.append(painted(tmp_path / "green.png", GREEN))
    neighbours = [near(number, image) for number, image in enumerate(images)]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = drawn([SheetRow("Ковш", "/nowhere.jpg", neighbours)], tmp_path)
    tops = slice(FIRST_ROW + PADDING, FIRST_ROW + PADDING + PICTURE)
    tiles = [
        pixels[tops, FIRST_TILE + i * TILE_STEP : FIRST_TILE + i * TILE_STEP + PICTURE]
        for i in range(6)
    ]
    assert [is_colour(tile, FIELD).mean() > 0.9 for tile in tiles] == [True] * 5 + [False]
    assert is_colour(tiles[5], GREEN).mean() > 0.8
    # The field has words on it, in the middle.
    middle = ~is_colour(tiles[0][80:120, 20:180], FIELD)
    left, _, width, _ = box(middle)
    assert abs(left + width / 2 - 80) <= 2


def verdict_rows() -> dict[str, SheetRow]:
    return {
        "right": SheetRow("Ковш", "", [near()], predicted("A > B"), "A > B"),
        "wrong": SheetRow("Ковш", "", [near()], predicted("A > B"), "A > C"),
        "unknown": SheetRow("Ковш", "", [near()], predicted("A > B")),
    }


def listing_panel(pixels: Pixels) -> Pixels:
    return pixels[FIRST_ROW:, MARGIN : MARGIN + QUERY_WIDTH]


def test_right_and_wrong_differ_in_colour_and_in_sign(tmp_path: Path) -> None:
    """Whoever cannot tell the colours apart cannot tell right from wrong."""
    panels = {name: listing_panel(drawn([row], tmp_path)) for name, row in verdict_rows().items()}
    colours = {
        name: (bool(is_colour(p[:300], RIGHT).any()), bool(is_colour(p[:300], WRONG).any()))
        for name, p in panels.items()
    }
    assert colours == {"right": (True, False), "wrong": (False, True), "unknown": (False, False)}
    below = slice(PADDING + QUERY_PICTURE, 380)
    signs = {name: is_colour(panel[below], WHITE) for name, panel in panels.items()}
    assert not signs["unknown"].any()
    assert trimmed(signs["right"]) != trimmed(signs["wrong"])


@pytest.mark.parametrize(
    ("category", "truth", "expected"),
    [("A", "A", True), ("A", "B", False), ("", "A", False), ("A", "", None), ("A", None, None)],
)
def test_what_is_right(category: str, truth: str | None, expected: bool | None) -> None:
    assert SheetRow("", "", [], predicted(category), truth).is_right is expected
    assert SheetRow("", "", [], None, truth).is_right is None


def test_bars_are_as_long_as_the_cosines(tmp_path: Path) -> None:
    """The modality that decided does not look like it."""

    def bar(value: float) -> tuple[int, int]:
        pixels = drawn([SheetRow("", "", [near(by_block={"image": value})])], tmp_path)
        bars = is_colour(pixels, BAR)
        whole = bars | is_colour(pixels, TRACK)
        return (box(bars)[2] - 1 if bars.any() else 0), box(whole)[2] - 1

    whole = bar(1.0)[1]
    assert bar(1.0) == bar(1.3) == (whole, whole)
    assert bar(0.5) == (round(whole / 2), whole)
    assert bar(0.0) == bar(-0.4) == (0, whole)


def test_a_modality_that_a_card_lacks_has_no_bar(tmp_path: Path) -> None:
    """A card without a picture seems to have one that is unlike."""
    both, one = near(by_block={"image": 0.0, "title": 0.5}), near(by_block={"title": 0.5})
    pixels = drawn([SheetRow("", "", [both, one])], tmp_path)
    tracks = is_colour(pixels, TRACK) | is_colour(pixels, BAR)
    heights = [
        box(tracks[:, left : left + PICTURE])[1::2] for left in (FIRST_TILE, FIRST_TILE + TILE_STEP)
    ]
    (first, tall), (second, short) = heights
    assert (tall - short, second - first) == (BAR_ROW, BAR_ROW)


def test_bars_of_neighbouring_cards_stand_on_one_line(tmp_path: Path) -> None:
    """Cards with long and short texts cannot be compared at a glance."""
    short, long = near(title="Ковш", category="Кухня"), near(title="Ковш " * 9, category="A > Б")
    pixels = drawn([SheetRow("", "", [short, long, short])], tmp_path)
    tracks = is_colour(pixels, TRACK) | is_colour(pixels, BAR)
    lefts = [FIRST_TILE + number * TILE_STEP for number in range(3)]
    assert len({box(tracks[:, left : left + PICTURE]) for left in lefts}) == 1


def test_many_blocks_are_not_cut(tmp_path: Path) -> None:
    """The last modalities fall off the sheet."""

    def height(count: int) -> int:
        blocks = {f"title:encoder-{i}": 0.5 for i in range(count)}
        return drawn([SheetRow("", "", [near(by_block=blocks)])], tmp_path).shape[0]

    assert height(60) - height(20) == 40 * BAR_ROW


def test_the_vote_share_is_shown_where_there_is_one(tmp_path: Path) -> None:
    pixels = [
        drawn([SheetRow("", "", [near(vote_share=share)])], tmp_path) for share in (None, 0.25, 0.5)
    ]
    right_half = slice(FIRST_TILE + PICTURE // 2 + 20, FIRST_TILE + PICTURE)
    below = FIRST_ROW + PADDING + PICTURE
    shown = [p[below : below + 120, right_half] for p in pixels]
    assert is_colour(shown[0], WHITE).all()
    assert (shown[1] != shown[2]).any()


def check_gaps_are_empty(pixels: Pixels, tiles: int) -> None:
    height = int(is_colour(pixels[FIRST_ROW:, MARGIN + ACCENT + 1], PANEL).sum())
    row = pixels[FIRST_ROW : FIRST_ROW + height]
    for left in range(FIRST_TILE - GAP, FIRST_TILE + tiles * TILE_STEP, TILE_STEP):
        assert is_colour(row[:, left + OVERHANG : left + GAP - OVERHANG], WHITE).all()
    panel = row[:, MARGIN + ACCENT : MARGIN + QUERY_WIDTH]
    free = PADDING - OVERHANG
    for padding in (panel[:, :free], panel[:, -free:], panel[:PADDING], panel[-free:]):
        assert is_colour(padding, PANEL).all()


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(title=texts, category=texts, block=texts, share=st.sampled_from([None, 0.0, 1.0]))
def test_no_text_leaves_its_column(
    tmp_path: Path, title: str, category: str, block: str, share: float | None
) -> None:
    """Long texts of a real shop run into one another."""
    card = near(0, "", title, category, {block: 1.0, "image": -1.0}, share)
    row = SheetRow(title, "", [card, near(), card], predicted(category, 1.0), category)
    check_gaps_are_empty(drawn([row], tmp_path), tiles=3)


def test_long_cyrillic_texts_stay_in_their_columns(tmp_path: Path) -> None:
    long = "Аксессуары для автомобильных видеорегистраторов " * 200
    path = " > ".join([long[:60]] * 8)
    card = near(0, "", "Щ" * 5000, path, {"очень длинное имя модальности": 1.0}, 1.0)
    row = SheetRow(long, "", [card] * 6, predicted(path, 1.0), path)
    check_gaps_are_empty(drawn([row], tmp_path), tiles=6)


def test_listings_without_cards_and_sheets_without_listings(tmp_path: Path) -> None:
    nothing = drawn([], tmp_path)
    alone = drawn([SheetRow("", "", [])], tmp_path)
    assert alone.shape[0] > nothing.shape[0] + QUERY_PICTURE
    words = ~is_colour(alone[FIRST_ROW : FIRST_ROW + 60, FIRST_TILE:], WHITE)
    assert words.any()


def test_the_legend_explains_only_what_is_there(tmp_path: Path) -> None:
    """A legend of votes below a search that had none."""
    search = SheetRow("", "", [near()] * 6)
    vote = SheetRow("", "", [near(vote_share=0.1)] * 7, predicted("A"), "A")

    def legend_width(row: SheetRow) -> int:
        pixels = drawn([row], tmp_path)
        return int((~is_colour(pixels[-MARGIN - BAR_ROW : -MARGIN], WHITE)).any(axis=0).sum())

    coloured = is_colour(drawn([vote], tmp_path)[-MARGIN - 3 * BAR_ROW :], WRONG)
    assert coloured.any()
    assert not is_colour(drawn([search], tmp_path)[-MARGIN - 3 * BAR_ROW :], WRONG).any()
    assert legend_width(search) > 100


# -- writing -----------------------------------------------------------------------------------


def test_the_file_is_written_and_replaced(tmp_path: Path) -> None:
    target = tmp_path / "лист.PNG"
    assert draw_sheet([SheetRow("", "", [])], str(target)) == target
    first = target.read_bytes()
    draw_sheet([SheetRow("Ковш", "", [near()])], target)
    with Image.open(target) as sheet:
        assert sheet.format == "PNG"
    assert target.read_bytes() != first


@pytest.mark.parametrize("name", ["sheet.jpg", "sheet", "sheet.png.txt"])
def test_another_ending_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProdcatError, match=r"ends in \.png"):
        draw_sheet([], tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProdcatError, match=r"no folder .*reports: create it"):
        draw_sheet([], tmp_path / "reports" / "sheet.png")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(ProdcatError, match=r"taken\.png cannot be written \(Is a directory\)"):
        draw_sheet([], tmp_path / "taken.png")
    with pytest.raises(ProdcatError, match="cannot be written"):
        draw_sheet([], f"{tmp_path}/a\0b.png")
