"""The contact sheet: everything is there, in order, and nothing runs into anything else."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from prodcat_index.errors import ProdcatError
from prodcat_index.reports.canvas import (
    BAR,
    BAR_ROW,
    EXPECTED,
    FIELD,
    FIGURE,
    HEADING,
    SMALL,
    SMALL_FIGURE,
    SPACE,
    STRONG,
    TEXT,
    TRACK,
    Canvas,
    Font,
    write_number,
)
from prodcat_index.reports.page import THUMBNAIL, draw_card
from prodcat_index.reports.sheet import (
    ACCENT,
    COLUMN,
    FIRST_TILE,
    GAP,
    MARGIN,
    PADDING,
    PANEL,
    PICTURE,
    QUERY_WIDTH,
    SheetRow,
    draw_sheet,
    lay_out_sheet,
)
from prodcat_index.reports.style import RIGHT, WRONG
from prodcat_index.voting.prediction import Neighbour, Prediction

Pixels = npt.NDArray[np.uint8]

RED, GREEN, SIDE = "#FF0000", "#00FF00", 200
TILE_STEP = COLUMN + GAP
texts = st.text(st.one_of(st.sampled_from("abЖщ W.ф-,"), st.characters()), max_size=120)


def near(
    number: int = 0,
    image: str = "",
    title: str = "Смеситель",
    category: str = "Дом > Кухня",
    parts: dict[str, float] | None = None,
    vote_share: float | None = None,
    lacks: str = "",
) -> Neighbour:
    """Return a card whose similarity is the sum of its parts; their cosines do not matter."""
    parts = {"image": 0.2, "title": 0.6} if parts is None else parts
    cosines = {name: 0.5 for name in parts if name != lacks}
    total = sum(parts.values())
    return Neighbour(str(number), title, image, category, total, cosines, vote_share, parts)


def predicted(category: str, confidence: float = 0.87) -> Prediction:
    return Prediction("q", category, "", confidence, [(category, confidence)], [])


def painted(path: Path, colour: str, size: tuple[int, int] = (64, 64)) -> str:
    Image.new("RGB", size, colour).save(path)
    return str(path)


class Drawn(Canvas):
    """A sheet as it is recorded before it is painted."""

    def __init__(self, *rows: SheetRow) -> None:
        super().__init__()
        self.width, self.height = lay_out_sheet(self, rows)

    @property
    def words(self) -> list[str]:
        return [text for _, _, text, _, _ in self.texts]

    def lengths(self, colour: str) -> list[int]:
        return [width for _, _, width, _, fill in self.boxes if fill == colour]

    def tops(self, colour: str) -> list[int]:
        return [top for _, top, _, _, fill in self.boxes if fill == colour]


def has_colour(image: Image.Image, colour: str) -> npt.NDArray[np.bool_]:
    pixels: Pixels = np.asarray(image)
    return (pixels == np.frombuffer(bytes.fromhex(colour[1:]), np.uint8)).all(axis=-1)


def size_of(mask: npt.NDArray[np.bool_]) -> tuple[int, int]:
    """Return width and height of what is set."""
    return int(mask.any(axis=0).sum()), int(mask.any(axis=1).sum())


# -- content -----------------------------------------------------------------------------------


def test_everything_is_written_in_the_order_of_reading() -> None:
    """A category stands beside the wrong card."""
    cards = [
        near(0, "", "Ковш", "Дом > Сад", {"image": 0.5, "title": 0.3}, 0.75),
        near(1, "", "", "", {"image": 0.6, "title": -0.1}, 0.25),
    ]
    row = SheetRow("Ковш новый", "", cards, predicted("Дом > Кухня"), "Дом > Сад", "q7")
    drawn = Drawn(row)
    legend = next(place for place, word in enumerate(drawn.words) if word.startswith("✓ the"))
    assert drawn.words[:legend] == [
        *("LISTING", "NEAREST CARDS"),
        *("Ковш новый", "q7", "predicted, 87% vote", "✗ Кухня", "Дом"),
        *("true category", "Сад", "Дом"),
        *("Ковш", "0", "no title", "1"),
        *("✓ Сад", "Дом", "✗ no category"),
        *("0.80", "similarity", "75%", "vote", "image", "0.50", "title", "0.30"),
        *("0.50", "similarity", "25%", "vote", "image", "0.60", "title", "−0.10"),
    ]


def test_the_true_category_is_not_said_twice() -> None:
    """Sheets would be higher than a screen for nothing."""
    right = Drawn(SheetRow("Ковш", "", [near()], predicted("A > B"), "A > B"))
    assert right.words.count("✓ B") == 1 and "true category" not in right.words


def test_pictures_are_those_of_the_listing_and_its_cards() -> None:
    """Cards are shown under each other's pictures."""
    row = SheetRow("", "q.png", [near(0, "0.png"), near(1, "1.png")])
    tops = {MARGIN + HEADING.line + GAP + PADDING}
    drawn = Drawn(row)
    assert [(left, width, path) for left, _, width, _, path in drawn.pictures] == [
        (MARGIN + ACCENT + PADDING, COLUMN, "q.png"),
        (FIRST_TILE, COLUMN, "0.png"),
        (FIRST_TILE + TILE_STEP, COLUMN, "1.png"),
    ]
    assert {top for _, top, *_ in drawn.pictures} == tops


def test_a_page_without_any_picture_has_no_fields_for_them() -> None:
    """A shop of texts scrolls through grey fields."""
    bare, one = (
        Drawn(SheetRow("Ковш", "", [near(), near(1, image)], None)) for image in ("", "a.png")
    )
    assert not bare.pictures and len(one.pictures) == 3
    assert one.height - bare.height >= PICTURE


def test_height_grows_with_the_rows_and_width_with_the_cards() -> None:
    """Rows lie upon one another, or cards beyond the edge."""
    row = SheetRow("Ковш", "", [near(0, "a.png")])
    heights = [Drawn(*[row] * count).height for count in (1, 2, 3)]
    assert heights[2] - heights[1] == heights[1] - heights[0] > PICTURE
    wide = [Drawn(SheetRow("", "", [near()] * n)).width for n in (1, 2, 6, 7)]
    assert wide[0] == 2 * MARGIN + QUERY_WIDTH + TILE_STEP
    assert np.diff(wide).tolist() == [TILE_STEP, 4 * TILE_STEP, 0]


def test_rows_are_apart_and_each_has_its_panel() -> None:
    rows = [SheetRow("Ковш", "a.png", [near()]), SheetRow("Ковш " * 30, "", [near()] * 2)]
    drawn = Drawn(*rows)
    (_, first, _, height, _), (_, second, _, last, _) = [b for b in drawn.boxes if b[4] == PANEL]
    assert second - (first + height) == GAP
    assert second + last < drawn.height - MARGIN
    for _, top, _, down, _ in drawn.pictures:
        assert any(a <= top and top + down <= a + h for a, h in ((first, height), (second, last)))


@pytest.mark.parametrize(
    ("truth", "words", "colour"), [("A > B", "✓", RIGHT), ("A > C", "✗", WRONG), (None, "", "")]
)
def test_right_and_wrong_differ_in_colour_and_in_sign(
    truth: str | None, words: str, colour: str
) -> None:
    """Whoever cannot tell the colours apart cannot tell right from wrong."""
    drawn = Drawn(SheetRow("Ковш", "", [near(category="A > B")], predicted("A > B"), truth))
    verdicts = [(t[2], t[3].colour) for t in drawn.texts if t[2] in ("✓ B", "✗ B")]
    # Of the answer, and of the card behind it.
    assert verdicts == ([(f"{words} B", colour)] * 2 if words else [])
    edges = [(width, fill) for _, _, width, _, fill in drawn.boxes if fill in (RIGHT, WRONG)]
    assert edges == ([(ACCENT, colour)] if words else [])


@pytest.mark.parametrize(
    ("category", "truth", "expected"),
    [("A", "A", True), ("A", "B", False), ("", "A", False), ("A", "", None), ("A", None, None)],
)
def test_what_is_right(category: str, truth: str | None, expected: bool | None) -> None:
    assert SheetRow("", "", [], predicted(category), truth).is_right is expected
    assert SheetRow("", "", [], None, truth).is_right is None


def bars(drawn: Drawn, colour: str = BAR) -> list[tuple[int, int]]:
    """Return where the bars begin and end, from the left end of their track on."""
    [start] = {left for left, _, _, _, fill in drawn.boxes if fill == TRACK}
    found = [(left - start, width) for left, _, width, _, fill in drawn.boxes if fill == colour]
    return [(left, left + width) for left, width in found]


def test_bars_follow_one_another_and_end_at_the_similarity() -> None:
    """The parts that are shown do not make up the similarity that is shown."""
    drawn = Drawn(SheetRow("", "", [near(parts={"image": 0.5, "title": 0.25, "learned": -0.25})]))
    [whole] = set(drawn.lengths(TRACK))
    half, most = round(whole / 2), round(whole * 0.75)
    assert whole > 40
    assert bars(drawn) == [(0, half), (half, most), (half, most)]
    for value in (-0.4, 0.0):
        assert bars(Drawn(SheetRow("", "", [near(parts={"image": value})]))) == []
    beyond = Drawn(SheetRow("", "", [near(parts={"image": 1.3})]))
    assert bars(beyond) == [(0, beyond.lengths(TRACK)[0])]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=6))
def test_the_figures_of_the_bars_sum_to_the_similarity_above_them(values: list[float]) -> None:
    """Whoever adds up 0.33, 0.33 and 0.33 gets another similarity than the sheet."""
    card = near(parts={f"block-{place}": value for place, value in enumerate(values)})
    words = [word.replace("−", "-") for word in Drawn(SheetRow("", "", [card])).words]
    figures = [float(word) for word in words if "." in word and word.lstrip("-")[:1].isdigit()]
    assert sum(figures[1:]) == pytest.approx(figures[0], abs=1e-9)
    for figure, value in zip(figures[1:], values, strict=True):
        assert figure == pytest.approx(value, abs=0.01 + 1e-9)


def test_what_is_learned_is_shown_by_its_sources() -> None:
    """One bar called "learned" says nothing of picture and text."""
    parts = {"title": 0.3, "learned:title": 0.25, "learned:image": 0.15, "learned:hubness": -0.1}
    drawn = Drawn(SheetRow("", "", [near(parts=parts)]))
    words = drawn.words[drawn.words.index("title") :]
    assert words[:6] == ["title", "0.55", "image", "0.15", "hubness", "−0.10"]
    assert "hubness: taken off" in words[6] and not any("pale" in word for word in words)


def test_a_modality_that_a_card_lacks_is_expected_and_marked() -> None:
    """A card without a picture seems to have one that is like the query's."""
    both, one = near(), near(1, lacks="image")
    drawn = Drawn(SheetRow("", "", [both, one]))
    assert (len(drawn.lengths(BAR)), len(drawn.lengths(EXPECTED))) == (3, 1)
    assert "pale: expected, because the card lacks it" in drawn.words[-1]
    assert "pale" not in Drawn(SheetRow("", "", [both])).words[-1]


def test_a_modality_that_the_listing_lacks_has_no_bar() -> None:
    other = SheetRow("", "", [near(parts={"title": 0.5})])
    drawn = Drawn(SheetRow("", "", [near()]), other)
    assert len(drawn.lengths(TRACK)) == 3 and drawn.words.count("none") == 1
    image, title, alone = drawn.tops(TRACK)
    assert title - image == BAR_ROW and alone > title


def test_bars_of_neighbouring_cards_stand_on_one_line() -> None:
    """Cards with long and short texts cannot be compared at a glance."""
    long = near(title="Ковш " * 9, category="A > Б")
    short = near(title="Ковш", category="Кухня")
    drawn = Drawn(SheetRow("", "", [short, long, short]))
    assert [drawn.tops(TRACK).count(top) for top in sorted(set(drawn.tops(TRACK)))] == [3, 3]


def test_many_blocks_are_not_cut() -> None:
    """The last modalities fall off the sheet."""

    def drawn(count: int) -> Drawn:
        blocks = {f"title:encoder-{i}": 1 / count for i in range(count)}
        return Drawn(SheetRow("", "", [near(parts=blocks)]))

    assert drawn(60).height - drawn(20).height == 40 * BAR_ROW
    assert len(drawn(40).lengths(BAR)) == 40


def test_the_vote_share_is_shown_where_there_is_one() -> None:
    shown = [Drawn(SheetRow("", "", [near(vote_share=share)])).words for share in (None, 0.25)]
    assert "vote" not in shown[0] and shown[1][shown[1].index("vote") - 1] == "25%"


def test_only_the_nearest_cards_are_shown_and_the_legend_says_so() -> None:
    few, many = (Drawn(SheetRow("", "", [near(n, str(n)) for n in range(m)])) for m in (6, 7))
    assert [path for *_, path in many.pictures] == ["", *"012345"]
    assert not set("6") & set(many.words)
    assert "the 6 nearest of those found" in many.words[-1] and "found" not in few.words[-1]


def test_the_legend_explains_only_what_is_there() -> None:
    """A legend of votes below a search that had none."""
    search = Drawn(SheetRow("", "", [near()]))
    assert search.words[-1] == "similarity: sum of the bars"
    card = near(parts={"image": 1.0}, vote_share=0.1)
    vote = " ".join(Drawn(SheetRow("", "", [card, near()], predicted("A"), "A")).words)
    for sign in ("✓ the true", "✗ another", "none: the listing", "vote: the card's share"):
        assert sign in vote and sign not in search.words[-1]


def test_listings_without_cards_and_sheets_without_listings() -> None:
    nothing, alone = Drawn(), Drawn(SheetRow("", "", []))
    assert nothing.words == ["LISTING", "NEAREST CARDS"]
    assert alone.words[2:] == ["no cards near it"]
    assert alone.height > nothing.height


@pytest.mark.parametrize(
    ("value", "written"),
    [(0.876, "0.88"), (-0.126, "−0.13"), (-0.001, "0.00"), (1.0000001, "1.00")],
)
def test_numbers(value: float, written: str) -> None:
    assert write_number(value) == written


# -- room --------------------------------------------------------------------------------------


def check_texts(drawn: Drawn, tiles: int) -> None:
    """Check that each text lies in a column, on the sheet, and over no other text or bar."""
    columns = [(MARGIN + ACCENT + PADDING, COLUMN)]
    columns += [(FIRST_TILE + number * TILE_STEP, COLUMN) for number in range(tiles)]
    legend = max(top + height for _, top, _, height, fill in drawn.boxes if fill == PANEL)
    boxes = []
    for x, y, text, font, anchor in drawn.texts:
        left = x - (font.face.getlength(text) if anchor[0] == "r" else 0)
        right = left + font.face.getlength(text)
        top = y - (font.face.getmetrics()[0] if anchor[1] == "s" else 0)
        assert top >= 0 and top + font.line <= drawn.height
        boxes.append((left, top, right, top + font.line))
        if font is not HEADING and y < legend:
            assert any(a <= left and right <= a + side for a, side in columns), text
    boxes += [(a, b, a + w, b + h) for a, b, w, h, fill in drawn.boxes if fill == TRACK]
    boxes += [(a, b, a + w, b + h) for a, b, w, h, _ in drawn.pictures]
    for (a, b, c, d), (e, f, g, h) in combinations(boxes, 2):
        assert a >= g or e >= c or b >= h or f >= d


@settings(max_examples=15, deadline=None)
@given(title=texts, category=texts, block=texts, share=st.sampled_from([None, 0.0, 1.0]))
def test_no_text_leaves_its_column(
    title: str, category: str, block: str, share: float | None
) -> None:
    """Long texts of a real shop run into one another."""
    card = near(0, "", title, category, {block: 1.0, "image": -1.0}, share)
    row = SheetRow(title, "", [card, near(), card], predicted(category, 1.0), category, title)
    check_texts(Drawn(row), tiles=3)


def test_long_cyrillic_texts_stay_in_their_columns() -> None:
    long = "Аксессуары для автомобильных видеорегистраторов " * 200
    path = " > ".join([long[:60]] * 8)
    card = near(0, "", "Щ" * 5000, path, {"очень длинное имя модальности": 1.0}, 1.0)
    check_texts(Drawn(SheetRow(long, "", [card] * 6, predicted(path, 1.0), path)), tiles=6)


@pytest.mark.parametrize("font", [TEXT, STRONG, FIGURE, SMALL, SMALL_FIGURE, HEADING])
def test_lines_do_not_touch(font: Font) -> None:
    """Letters with tails stand on the capitals of the next line."""
    _, top, _, bottom = font.face.getbbox("ЁЙÅgjруц,Щ")
    assert bottom - top < font.line


# -- painting ----------------------------------------------------------------------------------


def paint_pictures(paths: Sequence[str]) -> list[Image.Image]:
    canvas = Canvas()
    for number, path in enumerate(paths):
        canvas.picture(number * SIDE, 0, SIDE, SIDE, path)
    image = canvas.paint(SIDE * len(paths), SIDE)
    return [image.crop((n * SIDE, 0, (n + 1) * SIDE, SIDE)) for n in range(len(paths))]


@pytest.mark.parametrize(("size", "ratio"), [((40, 20), 2.0), ((300, 900), 1 / 3)])
def test_pictures_keep_their_shape(tmp_path: Path, size: tuple[int, int], ratio: float) -> None:
    """A wide sofa looks like an armchair."""
    [tile] = paint_pictures([painted(tmp_path / "red.png", RED, size)])
    width, height = size_of(has_colour(tile, RED))
    assert width / height == pytest.approx(ratio, rel=0.02)
    assert max(width, height) > 0.9 * SIDE


def test_a_thin_picture_is_drawn(tmp_path: Path) -> None:
    [tile] = paint_pictures([painted(tmp_path / "line.png", RED, (1000, 10))])
    assert size_of(has_colour(tile, RED)) == (SIDE - 2 * SPACE, 2)


def test_unreadable_pictures_leave_a_field_and_the_others_stay(tmp_path: Path) -> None:
    """One damaged file costs the whole sheet."""
    damaged = tmp_path / "damaged.jpg"
    damaged.write_bytes(b"\xff\xd8\xff\xe0 no picture")
    images = ["", str(damaged), str(tmp_path / "absent.png"), str(tmp_path), "a\0b.png"]
    images.append(painted(tmp_path / "green.png", GREEN))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tiles = paint_pictures(images)
    fields = [has_colour(tile, FIELD).mean() > 0.9 for tile in tiles]
    assert fields == [True] * 5 + [False]
    assert has_colour(tiles[5], GREEN).mean() > 0.8
    # The field has words on it, in the middle.
    words = ~has_colour(tiles[0].crop((20, 80, 180, 120)), FIELD)
    columns = np.flatnonzero(words.any(axis=0))
    assert abs((columns[0] + columns[-1] + 1) / 2 - 80) <= 2


def test_what_is_recorded_is_painted_where_it_was_put() -> None:
    """The record would be tested, and the sheet be empty."""
    canvas = Canvas()
    canvas.box(10, 20, 30, 5, RED)
    canvas.box(10, 20, 3, 5, GREEN)
    canvas.text(90, 40, "Ж", Font(20, WRONG), "ra")
    image = canvas.paint(100, 80)
    assert image.size == (100, 80)
    assert size_of(has_colour(image, RED)) == (27, 5)
    assert size_of(has_colour(image, GREEN)) == (3, 5)
    rows, columns = np.nonzero(has_colour(image, WRONG))
    assert rows.min() >= 40 and columns.min() > 60 and columns.max() <= 90


# -- files -------------------------------------------------------------------------------------


def test_the_file_is_written_and_replaced(tmp_path: Path) -> None:
    target = tmp_path / "лист.PNG"
    assert draw_sheet([SheetRow("", "", [])], str(target)) == (target,)
    first = target.read_bytes()
    row = SheetRow("Ковш", "", [near()])
    draw_sheet([row], target)
    with Image.open(target) as drawn:
        assert (drawn.format, drawn.mode) == ("PNG", "RGB")
        assert drawn.size == (Drawn(row).width, Drawn(row).height)
    assert target.read_bytes() != first


def test_more_than_six_listings_are_on_further_pages(tmp_path: Path) -> None:
    """A sheet of a whole delivery cannot be opened, or its end is missing."""
    rows = [SheetRow(f"Ковш {number}", "", [near()]) for number in range(13)]
    assert draw_sheet(rows[:6], tmp_path / "six.png") == (tmp_path / "six.png",)
    files = draw_sheet(rows, tmp_path / "лист.png")
    assert [file.name for file in files] == ["лист-1.png", "лист-2.png", "лист-3.png"]
    assert {file.name for file in tmp_path.iterdir()} == {"six.png", *(file.name for file in files)}
    heights = [Image.open(file).height for file in files]
    assert heights[0] == heights[1] == Drawn(*rows[:6]).height
    assert heights[2] == Drawn(rows[12]).height


@pytest.mark.parametrize("name", ["sheet.jpg", "sheet", "sheet.png.txt"])
def test_another_ending_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ProdcatError, match=r"ends in \.png"):
        draw_sheet([], tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_the_sheet_is_created(tmp_path: Path) -> None:
    """The work of a long prediction would be lost, where a report makes its folder."""
    draw_sheet([], tmp_path / "reports" / "sheet.png")
    assert (tmp_path / "reports" / "sheet.png").is_file()


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(ProdcatError, match=r"taken\.png cannot be written \(Is a directory\)"):
        draw_sheet([], tmp_path / "taken.png")
    with pytest.raises(ProdcatError, match="cannot be written"):
        draw_sheet([], f"{tmp_path}/a\0b.png")


def test_a_thumbnail_tells_nothing_but_the_picture(tmp_path: Path) -> None:
    """A photograph says where it was taken."""
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    path = tmp_path / "a.jpg"
    Image.new("RGB", (900, 300), "red").save(path, exif=exif, comment=b"taken at home")
    drawn = draw_card(str(path), "boots")
    assert drawn is not None and b"taken at home" not in drawn.content
    (tmp_path / "small.jpg").write_bytes(drawn.content)
    with Image.open(tmp_path / "small.jpg") as picture:
        assert picture.size[0] == THUMBNAIL and picture.format == "JPEG"
    assert draw_card("", "boots") is None and draw_card(str(tmp_path), "boots") is None
