"""Exploring a catalogue: what it holds, what it lacks, and what looks odd in it."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.cards.cleaning import column_texts
from prodcat_index.cards.pictures import Header, read_header
from prodcat_index.errors import PictureError
from prodcat_index.progress import progress_bar
from prodcat_index.reports.label_issues import (
    DuplicateGroups,
    LabelIssues,
    describe_repeats,
    find_label_issues,
)
from prodcat_index.reports.languages import Languages, detect_languages
from prodcat_index.types import CATEGORY_SEPARATOR, evenly_spaced

if TYPE_CHECKING:
    from prodcat_index.cards.duplicates import Groups


QUANTILES = (0.0, 0.05, 0.5, 0.95, 1.0)
# Tukey's fence for what is far out, in interquartile ranges.
FAR = 3.0
EXTREMES = 5


@dataclass(frozen=True)
class Spread:
    """Quantiles of positive numbers."""

    count: int
    least: float
    low: float
    median: float
    high: float
    most: float
    far_out: int

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers by name."""
        return asdict(self)


@dataclass(frozen=True)
class Extreme:
    """A card at an end of a scale."""

    id: str
    row: int
    value: float

    def as_dict(self) -> dict[str, Any]:
        """Return the card and its value."""
        return {"id": self.id, "value": self.value}


def spread_of(values: npt.ArrayLike) -> Spread | None:
    """Summarize positive numbers."""
    numbers = np.asarray(values, dtype=np.float64)
    if not numbers.size:
        return None
    least, low, median, high, most = map(float, np.quantile(numbers, QUANTILES))
    return Spread(numbers.size, least, low, median, high, most, int(is_far_out(numbers).sum()))


def is_far_out(values: npt.ArrayLike) -> npt.NDArray[np.bool_]:
    """Mark the numbers beyond Tukey's far fences on a logarithmic scale."""
    logs = np.log(np.asarray(values, dtype=np.float64))
    if not logs.size:
        return np.zeros(0, dtype=bool)
    first, third = np.quantile(logs, (0.25, 0.75))
    reach = FAR * (third - first)
    # What equals a quartile is never beyond it, whatever interpolation rounds to.
    slack = 1e-9
    return np.asarray((logs < first - reach - slack) | (logs > third + reach + slack))


def find_extremes(
    values: npt.ArrayLike, rows: Sequence[int], ids: Sequence[str], *, most: bool
) -> tuple[Extreme, ...]:
    """Name the cards with the least or the most of something."""
    numbers = np.asarray(values, dtype=np.float64)
    if not numbers.size:
        return ()
    beyond = (numbers - np.median(numbers)) * (1 if most else -1)
    order = np.argsort(-beyond, kind="stable")[:EXTREMES]
    named = [i for i in order if beyond[i] > 0]
    return tuple(Extreme(ids[rows[i]], int(rows[i]), float(numbers[i])) for i in named)


LISTED = 20
FEW = 4


@dataclass(frozen=True)
class Categories:
    """The categories of a catalogue."""

    sizes: Mapping[str, int]

    @property
    def cards(self) -> int:
        """Number of labelled cards."""
        return sum(self.sizes.values())

    @property
    def largest(self) -> dict[str, int]:
        """The largest ``LISTED`` categories, largest first."""
        return dict(list(self.sizes.items())[:LISTED])

    @property
    def smallest(self) -> dict[str, int]:
        """The smallest ``LISTED`` categories, smallest first."""
        return dict(list(self.sizes.items())[::-1][:LISTED])

    @property
    def singletons(self) -> int:
        """Number of categories with one card."""
        return sum(size == 1 for size in self.sizes.values())

    @property
    def small(self) -> int:
        """Number of categories with fewer than ``FEW`` cards."""
        return sum(size < FEW for size in self.sizes.values())

    @property
    def holding_half(self) -> int:
        """How many of the largest categories hold half of the cards together."""
        sums = accumulate(self.sizes.values())
        return next((n for n, held in enumerate(sums, start=1) if 2 * held >= self.cards), 0)

    @property
    def depths(self) -> dict[int, tuple[int, int]]:
        """Parts of the path -> number of categories and of cards, shallowest first."""
        categories, cards = Counter[int](), Counter[int]()
        for category, size in self.sizes.items():
            parts = len(category.split(CATEGORY_SEPARATOR))
            categories[parts] += 1
            cards[parts] += size
        return {parts: (categories[parts], cards[parts]) for parts in sorted(categories)}

    def as_dict(self) -> dict[str, Any]:
        """Return the counts by name."""
        return {
            "count": len(self.sizes),
            "largest": self.largest,
            "smallest": self.smallest,
            "with_one_card": self.singletons,
            f"with_fewer_than_{FEW}_cards": self.small,
            "largest_that_hold_half_of_the_cards": self.holding_half,
            "by_depth": {
                str(parts): {"categories": categories, "cards": cards}
                for parts, (categories, cards) in self.depths.items()
            },
        }


def count_categories(labels: Iterable[str]) -> Categories:
    """Count the cards of every category."""
    sizes = Counter(label for label in labels if label)
    return Categories(dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0]))))


UNLISTED_WHERE_EMPTY = ("category_id", "group")


@dataclass(frozen=True)
class Column:
    """How full a column is."""

    name: str
    filled: int
    missing: int
    distinct: int

    @property
    def missing_share(self) -> float:
        """Share of the cards without a value."""
        return self.missing / (self.filled + self.missing)

    def as_dict(self) -> dict[str, Any]:
        """Return the numbers by name."""
        return {**asdict(self), "missing_share": self.missing_share}


@dataclass(frozen=True)
class TextLengths:
    """How long the texts of a column are, in characters."""

    name: str
    lengths: npt.NDArray[np.int64]
    spread: Spread | None
    shortest: tuple[Extreme, ...]
    longest: tuple[Extreme, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the quantiles and the cards at both ends."""
        return {
            "characters": self.spread.as_dict() if self.spread else None,
            "shortest": [card.as_dict() for card in self.shortest],
            "longest": [card.as_dict() for card in self.longest],
        }


def describe_columns(catalogue: Catalogue) -> tuple[Column, ...]:
    """Count the missing and the different values of every column."""
    described = (_describe(catalogue, str(name)) for name in catalogue.cards.columns)
    return tuple(c for c in described if c.filled or c.name not in UNLISTED_WHERE_EMPTY)


def _describe(catalogue: Catalogue, name: str) -> Column:
    values = [value for value in column_texts(catalogue.cards[name]) if value]
    return Column(name, len(values), len(catalogue) - len(values), len(set(values)))


def measure_texts(catalogue: Catalogue) -> tuple[TextLengths, ...]:
    """Measure the texts of every text modality."""
    ids = catalogue.ids
    return tuple(_measure(name, catalogue.values(name), ids) for name in catalogue.text_modalities)


def _measure(name: str, texts: list[str], ids: list[str]) -> TextLengths:
    rows = [row for row, text in enumerate(texts) if text]
    lengths = np.array([len(texts[row]) for row in rows], dtype=np.int64)
    shortest, longest = (find_extremes(lengths, rows, ids, most=most) for most in (False, True))
    return TextLengths(name, lengths, spread_of(lengths), shortest, longest)


SCALES = ("width", "height", "aspect_ratio")


@dataclass(frozen=True)
class Pictures:
    """The pictures of a catalogue."""

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
    """Read the size and format of every picture, without decoding any."""
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


SAMPLED_CATEGORIES = 12
SAMPLES = 6


@dataclass(frozen=True, eq=False)
class Exploration:
    """What is to be known about a catalogue before it is used.

    Attributes
    ----------
    catalogue
        The cards.
    columns
        How full each column is.
    categories
        Their sizes and depths.
    texts
        Lengths, one a text modality.
    pictures
        Sizes and formats.
    languages
        One a text modality.
    repeats
        Duplicates and variants.
    doubts
        Labels that look like two names of one category.
    samples
        Largest categories -> rows of some of their cards.
    """

    catalogue: Catalogue
    columns: tuple[Column, ...]
    categories: Categories
    texts: tuple[TextLengths, ...]
    pictures: Pictures
    languages: tuple[Languages, ...]
    repeats: DuplicateGroups
    doubts: LabelIssues
    samples: Mapping[str, tuple[int, ...]]

    @property
    def counts(self) -> dict[str, int]:
        """The first numbers that one asks for."""
        return {
            "cards": len(self.catalogue),
            "labelled": self.categories.cards,
            "categories": len(self.categories.sizes),
            "with_picture": len(self.pictures.sizes) + self.pictures.unreadable_count,
        }

    def as_dict(self) -> dict[str, Any]:
        """Return all numbers and the cards and labels that are named, as JSON takes them."""
        return {
            "source": self.catalogue.source,
            **self.counts,
            "columns": {column.name: column.as_dict() for column in self.columns},
            "by_category": self.categories.as_dict(),
            "texts": {text.name: text.as_dict() for text in self.texts},
            "languages": {text.name: text.as_dict() for text in self.languages},
            "pictures": self.pictures.as_dict(),
            "duplicates": self.repeats.as_dict(),
            "suspicious_labels": self.doubts.as_dict(),
            "findings": [str(finding) for finding in self.catalogue.findings],
        }


def explore(catalogue: Catalogue, groups: Groups | None = None) -> Exploration:
    """Explore a catalogue.

    Texts are read whole; of the pictures only the headers, unless groups are to be found.

    Parameters
    ----------
    catalogue
        The cards.
    groups
        Cards that are one product, where they are known already.

    Returns
    -------
    Exploration
        The same for the same catalogue.
    """
    from prodcat_index.cards.duplicates import find_groups

    categories = count_categories(catalogue.values("category"))
    return Exploration(
        catalogue=catalogue,
        columns=describe_columns(catalogue),
        categories=categories,
        texts=measure_texts(catalogue),
        pictures=measure_pictures(catalogue),
        languages=detect_languages(catalogue),
        repeats=describe_repeats(catalogue, groups or find_groups(catalogue)),
        doubts=find_label_issues(categories.sizes),
        samples=_sample(catalogue, categories),
    )


def _sample(catalogue: Catalogue, categories: Categories) -> dict[str, tuple[int, ...]]:
    """Choose cards of the largest categories, those with pictures first."""
    chosen = list(categories.largest)[:SAMPLED_CATEGORIES]
    rows: dict[str, list[int]] = {category: [] for category in chosen}
    for row, label in enumerate(catalogue.values("category")):
        if label in rows:
            rows[label].append(row)
    pictures = catalogue.values(IMAGE)
    return {category: _choose(members, pictures) for category, members in rows.items()}


def _choose(rows: list[int], pictures: list[str]) -> tuple[int, ...]:
    shown = [row for row in rows if pictures[row]] or rows
    return tuple(shown[place] for place in evenly_spaced(len(shown), SAMPLES, endpoint=False))
