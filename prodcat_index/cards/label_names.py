"""Names of categories that may be two names of one: by spelling, by their last part, by an edit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TypeAlias

import numpy as np

from prodcat_index.types import CATEGORY_SEPARATOR, chunks

MOST_EDITS = 2
# In shorter names one letter makes another word: "tap", "tape", "cap".
LETTERS_PER_EDIT = 5
# Comparing every pair of more names than this takes minutes.
MOST_NAMES = 10_000
# Names whose distances to all others are in memory at once.
CHUNK = 500
DIGITS = re.compile(r"\d+")
# + and # are kept, for C++ is not C#.
MARKS = re.compile(r"(?:[^\w+#]|_)+")

# Reason -> groups of labels with their numbers of cards.
LabelIssues: TypeAlias = dict[str, tuple[dict[str, int], ...]]


def find_label_issues(sizes: Mapping[str, int]) -> LabelIssues:
    """Return groups of labels that may be one category, the largest first, by the reason."""

    def rank(groups: Iterable[list[str]]) -> tuple[dict[str, int], ...]:
        ranked = [sorted(group, key=lambda label: (-sizes[label], label)) for group in groups]
        ranked.sort(key=lambda group: (-sum(sizes[label] for label in group), group))
        return tuple({label: sizes[label] for label in group} for group in ranked)

    leaves = _group(sizes, _leaf_key)
    several = [group for group in leaves if len(set(map(spelling_key, group))) > 1]
    return {
        # Equal but for case, spaces, ё and punctuation.
        "spelling": rank(_group(sizes, spelling_key)),
        # The same last part under different paths.
        "leaf": rank(several),
        # Last parts that differ by a letter or two.
        "alike": rank(_alike(sizes)),
    }


def spelling_key(label: str) -> str:
    """Return what is left of a label without case, white space, ё and punctuation."""
    parts = label.casefold().replace("ё", "е").split(CATEGORY_SEPARATOR)
    return CATEGORY_SEPARATOR.join(MARKS.sub(_keep_between_digits, part) or part for part in parts)


def _keep_between_digits(marks: re.Match[str]) -> str:
    """Keep what parts two numbers: 1/2 is not 12."""
    before, after = marks.string[: marks.start()], marks.string[marks.end() :]
    return marks[0].strip() or " " if before[-1:].isdigit() and after[:1].isdigit() else ""


def _leaf_key(label: str) -> str:
    return spelling_key(label.rpartition(CATEGORY_SEPARATOR)[2])


def _group(labels: Iterable[str], key: Callable[[str], str]) -> list[list[str]]:
    groups: dict[str, list[str]] = {}
    for label in labels:
        groups.setdefault(key(label), []).append(label)
    return [group for group in groups.values() if len(group) > 1]


def _alike(labels: Iterable[str]) -> Iterator[list[str]]:
    """Yield pairs of labels whose last parts are a few edits apart, and equal in their numbers."""
    from rapidfuzz import process
    from rapidfuzz.distance.Levenshtein import distance

    by_leaf: dict[str, str] = {}
    for label in labels:
        by_leaf.setdefault(_leaf_key(label), label)
    names = [name for name in by_leaf if len(name) >= LETTERS_PER_EDIT][:MOST_NAMES]
    allowed = np.array([min(len(name) // LETTERS_PER_EDIT, MOST_EDITS) for name in names])
    for chunk in chunks(len(names), CHUNK):
        # Distances beyond the limit are cut off, and so fit into a byte.
        edits = process.cdist(
            names[chunk], names, scorer=distance, score_cutoff=MOST_EDITS, dtype=np.uint8
        )
        close = edits <= np.minimum(allowed[chunk, None], allowed)
        for row, column in np.argwhere(close):
            one, other = names[chunk.start + row], names[column]
            if chunk.start + row < column and DIGITS.findall(one) == DIGITS.findall(other):
                yield [by_leaf[one], by_leaf[other]]
