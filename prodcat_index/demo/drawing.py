"""Pictures of the demo's products: a drawn product on a lit backdrop, with props and stickers."""

from __future__ import annotations

from functools import cache
from random import Random
from typing import TYPE_CHECKING

import numpy as np

from prodcat_index.demo.pen import WHITE, Colour, Pen, View, darker, lighter, mix
from prodcat_index.demo.planning import Listing
from prodcat_index.demo.shapes import SHAPES, TURNS
from prodcat_index.demo.vocabulary import COLOURS
from prodcat_index.demo.wear import sprig
from prodcat_index.demo.writing import variant_colour

if TYPE_CHECKING:
    import numpy.typing as npt
    from PIL.Image import Image
    from PIL.ImageFont import FreeTypeFont, ImageFont

    Pixels = npt.NDArray[np.float32]


# The pen's colours are premultiplied; RGBX shrinks as it is, where RGBA converts there and back.
LAYER_MODE = "RGBX"
SIDE = 256
OVERSAMPLE = 3
PACKAGED = 0.12
STICKER = 0.22
WATERMARK = 0.15
TURN = 12.0
BACKDROPS: tuple[Colour, ...] = (
    *((244, 243, 240), (246, 246, 248), (250, 250, 250), (236, 228, 216), (222, 230, 228)),
    *((240, 220, 210), (214, 222, 232), (228, 222, 236), (248, 234, 206), (206, 214, 204)),
    *((120, 132, 140), (196, 160, 140)),
)
STICKERS: tuple[Colour, ...] = ((226, 68, 72), (250, 196, 60), (52, 152, 120), (70, 90, 180))


def draw_picture(listing: Listing, seed: int) -> Image:
    """Draw a listing's picture."""
    view = Random(f"{seed}|{listing.id}|view")
    layer = _layer(listing, seed, view)
    return _photograph(layer, view)


def relist_picture(picture: Image, seed: int, id_: str) -> Image:
    """Crop a picture a little, as a seller who lists the same product again would do."""
    rng = Random(f"{seed}|{id_}|crop")
    left, top = rng.randint(2, 10), rng.randint(2, 10)
    box = (left, top, SIDE - rng.randint(2, 10), SIDE - rng.randint(2, 10))
    return picture.resize((SIDE, SIDE), box=box)


def _layer(listing: Listing, seed: int, view: Random) -> Image:
    from PIL import Image

    form = Random(f"{seed}|{listing.product}|form")
    colour = COLOURS[variant_colour(listing, seed)][2]
    shape = "carton" if form.random() < PACKAGED else listing.leaf.shape
    large = SIDE * OVERSAMPLE
    layer = Image.new(LAYER_MODE, (large, large), 0)
    for _ in range(view.choice((0, 0, 1, 1, 2))):
        _prop(layer, view)
    SHAPES[shape](Pen(layer, _view(large, TURNS.get(shape, TURN), view)), colour, form)
    if view.random() < STICKER:
        _sticker(layer, view)
    return layer.reduce(OVERSAMPLE)


def _view(large: int, turn: float, rng: Random) -> View:
    centre = (large * rng.uniform(0.44, 0.56), large * rng.uniform(0.45, 0.55))
    unit = large * rng.uniform(0.3, 0.42)
    return View(centre, unit, rng.uniform(-turn, turn), rng.random() < 0.4)


def _prop(layer: Image, rng: Random) -> None:
    large = layer.width
    centre = (large * rng.choice((0.12, 0.88)), large * rng.uniform(0.55, 0.9))
    pen = Pen(layer, View(centre, large * rng.uniform(0.12, 0.2), rng.uniform(-30, 30)))
    tint = mix(rng.choice(COLOURS)[2], WHITE, 0.35)
    kind = rng.choice(("sprig", "cube", "ball", "card"))
    if kind == "sprig":
        sprig(pen, mix((110, 150, 110), tint, 0.3), 0, 1.0, 2.6)
    if kind == "cube":
        pen.box(-0.7, -0.7, 0.7, 0.7, tint, 0.1)
        pen.box(-0.7, 0.35, 0.7, 0.7, darker(tint, 0.15), 0.1)
    if kind == "ball":
        pen.disc(0, 0, 0.7, tint)
        pen.ellipse(-0.2, -0.25, 0.25, 0.2, lighter(tint, 0.5))
    if kind == "card":
        pen.box(-0.5, -0.9, 0.5, 0.9, (248, 244, 236), 0.05)
        for k in range(4):
            pen.stroke([(-0.32, -0.4 + 0.25 * k), (0.3, -0.4 + 0.25 * k)], 0.05, darker(tint, 0.3))


def _sticker(layer: Image, rng: Random) -> None:
    from PIL import ImageDraw

    large, colour = layer.width, rng.choice(STICKERS)
    centre = (large * rng.choice((0.16, 0.84)), large * rng.choice((0.16, 0.2)))
    pen = Pen(layer, View(centre, large * 0.1, rng.uniform(-15, 15)))
    if rng.random() < 0.5:
        pen.disc(0, 0, 1.0, colour)
    else:
        pen.box(-1.25, -0.65, 1.25, 0.65, colour, 0.2)
    words = rng.choice(("-20%", "-35%", "SALE", "NEW", "HIT", "990", "1+1"))
    font = _font(large * 0.075)
    ImageDraw.Draw(layer).text(centre, words, WHITE, font, anchor="mm")


@cache
def _font(size: float) -> FreeTypeFont | ImageFont:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _photograph(layer: Image, rng: Random) -> Image:
    from PIL import Image, ImageDraw, ImageFilter

    coverage = layer.getchannel(3)
    near = _levels(coverage.filter(ImageFilter.BoxBlur(3)))
    far = _levels(coverage.filter(ImageFilter.GaussianBlur(9)))
    shadow = rng.uniform(0.25, 0.45) * _fallen(far, 9, 5)
    light = _backlight(rng) * (1 - shadow) * (1 - _levels(coverage))
    wall = np.array(rng.choice(BACKDROPS), dtype=np.float32) / 255
    drawn = _levels(layer)[..., :3] * _relief(near)[..., None]
    scene: Pixels = light[..., None] * wall + drawn
    finished = Image.fromarray(_developed(scene, rng))
    if rng.random() < WATERMARK:
        font = _font(13)
        ImageDraw.Draw(finished).text((SIDE - 8, SIDE - 8), "POLKA", (190, 190, 194), font, "rs")
    return finished


def _levels(image: Image) -> Pixels:
    levels: Pixels = np.asarray(image, dtype=np.float32) * np.float32(1 / 255)
    return levels


def _fallen(shadow: Pixels, down: int, right: int) -> Pixels:
    return np.pad(shadow, ((down, 0), (right, 0)), mode="edge")[:SIDE, :SIDE]


def _relief(height: Pixels) -> Pixels:
    framed = np.pad(height, 2, mode="edge")
    slope = framed[4:, 4:] - framed[:-4, :-4]
    light: Pixels = 1 + np.float32(0.32) * slope * height
    return light


def _backlight(rng: Random) -> Pixels:
    columns = np.linspace(0, 1, SIDE, dtype=np.float32)
    rows = columns[:, None]
    x, y = rng.uniform(0.25, 0.75), rng.uniform(0.2, 0.5)
    light = 1.03 - rng.uniform(0.08, 0.3) * ((columns - x) ** 2 + (rows - y) ** 2)
    if rng.random() < 0.5:
        horizon = rng.uniform(0.62, 0.78)
        light = light - rng.uniform(0.04, 0.12) / (1 + np.exp((horizon - rows) * 90))
    return np.asarray(light, dtype=np.float32)


def _developed(scene: Pixels, rng: Random) -> npt.NDArray[np.uint8]:
    grain = np.random.default_rng(rng.getrandbits(32))
    noise = grain.standard_normal((SIDE, SIDE, 1), dtype=np.float32)
    exposure = 255 * rng.uniform(0.92, 1.04)
    warmth = [exposure * rng.uniform(0.97, 1.03) for _ in range(3)]
    scene += noise * np.float32(rng.uniform(0.004, 0.02))
    scene *= np.array(warmth, dtype=np.float32)
    levels: npt.NDArray[np.uint8] = np.clip(scene, 0, 255, out=scene).astype(np.uint8)
    return levels
