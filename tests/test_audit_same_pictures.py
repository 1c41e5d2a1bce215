"""Pictures that are one photo, whatever was done to it, told from others of one look."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from random import Random

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from prodcat_index.audit.same_pictures import SAME, PictureMatches, match_pictures, nearest_pictures
from prodcat_index.types import Int64Array

Edit = Callable[[Image.Image], Image.Image]
SIDE = 200


def draw_product(seed: int, *, colour: str = "firebrick", handle: bool = True) -> Image.Image:
    """Draw a product of some parts on white; equal seeds draw the same shapes."""
    rng = Random(seed)
    picture = Image.new("RGB", (SIDE, SIDE), "white")
    draw = ImageDraw.Draw(picture)
    draw.rectangle((60, 50, 140, 170), fill=colour, outline="black", width=3)
    if handle:
        draw.arc((110, 70, 180, 140), -90, 90, fill="black", width=8)
    for _ in range(9):
        x, y, size = rng.randint(62, 120), rng.randint(52, 150), rng.randint(5, 22)
        shade = rng.choice(("gold", "navy", "seagreen", "white"))
        draw.ellipse((x, y, x + size, y + size), fill=shade, outline="black", width=2)
    return picture.filter(ImageFilter.GaussianBlur(1))


def with_bar(picture: Image.Image) -> Image.Image:
    """Lay a bar with words over the upper fifth."""
    picture = picture.copy()
    draw = ImageDraw.Draw(picture)
    draw.rectangle((0, 0, SIDE, SIDE // 5), fill="darkorange")
    draw.text((12, 10), "FREE DELIVERY", fill="black", font_size=22)
    return picture


def with_badge(picture: Image.Image) -> Image.Image:
    picture = picture.copy()
    ImageDraw.Draw(picture).ellipse((140, 140, 200, 200), fill="purple", outline="yellow", width=4)
    return picture


EDITS: dict[str, Edit] = {
    "same picture": lambda picture: picture.resize((90, 90)),
    "same picture, mirrored": lambda picture: picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
    "same picture, cropped": lambda picture: picture.crop((25, 5, 195, 175)),
    "same picture, mirrored, cropped": lambda picture: picture.transpose(
        Image.Transpose.FLIP_LEFT_RIGHT
    ).crop((10, 15, 190, 190)),
    "same picture, partly covered": with_bar,
}


def match(folder: Path, *pictures: Image.Image, quality: int = 80) -> PictureMatches:
    """Compare the first of some pictures with each of the others."""
    paths = []
    for number, picture in enumerate(pictures):
        paths.append(str(folder / f"{number}.jpg"))
        picture.save(paths[-1], quality=quality)
    others = np.arange(1, len(pictures))
    unknown = np.full(len(pictures), -1)
    return match_pictures(paths, unknown, np.zeros_like(others), others, np.full(len(others), True))


@pytest.mark.parametrize("said", EDITS)
@pytest.mark.parametrize("quality", [25, 90])
def test_a_changed_picture_is_recognised_and_it_is_said_what_was_done(
    said: str, quality: int, tmp_path: Path
) -> None:
    """A seller who mirrors a photo or lays a banner over it would sell it as another product."""
    for seed in range(3):
        picture = draw_product(seed)
        found = match(tmp_path, picture, EDITS[said](picture), quality=quality)
        assert found.probability[0] >= SAME
        assert found.describe(0) == said


def test_a_badge_is_left_out(tmp_path: Path) -> None:
    picture = draw_product(0)
    assert match(tmp_path, picture, with_badge(picture)).probability[0] >= SAME


def test_other_products_of_one_look_are_not_the_same(tmp_path: Path) -> None:
    """Products on white that differ in their parts would be called duplicates and removed."""
    pictures = [draw_product(seed) for seed in range(8)]
    found = match(tmp_path, *pictures)
    assert (found.probability < 0.1).all()
    assert {found.describe(pair) for pair in range(7)} == {"the pictures differ"}
    without = match(tmp_path, pictures[0], draw_product(0, handle=False))
    assert without.probability[0] < SAME


def test_a_variant_in_another_colour_is_told_from_the_same_picture(tmp_path: Path) -> None:
    """The red and the blue one would be called one listing twice."""
    found = match(tmp_path, draw_product(0), draw_product(0, colour="#2f4aa5"))
    assert found.probability[0] < SAME
    assert found.describe(0) == "same picture in other colours"


def test_what_is_known_of_files_is_not_read_and_what_cannot_be_is_not_compared(
    tmp_path: Path,
) -> None:
    """A missing file would stop the audit of a whole catalogue, or count as another picture."""
    drawn, blank, missing = (
        str(tmp_path / f"{name}.png") for name in ("drawn", "blank", "missing")
    )
    draw_product(0).save(drawn)
    Image.new("RGB", (50, 50), "white").save(blank)
    paths = [drawn, blank, missing, missing, "", drawn]
    files = np.array([0, 1, 2, 2, -1, -1])
    first, second = np.array([[2, 3], [0, 1], [0, 2], [0, 4], [0, 5]]).T
    found = match_pictures(paths, files, first, second, np.array([True] * 5))
    assert found.exact.tolist() == [True, False, False, False, True]
    assert found.describe(0) == "equal pictures"
    assert np.isnan(found.probability).tolist() == [False, True, True, True, False]
    assert found.describe(4) == "equal pictures"
    asked = match_pictures(paths, files, first, second, np.array([False] * 5))
    assert np.isnan(asked.probability).all()


def test_the_result_does_not_depend_on_the_order_or_number_of_pairs(tmp_path: Path) -> None:
    paths = []
    for seed in range(4):
        paths.append(str(tmp_path / f"{seed}.png"))
        draw_product(seed // 2, handle=seed % 2 == 0).save(paths[-1])
    pairs = np.array([(a, b) for a in range(4) for b in range(a)] * 60)
    unknown = np.full(4, -1)

    def compared(some: Int64Array) -> PictureMatches:
        return match_pictures(paths, unknown, *some.T, np.full(len(some), True))

    every = compared(pairs)
    order = np.random.default_rng(0).permutation(len(pairs))
    for column, shuffled in zip(every, compared(pairs[order]), strict=True):
        np.testing.assert_array_equal(column[order], shuffled)
    for column, few in zip(every, compared(pairs[:2]), strict=True):
        np.testing.assert_array_equal(column[:2], few)


def test_nearest_pictures_are_those_by_definition() -> None:
    """A copy that is not proposed is never looked at."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(60, 8))
    rows[7] = rows[33]
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    present = np.ones(60, dtype=bool)
    present[[4, 50]] = False
    found = nearest_pictures(rows.astype(np.float16), present, 3)
    cosines = rows.astype(np.float16).astype(np.float64) @ rows.T
    np.fill_diagonal(cosines, -2)
    cosines[:, ~present] = -2
    expected = np.argsort(-cosines, axis=1)[:, :3]
    for card in range(60):
        assert set(found[card]) == (set(expected[card]) if present[card] else {-1})
    assert found[7, 0] == 33
    assert (nearest_pictures(rows[:2], np.array([True, False]), 3) == -1).all()
    two = nearest_pictures(rows[:2], np.array([True, True]), 3)
    assert two.tolist() == [[1, -1, -1], [0, -1, -1]]


def test_of_many_pictures_the_copy_is_among_the_nearest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells leave out what is far; they must not leave out a copy."""
    monkeypatch.setattr("prodcat_index.audit.same_pictures.FEW_ROWS", 1000)
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(40, 32))[rng.integers(0, 40, 3000)] + rng.normal(size=(3000, 32)) / 2
    copies = rows[:300] + rng.normal(size=(300, 32)) / 50
    rows = np.concatenate([rows, copies])
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    found = nearest_pictures(rows.astype(np.float16), np.ones(3300, dtype=bool), 5)
    assert (found[3000:] == np.arange(300)[:, None]).any(axis=1).mean() > 0.99
    assert not (found == np.arange(3300)[:, None]).any()
