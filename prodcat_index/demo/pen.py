"""A pen that draws smooth, turned and scaled shapes in a product's own coordinates."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, radians, sin
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image


Colour = tuple[int, ...]
Points = Sequence[tuple[float, float]]

WHITE: Colour = (255, 255, 255)
BLACK: Colour = (30, 30, 34)
STEEL: Colour = (188, 194, 202)
BRASS: Colour = (206, 168, 98)
WOOD: Colour = (186, 138, 92)
SLICES = 26
CURVE_STEPS = 6


def mix(one: Colour, other: Colour, share: float) -> Colour:
    """Blend two colours; ``share`` 0 is the first, 1 the second."""
    return tuple(round(a + (b - a) * share) for a, b in zip(one[:3], other[:3], strict=True))


def darker(colour: Colour, share: float = 0.25) -> Colour:
    """Blend a colour towards black."""
    return mix(colour, (20, 16, 24), share)


def lighter(colour: Colour, share: float = 0.3) -> Colour:
    """Blend a colour towards white."""
    return mix(colour, WHITE, share)


def premultiplied(colour: Colour) -> Colour:
    """Scale a colour by its opacity, the fourth part; without one it is opaque."""
    alpha = colour[3] if len(colour) > 3 else 255
    return (*(part * alpha // 255 for part in colour[:3]), alpha)


def lit(colour: Colour, across: float) -> Colour:
    """Colour of a round body at ``across`` (-1 left edge, 1 right edge), lit from the left."""
    light = 1 - abs(across + 0.4) ** 1.6
    return lighter(colour, 0.38 * light) if light > 0 else darker(colour, -0.5 * light)


def curve(points: Points, closed: bool = False) -> list[tuple[float, float]]:
    """Run a smooth (Catmull-Rom) curve through the points."""
    ends = (points[-1], points[0], points[1]) if closed else (points[0], points[-1], points[-1])
    padded = [ends[0], *points, *ends[1:]]
    smooth = [
        _between(padded[k : k + 4], step / CURVE_STEPS)
        for k in range(len(padded) - 3)
        for step in range(CURVE_STEPS)
    ]
    return smooth if closed else [*smooth[: (len(points) - 1) * CURVE_STEPS], points[-1]]


def _between(four: Points, t: float) -> tuple[float, float]:
    weights = (
        (-t + 2 * t * t - t**3) / 2,
        (2 - 5 * t * t + 3 * t**3) / 2,
        (t + 4 * t * t - 3 * t**3) / 2,
        (t**3 - t * t) / 2,
    )
    return (
        sum(w * p[0] for w, p in zip(weights, four, strict=True)),
        sum(w * p[1] for w, p in zip(weights, four, strict=True)),
    )


def ring(
    cx: float, cy: float, rx: float, ry: float, start: float = 0, end: float = 360
) -> list[tuple[float, float]]:
    """Points of an ellipse, or of its arc between two angles in degrees (0 right, 90 down)."""
    steps = 40
    angles = [radians(start + (end - start) * k / steps) for k in range(steps + 1)]
    return [(cx + rx * cos(a), cy + ry * sin(a)) for a in angles]


@dataclass(frozen=True)
class View:
    """Where and how a product stands in a picture."""

    centre: tuple[float, float]
    unit: float
    turn: float = 0.0
    mirrored: bool = False


class Pen:
    """Draws on a layer in coordinates from -1 to 1, y down."""

    def __init__(self, layer: Image, view: View) -> None:
        from PIL import ImageDraw

        self._draw = ImageDraw.Draw(layer)
        self._view = view
        self._cos = cos(view.turn * pi / 180)
        self._sin = sin(view.turn * pi / 180)

    def _place(self, points: Points) -> list[tuple[float, float]]:
        unit, (cx, cy) = self._view.unit, self._view.centre
        side = -unit if self._view.mirrored else unit
        return [
            (
                cx + side * x * self._cos - unit * y * self._sin,
                cy + side * x * self._sin + unit * y * self._cos,
            )
            for x, y in points
        ]

    def fill(self, points: Points, colour: Colour) -> None:
        """Fill a polygon; a fourth part of the colour is its opacity."""
        self._draw.polygon(self._place(points), fill=premultiplied(colour))

    def blob(self, points: Points, colour: Colour) -> None:
        """Fill a smooth closed curve through the points."""
        self.fill(curve(points, closed=True), colour)

    def ellipse(self, cx: float, cy: float, rx: float, ry: float, colour: Colour) -> None:
        """Fill an ellipse."""
        self.fill(ring(cx, cy, rx, ry), colour)

    def disc(self, cx: float, cy: float, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        self.ellipse(cx, cy, radius, radius, colour)

    def box(
        self, x0: float, y0: float, x1: float, y1: float, colour: Colour, corner: float = 0.0
    ) -> None:
        """Fill a rectangle with rounded corners."""
        if not corner:
            return self.fill([(x0, y0), (x1, y0), (x1, y1), (x0, y1)], colour)
        corners = (
            (x1 - corner, y1 - corner, 0),
            (x0 + corner, y1 - corner, 90),
            (x0 + corner, y0 + corner, 180),
            (x1 - corner, y0 + corner, 270),
        )
        outline = [
            p for x, y, angle in corners for p in ring(x, y, corner, corner, angle, angle + 90)
        ]
        return self.fill(outline, colour)

    def stroke(self, points: Points, width: float, colour: Colour) -> None:
        """Draw a line with round ends; ``width`` in product units."""
        ink = premultiplied(colour)
        placed, pixels = self._place(points), max(1, round(width * self._view.unit))
        self._draw.line(placed, fill=ink, width=pixels, joint="curve")
        for x, y in (placed[0], placed[-1]):
            half = pixels / 2 - 0.5
            self._draw.ellipse((x - half, y - half, x + half, y + half), fill=ink)

    def lathe(self, profile: Points, colour: Colour, alpha: int = 255, smooth: bool = True) -> None:
        """Draw a round body from its profile of (y, half width), shaded from the left."""
        outline = curve(profile) if smooth else profile
        for k in range(SLICES):
            left, right = (2 * k / SLICES - 1, min(1.0, 2 * (k + 1.3) / SLICES - 1))
            edge = [(half * left, y) for y, half in outline]
            edge += [(half * right, y) for y, half in reversed(outline)]
            self.fill(edge, (*lit(colour, left + 1 / SLICES), alpha))

    def rim(self, y: float, half: float, colour: Colour, alpha: int = 255) -> None:
        """Draw the open mouth of a round body."""
        self.ellipse(0, y, half, half * 0.2, (*lighter(colour, 0.35), alpha))
        self.ellipse(0, y + half * 0.02, half * 0.92, half * 0.165, (*darker(colour, 0.3), alpha))
