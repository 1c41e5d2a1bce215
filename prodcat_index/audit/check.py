"""What a check yields: a score and a flag for each card, and items that a person is to decide."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from prodcat_index.audit.graph import AuditGraph, NewCards
from prodcat_index.cards.card import Catalogue
from prodcat_index.index.manifest import REMOVE, Decided
from prodcat_index.index.review import MERGE, digest_texts, is_of_labels
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


def undecided(
    items: Sequence[Item], catalogue: Catalogue, decided: Iterable[Decided]
) -> list[Item]:
    """Return the items, about cards of a catalogue, that a person has to decide.

    An item is decided if all its cards were decided together about the same question, and have
    the categories and texts that they had then.
    """
    subjects: set[tuple[str, ...]] = set()
    # What a card is found by -> the cards decided with it, with categories and digests of texts.
    together: dict[tuple[str, ...], list[dict[str, tuple[str, str]]]] = {}
    for each in decided:
        if each.decision == REMOVE:
            continue  # a card that comes back is asked about again
        if not each.cards:
            subjects.add(_subject(each))
        known = {card: (category, texts) for card, category, texts in each.cards}
        for card in known:
            together.setdefault(_key(each, card), []).append(known)
    asked = {c for i in items if i.cards and _key(i, i.cards[0]) in together for c in i.cards}
    rows = [row for row, card in enumerate(catalogue.ids) if card in asked] if asked else []
    ids, categories = catalogue.ids, catalogue.values("category")
    digests = digest_texts(catalogue, rows)
    now = {ids[r]: (categories[r], text) for r, text in zip(rows, digests, strict=True)}

    def is_same(card: str, then: tuple[str, str] | None) -> bool:
        # No digest is known of a card that the index lacked.
        return (
            then is not None
            and card in now
            and then[0] == now[card][0]
            and then[1] in ("", now[card][1])
        )

    def is_decided(item: Item) -> bool:
        if not item.cards:
            return _subject(item) in subjects
        return any(
            all(is_same(card, known.get(card)) for card in item.cards)
            for known in together.get(_key(item, item.cards[0]), ())
        )

    return [item for item in items if not is_decided(item)]


def _subject(item: Item | Decided) -> tuple[str, ...]:
    """Return what an item about no card is found by; not by how many cards it lacks."""
    merged = item.proposal if item.proposal.startswith(MERGE) else ""
    return item.check, item.kind, item.subject, merged


def _key(item: Item | Decided, card: str) -> tuple[str, ...]:
    """Return what a card is found by: which check doubts a label does not matter."""
    if is_of_labels(item.check, item.proposal):
        return "label", "", card
    return item.check, item.kind, card
