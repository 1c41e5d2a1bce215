"""Predictions: ranked categories, confidence, and the neighbours behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, Protocol, overload

from prodcat_index.types import rounded

if TYPE_CHECKING:
    import pandas as pd

TOP = 5
ACCEPT, NEW, REVIEW = "accept", "new", "review"
SET_SEPARATOR = " | "
# Predictions that a repr and a notebook show.
SHOWN, SHOWN_ROWS = 3, 10


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
        Block name -> cosine, in the learned one less half of the hubness; blocks that weigh
        nothing, or that the query or the card lacks, are left out.
    vote_share
        Part of the vote, from 0 to 1; ``None`` in a search, where nothing is voted on.
    contributions
        Block name -> its part of the similarity; the parts sum to the similarity. The part of a
        block is its effective weight times its cosine or, where the card lacks the block, times
        the cosine that is expected of it. The part of the block ``learned`` is given by the
        blocks that it is projected from, as ``learned:BLOCK``, and by ``learned:hubness``, which
        is subtracted because the card is near to many others.
    """

    id: str
    title: str
    image: str
    category: str
    similarity: float
    by_block: Mapping[str, float]
    vote_share: float | None = None
    contributions: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON, rounded to 4 digits."""
        names = ("id", "title", "category", "image", "similarity")
        record = {name: getattr(self, name) for name in names} | {"by_modality": self.by_block}
        if self.contributions:
            record["contributions"] = self.contributions
        if self.vote_share is not None:
            record["vote_share"] = self.vote_share
        return dict(rounded(record))


@dataclass(frozen=True)
class Explanation:
    """The modality that decided.

    Attributes
    ----------
    without
        Modality -> the category and its share if that modality had not been there; an empty
        category where nothing else is known of the listing.
    decided_by
        The modality whose absence costs the predicted category the largest part of its share.
    head
        Probability of the predicted category by the linear head; None where it has no part in
        the vote.
    share_without_head
        Share of the predicted category if its neighbours voted without the linear head: what is
        missing from the prediction's share is the head's part. None like ``head``.
    words
        The words of the listing that speak most for the category, and what each adds to its text
        score; empty without text scores.
    """

    without: Mapping[str, tuple[str, float]]
    decided_by: str
    head: float | None = None
    share_without_head: float | None = None
    words: Sequence[tuple[str, float]] = ()


@dataclass(frozen=True)
class Familiarity:
    """How much the index knows of what a listing consists of.

    Attributes
    ----------
    known
        Probability that the listing is of a category of the index, as if every second one were
        of none; the confidence takes it into account.
    nearest
        Cosine of the picture with the nearest one among the neighbours'; None without any.
    words
        Share of the listing's words and runs of characters that the index knows, rare ones
        counting more; None where it was not asked for, or the index has no text scores.
    is_new
        Whether ``known`` is so low that the listing counts as one of no category. Of the listings
        of known categories, at most 5 % are expected to be counted so.
    """

    known: float
    nearest: float | None = None
    words: float | None = None
    is_new: bool = False

    def as_dict(self) -> dict[str, float]:
        """Return what is known of it, for JSON, rounded to 4 digits."""
        evidence = {"known_category": self.known, "known_words": self.words}
        evidence["nearest"] = self.nearest
        return {name: rounded(value) for name, value in evidence.items() if value is not None}

    @property
    def note(self) -> str:
        """What a person should know before they trust the answer; mostly empty."""
        if not self.is_new:
            return ""
        evidence, note = self.describe(), "new, like no category of the index"
        return f"{note}: {evidence}" if evidence else note

    def describe(self) -> str:
        """Return the evidence, such as ``"known words 12 %"``; empty where nothing is known."""
        parts = [] if self.words is None else [f"known words {100 * self.words:.0f} %"]
        if self.nearest is not None:
            parts.append(f"nearest picture that votes {self.nearest:.2f}")
        return "; ".join(parts)


@dataclass(frozen=True)
class Prediction:
    """The prediction for one listing.

    Attributes
    ----------
    id
        The listing's id.
    category, category_id
        The category with the largest share and the shop's own key of it; empty when the listing
        has nothing to go by.
    confidence
        Probability that the category is right, where the index is calibrated for this vote;
        otherwise its share of the vote.
    ranked
        Categories and shares, largest first.
    neighbours
        The cards that voted, nearest first.
    explanation
        The modality that decided, when requested.
    decision
        ``"accept"`` by the target precision; ``"new"`` for a listing that seems to be of no
        category of the index, ``"review"`` for another one; empty where no precision was given.
    backed_off
        The longest prefix that keeps the target precision where the category does not, such as
        ``"Shoes"``; empty where there is none.
    category_set
        Categories that hold the true one with the target coverage; None where none was given.
    familiarity
        How much of the listing the index knows; None where its calibration does not tell.
    title
        The listing's title.
    probabilities
        Probability of each category of ``ranked``, the confidence first; empty where the index is
        not calibrated for this vote.
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
    familiarity: Familiarity | None = None
    title: str = ""
    probabilities: Sequence[float] = ()

    @property
    def note(self) -> str:
        """What a person should know before they trust the answer; mostly empty."""
        return self.familiarity.note if self.familiarity else ""

    @property
    def share(self) -> float:
        """The category's share of the vote, from 0 to 1."""
        return self.ranked[0][1] if self.ranked else 0.0

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON; neighbours only when an explanation was requested."""
        others = [{"category": name, "share": share} for name, share in self.ranked[1:TOP]]
        record = self._fields(alternatives=others)
        if self.category_set is not None:
            record["category_set"] = list(self.category_set)
        if self.familiarity:
            record["evidence"] = self.familiarity.as_dict()
        if why := self.explanation:
            record["decided_by"] = why.decided_by
            record["without"] = {
                modality: {"category": name, "share": share}
                for modality, (name, share) in why.without.items()
            }
            head = {"head": why.head, "share_without_head": why.share_without_head}
            record |= {name: value for name, value in head.items() if value is not None}
            if why.words:
                record["words"] = [{"word": word, "adds": added} for word, added in why.words]
            record["neighbours"] = [neighbour.as_dict() for neighbour in self.neighbours]
        return dict(rounded(record))

    def as_row(self) -> dict[str, Any]:
        """Return the prediction as one flat row.

        Returns
        -------
        dict
            ``id``, ``title``, ``category``, ``category_id``, ``confidence``, ``share``,
            ``second_category``, ``second_share``, ``nearest_id``; ``decision`` and ``backed_off``
            with a target precision, ``category_set`` with a target coverage, ``decided_by`` when
            explained, and ``note`` where there is one.
        """
        second, share = self.ranked[1] if len(self.ranked) > 1 else ("", 0.0)
        nearest = self.neighbours[0].id if self.neighbours else ""
        row = {"id": self.id, "title": self.title}
        row |= self._fields(second_category=second, second_share=share, nearest_id=nearest)
        if self.category_set is not None:
            row["category_set"] = SET_SEPARATOR.join(self.category_set)
        if self.explanation:
            row["decided_by"] = self.explanation.decided_by
        return dict(rounded(row))

    def _fields(self, **others: Any) -> dict[str, Any]:
        names = ("id", "category", "category_id", "confidence", "share")
        fields = {name: getattr(self, name) for name in names} | others
        if self.decision:
            fields |= {"decision": self.decision, "backed_off": self.backed_off}
        if self.note:
            fields["note"] = self.note
        return fields


class Answers(Protocol):
    """Predictions that are made when they are read, one by one or as plain records at once."""

    def __len__(self) -> int: ...
    def __getitem__(self, position: int, /) -> Prediction: ...

    def rows(self) -> list[dict[str, Any]]:
        """Return :meth:`Prediction.as_row` of each."""
        ...

    def records(self) -> list[dict[str, Any]]:
        """Return :meth:`Prediction.as_dict` of each."""
        ...


class _Made(list[Prediction]):
    """Predictions that are there."""

    def rows(self) -> list[dict[str, Any]]:
        return [prediction.as_row() for prediction in self]

    def records(self) -> list[dict[str, Any]]:
        return [prediction.as_dict() for prediction in self]


class Predictions(Sequence[Prediction]):
    """The predictions for many listings, in their order.

    Parameters
    ----------
    answers
        A sequence, or an object that makes each prediction when it is read.
    notes
        Remarks for people on the confidence and the decisions.
    """

    def __init__(self, answers: Answers | Sequence[Prediction], notes: Sequence[str] = ()) -> None:
        self.answers: Answers = _Made(answers) if isinstance(answers, Sequence) else answers
        self.notes = tuple(notes)

    def __len__(self) -> int:
        """Return the number of listings."""
        return len(self.answers)

    @overload
    def __getitem__(self, position: int) -> Prediction: ...

    @overload
    def __getitem__(self, position: slice) -> list[Prediction]: ...

    def __getitem__(self, position: int | slice) -> Prediction | list[Prediction]:
        """Return the prediction for one listing, or for several."""
        chosen = range(len(self))[position]
        if isinstance(chosen, range):
            return [self.answers[i] for i in chosen]
        return self.answers[chosen]

    def __reduce__(self) -> tuple[type[Predictions], tuple[list[Prediction], tuple[str, ...]]]:
        """Return what a pickle holds: every prediction, and no index."""
        return Predictions, (list(self), self.notes)

    def __repr__(self) -> str:
        """Return the length and the first predictions in one line."""
        shown = [f"{p.id!r} -> {p.category!r} ({p.confidence:.2f})" for p in self[:SHOWN]]
        more = ["..."] if len(self) > SHOWN else []
        return f"<{', '.join([f'Predictions of length {len(self)}', *shown, *more])}>"

    def _repr_html_(self) -> str:
        """Return the first predictions as a table, for notebooks."""
        import pandas as pd

        rows = [prediction.as_row() for prediction in self[:SHOWN_ROWS]]
        notes = [f"{len(rows)} of {len(self)} listings", *self.notes]
        lines = "".join(f"<p>{escape(note)}</p>" for note in notes)
        return f"{pd.DataFrame(rows).to_html(index=False)}{lines}"

    @property
    def categories(self) -> list[str]:
        """The predicted category of each listing."""
        return [row["category"] for row in self.to_rows()]

    def to_rows(self) -> list[dict[str, Any]]:
        """Return :meth:`Prediction.as_row` of each; far faster than prediction by prediction."""
        return self.answers.rows()

    def to_records(self) -> list[dict[str, Any]]:
        """Return :meth:`Prediction.as_dict` of each; far faster than prediction by prediction."""
        return self.answers.records()

    def to_frame(self) -> pd.DataFrame:
        """Return one row a listing, with columns as in :meth:`Prediction.as_row`."""
        import pandas as pd

        return pd.DataFrame(self.to_rows())
