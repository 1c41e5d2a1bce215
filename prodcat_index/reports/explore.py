"""Exploring a catalogue: what it holds, what it lacks, and what looks odd in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass
from itertools import accumulate
from typing import TYPE_CHECKING, Any

from prodcat_index.cards.card import DIGEST, IMAGE, Catalogue
from prodcat_index.cards.catalogue import as_catalogue
from prodcat_index.cards.cleaning import column_texts
from prodcat_index.cards.codes import rows_together
from prodcat_index.cards.inputs import CardSource
from prodcat_index.cards.label_names import LabelIssues, find_label_issues
from prodcat_index.reports.measurements import (
    Languages,
    Pictures,
    TextLengths,
    detect_languages,
    measure_pictures,
    measure_texts,
)
from prodcat_index.types import CATEGORY_SEPARATOR, Int64Array, evenly_spaced

if TYPE_CHECKING:
    from prodcat_index.cards.duplicates import Groups


# Numbers of categories, of groups of duplicates and of ids of a group that are listed.
LISTED, LISTED_GROUPS, NAMED = 20, 8, 20
SAMPLED_CATEGORIES, SAMPLES = 12, 6
# Columns that every catalogue has, filled or not.
UNLISTED_WHERE_EMPTY = ("category_id", "group")


@dataclass(frozen=True)
class Column:
    """Numbers of cards with and without a value in a column."""

    name: str
    filled: int
    missing: int
    missing_share: float
    distinct: int


def describe_columns(catalogue: Catalogue) -> tuple[Column, ...]:
    """Count the missing and the different values of every column."""
    described, cards = [], len(catalogue)
    for name in map(str, catalogue.cards.columns):
        values = [value for value in column_texts(catalogue.cards[name]) if value]
        if name != DIGEST and (values or name not in UNLISTED_WHERE_EMPTY):
            missing = cards - len(values)
            column = Column(name, len(values), missing, missing / cards, len(set(values)))
            described.append(column)
    return tuple(described)


@dataclass(frozen=True)
class Categories:
    """The categories of a catalogue with their numbers of cards."""

    sizes: dict[str, int] = field(repr=False)  # largest first
    cards: int = field(repr=False)  # labelled ones
    count: int
    largest: dict[str, int]  # first
    smallest: dict[str, int]  # first
    with_one_card: int
    with_fewer_than_4_cards: int
    largest_that_hold_half_of_the_cards: int
    # Number of parts of the path -> numbers of categories and cards, shallowest first.
    by_depth: dict[int, dict[str, int]]


def count_categories(labels: Iterable[str]) -> Categories:
    """Count the cards of every category; an empty label is none."""
    counts = Counter(label for label in labels if label)
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    sizes, cards = [size for _, size in ranked], counts.total()
    by_depth: dict[int, dict[str, int]] = {}
    for parts, size in sorted((label.count(CATEGORY_SEPARATOR) + 1, n) for label, n in ranked):
        depth = by_depth.setdefault(parts, {"categories": 0, "cards": 0})
        depth["categories"] += 1
        depth["cards"] += size
    sums = enumerate(accumulate(sizes), start=1)
    return Categories(
        sizes=dict(ranked),
        cards=cards,
        count=len(counts),
        largest=dict(ranked[:LISTED]),
        smallest=dict(ranked[::-1][:LISTED]),
        with_one_card=sum(size == 1 for size in sizes),
        with_fewer_than_4_cards=sum(size < 4 for size in sizes),
        largest_that_hold_half_of_the_cards=next((n for n, held in sums if 2 * held >= cards), 0),
        by_depth=by_depth,
    )


@dataclass(frozen=True)
class DuplicateGroup:
    """Cards that are one product, or look like it."""

    rows: list[int] = field(repr=False)
    cards: int
    ids: list[str]  # the first ones
    categories: list[str]  # the most frequent first


@dataclass(frozen=True)
class DuplicateGroups:
    """The groups of two or more cards."""

    groups: int
    cards: int
    superfluous: int  # cards that would go if one of each group stayed
    groups_of_several_categories: int
    cards_of_several_categories: int  # cards of these groups
    by_rule: dict[str, dict[str, int]]  # what joins cards -> numbers of groups and cards
    largest: list[DuplicateGroup]
    of_several_categories: list[DuplicateGroup]
    notes: list[str]


def describe_duplicates(catalogue: Catalogue, groups: Groups) -> DuplicateGroups:
    """Count the groups of a catalogue, and list the largest."""
    ids, labels = catalogue.ids, catalogue.values("category")
    found = []
    for rows in _members(groups.codes):
        counts = Counter(labels[row] for row in rows if labels[row])
        categories = sorted(counts, key=lambda label: (-counts[label], label))
        named = [ids[row] for row in rows[:NAMED]]
        found.append(DuplicateGroup(rows, len(rows), named, categories))
    mixed = [group for group in found if len(group.categories) > 1]
    cards = sum(group.cards for group in found)
    by_rule = {}
    for rule, codes in groups.by_rule.items():
        members = _members(codes)
        by_rule[rule] = {"groups": len(members), "cards": sum(map(len, members))}
    return DuplicateGroups(
        groups=len(found),
        cards=cards,
        superfluous=cards - len(found),
        groups_of_several_categories=len(mixed),
        cards_of_several_categories=sum(group.cards for group in mixed),
        by_rule=by_rule,
        largest=found[:LISTED_GROUPS],
        of_several_categories=mixed[:LISTED_GROUPS],
        notes=[str(finding) for finding in groups.findings],
    )


def _members(codes: Int64Array) -> list[list[int]]:
    """Return the rows of every code that occurs more than once, most rows first."""
    groups = [rows.tolist() for rows in rows_together(codes)]
    return sorted(groups, key=lambda rows: (-len(rows), rows))


@dataclass(frozen=True, eq=False)
class Exploration:
    """All that is to be known about a catalogue before it is used.

    Attributes
    ----------
    catalogue
        The cards: a catalogue, or what read_catalogue reads.
    columns
        Numbers of filled and missing values, one entry a column.
    categories
        Sizes and depths of the categories.
    texts
        Text modality -> lengths of its texts.
    pictures
        Sizes and formats of the pictures.
    languages
        Text modality -> languages of its texts.
    duplicates
        Groups of duplicates and variants.
    label_issues
        Reason -> groups of labels that look like two names of one category, with their sizes.
    samples
        Largest categories -> rows of some of their cards.
    """

    catalogue: Catalogue
    columns: tuple[Column, ...]
    categories: Categories
    texts: dict[str, TextLengths]
    pictures: Pictures
    languages: dict[str, Languages]
    duplicates: DuplicateGroups
    label_issues: LabelIssues
    samples: Mapping[str, tuple[int, ...]]

    @property
    def counts(self) -> dict[str, int]:
        """The numbers of cards, of labelled ones, of categories, and of cards with a picture."""
        return {
            "cards": len(self.catalogue),
            "labelled": self.categories.cards,
            "categories": self.categories.count,
            "with_picture": self.pictures.readable + self.pictures.unreadable_count,
        }

    def as_dict(self) -> dict[str, Any]:
        """Return all numbers, and the cards and labels that are named, as JSON takes them."""
        return as_json(
            {
                "source": self.catalogue.source,
                **self.counts,
                "columns": {column.name: column for column in self.columns},
                "by_category": self.categories,
                "texts": self.texts,
                "languages": self.languages,
                "pictures": self.pictures,
                "duplicates": self.duplicates,
                "suspicious_labels": self.label_issues,
                "findings": list(map(str, self.catalogue.findings)),
            }
        )


def as_json(value: Any) -> Any:
    """Turn records into dictionaries of the fields that `repr` shows, as JSON takes them."""
    if is_dataclass(value):
        return {f.name: as_json(getattr(value, f.name)) for f in fields(value) if f.repr}
    if isinstance(value, Mapping):
        return {str(name): as_json(part) for name, part in value.items()}
    return [as_json(part) for part in value] if isinstance(value, list | tuple) else value


def explore(catalogue: CardSource, groups: Groups | None = None) -> Exploration:
    """Explore a catalogue.

    Texts are read as a whole; of pictures only the headers, unless groups have to be found.

    Parameters
    ----------
    catalogue
        The cards.
    groups
        Groups of cards that are one product, if they are known already; otherwise they are found
        by :func:`prodcat_index.cards.duplicates.find_groups`.

    Returns
    -------
    Exploration
        The numbers, always the same for the same catalogue.
    """
    from prodcat_index.cards.duplicates import find_groups

    catalogue = as_catalogue(catalogue)
    categories = count_categories(catalogue.values("category"))
    return Exploration(
        catalogue=catalogue,
        columns=describe_columns(catalogue),
        categories=categories,
        texts=measure_texts(catalogue),
        pictures=measure_pictures(catalogue),
        languages=detect_languages(catalogue),
        duplicates=describe_duplicates(catalogue, groups or find_groups(catalogue)),
        label_issues=find_label_issues(categories.sizes),
        samples=_sample(catalogue, list(categories.largest)[:SAMPLED_CATEGORIES]),
    )


def _sample(catalogue: Catalogue, categories: Iterable[str]) -> dict[str, tuple[int, ...]]:
    """Choose cards of categories, only cards with pictures where there are any."""
    rows: dict[str, list[int]] = {category: [] for category in categories}
    for row, label in enumerate(catalogue.values("category")):
        if label in rows:
            rows[label].append(row)
    pictures = catalogue.values(IMAGE)
    samples = {}
    for category, members in rows.items():
        shown = [row for row in members if pictures[row]] or members
        places = evenly_spaced(len(shown), SAMPLES, endpoint=False)
        samples[category] = tuple(shown[place] for place in places)
    return samples
