"""A small index that has everything an index can have, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, is_dataclass
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from prodcat_index import Card, ProductIndex

SEED = 0
CARDS, ADDED = 126, 9
CATEGORIES = {
    "Shoes > Boots": ("boots", "leather", "lace", "sole"),
    "Shoes > Sandals": ("sandals", "leather", "strap", "summer"),
    "Kitchen > Kettles": ("kettle", "steel", "water", "electric"),
    "Kitchen > Pans": ("pan", "steel", "handle", "electric"),
    "Home > Lamps": ("lamp", "light", "shade", "desk"),
    "Home > Candles": ("candle", "light", "wax", "scent"),
}
COLOURS = ("red", "blue", "чёрный", "белый")
# Their texts know some of the words, all of them, and none.
LISTINGS = (
    Card(id="q1", title="red leather boots with a lace"),
    Card(id="q2", title="electric steel 3", description="water"),
    Card(id="q3", title="белый light desk zebra"),
    Card(id="q4", title="лампа", description="strap"),
)
# Similarities are compared up to this: the order in which floats are added may differ.
CLOSE = 1e-6
SHARES = {"similarity", "share", "vote_share", "confidence", "known", "nearest"}
MARGIN = 1e-3


def draw_cards(folder: Path, count: int, first: int = 0) -> list[dict[str, str]]:
    """Make cards with titles and small pictures; some lack a picture, a text or a category."""
    from PIL import Image

    rng = np.random.default_rng(SEED + first)
    names = list(CATEGORIES)
    cards = []
    for number in range(first, first + count):
        code = number % len(names)
        words = [*rng.choice(CATEGORIES[names[code]], 2), rng.choice(COLOURS), str(number % 7)]
        picture = folder / "pictures" / f"{number}.png"
        picture.parent.mkdir(exist_ok=True)
        noise = rng.integers(0, 120, (16, 16, 3)) + np.array([20 * code, 120 - 20 * code, 60])
        Image.fromarray(noise.astype(np.uint8)).save(picture)
        shown = rng.choice(len(names)) if number % 11 == 5 else code
        cards.append(
            {
                "id": f"c{number}",
                "title": " ".join(words),
                "description": " ".join(rng.choice(CATEGORIES[names[code]], 3 * (number % 3))),
                "image": "" if number % 13 == 4 else str(picture),
                "category": "" if number % 29 == 28 else names[shown],
                "group": f"g{number // 2}",
            }
        )
    return cards


def build_sample(folder: Path) -> Path:
    """Write an index of titles, descriptions and pictures that is tuned, and changed since."""
    import pandas as pd

    index = ProductIndex.build(pd.DataFrame(draw_cards(folder, CARDS)))
    index = index.tuned(index.tune(sample=100))
    saved = index.save(folder / "index")
    more = pd.DataFrame(draw_cards(folder, ADDED, CARDS))
    ProductIndex.load(saved).add(more).save_next(saved)
    return ProductIndex.load(saved).remove(["c5", "c7"]).save_next(saved)


def answers(folder: Path, picture: Path | None = None) -> dict[str, Any]:
    """Open an index as a user does, and ask it everything; texts, numbers, lists and dicts."""
    index = ProductIndex.load(folder)
    every = dict.fromkeys(index.parts.weights, 1.0)
    found = {
        "search": index.search(LISTINGS[0], 5),
        "fused": index.search(LISTINGS[1], 5, weights=every),
        "similar": index.similar("c3", 5),
        "others": index.similar("c10", 5, weights=every),
    }
    predicted = {
        "plain": index.predict(list(LISTINGS), precision=0.5, coverage=0.8),
        "explained": index.predict(list(LISTINGS[:2]), weights=every, k=7, explain=True),
    }
    if picture:
        found["pictured"] = index.search(Card(id="p", image=str(picture)), 5)
    plain: dict[str, Any] = _plain({"cards": len(index), "card": index.card("c3")})
    return plain | {name: _plain(list(each)) for name, each in (found | predicted).items()}


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return _plain(asdict(value))
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, str | int | float | None):
        return value
    return [_plain(each) for each in value]


def are_same(one: Any, other: Any) -> bool:
    """Compare answers; numbers up to rounding."""
    if isinstance(one, float) and isinstance(other, float):
        return abs(one - other) <= CLOSE or (one != one and other != other)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(are_same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(are_same, one, other))
    return type(one) is type(other) and bool(one == other)


def is_sound(answer: Any, name: str = "") -> bool:
    """Check that answers could be those of some index: texts are texts, shares from 0 to 1."""
    if isinstance(answer, str):
        return answer.isprintable() or answer.encode("utf-8", "replace").decode() == answer
    if isinstance(answer, float):
        least = -1 if name in ("similarity", "nearest") else 0
        bounded = name not in SHARES or least - MARGIN <= answer <= 1 + MARGIN
        return isfinite(answer) and bounded
    if isinstance(answer, dict):
        return all(is_sound(each, key) for key, each in answer.items())
    if isinstance(answer, Sequence):
        return all(is_sound(each, name) for each in answer)
    return True
