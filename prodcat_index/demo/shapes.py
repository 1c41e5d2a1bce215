"""Drawings of the demo's products, one function a shape, and how far each may be turned."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from prodcat_index.demo import devices, vessels, wear
from prodcat_index.demo.pen import Colour, Pen

Shape = Callable[[Pen, Colour, Random], None]

_DRAWN: tuple[Shape, ...] = (
    *(vessels.mug, vessels.glass, vessels.vase, vessels.flower_pot, vessels.teapot),
    *(vessels.shampoo, vessels.bottle, vessels.perfume, vessels.jar, vessels.bowl),
    *(vessels.plate, vessels.pan, vessels.pot, vessels.candle),
    *(wear.sneaker, wear.boot, wear.slipper, wear.cushion, wear.pillow, wear.tshirt),
    *(wear.cap, wear.backpack, wear.sunglasses, wear.teddy),
    *(devices.phone_case, devices.phone, devices.tablet, devices.tablet_case),
    *(devices.headphones, devices.watch, devices.smart_watch, devices.wall_clock),
    *(devices.table_lamp, devices.floor_lamp, devices.bulb, devices.makeup_brush),
    *(devices.paint_brush, devices.knife, devices.hammer, devices.ball, devices.carton),
)
SHAPES: dict[str, Shape] = {shape.__name__: shape for shape in _DRAWN}
TURNS = {
    **dict.fromkeys(("makeup_brush", "paint_brush", "knife", "hammer", "pan"), 70.0),
    **dict.fromkeys(("phone_case", "phone", "tablet", "tablet_case", "watch", "smart_watch"), 22.0),
}
