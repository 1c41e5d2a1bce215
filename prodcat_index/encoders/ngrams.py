"""Sparse TF-IDF rows over character and word n-grams.

Counts are sublinear and weighted by smoothed inverse document frequency (Salton and Buckley,
1988). The character part and the word part of each field are scaled to unit length each, so that
neither drowns the other. N-grams that are not known count in this length, as rare ones: a text of
which little is known gets a short row. Only fitting needs scikit-learn; a query needs numpy alone.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from itertools import pairwise
from typing import Any

import numpy as np

from prodcat_index.encoders.base import FittedPart
from prodcat_index.files import Contents, open_array, read_json
from prodcat_index.types import Float32Array, Int64Array, evenly_spaced

CHARACTER_SIZES = (2, 3, 4, 5)
# A pasted base64 picture would otherwise be most of the vocabulary.
MAX_WORD = 64
# What comes later in a text hardly adds to what it says, and costs as much to count.
MAX_CHARACTERS = 1500
# Bounds on memory and time of fitting: the vocabulary, and the texts that it is learned from.
MAX_FEATURES = 1_000_000
MAX_FIT_TEXTS = 200_000
# Marks a run of characters, so that it is never taken for a word.
RUN = "#"
# Files of the vocabulary.
NGRAMS, NGRAMS_WITHOUT_MARKS = "ngrams.json", "vocabulary.json"

_WORD = re.compile(r"\w+")
# RUN is no mark of a text: a pair that begins with it would be taken for a run.
_WORD_OR_MARK = re.compile(rf"\w+|[^\w\s{RUN}]")


def ngrams(text: str, *, with_marks: bool = False) -> list[str]:
    """Split a text into the n-grams that are counted: words, pairs of words, marked runs.

    With marks, a pair is a word and the word or the punctuation mark beside it.
    """
    words, pairs = _words_and_pairs(text, with_marks)
    runs = (run for word in words for run in _character_runs(word))
    return [*words, *map(" ".join, pairs), *runs]


def split_words(text: str) -> list[str]:
    """Split a text into its words, folded to lower case."""
    return _split(_WORD, text)


def _split(pattern: re.Pattern[str], text: str) -> list[str]:
    folded = unicodedata.normalize("NFKC", text).lower().replace("ё", "е")
    return [part[:MAX_WORD] for part in pattern.findall(folded)]


def _words_and_pairs(text: str, with_marks: bool) -> tuple[list[str], list[tuple[str, str]]]:
    words = split_words(text)
    if not with_marks:
        return words, list(pairwise(words))
    known, pairs = set(words), pairwise(_split(_WORD_OR_MARK, text))
    # Two marks say nothing of a product.
    return words, [pair for pair in pairs if not known.isdisjoint(pair)]


@lru_cache(maxsize=2**13)  # Cards of a shop share most of their words.
def _character_runs(word: str) -> tuple[str, ...]:
    padded = f" {word} "
    return tuple(
        RUN + padded[at : at + size]
        for size in CHARACTER_SIZES
        for at in range(len(padded) - size + 1)
    )


@dataclass(frozen=True)
class SparseRows:
    """Rows of which few values differ from zero, in the compressed sparse row layout."""

    starts: Int64Array  # (n + 1,): row i holds the places starts[i] to starts[i + 1]
    features: Int64Array  # rising within a row
    values: Float32Array
    width: int
    known: Float32Array  # (n,): share of the n-grams that is known, by squared weight

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.starts) - 1


class NgramVectorizer:
    """Turns cards, given as texts by field, into sparse rows over the n-grams of each field."""

    def __init__(
        self, vocabularies: Mapping[str, Sequence[str]], idf: Float32Array, *, with_marks: bool
    ) -> None:
        self._with_marks = with_marks  # False in indexes of formats 3 to 7
        self._places: dict[str, dict[str, int]] = {}
        start = 0
        for field, ngrams_of_field in vocabularies.items():
            places = enumerate(ngrams_of_field, start)
            self._places[field] = {str(ngram): place for place, ngram in places}
            start += len(ngrams_of_field)
        self.idf = idf
        names = [ngram for places in self._places.values() for ngram in places]
        self._is_run = np.array([ngram.startswith(RUN) for ngram in names], dtype=bool)
        self._rarest = float(idf.max()) if len(idf) else 1.0

    @property
    def vocabularies(self) -> dict[str, list[str]]:
        """The n-grams of each field, one a column."""
        return {field: list(places) for field, places in self._places.items()}

    @property
    def width(self) -> int:
        """Number of columns."""
        return len(self.idf)

    @classmethod
    def fit(cls, texts: Mapping[str, Sequence[str]]) -> NgramVectorizer:
        """Choose the n-grams of each field and weigh them by their rarity.

        Words count wherever they are, as one may tell a small category; the rest in two texts.
        """
        chosen = {field: _choose(values) for field, values in texts.items()}
        idf = [weights for _, weights in chosen.values()]
        return cls(
            {field: names for field, (names, _) in chosen.items()},
            np.concatenate([np.zeros(0), *idf]).astype(np.float32),
            with_marks=True,
        )

    def transform(self, cards: Sequence[Mapping[str, str]]) -> SparseRows:
        """Count the n-grams of cards; a card without a known one becomes an empty row."""
        rows = [self._row(card) for card in cards]
        sizes = [len(places) for places, _, _ in rows]
        return SparseRows(
            np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
            np.concatenate([np.zeros(0, dtype=np.int64), *(places for places, _, _ in rows)]),
            np.concatenate([np.zeros(0, dtype=np.float32), *(values for _, values, _ in rows)]),
            self.width,
            np.array([known for _, _, known in rows], dtype=np.float32),
        )

    def _row(self, card: Mapping[str, str]) -> tuple[Int64Array, Float32Array, float]:
        features, weights = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.float32)]
        shares: list[float] = []
        for field, known in self._places.items():
            text = card.get(field, "")[:MAX_CHARACTERS]
            found = Counter(ngrams(text, with_marks=self._with_marks))
            counts = {known[ngram]: count for ngram, count in found.items() if ngram in known}
            places = np.array(sorted(counts), dtype=np.int64)
            repeated = np.array([counts[place] for place in places], dtype=np.float32)
            values = (1 + np.log(repeated)) * self.idf[places]
            is_run = self._is_run[places]
            runs = sum(ngram[0] == RUN for ngram in found)
            for part, total in ((is_run, runs), (~is_run, len(found) - runs)):
                if total:
                    mass = float(np.sum(values[part] ** 2))
                    unknown = float(total - part.sum()) * self._rarest**2
                    values[part] /= np.sqrt(mass + unknown)
                    shares.append(mass / (mass + unknown))
            features.append(places)
            weights.append(values.astype(np.float32))
        known_share = sum(shares) / len(shares) if shares else 0.0
        return np.concatenate(features), np.concatenate(weights), known_share

    def known_share(self, card: Mapping[str, str]) -> float:
        """Return which share of a card's n-grams is known, by squared weight; 0 without any."""
        return self._row(card)[2]

    def share_among_words(
        self, card: Mapping[str, str], added: Mapping[int, float]
    ) -> dict[str, float]:
        """Share out what each column adds to a score among the words that its n-gram is of."""
        totals: dict[str, float] = {}
        for field, known in self._places.items():
            text = card.get(field, "")[:MAX_CHARACTERS]
            words, pairs = _words_and_pairs(text, self._with_marks)
            owned = [(ngram, [word]) for word in words for ngram in (word, *_character_runs(word))]
            owned += [(" ".join(pair), [part for part in pair if part in words]) for pair in pairs]
            times = Counter(ngram for ngram, _ in owned)
            for ngram, owners in owned:
                part = added.get(known.get(ngram, -1), 0.0) / times[ngram] / len(owners)
                for word in owners:
                    totals[word] = totals.get(word, 0.0) + part
        return totals

    def fitted_parts(self) -> dict[str, FittedPart]:
        """Return the vocabularies and the inverse document frequencies, by names of files."""
        name = NGRAMS if self._with_marks else NGRAMS_WITHOUT_MARKS
        return {name: self.vocabularies, "idf.npy": self.idf}

    @classmethod
    def restore(cls, stored: Contents) -> NgramVectorizer:
        """Read the stored parts; raise ValueError where they are damaged."""
        with_marks = NGRAMS in stored
        read = read_json(stored[NGRAMS if with_marks else NGRAMS_WITHOUT_MARKS])
        if not isinstance(read, dict) or not all(isinstance(v, list) for v in read.values()):
            raise ValueError("the vocabulary is not a list of n-grams for each field")
        size = sum(len(names) for names in read.values())
        idf = open_array(stored["idf.npy"], "float32", (size,))
        return cls(read, idf, with_marks=with_marks)


def _choose(texts: Sequence[str]) -> tuple[list[str], Float32Array]:
    """Return the n-grams that count and their inverse document frequencies."""
    cut = {text[:MAX_CHARACTERS] for text in texts}
    try:
        names, counts = count_ngrams(
            cut, MAX_FIT_TEXTS, with_marks=True, binary=True, dtype=np.int32
        )
    except ValueError:  # there is no word in any of them
        return [], np.zeros(0, dtype=np.float32)
    found = np.bincount(counts.indices)
    kept = chosen_ngrams(names, found, MAX_FEATURES)
    idf = np.log((1 + counts.shape[0]) / (1 + found[kept])) + 1
    return [str(name) for name in names[kept]], idf.astype(np.float32)


def count_ngrams(
    texts: Iterable[str], most: int, *, with_marks: bool = False, **options: Any
) -> tuple[Any, Any]:
    """Return the n-grams of at most so many different texts, and their counts, a row a text."""
    from sklearn.feature_extraction.text import CountVectorizer

    distinct = sorted(set(texts) - {""})
    sample = [distinct[place] for place in evenly_spaced(len(distinct), most)]
    counter = CountVectorizer(analyzer=partial(ngrams, with_marks=with_marks), **options)
    counts = counter.fit_transform(sample)
    return counter.get_feature_names_out(), counts


def chosen_ngrams(names: Sequence[str], found: Int64Array, limit: int) -> Int64Array:
    """Return the places of the n-grams that count, (n,): words, and what several texts have."""
    is_word = np.array([" " not in name and not name.startswith(RUN) for name in names])
    kept = np.flatnonzero((found > 1) | is_word)
    # The frequent ones where there are too many; a stable sort keeps the choice the same.
    return np.sort(kept[np.argsort(-found[kept], kind="stable")[:limit]])
