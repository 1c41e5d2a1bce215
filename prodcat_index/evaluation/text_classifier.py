"""TF-IDF and LinearSVC on the texts alone: the classifier that is quickly written without us."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.codes import encode
from prodcat_index.progress import progress_bar
from prodcat_index.types import MISSING, Float64Array, Int64Array
from prodcat_index.voting.metrics import weighted_f1

TEXT_CLASSIFIER = "TF-IDF + LinearSVC"
FEATURES = "TF-IDF of character n-grams (2-5, within words) and word n-grams (1-2) of every text"
NO_WORD = "found no n-gram in the training texts, so it answers nothing"
# Candidates for C, the least first; and C where there are no two groups to choose by.
PENALTIES = (0.3, 1.0, 3.0, 10.0)
USUAL_PENALTY = 1.0
FOLDS = 3
# C hardly depends on the number of cards, and each candidate costs several fits.
CHOSEN_ON = 5000
# Of a longer text, the rest is boilerplate in most shops.
LETTERS = 1500


class TextAnswers(NamedTuple):
    """The scores of n cards for each of C categories, sorted by name."""

    scores: Float64Array | None  # (n, C); None where there was nothing to learn from
    settings: Mapping[str, Any]
    note: str = ""


def classify_texts(
    train: Catalogue, groups: Int64Array, test: Catalogue, seed: int, label: str = ""
) -> TextAnswers:
    """Fit the classifier to the labelled training cards, in groups, (N,), and score test cards."""
    from sklearn.exceptions import ConvergenceWarning

    labels = encode(train.values("category"))
    known = np.flatnonzero(labels != MISSING)
    codes, groups = labels[known], groups[known]
    found = _count_ngrams(train.select(known.tolist()), test)
    if found is None:
        return TextAnswers(None, {"features": FEATURES}, NO_WORD)
    rows, queries = found
    with (
        progress_bar(len(PENALTIES) * FOLDS + 1, label, "fit") as bar,
        warnings.catch_warnings(record=True) as caught,
    ):
        warnings.simplefilter("always", ConvergenceWarning)
        penalty = _choose_penalty(rows, codes, groups, seed, bar.update)
        scores = _score(rows, codes, queries, penalty, seed)
        bar.update()
    is_unfinished = any(issubclass(each.category, ConvergenceWarning) for each in caught)
    settings = {"features": FEATURES, "C": penalty, "random_state": seed}
    return TextAnswers(scores, settings, "did not converge" if is_unfinished else "")


def _count_ngrams(train: Catalogue, test: Catalogue) -> tuple[Any, Any] | None:
    """Return sparse rows of both parts; None where the training part has no n-gram."""
    from scipy.sparse import hstack
    from sklearn.feature_extraction.text import TfidfVectorizer

    fitted, asked = [], []
    for column in train.text_modalities:
        ours, others = ([text[:LETTERS] for text in part.values(column)] for part in (train, test))
        for options in (
            {"analyzer": "char_wb", "ngram_range": (2, 5), "min_df": 2},
            {"token_pattern": r"\w+", "ngram_range": (1, 2)},
        ):
            vectorizer = TfidfVectorizer(sublinear_tf=True, **options)
            try:
                fitted.append(vectorizer.fit_transform(ours))
            except ValueError:  # Not one n-gram, or none twice.
                continue
            asked.append(vectorizer.transform(others))
    return (hstack(fitted, format="csr"), hstack(asked, format="csr")) if fitted else None


def _choose_penalty(
    rows: Any, codes: Int64Array, groups: Int64Array, seed: int, advance: Callable[[], Any]
) -> float:
    """Choose C by the weighted F1 of folds by groups."""
    from sklearn.model_selection import GroupKFold

    drawn = np.sort(np.random.default_rng(seed).permutation(len(codes))[:CHOSEN_ON])
    rows, codes, groups = rows[drawn], codes[drawn], groups[drawn]
    count = min(FOLDS, len(np.unique(groups)))
    if count < 2:
        return USUAL_PENALTY
    folds = list(GroupKFold(count).split(rows, groups=groups))
    reached = {}
    for penalty in PENALTIES:
        predicted = np.empty_like(codes)
        for train, held in folds:
            scores = _score(rows[train], codes[train], rows[held], penalty, seed)
            predicted[held] = scores.argmax(axis=1)
            advance()
        reached[penalty] = weighted_f1(codes, predicted, int(codes.max()) + 1)
    return max(reached, key=reached.__getitem__)


def _score(rows: Any, codes: Int64Array, queries: Any, penalty: float, seed: int) -> Float64Array:
    """Score queries by one LinearSVC a category: -inf for a category without cards."""
    from sklearn.svm import LinearSVC

    scores = np.full((queries.shape[0], int(codes.max()) + 1), -np.inf)
    # One after the other: the coefficients of many categories may not fit into memory.
    for code in np.unique(codes):
        own = codes == code
        if own.all():
            scores[:, code] = 0.0
        else:
            model = LinearSVC(C=penalty, dual="auto", random_state=seed).fit(rows, own)
            scores[:, code] = model.decision_function(queries)
    return scores
