"""An index that lived answers as one that is put together of its cards as they are now.

Whatever was added, changed, removed, relabelled, saved, loaded and undone, and in which order: an
index of the final cards by the same fitted parts has the same answers.
"""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from made import catalogue
from test_index_learned import COLOURS, THINGS, shop

from prodcat_index.cards.card import Card
from prodcat_index.index.block import block_values
from prodcat_index.index.learned import project_cards
from prodcat_index.index.manifest import SCORES
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.voting.prediction import Neighbour

LISTINGS = [
    Card(title="red boots mug", description="scarf in grey"),
    Card(title="pink sled 7"),
    Card(description="kettle in blue"),
]
NEW_NAMES = [*THINGS, "sled", "Z > Boots", "A > Mugs"]


@cache
def built() -> ProductIndex:
    """Some cards lack a description, so that what is absent counts, and some labels are doubted."""
    cards = shop(110).cards.to_dict("records")
    for number, card in enumerate(cards):
        card["description"] = "" if number % 9 == 0 else card["description"]
        card["category"] = THINGS[number % 4] if number % 17 == 0 else card["category"]
    return ProductIndex.build(catalogue(cards))


@dataclass
class Truth:
    """The cards as they should be, and what is known of them from the build."""

    cards: dict[str, dict[str, Any]]
    # Cards whose texts, and whose label, are the ones of build time.
    first_texts: set[str]
    first_labels: set[str]
    names: dict[str, str] = field(default_factory=dict)  # category at build time -> its name now

    @classmethod
    def at_first(cls) -> Truth:
        cards = {card["id"]: card for card in built().catalogue.to_frame().to_dict("records")}
        names = {name: name for name in built().parts.labels.names}
        return cls(cards, set(cards), set(cards), names)

    def put(self, card: dict[str, Any]) -> None:
        old = self.cards.get(card["id"])
        if old is None or any(old[part] != card[part] for part in ("title", "description")):
            self.first_texts.discard(card["id"])
            self.first_labels.discard(card["id"])
        self.cards[card["id"]] = dict(card)

    def drop(self, card_id: str) -> None:
        del self.cards[card_id]
        self.first_texts.discard(card_id)
        self.first_labels.discard(card_id)

    def settle(self, before: Mapping[str, str], said: Mapping[str, str] | None = None) -> None:
        """Tell new names from other labels, given the category of each card before.

        `said` has new names of whole categories: they hold if some card has the new name and none
        has the old one, wherever else single cards went.
        """
        there = [card for card in before if card in self.cards]
        renamed = {}
        for name in {before[card] for card in there} - {""}:
            after = {self.cards[card]["category"] for card in there if before[card] == name}
            new = (said or {}).get(name, "")
            if len(after) == 1 and "" not in after:
                renamed[name] = next(iter(after))
            elif new in after - {""} and name not in after:
                renamed[name] = new
        for card in there:
            if self.cards[card]["category"] != renamed.get(before[card], before[card]):
                self.first_labels.discard(card)
        self.names = {first: renamed.get(now, now) for first, now in self.names.items()}


def assembled(truth: Truth) -> ProductIndex:
    """Embed the cards in the order of their ids, and put them beside what was fitted."""
    parts = built().parts
    rows = catalogue(truth.cards[card] for card in sorted(truth.cards))
    row_of = {card: row for row, card in enumerate(parts.catalogue.ids)}
    blocks = []
    for block in parts.blocks:
        encoded = block.encode_queries(block_values(rows, block))
        vectors, present = encoded.vectors.astype(np.float16), encoded.present.copy()
        for place, card in enumerate(rows.ids):
            # The scores of cards of build time are by models that had not seen them.
            if block.name == SCORES and card in truth.first_texts:
                vectors[place], present[place] = (
                    block.vectors[row_of[card]],
                    block.present[row_of[card]],
                )
        blocks.append(replace(block, vectors=vectors, present=present))
    assert parts.learned is not None
    learned = project_cards(parts.learned.model, blocks)
    doubts = [
        parts.log_reliability[row_of[card]] if card in truth.first_labels else 0.0
        for card in rows.ids
    ]
    categories = parts.learned.categories
    learned = replace(
        learned,
        log_reliability=np.array(doubts, dtype=np.float16),
        references=parts.learned.references,
        categories=categories,
    )
    aliases = {first: now for first, now in truth.names.items() if first != now}
    names = sorted({card["category"] for card in truth.cards.values()} - {""})
    code_of = {name: code for code, name in enumerate(names)}
    whole = replace(
        parts,
        catalogue=rows,
        blocks=blocks,
        learned=learned.recoded(code_of, aliases),
        aliases=aliases,
        calibration=None,
        searcher=None,
        covered=(),
    )
    return ProductIndex(whole.indexed())


def near(found: list[Neighbour]) -> dict[str, float]:
    return {each.id: each.similarity for each in found}


def check_same(index: ProductIndex, expected: ProductIndex) -> None:
    assert sorted(index.catalogue.ids) == sorted(expected.catalogue.ids)
    assert index.parts.labels.names == expected.parts.labels.names
    count = len(expected)
    for listing in LISTINGS:
        found, wanted = (near(each.search(listing, count)) for each in (index, expected))
        assert found == pytest.approx(wanted, abs=1e-6)
    weights = {"title": 0.2, "description": 0.2, "learned": 0.3, "scores": 0.3}
    found, wanted = (near(i.search(LISTINGS[0], count, weights=weights)) for i in (index, expected))
    assert found == pytest.approx(wanted, abs=1e-6)
    some = min(expected.catalogue.ids)
    assert near(index.similar(some, 5)) == pytest.approx(near(expected.similar(some, 5)), abs=1e-6)
    for one, other in zip(index.predict(LISTINGS), expected.predict(LISTINGS), strict=True):
        assert dict(one.ranked) == pytest.approx(dict(other.ranked), abs=1e-6)
        assert one.category == other.category
        assert near(list(one.neighbours)) == pytest.approx(near(list(other.neighbours)), abs=1e-6)
        shares = {each.id: each.vote_share for each in other.neighbours}
        assert {each.id: each.vote_share for each in one.neighbours} == pytest.approx(
            shares, abs=1e-6
        )


cards = st.fixed_dictionaries(
    {
        "title": st.builds(
            "{} {} {}".format, st.sampled_from(COLOURS), st.sampled_from(THINGS), st.integers(0, 9)
        ),
        "description": st.one_of(st.just(""), st.sampled_from(["sled in red", "mug in blue"])),
        "category": st.sampled_from([*NEW_NAMES, ""]),
    }
)
numbers = st.integers(0, 10**6)


class LivingIndexMachine(RuleBasedStateMachine):
    """Does to an index and to the truth what a shop does in some nights."""

    def __init__(self) -> None:
        super().__init__()
        self.room = tempfile.TemporaryDirectory()
        self.folder = Path(self.room.name) / "index"
        self.index, self.truth = built(), Truth.at_first()
        self.saved: list[Truth] = []
        self.is_stored = False

    @initialize()
    def begin(self) -> None:
        self.index.save(self.folder)
        self.saved.append(copy.deepcopy(self.truth))
        self.index, self.is_stored = ProductIndex.load(self.folder), True

    def change(self, index: ProductIndex) -> None:
        self.is_stored = self.is_stored and index.parts is self.index.parts
        self.index = index

    def chosen(self, picks: list[int]) -> list[str]:
        ids = sorted(self.truth.cards)
        return sorted({ids[pick % len(ids)] for pick in picks})

    def labels(self) -> dict[str, str]:
        return {card: own["category"] for card, own in self.truth.cards.items()}

    def is_labelled_without(self, gone: list[str]) -> bool:
        return any(own["category"] for card, own in self.truth.cards.items() if card not in gone)

    @rule(
        picks=st.lists(numbers, max_size=3),
        given=st.lists(cards, min_size=3, max_size=5),
        only_new=st.booleans(),
    )
    def add(self, picks: list[int], given: list[dict[str, str]], only_new: bool) -> None:
        ids = [*self.chosen(picks), *(f"n{len(self.truth.cards)}-{n}" for n in range(2))]
        delivery = [{"id": card, **own} for card, own in zip(ids, given, strict=False)]
        self.change(self.index.add(catalogue(delivery), only_new=only_new, max_removed=None))
        before = self.labels()
        for card in delivery:
            if card["id"] not in before or not only_new:
                self.truth.put({**dict.fromkeys(("image", "category_id", "group"), ""), **card})
        self.truth.settle(before)

    @rule(
        gone=st.lists(numbers, max_size=8),
        picks=st.lists(numbers, max_size=3),
        given=st.lists(cards, min_size=3, max_size=4),
        old=numbers,
        new=st.sampled_from(NEW_NAMES),
    )
    def sync(
        self, gone: list[int], picks: list[int], given: list[dict[str, str]], old: int, new: str
    ) -> None:
        """A whole export: some cards are gone, some are others, and a category has a new name."""
        left = self.chosen(gone)
        if not self.is_labelled_without(left):
            return
        before, names = self.labels(), self.index.parts.labels.names
        name = names[old % len(names)]
        after = Truth({}, set(), set())
        for card, own in self.truth.cards.items():
            if card not in left:
                category = new if own["category"] == name else own["category"]
                after.cards[card] = {**own, "category": category}
        for card, own in zip(self.chosen(picks), given, strict=False):
            if card in after.cards:
                after.cards[card].update(own)
        if not any(card["category"] for card in after.cards.values()):
            return
        self.change(self.index.sync(catalogue(after.cards.values()), max_removed=None))
        for card in left:
            self.truth.drop(card)
        for own in after.cards.values():
            self.truth.put(own)
        self.truth.settle(before)

    @rule(picks=st.lists(numbers, max_size=12), group=st.sampled_from(["", "g", "h"]))
    def sync_what_is_not_embedded(self, picks: list[int], group: str) -> None:
        """Of a card with another group, as with another price, nothing else is another."""
        for card in self.chosen(picks):
            self.truth.cards[card]["group"] = group
        self.change(self.index.sync(catalogue(self.truth.cards.values()), max_removed=None))

    @rule(picks=st.lists(numbers, min_size=1, max_size=12))
    def remove(self, picks: list[int]) -> None:
        gone = self.chosen(picks)
        if self.is_labelled_without(gone):
            self.change(self.index.remove([*gone, "of no card"]))
            before = self.labels()
            for card in gone:
                self.truth.drop(card)
            self.truth.settle({card: name for card, name in before.items() if card not in gone})

    @rule(
        olds=st.lists(numbers, max_size=2),
        picks=st.lists(numbers, max_size=3),
        news=st.lists(st.sampled_from([*NEW_NAMES, ""]), min_size=5, max_size=5),
    )
    def relabel(self, olds: list[int], picks: list[int], news: list[str]) -> None:
        names, before = self.index.parts.labels.names, self.labels()
        wanted = [*(names[old % len(names)] for old in olds), *self.chosen(picks)]
        mapping = dict(zip(wanted, news, strict=False))
        after = {card: mapping.get(card, mapping.get(name, name)) for card, name in before.items()}
        if any(after.values()):
            self.change(self.index.relabel(mapping))
            for card, category in after.items():
                self.truth.cards[card]["category"] = category
            self.truth.settle(before, {name: mapping[name] for name in names if name in mapping})

    @precondition(lambda self: not self.is_stored)
    @rule()
    def save(self) -> None:
        self.index.save_next(self.folder)
        self.saved.append(copy.deepcopy(self.truth))
        self.index, self.is_stored = ProductIndex.load(self.folder), True

    @precondition(lambda self: len(self.saved) > 1)
    @rule()
    def rollback(self) -> None:
        ProductIndex.rollback(self.folder)
        self.saved = [self.saved[-1], self.saved[-2]]
        self.truth = copy.deepcopy(self.saved[-1])
        self.index, self.is_stored = ProductIndex.load(self.folder), True

    @invariant()
    def answers_are_those_of_an_index_of_these_cards(self) -> None:
        check_same(self.index, assembled(self.truth))

    def teardown(self) -> None:
        self.room.cleanup()


LivingIndexMachine.TestCase.settings = settings(
    max_examples=5,
    stateful_step_count=7,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    derandomize=True,
)
TestLivingIndex = LivingIndexMachine.TestCase
