"""Drawing of the demo: every shape is seen, variants look alike, the pen draws what is written."""

from dataclasses import replace
from random import Random

import numpy as np
import pytest
from PIL import Image

from prodcat_index.demo import drawing
from prodcat_index.demo.drawing import Pen, draw_picture, relist_picture
from prodcat_index.demo.listings import LEAVES, SHOP, Listing, plan_listings

SHAPES = {"carton", *(shape for leaf in LEAVES for shape in leaf.shapes)}


class Straight(Random):
    """A view that neither turns nor mirrors."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2

    def choice(self, seq):
        return seq[0]


class Mirrored(Straight):
    def choice(self, seq):
        return seq[-1]


def drawn(part: str, monkeypatch, view: Random | None = None, colour=(200, 100, 50)) -> np.ndarray:
    """Draw one part at the centre of a layer of 100 x 100, with a unit of 40 pixels."""
    monkeypatch.setitem(SHOP["shapes"], "probe", {"turn": 0, "parts": [part]})
    layer = Image.new("RGBX", (100, 100), 0)
    Pen(layer, view or Straight()).draw("probe", colour, (0.5, 0.5), 0.4, Straight())
    return np.asarray(layer)


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_every_shape_draws_inside_the_picture(shape):
    """Else a category's pictures are empty, or cut off."""
    for seed in range(8):
        layer = Image.new("RGBX", (300, 300), 0)
        Pen(layer, Random(seed)).draw(shape, (204, 106, 76), (0.5, 0.5), 0.36, Random(seed))
        opacity = np.asarray(layer)[..., 3]
        assert (opacity > 0).mean() > 0.03
        edge = np.concatenate([opacity[0], opacity[-1], opacity[:, 0], opacity[:, -1]])
        assert not edge.any()


def test_pictures_differ_by_seed():
    """Else the seed is a promise without effect."""
    one = plan_listings(120, 0)[1][0]
    assert draw_picture(one, 0).tobytes() == draw_picture(one, 0).tobytes()
    assert draw_picture(one, 0).tobytes() != draw_picture(one, 1).tobytes()


def test_variants_have_one_form_and_two_colours(monkeypatch):
    """Else pictures of one product look like two products, or like copies."""
    seen = []
    monkeypatch.setattr(
        Pen, "draw", lambda pen, name, colour, at, size, form: seen.append((name, colour, form))
    )
    one = Listing("P1", LEAVES[2], "P0001", 0, LEAVES[2].category, "G1")
    for listing in (one, replace(one, id="P2", variant=1)):
        draw_picture(listing, 0)
    first, second = (part for part in seen if part[0] in SHAPES)
    assert first[0] == second[0]
    assert first[1] != second[1]
    assert first[2].random() == second[2].random()


def test_categories_share_shapes_where_a_picture_must_not_settle_them():
    """Else the pictures alone solve the demo and the other modalities add nothing."""
    shapes = {leaf.category: set(leaf.shapes) for leaf in LEAVES}
    for one, other in [
        ("Footwear > Sneakers", "Footwear > Boots"),
        ("Electronics > Phone Cases", "Electronics > Smartphones"),
        ("Accessories > Wrist Watches", "Electronics > Smart Watches"),
        ("Kitchen > Mugs", "Kitchen > Glasses"),
        ("Home > Pillows", "Home > Pillow Covers"),
    ]:
        assert shapes[one] & shapes[other]


def test_packages_are_shown_at_times(monkeypatch):
    """Else no picture misleads, which real shops' pictures do."""
    names = []
    monkeypatch.setattr(Pen, "draw", lambda pen, name, *_: names.append(name))
    monkeypatch.setattr(drawing, "_photograph", lambda layer, rng: layer)
    for listing in plan_listings(400, 0)[0][:200]:
        draw_picture(listing, 0)
    assert 0.06 < names.count("carton") / 200 < 0.2


def test_relisted_picture_is_a_crop_of_the_same_size():
    """Else the near-duplicate search has nothing near to find, or finds exact copies only."""
    picture = draw_picture(plan_listings(120, 0)[0][0], 0)
    crop = relist_picture(picture, 0, "P9")
    assert crop.size == picture.size == (256, 256)
    difference = np.asarray(crop, dtype=float) - np.asarray(picture, dtype=float)
    assert 0 < np.abs(difference).mean() < 25


def test_ellipse_lies_where_it_is_written(monkeypatch):
    """Else every shape of the data file is drawn elsewhere."""
    layer = drawn("ellipse main 0.5 -0.25 0.2 0.1", monkeypatch)
    rows, columns = np.nonzero(layer[..., 3])
    assert (columns.min(), columns.max()) == (62, 78)
    assert (rows.min(), rows.max()) == (36, 44)
    assert tuple(layer[40, 70]) == (200, 100, 50, 255)


def test_box_has_its_corners_rounded(monkeypatch):
    """Else phones and cartons look alike."""
    sharp = drawn("box main -0.5 -0.5 0.5 0.5", monkeypatch)[..., 3]
    rounded = drawn("box main -0.5 -0.5 0.5 0.5 0.25", monkeypatch)[..., 3]
    assert sharp[31, 31] == 255
    assert rounded[31, 31] == 0
    assert rounded[31, 50] == rounded[50, 31] == 255


def test_both_draws_the_part_and_its_mirror_image(monkeypatch):
    """Else headphones have one ear."""
    layer = drawn("both ellipse main 0.5 0 0.1 0.1", monkeypatch)
    assert layer[50, 70, 3] == layer[50, 30, 3] == 255
    assert layer[50, 50, 3] == 0


def test_mirrored_view_swaps_left_and_right(monkeypatch):
    """Else all shoes point to the right."""
    layer = drawn("ellipse main 0.5 0.25 0.1 0.1", monkeypatch, Mirrored())
    assert layer[60, 30, 3] == 255
    assert layer[60, 70, 3] == 0


def test_turned_view_turns_clockwise(monkeypatch):
    """Else products lie on the wrong side of their shadows and props."""
    view = Straight()
    view.uniform = lambda a, b: b
    monkeypatch.setitem(
        SHOP["shapes"], "probe", {"turn": 90, "parts": ["ellipse main 1 0 0.1 0.1"]}
    )
    layer = Image.new("RGBX", (100, 100), 0)
    Pen(layer, view).draw("probe", (9, 9, 9), (0.5, 0.5), 0.4, Straight())
    assert np.asarray(layer)[90, 50, 3] == 255


def test_line_has_its_width_and_passes_through_its_points(monkeypatch):
    """Else handles and straps miss what they belong to."""
    opacity = drawn("line main 0.1 -0.5 0 0 0.5 0.5 0", monkeypatch)[..., 3]
    for column, row in ((30, 50), (50, 70), (70, 50)):
        assert opacity[row, column] == 255
    assert 3 <= (opacity[:, 50] > 0).sum() <= 5


def test_closed_curve_encloses_its_points_and_passes_them(monkeypatch):
    """Else outlines miss the forms that they were drawn for."""
    points = np.array([(0.0, 0.0), (1.0, 2.0), (3.0, 1.0)])
    for closed, length in ((False, 13), (True, 18)):
        curve = drawing._smooth(points, closed=closed)
        assert curve.shape == (length, 2)
        for point in points:
            assert np.abs(curve - point).sum(axis=1).min() == pytest.approx(0)
    assert drawing._smooth(points)[-1] == pytest.approx(points[-1])
    straight = drawing._smooth(points[:2])
    assert straight[:, 1] == pytest.approx(2 * straight[:, 0])


def test_dots_start_at_the_top_and_go_around(monkeypatch):
    """Else a dial has its twelve elsewhere."""
    opacity = drawn("dots main 4 0 0 0.5 0.08", monkeypatch)[..., 3]
    for column, row in ((50, 30), (70, 50), (50, 70), (30, 50)):
        assert opacity[row, column] == 255
    assert opacity[50, 50] == 0


def test_body_is_lit_from_the_left(monkeypatch):
    """Else vessels look flat and cannot be told from boxes."""
    layer = drawn("body main -0.5 0.5 0.5 0.5", monkeypatch)
    red = layer[50, :, 0].astype(int)
    assert red[42] > 200 > red[66]
    assert (layer[50, 31:69, 3] == 255).all()
    assert layer[50, 25, 3] == layer[50, 75, 3] == 0


def test_translucent_paint_is_premultiplied(monkeypatch):
    """Else glasses shine brighter than the light that falls on them."""
    monkeypatch.setitem(SHOP["paints"], "film", (200, 100, 50, 51))
    layer = drawn("box film -1 -1 1 1", monkeypatch)
    assert tuple(layer[50, 50]) == (40, 20, 10, 51)


@pytest.mark.parametrize(
    ("paint", "colour"),
    [("main", (200, 100, 50)), ("main+50", (228, 178, 152)), ("main-50", (110, 58, 37))],
)
def test_paints_are_made_lighter_and_darker(paint, colour, monkeypatch):
    """Else shapes lose the shades that show their form."""
    assert tuple(drawn(f"box {paint} -1 -1 1 1", monkeypatch)[50, 50, :3]) == colour


def test_one_alternative_of_a_line_is_drawn_and_all_its_parts(monkeypatch):
    """Else a mug has all patterns at once, or half of one."""
    line = "ellipse main -0.5 0 0.1 0.1; ellipse main 0 0 0.1 0.1 | ellipse main 0.5 0 0.1 0.1"
    opacity = drawn(line, monkeypatch)[..., 3]
    assert opacity[50, 30] == opacity[50, 50] == 255
    assert opacity[50, 70] == 0


def test_shapes_use_other_shapes_and_text(monkeypatch):
    """Else labels and stickers are missing."""
    monkeypatch.setitem(SHOP["shapes"], "inner", {"parts": ["ellipse main 0.5 0 0.1 0.1"]})
    assert drawn("use inner", monkeypatch)[50, 70, 3] == 255
    written = np.nonzero(drawn("text main 0.5 SALE", monkeypatch)[..., 3])
    assert 15 < np.ptp(written[1]) < 80
    assert written[1].mean() == pytest.approx(50, abs=4)


def test_every_line_of_every_shape_can_be_drawn():
    """Else a rare alternative fails only for some seeds."""
    layer = Image.new("RGBX", (60, 60), 0)
    for name, shape in SHOP["shapes"].items():
        pen = Pen(layer, Straight())
        pen.draw(name, (99, 99, 99), (0.5, 0.5), 0.4, Straight())
        for line in shape["parts"]:
            for part in line.replace("|", ";").split(";"):
                pen._draw_part(part.split())
        assert set(shape) <= {"turn", "stretch", "parts"}


def test_shadow_falls_down_and_to_the_right():
    """Else pictures look pasted together."""
    layer = Image.new("RGBX", (256, 256), 0)
    Pen(layer, Straight()).draw("cube", (0, 0, 0), (0.5, 0.5), 0.25, Straight())
    plain = Image.new("RGBX", (256, 256), 0)
    shaded, bare = (
        np.asarray(drawing._photograph(picture, Random(5)), dtype=int).sum(axis=2)
        for picture in (layer, plain)
    )
    loss = bare - shaded
    below, above = loss[178:186, 128].mean(), loss[70:78, 128].mean()
    assert below > above + 5
    assert loss[128, 178:186].mean() > loss[128, 70:78].mean() + 5
