"""Cards to look at: the worst confusions and the least sure answers, with their nearest cards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from prodcat_index.cards.card import IMAGE
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.voting.prediction import Neighbour

if TYPE_CHECKING:
    import pandas as pd

    from prodcat_index.evaluation.result import Evaluation

OF_CONFUSION, OF_QUEUE, NEAREST = 2, 12, 4
FIRST_SPLIT = 1
LEAST_SHARE = 0.001


@dataclass(frozen=True)
class Example:
    """A test card, what was said of it, and the training cards nearest to it.

    Attributes
    ----------
    id, title, image
        As in the catalogue.
    true, predicted
        Categories; ``predicted`` is empty where nothing was.
    confidence
        In the prediction.
    alternatives
        Categories with their shares of the vote, largest first; none with next to nothing.
    neighbours
        At most ``NEAREST``, nearest first.
    """

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
    """The cards that are shown.

    Attributes
    ----------
    confused
        For each confusion of the evaluation a few cards, the surest mistakes first.
    queue
        The least sure answers, the least sure first.
    """

    confused: Sequence[Sequence[Example]]
    queue: Sequence[Example]


def find_examples(evaluation: Evaluation) -> Examples:
    """Choose test cards of the first split and find the training cards nearest to them.

    Parameters
    ----------
    evaluation
        Its index of the first training part is made again to search in.
    """
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
