"""The journal: nobody gets another's item, and what was answered is on the disk."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from reviewing import ANNA, BORIS, Clock, item

from prodcat_index.service.review_journal import ReviewJournal
from prodcat_index.service.review_records import (
    LEASE,
    Caller,
    JournalError,
    TakenError,
    UnknownError,
)

NEAR = (0, 1, 100, 101, 102)
ITEMS = [item(f"i{n:03}", 1 - n / 1000, "near" if n in NEAR else "") for n in range(200)]


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def open_journal(tmp_path: Path, clock: Clock) -> Callable[[], ReviewJournal]:
    return lambda: ReviewJournal(tmp_path / "state.sqlite", clock)


@pytest.fixture
def journal(open_journal: Callable[[], ReviewJournal]) -> ReviewJournal:
    journal = open_journal()
    journal.fill("a file", "1", ITEMS)
    return journal


def ids(items: object) -> list[str]:
    return [each.id for each in items]  # type: ignore[attr-defined]


def decide(journal: ReviewJournal, by: Caller, *of: str, id: str = "", said: str = "yes") -> int:
    name = id or f"{by.client}-{of[0]}-{said}"
    return journal.decide(by, name, said, "", dict.fromkeys(of, "keep"))[1]


def test_a_tab_gets_what_it_has_again_and_nobody_else_does(
    journal: ReviewJournal, clock: Clock
) -> None:
    """Two people would decide on the same card, or a reload would show another one."""
    assert ids(journal.lease(ANNA, 3)) == ["i000", "i001", "i002"]
    assert ids(journal.lease(BORIS, 2)) == ["i003", "i004"]
    assert ids(journal.lease(ANNA, 2)) == ["i000", "i001"]
    # The same person in another tab.
    assert ids(journal.lease(Caller("anna", "other"), 1)) == ["i005"]
    assert ids(journal.lease(ANNA, 4, skip=["i000"])) == ["i001", "i002", "i006", "i007"]
    # Asking renews: what was not asked for again is free after five minutes.
    clock.now += LEASE - 1
    assert ids(journal.lease(ANNA, 1)) == ["i000"]
    clock.now += 2
    assert ids(journal.lease(BORIS, 2)) == ["i001", "i002"]


def test_a_late_decision_is_refused_only_where_another_has_the_item(
    journal: ReviewJournal, clock: Clock
) -> None:
    """Coffee after the fifth minute would cost the work, or overrule a colleague."""
    journal.lease(ANNA, 2)
    clock.now += LEASE + 1
    assert decide(journal, ANNA, "i000") == 1
    assert ids(journal.lease(BORIS, 1)) == ["i001"]
    with pytest.raises(TakenError, match="not decided for 5 minutes, and is with boris now"):
        decide(journal, ANNA, "i001")
    decide(journal, BORIS, "i001")
    with pytest.raises(TakenError, match="decided already: boris said 'yes'"):
        decide(journal, ANNA, "i001")
    with pytest.raises(UnknownError, match="no item 'nonsense'"):
        decide(journal, ANNA, "nonsense")


def test_a_decision_that_is_sent_twice_is_one(journal: ReviewJournal) -> None:
    """A browser that repeats what got no answer would decide, or undo, twice."""
    assert decide(journal, ANNA, "i000", "i001", id="d") == 2
    assert decide(journal, ANNA, "i000", "i001", id="d") == 2
    with pytest.raises(TakenError, match="'d' was another one"):
        decide(journal, ANNA, "i009", id="d")
    assert len(journal.entries()) == 1 and journal.counts()["done"] == 2
    with pytest.raises(TakenError, match="another person's"):
        decide(journal, BORIS, "i005", id="d")


def test_a_cluster_is_decided_and_taken_back_as_one(journal: ReviewJournal) -> None:
    """Fifty wrong clicks would have to be undone one by one; a colleague's card would go along."""
    journal.lease(BORIS, 1)  # i000, of the cluster
    [first] = journal.lease(ANNA, 1)
    assert journal.similar(ANNA, first) == 3
    near = ids(journal.lease_similar(ANNA, first.id, 60))
    assert near == ["i100", "i101", "i102"]
    # Looked at beside the item, they do not come before what is next.
    assert ids(journal.lease(ANNA, 2, skip=["i001"])) == ["i002", "i003"]
    assert decide(journal, ANNA, first.id, *near, "i000") == 4
    assert journal.counts()["by"] == {"anna": 4}
    [entry] = journal.entries()
    assert ids(journal.take_back(entry, "undone", ANNA, "pending")) == [first.id, *near]
    assert journal.counts()["done"] == 0
    assert ids(journal.lease(ANNA, 9, skip=["i002", "i003"]))[:4] == [first.id, *near]


def test_the_last_ten_decisions_can_be_taken_back_one_after_the_other(
    journal: ReviewJournal,
) -> None:
    """A key that was hit once too often would stay in the shop."""
    for number in range(12):
        [each] = journal.lease(ANNA, 1)
        decide(journal, ANNA, each.id, said="skip" if number == 11 else "yes")
    decide(journal, BORIS, "i150")
    back = []
    for _ in range(12):
        entry = journal.last(ANNA)
        back += journal.take_back(entry, "undone", ANNA, entry.state)
    assert ids(back) == [f"i{number:03}" for number in range(11, -1, -1)]
    with pytest.raises(UnknownError, match="anna made no decision"):
        journal.last(ANNA)
    # A new tab, such as after a crash, takes back what the person decided.
    assert journal.last(Caller("boris", "new")).id == "tab-b-i150-yes"


def test_what_a_person_skips_comes_last_for_them_alone(journal: ReviewJournal) -> None:
    """A hard card would come again and again, or be lost."""
    decide(journal, ANNA, "i000", said="skip")
    assert ids(journal.lease(ANNA, 1)) == ["i001"]
    assert ids(journal.lease(BORIS, 1)) == ["i000"]
    assert ids(journal.lease(ANNA, 500))[-1] == "i199"
    decide(journal, BORIS, "i000", said="skip")
    assert ids(journal.lease(ANNA, 500))[-1] == "i000"


def test_minutes_are_those_that_people_looked(journal: ReviewJournal, clock: Clock) -> None:
    """A lunch break would count as work."""
    journal.lease(ANNA, 2)
    clock.now += 30
    decide(journal, ANNA, "i000")
    clock.now += 12  # beside it since the start, but looked at after the first
    decide(journal, ANNA, "i001")
    journal.lease(ANNA, 1)
    clock.now += 3600
    decide(journal, ANNA, "i002")
    assert journal.counts()["minutes"] == pytest.approx((30 + 12 + 300) / 60, abs=0.01)


def test_a_source_that_is_read_again_keeps_what_was_decided(journal: ReviewJournal) -> None:
    """A restart would ask everything again; what is no longer found would be asked for ever."""
    decide(journal, ANNA, "i000")
    decide(journal, ANNA, "i001")
    entry = journal.entry("tab-a-i001-yes")
    journal.begin({entry.number: {}})
    journal.finish({entry.number: ("applied", "")}, version=7)
    journal.fill("a file", "2", ITEMS[:4])
    assert ids(journal.open_items()) == ["i002", "i003"]
    with pytest.raises(TakenError, match="needs no decision any more"):
        decide(journal, ANNA, "i100")
    # An audit of a later version asks again about what was carried out before.
    journal.fill("a file", "3", ITEMS[:4], reopened_from=7)
    assert ids(journal.open_items()) == ["i002", "i003"]
    journal.fill("a file", "4", ITEMS[:4], reopened_from=8)
    assert ids(journal.open_items()) == ["i001", "i002", "i003"]


def test_threads_never_get_the_same_item(journal: ReviewJournal) -> None:
    got: list[str] = []

    def work(number: int) -> None:
        caller = Caller(f"person {number}", "tab")
        for _ in range(10):
            [each] = journal.lease(caller, 1)
            got.append(each.id)
            decide(journal, caller, each.id)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(got) == [f"i{number:03}" for number in range(40)]


DECIDING = """
import sys
from itertools import count
from pathlib import Path
from prodcat_index.service.review_journal import ReviewJournal
from prodcat_index.service.review_records import Caller
journal, caller = ReviewJournal(Path(sys.argv[1])), Caller(sys.argv[2], "tab")
for number in count(1):
    if not (items := journal.lease(caller, 1)):
        break
    journal.decide(caller, items[0].id, "yes", "", {items[0].id: "keep"})
    print(items[0].id, flush=True)
    if number == 90:
        sys.stdin.read()  # so that neither has decided all before the other begins, or is killed
"""


def start(path: Path, name: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", DECIDING, str(path), name]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_processes_share_a_queue_and_a_killed_one_loses_no_decision(
    journal: ReviewJournal, tmp_path: Path
) -> None:
    """Whoever was told that a decision is written down could lose it with the next power cut."""
    path = tmp_path / "state.sqlite"
    first, second = start(path, "first"), start(path, "second")
    assert first.stdout and second.stdin and second.stdout
    said = [first.stdout.readline().strip() for _ in range(5)]
    os.kill(first.pid, signal.SIGKILL)
    said += first.stdout.read().split()
    second.stdin.close()
    others = second.stdout.read().split()
    assert first.wait() == -signal.SIGKILL and second.wait() == 0
    assert set(said).isdisjoint(others)
    again = ReviewJournal(path)
    of = {entry.id: entry.who for entry in again.entries()}
    assert {id for id, who in of.items() if who == "second"} == set(others)
    # One more may be written down that the killed process could not tell any more.
    written = {id for id, who in of.items() if who == "first"}
    assert set(said) <= written and len(written) <= len(said) + 1
    # All that is left is what the killed one holds.
    assert again.counts()["left"] == len(ITEMS) - len(of) <= 1


def test_a_change_is_made_as_a_whole_or_not_at_all(journal: ReviewJournal) -> None:
    with pytest.raises(sqlite3.IntegrityError), journal.writing() as db:
        db.execute("UPDATE items SET state = 'gone'")
        db.execute("INSERT INTO items (id) VALUES ('i000')")
    assert journal.counts()["left"] == len(ITEMS)
    assert journal.db.execute("PRAGMA synchronous").fetchone()[0] == 2
    assert journal.db.execute("PRAGMA journal_mode").fetchone()[0] == "wal"


def test_a_file_that_is_no_journal_is_refused_in_words(tmp_path: Path) -> None:
    (tmp_path / "letter").write_text("Dear Anna, " * 100)
    with pytest.raises(JournalError, match=r"cannot be used .*; name another file with --state"):
        ReviewJournal(tmp_path / "letter")
    with sqlite3.connect(tmp_path / "newer") as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(JournalError, match="written by a newer version of prodcat-index"):
        ReviewJournal(tmp_path / "newer")
    with pytest.raises(JournalError, match="cannot be used"):
        ReviewJournal(tmp_path / "no such folder" / "state")
