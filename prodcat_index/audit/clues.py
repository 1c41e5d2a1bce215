"""How well a clue alone tells the category: a column, the look of pictures, phrases of texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import NamedTuple

import numpy as np

from prodcat_index.audit.two_samples import DEVIATIONS, group_variance, wilson_interval
from prodcat_index.cards.codes import category_counts, encode
from prodcat_index.cards.numbers import read_numbers
from prodcat_index.cards.pictures import load_picture, read_header
from prodcat_index.cards.variants import words_of
from prodcat_index.errors import PictureError
from prodcat_index.learning.folds import assign_folds
from prodcat_index.progress import map_in_threads
from prodcat_index.types import MISSING, BoolArray, Float64Array, Int64Array, evenly_spaced

# Known values next to one that is asked for, on a scale.
NEAREST = 5
# A category is told where at least this part of its cards is found, and where, at the lower limit,
# the clue is right by this part of the way from chance to certainty.
FOUND, RIGHT = 0.5, 0.8
# Of values such as addresses, the beginnings of so many words are clues.
MOST_WORDS = 6
# Share of the values of a column from which they count as numbers.
ARE_NUMBERS = 0.95
WORDS = re.compile(r"\d+|[^\W\d_]+")
NUMBER_IN_ID = re.compile(r"\D*(\d{1,15})\D*")
# Pictures are loaded with about this shorter side; the border is this part of it, plain up to this
# deviation of its levels, and of so many steps of each colour.
LOADED_SIDE, BORDER, PLAIN, STEPS = 64, 0.05, 8.0, 4
# Words of a phrase; the share of titles from which a word is about the product.
PHRASE, IN_TITLES = 4, 0.25
# Of fewer groups no category can be told; of more cards than these, so many are looked through,
# where phrases need to be in a little less than the share that is asked for.
FEWEST_GROUPS, READ, LESS = 16, 20, 0.8
EDGE = ""  # stands before and after the words of a text

Phrase = tuple[str, ...]
# (categories, MISSING for the cards that are asked for; mask of these) -> their categories.
Predictor = Callable[[Int64Array, BoolArray], Int64Array]


@dataclass(frozen=True, eq=False)
class Telling:
    """How well a clue tells the categories of n cards, each by cards of other groups only."""

    cards: int  # that have the clue, and a category that cards of other folds have
    accuracy: float
    baseline: float  # accuracy of the answer that is always the largest category
    gain: float  # of the way from the baseline to 1
    low: float  # 95 % interval of the gain, over groups
    high: float
    told: tuple[int, ...]  # the categories that the clue tells, most cards first


def tell_by_value(
    values: Int64Array, categories: Int64Array, groups: Int64Array, *, seen_only: bool = False
) -> Telling:
    """Predict the most frequent category among cards of equal value.

    Values, categories and groups are codes, (n,), MISSING for a card without one. Cards whose
    value no other group has are told nothing, or left out with `seen_only`.
    """

    def predict(known: Int64Array, asked: BoolArray) -> Int64Array:
        counts = category_counts(values, known)
        best = np.asarray(counts.argmax(axis=1)).ravel()
        best[np.asarray(counts.sum(axis=1)).ravel() == 0] = MISSING
        return best[values[asked]].astype(np.int64)

    return _tell(predict, values != MISSING, categories, groups, seen_only)


def tell_by_order(numbers: Float64Array, categories: Int64Array, groups: Int64Array) -> Telling:
    """Predict the most frequent category among the cards nearest on a scale, (n,), NaN for none."""

    def predict(known: Int64Array, asked: BoolArray) -> Int64Array:
        rows = np.flatnonzero((known != MISSING) & np.isfinite(numbers))
        rows = rows[np.argsort(numbers[rows], kind="stable")]
        places = np.searchsorted(numbers[rows], numbers[asked])[:, None]
        around = places + np.arange(-NEAREST, NEAREST)
        inside = (around >= 0) & (around < len(rows))
        near = rows[np.clip(around, 0, len(rows) - 1)]
        distances = np.where(inside, np.abs(numbers[near] - numbers[asked, None]), np.inf)
        nearest = np.argsort(distances, axis=1, kind="stable")[:, :NEAREST]
        found = np.where(inside, known[near], MISSING)
        return _most_frequent(np.take_along_axis(found, nearest, axis=1))

    return _tell(predict, np.isfinite(numbers), categories, groups)


def vote_of_first(codes: Int64Array, voters: BoolArray, count: int) -> Int64Array:
    """Return the most frequent code, (n, K), of the first few voters of each row: (n,)."""
    first = np.argsort(~voters, axis=1, kind="stable")[:, :count]
    return _most_frequent(np.take_along_axis(np.where(voters, codes, MISSING), first, axis=1))


def _most_frequent(codes: Int64Array) -> Int64Array:
    """Return the most frequent code of each row, of equally frequent ones the first: (n,)."""
    votes = (codes[:, :, None] == codes[:, None, :]).sum(axis=2) * (codes != MISSING)
    return np.take_along_axis(codes, votes.argmax(axis=1)[:, None], axis=1)[:, 0]


def _tell(
    predict: Predictor,
    has_clue: BoolArray,
    categories: Int64Array,
    groups: Int64Array,
    seen_only: bool = False,
) -> Telling:
    fold = assign_folds(groups)
    given = np.where(has_clue, categories, MISSING)
    predicted, largest, true = (np.full(len(given), MISSING, dtype=np.int64) for _ in range(3))
    for each in range(int(fold.max(initial=MISSING)) + 1):
        known = np.where(fold == each, MISSING, given)
        sizes = np.bincount(known[known != MISSING], minlength=int(given.max(initial=0)) + 1)
        # A category that no card of another fold has would be missed by any clue.
        asked = (fold == each) & (given != MISSING)
        asked[asked] = sizes[given[asked]] > 0
        if asked.any():
            largest[asked], true[asked] = sizes.argmax(), given[asked]
            found = predict(known, asked)
            predicted[asked] = np.where(found == MISSING, largest[asked], found)
            if seen_only:
                true[asked] = np.where(found == MISSING, MISSING, given[asked])
    scored = true != MISSING
    right, base = (answer[scored] == true[scored] for answer in (predicted, largest))
    room = int((~base).sum())
    if not room:
        return Telling(len(base), float(base.all()), float(base.all()), 0.0, -1.0, 1.0, ())
    gained = right.astype(np.float64) - base
    gain = float(gained.sum() / room)
    # The error of a ratio of sums over groups: the cards of a group are told alike.
    reach = DEVIATIONS * sqrt(group_variance(gained - gain * ~base, groups[scored])) / room
    told, low, high = told_categories(predicted, true, groups), gain - reach, gain + reach
    accuracies = float(right.mean()), float(base.mean())
    return Telling(len(base), *accuracies, gain, low, min(1.0, high), told)


def told_categories(predicted: Int64Array, true: Int64Array, groups: Int64Array) -> tuple[int, ...]:
    """Return the categories that are found, and rightly: codes, those of most cards first."""
    most = int(max(predicted.max(initial=0), true.max(initial=0)))
    sizes, told = np.bincount(true[true != MISSING], minlength=most + 1), []
    for category in np.unique(predicted[(predicted != MISSING) & (true != MISSING)]).tolist():
        said = (predicted == category) & (true != MISSING)
        right = int((true[said] == category).sum())
        share, base = right / said.sum(), sizes[category] / sizes.sum()
        # A group counts once.
        low, _ = wilson_interval(share, len(np.unique(groups[said])))
        if right >= FOUND * sizes[category] > 0 and low >= base + RIGHT * (1 - base):
            told.append(category)
    return tuple(sorted(told, key=lambda category: (-sizes[category], category)))


def tell_by_column(
    values: Sequence[str], categories: Int64Array, groups: Int64Array
) -> tuple[str, Telling]:
    """Return the clue in a column that tells the most, and what it tells."""
    found = {"its value": tell_by_value(encode(values), categories, groups)}
    words = [list(WORDS.finditer(value)) for value in values]
    # The whole value is a clue already.
    for count in range(1, min(MOST_WORDS + 1, max(map(len, words), default=0))):
        ends = [each[min(count, len(each)) - 1].end() if each else 0 for each in words]
        starts = encode([value[:end] for value, end in zip(values, ends, strict=True)])
        name = f"its first {'word' if count == 1 else f'{count} words'}"
        found[name] = tell_by_value(starts, categories, groups)
    least = max(1, ARE_NUMBERS * sum(map(bool, values)))
    numbers = read_numbers(values)
    if np.isfinite(numbers).sum() < least:
        matches = (NUMBER_IN_ID.fullmatch(value) for value in values)
        numbers = np.array([float(each[1]) if each else np.nan for each in matches])
    if np.isfinite(numbers).sum() >= least:
        found["the order of its numbers"] = tell_by_order(numbers, categories, groups)
    best = max(found, key=lambda name: found[name].low)
    return best, found[best]


def tell_by_pictures(
    paths: Sequence[str], categories: Int64Array, groups: Int64Array
) -> dict[str, Telling]:
    """Return what properties of n pictures tell, each but for those of pictures without it."""
    found = map_in_threads(_look, [*dict.fromkeys(filter(None, paths))], "sizes and borders")
    looks = [found.get(path) or ("", "", "", np.nan) for path in paths]
    told = {
        name: tell_by_value(encode([str(look[place]) for look in looks]), categories, groups)
        for place, name in enumerate(("size", "format", "border colour"))
    }
    ratios = np.array([look[-1] for look in looks], dtype=np.float64)
    return {**told, "aspect ratio": tell_by_order(ratios, categories, groups)}


def _look(path: str) -> tuple[str, str, str, float] | None:
    try:
        header = read_header(path)
        pixels = np.asarray(load_picture(path, LOADED_SIDE), dtype=np.float32)
    except PictureError:
        return None
    depth = max(1, round(BORDER * min(pixels.shape[:2])))
    inner = np.zeros(pixels.shape[:2], dtype=bool)
    inner[depth:-depth, depth:-depth] = True
    border = pixels[~inner]
    colour = tuple((border.mean(axis=0) // (256 / STEPS)).astype(int).tolist())
    is_plain = border.std(axis=0).max() <= PLAIN
    size = f"{header.width} x {header.height}"
    look = f"plain {colour}" if is_plain else "not plain"
    return size, header.format, look, header.width / header.height


class TellingPhrase(NamedTuple):
    """A phrase that stands in most texts of a category, and hardly in others."""

    category: int
    words: str
    rows: Int64Array  # of all cards with it
    found: float  # share of the category's cards that have it
    right: float  # share of the cards with it that are of the category


def find_phrases(
    texts: Sequence[str],
    titles: Sequence[str],
    categories: Int64Array,
    groups: Int64Array,
    names: Sequence[str],
) -> list[TellingPhrase]:
    """Find the longest phrase, not about the product, that tells each category where one does.

    A phrase of which half of the words stand in the category's name, or in many titles of its
    cards, is about the product.
    """
    edges = [EDGE] * (PHRASE // 2)
    words = [[*edges, *found, *edges] if (found := words_of(text)) else [] for text in texts]
    candidates: dict[Phrase, int] = {}
    for category, name in enumerate(names):
        rows = np.flatnonzero(categories == category)
        rows = rows[np.sort(np.unique(groups[rows], return_index=True)[1])]
        if len(rows) < FEWEST_GROUPS:
            continue
        rows = rows[evenly_spaced(len(rows), READ)]
        shown = [titles[row] for row in rows.tolist()]
        in_titles = Counter(word for title in shown for word in set(words_of(title)))
        about = {word for word, count in in_titles.items() if count >= IN_TITLES * len(rows)}
        about |= {*words_of(name), EDGE}
        in_texts = Counter(phrase for row in rows for phrase in set(_phrases(words[row])))
        for phrase, count in in_texts.items():
            if count >= LESS * FOUND * len(rows) and len(about.intersection(phrase)) < PHRASE / 2:
                candidates[phrase] = category
    rows_of: dict[Phrase, list[int]] = {phrase: [] for phrase in candidates}
    for row in np.flatnonzero(categories != MISSING).tolist():
        for phrase in candidates.keys() & _phrases(words[row]):
            rows_of[phrase].append(row)
    telling: dict[int, list[Phrase]] = {}
    for phrase, with_phrase in rows_of.items():
        predicted = np.full(len(categories), MISSING, dtype=np.int64)
        predicted[with_phrase] = candidates[phrase]
        if told_categories(predicted, categories, groups):
            telling.setdefault(candidates[phrase], []).append(phrase)
    phrases = []
    for category, own in sorted(telling.items()):
        best = max(own, key=lambda phrase: (len(rows_of[phrase]), phrase))
        with_it = np.array(rows_of[best], dtype=np.int64)
        right = int((categories[with_it] == category).sum())
        share = right / int((categories == category).sum())
        longest = _longest(words[with_it[0]], best, own)
        phrases.append(TellingPhrase(category, longest, with_it, share, right / len(with_it)))
    return phrases


def _phrases(words: Sequence[str]) -> list[Phrase]:
    return list(zip(*(words[start:] for start in range(PHRASE)), strict=False))


def _longest(words: Sequence[str], best: Phrase, telling: Collection[Phrase]) -> str:
    """Return the run of words around a phrase all phrases in which tell the category."""
    phrases = _phrases(words)
    first = last = phrases.index(best)
    while first and phrases[first - 1] in telling:
        first -= 1
    while last + 1 < len(phrases) and phrases[last + 1] in telling:
        last += 1
    return " ".join(words[first : last + PHRASE]).strip()
