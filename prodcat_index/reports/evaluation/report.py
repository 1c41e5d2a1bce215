"""Evaluating the own catalogue of an index, and choosing the cards that are worth a look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from prodcat_index.errors import QueryError
from prodcat_index.evaluation.evaluate import evaluate
from prodcat_index.evaluation.result import Evaluation
from prodcat_index.reports.evaluation.examples import Example, Examples, find_examples
from prodcat_index.voting.breakdown import Confusion
from prodcat_index.voting.reliability import RiskCoverage, risk_coverage

if TYPE_CHECKING:
    from prodcat_index.cards.split import Split
    from prodcat_index.index.parts import IndexParts
    from prodcat_index.index.product_index import ProductIndex

PRECISION = 0.95


@dataclass(frozen=True, eq=False)
class Report:
    """What the page of an index tells.

    Attributes
    ----------
    parts
        Of the index.
    evaluation
        Of its catalogue, by indexes of training parts.
    examples
        Cards of the first split with the cards nearest to them.
    precision
        The share of right answers that is asked for.
    """

    parts: IndexParts
    evaluation: Evaluation
    examples: Examples
    precision: float

    @property
    def confusions(self) -> list[tuple[Confusion, Sequence[Example]]]:
        """The worst confusions with cards of each; there may be none in the first split."""
        pairs = zip(self.evaluation.confusions, self.examples.confused, strict=True)
        return list(pairs)

    @cached_property
    def curve(self) -> RiskCoverage:
        """Share of wrong answers by the share of answers kept, over all splits."""
        cards = self.evaluation.cards
        right = (cards["true"] == cards["predicted"]).to_numpy(dtype=bool)
        confidence = cards[self.evaluation.confidence[-1].kind].to_numpy(dtype=np.float64)
        return risk_coverage(np.clip(confidence, 0.0, 1.0), right)


def report(
    index: ProductIndex,
    *,
    split: Split | None = None,
    by: str = "group",
    test: float = 0.25,
    repeat: int = 1,
    seed: int = 0,
    baselines: bool = True,
    precision: float = PRECISION,
    allow_trained_on: bool = False,
) -> Report:
    """Evaluate an index by its own catalogue.

    The weights of the index have seen all of its cards. So the cards are split, and encoders,
    projection, weights and calibration are fitted anew on each training part, with the encoders
    and the objective of the index; what embeddings the cache holds is taken from there.

    Parameters
    ----------
    index
        Whose catalogue is split.
    split, by, test, repeat, seed, baselines, allow_trained_on
        As for :func:`~prodcat_index.evaluation.evaluate.evaluate`.
    precision
        Of the answers, marked in the figure of confidence; above 0 and below 1.

    Raises
    ------
    QueryError
        If the precision is no share, or there are too few cards to tune on.
    CatalogueError
        If the cards cannot be split, or not so, or an encoder was trained on test cards.
    EncoderError
        If an encoder cannot be had.
    """
    if not 0 < precision < 1:
        raise QueryError(f"The precision must be above 0 and below 1; it is {precision}.")
    parts = index.parts
    evaluation = evaluate(
        parts.catalogue,
        split=split,
        by=by,
        test=test,
        repeat=repeat,
        seed=seed,
        encoders=_encoders(parts),
        projection="lda" if parts.learned else "none",
        baselines=baselines,
        objective=parts.tuning.objective if parts.tuning else "weighted-f1",
        allow_trained_on=allow_trained_on,
    )
    return Report(parts, evaluation, find_examples(evaluation), precision)


def _encoders(parts: IndexParts) -> dict[str, list[str]]:
    specs: dict[str, list[str]] = {}
    for block in parts.blocks:
        specs.setdefault(block.modality, []).append(block.slot.spec)
    return specs
