"""What the titles of two cards have in common: words, codes, and sizes, colours and numbers."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import combinations
from typing import Any, NamedTuple

import numpy as np

from prodcat_index.cards.codes import encode
from prodcat_index.cards.variants import product_words, words_of
from prodcat_index.types import MISSING, BoolArray, Float32Array, Float64Array, Int64Array, chunks

# Letters of a word in which one may be wrong, from and to.
LONG_WORD, LONGEST_WORD = 5, 40
# Between the numbers of one size.
TIMES = ("x", "х")
PAIRS_AT_ONCE = 100_000

_PIECES = re.compile(r"\d+|[^\W\d]+")


class TitlePairs(NamedTuple):
    """What the titles of P pairs of cards have in common."""

    alike: Float32Array  # (P,): share of the weight of all words that both have; NaN without any
    is_equal: BoolArray  # (P,): they have the same words
    of_both: BoolArray  # (P,): each has words of its own, so they name different things
    codes: BoolArray  # (P,): each has codes of its own, such as lm3301
    # (P,): sizes, colours or numbers are equal (0), one has more of them (1), each has its own (2)
    sizes: Int64Array


def compare_titles(titles: Sequence[str], first: Int64Array, second: Int64Array) -> TitlePairs:
    """Compare P pairs of N titles, given by their rows; one letter of a long word may be wrong.

    Sizes, colours and numbers are compared apart from the other words, which weigh as much as they
    are rare.
    """
    words = [words_of(title) for title in titles]
    products = [product_words(title) for title in titles]
    kept = [frozenset(each) for each in products]
    sizes = [_sizes_of(*each) for each in zip(words, products, strict=True)]
    vocabulary, has = _incidence(kept)
    weights = np.log1p(len(titles) / np.maximum(1, has.sum(axis=0)))
    is_code = np.array([any(map(str.isdigit, word)) for word in vocabulary], dtype=bool)
    of_words = np.stack([weights, np.ones(len(vocabulary)), is_code], axis=1)
    slips = _find_slips(vocabulary)
    rows = np.array([*slips, *((b, a) for a, b in slips)], dtype=np.int64).reshape(-1, 2)
    to_slips = _sparse(rows[:, 0], rows[:, 1], (len(vocabulary), len(vocabulary)))
    both = _in_common(has, has, of_words, first, second)
    own, other = ((has @ of_words)[rows] - both for rows in (first, second))
    # Columns: weight, number of words, number of codes.
    shared, every = both[:, 0], (own + other + both)[:, 0]
    of_both = (own[:, 1] > 0) & (other[:, 1] > 0)
    ones = np.ones((len(vocabulary), 1))
    may_slip = of_both & (_in_common(has @ to_slips, has, ones, first, second)[:, 0] > 0)
    place = {word: number for number, word in enumerate(vocabulary)}
    for pair in np.flatnonzero(may_slip).tolist():
        a, b = kept[first[pair]], kept[second[pair]]
        left, right = ([place[word] for word in sorted(each)] for each in (a - b, b - a))
        for word in left[:]:
            same = next((n for n in right if (min(n, word), max(n, word)) in slips), None)
            if same is not None:
                left.remove(word)
                right.remove(same)
                shared[pair] += min(weights[word], weights[same])
                every[pair] -= max(weights[word], weights[same])
        of_both[pair] = bool(left and right)
    coded = encode([" ".join(each) for each in words])
    equal = coded[first] == coded[second]
    alike = np.where(every > 0, shared / np.where(every > 0, every, 1), equal)
    alike[(coded[first] == MISSING) | (coded[second] == MISSING)] = np.nan
    pieces, has_piece = _incidence(sizes)
    ones = np.ones((len(pieces), 1))
    common = _in_common(has_piece, has_piece, ones, first, second)
    more = [(has_piece @ ones)[rows] > common for rows in (first, second)]
    codes = (own[:, 2] > 0) & (other[:, 2] > 0)
    return TitlePairs(alike.astype(np.float32), equal, of_both, codes, np.sum(more, axis=0)[:, 0])


def _sizes_of(words: list[str], product: list[str]) -> frozenset[str]:
    """Return the sizes, colours and numbers of a title, given by its words and product words.

    One that is there twice is told from one that is there once, and 50 x 60 from 60 x 50.
    """
    every = _PIECES.findall(" ".join(words))
    kept = [word for word in product if not word[0].isdigit()]
    counts = Counter(_PIECES.findall(" ".join((Counter(words) - Counter(kept)).elements())))
    found = {f"{piece} {nth}" for piece, count in counts.items() for nth in range(count)}
    run: list[str] = []
    for piece in (*every, ""):
        if piece.isdigit():
            run.append(piece)
        elif piece not in TIMES:
            if len(run) > 1:
                found.add("*".join(run))
            run = []
    return frozenset(found)


def _incidence(sets: Sequence[frozenset[str]]) -> tuple[list[str], Any]:
    """Return the V members of any of N sets in order, and which has which: (N, V), sparse."""
    members = sorted(set().union(*sets))
    place = {member: number for number, member in enumerate(members)}
    columns = [place[member] for each in sets for member in sorted(each)]
    rows = np.repeat(np.arange(len(sets)), [len(each) for each in sets])
    return members, _sparse(rows, np.array(columns, dtype=np.int64), (len(sets), len(members)))


def _sparse(rows: Int64Array, columns: Int64Array, shape: tuple[int, int]) -> Any:
    from scipy.sparse import csr_array

    return csr_array((np.ones(len(rows)), (rows, columns)), shape=shape)


def _in_common(
    a: Any, b: Any, values: Float64Array, first: Int64Array, second: Int64Array
) -> Float64Array:
    """Add up the values, (V, C), of what rows of two sparse matrices have in common: (P, C)."""
    parts = [
        a[first[part]].multiply(b[second[part]]) @ values
        for part in chunks(len(first), PAIRS_AT_ONCE)
    ]
    return np.concatenate([np.zeros((0, values.shape[1])), *parts])


def _find_slips(vocabulary: Sequence[str]) -> set[tuple[int, int]]:
    """Find the pairs of long words that differ in one letter, by their places in order."""
    from rapidfuzz.distance import DamerauLevenshtein

    # Such words have a form in common: themselves, or themselves without one letter.
    forms: dict[str, list[int]] = {}
    for number, word in enumerate(vocabulary):
        if LONG_WORD <= len(word) <= LONGEST_WORD and word.isalpha():
            for form in {word, *(word[:n] + word[n + 1 :] for n in range(len(word)))}:
                forms.setdefault(form, []).append(number)
    return {
        (a, b)
        for several in forms.values()
        for a, b in combinations(several, 2)
        if DamerauLevenshtein.distance(vocabulary[a], vocabulary[b], score_cutoff=1) <= 1
    }
