"""Methods of categorization, fitted to one training part: a modality alone, votes, classifiers."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from prodcat_index.cards.card import Catalogue
from prodcat_index.evaluation.text_classifier import TEXT_CLASSIFIER, classify_texts
from prodcat_index.index import familiarity
from prodcat_index.index.answers import search_and_vote
from prodcat_index.index.learned import ProjectionKind
from prodcat_index.index.parts import equal_weights
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.types import MISSING, BoolArray, Float32Array, Float64Array, Int64Array
from prodcat_index.voting.calibration import Calibration
from prodcat_index.voting.decision import accept_or_review
from prodcat_index.voting.metrics import Outcome
from prodcat_index.voting.tuning import Objective
from prodcat_index.voting.vote import VoteParameters

# Ranked categories that are kept of each answer: the deepest score is the top 5.
TOP = 5
# Target precision at which the tuned index accepts answers.
PRECISION = 0.95
EQUAL, PROJECTED, TUNED = "equal weights", "learned", "tuned"
# docs/decisions/evaluation.md says why the classifiers have these settings.
CLASSIFIERS = ("KNeighborsClassifier", "LogisticRegression", "LinearSVC")
NEIGHBOURS = 5
MAX_ITERATIONS = 300
FEATURES = "blocks side by side, each of length 1, not scaled further"
SHOWN_SETTINGS = ("n_neighbors", "C", "max_iter", "dual", "random_state")


class Method(NamedTuple):
    """A way to categorize, which is a row of the table."""

    name: str
    kind: str  # modality, vote, classifier (on embeddings) or texts (a classifier on n-grams)


def list_methods(catalogue: Catalogue, projection: ProjectionKind, baselines: bool) -> list[Method]:
    """List the methods in the order of the table's rows."""
    modalities = catalogue.modalities
    methods = [Method(name, "modality") for name in modalities]
    if len(modalities) > 1:
        methods.append(Method(EQUAL, "vote"))
    if projection == "lda":
        methods.append(Method(PROJECTED, "vote"))
    methods.append(Method(TUNED, "vote"))
    if baselines:
        methods += [Method(name, "classifier") for name in CLASSIFIERS]
        if any(any(catalogue.values(name)) for name in catalogue.text_modalities):
            methods.append(Method(TEXT_CLASSIFIER, "texts"))
    return methods


@dataclass(frozen=True)
class Answer:
    """The answers of one method for n test cards."""

    outcome: Outcome
    settings: Mapping[str, Any] = field(default_factory=dict)  # for people and JSON
    shares: Float64Array | None = None  # (n, r): of ``outcome.ranked``; None without a vote
    calibrated: Float64Array | None = None  # (n,): probability of the first category
    accepted: BoolArray | None = None  # (n,): at the target precision
    nearest: Sequence[str] = ()  # id of the nearest training card, empty where there is none
    note: str = ""  # a caveat, such as a fit that did not converge


@dataclass(eq=False)
class HeldOutSplit:
    """An index of the training cards and n test cards, embedded once for all methods."""

    index: ProductIndex
    test: Catalogue
    names: Sequence[str]  # the C categories of both parts, sorted
    groups: Int64Array  # (N,): training cards that belong together
    precision: float = PRECISION  # at which answers are accepted

    def __post_init__(self) -> None:
        self.queries = self.index.parts.encode(self.test)

    @cached_property
    def true(self) -> Int64Array:
        """int64, (n,): positions of the true categories in ``names``."""
        return self._codes_of(self.test.values("category"))

    @cached_property
    def training_sizes(self) -> Int64Array:
        """int64, (C,): number of training cards of each category."""
        labels = self.index.parts.labels
        sizes = np.zeros(len(self.names), dtype=np.int64)
        sizes[self._codes_of(labels.names)] = labels.sizes
        return sizes

    @cached_property
    def features(self) -> tuple[Float32Array, Float32Array]:
        """The encoders' blocks side by side: float32, labelled training cards and test cards."""
        parts = self.index.parts
        blocks = [block.vectors[parts.labels.labelled] for block in parts.encoder_blocks]
        train = np.concatenate(blocks, axis=1, dtype=np.float32)
        return train, np.concatenate(self.queries.vectors[: len(blocks)], axis=1)

    def answer(self, method: Method, objective: Objective, seed: int) -> Answer:
        """Answer the test cards by one method."""
        index, blocks = self.index, self.index.parts.blocks
        if method.kind == "classifier":
            return self.classify(method.name, seed)
        if method.kind == "texts":
            return self.classify_texts(seed)
        if method.kind == "modality":
            own = [block for block in blocks if block.modality == method.name]
            return self.vote({block.name: 1 / len(own) for block in own}, VoteParameters())
        if method.name == EQUAL:
            return self.vote(equal_weights(blocks), VoteParameters())
        if method.name == TUNED:
            index = index.tuned(index.tune(objective=objective, seed=seed))
        return self.vote(index.parts.weights, index.parts.vote, index.parts.calibration)

    def outcome(self, ranked: Int64Array, neighbours: Int64Array | None = None) -> Outcome:
        """Compare rankings with the true categories.

        `ranked`, (n, r), and `neighbours`, (n, k), hold codes of the index's own categories.
        """
        # Code -1 stands for no category, and picks the one at the end.
        own = np.append(self._codes_of(self.index.parts.labels.names), MISSING)
        return Outcome(
            true=self.true,
            predicted=own[ranked[:, 0]],
            reachable=self.training_sizes > 0,
            ranked=own[ranked],
            neighbours=None if neighbours is None else own[neighbours],
        )

    def vote(
        self,
        weights: Mapping[str, float],
        parameters: VoteParameters,
        calibration: Calibration | None = None,
    ) -> Answer:
        """Let the nearest training cards vote, and accept answers if there is a calibration."""
        parts = self.index.parts
        vector = np.array([weights.get(name, 0.0) for name in parts.block_names])
        queries, present = self.queries.vectors, self.queries.present
        result = search_and_vote(parts, queries, present, vector, parameters)
        found, vote = result.found, result.vote
        names = parts.labels.names
        answers = vote.categories[:, 0]
        seen = familiarity.of_queries(parts, queries, present, found, answers)
        decision = calibration and accept_or_review(
            calibration, vote, found.similarities, names, precision=self.precision, evidence=seen
        )
        # Row -1 stands for no neighbour, and picks the empty id at the end.
        ids = [*parts.catalogue.ids, ""]
        shown = {name: round(float(weight), 4) for name, weight in weights.items() if weight}
        return Answer(
            outcome=self.outcome(vote.categories[:, :TOP], result.codes),
            settings={"weights": shown, **vars(parameters)},
            shares=vote.shares[:, :TOP],
            calibrated=decision.confidence if decision else None,
            accepted=decision.accepted if decision else None,
            nearest=[ids[row] for row in found.rows[:, 0]],
        )

    def classify(self, name: str, seed: int) -> Answer:
        """Fit a classifier of scikit-learn on the training rows and answer the test cards."""
        from sklearn.exceptions import ConvergenceWarning

        train, test = self.features
        labels = self.index.parts.labels
        codes = labels.codes[labels.labelled]
        model = _make_classifier(name, seed, len(codes))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            model.fit(train, codes)
        is_unfinished = any(issubclass(each.category, ConvergenceWarning) for each in caught)
        neighbours = codes[model.kneighbors(test)[1]] if hasattr(model, "kneighbors") else None
        shown = {key: value for key, value in model.get_params().items() if key in SHOWN_SETTINGS}
        return Answer(
            outcome=self.outcome(model.classes_[_rank(_decide(model, test))], neighbours),
            settings={"features": FEATURES, **shown},
            note=f"did not converge in {model.max_iter} iterations" if is_unfinished else "",
        )

    def classify_texts(self, seed: int) -> Answer:
        """Fit a classifier to the texts of the training cards and answer the test cards."""
        train, label = self.index.parts.catalogue, f"fitting {TEXT_CLASSIFIER}"
        found = classify_texts(train, self.groups, self.test, seed, label)
        nothing = np.full((len(self.test), 1), MISSING)
        ranked = nothing if found.scores is None else _rank(found.scores)
        return Answer(outcome=self.outcome(ranked), settings=found.settings, note=found.note)

    def _codes_of(self, categories: Sequence[str]) -> Int64Array:
        code = {name: place for place, name in enumerate(self.names)}
        return np.array([code[name] for name in categories], dtype=np.int64)


def _make_classifier(name: str, seed: int, cards: int) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier
    from sklearn.svm import LinearSVC

    classifiers = {
        "KNeighborsClassifier": KNeighborsClassifier(min(NEIGHBOURS, cards)),
        "LogisticRegression": LogisticRegression(C=100, max_iter=MAX_ITERATIONS),
        "LinearSVC": LinearSVC(C=1, dual="auto", random_state=seed),
    }
    return classifiers[name]


def _decide(model: Any, rows: Float32Array) -> Float64Array:
    """Return the scores of every category: (n, C)."""
    decide = getattr(model, "decision_function", None) or model.predict_proba
    scores: Float64Array = decide(rows)
    # With two categories, a linear model scores the second one only.
    return np.stack([-scores, scores], axis=1) if scores.ndim == 1 else scores


def _rank(scores: Float64Array) -> Int64Array:
    return np.argsort(-scores, axis=1, kind="stable")[:, :TOP]
