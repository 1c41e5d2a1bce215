"""Exploring a catalogue: what it holds, what it lacks, and what looks odd in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prodcat_index.cards.card import IMAGE, Catalogue
from prodcat_index.reports.exploration.categories import Categories, count_categories
from prodcat_index.reports.exploration.columns import (
    Column,
    TextLengths,
    describe_columns,
    measure_texts,
)
from prodcat_index.reports.exploration.doubts import Doubts, find_doubts
from prodcat_index.reports.exploration.languages import Languages, detect_languages
from prodcat_index.reports.exploration.pictures import Pictures, measure_pictures
from prodcat_index.reports.exploration.repeats import Repeats, describe_repeats
from prodcat_index.reports.exploration.spread import spaced_rows

if TYPE_CHECKING:
    from prodcat_index.cards.duplicates import Groups

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
    repeats: Repeats
    doubts: Doubts
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
        doubts=find_doubts(categories.sizes),
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
    return tuple(shown[place] for place in spaced_rows(len(shown), SAMPLES))
