"""What a check yields: a score and a flag for each card, and a list of items to decide on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from prodcat_index.audit.graph import AuditGraph, NewCards
from prodcat_index.types import BoolArray, Float64Array

CheckName = Literal["labels", "duplicates", "novelty", "drift", "coverage", "leaks"]


@dataclass(frozen=True)
class Item:
    """One thing to decide on: a card, cards that are alike, a category, a column or a modality.

    Attributes
    ----------
    check, kind
        The check that found it, and what it is, such as ``"wrong label"``.
    score
        From 0 to 1; the lower, the worse.
    cards
        Ids of the cards that a decision changes; empty where it is about no card.
    subject
        Category of these cards, or the category, column or modality that the item is about.
    proposal
        What to do: a category for the cards, or ``"remove"``, ``"merge into X"`` and the like;
        empty where only a person can tell.
    confidence
        Calibrated probability that the proposal is right; None where it is not known.
    why
        The evidence in one sentence.
    neighbours
        Ids of cards of the index that show it, nearest first.
    words
        Words that show it, most important first.
    """

    check: CheckName
    kind: str
    score: float
    cards: tuple[str, ...]
    subject: str = ""
    proposal: str = ""
    confidence: float | None = None
    why: str = ""
    neighbours: tuple[str, ...] = ()
    words: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class CheckResult:
    """The result of one check on N cards.

    Attributes
    ----------
    name
        Name of the check.
    ids
        The cards that were checked: those of the index, or of the new catalogue.
    scores
        float64, (N,): from 0 to 1, low is bad; NaN where a card cannot be checked.
    flagged
        bool, (N,).
    items
        What to decide on, worst first.
    summary
        One sentence for people.
    details
        Numbers and tables for programs, as JSON takes them.
    notes
        What the result rests on less than was given, and the like.
    """

    name: CheckName
    ids: Sequence[str]
    scores: Float64Array
    flagged: BoolArray
    items: Sequence[Item]
    summary: str
    details: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Check(Protocol):
    """A check of the cards of an index, or of a new catalogue against them."""

    @property
    def name(self) -> CheckName:
        """The name that it is asked for by."""
        ...

    def run(self, graph: AuditGraph, new: NewCards | None = None) -> CheckResult:
        """Check the cards of the graph, or the new ones where the check is about these."""
        ...
