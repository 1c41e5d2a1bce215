"""Evaluating the catalogue of an index, and choosing the cards that are worth a look."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prodcat_index.cards.card import IMAGE
from prodcat_index.evaluation.evaluate import evaluate
from prodcat_index.evaluation.result import Evaluation
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.voting.breakdown import Confusion
from prodcat_index.voting.metrics import RiskCoverage
from prodcat_index.voting.prediction import Neighbour
from prodcat_index.voting.thresholds import check_share

if TYPE_CHECKING:
    import pandas as pd

    from prodcat_index.cards.split import Split
    from prodcat_index.index.parts import IndexParts


# Numbers of examples of a confusion and of the review queue, and of the neighbours of each.
OF_CONFUSION, OF_QUEUE, NEAREST = 2, 12, 4
FIRST_SPLIT = 1
# Shares of the vote below this are written as nothing.
LEAST_SHARE = 0.001
PRECISION = 0.95


@dataclass(frozen=True)
class Example:
    """A test card, its prediction, and the training cards nearest to it."""

    id: str
    title: str
    image: str
    true: str
    predicted: str
    confidence: float
    alternatives: Sequence[tuple[str, float]]  # categories and shares, largest first
    neighbours: Sequence[Neighbour]

    @property
    def is_right(self) -> bool:
        """Whether the prediction is the true category."""
        return self.true == self.predicted


@dataclass(frozen=True)
class Examples:
    """Test cards of the first split that are shown."""

    confused: Sequence[Sequence[Example]]  # for each of the worst confusions
    queue: Sequence[Example]  # the least confident first


@dataclass(frozen=True, eq=False)
class Report:
    """The content of the page of an index.

    Attributes
    ----------
    parts
        The parts of the index.
    evaluation
        The evaluation of its catalogue, by indexes of training parts.
    examples
        Cards of the first split with the cards nearest to them.
    precision
        The share of right answers that is marked.
    """

    parts: IndexParts
    evaluation: Evaluation
    examples: Examples
    precision: float

    @property
    def confusions(self) -> list[tuple[Confusion, Sequence[Example]]]:
        """The worst confusions with cards of each; there may be none in the first split."""
        return list(zip(self.evaluation.confusions, self.examples.confused, strict=True))

    @property
    def curve(self) -> RiskCoverage:
        """Share of wrong answers by the share of answers kept, over all splits."""
        return self.evaluation.confidence[-1].curve


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
    and the objective of the index. Embeddings are taken from the cache where it has them.

    Parameters
    ----------
    index
        The index whose catalogue is split.
    split, by, test, repeat, seed, baselines, allow_trained_on
        As for :func:`~prodcat_index.evaluation.evaluate.evaluate`.
    precision
        Share of right answers that is marked in the figure of confidence, above 0 and below 1.

    Returns
    -------
    Report
        The scores, with examples of mistakes and of the least confident answers.

    Raises
    ------
    QueryError
        If the precision is no share, or there are too few cards to tune on.
    CatalogueError
        If the cards cannot be split, or not so, or an encoder was trained on test cards.
    EncoderError
        If an encoder cannot be loaded.
    """
    check_share("precision", precision)
    parts = index.parts
    specs: dict[str, list[str]] = {}
    for block in parts.blocks:
        specs.setdefault(block.modality, []).append(block.slot.spec)
    evaluation = evaluate(
        parts.catalogue,
        split=split,
        by=by,
        test=test,
        repeat=repeat,
        seed=seed,
        encoders=specs,
        projection="lda" if parts.learned else "none",
        baselines=baselines,
        objective=parts.tuning.objective if parts.tuning else "weighted-f1",
        allow_trained_on=allow_trained_on,
    )
    return Report(parts, evaluation, find_examples(evaluation), precision)


def find_examples(evaluation: Evaluation) -> Examples:
    """Choose test cards of the first split and find the training cards nearest to them."""
    kind = evaluation.confidence[-1].kind
    cards = evaluation.cards[evaluation.cards["split"] == FIRST_SPLIT]
    cards = cards.assign(sure=cards[kind].fillna(0.0)).sort_values("sure", kind="stable")
    # Of a confusion the most confident mistakes, which tell most.
    confused = [
        cards[(cards["true"] == c.true) & (cards["predicted"] == c.predicted)][::-1][:OF_CONFUSION]
        for c in evaluation.confusions
    ]
    queue = cards[:OF_QUEUE]
    shown = [*confused, queue]
    # A card without an answer has nothing to search by, so it has no neighbour.
    answered = {id for some in shown for id in some.loc[some["predicted"] != "", "id"]}
    nearest = _search_training_part(evaluation, answered) if answered else {}
    catalogue = evaluation.catalogue
    columns = zip(catalogue.ids, catalogue.values("title"), catalogue.values(IMAGE), strict=True)
    own = {id: (id, title, image) for id, title, image in columns}

    def make(some: pd.DataFrame) -> list[Example]:
        return [
            Example(
                *own[card["id"]],
                true=card["true"],
                predicted=card["predicted"],
                confidence=card["sure"],
                alternatives=[
                    ranked
                    for ranked in zip(card["top5"], card["top5_shares"], strict=True)
                    if ranked[1] >= LEAST_SHARE
                ],
                neighbours=nearest.get(card["id"], ()),
            )
            for card in some.to_dict(orient="records")
        ]

    return Examples([make(some) for some in confused], make(queue))


def _search_training_part(evaluation: Evaluation, ids: set[str]) -> dict[str, Sequence[Neighbour]]:
    """Find the neighbours of test cards in an index of the first training part."""
    settings, catalogue = evaluation.settings, evaluation.catalogue
    index = ProductIndex.build(
        evaluation.splits[0].select(catalogue, "train"),
        encoders=settings["encoders"],
        preset=settings["preset"],
        projection=settings["projection"],
    )
    listings = catalogue.select([row for row, card in enumerate(catalogue.ids) if card in ids])
    weights = evaluation.tuned.settings[0]["weights"]
    predictions = index.predict(listings, k=NEAREST, weights=weights)
    return {prediction.id: prediction.neighbours for prediction in predictions}
