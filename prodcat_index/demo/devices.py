"""Devices, clocks, lamps and tools.

Phones are now and then shown from behind, where a phone and a phone case look alike; smart watches
share their form with wrist watches.
"""

from __future__ import annotations

from math import cos, radians, sin
from random import Random

from prodcat_index.demo.pen import (
    BLACK,
    BRASS,
    STEEL,
    WHITE,
    WOOD,
    Colour,
    Pen,
    darker,
    lighter,
    mix,
    ring,
)
from prodcat_index.demo.wear import sprig

WARM: Colour = (255, 226, 160)


def phone_case(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw the back of a phone in its case, or the case's opening."""
    half = form.uniform(0.4, 0.46)
    _back(pen, colour, half, form)
    if form.random() < 0.4:
        ink = form.choice((WHITE, darker(colour, 0.4), lighter(colour, 0.5)))
        if form.random() < 0.5:
            sprig(pen, ink, 0.05, 0.72, 1.0)
        else:
            pen.disc(0, 0.3, form.uniform(0.1, 0.24), ink)


def phone(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a phone, from the front or from behind."""
    half = form.uniform(0.4, 0.46)
    if form.random() < 0.6:
        return _back(pen, colour, half, form)
    return _screen(pen, colour, half, 0.86, form)


def _back(pen: Pen, colour: Colour, half: float, form: Random) -> None:
    pen.box(-half, -0.86, half, 0.86, darker(colour, 0.25), 0.13)
    pen.box(-half + 0.03, -0.83, half - 0.03, 0.83, colour, 0.11)
    pen.box(-half + 0.08, -0.76, -half + 0.42, -0.36, darker(colour, 0.35), 0.09)
    for x, y in ((0.17, -0.66), (0.33, -0.56), (0.17, -0.46)):
        pen.disc(-half + x, y, 0.075, BLACK)
        pen.disc(-half + x - 0.02, y - 0.02, 0.025, (130, 150, 180))
    pen.disc(0, 0.05, 0.05, lighter(colour, form.choice((0.0, 0.3))))


def _screen(pen: Pen, colour: Colour, half: float, high: float, form: Random) -> None:
    pen.box(-half, -high, half, high, BLACK, 0.12)
    edge = 0.05
    pen.box(-half + edge, -high + edge, half - edge, high - edge, mix(colour, BLACK, 0.2), 0.08)
    x, y = half - edge, high - edge
    sky = [(-x, 0.2), (-x * 0.3, -0.1), (x * 0.3, 0.25), (x, -0.05), (x, y - 0.08), (-x, y - 0.08)]
    pen.fill(sky, lighter(colour, form.uniform(0.1, 0.4)))
    pen.disc(x * 0.4, -y * 0.5, 0.14, (250, 226, 170))
    for k in range(4):
        slot = (k - 1.5) * x * 0.48
        pen.box(slot - 0.07, y - 0.24, slot + 0.07, y - 0.1, (236, 238, 242), 0.03)


def tablet(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a tablet from the front."""
    _screen(pen, colour, form.uniform(0.6, 0.68), 0.86, form)


def tablet_case(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a folio with a strap."""
    half = form.uniform(0.58, 0.68)
    pen.box(-half, -0.84, half, 0.84, colour, 0.08)
    pen.box(-half, -0.84, -half + 0.12, 0.84, darker(colour, 0.25), 0.05)
    pen.box(half - 0.24, -0.84, half - 0.16, 0.84, darker(colour, 0.45))


def headphones(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw over-ear headphones."""
    pen.stroke(ring(0, 0.1, 0.62, form.uniform(0.72, 0.85), 185, 355), 0.12, darker(colour, 0.2))
    for side in (-1, 1):
        pen.ellipse(side * 0.6, 0.3, 0.22, 0.36, colour)
        pen.ellipse(side * 0.5, 0.3, 0.14, 0.32, BLACK)


def _dial(pen: Pen, face: Colour, radius: float, form: Random) -> None:
    ink = BLACK if sum(face[:3]) > 380 else WHITE
    pen.disc(0, 0, radius, face)
    for hour in range(12):
        angle = radians(hour * 30)
        inner = radius * (0.78 if hour % 3 else 0.68)
        tick = [(r * cos(angle), r * sin(angle)) for r in (inner, radius * 0.88)]
        pen.stroke(tick, 0.03, ink)
    for length, width in ((0.45, 0.05), (0.68, 0.035)):
        angle = form.uniform(0, 6.28)
        hand = (radius * length * cos(angle), radius * length * sin(angle))
        pen.stroke([(0, 0), hand], width, ink)
    pen.disc(0, 0, 0.045, BRASS)


def _strap(pen: Pen, colour: Colour, form: Random) -> None:
    pen.fill([(-0.28, -0.3), (-0.22, -1.0), (0.22, -1.0), (0.28, -0.3)], colour)
    pen.fill([(-0.28, 0.3), (-0.22, 1.0), (0.22, 1.0), (0.28, 0.3)], colour)
    if form.random() < 0.5:
        for y in (0.62, 0.74, 0.86):
            pen.disc(0, y, 0.03, darker(colour, 0.5))


def watch(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a round watch on a strap."""
    _strap(pen, colour, form)
    metal = form.choice((STEEL, BRASS, BLACK))
    pen.box(0.44, -0.07, 0.56, 0.07, metal, 0.03)
    pen.disc(0, 0, 0.5, metal)
    _dial(pen, form.choice((WHITE, BLACK, lighter(colour, 0.6))), 0.43, form)


def smart_watch(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a watch with a screen; a third are round with a dial."""
    if form.random() < 0.45:
        return watch(pen, colour, form)
    _strap(pen, colour, form)
    pen.box(-0.44, -0.5, 0.44, 0.5, form.choice((STEEL, BLACK)), 0.16)
    pen.box(-0.38, -0.44, 0.38, 0.44, (24, 26, 34), 0.13)
    for k, tint in enumerate(((240, 90, 100), (120, 220, 140), (110, 190, 250))):
        pen.stroke(ring(0, 0, 0.3 - 0.08 * k, 0.3 - 0.08 * k, -90, 120 + 50 * k), 0.05, tint)
    return None


def wall_clock(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a big dial."""
    pen.disc(0, 0, 0.8, colour)
    _dial(pen, form.choice((WHITE, (244, 236, 220), BLACK)), form.uniform(0.66, 0.72), form)


def table_lamp(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a shade on a foot."""
    stand = form.choice((BRASS, WOOD, BLACK, WHITE, lighter(colour, 0.3)))
    if form.random() < 0.45:
        belly = form.uniform(0.14, 0.3)
        pen.lathe([(0.0, 0.07), (0.4, belly), (0.72, 0.12)], stand)
    else:
        pen.lathe([(-0.1, 0.045), (0.75, 0.045)], stand, smooth=False)
    pen.lathe([(0.72, 0.3), (0.8, 0.34)], stand, smooth=False)
    _shade(pen, -0.8, 0.02, form.uniform(0.2, 0.45), form.uniform(0.46, 0.66), colour)


def floor_lamp(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a small shade on a long stand."""
    stand = form.choice((BRASS, WOOD, BLACK))
    pen.lathe([(-0.5, 0.03), (0.92, 0.03)], stand, smooth=False)
    pen.lathe([(0.9, 0.26), (0.95, 0.28)], stand, smooth=False)
    _shade(pen, -0.95, -0.45, form.uniform(0.16, 0.28), form.uniform(0.32, 0.42), colour)


def _shade(pen: Pen, top: float, bottom: float, upper: float, lower: float, colour: Colour) -> None:
    pen.lathe([(top, upper), (bottom, lower)], colour, smooth=False)
    pen.ellipse(0, bottom, lower, lower * 0.13, mix(WARM, colour, 0.15))
    pen.ellipse(0, top, upper, upper * 0.13, lighter(colour, 0.45))


def bulb(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a screw bulb: pear or globe."""
    wide = form.uniform(0.42, 0.58)
    tint = mix(WARM, colour, form.uniform(0.0, 0.3))
    pen.lathe([(-0.82, 0.04), (-0.7, wide * 0.7), (-0.3, wide), (0.3, 0.24), (0.4, 0.2)], tint, 225)
    coil = [(-0.12, 0.2), (-0.12, -0.3), (0, -0.1), (0.12, -0.3), (0.12, 0.2)]
    pen.stroke(coil, 0.03, (220, 140, 50))
    for k in range(4):
        y = 0.4 + 0.1 * k
        pen.lathe([(y, 0.2), (y + 0.08, 0.2)], STEEL, smooth=False)
    pen.lathe([(0.8, 0.16), (0.88, 0.06)], BLACK, smooth=False)


def makeup_brush(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a fluffy or flat brush on a thin handle."""
    _brush(pen, colour, form.uniform(0.18, 0.36), form.uniform(0.05, 0.09), form)


def paint_brush(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a flat, broad brush."""
    _brush(pen, colour, form.uniform(0.26, 0.42), form.uniform(0.08, 0.13), form)


def _brush(pen: Pen, colour: Colour, hair: float, grip: float, form: Random) -> None:
    bristle = form.choice(((92, 66, 52), (58, 46, 44), (226, 196, 150), (236, 158, 160)))
    handle = form.choice((colour, WOOD, BLACK))
    pen.lathe([(0.0, grip), (0.5, grip * 1.2), (0.98, grip * 0.6)], handle)
    flat = form.random() < 0.5
    tip = [(-0.95, hair * 0.9)] if flat else [(-0.98, 0.02), (-0.85, hair * 0.8)]
    pen.lathe([*tip, (-0.6, hair), (-0.28, hair * 0.55)], bristle, smooth=not flat)
    pen.lathe([(-0.32, hair * 0.6), (0.03, grip * 1.1)], form.choice((STEEL, BRASS)), smooth=False)


def knife(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a chef's knife."""
    wide = form.uniform(0.1, 0.17)
    pen.fill([(0.02, -1.0), (wide, -0.55), (wide, 0.22), (-0.06, 0.22), (-0.06, -0.9)], STEEL)
    pen.fill([(wide * 0.7, -0.6), (wide, -0.55), (wide, 0.22), (wide * 0.7, 0.22)], WHITE)
    pen.box(-0.08, 0.2, 0.09, 0.98, form.choice((BLACK, WOOD, colour)), 0.06)
    for y in (0.4, 0.6, 0.8):
        pen.disc(0, y, 0.025, BRASS)


def hammer(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a claw hammer."""
    pen.box(-0.07, -0.6, 0.07, 0.95, WOOD, 0.05)
    pen.box(-0.09, 0.25, 0.09, 0.97, colour, 0.06)
    pen.box(0.05, -0.82, form.uniform(0.4, 0.5), -0.5, (110, 114, 122), 0.04)
    pen.blob([(0.1, -0.8), (-0.3, -0.78), (-0.62, -0.5), (-0.3, -0.58), (0.1, -0.52)], STEEL)


def ball(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a football."""
    pen.disc(0, 0, 0.78, darker(colour, 0.3))
    pen.disc(0, 0, 0.75, lighter(colour, 0.7))
    spin = form.uniform(0, 72)
    centres = [(0.0, 0.0), *ring(0, 0, 0.58, 0.58, spin, spin + 360)[:-1:8]]
    for x, y in centres:
        pen.fill(ring(x, y, 0.2, 0.2, spin, spin + 360)[::8], darker(colour, 0.15))


def carton(pen: Pen, colour: Colour, form: Random) -> None:
    """Draw a closed box: some shops show the package instead of the product."""
    card = mix(colour, (206, 172, 128), form.uniform(0.2, 0.9))
    pen.fill([(-0.7, -0.3), (0.1, -0.1), (0.1, 0.8), (-0.7, 0.55)], card)
    pen.fill([(0.1, -0.1), (0.75, -0.35), (0.75, 0.5), (0.1, 0.8)], darker(card, 0.22))
    pen.fill([(-0.7, -0.3), (-0.05, -0.52), (0.75, -0.35), (0.1, -0.1)], lighter(card, 0.25))
    pen.fill([(-0.36, -0.215), (-0.2, -0.175), (0.46, -0.41), (0.3, -0.445)], (240, 232, 214))
    pen.fill([(-0.55, 0.1), (-0.15, 0.2), (-0.15, 0.5), (-0.55, 0.38)], (244, 240, 230))
