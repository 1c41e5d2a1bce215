"""The ways to categorize that are compared: one modality alone, all alike, tuned."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.evaluation.held_out import TOP, Answer, HeldOutSplit, Method
from prodcat_index.evaluation.result import TUNED
from prodcat_index.index.build import equal_weights
from prodcat_index.index.learned import ProjectionKind
from prodcat_index.types import Int64Array
from prodcat_index.voting.tuning import Objective
from prodcat_index.voting.vote import VoteParameters

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


def classify(name: str, seed: int, trial: HeldOutSplit) -> Answer:
    """Fit a classifier on the training rows of a trial and answer its test cards."""
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


def _fit(model: Any, rows: npt.NDArray[np.float32], codes: Int64Array) -> str:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(rows, codes)
    unfinished = any(issubclass(warning.category, ConvergenceWarning) for warning in caught)
    return f"did not converge in {model.max_iter} iterations" if unfinished else ""


def _ranked(model: Any, rows: npt.NDArray[np.float32]) -> Int64Array:
    scores = (
        model.decision_function(rows)
        if hasattr(model, "decision_function")
        else model.predict_proba(rows)
    )
    if scores.ndim == 1:
        scores = np.stack([-scores, scores], axis=1)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
    ranked: Int64Array = model.classes_[best]
    return ranked


def _settings(model: Any) -> dict[str, Any]:
    chosen = ("n_neighbors", "C", "max_iter", "dual", "random_state")
    return {name: value for name, value in model.get_params().items() if name in chosen}


EQUAL = "equal weights"
PROJECTED = "learned"


def make_methods(
    modalities: Sequence[str],
    *,
    baselines: bool,
    objective: Objective,
    seed: int,
    projection: ProjectionKind,
) -> list[Method]:
    """List the rows of the table."""
    alone = [Method(m, "modality", partial(_alone, m)) for m in modalities]
    votes = [
        *([Method(EQUAL, "vote", _equal)] if len(modalities) > 1 else []),
        *([Method(PROJECTED, "vote", _projected)] if projection == "lda" else []),
        Method(TUNED, "vote", partial(_tuned, objective, seed)),
    ]
    named = CLASSIFIERS if baselines else ()
    return [
        *alone,
        *votes,
        *(Method(name, "classifier", partial(classify, name, seed)) for name in named),
    ]


def _alone(modality: str, trial: HeldOutSplit) -> Answer:
    blocks = [block.name for block in trial.index.parts.blocks if block.modality == modality]
    return trial.vote({name: 1 / len(blocks) for name in blocks}, VoteParameters())


def _equal(trial: HeldOutSplit) -> Answer:
    return trial.vote(equal_weights(trial.index.parts.blocks), VoteParameters())


def _projected(trial: HeldOutSplit) -> Answer:
    """Vote as an index does that is not tuned."""
    return trial.vote(trial.index.parts.weights, trial.index.parts.vote)


def _tuned(objective: Objective, seed: int, trial: HeldOutSplit) -> Answer:
    parts = trial.index.tuned(trial.index.tune(objective=objective, seed=seed)).parts
    return trial.vote(parts.weights, parts.vote, parts.calibration)
