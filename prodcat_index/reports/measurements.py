"""Measurements of the texts and pictures of a catalogue: quantiles, outliers, extreme cards."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.cards.pictures import Header, read_header
from prodcat_index.errors import PictureError
from prodcat_index.progress import progress_bar
from prodcat_index.types import BoolArray, Int64Array

QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)
# Tukey's fence for what is far out, in interquartile ranges.
FENCE = 3.0
EXTREMES = 5


def as_json(value: Any) -> Any:
    """Turn records into dictionaries of the fields that `repr` shows, as JSON takes them."""
    if is_dataclass(value):
        return {f.name: as_json(getattr(value, f.name)) for f in fields(value) if f.repr}
    if isinstance(value, Mapping):
        return {str(name): as_json(part) for name, part in value.items()}
    if isinstance(value, (list, tuple)):
        return [as_json(part) for part in value]
    return value


@dataclass(frozen=True)
class Spread:
    """Quantiles of positive numbers."""

    count: int
    least: float
    low: float  # 5 % are below
    median: float
    high: float  # 5 % are above
    most: float
    outliers: int


@dataclass(frozen=True)
class Extreme:
    """A card at an end of a scale."""

    id: str
    row: int = field(repr=False)  # in the catalogue
    value: float


def spread_of(values: npt.ArrayLike) -> Spread | None:
    """Summarize positive numbers; None where there are none."""
    numbers = np.asarray(values, dtype=np.float64)
    if not numbers.size:
        return None
    least, low, median, high, most = map(float, np.quantile(numbers, QUANTILES))
    return Spread(numbers.size, least, low, median, high, most, int(is_outlier(numbers).sum()))


def is_outlier(values: npt.ArrayLike) -> BoolArray:
    """Mark the numbers beyond Tukey's far fences on a logarithmic scale."""
    logs = np.log(np.asarray(values, dtype=np.float64))
    if not logs.size:
        return np.zeros(0, dtype=bool)
    first, third = np.quantile(logs, (0.25, 0.75))
    # Among equal values the reach is 0: one that differs by rounding alone is no outlier.
    reach = FENCE * (third - first) + 1e-9
    return np.asarray((logs < first - reach) | (logs > third + reach))


def find_extremes(
    values: npt.ArrayLike, rows: Sequence[int], ids: Sequence[str], *, most: bool
) -> tuple[Extreme, ...]:
    """Name the cards with the least or the most of something; `rows` are those of the values."""
    numbers = np.asarray(values, dtype=np.float64)
    if not numbers.size:
        return ()
    beyond = (numbers - np.median(numbers)) * (1 if most else -1)
    order = np.argsort(-beyond, kind="stable")[:EXTREMES]
    named = [place for place in order if beyond[place] > 0]
    return tuple(Extreme(ids[rows[i]], int(rows[i]), float(numbers[i])) for i in named)


@dataclass(frozen=True)
class TextLengths:
    """Lengths of the texts of a column."""

    lengths: Int64Array = field(repr=False)  # in characters, without empty texts
    characters: Spread | None
    shortest: tuple[Extreme, ...]
    longest: tuple[Extreme, ...]


def measure_texts(catalogue: Catalogue) -> dict[str, TextLengths]:
    """Measure the texts of every text modality."""
    ids, measured = catalogue.ids, {}
    for name in catalogue.text_modalities:
        texts = catalogue.values(name)
        rows = [row for row, text in enumerate(texts) if text]
        lengths = np.array([len(texts[row]) for row in rows], dtype=np.int64)
        shortest, longest = (find_extremes(lengths, rows, ids, most=most) for most in (False, True))
        measured[name] = TextLengths(lengths, spread_of(lengths), shortest, longest)
    return measured


@dataclass(frozen=True)
class Pictures:
    """Sizes and formats of the pictures of a catalogue."""

    sizes: Int64Array = field(repr=False)  # width and height, shape (n, 2)
    readable: int
    unreadable: Mapping[str, Sequence[str]]  # reason -> ids
    formats: Mapping[str, int]
    width: Spread | None
    height: Spread | None
    aspect_ratio: Spread | None
    extremes: Mapping[str, Sequence[Extreme]]

    @property
    def unreadable_count(self) -> int:
        """Number of cards whose picture cannot be read."""
        return sum(len(ids) for ids in self.unreadable.values())


def measure_pictures(catalogue: Catalogue) -> Pictures:
    """Read the size and format of every picture, without decoding any."""
    paths, ids = catalogue.values(IMAGE), catalogue.ids
    by_path = _read_headers(sorted(set(filter(None, paths))))
    headers: dict[int, Header] = {}
    unreadable: dict[str, list[str]] = {}
    for row, path in enumerate(paths):
        found = by_path.get(path)
        if isinstance(found, Header):
            headers[row] = found
        elif found:
            unreadable.setdefault(found, []).append(ids[row])
    rows = list(headers)
    sizes = np.array([(h.width, h.height) for h in headers.values()], np.int64).reshape(-1, 2)
    width, height = sizes.T
    aspect = width / height
    return Pictures(
        sizes=sizes,
        readable=len(sizes),
        unreadable=unreadable,
        formats=dict(Counter(header.format for header in headers.values()).most_common()),
        width=spread_of(width),
        height=spread_of(height),
        aspect_ratio=spread_of(aspect),
        extremes={
            "fewest_pixels": find_extremes(width * height, rows, ids, most=False),
            "most_pixels": find_extremes(width * height, rows, ids, most=True),
            "widest": find_extremes(aspect, rows, ids, most=True),
            "tallest": find_extremes(aspect, rows, ids, most=False),
        },
    )


def _read_headers(paths: Sequence[str]) -> dict[str, Header | str]:
    """Return the header of each picture, or why it cannot be read."""
    found: dict[str, Header | str] = {}
    with warnings.catch_warnings(), progress_bar(len(paths), "picture sizes", "picture") as bar:
        # What Pillow warns of, the reasons tell.
        warnings.filterwarnings("ignore", module="PIL")
        for path in paths:
            try:
                found[path] = read_header(path)
            except PictureError as error:
                found[path] = str(error)
            bar.update()
    return found
