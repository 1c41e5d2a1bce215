"""Matching of offers: which cards of two catalogues are the same product.

Candidates are the nearest offers by TF-IDF of words and characters. A model of features of each
pair (offer_similarity.py) gives the probability that it is one product: the default one, which was
fitted to three public benchmarks, or gradient boosting on labelled pairs of one's own. The default
one is logistic regression of the features less their mean over the candidates: what is usual
differs from shop to shop, and how a pair stands out hardly does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from itertools import compress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from prodcat_index.audit.offer_similarity import NEAREST, OfferPairs, Offers
from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.catalogue import as_listings
from prodcat_index.cards.codes import components
from prodcat_index.cards.inputs import CardSource
from prodcat_index.errors import CatalogueError, whole_number
from prodcat_index.findings import counted, name_first
from prodcat_index.learning.folds import assign_folds
from prodcat_index.types import BoolArray, Float64Array, Int64Array, chunks, evenly_spaced
from prodcat_index.voting.logistic import fit_logistic, logistic

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import ArrayLike

# Fewer labelled pairs of either kind do not support a model of their own.
FEWEST_PAIRS = 20
PAIRS_AT_ONCE = 50_000
# So many candidates an offer of the smaller side, the most similar ones of all, are like the pairs
# that the default model was fitted to, of which every tenth is one product.
NEAREST_OF_OFFER = 8
# Pairs whose mean is the centre of the features, and as how many the usual centre counts.
CENTRE_PAIRS, USUAL_PAIRS = 5_000, 50
# Weight of the default model between pairs that a fitted one calls equally likely.
TIE = 1e-6
TOO_EASY = (
    "the labelled pairs were told apart without an error, so nothing is known about doubtful pairs "
    "and the probabilities are too high; label pairs that look alike and are not the same, such as "
    "the least likely ones that match lists without labelled pairs"
)
DEFAULT_FILE = Path(__file__).parent / "default_matcher.json"
BOOSTING: Mapping[str, Any] = {
    "max_iter": 150,
    "learning_rate": 0.06,
    "max_leaf_nodes": 15,
    "l2_regularization": 1.0,
}
# Log odds beyond this are no evidence, but rounding.
LARGEST_LOG_ODDS = 12.0
PAIR_COLUMNS = ("left_id", "right_id", "label")
LABELS = {
    **dict.fromkeys(("1", "1.0", "true", "yes", "y", "да", "match"), True),
    **dict.fromkeys(("0", "0.0", "false", "no", "n", "нет", "different"), False),
}


@dataclass(frozen=True)
class LogisticModel:
    """Logistic regression of F features, each less its mean over the candidates."""

    intercept: float
    weights: Sequence[float]  # (F,), of the features over their scale
    scale: Sequence[float]
    centre: Sequence[float]  # the usual one
    threshold: float

    def centre_of(self, features: Float64Array) -> Float64Array:
        """Return the mean of the features of candidates, (P, F), drawn to the usual one: (F,)."""
        known = (~np.isnan(features)).sum(axis=0)
        total = np.nansum(features, axis=0) + USUAL_PAIRS * np.asarray(self.centre)
        return np.asarray(total / (known + USUAL_PAIRS))

    def probabilities(self, features: Float64Array, centre: Float64Array) -> Float64Array:
        """Return the probability of each pair, (P,); what is not known is as usual."""
        rows = np.nan_to_num((features - centre) / np.asarray(self.scale), nan=0.0)
        # One product a row, so that a pair gets the same in any batch.
        return logistic(self.intercept + (rows * np.asarray(self.weights)).sum(axis=1))


@cache
def default_model(name: Literal["pair", "context"]) -> LogisticModel:
    """Return the model of the features of a pair alone, or with those of its context."""
    return LogisticModel(**json.loads(DEFAULT_FILE.read_text(encoding="utf-8"))[name])


class Matcher:
    """Probability that offers of two catalogues are the same product.

    Until :meth:`fit` is called, the default model is used.

    Parameters
    ----------
    left, right
        Two catalogues, or anything that :func:`read_catalogue` reads; or lists of titles. Columns
        of a brand, a model or code, and a price are used where both sides have them.

    Examples
    --------
    >>> from prodcat_index import Matcher
    >>> shop = ["Bosch drill GSB-13", "Oak table 120 cm"]
    >>> matcher = Matcher(shop, ["BOSCH GSB13 impact drill", "Desk lamp, white"])
    >>> probability = matcher.predict_proba([(0, 0), (1, 1)])
    >>> bool(probability[0] > matcher.threshold > probability[1])
    True
    """

    def __init__(self, left: CardSource, right: CardSource) -> None:
        self.left = as_listings(left, None)
        self.right = self.left if right is left else as_listings(right, None)
        own = Offers.from_catalogue(self.left)
        other = own if self.right is self.left else Offers.from_catalogue(self.right)
        self.offers = OfferPairs(own, other)
        self._threshold: float | None = None
        self._models: list[Any] = []
        self._calibration = [0.0, 1.0]
        self.notes: tuple[str, ...] = ()

    def fit(self, pairs: ArrayLike, labels: ArrayLike, *, seed: int = 0) -> Matcher:
        """Fit gradient boosting to labelled pairs, calibrated out of fold.

        Parameters
        ----------
        pairs
            Row numbers in the two catalogues: whole numbers, shape (P, 2).
        labels
            Whether each pair is one product: shape (P,).
        seed
            Random seed.

        Returns
        -------
        Matcher
            This matcher. Pairs of one left offer are in one fold; a new pair gets the mean of the
            models of all folds.

        Raises
        ------
        CatalogueError
            If there are fewer than 20 pairs of either kind.
        ValueError
            If pairs are not rows of the catalogues, or not one for each label.
        """
        from sklearn.ensemble import HistGradientBoostingClassifier

        rows, truth = self.check_pairs(pairs), np.asarray(labels).astype(bool)
        if truth.shape != (len(rows),):
            raise ValueError(f"There are {len(rows)} pairs and labels of shape {truth.shape}.")
        if min(truth.sum(), (~truth).sum()) < FEWEST_PAIRS:
            raise CatalogueError(
                f"Learning needs {FEWEST_PAIRS} pairs that are the same product and as many that "
                f"are not; there are {truth.sum()} and {(~truth).sum()}. Label more, or leave the "
                "pairs out to match by the default model."
            )
        features = self.all_features(rows)
        folds = assign_folds(rows[:, 0])
        log_odds = np.zeros(len(rows))
        self._models = []
        for fold in range(int(folds.max()) + 1):
            seen = folds != fold
            # A column without any number cannot be cut into bins.
            known = np.where(np.isnan(features[seen]).all(axis=0), 0.0, features[seen])
            model = HistGradientBoostingClassifier(**BOOSTING, random_state=seed)
            self._models.append(model.fit(known, truth[seen]))
            log_odds[~seen] = model.decision_function(features[~seen])
        prior = np.array([0.0, 1.0])
        self._calibration = fit_logistic(
            _bounded(log_odds)[:, None],
            truth.astype(np.float64),
            np.ones(len(rows)),
            prior,
            strength=prior,
        )
        self._threshold = best_threshold(self._calibrate(log_odds))
        is_easy = log_odds[truth].min() > log_odds[~truth].max()
        self.notes = (TOO_EASY,) if is_easy else ()
        return self

    @property
    def threshold(self) -> float:
        """The probability from which on a pair is taken for one product.

        It maximises the F1 that is expected of pairs like those that the model was fitted to.
        """
        return default_model("context").threshold if self._threshold is None else self._threshold

    @property
    def is_fitted(self) -> bool:
        """Whether it was fitted to labelled pairs; otherwise the default model is used."""
        return bool(self._models)

    def predict_proba(self, pairs: ArrayLike) -> Float64Array:
        """Return the probability that each pair is one product.

        Parameters
        ----------
        pairs
            Row numbers in the two catalogues: whole numbers, shape (P, 2).

        Returns
        -------
        numpy.ndarray
            float64, shape (P,).
        """
        rows = self.check_pairs(pairs)
        parts = [np.zeros(0)]
        for own in (rows[part] for part in chunks(len(rows), PAIRS_AT_ONCE) if len(rows)):
            if self._models:
                features = self.all_features(own)
                log_odds = [model.decision_function(features) for model in self._models]
                parts.append(self._calibrate(np.mean(log_odds, axis=0)))
            else:
                parts.append(self.by_default(own))
        return np.concatenate(parts)

    def by_default(self, rows: Int64Array) -> Float64Array:
        """Return the probability of pairs, (P, 2), by the default model, fitted or not: (P,)."""
        model = default_model("context")
        return model.probabilities(self.all_features(rows), model.centre_of(self.usual_features))

    @cached_property
    def usual_features(self) -> Float64Array:
        """Features of the most similar candidates, or evenly spaced ones of many: (P, F)."""
        candidates = self.candidates()
        order = np.argsort(-self.offers.similarities(candidates).round(9), kind="stable")
        nearest = order[: NEAREST_OF_OFFER * min(len(self.left), len(self.right))]
        some = nearest[evenly_spaced(len(nearest), CENTRE_PAIRS)]
        return self.all_features(candidates[some])

    def candidates(self, k: int = NEAREST) -> Int64Array:
        """Return the pairs of which either offer is among the k nearest of the other.

        Parameters
        ----------
        k
            Number of nearest offers.

        Returns
        -------
        numpy.ndarray
            int64, (P, 2): row numbers, in order.
        """
        (right, _), (left, _) = self.offers.nearest(k)
        pairs = [
            np.column_stack([np.repeat(np.arange(len(own)), own.shape[1]), own.ravel()])[:, order]
            for own, order in ((right, [0, 1]), (left, [1, 0]))
        ]
        found = np.unique(np.concatenate(pairs), axis=0)
        return found[(found >= 0).all(axis=1)]

    def why(self, row: int, other: int) -> str:
        """Return in a sentence what two offers have in common."""
        # A brand such as Vega-7 is written as codes are.
        brands = (self.offers.left.brands[row], self.offers.right.brands[other])
        found = self.offers.shared_codes(row, other) - {"".join(brand.split()) for brand in brands}
        codes = sorted(found, key=lambda code: (-len(code), code))
        words = self.offers.shared_words(row, other)
        said = [f"code {codes[0]}"] if codes else []
        said += [f"words {', '.join(words)}"] if words else []
        a, b = self.offers.left.prices[row], self.offers.right.prices[other]
        said += [f"prices {a:g} and {b:g}"] if a > 0 and b > 0 else []
        return "; ".join(said)

    def all_features(self, rows: Int64Array) -> Float64Array:
        """Return the features of pairs and of their context: (P, F)."""
        return np.column_stack([self.offers.features(rows), self.offers.context(rows)])

    def _calibrate(self, log_odds: Float64Array) -> Float64Array:
        intercept, slope = self._calibration
        return logistic(intercept + slope * _bounded(log_odds))

    def check_pairs(self, pairs: ArrayLike) -> Int64Array:
        """Return pairs as row numbers, (P, 2), or raise ValueError."""
        rows = np.asarray(pairs)
        if rows.size == 0:
            return np.zeros((0, 2), dtype=np.int64)
        sizes = len(self.left), len(self.right)
        if rows.ndim != 2 or rows.shape[1] != 2 or rows.dtype.kind not in "iu":
            raise ValueError("Pairs are row numbers of the two catalogues, of shape (P, 2).")
        if rows.min() < 0 or (rows.max(axis=0) >= sizes).any():
            raise ValueError(f"A pair is of no row: the catalogues have {sizes[0]} and {sizes[1]}.")
        return rows.astype(np.int64)


def _bounded(log_odds: Float64Array) -> Float64Array:
    return np.clip(log_odds, -LARGEST_LOG_ODDS, LARGEST_LOG_ODDS)


@dataclass(frozen=True, eq=False)
class Matches:
    """Pairs of cards that are the same product, likeliest first.

    Attributes
    ----------
    left, right
        The catalogues.
    pairs
        int64, (M, 2): row numbers in them.
    probability
        float64, (M,).
    why
        What each pair has in common, in words.
    threshold
        The smallest probability of a pair.
    compared
        Number of candidates.
    notes
        What was noticed, in words.
    """

    left: Catalogue
    right: Catalogue
    pairs: Int64Array
    probability: Float64Array
    why: Sequence[str]
    threshold: float
    compared: int
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Return the number of pairs."""
        return len(self.pairs)

    def to_frame(self) -> pd.DataFrame:
        """Return the pairs as a table.

        Returns
        -------
        pandas.DataFrame
            Columns ``left_id``, ``right_id``, ``probability``, ``left_title``, ``right_title``
            and ``why``; likeliest first.
        """
        import pandas as pd

        sides = ((self.left, self.pairs[:, 0]), (self.right, self.pairs[:, 1]))
        ids = [cards.values_at("id", rows) for cards, rows in sides]
        titles = [cards.values_at("title", rows) for cards, rows in sides]
        columns = {"left_id": ids[0], "right_id": ids[1], "probability": self.probability}
        columns |= {"left_title": titles[0], "right_title": titles[1], "why": list(self.why)}
        return pd.DataFrame(columns)


def match(
    left: CardSource,
    right: CardSource,
    *,
    pairs: CardSource | None = None,
    k: int = NEAREST,
    one_to_one: bool = False,
    threshold: float | None = None,
    seed: int = 0,
) -> Matches:
    """Find the cards of two catalogues that are the same product.

    Parameters
    ----------
    left, right
        Catalogues, or anything that :func:`read_catalogue` reads; no category is needed.
    pairs
        Labelled pairs to learn from: a file or table of any such kind with the columns
        ``left_id``, ``right_id`` and ``label`` (1 or 0, yes or no). Without them the default model
        is used.
    k
        Nearest offers of each card that are compared with it, from either side.
    one_to_one
        Give each card at most one partner, so that the sum of the probabilities is largest.
    threshold
        Smallest probability of a pair; by default the one that maximises the expected F1.
    seed
        Random seed of the learning.

    Returns
    -------
    Matches
        The pairs, likeliest first.

    Raises
    ------
    CatalogueError
        If a file cannot be read as cards or as pairs, or there are too few labelled pairs.

    Examples
    --------
    >>> from prodcat_index import match
    >>> found = match(["Bosch drill GSB-13", "Oak table"], ["Lamp", "BOSCH GSB13 impact drill"])
    >>> found.pairs.tolist()
    [[0, 1]]
    """
    k = whole_number("number of candidates", k)
    if k < 1:
        raise ValueError(f"Compare with at least one candidate; k is {k}.")
    if threshold is not None and not 0 <= threshold <= 1:
        raise ValueError(f"The threshold is a probability from 0 to 1; {threshold!r} is none.")
    matcher = Matcher(left, right)
    notes: list[str] = []
    if pairs is not None:
        rows, labels, notes = read_pairs(pairs, matcher.left, matcher.right)
        try:
            notes += matcher.fit(rows, labels, seed=seed).notes
        except CatalogueError as error:
            raise CatalogueError(" ".join((str(error), *(f"{note}." for note in notes)))) from None
    candidates = matcher.candidates(k)
    probability = matcher.predict_proba(candidates)
    least = matcher.threshold if threshold is None else threshold
    chosen = np.flatnonzero(probability >= least)
    # Trees give many pairs the same probability: the default model orders these.
    ties = probability[chosen]
    if matcher.is_fitted and len(chosen):
        ties = matcher.by_default(candidates[chosen])
    if one_to_one:
        kept = assign(candidates[chosen], probability[chosen] + TIE * ties)
        chosen, ties = chosen[kept], ties[kept]
    chosen = chosen[np.lexsort([-ties, -probability[chosen].round(9)])]
    found = candidates[chosen]
    why, sides = [matcher.why(*pair) for pair in found.tolist()], (matcher.left, matcher.right)
    compared = len(candidates)
    return Matches(*sides, found, probability[chosen], why, least, compared, tuple(notes))


def pair_probabilities(cards: CardSource, pairs: ArrayLike) -> Float64Array:
    """Return the probability that pairs of cards of one catalogue are one product, by their texts.

    Parameters
    ----------
    cards
        A catalogue, or anything that :func:`read_catalogue` reads.
    pairs
        Row numbers: whole numbers, shape (P, 2).

    Returns
    -------
    numpy.ndarray
        float64, shape (P,): by the default model, the same for (a, b) as for (b, a). It compares
        a pair with the mean of all the pairs given, which are best those that are near.
    """
    matcher = Matcher(cards, cards)
    rows = matcher.check_pairs(pairs)
    parts = [matcher.offers.features(rows[part]) for part in chunks(len(rows), PAIRS_AT_ONCE)]
    features = np.concatenate(parts)
    model = default_model("pair")
    return model.probabilities(features, model.centre_of(features))


def best_threshold(probability: Float64Array) -> float:
    """Return the smallest probability to accept for the largest expected F1 of such pairs."""
    falling = np.sort(probability)[::-1]
    # With the most probable n pairs accepted, if the probabilities are calibrated.
    expected = 2 * np.cumsum(falling) / (np.arange(1, len(falling) + 1) + falling.sum())
    return float(falling[np.argmax(expected)])


def assign(pairs: Int64Array, probability: Float64Array) -> Int64Array:
    """Choose pairs, each row of either side at most once, of the largest sum; their places."""
    from scipy.optimize import linear_sum_assignment

    if not len(pairs):
        return np.zeros(0, dtype=np.int64)
    first = int(pairs[:, 0].max()) + 1
    group = components(pairs[:, 0], first + pairs[:, 1], first + int(pairs[:, 1].max()) + 1)
    of_group = group[pairs[:, 0]]
    order = np.argsort(of_group, kind="stable")
    chosen = []
    for places in np.split(order, np.flatnonzero(np.diff(of_group[order])) + 1):
        rows, row = np.unique(pairs[places, 0], return_inverse=True)
        others, other = np.unique(pairs[places, 1], return_inverse=True)
        gain, at = np.zeros((len(rows), len(others))), np.full((len(rows), len(others)), -1)
        gain[row, other], at[row, other] = probability[places], places
        chosen.append(at[linear_sum_assignment(gain, maximize=True)])
    found = np.concatenate(chosen).astype(np.int64)
    return np.sort(found[found >= 0])


def read_pairs(
    source: CardSource, left: Catalogue, right: Catalogue
) -> tuple[Int64Array, BoolArray, list[str]]:
    """Read labelled pairs as row numbers, (P, 2), and labels, (P,); note those left out."""
    from prodcat_index.cards.inputs import open_source
    from prodcat_index.cards.table import texts_of

    opened, name, _ = open_source(source, None)
    frame = opened.frame
    if lacking := [column for column in PAIR_COLUMNS if column not in frame.columns]:
        raise CatalogueError(
            f"{name} lacks {name_first(lacking)}: labelled pairs have the columns left_id, "
            "right_id and label (1 for the same product, 0 for another)."
        )
    *read, said = ([value.strip() for value in texts_of(frame, c)] for c in PAIR_COLUMNS)
    said = [value.casefold() for value in said]
    if wrong := sorted(set(said) - set(LABELS)):
        found = name_first([value or "empty values" for value in wrong])
        raise CatalogueError(f"The column label of {name} has {found}; use 1 and 0.")
    columns = []
    for side, ids in zip((left, right), read, strict=True):
        row_of = {card: row for row, card in enumerate(side.ids)}
        columns.append([row_of.get(card, -1) for card in ids])
    rows = np.array(columns, dtype=np.int64).T
    known = (rows >= 0).all(axis=1)
    labels = np.array([LABELS[value] for value in said], dtype=bool)
    pairs = [f"{a} and {b}" for a, b in zip(*read, strict=True)]
    disputed = {*compress(pairs, labels)} & {*compress(pairs, ~labels)}
    agreed = np.array([pair not in disputed for pair in pairs], dtype=bool)
    notes = []
    for is_left_out, what in (
        (~known, "labelled pairs have an id that its catalogue lacks"),
        (known & ~agreed, "labelled pairs are of both labels"),
    ):
        if named := list(dict.fromkeys(np.array(pairs, dtype=object)[is_left_out])):
            what = counted(len(named), what)
            notes.append(f"{what} (left out): {name_first(named)}")
    return rows[known & agreed], labels[known & agreed], notes
