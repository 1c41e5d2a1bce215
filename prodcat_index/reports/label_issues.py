"""Labels that may be two names of one category, whose cards then vote against each other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

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


@dataclass(frozen=True)
class LabelIssues:
    """Groups of labels with their numbers of cards, by the reason to look at them."""

    spelling: tuple[dict[str, int], ...]  # equal but for case, spaces, ё and punctuation
    leaf: tuple[dict[str, int], ...]  # the same last part under different paths
    alike: tuple[dict[str, int], ...]  # last parts that differ by a letter or two


def find_label_issues(sizes: Mapping[str, int]) -> LabelIssues:
    """Find labels that look like two names of one category, among labels with their sizes."""
    return LabelIssues(
        spelling=_with_sizes(_group(sizes, spelling_key), sizes),
        leaf=_with_sizes(_same_leaf(sizes), sizes),
        alike=_with_sizes(_alike(sizes), sizes),
    )


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


def _same_leaf(labels: Iterable[str]) -> list[list[str]]:
    groups = _group(labels, _leaf_key)
    return [group for group in groups if len({spelling_key(label) for label in group}) > 1]


def _alike(labels: Iterable[str]) -> Iterator[list[str]]:
    """Yield pairs of labels whose last parts are a few edits apart, and equal in their numbers."""
    from rapidfuzz import process
    from rapidfuzz.distance import Levenshtein

    by_leaf: dict[str, str] = {}
    for label in labels:
        by_leaf.setdefault(_leaf_key(label), label)
    names = [name for name in by_leaf if len(name) >= LETTERS_PER_EDIT][:MOST_NAMES]
    allowed = np.array([min(len(name) // LETTERS_PER_EDIT, MOST_EDITS) for name in names])
    for chunk in chunks(len(names), CHUNK):
        edits = process.cdist(
            names[chunk],
            names,
            scorer=Levenshtein.distance,
            score_cutoff=MOST_EDITS,
            dtype=np.uint8,
        )
        close = edits <= np.minimum(allowed[chunk, None], allowed)
        for row, column in np.argwhere(close):
            one, other = names[chunk.start + row], names[column]
            if chunk.start + row < column and DIGITS.findall(one) == DIGITS.findall(other):
                yield [by_leaf[one], by_leaf[other]]


def _with_sizes(
    groups: Iterable[Sequence[str]], sizes: Mapping[str, int]
) -> tuple[dict[str, int], ...]:
    """Return the groups with their sizes, the largest label and the largest group first."""
    ranked = [sorted(group, key=lambda label: (-sizes[label], label)) for group in groups]
    ranked.sort(key=lambda group: (-sum(sizes[label] for label in group), group))
    return tuple({label: sizes[label] for label in group} for group in ranked)
