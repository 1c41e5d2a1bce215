"""Linear decision scores over sparse n-grams: the words that tell categories apart.

Cards that are indexed get scores of a model that has not seen their group, as in stacked
generalization (D. Wolpert, 1992), so that neighbours can be compared by them; a query gets those
of the model of all cards. A text that no machine claims, or of which little is known, belongs to
none of the categories (W. Scheirer and others, "Toward Open Set Recognition", 2013): its row is
short.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.encoders.base import Encoded, Encoder, FittedPart
from prodcat_index.encoders.ngrams import NgramVectorizer, SparseRows
from prodcat_index.errors import EncoderError, one_line
from prodcat_index.files import Contents, open_array, read_json
from prodcat_index.learning.folds import assign_folds
from prodcat_index.learning.one_vs_rest import add_families, fit_one_vs_rest
from prodcat_index.progress import progress_bar
from prodcat_index.types import (
    CATEGORY_SEPARATOR,
    MISSING,
    BoolArray,
    Float32Array,
    Float64Array,
    FloatingArray,
    Int64Array,
    chunks,
)

# Scores are multiplied by this before the softmax, which makes them about as sure as they are.
SHARPNESS = 4.0
# A listing of which less is known than this, by mass, is likely to be of no category here.
USUAL_SHARE = 0.4
LEAST_SHARE = 1e-3
# Stored rows are rounded to float16: a smaller probability of none cannot be told from 0.
LEAST_PROBABILITY = 2e-3
LEAST_LIKELIHOOD = 1e-9
# A family that holds more of the cards than this says little about a card.
LARGEST_FAMILY = 0.2
# Of long texts, each row takes some 5,000 coefficients.
ROWS_AT_ONCE = 512
MANY_ROWS = 256
# A category counts as no less probable than this, so that one word never settles a vote.
LEAST_LOGARITHM = -20.0
SPEC = "text-scores"
FAMILIES = "families.npy"


@dataclass(frozen=True)
class TextScores:
    """Linear scores of H categories over F features, without the small coefficients."""

    starts: Int64Array  # (F + 1,): feature f has the coefficients starts[f] to starts[f + 1]
    columns: npt.NDArray[np.int32]  # column of each coefficient's category
    coefficients: npt.NDArray[np.float16]
    intercepts: Float32Array  # (H,): scores of an empty row
    categories: Int64Array  # (H,): code of the category of each column, rising

    def decision(self, rows: SparseRows) -> Float32Array:
        """Return the score of each category: float32, shape (n, H)."""
        scores = np.empty((len(rows), len(self.categories)), dtype=np.float32)
        for part in chunks(len(rows), ROWS_AT_ONCE):
            scores[part] = self._decision(rows, part)
        return scores

    def _decision(self, rows: SparseRows, part: slice) -> Float32Array:
        if len(rows) >= MANY_ROWS:
            # The same sums in the same order, several times as fast; it takes a while to load.
            from scipy.sparse import csr_array

            starts = rows.starts[part.start : part.stop + 1]
            own = slice(starts[0], starts[-1])
            wide = rows.values[own].astype(np.float64), rows.features[own], starts - starts[0]
            sums = csr_array(wide, shape=(len(starts) - 1, rows.width)) @ self._wide
            return np.asarray(sums.toarray() + self.intercepts, dtype=np.float32)
        places = slice(rows.starts[part.start], rows.starts[part.stop])
        features, values = rows.features[places], rows.values[places]
        counts = np.diff(rows.starts[part.start : part.stop + 1])
        row_of = np.repeat(np.arange(len(counts)), counts)
        sizes = self.starts[features + 1] - self.starts[features]
        # Places of every coefficient of every feature, one feature after the other.
        ends = np.cumsum(sizes)
        at = np.arange(ends[-1] if len(ends) else 0) - np.repeat(ends - sizes, sizes)
        at += np.repeat(self.starts[features], sizes)
        cells = np.repeat(row_of, sizes) * len(self.categories) + self.columns[at]
        parts = np.repeat(values, sizes).astype(np.float64) * self.coefficients[at]
        total = np.bincount(cells, parts, minlength=len(counts) * len(self.categories))
        return (total.reshape(len(counts), -1) + self.intercepts).astype(np.float32)

    @cached_property
    def _wide(self) -> Any:
        """The coefficients in double precision: (F, H)."""
        from scipy.sparse import csr_array

        values = self.coefficients.astype(np.float64), self.columns, self.starts
        return csr_array(values, shape=(len(self.starts) - 1, len(self.categories)))

    def probabilities(self, rows: SparseRows) -> Float32Array:
        """Return the softmax of sharpened scores, (n, H); zeros for an empty row.

        What a row lacks to 1 is the probability of none of them, whose score is 0, where a machine
        is undecided, and more where less than the usual share of a text is known.
        """
        none = np.log(USUAL_SHARE / np.clip(rows.known, LEAST_SHARE, USUAL_SHARE))
        scores = SHARPNESS * np.column_stack([self.decision(rows), none]).astype(np.float32)
        scores -= scores.max(axis=1, keepdims=True)
        np.exp(scores, out=scores)
        scores /= scores.sum(axis=1, keepdims=True)
        scores[np.diff(rows.starts) == 0] = 0.0
        return scores[:, :-1]

    def contributions(self, rows: SparseRows, row: int, code: int) -> Float32Array:
        """Return what each n-gram of a row adds to the score of a category."""
        places = slice(rows.starts[row], rows.starts[row + 1])
        column = int(np.searchsorted(self.categories, code))
        # Mapped arrays are slower to index than the plain arrays that they are.
        columns, coefficients = np.asarray(self.columns), np.asarray(self.coefficients)
        features = rows.features[places]
        first, last = self.starts[features], self.starts[features + 1]
        lengths = last - first
        owner = np.repeat(np.arange(len(features)), lengths)
        entries = np.arange(len(owner)) + np.repeat(last - np.cumsum(lengths), lengths)
        hits = columns[entries] == column
        sums = np.bincount(owner[hits], coefficients[entries[hits]], len(features))
        return rows.values[places] * sums.astype(np.float32)


def find_families(names: Sequence[str], codes: Int64Array) -> Int64Array:
    """Return the families of categories by their paths: codes, (L, C), from the first level on.

    `codes`, (n,), are of the cards: a family that holds too many of them tells little. A category
    is a family by itself where it has no other.
    """
    sizes = np.bincount(codes[codes >= 0], minlength=len(names))
    paths = [name.split(CATEGORY_SEPARATOR) for name in names]
    levels = np.zeros((max(map(len, paths), default=1) - 1, len(names)), dtype=np.int64)
    for depth, level in enumerate(levels, 1):
        starts = [path[:depth] if len(path) > depth else [] for path in paths]
        level[:] = _numbered(map(tuple, starts))
        large = np.bincount(level, sizes)[level] > LARGEST_FAMILY * sizes.sum()
        alone = large | np.array([not start for start in starts])
        level[alone] = len(names) + np.flatnonzero(alone)
    return telling_levels(levels)


def telling_levels(levels: Int64Array) -> Int64Array:
    """Return the levels, (L, H), at which there are several families, fewer than categories."""
    numbered = dict.fromkeys(tuple(_numbered(level.tolist())) for level in levels)
    kept = [level for level in numbered if 0 < max(level, default=0) < len(level) - 1]
    return np.array(kept, dtype=np.int64).reshape(len(kept), levels.shape[1])


def _numbered(values: Iterable[Any]) -> list[int]:
    """Return a number for each value, those of different ones rising as they come."""
    places: dict[Any, int] = {}
    return [places.setdefault(value, len(places)) for value in values]


def fit_text_scores(
    rows: SparseRows, codes: Int64Array, families: Int64Array | None = None, bar: Any = None
) -> list[TextScores]:
    """Fit scores to rows with category codes, (n,), and others that know of families, (L, C).

    None are fitted for fewer than two categories, and no others where no family has several. Rows
    with the code -1 are left out, and so are empty ones.
    """
    from scipy.sparse import csr_matrix

    chosen = np.flatnonzero((codes >= 0) & (np.diff(rows.starts) > 0))
    categories, columns = np.unique(codes[chosen], return_inverse=True)
    if len(categories) < 2:
        return []
    cells = rows.values, rows.features, rows.starts
    matrix = csr_matrix(cells, shape=(len(rows), rows.width))[chosen]
    fitted = [fit_one_vs_rest(matrix, columns, bar)]
    if families is not None and len(levels := telling_levels(families[:, categories])):
        fitted.append(add_families(fitted[0], matrix, columns, levels, bar))
    return [
        TextScores(
            coefficients.indptr.astype(np.int64),
            coefficients.indices.astype(np.int32),
            coefficients.data.astype(np.float16),
            intercepts,
            categories.astype(np.int64),
        )
        for coefficients, intercepts in fitted
    ]


def out_of_fold_probabilities(
    rows: SparseRows, codes: Int64Array, groups: Int64Array, families: Int64Array | None = None
) -> Float32Array:
    """Return how probable each category is, by models that have not seen a row's group.

    (2, n, C) without and with families, (L, C), or (1, n, C) where there are none. Rows sum to at
    most 1; they are zeros where nothing is known, and 0 for a category that a fold's model has not
    seen. Codes and groups are (n,).
    """
    levels = families if families is not None else np.zeros((0, 0), dtype=np.int64)
    shape = (1 + bool(len(levels)), len(rows), int(codes.max()) + 1)
    proba = np.zeros(shape, dtype=np.float32)
    folds = assign_folds(groups)
    count = int(folds.max()) + 1
    machines = shape[2] + sum(int(level.max()) + 1 for level in levels)
    with progress_bar(count * machines, "fitting text scores", "classifier") as bar:
        for fold in range(count):
            own = np.flatnonzero(folds == fold)
            models = fit_text_scores(rows, np.where(folds == fold, MISSING, codes), families, bar)
            if models and len(own):
                seen = _known_to(take(rows, own), take(rows, np.flatnonzero(folds != fold)))
                for kind in range(len(proba)):
                    model = models[min(kind, len(models) - 1)]
                    proba[kind][np.ix_(own, model.categories)] = model.probabilities(seen)
    return proba


def _known_to(rows: SparseRows, others: SparseRows) -> SparseRows:
    """Return rows with the share that is known to others: their own n-grams tell nothing."""
    there = np.zeros(rows.width, dtype=bool)
    there[others.features] = True
    squares = rows.values.astype(np.float64) ** 2
    row_of = np.repeat(np.arange(len(rows)), np.diff(rows.starts))
    whole = np.bincount(row_of, squares, len(rows))
    theirs = np.bincount(row_of, squares * there[rows.features], len(rows))
    share = np.divide(theirs, whole, out=np.zeros(len(rows)), where=whole > 0)
    return replace(rows, known=(rows.known * share).astype(np.float32))


def largest_score(rows: FloatingArray) -> Float64Array:
    """Return the largest score of a category over that of none of them, (n,).

    `rows`, (n, H), are those of the encoder: square roots of probabilities.
    """
    wide = rows.astype(np.float64)
    best = np.maximum(wide.max(axis=1) ** 2, LEAST_LIKELIHOOD)
    none = np.maximum(1 - np.sum(wide**2, axis=1), LEAST_PROBABILITY)
    scores: Float64Array = np.log(best / none) / SHARPNESS
    return scores


def log_probabilities(rows: Float32Array, columns: Int64Array, codes: Int64Array) -> Float32Array:
    """Return the log probability of some categories, codes (n, k), from rows of the encoder.

    `columns`, (C,), are of each category. One without a column, -1, counts as probable as the
    likeliest one, so that neighbours alone decide. A row of zeros and the code -1 give 0.
    """
    at = columns[np.maximum(codes, 0)]
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    # What belongs to none of the categories is left out.
    rows = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0)
    best = rows.max(axis=1, keepdims=True)
    own = np.where(at >= 0, np.take_along_axis(rows, np.maximum(at, 0), axis=1), best)
    # Rows are square roots of probabilities.
    logarithms = 2 * np.log(np.maximum(own, np.exp(LEAST_LOGARITHM / 2)))
    return np.where((codes >= 0) & (best > 0), logarithms, 0.0).astype(np.float32)


def take(rows: SparseRows, chosen: Int64Array) -> SparseRows:
    """Return some of the rows."""
    sizes = np.diff(rows.starts)[chosen]
    starts = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    at = np.arange(starts[-1]) + np.repeat(rows.starts[chosen] - starts[:-1], sizes)
    return SparseRows(starts, rows.features[at], rows.values[at], rows.width, rows.known[chosen])


class TextScoresEncoder(Encoder):
    """Embeds the texts of a card as the square roots of its categories' probabilities.

    A value is the JSON object of all texts of a card by modality. The inner product of two rows is
    a Bhattacharyya coefficient; what a squared row lacks to 1 belongs to no category.
    """

    reads = "text"
    cached = False
    spec = SPEC

    def __init__(
        self,
        vectorizer: NgramVectorizer,
        model: TextScores,
        categories: Sequence[str],
        families: Int64Array,
    ) -> None:
        self.vectorizer = vectorizer
        self.model = model
        self.categories = list(categories)  # name of each column
        self.families = families  # (L, H), of each column

    @classmethod
    def fitted(
        cls, texts: Mapping[str, Sequence[str]], labels: Sequence[str], groups: Int64Array
    ) -> tuple[TextScoresEncoder, Float32Array] | None:
        """Fit an encoder to labelled cards, and return the out-of-fold rows of all cards.

        Cards with the label "" teach nothing. None where fewer than two categories have texts.
        """
        names = sorted(set(labels) - {""})
        code = {name: place for place, name in enumerate(names)}
        codes = np.array([code.get(label, MISSING) for label in labels], dtype=np.int64)
        vectorizer = NgramVectorizer.fit(texts)
        cards = [dict(zip(texts, own, strict=True)) for own in zip(*texts.values(), strict=True)]
        rows = vectorizer.transform(cards)
        families = find_families(names, codes)
        models = fit_text_scores(rows, codes, families)
        if not models:
            return None
        both = out_of_fold_probabilities(rows, codes, groups, families)
        # Families are kept where cards fit their own categories better: not every tree tells much.
        labelled = np.flatnonzero(codes >= 0)
        likely = np.maximum(both[:, labelled, codes[labelled]], LEAST_PROBABILITY)
        likelihood = np.log(likely).sum(axis=1, dtype=np.float64)
        kept = int(len(models) > 1 and likelihood[-1] > likelihood[0])
        model, families = models[kept], families[: kept * len(families)]
        own = [names[code] for code in model.categories]
        encoder = cls(vectorizer, model, own, families[:, model.categories])
        return encoder, np.sqrt(both[kept][:, model.categories])

    def rows_without(
        self, values: Sequence[str], codes: Int64Array, is_hidden: BoolArray, chosen: Int64Array
    ) -> Float32Array:
        """Return the rows of chosen cards by a model that is fitted without the hidden ones.

        `codes`, (n,), are columns; hidden categories have no other cards than the hidden ones.
        """
        rows = self.vectorizer.transform([json.loads(value) if value else {} for value in values])
        left = np.where(is_hidden, MISSING, codes)
        proba = np.zeros((len(chosen), self.dim), dtype=np.float32)
        for model in fit_text_scores(rows, left, self.families)[-1:]:
            seen = _known_to(take(rows, chosen), take(rows, np.flatnonzero(left >= 0)))
            proba[:, model.categories] = model.probabilities(seen)
        return np.sqrt(proba)

    @property
    def dim(self) -> int:
        """Length of a row: the number of categories."""
        return len(self.categories)

    @property
    def fingerprint(self) -> str:
        """Hex digest of the n-grams, the categories and the coefficients."""
        model = self.model
        names = json.dumps([self.vectorizer.vocabularies, self.categories], ensure_ascii=False)
        digest = hashlib.sha256(f"{SPEC} {names}".encode())
        arrays = (model.starts, model.columns, model.coefficients, model.intercepts)
        for array in (*arrays, self.vectorizer.idf):
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()

    def encode(self, values: Sequence[str], *, label: str = "") -> Encoded:
        """Embed cards, each given as the JSON object of its texts."""
        vectors = np.zeros((len(values), self.dim), dtype=np.float32)
        with progress_bar(len(values), label, "card") as bar:
            for part in chunks(len(values), ROWS_AT_ONCE):
                cards = [json.loads(value) if value else {} for value in values[part]]
                vectors[part] = np.sqrt(self.model.probabilities(self.vectorizer.transform(cards)))
                bar.update(len(cards))
        return Encoded(vectors)

    def words(self, value: str, category: str) -> list[tuple[str, float]]:
        """Return a card's words and what their n-grams add to a category's score, largest first."""
        if category not in self.categories:
            return []
        card = json.loads(value) if value else {}
        rows = self.vectorizer.transform([card])
        column = self.categories.index(category)
        added = self.model.contributions(rows, 0, int(self.model.categories[column]))
        by_column = dict(zip(rows.features.tolist(), added.tolist(), strict=True))
        shared = self.vectorizer.share_among_words(card, by_column)
        return sorted(shared.items(), key=lambda pair: -pair[1])

    def fitted_parts(self) -> dict[str, FittedPart]:
        """Return the vocabulary, the categories, the coefficients, and families if there are."""
        names = ("starts", "columns", "coefficients", "intercepts")
        return {
            **self.vectorizer.fitted_parts(),
            "categories.json": self.categories,
            **{f"{name}.npy": getattr(self.model, name) for name in names},
            **({FAMILIES: self.families} if len(self.families) else {}),
        }

    @classmethod
    def from_spec(cls, argument: str) -> TextScoresEncoder:
        """Raise EncoderError: these scores are fitted to labels, which a spec does not have."""
        raise EncoderError(
            f"{SPEC} is fitted to the labels of a catalogue by build-index, and is not an encoder "
            "to choose; leave it out."
        )

    @classmethod
    def restore(cls, argument: str, stored: Contents) -> TextScoresEncoder:
        """Read the stored parts; the coefficients stay on disk."""
        try:
            vectorizer = NgramVectorizer.restore(stored)
            names = read_json(stored["categories.json"])
            if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
                raise ValueError("the categories are not a list of names")
            starts = open_array(stored["starts.npy"], "int64", (vectorizer.width + 1,))
            columns = open_array(stored["columns.npy"], "int32", (None,))
            if np.any(np.diff(starts) < 0) or starts[0] != 0 or starts[-1] != len(columns):
                raise ValueError("the coefficients are not in order")
            if len(columns) and not 0 <= columns.min() <= columns.max() < len(names):
                raise ValueError("a coefficient is of no category")
            model = TextScores(
                starts,
                columns,
                open_array(stored["coefficients.npy"], "float16", (len(columns),)),
                open_array(stored["intercepts.npy"], "float32", (len(names),)),
                np.arange(len(names), dtype=np.int64),
            )
            families = np.zeros((0, len(names)), dtype=np.int64)
            if FAMILIES in stored:
                families = open_array(stored[FAMILIES], "int64", (None, len(names)))
        except (ValueError, RecursionError) as error:
            raise EncoderError(
                f"The text scores of this index cannot be read ({one_line(error)}); build the "
                "index again."
            ) from error
        return cls(vectorizer, model, names, families)
