"""One split: the training part as an index, and the test part as that index sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import Catalogue
from prodcat_index.index.answers import search_and_vote
from prodcat_index.index.parts import encode_listings
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.types import BoolArray, Float32Array, Int64Array
from prodcat_index.voting.calibration import Calibration
from prodcat_index.voting.metrics import Outcome
from prodcat_index.voting.vote import VoteParameters

TOP = 5
PRECISION = 0.95


@dataclass(frozen=True)
class Answer:
    """What one way to categorize says of the test cards."""

    outcome: Outcome
    settings: Mapping[str, Any] = field(default_factory=dict)
    shares: npt.NDArray[np.float64] | None = None
    calibrated: npt.NDArray[np.float64] | None = None
    accepted: BoolArray | None = None
    nearest: Sequence[str] = ()
    note: str = ""


@dataclass(frozen=True)
class HeldOutSplit:
    """An index of the training cards, and the test cards embedded by it, once for all."""

    index: ProductIndex
    test: Catalogue
    names: tuple[str, ...]
    queries: Sequence[Float32Array]
    present: BoolArray

    @classmethod
    def embed(cls, index: ProductIndex, test: Catalogue, names: Sequence[str]) -> HeldOutSplit:
        """Embed the test cards."""
        encoded = encode_listings(index.parts.blocks, test)
        queries, present = index.parts.with_learned(*encoded)
        return cls(index, test, tuple(names), queries, present)

    @cached_property
    def true(self) -> Int64Array:
        """int64, shape (n,): positions of the true categories in ``names``."""
        return self.codes_of(self.test.values("category"))

    def codes_of(self, categories: Sequence[str]) -> Int64Array:
        """Return positions of categories in ``names``."""
        code = {name: place for place, name in enumerate(self.names)}
        return np.array([code[name] for name in categories], dtype=np.int64)

    @cached_property
    def training_sizes(self) -> Int64Array:
        """int64, shape (C,): training cards of each category."""
        labels = self.index.parts.labels
        sizes = np.zeros(len(self.names), dtype=np.int64)
        sizes[self.codes_of(labels.names)] = labels.sizes
        return sizes

    @cached_property
    def features(self) -> tuple[Float32Array, Float32Array]:
        """The encoders' blocks side by side: float32, training rows and test rows."""
        labelled = self.index.parts.labels.labelled
        blocks = [block.vectors[labelled] for block in self.index.parts.blocks]
        train = np.concatenate(blocks, axis=1, dtype=np.float32)
        return train, np.concatenate(self.queries[: len(blocks)], axis=1)

    def outcome(self, ranked: Int64Array, neighbours: Int64Array | None = None) -> Outcome:
        """Judge rankings of the index's own categories."""
        translated = self._translate(ranked)
        return Outcome(
            true=self.true,
            predicted=translated[:, 0],
            reachable=self.training_sizes > 0,
            ranked=translated,
            neighbours=None if neighbours is None else self._translate(neighbours),
        )

    def _translate(self, codes: Int64Array) -> Int64Array:
        own = self.codes_of(self.index.parts.labels.names)
        return np.where(codes >= 0, own[codes], -1)

    def vote(
        self,
        weights: Mapping[str, float],
        parameters: VoteParameters,
        calibration: Calibration | None = None,
    ) -> Answer:
        """Let the nearest training cards vote."""
        parts = self.index.parts
        vector = np.array([weights.get(name, 0.0) for name in parts.block_names])
        decision = search_and_vote(parts, self.queries, self.present, vector, parameters)
        found, decided = decision.found, decision.vote
        ids = [*parts.catalogue.ids, ""]
        sure = calibration.confidence(decided, found.similarities) if calibration else None
        return Answer(
            outcome=self.outcome(decided.categories[:, :TOP], decision.codes),
            settings={"weights": _shown(weights), **vars(parameters)},
            shares=decided.shares[:, :TOP],
            calibrated=sure,
            accepted=None if calibration is None or sure is None else _accept(calibration, sure),
            nearest=[ids[row] for row in found.rows[:, 0]],
        )


def _accept(calibration: Calibration, confidence: npt.NDArray[np.float64]) -> BoolArray:
    acceptance = calibration.precision.accept_at(PRECISION)
    threshold = np.inf if acceptance is None else acceptance.threshold
    accepted: BoolArray = confidence >= threshold
    return accepted


def _shown(weights: Mapping[str, float]) -> dict[str, float]:
    return {name: round(float(weight), 4) for name, weight in weights.items() if weight}


class Method(NamedTuple):
    """A way to categorize, which is a row of the table."""

    name: str
    kind: str
    answer: Callable[[HeldOutSplit], Answer]
