"""Decisions of a person about the items of an audit: what they change, and what is remembered."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.categories import clean_category
from prodcat_index.errors import QueryError, did_you_mean
from prodcat_index.findings import name_findings, name_first
from prodcat_index.index.difference import ABSENT, Difference, relabel_cards
from prodcat_index.index.manifest import KEEP, REMOVE, Decided
from prodcat_index.index.parts import IndexParts
from prodcat_index.types import CATEGORY_SEPARATOR, BoolArray

YES = "yes"
WORDS = {YES: YES, "y": YES, "no": KEEP, "n": KEEP, KEEP: KEEP, REMOVE: REMOVE}
MERGE = "merge into "
STALE = "cards have another category by now than in the review (skipped)"
# Hexadecimal digits of a digest of texts: chance finds an equal one in 2**64.
HEX_DIGITS = 16

Row = Mapping[str, str]  # of a review: its columns, and the number of its line


@dataclass(frozen=True)
class _Item:
    """The rows of one item, and what was decided about it."""

    rows: Sequence[Row]
    decision: str  # KEEP, REMOVE, or a category
    line: str  # that says so

    @property
    def first(self) -> Row:
        return self.rows[0]

    @property
    def merged(self) -> str:
        """The category that becomes another one as a whole, if that is what was accepted."""
        is_merge = self.first["proposal"].startswith(MERGE) and self.decision not in (KEEP, REMOVE)
        return self.first["category"] if is_merge else ""


def review_cards(
    parts: IndexParts, rows: Sequence[Row], *, allow_new_categories: bool = False
) -> Difference:
    """Return what the decisions in the table of an audit change, and what is to be remembered.

    Documented at :meth:`~prodcat_index.index.living.LivingIndex.reviewing`.
    """
    items = _read_items(parts, rows, allow_new_categories)
    cards, row_of = parts.catalogue, parts.row_of
    now = dict(zip(cards.ids, cards.values("category"), strict=True))
    wanted: dict[str, tuple[str, str]] = {}  # of a card or a category: what is decided, and where
    stale: list[str] = []
    absent: dict[str, None] = {}
    remembered: list[Decided] = []
    for item in items:
        if merged := item.merged:
            _want(wanted, merged, item)
        kept: list[tuple[str, str, str]] = []
        for row in item.rows if not merged else ():
            card, before = row["id"], clean_category(row["category"], cards.category_separator)
            if not card:
                continue
            if card not in row_of:
                # Of a delivery: what is right there can be remembered, and nothing changed.
                if item.decision == KEEP:
                    kept.append((card, before, ""))
                else:
                    absent[card] = None
            elif before != now[card] != item.decision:
                stale.append(card)
            else:
                if item.decision != KEEP:
                    _want(wanted, card, item)
                label = now[card] if item.decision in (KEEP, REMOVE) else item.decision
                kept.append((card, label, digest_texts(cards, [row_of[card]])[0]))
        first = item.first
        if kept:
            about = (item.decision, "", first["proposal"])
            remembered.append(Decided(first["check"], first["kind"], *about, cards=tuple(kept)))
        elif not first["id"]:
            about = (item.decision, first["category"], first["proposal"])
            remembered.append(Decided(first["check"], first["kind"], *about))
    mapping = {name: to for name, (to, _) in wanted.items() if to != REMOVE}
    removed = {name for name, (to, _) in wanted.items() if to == REMOVE}
    # What one item keeps may get another label by another item.
    remembered = [
        replace(
            each,
            cards=tuple(
                (card, mapping.get(card, mapping.get(of, of)) if card in row_of else of, text)
                for card, of, text in each.cards
            ),
        )
        for each in remembered
    ]
    difference = relabel_cards(parts, mapping, removed)
    known = set(parts.decided)
    return replace(
        difference,
        source="the review",
        verb="review",
        decided=tuple(each for each in dict.fromkeys(remembered) if each not in known),
        findings=(*difference.findings, *name_findings({ABSENT: absent, STALE: stale})),
    )


def _read_items(parts: IndexParts, rows: Sequence[Row], allow_new_categories: bool) -> list[_Item]:
    """Return the items that are decided; raise QueryError for what cannot be carried out."""
    by_item: dict[str, list[Row]] = {}
    for row in rows:
        by_item.setdefault(row["item"], []).append(row)
    items, wrong = [], []
    for number, own in by_item.items():
        if len({(row["check"], row["kind"]) for row in own}) > 1:
            raise QueryError(
                f"Item {number} is of two checks or kinds in lines "
                f"{name_first([row['line'] for row in own])}: this looks like two reviews in one "
                "file; relabel with one after the other."
            )
        said: dict[str, str] = {}  # decision -> line
        for row in own:
            if row["decision"]:
                try:
                    said.setdefault(_resolve(parts, row, allow_new_categories), row["line"])
                except QueryError as error:
                    wrong.append(str(error))
        if len(said) > 1:
            (one, line), (other, second) = list(said.items())[:2]
            raise QueryError(
                f"Item {number} is decided twice: {one!r} in line {line} and {other!r} in line "
                f"{second}; leave one of them. Nothing was changed."
            )
        items += [_Item(own, decision, line) for decision, line in said.items()]
    if wrong:
        more = f" ({len(wrong) - 5} more)" if len(wrong) > 5 else ""
        raise QueryError(f"{' '.join(wrong[:5])}{more} Nothing was changed.")
    return items


def _resolve(parts: IndexParts, row: Row, allow_new: bool) -> str:
    """Return what a row decides: KEEP, REMOVE or a category; raise QueryError for a typo."""
    text, line, proposal = row["decision"], row["line"], row["proposal"]
    word = WORDS.get(text.casefold(), text)
    is_merge = proposal.startswith(MERGE) and word != REMOVE
    if word != KEEP and not row["id"] and not is_merge:
        advice = f" ({proposal!r})" if proposal else ""
        raise QueryError(
            f"Line {line} says {text!r} about no card: its item is advice{advice}, which is "
            "followed in the shop's data; write keep or no to be asked no more, or leave the "
            "cell empty."
        )
    if word == YES and not proposal:
        raise QueryError(
            f"Line {line} says {text!r} and has no proposal; write a category, keep or remove."
        )
    chosen = proposal if word == YES else word
    if chosen == REMOVE or word == KEEP:
        return chosen
    if word == YES or allow_new:
        named = chosen.removeprefix(MERGE) if word == YES else chosen
        # Of separators alone, no name is left.
        if category := clean_category(named, parts.catalogue.category_separator):
            return category
    found = find_categories(parts, text)
    if len(found) == 1:
        return found[0]
    several = f" Is it {' or '.join(found[:3])}?" if found else ""
    raise QueryError(
        f"Line {line} decides {text!r}, which is no category of this index."
        f"{several or did_you_mean(text, [*parts.labels.names, *WORDS])} Write yes, keep, "
        "remove or a category, or allow new ones with --allow-new-categories."
    )


def find_categories(parts: IndexParts, text: str) -> list[str]:
    """Return the category of a name or of the shop's own key, or those with this last level."""
    labels, name = parts.labels, clean_category(text, parts.catalogue.category_separator)
    if name in labels.code_of:
        return [name]
    if text and text in labels.keys:
        return [labels.names[labels.keys.index(text)]]
    return [full for full in labels.names if full.endswith(f"{CATEGORY_SEPARATOR}{name}")]


def _want(wanted: dict[str, tuple[str, str]], name: str, item: _Item) -> None:
    """Note what is to become of a card or category; raise QueryError if it is two things."""
    before, line = wanted.setdefault(name, (item.decision, item.line))
    if before != item.decision:
        raise QueryError(
            f"{name!r} is to become {before!r} by line {line} and {item.decision!r} by line "
            f"{item.line}; leave one of them. Nothing was changed."
        )


def is_of_labels(check: str, proposal: str) -> bool:
    """Check whether an item asks which category its cards are of."""
    is_other = proposal in ("", REMOVE) or proposal.startswith(MERGE)
    return check == "labels" or (check == "duplicates" and not is_other)


def confirmed(parts: IndexParts) -> BoolArray:
    """Return the cards whose label a person chose or kept, and that still have it: (N,)."""
    cards = parts.catalogue
    known = {
        card: category
        for each in parts.decided
        if each.decision != REMOVE
        if is_of_labels(each.check, each.proposal) or each.decision != KEEP
        for card, category, _ in each.cards
    }
    mask = np.zeros(len(cards), dtype=bool)
    if known:
        named = zip(cards.ids, cards.values("category"), strict=True)
        mask[:] = [bool(label) and known.get(card) == label for card, label in named]
    return mask


def digest_texts(cards: Catalogue, rows: Sequence[int]) -> list[str]:
    """Return a digest of the texts of each of some cards."""
    places = np.asarray(rows, dtype=np.int64)
    texts = [cards.values_at(name, places) for name in cards.text_modalities]
    return [
        sha256(json.dumps(own).encode()).hexdigest()[:HEX_DIGITS]
        for own in zip(*texts, strict=True)
    ]


def follow_decided(parts: IndexParts, difference: Difference) -> tuple[Decided, ...]:
    """Return what is remembered after a change; a new name of a category is no new label."""
    before, renamed = parts.decided, difference.renamed
    # What was decided about a category does not hold for another that it becomes a part of.
    names = {old: new for old, new in renamed.items() if new not in parts.labels.code_of}
    followed = (
        before
        if not renamed
        else [
            replace(
                each,
                subject=names.get(each.subject, each.subject),
                proposal=_follow_merge(each.proposal, renamed),
                cards=tuple((id, renamed.get(of, of), text) for id, of, text in each.cards),
            )
            for each in before
        ]
    )
    return (*followed, *difference.decided)


def _follow_merge(proposal: str, renamed: Mapping[str, str]) -> str:
    if not proposal.startswith(MERGE):
        return proposal
    into = proposal.removeprefix(MERGE)
    return f"{MERGE}{renamed.get(into, into)}"
