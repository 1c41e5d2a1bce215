"""What people decided about items of earlier audits, so that they are not asked again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prodcat_index.audit.check import Item
from prodcat_index.cards.card import Catalogue
from prodcat_index.index.manifest import REMOVE, Decided
from prodcat_index.index.review import MERGE, digest_texts, is_of_labels


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
