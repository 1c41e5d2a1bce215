"""Classifiers of scikit-learn on the very embeddings that the neighbours vote on."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.evaluation.trial import TOP, Answer, Trial
from prodcat_index.index.neighbours import IntArray

NEIGHBOURS = 5
MAX_ITERATIONS = 300
FEATURES = "blocks side by side, each of length 1, not scaled further"


def _neighbours(seed: int, cards: int) -> Any:
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(min(NEIGHBOURS, cards))


def _logistic(seed: int, cards: int) -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=100, max_iter=MAX_ITERATIONS)


def _svc(seed: int, cards: int) -> Any:
    from sklearn.svm import LinearSVC

    return LinearSVC(C=1, dual="auto", random_state=seed)


# Why these settings: docs/decisions.md.
CLASSIFIERS: Mapping[str, Callable[[int, int], Any]] = {
    "KNeighborsClassifier": _neighbours,
    "LogisticRegression": _logistic,
    "LinearSVC": _svc,
}


def classify(name: str, seed: int, trial: Trial) -> Answer:
    """Fit a classifier on the training rows of a trial and answer its test cards.

    Parameters
    ----------
    name
        One of ``CLASSIFIERS``.
    seed
        Where it draws at random.
    trial
        Whose training part has two categories or more.
    """
    train, test = trial.features
    labels = trial.index.parts.labels
    codes = labels.codes[labels.labelled]
    model = CLASSIFIERS[name](seed, len(codes))
    note = _fit(model, train, codes)
    neighbours = codes[model.kneighbors(test)[1]] if hasattr(model, "kneighbors") else None
    return Answer(
        outcome=trial.outcome(_ranked(model, test), neighbours),
        settings={"features": FEATURES, **_settings(model)},
        note=note,
    )


def _fit(model: Any, rows: npt.NDArray[np.float32], codes: IntArray) -> str:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(rows, codes)
    unfinished = any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    return f"did not converge in {model.max_iter} iterations" if unfinished else ""


def _ranked(model: Any, rows: npt.NDArray[np.float32]) -> IntArray:
    scores = (
        model.decision_function(rows)
        if hasattr(model, "decision_function")
        else model.predict_proba(rows)
    )
    if scores.ndim == 1:
        scores = np.stack([-scores, scores], axis=1)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
    ranked: IntArray = model.classes_[best]
    return ranked


def _settings(model: Any) -> dict[str, Any]:
    chosen = ("n_neighbors", "C", "max_iter", "dual", "random_state")
    return {name: value for name, value in model.get_params().items() if name in chosen}
