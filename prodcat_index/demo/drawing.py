"""Pictures of the demo's products: a drawn product on a lit backdrop, with props and stickers.

A shape of ``shop.json`` is a list of lines. ``|`` separates the alternatives of a line, of which a
product has one; ``;`` separates the parts of an alternative. A part is ``[both] KIND PAINT
NUMBERS`` in coordinates from -1 to 1, y down; ``both`` draws it mirrored too. ``main-20`` is the
product's colour made 20 % darker. The kinds:

- ``ellipse`` x y rx ry; ``box`` left top right bottom [corner radius]; ``poly`` x y x y ...
- ``blob`` x y x y ...: a smooth closed curve; ``line`` width x y x y ...: a smooth line
- ``dots`` count x y radius size: discs on a circle, the first at its top
- ``body`` y half y half ...: a round body by its half width at each y, lit from the left
- ``text`` size word; ``use SHAPE``: the lines of another shape
"""

from __future__ import annotations

import re
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np

from prodcat_index.demo.listings import SHOP, Listing, variant_colour
from prodcat_index.types import Float32Array, Float64Array

if TYPE_CHECKING:
    from collections.abc import Sequence

    from PIL.Image import Image

    # Red, green, blue and, where it is translucent, opacity.
    Colour = Sequence[int]

SIDE = 256
# Pictures are drawn larger and averaged down, as Pillow's polygons have hard edges.
OVERSAMPLE = 3
# Share of products shown in their package, degrees that a shape is turned, share it is stretched.
PACKAGED = 0.12
TURN = 12.0
STRETCH = 0.14
BODY_SLICES = 26
CURVE_STEPS = 6
DARK, WHITE = (20, 16, 24), (255, 255, 255)
_ANGLES = np.linspace(0, 2 * np.pi, 40, endpoint=False)
_CIRCLE = np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)])


def draw_picture(listing: Listing, seed: int) -> Image:
    """Draw a listing's picture; the variants of a product differ in colour and view alone."""
    from PIL import Image

    form = Random(f"{seed}|{listing.product}|form")
    view = Random(f"{seed}|{listing.id}|view")
    # Colours are premultiplied by their opacity, and RGBX is averaged as it is.
    layer = Image.new("RGBX", (SIDE * OVERSAMPLE, SIDE * OVERSAMPLE), 0)
    pen = Pen(layer, view)
    for side in (0.12, 0.88):
        pen.draw("prop", _any_colour(view), (side, view.uniform(0.55, 0.9)), 0.16, view)
    shape = "carton" if form.random() < PACKAGED else form.choice(listing.leaf.shapes)
    centre = view.uniform(0.44, 0.56), view.uniform(0.45, 0.55)
    colour = variant_colour(listing, seed)["rgb"]
    pen.draw(shape, colour, centre, view.uniform(0.3, 0.42), form)
    pen.draw("sticker", _any_colour(view), (view.choice((0.16, 0.84)), 0.18), 0.1, view)
    pen.draw("watermark", WHITE, (0.86, 0.94), 0.1, view)
    return _photograph(layer.reduce(OVERSAMPLE), view)


def _any_colour(rng: Random) -> Colour:
    return rng.choice(SHOP["colours"])["rgb"]


def relist_picture(picture: Image, seed: int, id_: str) -> Image:
    """Crop a picture a little, as a seller who lists the same product again would do."""
    rng = Random(f"{seed}|{id_}|crop")
    left, top, right, bottom = (rng.randint(2, 10) for _ in range(4))
    return picture.resize((SIDE, SIDE), box=(left, top, SIDE - right, SIDE - bottom))


class Pen:
    """Draws shapes on a layer, each turned at random by ``view``."""

    def __init__(self, layer: Image, view: Random) -> None:
        from PIL import ImageDraw

        self._canvas = ImageDraw.Draw(layer)
        self._side = layer.width
        self._view = view

    def draw(
        self, name: str, colour: Colour, at: tuple[float, float], size: float, form: Random
    ) -> None:
        """Draw a shape of a size around a point, in shares of the layer's side.

        ``form`` decides what the variants of a product share: alternatives, paints and stretch.
        """
        shape = SHOP["shapes"][name]
        self._form = form
        self._paints = _palette(colour, form)
        self._centre = self._side * np.array(at)
        self._unit = self._side * size
        spread = shape.get("stretch", STRETCH)
        scale = self._unit * (1 + spread * np.array([form.uniform(-1, 1), form.uniform(-1, 1)]))
        scale[0] *= self._view.choice((1, 1, -1))
        turn = np.radians(self._view.uniform(-1, 1) * shape.get("turn", TURN))
        rotation = [[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]]
        self._matrix = scale[:, None] * rotation
        self._draw_lines(name)

    def _draw_lines(self, name: str) -> None:
        for line in SHOP["shapes"][name]["parts"]:
            for part in self._form.choice(line.split("|")).split(";"):
                self._draw_part(part.split())

    def _draw_part(self, words: list[str]) -> None:
        if not words:
            return
        kind, *rest = words
        if kind == "both":
            for _ in range(2):
                self._draw_part(rest)
                self._matrix[0] *= -1
        elif kind == "use":
            self._draw_lines(rest[0])
        elif kind == "text":
            self._write(rest[2], float(rest[1]), self._colour(rest[0]))
        else:
            self._draw_figure(kind, self._colour(rest[0]), [float(word) for word in rest[1:]])

    def _draw_figure(self, kind: str, colour: Colour, numbers: list[float]) -> None:
        if kind == "ellipse":
            self._fill(numbers[:2] + _CIRCLE * numbers[2:], colour)
        elif kind == "box":
            self._fill(_box(*numbers), colour)
        elif kind == "dots":
            count, x, y, radius, size = numbers
            for angle in np.arange(count) * 2 * np.pi / count:
                centre = (x + radius * np.sin(angle), y - radius * np.cos(angle))
                self._fill(centre + _CIRCLE * size, colour)
        elif kind == "line":
            self._stroke(_smooth(_points(numbers[1:])), numbers[0], colour)
        elif kind == "body":
            self._turn_body(_smooth(_points(numbers)), colour)
        else:
            points = _points(numbers)
            self._fill(_smooth(points, closed=True) if kind == "blob" else points, colour)

    def _colour(self, paint: str) -> Colour:
        name, sign, percent = re.split(r"([+-]|$)", paint, maxsplit=1)
        return _mix(self._paints[name], WHITE if sign == "+" else DARK, int(percent or 0) / 100)

    def _place(self, points: Float64Array) -> list[float]:
        return (points @ self._matrix + self._centre).ravel().tolist()

    def _fill(self, points: Float64Array, colour: Colour) -> None:
        self._canvas.polygon(self._place(points), fill=_premultiplied(colour))

    def _stroke(self, points: Float64Array, width: float, colour: Colour) -> None:
        placed, pixels = self._place(points), max(1, round(width * self._unit))
        self._canvas.line(placed, fill=_premultiplied(colour), width=pixels, joint="curve")
        for x, y in (placed[:2], placed[-2:]):
            self._canvas.circle((x, y), pixels / 2 - 0.5, fill=_premultiplied(colour))

    def _turn_body(self, profile: Float64Array, colour: Colour) -> None:
        y, half = profile.T
        for left in np.linspace(-1, 1, BODY_SLICES, endpoint=False):
            # A slice reaches a little into the next one, so that no gap shows between them.
            right = min(1.0, left + 2.6 / BODY_SLICES)
            light = 1 - abs(left + 1 / BODY_SLICES + 0.4) ** 1.6
            lit = _mix(colour, WHITE, 0.38 * light) if light > 0 else _mix(colour, DARK, -light / 2)
            edges = np.column_stack([half * left, y]), np.column_stack([half * right, y])[::-1]
            self._fill(np.vstack(edges), lit)

    def _write(self, text: str, size: float, colour: Colour) -> None:
        from PIL import ImageFont

        font = ImageFont.load_default(size * self._unit)
        self._canvas.text(tuple(self._centre), text, _premultiplied(colour), font, anchor="mm")


def _palette(colour: Colour, form: Random) -> dict[str, Colour]:
    paints: dict[str, Any] = SHOP["paints"]
    return {
        **paints,
        "main": colour,
        "ink": _mix(colour, DARK if sum(colour) > 420 else WHITE, 0.45),
        "trim": paints[form.choice(SHOP["trims"])],
        "glass": (*_mix(colour, paints["clear"], form.uniform(0.5, 0.85)), 150),
        "fur": _mix(colour, paints["wood"], form.uniform(0.4, 0.9)),
        "card": _mix(colour, paints["cardboard"], form.uniform(0.2, 0.9)),
    }


def _mix(one: Colour, other: Colour, share: float) -> Colour:
    """Blend two colours; share 0 is the first, 1 the second. The first one's opacity stays."""
    mixed = (round(a + (b - a) * share) for a, b in zip(one[:3], other[:3], strict=True))
    return (*mixed, *one[3:])


def _premultiplied(colour: Colour) -> tuple[int, ...]:
    opacity = colour[3] if len(colour) > 3 else 255
    return (*(part * opacity // 255 for part in colour[:3]), opacity)


def _points(numbers: list[float]) -> Float64Array:
    return np.array(numbers).reshape(-1, 2)


def _box(left: float, top: float, right: float, bottom: float, corner: float = 0.0) -> Float64Array:
    centre = np.array([left + right, top + bottom]) / 2
    inner = np.array([right - left, bottom - top]) / 2 - corner
    return centre + np.sign(_CIRCLE) * inner + _CIRCLE * corner


def _smooth(points: Float64Array, closed: bool = False) -> Float64Array:
    """Run a Catmull-Rom curve through points, (n, 2)."""
    count = len(points)
    padded = np.pad(points, ((1, 2), (0, 0)), mode="wrap" if closed else "edge")
    before, start, end, after = (padded[k : k + count, None] for k in range(4))
    t = (np.arange(CURVE_STEPS) / CURVE_STEPS)[:, None]
    cubic = 3 * (start - end) + after - before
    square = 2 * before - 5 * start + 4 * end - after
    curve = (start + (t * (end - before) + t**2 * square + t**3 * cubic) / 2).reshape(-1, 2)
    return curve if closed else curve[: (count - 1) * CURVE_STEPS + 1]


def _photograph(layer: Image, rng: Random) -> Image:
    """Set a layer before a backdrop, with shadow, relief, uneven light and grain."""
    from PIL import Image, ImageFilter

    coverage = layer.getchannel(3)
    wide = _levels(coverage.filter(ImageFilter.GaussianBlur(9)))
    # The shadow falls 9 pixels down and 5 to the right.
    shadow = np.pad(wide, ((9, 0), (5, 0)), mode="edge")[:SIDE, :SIDE]
    light = _backlight(rng) * (1 - rng.uniform(0.25, 0.45) * shadow) * (1 - _levels(coverage))
    height = _levels(coverage.filter(ImageFilter.BoxBlur(3)))
    framed = np.pad(height, 2, mode="edge")
    relief = 1 + 0.32 * (framed[4:, 4:] - framed[:-4, :-4]) * height
    backdrop = _levels(rng.choice(SHOP["backdrops"]))
    scene = light[..., None] * backdrop + _levels(layer)[..., :3] * relief[..., None]
    noise = np.random.default_rng(rng.getrandbits(32))
    scene += rng.uniform(0.004, 0.02) * noise.standard_normal((SIDE, SIDE, 1), dtype=np.float32)
    exposure = [255 * rng.uniform(0.93, 1.03) for _ in range(3)]
    return Image.fromarray((scene * exposure).clip(0, 255).astype(np.uint8))


def _levels(image: Any) -> Float32Array:
    return np.asarray(image, dtype=np.float32) / np.float32(255)


def _backlight(rng: Random) -> Float32Array:
    columns = np.linspace(0, 1, SIDE, dtype=np.float32)
    rows = columns[:, None]
    x, y = rng.uniform(0.25, 0.75), rng.uniform(0.2, 0.5)
    light = 1.03 - rng.uniform(0.08, 0.3) * ((columns - x) ** 2 + (rows - y) ** 2)
    # The edge of a table, a few pixels wide, in half of the pictures.
    table = rng.choice((0, rng.uniform(0.04, 0.12)))
    return light - np.float32(table) / (1 + np.exp((rng.uniform(0.62, 0.78) - rows) * 90))
