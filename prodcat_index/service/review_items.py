"""Items of the review queue as the page shows them: cards, choices and what speaks for them."""

from __future__ import annotations

from collections import defaultdict
from math import exp
from typing import Any

from prodcat_index.audit.label_errors import TEMPERATURE
from prodcat_index.cards.card import IMAGE, Card
from prodcat_index.errors import QueryError
from prodcat_index.index.manifest import REMOVE
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.index.review import MERGE
from prodcat_index.service.review_records import QueueItem
from prodcat_index.service.review_sources import CHOICES
from prodcat_index.types import rounded

# Cards that share the choices by their labels.
NEAREST = 30


def describe_item(index: ProductIndex, item: QueueItem) -> dict[str, Any]:
    """Return an item as :meth:`ReviewQueue.next` has it, but for the number of similar ones."""
    content = item.content
    cards = cards_of(index, item)
    near = _Near(index, item)
    return {
        "id": item.id,
        "kind": content["kind"],
        "check": content["check"],
        "subject": content["subject"],
        "card": next(iter(cards), None),
        "cards": cards,
        "remove": [card["id"] for card in cards] if item.proposal == REMOVE else [],
        "proposal": item.proposal,
        "confidence": content["confidence"],
        "choices": rounded(near.choices()),
        "why": content["why"],
        "words": content["words"],
        "neighbours": rounded(near.neighbours()),
        "expected_gain": rounded(item.gain),
    }


def cards_of(index: ProductIndex, item: QueueItem) -> list[dict[str, Any]]:
    """Return the cards of an item that are there, for the page."""
    if item.is_new:
        listing = item.content["listing"]
        names = ("id", "title", "description", "category")
        own = {name: listing.get(name) or "" for name in names}
        return [{**own, IMAGE: bool(listing.get(IMAGE))}]
    found = (_find(index, card["id"]) for card in item.content["cards"])
    return [
        {
            "id": card.id,
            "title": card.title,
            "description": card.description,
            "category": card.category,
            IMAGE: bool(card.image),
        }
        for card in found
        if card
    ]


def _find(index: ProductIndex, card: str) -> Card | None:
    try:
        return index.card(card)
    except QueryError:
        return None


class _Near:
    """The cards of the index near the first card of an item."""

    def __init__(self, index: ProductIndex, item: QueueItem) -> None:
        self.index, self.item = index, item
        self.near: dict[str, tuple[str, float]] = {}
        cards = item.content["cards"]
        if item.is_new:
            content = item.content
            ids = zip(content["neighbours"], content["similarities"], strict=True)
            self.near = {card: ("", similarity) for card, similarity in ids}
        elif cards:
            try:
                found = index.similar(cards[0]["id"], NEAREST)
            except QueryError:
                return
            self.near = {each.id: (each.category, each.similarity) for each in found}

    def neighbours(self) -> list[dict[str, Any]]:
        """Return the cards that show what the item is about."""
        shown = []
        for id in self.item.content["neighbours"]:
            if card := _find(self.index, id):
                similarity = self.near[id][1] if id in self.near else None
                own = {"id": id, "title": card.title, "category": card.category}
                shown.append({**own, "similarity": similarity, IMAGE: bool(card.image)})
        return shown

    def choices(self) -> list[dict[str, Any]]:
        """Return the likeliest categories, what is proposed first.

        Those of a card of the index are the labels of its nearest cards, nearer ones counting more,
        beside the probability of the proposal where that is known.
        """
        item = self.item
        if item.is_new:
            given: list[dict[str, Any]] = item.content["choices"]
            return given
        shares = defaultdict[str, float](float)
        nearest = max((similarity for _, similarity in self.near.values()), default=0.0)
        for category, similarity in self.near.values():
            if category:
                shares[category] += exp((similarity - nearest) / TEMPERATURE)
        proposal = item.proposal.removeprefix(MERGE)
        first = [proposal] if proposal not in ("", REMOVE) else []
        others = sorted(shares.keys() - first, key=lambda name: (-shares[name], name))
        if item.own and item.own not in others:
            others.insert(0, item.own)
        total = sum(shares.values()) or 1.0
        confidence = item.content["confidence"]
        if first and confidence is not None:
            rest = sum(shares[name] for name in others) or 1.0
            share = {name: (1 - confidence) * shares[name] / rest for name in others}
            share[proposal] = confidence
        else:
            share = {name: shares[name] / total for name in (*first, *others)}
        names = [*first, *others][:CHOICES]
        return [{"category": name, "share": share[name]} for name in names]
