"""What a prediction is: ranked categories, confidence, and the neighbours behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, overload

if TYPE_CHECKING:
    import pandas as pd

TOP = 5
ACCEPT, REVIEW = "accept", "review"
SET_SEPARATOR = " | "


@dataclass(frozen=True)
class Neighbour:
    """A card near a query.

    Attributes
    ----------
    id, title, image, category
        As in the catalogue; ``category`` is empty for an unlabelled card.
    similarity
        Weighted similarity, at most 1.
    by_block
        Block name -> cosine, in the learned one less half of the hubness; blocks that the query
        or the card lacks are left out.
    vote_share
        Part of the vote, from 0 to 1; ``None`` where nothing was voted on.
    learned_from
        Block name -> what it adds to the similarity in the learned block, if there is one; and
        ``hubness``, what is taken off because the card is near to many others.
    """

    id: str
    title: str
    image: str
    category: str
    similarity: float
    by_block: Mapping[str, float]
    vote_share: float | None = None
    learned_from: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON, similarities rounded to 4 digits."""
        record: dict[str, Any] = {
            "id": self.id,
            "title": self.title,
            "category": self.category,
            "image": self.image,
            "similarity": round(self.similarity, 4),
            "by_modality": {name: round(value, 4) for name, value in self.by_block.items()},
        }
        if self.learned_from:
            record["learned_from"] = {n: round(v, 4) for n, v in self.learned_from.items()}
        if self.vote_share is not None:
            record["vote_share"] = round(self.vote_share, 4)
        return record


@dataclass(frozen=True)
class Explanation:
    """Which modality decided.

    Attributes
    ----------
    without
        Modality -> the category and its share if that modality had not been there; an empty
        category where nothing else is known of the listing.
    decided_by
        The modality whose absence costs the predicted category the largest part of its share.
    head
        How probable the linear head finds the predicted category; None where it had no say.
    """

    without: Mapping[str, tuple[str, float]]
    decided_by: str
    head: float | None = None


@dataclass(frozen=True)
class Prediction:
    """The answer for one listing.

    Attributes
    ----------
    id
        The listing's id.
    category
        The category with the largest share; empty when the listing has nothing to go by.
    category_id
        The shop's own key of that category, or empty.
    confidence
        Probability that the category is right, where the index is calibrated for this vote;
        otherwise its share of the vote.
    ranked
        Categories and shares, largest first.
    neighbours
        The cards that voted, nearest first.
    explanation
        Which modality decided, when asked for.
    decision
        ``"accept"`` or ``"review"`` by the asked precision; empty where none was asked.
    backed_off
        The longest prefix of categories that is as sure as asked where the category is not, such
        as ``"Shoes"``; empty where there is none.
    category_set
        Categories that hold the true one as often as asked; None where that was not asked.
    """

    id: str
    category: str
    category_id: str
    confidence: float
    ranked: Sequence[tuple[str, float]]
    neighbours: Sequence[Neighbour]
    explanation: Explanation | None = None
    decision: str = ""
    backed_off: str = ""
    category_set: Sequence[str] | None = None

    @property
    def share(self) -> float:
        """The category's share of the vote, from 0 to 1."""
        return self.ranked[0][1] if self.ranked else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON; neighbours only when an explanation was asked for."""
        record: dict[str, Any] = {
            "id": self.id,
            "category": self.category,
            "category_id": self.category_id,
            "confidence": round(self.confidence, 4),
            "share": round(self.share, 4),
            "alternatives": [
                {"category": name, "share": round(share, 4)} for name, share in self.ranked[1:TOP]
            ],
            **self._decided(),
        }
        if self.category_set is not None:
            record["category_set"] = list(self.category_set)
        if self.explanation is not None:
            record["decided_by"] = self.explanation.decided_by
            record["without"] = {
                modality: {"category": name, "share": round(share, 4)}
                for modality, (name, share) in self.explanation.without.items()
            }
            if self.explanation.head is not None:
                record["head"] = round(self.explanation.head, 4)
            record["neighbours"] = [neighbour.as_dict() for neighbour in self.neighbours]
        return record

    def as_row(self) -> dict[str, Any]:
        """Return the answer as one flat row.

        Returns
        -------
        dict
            ``id``, ``category``, ``category_id``, ``confidence``, ``share``, ``second_category``,
            ``second_share``, ``nearest_id``; ``decision`` and ``backed_off`` when a precision was
            asked, ``category_set`` when sets were, and ``decided_by`` when it was explained.
        """
        second, share = self.ranked[1] if len(self.ranked) > 1 else ("", 0.0)
        row = {
            "id": self.id,
            "category": self.category,
            "category_id": self.category_id,
            "confidence": round(self.confidence, 4),
            "share": round(self.share, 4),
            "second_category": second,
            "second_share": round(share, 4),
            "nearest_id": self.neighbours[0].id if self.neighbours else "",
            **self._decided(),
        }
        if self.category_set is not None:
            row["category_set"] = SET_SEPARATOR.join(self.category_set)
        return row | ({"decided_by": self.explanation.decided_by} if self.explanation else {})

    def _decided(self) -> dict[str, Any]:
        if not self.decision:
            return {}
        return {"decision": self.decision, "backed_off": self.backed_off}


class Predictions(Sequence[Prediction]):
    """The answers for many listings, in their order; each is made when it is asked for.

    Parameters
    ----------
    length
        Number of listings.
    make
        Makes the answer of the listing at a position.
    notes
        What people should know of the confidence and the decisions.
    """

    def __init__(
        self, length: int, make: Callable[[int], Prediction], notes: Sequence[str] = ()
    ) -> None:
        self._length = length
        self._make = make
        self.notes = tuple(notes)

    def __len__(self) -> int:
        """Return the number of listings."""
        return self._length

    @overload
    def __getitem__(self, position: int) -> Prediction: ...

    @overload
    def __getitem__(self, position: slice) -> list[Prediction]: ...

    def __getitem__(self, position: int | slice) -> Prediction | list[Prediction]:
        """Return the answer of one listing, or of several."""
        chosen = range(self._length)[position]
        return [self._make(i) for i in chosen] if isinstance(chosen, range) else self._make(chosen)

    @property
    def categories(self) -> list[str]:
        """The predicted category of each listing."""
        return [prediction.category for prediction in self]

    def to_frame(self) -> pd.DataFrame:
        """Return one row a listing.

        Returns
        -------
        pandas.DataFrame
            Columns as in :meth:`Prediction.as_row`.
        """
        import pandas as pd

        return pd.DataFrame([prediction.as_row() for prediction in self])
