"""The review queue: who gets which item, what a decision does, and how it is taken back."""

from __future__ import annotations

import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import made
import numpy as np
import pandas as pd
import pytest
from reviewing import ANNA, BORIS, NEW, TOKENS, Clock, labels_of, queue_of, row, saved_shop

from prodcat_index.audit.audit import audit_catalogue
from prodcat_index.audit.graph import build_graph
from prodcat_index.cards.lists import REVIEW
from prodcat_index.errors import IndexFolderError, QueryError
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.service.current_index import CurrentIndex
from prodcat_index.service.review_queue import ReviewQueue
from prodcat_index.service.review_records import Caller, TakenError
from prodcat_index.service.settings import ServeSettings


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
    assert (queue.apply(), queue.current.version) == (3, 2)
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


def test_reverts_at_the_same_time_are_one(queue: ReviewQueue) -> None:
    """The second would undo what was decided about the card after the first."""
    decision = decide(queue, "c000", "yes")
    queue.apply()
    version = queue.current.version
    with ThreadPoolExecutor(4) as threads:
        for entry, _ in threads.map(lambda _: queue.revert(ANNA, decision), range(4)):
            assert entry.state == "reverted"
    assert queue.current.version == version + 1


def decide(queue: ReviewQueue, card: str, said: str, by: Caller = ANNA, **more: object) -> str:
    return queue.decide(by, item_of(queue, card), said, **more)[0].id  # type: ignore[arg-type]


def states(queue: ReviewQueue) -> dict[str, str]:
    return {entry.said: entry.state for entry in queue.journal.entries()}


def test_what_is_said_becomes_a_category_or_a_sentence(queue: ReviewQueue) -> None:
    """A key that means something else than the person thinks, or a category named ``yse``."""
    first = item_of(queue, "c000")
    for said, problem in {
        "ketle": "'ketle' is no category of this index. Did you mean 'kettle'?",
        "new": "A new category needs a name",
        " ": "'' is no category of this index",
    }.items():
        with pytest.raises(QueryError, match=problem):
            queue.decide(ANNA, first, said)
    with pytest.raises(QueryError, match="not the word of a decision"):
        queue.decide(ANNA, first, "new", category="Remove")
    mugs = next(i.id for i in queue.journal.open_items() if not i.content["cards"])
    with pytest.raises(QueryError, match="merge it into another one"):
        queue.decide(ANNA, mugs, "remove")
    entry, _ = queue.decide(ANNA, first, "new", category=" Shoes >  Ski boots")
    assert (entry.said, entry.category) == ("new", "Shoes > Ski boots")
    # Its own category is what it has.
    assert queue.decide(ANNA, item_of(queue, "c005"), "boots")[0].category == ""
    assert queue.decide(ANNA, item_of(queue, "c010"), "No")[0].said == "keep"
    queue.apply()
    labels = labels_of(queue.current.folder)
    assert labels["c000"] == "Shoes > Ski boots"
    assert labels["c005"] == labels["c010"] == "boots"


def test_a_category_named_as_the_decision_removes_no_card(
    tmp_path: Path, shop_folder: Path
) -> None:
    """Who agrees that a card is of the category ``remove`` would delete it."""
    queue = queue_of(tmp_path, shop_folder, [row(1, "c000", "boots", "remove")])
    folder = queue.current.folder
    ProductIndex.load(folder).relabel({"kettle": "remove"}).save_next(folder)
    queue.current.refresh()
    for said in ("yes", "remove"):
        with pytest.raises(QueryError, match="named 'remove', as the decision is; rename it"):
            decide(queue, "c000", said)
    ProductIndex.load(folder).relabel({"remove": "kettle"}).save_next(folder)
    queue.current.refresh()
    decide(queue, "c000", "remove")
    queue.apply()
    assert "c000" not in labels_of(folder)


def test_a_category_is_merged_and_parted_again(queue: ReviewQueue) -> None:
    folder = queue.current.folder
    before = labels_of(folder)
    [item] = [each for each in queue.next(ANNA, 50) if each["card"] is None]
    assert (item["subject"], item["proposal"]) == ("mug", "merge into scarf")
    entry, _ = queue.decide(ANNA, item["id"], "yes")
    queue.apply()
    merged = {card: "scarf" if label == "mug" else label for card, label in before.items()}
    assert labels_of(folder) == merged
    queue.undo(ANNA)
    assert labels_of(folder) == before
    assert queue.journal.entry(entry.id).state == "reverted"


def test_what_another_process_changed_is_left_out_and_named(
    queue: ReviewQueue, clock: Clock
) -> None:
    """A decision about what a card was would overwrite what a colleague corrected since."""
    folder = queue.current.folder
    done = decide(queue, "c000", "yes")
    stale = decide(queue, "c005", "yes")
    partly = decide(queue, "c003", "remove")
    mapping = {"c000": "kettle", "c005": "lamp", "c003": "mug", "c010": "mug"}
    ProductIndex.load(folder).relabel(mapping).save_next(folder)
    assert (queue.apply(), queue.current.version) == (3, 3)
    expected = dict.fromkeys(("c000", "c005", "c003"), "")
    labels = labels_of(folder)
    assert {card: labels[card] for card in expected} == {k: mapping[k] for k in expected}
    assert "c008" not in labels
    journal = queue.journal
    assert journal.entry(done).state == "applied"  # as it was decided, by whoever
    assert journal.entry(stale).state == "stale"
    assert journal.entry(stale).note.endswith("were gone (left out): c005")
    assert journal.entry(partly).state == "applied"
    assert journal.entry(partly).note.endswith("were gone (left out): c003")
    assert queue.counter()["stale"] == 1
    # Nor is asked any more what the other process settled.
    assert cards_of(queue.next(ANNA, 50)) == ["c002", "mug"]
    # Taken back is what was done by it: a card that changed again stays.
    ProductIndex.load(folder).relabel({"c000": "scarf"}).save_next(folder)
    queue.revert(ANNA, partly)
    queue.revert(ANNA, done)
    labels = labels_of(folder)
    assert (labels["c000"], labels["c008"], labels["c003"]) == ("scarf", "scarf", "mug")


def test_a_crash_between_the_index_and_the_journal_does_nothing_twice(
    queue: ReviewQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decisions would be carried out twice, or a removed card could not be brought back."""
    folder, before = queue.current.folder, labels_of(queue.current.folder)
    for card, said in {"c000": "yes", "c003": "remove", "c002": "keep"}.items():
        decide(queue, card, said)
    with monkeypatch.context() as patch:
        patch.setattr(queue.journal, "finish", lambda *_: (_ for _ in ()).throw(SystemExit))
        with pytest.raises(SystemExit):
            queue.apply()
    assert set(states(queue).values()) == {"applying"}
    with pytest.raises(TakenError, match="being carried out right now"):
        queue.undo(ANNA)
    again = ReviewQueue(queue.settings, queue.current)
    assert (again.apply(), again.current.version) == (3, 2)  # the version that the crash left
    assert set(states(again).values()) == {"applied"}
    for entry in again.journal.entries():
        again.revert(ANNA, entry.id)
    assert labels_of(folder) == before


def test_decisions_wait_on_where_the_index_cannot_be_written(
    queue: ReviewQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk would cost an afternoon of decisions."""
    decide(queue, "c000", "yes")

    def full(*_: object, **__: object) -> None:
        raise IndexFolderError("The disk is full.")

    with monkeypatch.context() as patch:
        patch.setattr(ProductIndex, "save_next", full)
        with pytest.raises(IndexFolderError):
            queue.apply()
    assert states(queue) == {"yes": "pending"}
    assert (queue.apply(), queue.current.version) == (1, 2)


def test_what_an_index_refuses_does_not_hold_up_the_rest(
    queue: ReviewQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for card in ("c000", "c005", "c010"):
        decide(queue, card, "yes")
    review = ProductIndex.review

    def refuse(index: ProductIndex, table: object, **more: object) -> ProductIndex:
        if "c005" in set(table["id"]):  # type: ignore[index]
            raise QueryError("No.")
        return review(index, table, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(ProductIndex, "review", refuse)
    queue.apply()
    assert [entry.state for entry in queue.journal.entries()] == ["applied", "stale", "applied"]
    assert queue.journal.entries()[1].note == "No."


def test_old_decisions_are_carried_out_by_themselves(queue: ReviewQueue, clock: Clock) -> None:
    """Nobody presses a button at the end of the day; but a mistake of a minute ago is to go."""
    for number in range(12):
        queue.journal.decide(ANNA, f"d{number}", "skip", "", {item_of(queue, "c002"): ""})
    decide(queue, "c000", "yes", BORIS)
    assert queue.journal.due(older=600, beyond=10) == []
    clock.now += 601
    # Old enough, and still among the last ten of boris.
    assert queue.journal.due(older=600, beyond=10) == []
    for number in range(10):
        queue.journal.decide(BORIS, f"e{number}", "skip", "", {item_of(queue, "c002"): ""})
    assert [entry.said for entry in queue.journal.due(older=600, beyond=10)] == ["yes"]


def test_a_journal_that_fails_is_asked_again(
    queue: ReviewQueue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk would end the thread, and no decision be carried out until a restart."""

    def fail(**_: object) -> None:
        raise sqlite3.OperationalError("disk is full")

    monkeypatch.setattr(queue.journal, "due", fail)
    queue.start()
    while not queue.problems:
        assert queue._worker.is_alive()
        time.sleep(0.01)
    assert queue.problems == {"apply": "apply: the log tells why."} and queue._worker.is_alive()
    queue.stop()


def test_new_listings_are_added_with_what_was_decided(
    tmp_path: Path, shop_folder: Path, clock: Clock
) -> None:
    """A listing would be asked for again, or be added with the category that was doubted."""
    queue = queue_of(tmp_path, shop_folder, [], NEW, clock=clock)
    folder = queue.current.folder
    items = {item["card"]["id"]: item for item in queue.next(ANNA, 50)}
    expected = ProductIndex.load(folder).predict(str(tmp_path / "new.csv"), precision=0.95)
    unsure = {each.id: each for each in expected if each.decision != "accept"}
    assert items.keys() == unsure.keys() and "n3" in items
    assert items["n3"]["kind"] == "new category" and items["n3"]["proposal"] == ""
    assert items["n3"]["expected_gain"] == pytest.approx(1 - unsure["n3"].confidence, abs=1e-4)
    with pytest.raises(QueryError, match="proposes nothing to say yes to"):
        decide(queue, "n3", "yes")
    with pytest.raises(QueryError, match="no category to keep"):
        decide(queue, "n3", "keep")
    decide(queue, "n3", "new", category="Physics > Capacitors")
    queue.apply()
    card = ProductIndex.load(folder).card("n3")
    assert (card.title, card.category) == ("quantum flux capacitor", "Physics > Capacitors")
    # A restart reads the file anew for the new version, and does not ask again.
    again = ReviewQueue(queue.settings, queue.current, clock)
    again.fill(tmp_path / "new.csv")
    assert "n3" not in [item.content["cards"][0]["id"] for item in again.journal.open_items()]
    again.undo(ANNA)
    assert "n3" not in labels_of(folder)


def test_a_cluster_is_what_asks_the_same_about_near_cards(
    tmp_path: Path, shop_folder: Path
) -> None:
    """Fifty cards of one mistake would take fifty decisions, or one key would change others."""
    # Red boots are near one another; a lamp is not, nor is what another category is proposed for.
    shown = ProductIndex.load(shop_folder)
    near = [each.id for each in shown.similar("c000", 3)]
    assert {shown.card(card).category for card in near} == {"boots"}
    rows = [row(n, card, "boots", "kettle") for n, card in enumerate(["c000", *near[:2]])]
    rows += [row(8, near[2], "boots", "mug"), row(9, "c002", "lamp", "kettle")]
    queue = queue_of(tmp_path, shop_folder, rows)
    item = next(each for each in queue.next(ANNA, 9) if each["card"]["id"] == "c000")
    assert item["similar"] == 2
    assert {each["card"]["id"] for each in queue.similar(ANNA, item["id"])} == set(near[:2])
    entry, count = queue.decide(ANNA, item["id"], "yes", all_similar=True)
    assert (count, entry.cards) == (3, 3)
    queue.apply()
    labels = labels_of(queue.current.folder)
    assert {labels[card] for card in ("c000", *near[:2])} == {"kettle"}
    assert (labels[near[2]], labels["c002"]) == ("boots", "lamp")
    _, opened = queue.undo(ANNA)
    assert len(opened) == 3
    assert labels_of(queue.current.folder) == labels_of(shop_folder)


def test_the_journal_is_a_table_that_relabel_reads(queue: ReviewQueue, tmp_path: Path) -> None:
    """Decisions could not be taken to another index, or be looked through in a spreadsheet."""
    decide(queue, "c000", "yes")
    decide(queue, "c003", "remove")
    decide(queue, "c005", "yes")
    queue.undo(ANNA)
    table = pd.DataFrame(queue.journal.as_review())
    assert list(table.columns) == list(REVIEW)
    elsewhere = ProductIndex.load(queue.current.folder).review(table)
    queue.apply()
    cards = elsewhere.parts.catalogue
    labels = dict(zip(cards.ids, cards.values("category"), strict=True))
    assert labels == labels_of(queue.current.folder)
    assert [row["state"] for row in queue.journal.list_decisions()] == [
        "undone",
        "applied",
        "applied",
    ]
    assert queue.journal.list_decisions()[1] == {
        "decision_id": queue.journal.entries()[1].id,
        "who": "anna",
        "when": "1970-01-12T13:46:40+00:00",
        "decision": "remove",
        "category": "",
        "title": "black scarf 10",
        "cards": 2,
        "ids": ["c003", "c008"],
        "state": "applied",
        "note": "",
        "version": 2,
    }


def test_the_choices_of_a_card_are_its_proposal_and_the_labels_near_it(queue: ReviewQueue) -> None:
    item = queue.next(ANNA, 1)[0]
    assert item["choices"][0] == {"category": "kettle", "share": 0.9}
    assert {each["category"] for each in item["choices"][:2]} == {"kettle", "boots"}
    assert sum(each["share"] for each in item["choices"]) == pytest.approx(1, abs=0.01)
    assert [each["id"] for each in item["neighbours"]] == ["c001", "c006"]
    assert item["why"] == "its neighbours are kettles"
    assert queue.next(ANNA, 2)[1]["words"] == ["steel", "boils"]


def test_an_audit_beside_the_service_fills_the_queue_and_the_health(
    tmp_path: Path, shop_folder: Path
) -> None:
    """Browse would show no health, and the queue nothing without a file."""
    index = ProductIndex.load(shop_folder).relabel({"c000": "lamp", "c007": "boots"})
    folder = index.save(tmp_path / "index")
    settings = ServeSettings(folder, writable=True, tokens=TOKENS, audit=True)
    queue = ReviewQueue(settings, CurrentIndex(folder))
    queue.start()
    try:
        while not queue.health:
            assert not queue.problems
            time.sleep(0.1)
    finally:
        queue.stop()
    found = audit_catalogue(ProductIndex.load(folder))
    wrong = {card for item in found.items if item.check == "labels" for card in item.cards}
    assert wrong == {"c000", "c007"}
    assert cards_of(queue.next(ANNA, 2)) == [item.cards[0] for item in found.items[:2]]
    graph = build_graph(ProductIndex.load(folder))
    labels = graph.parts.labels
    for code, name in enumerate(labels.names):
        own = labels.codes == code
        assert queue.health[name]["accuracy"] == pytest.approx(
            (graph.predicted[own] == code).mean(), abs=1e-4
        )
    assert {name: each["wrong_labels"] for name, each in queue.health.items()} == {
        **dict.fromkeys(labels.names, 0),
        "lamp": 1,
        "boots": 1,
    }
    # It is kept by the version of the index: the next start has it at once.
    again = ReviewQueue(settings, CurrentIndex(folder))
    again.start()
    again.stop()
    assert again.health == queue.health and again._audit is None


def test_a_removed_card_comes_back_with_the_vectors_that_it_was_given(tmp_path: Path) -> None:
    """Vectors of the shop's own model are nowhere else in the service."""
    vectors = np.random.default_rng(0).normal(size=(9, 4)) + 0.5
    built = ProductIndex.build(made.catalogue(), vectors={"photo": vectors})
    folder = built.save(tmp_path / "shop")
    rows = [row(1, "b2", made.BOOTS, "remove", check="duplicates", kind="near duplicates")]
    queue = queue_of(tmp_path, folder, rows)
    decide(queue, "b2", "yes")
    queue.apply()
    assert "b2" not in labels_of(queue.current.folder)
    queue.undo(ANNA)
    again = ProductIndex.load(queue.current.folder)
    assert again.card("b2") == built.card("b2")
    before, after = (each.catalogue.of_ids(["b2"]).vectors["photo"] for each in (built, again))
    np.testing.assert_allclose(after.astype(float), before.astype(float), atol=2e-3)
