"""Artefacts: properties of pictures, and phrases of texts, that are not about the product."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

import numpy as np

from prodcat_index.audit.clues import FOUND, Telling, tell_by_order, tell_by_value, told_categories
from prodcat_index.cards.codes import encode
from prodcat_index.cards.pictures import load_picture, read_header
from prodcat_index.cards.variants import words_of
from prodcat_index.errors import PictureError
from prodcat_index.progress import map_in_threads
from prodcat_index.types import MISSING, Int64Array, evenly_spaced

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
