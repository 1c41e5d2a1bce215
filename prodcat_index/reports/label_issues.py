"""Cards that are one product, or look like it: how many, and which."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import Catalogue
from prodcat_index.types import CATEGORY_SEPARATOR

if TYPE_CHECKING:
    from prodcat_index.cards.duplicates import Groups


MOST_EDITS = 2
# In shorter names one letter makes another word: "tap", "tape", "cap".
LETTERS_PER_EDIT = 5
# Comparing every pair of more names than this takes minutes.
MOST_NAMES = 10_000
CHUNK = 500

DIGITS = re.compile(r"\d+")
MARKS = re.compile(r"(?:[^\w+#]|_)+")


@dataclass(frozen=True)
class SimilarLabels:
    """Labels that may be one category."""

    labels: tuple[str, ...]
    sizes: tuple[int, ...]

    def as_dict(self) -> dict[str, int]:
        """Return the labels with their numbers of cards."""
        return dict(zip(self.labels, self.sizes, strict=True))


@dataclass(frozen=True)
class LabelIssues:
    """All labels that are worth a look."""

    spelling: tuple[SimilarLabels, ...]
    leaf: tuple[SimilarLabels, ...]
    alike: tuple[SimilarLabels, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the groups of labels by the reason of the doubt."""
        return {
            reason: [group.as_dict() for group in groups] for reason, groups in vars(self).items()
        }


def find_label_issues(sizes: Mapping[str, int]) -> LabelIssues:
    """Find labels that look like two names of one category."""
    return LabelIssues(
        _as_groups(_group(sizes, spelling_key), sizes),
        _as_groups(_same_leaf(sizes), sizes),
        _as_groups(_alike(sizes), sizes),
    )


def spelling_key(label: str) -> str:
    """Return what is left of a label without case, white space, ё and punctuation."""
    parts = label.casefold().replace("ё", "е").split(CATEGORY_SEPARATOR)
    return CATEGORY_SEPARATOR.join(MARKS.sub(_between_digits, part) or part for part in parts)


def _between_digits(marks: re.Match[str]) -> str:
    before, after = marks.string[: marks.start()], marks.string[marks.end() :]
    return marks[0].strip() or " " if before[-1:].isdigit() and after[:1].isdigit() else ""


def _leaf(label: str) -> str:
    return label.rpartition(CATEGORY_SEPARATOR)[2]


def _group(labels: Iterable[str], key: Callable[[str], str]) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(key(label), []).append(label)
    return [group for group in groups.values() if len(group) > 1]


def _same_leaf(labels: Iterable[str]) -> list[list[str]]:
    groups = _group(labels, lambda label: spelling_key(_leaf(label)))
    return [group for group in groups if len({spelling_key(label) for label in group}) > 1]


def _alike(labels: Iterable[str]) -> list[list[str]]:
    by_leaf: dict[str, str] = {}
    for label in labels:
        by_leaf.setdefault(spelling_key(_leaf(label)), label)
    names = [name for name in by_leaf if len(name) >= LETTERS_PER_EDIT][:MOST_NAMES]
    return [[by_leaf[one], by_leaf[other]] for one, other in _alike_pairs(names)]


def _alike_pairs(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    from rapidfuzz import process
    from rapidfuzz.distance import Levenshtein

    allowed = np.array([min(len(name) // LETTERS_PER_EDIT, MOST_EDITS) for name in names])
    for start in range(0, len(names), CHUNK):
        chunk = names[start : start + CHUNK]
        edits = process.cdist(
            chunk, names, scorer=Levenshtein.distance, score_cutoff=MOST_EDITS, dtype=np.uint8
        )
        enough = np.minimum(allowed[start : start + CHUNK, None], allowed)
        for row, column in np.argwhere(edits <= enough):
            one, other = names[start + row], names[column]
            if start + row < column and DIGITS.findall(one) == DIGITS.findall(other):
                yield one, other


def _as_groups(
    groups: Iterable[Sequence[str]], sizes: Mapping[str, int]
) -> tuple[SimilarLabels, ...]:
    by_size = [sorted(group, key=lambda label: (-sizes[label], label)) for group in groups]
    similar = (SimilarLabels(tuple(g), tuple(sizes[label] for label in g)) for g in by_size)
    return tuple(sorted(similar, key=lambda group: (-sum(group.sizes), group.labels)))


LISTED = 8
NAMED = 20


@dataclass(frozen=True)
class DuplicateGroup:
    """Cards of one group."""

    rows: tuple[int, ...]
    ids: tuple[str, ...]
    categories: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return size, first ids and categories."""
        return {
            "cards": len(self.ids),
            "ids": list(self.ids[:NAMED]),
            "categories": list(self.categories),
        }


@dataclass(frozen=True)
class Rule:
    """What one rule joins."""

    name: str
    groups: int
    cards: int


@dataclass(frozen=True)
class DuplicateGroups:
    """The groups of two or more cards."""

    rules: tuple[Rule, ...]
    groups: int
    cards: int
    mixed_groups: int
    largest: tuple[DuplicateGroup, ...]
    mixed: tuple[DuplicateGroup, ...]
    notes: tuple[str, ...]

    @property
    def superfluous(self) -> int:
        """Cards that would go if one of each group stayed."""
        return self.cards - self.groups

    def as_dict(self) -> dict[str, Any]:
        """Return the counts and the groups that are listed."""
        return {
            "groups": self.groups,
            "cards": self.cards,
            "superfluous": self.superfluous,
            "groups_of_several_categories": self.mixed_groups,
            "by_rule": {r.name: {"groups": r.groups, "cards": r.cards} for r in self.rules},
            "largest": [repeat.as_dict() for repeat in self.largest],
            "of_several_categories": [repeat.as_dict() for repeat in self.mixed],
            "notes": list(self.notes),
        }


def describe_repeats(catalogue: Catalogue, groups: Groups) -> DuplicateGroups:
    """Count the groups of a catalogue, and list the largest."""
    found = _repeats(catalogue, groups.codes)
    mixed = [repeat for repeat in found if len(repeat.categories) > 1]
    return DuplicateGroups(
        _describe_rules(groups.by_rule),
        len(found),
        sum(len(repeat.rows) for repeat in found),
        len(mixed),
        tuple(found[:LISTED]),
        tuple(mixed[:LISTED]),
        tuple(str(finding) for finding in groups.findings),
    )


def _describe_rules(by_rule: Mapping[str, npt.NDArray[np.int64]]) -> tuple[Rule, ...]:
    described = []
    for name, codes in by_rule.items():
        members = _members(codes)
        described.append(Rule(name, len(members), sum(map(len, members))))
    return tuple(described)


def _repeats(catalogue: Catalogue, codes: npt.NDArray[np.int64]) -> list[DuplicateGroup]:
    ids, labels = catalogue.ids, catalogue.values("category")
    return [
        DuplicateGroup(
            tuple(rows), tuple(ids[row] for row in rows), _ranked([labels[r] for r in rows])
        )
        for rows in _members(codes)
    ]


def _members(codes: npt.NDArray[np.int64]) -> list[list[int]]:
    """Return the rows of every code that occurs more than once, most rows first."""
    order = np.argsort(codes, kind="stable")
    order = order[codes[order] >= 0]
    parts = np.split(order, np.flatnonzero(np.diff(codes[order])) + 1)
    groups = [part.tolist() for part in parts if len(part) > 1]
    return sorted(groups, key=lambda rows: (-len(rows), rows))


def _ranked(labels: Sequence[str]) -> tuple[str, ...]:
    counts = Counter(label for label in labels if label)
    return tuple(sorted(counts, key=lambda label: (-counts[label], label)))
