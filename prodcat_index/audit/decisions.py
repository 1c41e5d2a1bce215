"""What people decided about items of earlier audits, so that they are not asked again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from prodcat_index.audit.check import Item
from prodcat_index.cards.card import Catalogue
from prodcat_index.index.manifest import REMOVE, Decided
from prodcat_index.index.review import MERGE, digest_texts, is_of_labels

_Key = tuple[str, str, str]  # check and kind, or that it is about labels, and the id of a card
_Known = dict[str, tuple[str, str]]  # id -> category and digest of the texts, decided together


@dataclass(frozen=True)
class Memory:
    """The decisions that an index remembers, found by the cards that they are about."""

    _subjects: set[tuple[str, str, str, str]] = field(default_factory=set)
    _cards: dict[_Key, list[_Known]] = field(default_factory=dict)

    @classmethod
    def of(cls, decided: Iterable[Decided]) -> Memory:
        """Return what is remembered."""
        memory = cls()
        for each in decided:
            if each.decision == REMOVE:
                continue  # a card that comes back is asked about again
            if not each.cards:
                memory._subjects.add(_subject(each))
            known = {card: (category, texts) for card, category, texts in each.cards}
            for card in known:
                memory._cards.setdefault(_key(each, card), []).append(known)
        return memory

    def undecided(self, items: Sequence[Item], catalogue: Catalogue) -> list[Item]:
        """Return the items, about cards of a catalogue, that a person has to decide.

        An item is decided if all its cards were decided together about the same question, and have
        the categories and texts that they had then.
        """
        left = [i for i in items if not i.cards or _key(i, i.cards[0]) in self._cards]
        asked = {card for item in left for card in item.cards}
        rows = [row for row, card in enumerate(catalogue.ids) if card in asked] if asked else []
        ids, categories = catalogue.ids, catalogue.values("category")
        digests = digest_texts(catalogue, rows)
        now = {ids[r]: (categories[r], text) for r, text in zip(rows, digests, strict=True)}
        decided = {id(item) for item in left if self._is_decided(item, now)}
        return [item for item in items if id(item) not in decided]

    def _is_decided(self, item: Item, now: _Known) -> bool:
        if not item.cards:
            return _subject(item) in self._subjects
        return any(
            all(_is_same(known.get(card), now.get(card)) for card in item.cards)
            for known in self._cards[_key(item, item.cards[0])]
        )


def _subject(item: Item | Decided) -> tuple[str, str, str, str]:
    """Return what an item about no card is found by; not by how many cards it lacks."""
    merged = item.proposal if item.proposal.startswith(MERGE) else ""
    return item.check, item.kind, item.subject, merged


def _key(item: Item | Decided, card: str) -> _Key:
    """Return what a card is found by: which check doubts a label does not matter."""
    if is_of_labels(item.check, item.proposal):
        return "label", "", card
    return item.check, item.kind, card


def _is_same(then: tuple[str, str] | None, now: tuple[str, str] | None) -> bool:
    """Check whether a card is as it was; no digest is known of one that the index lacked."""
    if then is None or now is None:
        return False
    return then[0] == now[0] and then[1] in ("", now[1])
