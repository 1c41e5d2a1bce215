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
# Candidates of an offer, from either side.
NEAREST = 20
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
        columns = (_find_column(catalogue, names) for names in (BRAND, CODE, PRICE))
        brands, codes, prices = map(catalogue.values, columns)
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


def find_codes(text: str) -> set[str]:
    """Return the codes of a text, such as ``wf-9200.sq`` as ``wf9200sq``."""
    packed = {_BETWEEN.sub("", chunk) for chunk in _CHUNK.findall(text.casefold())}
    return {
        word
        for word in packed
        if any(map(str.isdigit, word))
        and len(word) >= (LEAST_NUMBER if word.isdigit() else LEAST_CODE)
    }


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
    """Pairs of two lists of offers, or of one given twice, by words weighted by rarity in both."""

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
        """Return the k right offers nearest to each left one, (n, k), and similarities; and back.

        Left out, as -1 and NaN, are an offer itself and those that have nothing in common.
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
        facts = [self._compare_facts(row, other) for row, other in pairs.tolist()]
        *others, brand, within = np.array(facts, dtype=np.float64).reshape(len(pairs), 10).T
        columns += [*others, self._compare_prices(pairs), brand, within]
        return np.column_stack(columns).astype(np.float64)

    def context(self, pairs: Int64Array) -> Float64Array:
        """Compare each pair with the other candidates of its offers: (P, len(CONTEXT_FEATURES)).

        By how much the pair is more similar than the best other one of either offer, and its place
        among the nearest of either. Offers in the lists count; labels and listed pairs do not.
        """
        own = self.similarities(pairs)
        leads, ranks = [], []
        for side, (_, similarities) in enumerate(self.nearest(NEAREST)):
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

    def _compare_facts(self, row: int, other: int) -> list[float]:
        """Compare codes, the numbers of the title and of all texts, and brands."""
        from rapidfuzz import fuzz
        from rapidfuzz.distance import Levenshtein

        left, right = self.left, self.right
        a, b, found = left.codes[row], right.codes[other], self.shared_codes(row, other)
        # The longest code found in the other text, the share found, and the nearest spelling.
        length, share, nearest = min(max(map(len, found), default=0), 12) / 12, np.nan, np.nan
        if a and b:
            share = len(found) / len(a | b)
            nearest = max(Levenshtein.normalized_similarity(one, two) for one in a for two in b)
        ours, theirs = left.brands[row], right.brands[other]
        brand = fuzz.token_set_ratio(ours, theirs) / 100 if ours and theirs else np.nan
        sides = ((ours, right.texts[other]), (theirs, left.texts[row]))
        within = [float(f" {brand.split()[0]} " in f" {text} ") for brand, text in sides if brand]
        return [
            *(length, share, nearest, bool(a) + bool(b)),
            *_compare_measures(left.title_measures[row], right.title_measures[other]),
            *_compare_measures(left.text_measures[row], right.text_measures[other]),
            *(brand, max(within, default=np.nan)),
        ]

    def shared_codes(self, row: int, other: int) -> set[str]:
        """Return the codes of either offer that are found in the text of the other."""
        a, b = self.left.codes[row], self.right.codes[other]
        found = {code for code in a if code in self.right.packed[other]}
        return found | {code for code in b if code in self.left.packed[row]}

    def shared_words(self, row: int, other: int) -> list[str]:
        """Return the three rarest words that both texts have, rarest first."""
        words, _, _, names = self._views["text"]
        shared = words[0][[row]].minimum(words[1][[other]])
        order = np.lexsort((names[shared.indices], -shared.data))[:3]
        return [str(names[shared.indices[place]]) for place in order]

    def _compare_prices(self, pairs: Int64Array) -> Float64Array:
        a, b = self.left.prices[pairs[:, 0]], self.right.prices[pairs[:, 1]]
        known = (a > 0) & (b > 0)
        factors = np.divide(a, b, out=np.full(len(pairs), np.nan), where=known)
        return np.minimum(np.abs(np.log(factors)), np.log(LARGEST_FACTOR))


def _compare_measures(a: Measures, b: Measures) -> tuple[float, float]:
    """Return the share of the numbers that are equal, and of the units of both that have one."""
    if not a or not b:
        return np.nan, np.nan
    one, two = (set().union(*own.values()) for own in (a, b))
    agree = [not a[unit].isdisjoint(b[unit]) for unit in a if unit and unit in b]
    shared = len(one & two) / min(len(one), len(two))
    return shared, sum(agree) / len(agree) if agree else np.nan


def _dots(left: Any, right: Any, pairs: Int64Array) -> Float64Array:
    parts = [
        np.asarray(left[own[:, 0]].multiply(right[own[:, 1]]).sum(axis=1)).ravel()
        for own in (pairs[part] for part in chunks(len(pairs), 20_000))
    ]
    return np.concatenate(parts)


def _divide(part: Float64Array, whole: Float64Array) -> Float64Array:
    return np.divide(part, whole, out=np.zeros(len(part)), where=whole > 0)


def _largest(rows: Any) -> Float64Array:
    return np.asarray(rows.max(axis=1).toarray()).ravel()


def _nearest(rows: Any, others: Any, k: int, is_own: bool) -> Nearest:
    """Return the k nearest of the other rows, ties by row: (n, k) and their similarities."""
    parts, turned = [], others.T.tocsr()
    for part in chunks(rows.shape[0], max(1, CELLS_AT_ONCE // max(others.shape[0], 1))):
        dense = (rows[part] @ turned).toarray()
        if is_own:
            dense[np.arange(len(dense)), np.arange(part.start, part.stop)] = -np.inf
        # Rounded, so that equal texts tie whatever the order of the sums.
        order = np.argsort(-np.round(dense, 9), axis=1, kind="stable")[:, :k]
        parts.append((order, np.take_along_axis(dense, order, axis=1)))
    found, values = map(np.concatenate, zip(*parts, strict=True))
    # Offers that have nothing in common are no candidates, and would only tie.
    lacking = ~(values > 0)
    values[lacking], found[lacking] = np.nan, -1
    return found, values
