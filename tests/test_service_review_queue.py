"""The review queue: who gets which item, what a decision does, and how it is taken back."""

from __future__ import annotations

from pathlib import Path

import pytest
from reviewing import ANNA, BORIS, Clock, labels_of, queue_of, saved_shop

from prodcat_index.index.product_index import ProductIndex
from prodcat_index.service.review_queue import ReviewQueue


@pytest.fixture(scope="session")
def shop_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return saved_shop(tmp_path_factory.mktemp("reviewing"))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def queue(tmp_path: Path, shop_folder: Path, clock: Clock) -> ReviewQueue:
    return queue_of(tmp_path, shop_folder, clock=clock)


def item_of(queue: ReviewQueue, card: str) -> str:
    """Return the name of the item of a card."""
    [found] = {
        item.id
        for item in queue.journal.open_items()
        if card in [each["id"] for each in item.content["cards"]]
    }
    return found


def cards_of(items: list[dict]) -> list[str]:  # type: ignore[type-arg]
    return [item["card"]["id"] if item["card"] else item["subject"] for item in items]


def test_items_come_in_the_order_of_their_expected_gain(queue: ReviewQueue) -> None:
    """An hour of a person would go into cards that are right anyway."""
    items = queue.next(ANNA, 50)
    # Wrong labels by the probability of the proposal, then a doubtful one, a duplicate whatever
    # its confidence, and a category; advice that nobody can follow here is left out.
    assert cards_of(items) == ["c000", "c005", "c010", "c002", "c003", "mug"]
    assert [item["expected_gain"] for item in items] == [0.9, 0.8, 0.7, 0.3, 0.0, 0.0]
    assert [item["kind"] for item in items[:1]] == ["wrong label"]
    assert items[4]["remove"] == ["c003", "c008"] and items[0]["remove"] == []


def test_applying_and_reverting(queue: ReviewQueue) -> None:
    """The shop would keep its wrong labels, or lose a card for good."""
    folder = queue.current.folder
    before = labels_of(folder)
    frame = ProductIndex.load(folder).catalogue.of_ids(["c003", "c008"]).to_frame()
    yes, _ = queue.decide(ANNA, item_of(queue, "c000"), "yes")
    gone, _ = queue.decide(ANNA, item_of(queue, "c003"), "remove")
    keep, _ = queue.decide(ANNA, item_of(queue, "c002"), "keep")
    assert labels_of(folder) == before  # decided is not carried out yet
    assert queue.apply() == (3, 2)
    expected = before | {"c000": "kettle"}
    del expected["c003"], expected["c008"]
    assert labels_of(folder) == expected
    assert {entry.state for entry in queue.journal.entries()} == {"applied"}
    for entry in (keep, gone, yes):
        queue.revert(BORIS, entry.id)
    assert labels_of(folder) == before
    again = ProductIndex.load(folder)
    assert again.parts.decided == ()
    restored = again.catalogue.of_ids(["c003", "c008"]).to_frame()
    assert restored.to_dict("records") == frame.to_dict("records")
    assert queue.counter()["left"] == 6
