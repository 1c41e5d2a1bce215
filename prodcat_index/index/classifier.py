"""The index's vote as a classifier of scikit-learn, whose base classes are imported only here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from prodcat_index.encoders.base import unit_rows
from prodcat_index.errors import QueryError
from prodcat_index.index.fusion import centre, training_mean, weight_vector
from prodcat_index.index.learned import (
    LearnedBlock,
    ProjectionKind,
    as_queries,
    fit_model,
    head_log_proba,
)
from prodcat_index.index.manifest import LEARNED
from prodcat_index.index.search import SearchSpace, find_neighbours
from prodcat_index.index.searchers import FlatSearcher
from prodcat_index.types import BoolArray, Float32Array, Float64Array, FloatingArray, Int64Array
from prodcat_index.voting.vote import Vote, VoteParameters, check_k, vote

READING: Mapping[str, Any] = {"dtype": [np.float64, np.float32], "ensure_all_finite": "allow-nan"}


class ProductKNNClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Weighted nearest neighbours over blocks of features, as the index votes.

    With ``projection="lda"`` and a ``head_exponent`` it learns from the classes what the index
    learns, but for text scores, which are computed from texts, and the reliability of labels.

    The columns of X are the blocks side by side. Each row of a block is scaled to length 1; a
    row of zeros, or of NaN alone, says that the sample has no such block. The similarity of two
    samples is the weighted sum of their cosines, one per block, after the training mean of each
    block was removed. The weights of blocks that a query lacks are shared out among the others;
    a block that a training sample lacks counts as the 90th percentile of the query's cosines in
    it. Equal similarities stand in the order of the training rows. A sample that has nothing to
    compare gets the largest class, with the class shares of the training set as probabilities.

    ``blocks``, ``centre`` and ``projection`` act when the classifier is fitted; the others may be
    changed by ``set_params`` at any time.

    Parameters
    ----------
    blocks
        Number of columns of each of the B blocks, in order; one block by default.
    weights
        Weight of each block and, with a projection, of the projected block, which is the last. By
        default the projected block alone counts or, without one, all blocks alike.
    n_neighbors
        Number of neighbours that vote; all training samples where there are fewer.
    temperature
        How fast a vote fades: a neighbour that is less similar than the nearest one by this much
        counts 1/e of it.
    prior_exponent
        0 lets large classes profit from their size; 1 divides each vote by the class's size.
    centre
        Remove the training mean of each block.
    projection
        ``"lda"`` adds a block: a linear discriminant projection of the others, fitted to the
        classes; there is none where the classes cannot tell samples apart. ``"none"`` does not.
    head_exponent
        0 ignores the linear head, which is fitted to the projected block; 1 multiplies each vote by
        the probability that the head gives to the neighbour's class. The weight of the projected
        block scales it.

    Attributes
    ----------
    classes_
        Shape (C,): the classes, sorted.
    n_features_in_
        Number of columns of X.
    feature_names_in_
        Names of the columns, where X came with names.

    Examples
    --------
    >>> from prodcat_index import ProductKNNClassifier
    >>> X = [[2, 0, 0, 3], [1, 0, 3, 0], [0, 2, 0, 0]]  # the third has no second block
    >>> classifier = ProductKNNClassifier(blocks=(2, 2), n_neighbors=1, centre=False)
    >>> print(*classifier.fit(X, ["boots", "boots", "lamps"]).predict([[0, 5, 1, 1], [5, 0, 0, 0]]))
    lamps boots
    """

    classes_: npt.NDArray[Any]
    n_features_in_: int
    _learned: LearnedBlock | None

    def __init__(
        self,
        *,
        blocks: Sequence[int] | None = None,
        weights: Sequence[float] | None = None,
        n_neighbors: int = 10,
        temperature: float = 0.1,
        prior_exponent: float = 0.0,
        centre: bool = True,
        projection: ProjectionKind = "none",
        head_exponent: float = 0.0,
    ) -> None:
        self.blocks = blocks
        self.weights = weights
        self.n_neighbors = n_neighbors
        self.temperature = temperature
        self.prior_exponent = prior_exponent
        self.centre = centre
        self.projection = projection
        self.head_exponent = head_exponent

    def fit(self, X: npt.ArrayLike, y: npt.ArrayLike) -> ProductKNNClassifier:
        """Keep the training samples.

        Parameters
        ----------
        X
            Shape (n, sum of ``blocks``).
        y
            Shape (n,): classes of any one type.

        Returns
        -------
        ProductKNNClassifier
            The classifier itself.

        Raises
        ------
        ValueError
            If X or y is not what scikit-learn takes for samples and classes, or a row of a block
            is NaN in some columns only.
        QueryError
            If a parameter is wrong.
        """
        self._vote_parameters()
        if self.projection not in get_args(ProjectionKind):
            raise QueryError(
                f"The projection is one of {', '.join(get_args(ProjectionKind))}; it is "
                f"{self.projection!r}."
            )
        samples, labels = validate_data(self, X, y, **READING)
        check_classification_targets(labels)
        self.classes_, self._codes = np.unique(labels, return_inverse=True)
        self._sizes = np.bincount(self._codes)
        self._widths = _checked_widths(self.blocks, self.n_features_in_)
        self._is_projected, self._learned = self.projection == "lda", None
        self._weight_vector()
        vectors, present = _split(samples, self._widths)
        self._means = [
            training_mean(block, there) if self.centre else np.zeros(block.shape[1], np.float32)
            for block, there in zip(vectors, present.T, strict=True)
        ]
        rows, present = self._centred(vectors, present)
        if self._is_projected:
            model = fit_model(rows, present, self._codes, [None] * len(rows))
            if model:
                self._learned = LearnedBlock(model, *model.card_rows(rows, present))
        if self._learned:
            rows = [*rows, np.asarray(self._learned.vectors)]
            present = np.column_stack([present, self._learned.present])
        searcher = FlatSearcher.build(rows, present)
        self._space = SearchSpace(searcher, rows, present, ids=np.ndarray.tolist)
        return self

    def predict(self, X: npt.ArrayLike) -> npt.NDArray[Any]:
        """Predict classes.

        Parameters
        ----------
        X
            Shape (m, sum of ``blocks``).

        Returns
        -------
        numpy.ndarray
            Shape (m,): of equal votes, the class of the nearer neighbour.
        """
        best = self._vote(X).categories[:, 0]
        return self.classes_[np.where(best >= 0, best, self._sizes.argmax())]

    def predict_proba(self, X: npt.ArrayLike) -> npt.NDArray[np.float64]:
        """Predict the share of the vote that each class has.

        Parameters
        ----------
        X
            Shape (m, sum of ``blocks``).

        Returns
        -------
        numpy.ndarray
            float64, shape (m, C), in the order of ``classes_``; a row sums to 1.
        """
        cast = self._vote(X)
        shares = np.zeros((len(cast.shares), len(self.classes_)))
        rows, places = np.nonzero(cast.categories >= 0)
        shares[rows, cast.categories[rows, places]] = cast.shares[rows, places]
        shares[~shares.any(axis=1)] = self._sizes / self._sizes.sum()
        # Rounded sums may pass 1, which scikit-learn's scores refuse.
        return np.minimum(shares, 1.0)

    def kneighbors(
        self,
        X: npt.ArrayLike | None = None,
        n_neighbors: int | None = None,
        return_distance: bool = True,
    ) -> tuple[Float64Array, Int64Array] | Int64Array:
        """Find the nearest training samples.

        Parameters
        ----------
        X
            Shape (m, sum of ``blocks``); by default the training samples, each left out of its
            own neighbours.
        n_neighbors
            That of the classifier by default.
        return_distance
            Return distances as well.

        Returns
        -------
        tuple or numpy.ndarray
            Distances (1 - similarity, from 0 to 2), float64 of shape (m, k), if asked for; and
            row numbers of training samples, int64 of shape (m, k), nearest first. Where a sample
            has nothing to compare, the distance is NaN and the row number -1.
        """
        check_is_fitted(self)
        k = self.n_neighbors if n_neighbors is None else n_neighbors
        k = check_k(k)
        if X is not None:
            similarities, rows = self._neighbours(*self._queries(X), k)
        else:
            queries = [np.asarray(block, dtype=np.float32) for block in self._space.blocks]
            if self._learned:
                queries[-1] = as_queries(self._learned, np.arange(len(queries[-1])))
            similarities, rows = self._neighbours(queries, self._space.present, k + 1)
            other = rows != np.arange(len(rows))[:, None]
            # More equal samples than are asked for: the sample itself is not among them.
            other[other.all(axis=1), -1] = False
            shape = (len(rows), rows.shape[1] - 1)
            similarities, rows = similarities[other].reshape(shape), rows[other].reshape(shape)
        return (1 - similarities, rows) if return_distance else rows

    def _vote(self, X: npt.ArrayLike) -> Vote:
        check_is_fitted(self)
        parameters = self._vote_parameters()
        has_any: BoolArray = np.any(self._space.present, axis=1)
        queries, present = self._queries(X)
        similarities, rows = self._neighbours(queries, present, parameters.k, has_any)
        codes = np.where(rows >= 0, self._codes[rows], -1)
        head = None
        if self._learned:
            log_proba = head_log_proba(self._learned.model, queries, codes)
            head = np.float32(self._weight_vector()[-1]) * log_proba
        return vote(similarities, codes, self._sizes, parameters, head)

    def _neighbours(
        self,
        queries: Sequence[Float32Array],
        present: BoolArray,
        k: int,
        eligible: BoolArray | None = None,
    ) -> tuple[Float64Array, Int64Array]:
        """Return similarities and rows of the nearest training samples, eligible ones: (N,)."""
        # A block that no training sample has says nothing, whoever has it.
        comparable = present & self._space.present.any(axis=0)
        weights, k = self._weight_vector(), min(k, len(self._codes))
        found = find_neighbours(self._space, queries, comparable, weights, k, eligible)
        return found.similarities, found.rows

    def _queries(self, X: npt.ArrayLike) -> tuple[list[Float32Array], BoolArray]:
        samples = validate_data(self, X, reset=False, **READING)
        rows, present = self._centred(*_split(samples, self._widths))
        if self._learned:
            model = self._learned.model
            projected, known = model.query_rows(model.projection.parts(rows, present))
            rows, present = [*rows, projected], np.column_stack([present, known])
        return rows, present

    def _centred(
        self, vectors: Sequence[Float32Array], present: BoolArray
    ) -> tuple[list[Float32Array], BoolArray]:
        blocks = zip(vectors, present.T, self._means, strict=True)
        centred = [centre(rows, there, mean) for rows, there, mean in blocks]
        return [rows for rows, _ in centred], np.stack([there for _, there in centred], axis=1)

    def _vote_parameters(self) -> VoteParameters:
        return VoteParameters(
            self.n_neighbors, self.temperature, self.prior_exponent, self.head_exponent
        )

    def _weight_vector(self) -> Float64Array:
        names = [f"block {number}" for number, _ in enumerate(self._widths, 1)]
        usual = [1.0] * len(names)
        if self._is_projected:
            names, usual = [*names, LEARNED], [*[0.0] * len(names), 1.0]
        weights = usual if self.weights is None else list(self.weights)
        if len(weights) != len(names):
            raise QueryError(
                f"There are {len(weights)} weights for {len(names)} blocks ({', '.join(names)}); "
                "give one for each block."
            )
        vector = weight_vector(dict(zip(names, weights, strict=True)), names)
        if self._is_projected and not self._learned:
            # As an index of cards that nothing can be learned from, it compares the other blocks.
            vector = vector[:-1] if vector[:-1].any() else np.ones(len(vector) - 1)
            vector = vector / vector.sum()
        return vector


def _checked_widths(blocks: Sequence[int] | None, columns: int) -> list[int]:
    widths = [columns] if blocks is None else list(blocks)
    if min(widths, default=0) < 1 or sum(widths) != columns:
        raise QueryError(
            f"The widths of the blocks must be 1 or more and add up to the {columns} columns of X; "
            f"these are {', '.join(map(str, widths)) or 'none'}."
        )
    return widths


def _split(X: FloatingArray, widths: Sequence[int]) -> tuple[list[Float32Array], BoolArray]:
    """Return the unit rows of each block, and which blocks each row of X has."""
    blocks = [_unit_rows(block) for block in np.split(X, np.cumsum(widths)[:-1], axis=1)]
    return blocks, np.stack([block.any(axis=1) for block in blocks], axis=1)


def _unit_rows(block: FloatingArray) -> Float32Array:
    unknown = np.isnan(block)
    partly = unknown.any(axis=1) & ~unknown.all(axis=1)
    if partly.any():
        raise ValueError(
            f"Row {partly.argmax()} of X is NaN in some columns of a block only; fill these in, or "
            "let all columns of the block be NaN where a sample has no such block."
        )
    return unit_rows(block)
