"""Similarity of offers: what two texts, codes, numbers, prices and brands have in common.

All features are free of units and the same for (a, b) as for (b, a). What cannot be compared,
such as the prices where one is not known, is NaN.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.numbers import read_numbers
from prodcat_index.cards.roles import column_key
from prodcat_index.cards.variants import words_of
from prodcat_index.types import Float64Array, Int64Array, chunks

# Columns beside the texts that tell offers apart, in the languages of the other columns.
BRAND = (
    "brand, brand_name, manufacturer, vendor, make, бренд, торговая марка, марка, производитель, "
    "Marke, Hersteller, marque, fabricant, marca, fabricante, produttore, producent, marka, üretici"
)
CODE = (
    "model, modelno, model_no, model_number, mpn, part_number, manufacturer_part_number, "
    "vendor_code, gtin, ean, upc, barcode, isbn, модель, штрихкод, артикул производителя, Modell, "
    "Modellnummer, modèle, modelo, modello"
)
PRICE = "price, sale_price, current_price, цена, Preis, prix, precio, prezzo, preço, cena, fiyat"

# A code mixes letters and digits, or is a long number.
LEAST_CODE, LEAST_NUMBER = 4, 5
_CHUNK = re.compile(r"\w+(?:[-./]\w+)*")
_BETWEEN = re.compile(r"[\W_]")
_MEASURE = re.compile(r"(?<![\w.])(\d+(?:[.,]\d+)?)(?![.,]?\d)(?:\s*-?\s*([^\W\d_]+|[\"'″]))?")
VIEWS = ("title", "text")
CHARACTERS = (3, 4)
# Cells of similarities that are in memory at once.
CELLS_AT_ONCE = 8_000_000
# A price of nothing is no price; neither is a difference larger than this factor any larger.
LARGEST_FACTOR = 100.0

Measures = dict[str, set[str]]
Nearest = tuple[Int64Array, Float64Array]


@dataclass(frozen=True, eq=False)
class Offers:
    """What is compared of n offers."""

    titles: list[str]  # case and accents folded, one space between the words
    texts: list[str]  # all texts, brand and code, in the same way
    brands: list[str]
    prices: Float64Array  # (n,), NaN where not known
    codes: list[set[str]]  # of title and column, letters and digits only
    packed: list[str]  # all letters and digits of the texts
    title_measures: list[Measures]  # unit, or "" -> numbers
    text_measures: list[Measures]

    def __len__(self) -> int:
        """Return the number of offers."""
        return len(self.titles)

    @classmethod
    def from_catalogue(cls, catalogue: Catalogue) -> Offers:
        """Read the texts of cards, and their brands, codes and prices where they have columns."""
        texts = {name: catalogue.values(name) for name in catalogue.text_modalities}
        brands, codes, prices = (_column(catalogue, names) for names in (BRAND, CODE, PRICE))
        plain = [name for name in texts if any(texts[name])]
        titles = texts["title"] if "title" in plain else texts[plain[0]] if plain else brands
        joined = [" ".join(own) for own in zip(*texts.values(), brands, codes, strict=True)]
        named = [f"{title} {code}" for title, code in zip(titles, codes, strict=True)]
        return cls(
            titles=[" ".join(words_of(title)) for title in titles],
            texts=[" ".join(words_of(text)) for text in joined],
            brands=[" ".join(words_of(brand)) for brand in brands],
            prices=read_numbers(prices),
            codes=[find_codes(text) for text in named],
            packed=[_BETWEEN.sub("", text.casefold()) for text in joined],
            title_measures=[find_measures(title) for title in titles],
            text_measures=[find_measures(text) for text in joined],
        )


def compared_columns(catalogue: Catalogue) -> list[str]:
    """Return the columns of the brand, code and price, where they are."""
    return [found for names in (BRAND, CODE, PRICE) if (found := _find_column(catalogue, names))]


def _find_column(catalogue: Catalogue, names: str) -> str:
    """Return the first column of some names that has a value, the likeliest first, or ""."""
    seen = {column_key(name): name for name in reversed(catalogue.pieces.names)}
    found = [seen[key] for name in names.split(",") if (key := column_key(name)) in seen]
    return next((name for name in found if any(catalogue.values(name))), "")


def _column(catalogue: Catalogue, names: str) -> list[str]:
    name = _find_column(catalogue, names)
    return catalogue.values(name) if name else [""] * len(catalogue)


def find_codes(text: str) -> set[str]:
    """Return the codes of a text, such as ``wf-9200.sq`` as ``wf9200sq``."""
    packed = {_BETWEEN.sub("", chunk) for chunk in _CHUNK.findall(text.casefold())}
    return {code for code in packed if _is_code(code)}


def _is_code(word: str) -> bool:
    has_digit = any(letter.isdigit() for letter in word)
    return has_digit and len(word) >= (LEAST_NUMBER if word.isdigit() else LEAST_CODE)


def find_measures(text: str) -> Measures:
    """Return the numbers of a text by the unit or word after them, "" for none."""
    found: Measures = {}
    for number, unit in _MEASURE.findall(text.casefold()):
        plain = number.replace(",", ".")
        plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
        found.setdefault(unit, set()).add(plain)
    return found


def _pair_names() -> tuple[str, ...]:
    kinds = "words characters shared least_shared most_shared rarest_shared rarest_one rarest_other"
    names = [f"{view}_{kind}" for view in VIEWS for kind in kinds.split()]
    names += ["sorted_words", "common_words", "part"]
    names += ["code_length", "codes_shared", "code_likeness", "codes_known"]
    names += [f"{view}_{kind}" for view in VIEWS for kind in ("numbers", "units")]
    return (*names, "price_factor", "brand_likeness", "brand_within")


PAIR_FEATURES = _pair_names()
CONTEXT_FEATURES = ("lead_least", "lead_most", "rank_least", "rank_most")


class OfferPairs:
    """Pairs of two lists of offers, compared by words that are weighted by rarity in both.

    Parameters
    ----------
    left, right
        The offers; the same object twice for pairs within one list.
    """

    def __init__(self, left: Offers, right: Offers) -> None:
        self.left, self.right = left, right
        self._views = {view: self._fit(f"{view}s") for view in VIEWS}
        self._near: dict[int, tuple[Nearest, Nearest]] = {}

    def _fit(self, view: str) -> tuple[Any, ...]:
        """Return words by rarity, and unit rows of words and of characters, of both lists."""
        from scipy.sparse import csr_matrix
        from sklearn.feature_extraction.text import TfidfVectorizer
        from sklearn.preprocessing import normalize

        sides = [getattr(self.left, view)]
        sides += [] if self.right is self.left else [getattr(self.right, view)]
        everything = [text for side in sides for text in side]
        if not any(everything):
            empty = csr_matrix((len(everything), 1))
            words, letters, names = empty, empty, np.array([""])
        else:
            counter = TfidfVectorizer(analyzer=str.split, binary=True, norm=None)
            words = counter.fit_transform(everything)
            words.data /= np.log(1 + len(everything)) + 1  # the rarest word has about 1
            names = counter.get_feature_names_out()
            shape = {"analyzer": "char_wb", "ngram_range": CHARACTERS, "sublinear_tf": True}
            letters = TfidfVectorizer(**shape).fit_transform(everything)
        first, last = len(self.left), len(everything) - len(self.right)
        halves = [(m[:first], m[last:]) for m in (words, normalize(words), letters)]
        return (*halves, names)

    @cached_property
    def _rows(self) -> tuple[Any, Any]:
        """Unit rows of both sides; their product is the mean of the four cosines."""
        from scipy.sparse import hstack

        own = [rows for view in VIEWS for rows in self._views[view][1:3]]
        sides = (hstack([rows[side] for rows in own]).tocsr() for side in (0, 1))
        left, right = (side / np.sqrt(len(own)) for side in sides)
        return left, right

    def similarities(self, pairs: Int64Array) -> Float64Array:
        """Return the mean cosine of words and characters of title and text: (P,)."""
        left, right = self._rows
        return _dots(left, right, pairs)

    def nearest(self, k: int) -> tuple[Nearest, Nearest]:
        """Return the k right offers nearest to each left one and their similarities, and back.

        Returns
        -------
        tuple
            Of the left offers (rows, similarities), each (n, k); then of the right ones, (m, k).
            Of offers of one list, each is left out of its own. Those that have nothing in common
            are left out, as -1 and NaN.
        """
        if k not in self._near:
            left, right = self._rows
            own = self.left is self.right
            forward = _nearest(left, right, k, own)
            self._near[k] = forward, forward if own else _nearest(right, left, k, own)
        return self._near[k]

    def features(self, pairs: Int64Array) -> Float64Array:
        """Compare pairs of rows, (P, 2): float64, shape (P, len(PAIR_FEATURES))."""
        columns: list[Any] = []
        for view in VIEWS:
            columns += self._compare_words(view, pairs)
        columns += self._compare_strings(pairs)
        columns += list(self._compare_codes(pairs).T)
        for view in VIEWS:
            columns += list(self._compare_measures(f"{view}_measures", pairs).T)
        columns.append(self._compare_prices(pairs))
        columns += list(self._compare_brands(pairs).T)
        return np.column_stack(columns).astype(np.float64)

    def context(self, pairs: Int64Array, k: int = 20) -> Float64Array:
        """Compare each pair with the other candidates of its offers: (P, len(CONTEXT_FEATURES)).

        By how much the pair is more similar than the best other one of either offer, and its place
        among the k nearest of either. Offers in the lists count; labels and listed pairs do not.
        """
        own = self.similarities(pairs)
        leads, ranks = [], []
        for side, (_, similarities) in enumerate(self.nearest(k)):
            theirs = np.nan_to_num(similarities[pairs[:, side]], nan=0.0)
            # The pair itself is among them where it is near enough; rounding must not count.
            above = theirs > own[:, None] + 1e-9
            rank = above.sum(axis=1)
            is_best = rank == 0
            second = theirs[:, 1] if theirs.shape[1] > 1 else np.zeros(len(pairs))
            leads.append(own - np.where(is_best, second, theirs[:, 0]))
            ranks.append(rank)
        low_high = [f(each, axis=0) for each in (leads, ranks) for f in (np.min, np.max)]
        return np.column_stack(low_high).astype(np.float64)

    def _compare_words(self, view: str, pairs: Int64Array) -> list[Float64Array]:
        words, unit_words, letters, _ = self._views[view]
        a, b = words[0][pairs[:, 0]], words[1][pairs[:, 1]]
        shared = a.minimum(b)
        total_a, total_b, both = (np.asarray(m.sum(axis=1)).ravel() for m in (a, b, shared))
        shares = [_divide(both, total) for total in (total_a, total_b)]
        alone = [_largest(m - shared) for m in (a, b)]
        return [
            _dots(unit_words[0], unit_words[1], pairs),
            _dots(letters[0], letters[1], pairs),
            _divide(both, total_a + total_b - both),
            np.minimum(*shares),
            np.maximum(*shares),
            _largest(shared),
            np.minimum(*alone),
            np.maximum(*alone),
        ]

    def _compare_strings(self, pairs: Int64Array) -> list[Float64Array]:
        from rapidfuzz import fuzz
        from rapidfuzz.process import cpdist

        a = [self.left.titles[row] for row in pairs[:, 0]]
        b = [self.right.titles[row] for row in pairs[:, 1]]
        scorers = (fuzz.token_sort_ratio, fuzz.token_set_ratio, fuzz.partial_ratio)
        return [cpdist(a, b, scorer=scorer).astype(np.float64) / 100 for scorer in scorers]

    def _compare_codes(self, pairs: Int64Array) -> Float64Array:
        """Length of the longest code found in the other text, shares, and nearest spelling."""
        from rapidfuzz.distance import Levenshtein

        result = np.full((len(pairs), 4), np.nan)
        for place, (row, other) in enumerate(pairs.tolist()):
            a, b = self.left.codes[row], self.right.codes[other]
            found = self.shared_codes(row, other)
            result[place, 0] = min(max(map(len, found), default=0), 12) / 12
            result[place, 3] = bool(a) + bool(b)
            if a and b:
                result[place, 1] = len(found) / len(a | b)
                result[place, 2] = max(
                    Levenshtein.normalized_similarity(one, two) for one in a for two in b
                )
        return result

    def shared_codes(self, row: int, other: int) -> set[str]:
        """Return the codes of either offer that are found in the text of the other."""
        a, b = self.left.codes[row], self.right.codes[other]
        found = {code for code in a if code in self.right.packed[other]}
        return found | {code for code in b if code in self.left.packed[row]}

    def shared_words(self, row: int, other: int, most: int = 3) -> list[str]:
        """Return the rarest words that both texts have, rarest first."""
        words, _, _, names = self._views["text"]
        shared = words[0][[row]].minimum(words[1][[other]])
        order = np.lexsort((names[shared.indices], -shared.data))[:most]
        return [str(names[shared.indices[place]]) for place in order]

    def _compare_measures(self, view: str, pairs: Int64Array) -> Float64Array:
        """Share of the numbers that are equal, and of the units on both sides that have one."""
        left, right = getattr(self.left, view), getattr(self.right, view)
        result = np.full((len(pairs), 2), np.nan)
        for place, (row, other) in enumerate(pairs.tolist()):
            a, b = left[row], right[other]
            if not a or not b:
                continue
            one, two = (set().union(*own.values()) for own in (a, b))
            result[place, 0] = len(one & two) / min(len(one), len(two))
            agree = [not a[unit].isdisjoint(b[unit]) for unit in a if unit and unit in b]
            if agree:
                result[place, 1] = sum(agree) / len(agree)
        return result

    def _compare_prices(self, pairs: Int64Array) -> Float64Array:
        a, b = self.left.prices[pairs[:, 0]], self.right.prices[pairs[:, 1]]
        known = (a > 0) & (b > 0)
        factors = np.divide(a, b, out=np.full(len(pairs), np.nan), where=known)
        return np.minimum(np.abs(np.log(factors)), np.log(LARGEST_FACTOR))

    def _compare_brands(self, pairs: Int64Array) -> Float64Array:
        """Likeness of the brands, and how much of one is in the other's text."""
        from rapidfuzz import fuzz

        result = np.full((len(pairs), 2), np.nan)
        for place, (row, other) in enumerate(pairs.tolist()):
            a, b = self.left.brands[row], self.right.brands[other]
            if a and b:
                result[place, 0] = fuzz.token_set_ratio(a, b) / 100
            sides = ((a, self.right.texts[other]), (b, self.left.texts[row]))
            within = [
                float(f" {brand.split()[0]} " in f" {text} ") for brand, text in sides if brand
            ]
            if within:
                result[place, 1] = max(within)
        return result


def _dots(left: Any, right: Any, pairs: Int64Array) -> Float64Array:
    parts = [
        np.asarray(left[own[:, 0]].multiply(right[own[:, 1]]).sum(axis=1)).ravel()
        for own in (pairs[part] for part in chunks(len(pairs), 20_000))
    ]
    return np.concatenate(parts)


def _divide(part: Float64Array, whole: Float64Array) -> Float64Array:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _largest(rows: Any) -> Float64Array:
    largest: Float64Array = rows.max(axis=1).toarray().ravel()
    return largest


def _nearest(rows: Any, others: Any, k: int, is_own: bool) -> tuple[Int64Array, Float64Array]:
    """Return the k nearest of the other rows, ties by row: (n, k) and their similarities."""
    count, width = rows.shape[0], min(k, others.shape[0])
    found = np.full((count, width), -1, dtype=np.int64)
    values = np.full((count, width), np.nan)
    turned = others.T.tocsr()
    for part in chunks(count, max(1, CELLS_AT_ONCE // max(others.shape[0], 1))):
        dense = (rows[part] @ turned).toarray()
        if is_own:
            dense[np.arange(len(dense)), np.arange(part.start, part.stop)] = -np.inf
        # Rounded, so that equal texts tie whatever the order of the sums.
        order = np.argsort(-np.round(dense, 9), axis=1, kind="stable")[:, :width]
        values[part] = np.take_along_axis(dense, order, axis=1)
        found[part] = order
    # Offers that have nothing in common are no candidates, and would only tie.
    lacking = ~(values > 0)
    values[lacking], found[lacking] = np.nan, -1
    return found, values
