"""Things that hold something: mugs, glasses, vases, pots, bottles, plates.

Mugs, glasses, vases and flower pots overlap in form on purpose: a picture alone must not settle
every card.
"""

from __future__ import annotations

from random import Random

from prodcat_index.demo.pen import (
    BLACK,
    BRASS,
    STEEL,
    WHITE,
    WOOD,
    Colour,
    Pen,
    Points,
    darker,
    lighter,
    mix,
    ring,
)

GREEN: Colour = (96, 142, 92)
CLEAR: Colour = (206, 224, 232)


def _pattern(pen: Pen, colour: Colour, half: float, y: float, form: Random) -> None:
    kind = form.choice(("none", "none", "band", "dots", "heart", "lines"))
    ink = lighter(colour, 0.55) if sum(colour[:3]) < 420 else darker(colour, 0.45)
    if kind == "band":
        pen.box(-half, y - 0.1, half, y + 0.1, ink)
    if kind == "dots":
        for k in range(5):
            pen.disc((k - 2) * half * 0.36, y + 0.12 * (k % 2), 0.06, ink)
    if kind == "heart":
        pen.disc(-0.1, y - 0.06, 0.12, ink)
        pen.disc(0.1, y - 0.06, 0.12, ink)
        pen.fill([(-0.21, -0.02 + y), (0.21, -0.02 + y), (0, y + 0.26)], ink)
    if kind == "lines":
        for k in range(3):
            pen.stroke([(-half * 0.9, y + k * 0.12), (half * 0.9, y + k * 0.12)], 0.03, ink)


def _body(top: float, bottom: float, upper: float, lower: float, belly: float) -> Points:
    middle = (upper + lower) / 2 + belly
    centre = (top + bottom) / 2
    return [(top, upper), (centre, middle), (bottom - 0.08, lower), (bottom, lower * 0.86)]


def _handle(pen: Pen, half: float, y: float, height: float, colour: Colour) -> None:
    pen.stroke(ring(half - 0.03, y, 0.3, height, -90, 90), 0.13, darker(colour, 0.2))
    pen.stroke(ring(half - 0.04, y - 0.01, 0.3, height, -88, 80), 0.06, colour)


def mug(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a cup whose handle is now and then out of sight."""
    half, top = form.uniform(0.4, 0.58), form.uniform(-0.75, -0.35)
    clear = form.random() < 0.3
    body = mix(colour, CLEAR, 0.75) if clear else colour
    if form.random() < 0.55:
        _handle(pen, half, (top + 0.6) / 2, (0.6 - top) * 0.28, body)
    _cup(pen, body, half, top, 150 if clear else 255, form)


def glass(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a tumbler, clear or tinted, or a coloured ceramic one."""
    half, top = form.uniform(0.36, 0.52), form.uniform(-0.85, -0.4)
    clear = form.random() < 0.5
    body = mix(colour, CLEAR, form.uniform(0.5, 0.9)) if clear else colour
    if clear and form.random() < 0.3:
        return _goblet(pen, body, half)
    if form.random() < 0.2:
        _handle(pen, half, (top + 0.6) / 2, 0.26, body)
    return _cup(pen, body, half, top, 150 if clear else 255, form)


def _cup(pen: Pen, body: Colour, half: float, top: float, alpha: int, form: Random) -> None:
    lower = half * form.uniform(0.7, 1.0)
    pen.lathe(_body(top, 0.72, half, lower, form.uniform(0, 0.06)), body, alpha)
    if alpha < 255 and form.random() < 0.5:
        drink = form.choice(((214, 140, 60), (190, 60, 60), (240, 200, 90), (120, 80, 60)))
        pen.lathe([(top + 0.4, half * 0.9), (0.62, lower * 0.88)], drink, 200, smooth=False)
    if alpha == 255:
        _pattern(pen, body, half * 0.92, 0.05, form)
    pen.rim(top, half, body, min(255, alpha + 40))


def _goblet(pen: Pen, body: Colour, half: float) -> None:
    profile = [(-0.85, half * 0.8), (-0.4, half), (0.0, half * 0.6), (0.12, 0.05), (0.7, 0.05)]
    pen.lathe(profile, body, 160)
    pen.ellipse(0, 0.76, half * 0.85, 0.1, (*lighter(body, 0.3), 210))
    pen.rim(-0.85, half * 0.8, body, 190)


def vase(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a vase: bellied, straight as a tumbler, or clear; with or without flowers."""
    neck, belly, foot = form.uniform(0.14, 0.4), form.uniform(0.34, 0.56), form.uniform(0.2, 0.36)
    clear = form.random() < 0.3
    body = mix(colour, CLEAR, 0.7) if clear else colour
    if form.random() < 0.4:
        _flowers(pen, form)
    if form.random() < 0.4:
        return _cup(pen, body, belly * 0.95, -0.6, 150 if clear else 255, form)
    profile = [(-0.5, neck * 1.15), (-0.34, neck), (0.2, belly), (0.75, foot), (0.8, foot * 0.9)]
    pen.lathe(profile, body, 160 if clear else 255)
    return pen.rim(-0.5, neck * 1.15, body)


def _flowers(pen: Pen, form: Random) -> None:
    petal = form.choice(((236, 128, 140), (250, 206, 96), (240, 236, 228), (170, 130, 200)))
    for _ in range(form.randint(3, 6)):
        x, y = form.uniform(-0.45, 0.45), form.uniform(-0.98, -0.72)
        pen.stroke([(0, -0.35), (x, y)], 0.035, GREEN)
        pen.disc(x, y, 0.12, petal)
        pen.disc(x, y, 0.05, darker(petal, 0.3))


def flower_pot(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a planter, mostly with a plant."""
    if form.random() < 0.7:
        for angle in range(-60, 61, 20):
            x = angle / 100
            leaf = [(0, -0.1), (x - 0.1, -0.5), (x * 1.3, -0.95), (x + 0.1, -0.5)]
            pen.blob(leaf, mix(GREEN, WHITE, form.uniform(0, 0.3)))
    half = form.uniform(0.45, 0.6)
    pen.lathe([(0.0, half), (0.75, half * 0.7)], colour, smooth=False)
    pen.lathe([(-0.1, half * 1.08), (0.1, half * 1.08)], lighter(colour, 0.1), smooth=False)


def teapot(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a teapot with spout, handle and lid."""
    half = form.uniform(0.5, 0.6)
    _handle(pen, half, 0.1, 0.3, colour)
    spout = [(-half + 0.1, 0.4), (-0.95, -0.1), (-0.8, -0.14), (-half + 0.15, 0.1)]
    pen.blob(spout, darker(colour, 0.1))
    pen.lathe([(-0.35, 0.3), (0.1, half), (0.5, half * 0.8), (0.6, 0.3)], colour)
    pen.lathe([(-0.55, 0.06), (-0.42, 0.2), (-0.33, 0.34)], lighter(colour, 0.1))
    pen.disc(0, -0.6, 0.09, form.choice((colour, WOOD, BRASS)))


def shampoo(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a pump or cap bottle with a label."""
    half = form.uniform(0.3, 0.42)
    if form.random() < 0.5:
        pen.box(-0.05, -0.9, 0.05, -0.5, STEEL)
        pen.box(-0.3, -0.95, 0.12, -0.84, darker(colour), 0.04)
    pen.lathe([(-0.66, 0.16), (-0.45, 0.16)], darker(colour, 0.3), smooth=False)
    pen.lathe([(-0.48, 0.14), (-0.3, half), (0.7, half), (0.8, half * 0.9)], colour)
    _label(pen, half, -0.05, 0.5)


def _label(pen: Pen, half: float, top: float, bottom: float) -> None:
    pen.lathe([(top, half), (bottom, half)], (246, 242, 234), smooth=False)
    for k in range(3):
        y = top + 0.14 + 0.12 * k
        pen.stroke([(-half * 0.55, y), (half * (0.5 - 0.2 * (k % 2)), y)], 0.035, (120, 116, 112))


def bottle(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a sport flask."""
    half = form.uniform(0.25, 0.34)
    pen.lathe([(-0.5, 0.18), (-0.3, half), (0.8, half), (0.88, half * 0.9)], colour)
    pen.lathe([(-0.78, 0.2), (-0.46, 0.2)], form.choice((BLACK, STEEL, WOOD)), smooth=False)
    pen.stroke(ring(0, -0.8, 0.14, 0.14, 180, 360), 0.05, BLACK)


def perfume(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a square flacon."""
    half = form.uniform(0.36, 0.5)
    pen.box(-half, -0.2, half, 0.7, (*mix(colour, CLEAR, 0.5), 190), 0.08)
    pen.box(-half * 0.85, 0.0, half * 0.85, 0.62, (*lighter(colour, 0.15), 230), 0.05)
    pen.lathe([(-0.34, 0.12), (-0.2, 0.12)], BRASS, smooth=False)
    pen.lathe([(-0.75, 0.2), (-0.34, 0.2)], form.choice((BLACK, BRASS)), smooth=False)


def jar(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a squat jar of cream."""
    half = form.uniform(0.5, 0.62)
    pen.lathe([(-0.05, half), (0.5, half), (0.58, half * 0.92)], lighter(colour, 0.3))
    pen.lathe([(-0.32, half * 1.05), (-0.02, half * 1.05)], colour, smooth=False)
    pen.ellipse(0, -0.32, half * 1.05, half * 0.2, lighter(colour, 0.4))
    pen.box(-0.22, 0.16, 0.22, 0.36, (246, 242, 234), 0.03)


def bowl(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a pet's bowl with a paw."""
    half = form.uniform(0.6, 0.75)
    pen.lathe([(-0.2, half * 0.85), (0.45, half)], colour, smooth=False)
    pen.rim(-0.2, half * 0.85, colour)
    for x, y in ((-0.14, 0.1), (0, 0.04), (0.14, 0.1)):
        pen.disc(x, y, 0.06, WHITE)
    pen.ellipse(0, 0.25, 0.13, 0.1, WHITE)


def plate(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a plate from above."""
    for radius, share in ((0.82, 0.0), (0.76, 0.15), (0.56, 0.05), (0.53, 0.25)):
        pen.disc(0, 0, radius, lighter(colour, share))
    if form.random() < 0.5:
        pen.stroke(ring(0, 0, 0.67, 0.67), 0.03, darker(colour, 0.3))


def pan(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a frying pan from above."""
    iron = form.choice((BLACK, (70, 72, 78), colour))
    pen.stroke([(0.3, 0), (1.15, 0)], 0.14, form.choice((BLACK, WOOD, STEEL)))
    pen.disc(-0.25, 0, 0.68, darker(iron, 0.1))
    pen.disc(-0.25, 0, 0.63, lighter(iron, 0.22))
    pen.disc(-0.25, 0, 0.56, iron)
    if form.random() < 0.35:
        for k in range(-3, 4):
            reach = 0.5 - abs(k) * 0.05
            line = [(-0.25 - reach, k * 0.13), (-0.25 + reach, k * 0.13)]
            pen.stroke(line, 0.03, lighter(iron, 0.2))


def pot(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a cooking pot with a lid."""
    half = form.uniform(0.6, 0.68)
    for side in (-1, 1):
        pen.stroke(ring(side * half, 0.1, 0.16, 0.1), 0.07, BLACK)
    pen.lathe([(-0.1, half), (0.6, half), (0.68, half * 0.9)], colour)
    pen.lathe([(-0.4, 0.1), (-0.3, half * 0.6), (-0.1, half * 1.04)], STEEL)
    pen.disc(0, -0.45, 0.09, BLACK)


def candle(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a burning candle."""
    half = form.uniform(0.25, 0.42)
    pen.lathe([(-0.3, half), (0.75, half)], lighter(colour, 0.2), smooth=False)
    pen.ellipse(0, -0.3, half, half * 0.2, lighter(colour, 0.5))
    pen.stroke([(0, -0.3), (0, -0.45)], 0.03, BLACK)
    pen.blob([(0, -0.86), (0.1, -0.55), (0, -0.42), (-0.1, -0.55)], (252, 190, 80))
