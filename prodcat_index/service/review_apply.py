"""Decisions of the review queue carried out in an index, and taken back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from prodcat_index.cards.card import Catalogue
from prodcat_index.errors import CatalogueError, EncoderError, QueryError
from prodcat_index.findings import counted, name_first
from prodcat_index.index.changes import note_change
from prodcat_index.index.manifest import KEEP, REMOVE, Decided
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.service.review_records import Entry, QueueItem, State

Decision = tuple[Entry, Sequence[tuple[QueueItem, str]]]  # and what each of its items becomes


@dataclass
class CarriedOut:
    """An index after decisions, and what became of each."""

    index: ProductIndex
    # By the number of a decision: whether it is "applied" or "stale", with a note of what was left
    # out; and what `revert` needs: `cards`, id -> the category before and after; `removed`, id ->
    # all columns of the card; `vectors`, id -> those that came with it; `added`, id -> category.
    outcome: dict[int, tuple[State, str]] = field(default_factory=dict)
    changed: dict[int, Mapping[str, Any]] = field(default_factory=dict)


def carry_out(index: ProductIndex, decisions: Sequence[Decision]) -> CarriedOut:
    """Do what was decided, as far as the cards are still as they were shown.

    A card that is gone, or has another category than it was shown with, is left out, unless it is
    already as decided. A decision that the index refuses is stale as a whole.
    """
    try:
        return _carry_out(index, decisions)
    except (CatalogueError, EncoderError, QueryError) as error:
        if len(decisions) == 1:
            number = decisions[0][0].number
            return CarriedOut(index, {number: ("stale", str(error))}, {number: {}})
    # One of them is refused: each for itself, so that the others are carried out.
    done = CarriedOut(index)
    for each in decisions:
        one = carry_out(done.index, [each])
        done.index = one.index
        done.outcome |= one.outcome
        done.changed |= one.changed
    return done


def _carry_out(index: ProductIndex, decisions: Sequence[Decision]) -> CarriedOut:
    batch, done = _Batch(index), CarriedOut(index)
    for entry, items in decisions:
        before = entry.changed
        changed: dict[str, dict[str, Any]] = {
            name: dict(before.get(name, {})) for name in ("cards", "removed", "vectors", "added")
        }
        stale: list[str] = []
        fresh = 0
        for item, becomes in items:
            batch.begin(item)
            add = batch.add_listing if item.is_new else batch.add_item
            left = add(item, becomes, changed)
            stale += left
            fresh += len(left) < max(1, item.cards)
        note = ""
        if stale:
            note = (
                f"{counted(len(stale), 'cards')} had another category by then, or were gone "
                f"(left out): {name_first(stale)}"
            )
        done.outcome[entry.number] = ("applied" if fresh else "stale", note)
        done.changed[entry.number] = changed
    batch.flush()
    done.index = batch.index
    return done


class _Batch:
    """Decisions that are carried out together: about each card only one."""

    def __init__(self, index: ProductIndex) -> None:
        self._take(index)

    def _take(self, index: ProductIndex) -> None:
        cards = index.parts.catalogue
        self.index = index
        self.now = dict(zip(cards.ids, cards.values("category"), strict=True))
        self.rows: list[dict[str, Any]] = []
        self.listings: list[Mapping[str, Any]] = []
        self.touched: set[str] = set()

    def begin(self, item: QueueItem) -> None:
        """Carry out what came before, where it is about the same cards or a whole category."""
        named = {card["id"] for card in item.content["cards"]}
        if not named or named & self.touched or "" in self.touched:
            self.flush()
        self.touched |= named or {""}

    def flush(self) -> None:
        index = self.index
        if self.rows:
            import pandas as pd

            index = index.review(pd.DataFrame(self.rows), allow_new_categories=True)
        if self.listings:
            index = index.add(as_cards(index, self.listings), max_removed=None)
        if index is not self.index:
            self._take(index)
        self.touched = set()

    def add_item(
        self, item: QueueItem, becomes: str, changed: dict[str, dict[str, Any]]
    ) -> list[str]:
        """Note what an item of an audit changes; return the cards that are stale."""
        number, stale = len(self.rows), []
        for shown in item.asked:
            card, before = shown["id"], shown["category"]
            if not card and before not in self.index.parts.labels.code_of:
                continue  # merged already
            now = self.now.get(card)
            if card and now is None:
                stale += [] if becomes == REMOVE else [card]
                continue
            if card and now not in (before, becomes):
                stale.append(card)
                continue
            self.rows.append(item.as_row(number, shown, becomes))
            if becomes == REMOVE:
                own = self.index.parts.catalogue.select([self.index.parts.row_of[card]])
                [changed["removed"][card]] = plain_rows(own)
                changed["vectors"][card] = _given_vectors(self.index, card)
            elif not card and becomes != KEEP:
                moved = (id for id, category in self.now.items() if category == before)
                changed["cards"] |= dict.fromkeys(moved, (before, becomes))
            elif becomes != KEEP and now != becomes:
                changed["cards"][card] = (before, becomes)
        return stale

    def add_listing(
        self, item: QueueItem, becomes: str, changed: dict[str, dict[str, Any]]
    ) -> list[str]:
        """Note that a listing is added; return its id if the index has it in another category."""
        [card] = item.content["cards"]
        now = self.now.get(card["id"], "")
        if becomes == REMOVE or now == becomes:
            return []
        if now:
            return [card["id"]]
        self.listings.append({**item.content["listing"], "category": becomes, "category_id": ""})
        changed["added"][card["id"]] = becomes
        return []


def as_cards(index: ProductIndex, rows: Sequence[Mapping[str, Any]]) -> Catalogue:
    """Return stored cards as a catalogue that can be added to the index."""
    import pandas as pd

    texts = index.parts.catalogue.text_modalities
    return Catalogue(pd.DataFrame(list(rows)), texts, source="the review journal")


def plain_rows(cards: Catalogue) -> list[dict[str, Any]]:
    """Return cards with all their columns, as JSON takes them."""
    frame = cards.to_frame().astype(object)
    rows = frame.where(frame.notna(), None).to_dict("records")
    plain = (str, int, float, bool, type(None))
    return [
        {str(name): v if isinstance(v, plain) else str(v) for name, v in row.items()}
        for row in rows
    ]


def _given_vectors(index: ProductIndex, card: str) -> dict[str, list[float]]:
    """Return the vectors that came with a card, so that the index centres them to what they are."""
    row, vectors = index.parts.row_of[card], {}
    for block in index.parts.blocks:
        if block.kind == "vector":
            own = block.vectors[row].astype(np.float64)
            mean = np.asarray(block.mean, dtype=np.float64)
            # The unit vector whose difference from the mean points where the centred one does.
            along = own @ mean
            scale = np.sqrt(max(along**2 + 1 - mean @ mean, 0.0)) - along
            vectors[block.modality] = (scale * own + mean if own.any() else own).tolist()
    return vectors


def revert(
    index: ProductIndex, changed: Mapping[str, Any], items: Sequence[QueueItem]
) -> ProductIndex:
    """Take back what a decision changed, and forget it, so that the next audit asks again."""
    cards = index.parts.catalogue
    now = dict(zip(cards.ids, cards.values("category"), strict=True))
    # Cards that were changed again since are left as they are.
    moved, added = changed.get("cards", {}), changed.get("added", {})
    mapping = {id: before for id, (before, after) in moved.items() if now.get(id) == after}
    gone = [id for id, category in added.items() if now.get(id) == category]
    again = {id: row for id, row in changed.get("removed", {}).items() if id not in now}
    # First what is added: an index keeps one card with a category.
    if again:
        own = [changed["vectors"][id] for id in again]
        vectors = {name: np.array([each[name] for each in own]) for name in own[0]}
        rows = as_cards(index, [*again.values()])
        index = index.add(rows, max_removed=None, vectors=vectors or None)
    if mapping:
        index = index.relabel(mapping)
    if gone:
        index = index.remove(gone)
    asked = {_question(item) for item in items}
    kept = tuple(each for each in index.parts.decided if _remembered(each) not in asked)
    if len(kept) < len(index.parts.decided):
        pending = note_change(index.parts.pending, "revert", {})
        index = ProductIndex(replace(index.parts, decided=kept, pending=pending))
    return index


def _question(item: QueueItem) -> tuple[str, str, str, frozenset[str]]:
    cards = frozenset(card["id"] for card in item.content["cards"])
    return item.content["check"], item.content["kind"], "" if cards else item.own, cards


def _remembered(decided: Decided) -> tuple[str, str, str, frozenset[str]]:
    cards = frozenset(card for card, _, _ in decided.cards)
    return decided.check, decided.kind, decided.subject, cards
