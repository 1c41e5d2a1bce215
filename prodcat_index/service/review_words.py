"""What a person said about an item of the review queue, as what its cards become."""

from __future__ import annotations

from prodcat_index.cards.categories import clean_category
from prodcat_index.errors import QueryError, did_you_mean
from prodcat_index.index.manifest import KEEP, REMOVE
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.review import MERGE, WORDS, YES, find_categories
from prodcat_index.service.review_records import QueueItem

SKIP, NEW = "skip", "new"
LONGEST = 500  # characters of a category


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
