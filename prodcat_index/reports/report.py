"""Evaluating the own catalogue of an index, and choosing the cards that are worth a look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from prodcat_index.cards.card import IMAGE
from prodcat_index.errors import QueryError
from prodcat_index.evaluation.evaluate import evaluate
from prodcat_index.evaluation.result import Evaluation
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.voting.breakdown import Confusion
from prodcat_index.voting.prediction import Neighbour
from prodcat_index.voting.reliability import RiskCoverage, risk_coverage

if TYPE_CHECKING:
    import pandas as pd

    from prodcat_index.cards.split import Split
    from prodcat_index.evaluation.result import Evaluation
    from prodcat_index.index.parts import IndexParts
    from prodcat_index.index.product_index import ProductIndex


OF_CONFUSION, OF_QUEUE, NEAREST = 2, 12, 4
FIRST_SPLIT = 1
LEAST_SHARE = 0.001


@dataclass(frozen=True)
class Example:
    """A test card, what was said of it, and the training cards nearest to it."""

    id: str
    title: str
    image: str
    true: str
    predicted: str
    confidence: float
    alternatives: Sequence[tuple[str, float]]
    neighbours: Sequence[Neighbour]

    @property
    def is_right(self) -> bool:
        """Whether the prediction is the true category."""
        return self.true == self.predicted


@dataclass(frozen=True)
class Examples:
    """The cards that are shown."""

    confused: Sequence[Sequence[Example]]
    queue: Sequence[Example]


def find_examples(evaluation: Evaluation) -> Examples:
    """Choose test cards of the first split and find the training cards nearest to them."""
    kind = evaluation.confidence[-1].kind
    cards = evaluation.cards[evaluation.cards["split"] == FIRST_SPLIT]
    cards = cards.assign(sure=cards[kind].fillna(0.0)).sort_values("sure", kind="stable")
    confused = [
        cards[(cards["true"] == c.true) & (cards["predicted"] == c.predicted)][::-1][:OF_CONFUSION]
        for c in evaluation.confusions
    ]
    queue = cards[:OF_QUEUE]
    nearest = _nearest(evaluation, [*confused, queue])
    own = _own(evaluation)
    return Examples(
        confused=[_examples(some, own, nearest) for some in confused],
        queue=_examples(queue, own, nearest),
    )


def _own(evaluation: Evaluation) -> dict[str, dict[str, str]]:
    catalogue = evaluation.catalogue
    columns = zip(catalogue.ids, catalogue.values("title"), catalogue.values(IMAGE), strict=True)
    return {card: {"id": card, "title": title, "image": image} for card, title, image in columns}


def _nearest(
    evaluation: Evaluation, chosen: Sequence[pd.DataFrame]
) -> Mapping[str, Sequence[Neighbour]]:
    """Search for what was answered; a card without an answer has no neighbour."""
    asked = {card for cards in chosen for card in cards.loc[cards["predicted"] != "", "id"]}
    if not asked:
        return {}
    rows = [row for row, card in enumerate(evaluation.catalogue.ids) if card in asked]
    listings = evaluation.catalogue.select(rows)
    weights = evaluation.tuned.settings[0]["weights"]
    predictions = _training_index(evaluation).predict(listings, k=NEAREST, weights=weights)
    return {prediction.id: prediction.neighbours for prediction in predictions}


def _training_index(evaluation: Evaluation) -> ProductIndex:
    settings = evaluation.settings
    return ProductIndex.build(
        evaluation.splits[0].select(evaluation.catalogue, "train"),
        encoders=settings["encoders"],
        preset=settings["preset"],
        projection=settings["projection"],
    )


def _examples(
    cards: pd.DataFrame,
    own: Mapping[str, Mapping[str, str]],
    nearest: Mapping[str, Sequence[Neighbour]],
) -> list[Example]:
    return [
        _example(card, own[card["id"]], nearest.get(card["id"], ()))
        for card in cards.to_dict(orient="records")
    ]


def _example(
    card: Mapping[Any, Any], own: Mapping[str, str], nearest: Sequence[Neighbour]
) -> Example:
    ranked = zip(card["top5"], card["top5_shares"], strict=True)
    return Example(
        **own,
        true=card["true"],
        predicted=card["predicted"],
        confidence=card["sure"],
        alternatives=[one for one in ranked if one[1] >= LEAST_SHARE],
        neighbours=nearest,
    )


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
