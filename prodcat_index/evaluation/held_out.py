"""One split: an index of its training part, and the test part embedded by that index."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from prodcat_index.cards.card import Catalogue
from prodcat_index.index.answers import search_and_vote
from prodcat_index.index.parts import encode_listings
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.types import MISSING, BoolArray, Float32Array, Float64Array, Int64Array
from prodcat_index.voting.calibration import Calibration
from prodcat_index.voting.decision import accept_or_review
from prodcat_index.voting.metrics import Outcome
from prodcat_index.voting.vote import VoteParameters

# Ranked categories that are kept of each answer: the deepest score is the top 5.
TOP = 5
# Target precision at which the tuned index accepts answers.
PRECISION = 0.95


@dataclass(frozen=True)
class Answer:
    """The answers of one method for n test cards."""

    outcome: Outcome
    settings: Mapping[str, Any] = field(default_factory=dict)  # for people and JSON
    shares: Float64Array | None = None  # (n, r): of ``outcome.ranked``; None without a vote
    calibrated: Float64Array | None = None  # (n,): probability of the first category
    accepted: BoolArray | None = None  # (n,): at a target precision of ``PRECISION``
    nearest: Sequence[str] = ()  # id of the nearest training card, empty where there is none
    note: str = ""  # a caveat, such as a fit that did not converge


@dataclass(frozen=True)
class HeldOutSplit:
    """An index of the training cards and n test cards, embedded once for all methods."""

    index: ProductIndex
    test: Catalogue
    names: tuple[str, ...]  # the C categories of both parts, sorted
    queries: Sequence[Float32Array]  # one array a block, (n, dim): unit rows, zeros where absent
    present: BoolArray  # (n, blocks)

    @classmethod
    def embed(cls, index: ProductIndex, test: Catalogue, names: Sequence[str]) -> HeldOutSplit:
        """Embed the test cards with the encoders of an index."""
        encoded = encode_listings(index.parts.blocks, test)
        queries = index.parts.with_learned(*encoded)
        return cls(index, test, tuple(names), queries.vectors, queries.present)

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
        blocks = [block.vectors[parts.labels.labelled] for block in parts.blocks]
        train = np.concatenate(blocks, axis=1, dtype=np.float32)
        return train, np.concatenate(self.queries[: len(blocks)], axis=1)

    def outcome(self, ranked: Int64Array, neighbours: Int64Array | None = None) -> Outcome:
        """Compare rankings with the true categories.

        `ranked`, (n, r), and `neighbours`, (n, k), hold codes of the index's own categories.
        """
        own = self._codes_of(self.index.parts.labels.names)

        def translated(codes: Int64Array) -> Int64Array:
            return np.where(codes >= 0, own[codes], MISSING)

        return Outcome(
            true=self.true,
            predicted=translated(ranked[:, 0]),
            reachable=self.training_sizes > 0,
            ranked=translated(ranked),
            neighbours=None if neighbours is None else translated(neighbours),
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
        result = search_and_vote(parts, self.queries, self.present, vector, parameters)
        found, vote = result.found, result.vote
        names = parts.labels.names
        decision = calibration and accept_or_review(
            calibration, vote, found.similarities, names, precision=PRECISION
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

    def _codes_of(self, categories: Sequence[str]) -> Int64Array:
        code = {name: place for place, name in enumerate(self.names)}
        return np.array([code[name] for name in categories], dtype=np.int64)
