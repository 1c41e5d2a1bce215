"""Labels that look like two names of one category."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from prodcat_index.cards.cleaning import CATEGORY_SEPARATOR

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
    """Labels that may be one category.

    Attributes
    ----------
    labels
        Two or more, the largest category first.
    sizes
        Number of cards of each.
    """

    labels: tuple[str, ...]
    sizes: tuple[int, ...]

    def as_dict(self) -> dict[str, int]:
        """Return the labels with their numbers of cards."""
        return dict(zip(self.labels, self.sizes, strict=True))


@dataclass(frozen=True)
class Doubts:
    """All labels that are worth a look.

    Attributes
    ----------
    spelling
        Labels that differ in case, white space, ё and е, or punctuation only.
    leaf
        Labels under different paths with the same last part.
    alike
        Pairs whose last parts differ by a letter or two.
    """

    spelling: tuple[SimilarLabels, ...]
    leaf: tuple[SimilarLabels, ...]
    alike: tuple[SimilarLabels, ...]

    def as_dict(self) -> dict[str, Any]:
        """Return the groups of labels by the reason of the doubt."""
        return {
            reason: [group.as_dict() for group in groups] for reason, groups in vars(self).items()
        }


def find_doubts(sizes: Mapping[str, int]) -> Doubts:
    """Find labels that look like two names of one category.

    Parameters
    ----------
    sizes
        Category -> number of cards.

    Returns
    -------
    Doubts
        Each kind with the largest groups first.
    """
    return Doubts(
        _as_groups(_group(sizes, spelling_key), sizes),
        _as_groups(_same_leaf(sizes), sizes),
        _as_groups(_alike(sizes), sizes),
    )


def spelling_key(label: str) -> str:
    """Return what is left of a label without case, white space, ё and punctuation.

    Parameters
    ----------
    label
        A clean category path, or a part of one.

    Returns
    -------
    str
        Equal for labels that differ in spelling only. Marks between digits stay, for 1/2 and 12
        are different sizes, and so do + and #, as in C++.
    """
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
