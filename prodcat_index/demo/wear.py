"""Things to wear and to carry, and soft things.

Sneakers and boots differ only in the height of their shaft, and the heights overlap; pillows and
pillow covers are drawn alike.
"""

from __future__ import annotations

from random import Random

from prodcat_index.demo.pen import BLACK, WHITE, WOOD, Colour, Pen, darker, lighter, mix, ring


def sneaker(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a low or half-high shoe."""
    _shoe(pen, colour, form.uniform(0.0, 0.7), form.choice((WHITE, WHITE, BLACK, WOOD)), form)


def boot(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a half-high or high shoe."""
    _shoe(pen, colour, form.uniform(0.15, 0.9), form.choice((BLACK, BLACK, WOOD, WHITE)), form)


def _shoe(pen: Pen, colour: Colour, shaft: float, sole: Colour, form: Random) -> None:
    down = shaft * 0.35
    collar = -0.12 - shaft + down
    low = 0.5 + down
    upper = [(-0.78, low), (-0.74, 0.1 + down), (-0.72, collar), (-0.45, collar + 0.05)]
    upper += [(-0.14, collar - 0.02), (0.08, 0.02 + down), (0.5, 0.16 + down)]
    upper += [(0.82, 0.27 + down), (0.94, low), (0.3, low + 0.05)]
    pen.blob(upper, colour)
    toe = [(0.5, 0.2 + down), (0.84, 0.3 + down), (0.93, low), (0.5, low)]
    pen.blob(toe, lighter(colour, 0.18) if form.random() < 0.5 else darker(colour, 0.2))
    pen.ellipse(-0.43, collar + 0.01, 0.27, 0.07, darker(colour, 0.55))
    _laces(pen, collar, down, form)
    if form.random() < 0.5:
        stripe = [(-0.5, low - 0.02), (-0.1, 0.12 + down), (0.05, 0.14 + down), (-0.3, low)]
        pen.fill(stripe, form.choice((WHITE, darker(colour, 0.4), lighter(colour, 0.5))))
    _sole(pen, low, sole, form)


def _laces(pen: Pen, collar: float, down: float, form: Random) -> None:
    if form.random() < 0.25:
        return
    ends = (-0.12, collar + 0.14), (0.42, 0.17 + down)
    for k in range(5):
        x = ends[0][0] + (ends[1][0] - ends[0][0]) * k / 4
        y = ends[0][1] + (ends[1][1] - ends[0][1]) * (k / 4) ** 0.7
        pen.stroke([(x - 0.13, y + 0.1), (x + 0.02, y)], 0.04, (240, 238, 232))


def _sole(pen: Pen, low: float, colour: Colour, form: Random) -> None:
    thick = form.uniform(0.11, 0.2)
    pen.box(-0.84, low - 0.02, 0.98, low + thick, colour, 0.07)
    if form.random() < 0.4:
        pen.box(-0.84, low + 0.05, -0.3, low + thick + 0.08, darker(colour, 0.2), 0.03)
    pen.stroke([(-0.78, low + 0.05), (0.9, low + 0.05)], 0.02, darker(colour, 0.3))


def slipper(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw an open-backed house shoe."""
    pen.box(-0.9, 0.3, 0.95, 0.3 + form.uniform(0.12, 0.2), darker(colour, 0.35), 0.08)
    pen.blob([(-0.88, 0.3), (-0.6, 0.22), (0.9, 0.24), (0.9, 0.34), (-0.8, 0.34)], WOOD)
    pen.blob([(-0.05, 0.3), (0.1, -0.1), (0.5, -0.12), (0.9, 0.1), (0.95, 0.32)], colour)
    pen.disc(0.45, 0.05, 0.1, lighter(colour, 0.5))


def cushion(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a cover shown on a pillow."""
    _puff(pen, colour, form.uniform(0.5, 0.75), form.uniform(0.7, 0.85), form.random() < 0.6, form)


def pillow(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a pillow, paler and wider than most covers."""
    pale = lighter(colour, form.uniform(0.0, 0.6))
    _puff(pen, pale, form.uniform(0.5, 0.7), form.uniform(0.75, 0.88), form.random() < 0.4, form)


def _puff(
    pen: Pen, colour: Colour, high: float, wide: float, patterned: bool, form: Random
) -> None:
    piping = darker(colour, 0.2) if form.random() < 0.5 else lighter(colour, 0.4)
    for grow, shade in ((1.0, piping), (0.965, colour)):
        x, y = wide * grow, high * grow
        corners = [(-x, -y), (0, -y * 0.88), (x, -y), (x * 0.9, 0)]
        corners += [(x, y), (0, y * 0.88), (-x, y), (-x * 0.9, 0)]
        pen.blob(corners, shade)
    if patterned:
        _print(pen, colour, wide * 0.75, high * 0.75, form)
    for side in (-1, 1):
        crease = [(side * wide * 0.84, -high * 0.84), (side * wide * 0.6, -high * 0.66)]
        pen.stroke(crease, 0.025, darker(colour, 0.18))


def _print(pen: Pen, colour: Colour, x: float, y: float, form: Random) -> None:
    ink = lighter(colour, 0.5) if sum(colour[:3]) < 420 else darker(colour, 0.35)
    kind = form.choice(("stripes", "dots", "frame", "leaf"))
    if kind == "stripes":
        for k in range(-3, 4):
            pen.stroke([(k * x / 3.2, -y), (k * x / 3.2, y)], 0.05, ink)
    if kind == "dots":
        for k in range(16):
            pen.disc((k % 4 - 1.5) * x * 0.55, (k // 4 - 1.5) * y * 0.55, 0.06, ink)
    if kind == "frame":
        pen.box(-x, -y, x, y, ink, 0.05)
        pen.box(-x + 0.06, -y + 0.06, x - 0.06, y - 0.06, colour, 0.04)
    if kind == "leaf":
        sprig(pen, ink, 0, y * 0.9, 1.6 * y)


def sprig(pen: Pen, colour: Colour, x: float, y: float, length: float) -> None:
    """Draw a leafy twig that grows upwards from (x, y)."""
    pen.stroke([(x, y), (x, y - length)], 0.025, colour)
    for k in range(5):
        base = y - length * (0.15 + 0.18 * k)
        for side in (-1, 1):
            reach = side * length * 0.2
            tip = (x + reach, base - length * 0.14)
            leaf = [(x, base), (x + reach * 0.35, base - length * 0.13), tip]
            pen.blob([*leaf, (x + reach * 0.7, base)], colour)


def tshirt(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a T-shirt laid flat."""
    half = form.uniform(0.44, 0.54)
    side = [(0.2, -0.72), (half, -0.6), (0.92, -0.2), (0.72, 0.02), (half, -0.18), (half, 0.78)]
    pen.fill([*side, *((-x, y) for x, y in reversed(side))], colour)
    pen.ellipse(0, -0.72, 0.22, 0.14, darker(colour, 0.35))
    pen.ellipse(0, -0.75, 0.19, 0.11, darker(colour, 0.6))
    if form.random() < 0.6:
        mark = form.choice((WHITE, darker(colour, 0.5), (240, 190, 80)))
        pen.disc(0, -0.1, form.uniform(0.14, 0.24), mark)


def cap(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a baseball cap."""
    pen.blob([(0.3, 0.22), (0.7, 0.2), (1.0, 0.38), (0.6, 0.4), (0.1, 0.36)], darker(colour, 0.2))
    pen.fill(ring(-0.1, 0.3, 0.62, form.uniform(0.6, 0.75), 180, 360), colour)
    pen.stroke(ring(-0.1, 0.3, 0.25, 0.66, 180, 360), 0.02, darker(colour, 0.3))
    pen.disc(-0.1, -0.36, 0.05, darker(colour, 0.2))


def backpack(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a backpack from the front."""
    pen.stroke(ring(0, -0.75, 0.16, 0.16, 180, 360), 0.06, darker(colour, 0.4))
    pen.box(-0.58, -0.75, 0.58, 0.85, colour, form.uniform(0.2, 0.4))
    pen.box(-0.44, 0.1, 0.44, 0.72, lighter(colour, 0.12), 0.12)
    pen.stroke([(-0.36, 0.22), (0.36, 0.22)], 0.03, darker(colour, 0.45))
    pen.stroke(ring(0, -0.1, 0.46, 0.5, 190, 350), 0.03, darker(colour, 0.45))
    pen.box(-0.12, -0.36, 0.12, -0.2, form.choice((WOOD, WHITE, BLACK)), 0.03)


def sunglasses(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw sunglasses from the front."""
    high = form.uniform(0.26, 0.36)
    for side in (-1, 1):
        pen.ellipse(side * 0.45, 0, 0.42, high + 0.05, colour)
        pen.ellipse(side * 0.45, 0, 0.35, high, mix(BLACK, colour, 0.25))
        pen.stroke([(side * 0.6, -0.12), (side * 0.4, 0.1)], 0.05, (150, 154, 164))
    pen.stroke(ring(0, -0.02, 0.1, 0.08, 180, 360), 0.06, colour)


def teddy(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a sitting bear."""
    fur = mix(colour, WOOD, form.uniform(0.4, 0.9))
    for side in (-1, 1):
        pen.disc(side * 0.3, -0.72, 0.16, fur)
        pen.disc(side * 0.42, 0.62, 0.24, darker(fur, 0.12))
        pen.ellipse(side * 0.5, 0.1, 0.16, 0.3, darker(fur, 0.12))
    pen.ellipse(0, 0.3, 0.46, 0.5, fur)
    pen.disc(0, -0.42, 0.4, lighter(fur, 0.08))
    pen.ellipse(0, -0.3, 0.18, 0.14, lighter(fur, 0.5))
    for x, y in ((-0.15, -0.5), (0.15, -0.5), (0, -0.35)):
        pen.disc(x, y, 0.045, BLACK)
