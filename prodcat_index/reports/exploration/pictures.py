"""Sizes and formats of the pictures, read from their headers."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.cards.pictures import Header, read_header
from prodcat_index.errors import PictureError
from prodcat_index.progress import progress_bar
from prodcat_index.reports.exploration.spread import Extreme, Spread, find_extremes, spread_of

SCALES = ("width", "height", "aspect_ratio")


@dataclass(frozen=True)
class Pictures:
    """The pictures of a catalogue.

    Attributes
    ----------
    sizes
        Shape (n, 2), int64: width and height in pixels of those that can be read.
    formats
        Format -> number of cards.
    unreadable
        Reason -> ids of the cards whose picture cannot be read.
    spreads
        Of the width, the height and the aspect ratio (width / height).
    extremes
        The cards with the fewest and the most pixels, the widest and the tallest pictures.
    """

    sizes: npt.NDArray[np.int64]
    formats: Mapping[str, int]
    unreadable: Mapping[str, tuple[str, ...]]
    spreads: Mapping[str, Spread | None]
    extremes: Mapping[str, tuple[Extreme, ...]]

    @property
    def unreadable_count(self) -> int:
        """Number of cards whose picture cannot be read."""
        return sum(len(ids) for ids in self.unreadable.values())

    def as_dict(self) -> dict[str, Any]:
        """Return the counts, quantiles and extreme cards."""
        return {
            "readable": len(self.sizes),
            "unreadable": {reason: list(ids) for reason, ids in self.unreadable.items()},
            "formats": dict(self.formats),
            **{name: s.as_dict() if s else None for name, s in self.spreads.items()},
            "extremes": {
                name: [card.as_dict() for card in cards] for name, cards in self.extremes.items()
            },
        }


def measure_pictures(catalogue: Catalogue) -> Pictures:
    """Read the size and format of every picture, without decoding any.

    Parameters
    ----------
    catalogue
        The cards.

    Returns
    -------
    Pictures
        One entry a card that has a picture; cards may share a file.
    """
    paths = catalogue.values(IMAGE)
    with_picture = [row for row, path in enumerate(paths) if path]
    by_path = _read_headers({paths[row] for row in with_picture})
    ids = catalogue.ids
    headers: dict[int, Header] = {}
    unreadable: dict[str, list[str]] = {}
    for row in with_picture:
        found = by_path[paths[row]]
        if isinstance(found, Header):
            headers[row] = found
        else:
            unreadable.setdefault(found, []).append(ids[row])
    return _summarize(headers, unreadable, ids)


def _read_headers(paths: set[str]) -> dict[str, Header | str]:
    found: dict[str, Header | str] = {}
    with warnings.catch_warnings(), progress_bar(len(paths), "picture sizes", "picture") as bar:
        warnings.filterwarnings("ignore", module="PIL")
        for path in sorted(paths):
            try:
                found[path] = read_header(path)
            except PictureError as error:
                found[path] = str(error)
            bar.update()
    return found


def _summarize(
    headers: Mapping[int, Header], unreadable: Mapping[str, list[str]], ids: list[str]
) -> Pictures:
    rows = list(headers)
    sizes = np.array([(h.width, h.height) for h in headers.values()], np.int64).reshape(-1, 2)
    width, height = sizes.T
    aspect = width / height
    return Pictures(
        sizes,
        dict(Counter(header.format for header in headers.values()).most_common()),
        {reason: tuple(found) for reason, found in unreadable.items()},
        {name: spread_of(v) for name, v in zip(SCALES, (width, height, aspect), strict=True)},
        {
            "fewest_pixels": find_extremes(width * height, rows, ids, most=False),
            "most_pixels": find_extremes(width * height, rows, ids, most=True),
            "widest": find_extremes(aspect, rows, ids, most=True),
            "tallest": find_extremes(aspect, rows, ids, most=False),
        },
    )
