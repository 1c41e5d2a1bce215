"""Items of the review queue: how the page shows them, and what an answer makes of their cards."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from math import exp
from typing import Any

from prodcat_index.audit.label_errors import TEMPERATURE
from prodcat_index.cards.card import IMAGE, Card
from prodcat_index.cards.categories import clean_category
from prodcat_index.errors import QueryError, did_you_mean
from prodcat_index.index.manifest import KEEP, REMOVE
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.index.review import MERGE, WORDS, YES, find_categories
from prodcat_index.service.review_records import QueueItem
from prodcat_index.service.review_sources import CHOICES
from prodcat_index.types import rounded

# Cards that share the choices by their labels.
NEAREST = 30
SKIP, NEW = "skip", "new"
LONGEST = 500  # characters of a category
# Id of a card near an item -> its category, empty where it has no share in the choices, and its
# similarity.
Near = Mapping[str, tuple[str, float]]


def describe_item(index: ProductIndex, item: QueueItem) -> dict[str, Any]:
    """Return an item as the page shows it, but for the number of similar ones."""
    content, cards, near = item.content, cards_of(index, item), _near(index, item)
    kept = ("kind", "check", "subject", "confidence", "why", "words")
    return {
        **{name: content[name] for name in kept},
        "id": item.id,
        "card": next(iter(cards), None),
        "cards": cards,
        "remove": [card["id"] for card in cards] if item.proposal == REMOVE else [],
        "proposal": item.proposal,
        "choices": rounded(content["choices"] if item.is_new else _choices(item, near)),
        "neighbours": rounded(_neighbours(index, content["neighbours"], near)),
        "expected_gain": rounded(item.gain),
    }


def cards_of(index: ProductIndex, item: QueueItem) -> list[dict[str, Any]]:
    """Return the cards of an item that are there, for the page."""
    names = ("id", "title", "description", "category")
    if item.is_new:
        listing = item.content["listing"]
        own = {name: listing.get(name) or "" for name in names}
        return [{**own, IMAGE: bool(listing.get(IMAGE))}]
    found = (_find(index, card["id"]) for card in item.content["cards"])
    return [_shown(card, *names) for card in found if card]


def _shown(card: Card, *names: str) -> dict[str, Any]:
    return {**{name: getattr(card, name) for name in names}, IMAGE: bool(card.image)}


def _find(index: ProductIndex, card: str) -> Card | None:
    try:
        return index.card(card)
    except QueryError:
        return None


def _near(index: ProductIndex, item: QueueItem) -> Near:
    """Return the cards of the index near the first card of an item."""
    content, cards = item.content, item.content["cards"]
    if item.is_new:
        ids = zip(content["neighbours"], content["similarities"], strict=True)
        return {card: ("", similarity) for card, similarity in ids}
    try:
        found = index.similar(cards[0]["id"], NEAREST) if cards else []
    except QueryError:
        return {}
    return {each.id: (each.category, each.similarity) for each in found}


def _neighbours(index: ProductIndex, ids: list[str], near: Near) -> list[dict[str, Any]]:
    """Return the cards that show what an item is about."""
    found = (_find(index, id) for id in ids)
    return [
        {
            **_shown(card, "id", "title", "category"),
            "similarity": near[card.id][1] if card.id in near else None,
        }
        for card in found
        if card
    ]


def _choices(item: QueueItem, near: Near) -> list[dict[str, Any]]:
    """Return the likeliest categories of cards of the index, what is proposed first."""
    # The labels of the nearest cards, nearer ones counting more, share what the proposal leaves.
    shares = defaultdict[str, float](float)
    nearest = max((similarity for _, similarity in near.values()), default=0.0)
    for category, similarity in near.values():
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


def read_decision(parts: IndexParts, item: QueueItem, said: str, category: str) -> str:
    """Return what the cards of an item become: a category, KEEP or REMOVE; empty for a skip."""
    cards = item.content["cards"]
    if said == SKIP:
        return ""
    if said == YES:
        if not item.proposal:
            raise QueryError(
                "This item proposes nothing to say yes to; choose a category, keep or remove."
            )
        becomes = item.proposal.removeprefix(MERGE)
    elif said == KEEP:
        # A listing may come with a category of its own.
        own = cards[0]["category"] if item.is_new else ""
        if item.is_new and not own:
            raise QueryError("This listing has no category to keep; choose one, or remove it.")
        becomes = own or KEEP
    elif said == REMOVE:
        becomes = REMOVE
    else:
        becomes = _read_category(parts, said, category)
    if becomes == REMOVE and REMOVE in parts.labels.code_of:
        raise QueryError(
            f"A category of this index is named {REMOVE!r}, as the decision is; rename it with "
            "prodcat relabel, or remove the cards with prodcat remove."
        )
    if becomes == REMOVE and not cards:
        raise QueryError("A category cannot be removed; merge it into another one, or keep it.")
    if not item.is_new and becomes == item.own and len({c["category"] for c in cards}) < 2:
        return KEEP
    return becomes


def _read_category(parts: IndexParts, said: str, category: str) -> str:
    """Return the category that was said or, with ``new``, named."""
    labels, separator = parts.labels, parts.catalogue.category_separator
    if said == NEW:
        name = clean_category(category, separator)
        if not name or len(name) > LONGEST or name.casefold() in {*WORDS, SKIP, NEW}:
            raise QueryError(
                f"A new category needs a name of up to {LONGEST} letters that is not the word of "
                "a decision: send it as category."
            )
        return name
    found = find_categories(parts, said)
    if len(found) == 1:
        return found[0]
    near = did_you_mean(clean_category(said, separator), labels.names)
    several = f" Is it {' or '.join(found[:3])}?" if found else near
    raise QueryError(
        f"{said[:LONGEST]!r} is no category of this index.{several} A decision is yes, keep, "
        "remove, skip, a category, or new with the name of a new category."
    )
