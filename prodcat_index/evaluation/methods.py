"""The methods that are compared: one modality alone, equal weights, tuned, and classifiers."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from prodcat_index.evaluation.held_out import TOP, Answer, HeldOutSplit
from prodcat_index.index.build import equal_weights
from prodcat_index.index.learned import ProjectionKind
from prodcat_index.types import Float32Array, Int64Array
from prodcat_index.voting.tuning import Objective
from prodcat_index.voting.vote import VoteParameters

EQUAL, PROJECTED, TUNED = "equal weights", "learned", "tuned"
CLASSIFIERS = ("KNeighborsClassifier", "LogisticRegression", "LinearSVC")
NEIGHBOURS = 5
MAX_ITERATIONS = 300
FEATURES = "blocks side by side, each of length 1, not scaled further"
SHOWN_SETTINGS = ("n_neighbors", "C", "max_iter", "dual", "random_state")


class Method(NamedTuple):
    """A way to categorize, which is a row of the table."""

    name: str
    kind: str  # modality, vote or classifier
    answer: Callable[[HeldOutSplit], Answer]


def make_methods(
    modalities: Sequence[str],
    *,
    baselines: bool,
    objective: Objective,
    seed: int,
    projection: ProjectionKind,
) -> list[Method]:
    """List the methods in the order of the table's rows."""
    methods = [Method(name, "modality", partial(_answer_alone, name)) for name in modalities]
    if len(modalities) > 1:
        methods.append(Method(EQUAL, "vote", _answer_equally))
    if projection == "lda":
        methods.append(Method(PROJECTED, "vote", _answer_untuned))
    methods.append(Method(TUNED, "vote", partial(_answer_tuned, objective, seed)))
    if baselines:
        methods += [
            Method(name, "classifier", partial(classify, name, seed)) for name in CLASSIFIERS
        ]
    return methods


def _answer_alone(modality: str, held_out: HeldOutSplit) -> Answer:
    blocks = [block.name for block in held_out.index.parts.blocks if block.modality == modality]
    return held_out.vote({name: 1 / len(blocks) for name in blocks}, VoteParameters())


def _answer_equally(held_out: HeldOutSplit) -> Answer:
    return held_out.vote(equal_weights(held_out.index.parts.blocks), VoteParameters())


def _answer_untuned(held_out: HeldOutSplit) -> Answer:
    parts = held_out.index.parts
    return held_out.vote(parts.weights, parts.vote)


def _answer_tuned(objective: Objective, seed: int, held_out: HeldOutSplit) -> Answer:
    index = held_out.index
    parts = index.tuned(index.tune(objective=objective, seed=seed)).parts
    return held_out.vote(parts.weights, parts.vote, parts.calibration)


def classify(name: str, seed: int, held_out: HeldOutSplit) -> Answer:
    """Fit a classifier of scikit-learn on the training rows and answer the test cards."""
    from sklearn.exceptions import ConvergenceWarning

    train, test = held_out.features
    labels = held_out.index.parts.labels
    codes = labels.codes[labels.labelled]
    model = _make_classifier(name, seed, len(codes))
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        model.fit(train, codes)
    is_unfinished = any(issubclass(each.category, ConvergenceWarning) for each in caught)
    neighbours = codes[model.kneighbors(test)[1]] if hasattr(model, "kneighbors") else None
    shown = {key: value for key, value in model.get_params().items() if key in SHOWN_SETTINGS}
    return Answer(
        outcome=held_out.outcome(_rank(model, test), neighbours),
        settings={"features": FEATURES, **shown},
        note=f"did not converge in {model.max_iter} iterations" if is_unfinished else "",
    )


def _make_classifier(name: str, seed: int, cards: int) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import LinearSVC

    # docs/decisions.md says why these settings.
    classifiers = {
        "KNeighborsClassifier": KNeighborsClassifier(min(NEIGHBOURS, cards)),
        "LogisticRegression": LogisticRegression(C=100, max_iter=MAX_ITERATIONS),
        "LinearSVC": LinearSVC(C=1, dual="auto", random_state=seed),
    }
    return classifiers[name]


def _rank(model: Any, rows: Float32Array) -> Int64Array:
    decide = getattr(model, "decision_function", None) or model.predict_proba
    scores = decide(rows)
    if scores.ndim == 1:
        # With two categories, a linear model scores the second one only.
        scores = np.stack([-scores, scores], axis=1)
    best = np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
    ranked: Int64Array = model.classes_[best]
    return ranked
