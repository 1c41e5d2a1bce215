"""The review queue: what a person decides next, what they decided, and what it does to the index.

Items come in the order of their expected gain: the probability that the category of the cards is
wrong and that one decision puts it right. Those of equal gain come in the order of an audit.
"""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from prodcat_index import files
from prodcat_index.cards.card import IMAGE
from prodcat_index.errors import CatalogueError, QueryError
from prodcat_index.index.manifest import KEEP, REMOVE
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.index.review import WORDS
from prodcat_index.service.current_index import CurrentIndex, Version
from prodcat_index.service.review_apply import carry_out, revert
from prodcat_index.service.review_audit import BackgroundAudit
from prodcat_index.service.review_gain import estimate_f1
from prodcat_index.service.review_items import cards_of, describe_item, read_decision
from prodcat_index.service.review_journal import ReviewJournal
from prodcat_index.service.review_records import TAKEN_BACK, Caller, Entry, QueueItem, TakenError
from prodcat_index.service.review_sources import audit_items, find_resolved, read_source
from prodcat_index.service.settings import ServeSettings

log = logging.getLogger(__name__)
AUDIT = "audit of the index"
# Decisions that wait, so that they can be taken back without changing the index twice.
LAST, MINUTES = 10, 10
# Seconds between looks at what is to be done, between changes of the index, and for the worker to
# end.
PAUSE, BETWEEN, PATIENCE = 1.0, 30.0, 5.0
# Items of a cluster that are decided at once, and items that are shown together.
MOST_SIMILAR, MOST_SHOWN = 2000, 60


class ReviewQueue:
    """The queue of one index."""

    def __init__(
        self, settings: ServeSettings, current: CurrentIndex, clock: Callable[[], float] = time.time
    ) -> None:
        self.settings, self.current = settings, current
        self.journal = ReviewJournal(settings.journal, clock)
        self.problems: dict[str, str] = {}
        known = self.journal.source(AUDIT)
        self.health: Mapping[str, Mapping[str, Any]] = known[1] if known else {}
        self._swept: Version | None = None
        self._applying = threading.Lock()
        self._ended = threading.Event()
        self._worker = threading.Thread(target=self._work, name="review", daemon=True)
        self._audit: BackgroundAudit | None = None

    def start(self) -> None:
        """Fill the queue, and carry out what is due, beside the requests."""
        self._worker.start()

    def stop(self) -> None:
        """Carry out all decisions, and end."""
        self._ended.set()
        if self._audit:
            self._audit.stop()
        if self._worker.ident:
            # It may be reading a long file, which is read again by the next process.
            self._worker.join(PATIENCE)
        if self.settings.writable:
            self._attempt("apply", self.apply)

    def _work(self) -> None:
        again = 0.0
        if self.settings.audit:
            self._attempt("audit", self._begin_audit)
        for path in self.settings.reviews:
            if not self._ended.is_set():
                self._attempt(path.name, partial(self.fill, path))
        while not self._ended.is_set():
            self._attempt("sweep", self.sweep)
            if self._audit and self._audit.has_ended():
                self._attempt("audit", self._end_audit)
            if self.settings.writable and time.monotonic() >= again:
                self._attempt("apply", partial(self.apply, 60 * MINUTES, LAST))
                again = time.monotonic() + BETWEEN
            self._ended.wait(PAUSE)

    def _attempt(self, name: str, call: Callable[[], object]) -> None:
        try:
            call()
            self.problems.pop(name, None)
        except Exception as error:  # what else there is to do goes on
            is_said = isinstance(error, (CatalogueError, QueryError))
            log.error("review: %s: %s", name, error, exc_info=None if is_said else error)
            # What names files of this machine is for its log alone.
            said = f"{error}" if is_said else "the log tells why."
            for path in self.settings.reviews:
                said = said.replace(str(path), path.name)
            self.problems[name] = f"{name}: {said}"

    def fill(self, path: Path) -> None:
        """Put the items of a table of an audit, or of the listings in a file, into the queue."""
        now, name = self.current.now, str(path.absolute())
        index = now.index
        digest = f"{files.sha256_of(path)} {now.number} {self.settings.precision}"
        known = self.journal.source(name)
        if known is None or known[0] != digest:  # Else it has filled the queue already.
            items = read_source(path, index, self.settings.precision)
            self.journal.fill(name, digest, items)
        self._drop_resolved(index.parts)

    def _begin_audit(self) -> None:
        """Audit the index in another process, if its version was not audited yet."""
        known = self.journal.source(AUDIT)
        if not known or known[0] != str(self.current.version):
            self._audit = BackgroundAudit(self.current.folder)

    def _end_audit(self) -> None:
        assert self._audit is not None, "it has ended"
        audit, self._audit = self._audit, None
        found = audit.result()
        version = found["version"]
        index = self.current.index
        items = audit_items(AUDIT, found["rows"], index.parts)
        self.journal.fill(AUDIT, str(version), items, about=found["health"], reopened_from=version)
        self.health = found["health"]
        self._drop_resolved(index.parts)

    def sweep(self) -> None:
        """Drop items that need no decision in the current version of the index."""
        now = self.current.now
        if now is not self._swept:
            self._drop_resolved(now.index.parts)
            self._swept = now

    def _drop_resolved(self, parts: IndexParts) -> None:
        self.journal.drop(find_resolved(self.journal.open_items(), parts))

    def next(
        self, caller: Caller, limit: int = 1, skip: Sequence[str] = ()
    ) -> list[dict[str, Any]]:
        """Hand out the next items to a person, for five minutes, and return them for the page."""
        self.sweep()
        found = self.journal.lease(caller, limit, skip)
        return [self.describe(item, caller) for item in found]

    def similar(self, caller: Caller, id: str) -> list[dict[str, Any]]:
        """Hand out the items that ask the same about near cards, the nearest first."""
        index = self.current.index
        return [
            {
                "id": item.id,
                "card": next(iter(cards_of(index, item)), None),
                "proposal": item.proposal,
                "confidence": item.content["confidence"],
            }
            for item in self.journal.lease_similar(caller, id, MOST_SHOWN)
        ]

    def describe(self, item: QueueItem, caller: Caller) -> dict[str, Any]:
        """Return an item for the page."""
        shown = describe_item(self.current.index, item)
        return {**shown, "similar": self.journal.similar(caller, item)}

    def decide(
        self,
        caller: Caller,
        id: str,
        decision: str,
        *,
        category: str = "",
        also: Sequence[str] = (),
        all_similar: bool = False,
        decision_id: str = "",
    ) -> tuple[Entry, int]:
        """Write down what a person decided; it is on the disk when this returns."""
        index = self.current.index
        first = self.journal.item(id)
        said = WORDS.get(decision.strip().casefold(), decision.strip())
        becomes = read_decision(index.parts, first, said, category)
        others = (
            self.journal.lease_similar(caller, id, MOST_SIMILAR)
            if all_similar
            else map(self.journal.item, also)
        )
        each = {id: becomes}
        for item in others:
            each.setdefault(item.id, read_decision(index.parts, item, said, category))
        cards = cards_of(index, first)
        return self.journal.decide(
            caller,
            decision_id or uuid.uuid4().hex,
            said,
            "" if becomes in (KEEP, REMOVE) else becomes,
            each,
            title=cards[0]["title"] if cards else first.content["subject"],
        )

    def undo(self, caller: Caller, decision_id: str = "") -> tuple[Entry, list[dict[str, Any]]]:
        """Take back a decision of the caller, by default the last, and return its items again."""
        journal = self.journal
        entry = journal.entry(decision_id) if decision_id else journal.last(caller)
        if entry.who != caller.who:
            raise TakenError(f"This is a decision of {entry.who}; revert it in the journal.")
        return self.revert(caller, entry.id)

    def revert(self, caller: Caller, decision_id: str) -> tuple[Entry, list[dict[str, Any]]]:
        """Take back any decision, also one that is in the index, and return its items again."""
        entry = self.journal.entry(decision_id)
        items = [item for item, _ in self.journal.decided(entry)]
        opened: list[QueueItem] = []
        if entry.state == "applied":
            with self._applying:
                entry = self.journal.entry(decision_id)  # another request may have taken it back
                if entry.state == "applied":
                    self.current.change(lambda index: revert(index, entry.changed, items))
                    opened = self.journal.take_back(entry, "reverted", caller, "applied")
        elif entry.state not in TAKEN_BACK:
            opened = self.journal.take_back(entry, "undone", caller, entry.state)
        if entry.state in TAKEN_BACK:
            opened = [item for item in items if item.id in self.journal.held(caller)]
        shown = [self.describe(item, caller) for item in opened[:MOST_SHOWN]]
        return self.journal.entry(decision_id), shown

    def apply(self, older: float = 0.0, beyond: int = 0) -> int:
        """Carry out the decisions that are due, by default all that wait; return their number."""
        # Among them is what an earlier process was carrying out when it died.
        entries = self.journal.due(older=older, beyond=beyond)
        with self._applying:
            begun = self.journal.begin({entry.number: entry.changed for entry in entries})
            decisions = [
                (entry, self.journal.decided(entry)) for entry in entries if entry.number in begun
            ]
            if not decisions:
                return 0
            outcome = {}

            def change(index: ProductIndex) -> ProductIndex:
                done = carry_out(index, decisions)
                # What a revert needs is on the disk before the index is.
                self.journal.begin(done.changed)
                outcome.update(done.outcome)
                return done.index

            try:
                version = self.current.change(change)
            except BaseException:
                self.journal.wait_on(begun)
                raise
            self.journal.finish(outcome, version)
        self.sweep()
        return len(decisions)

    def counter(self) -> dict[str, Any]:
        """Return what is done and left, by whom, in how many minutes, and what it brought."""
        counts = self.journal.counts()
        labels = self.current.index.parts.labels
        sizes = dict(zip(labels.names, labels.sizes.tolist(), strict=True))
        minutes = counts["minutes"]
        return {
            **counts,
            "per_minute": round(counts["done"] / minutes, 1) if minutes else None,
            "estimated_f1": estimate_f1(self.journal.labels(), sizes),
            "problems": list(self.problems.values()),
        }

    def picture(self, id: str) -> Path | None:
        """Return the file of the picture of a new listing; None where it has none."""
        listing = self.journal.item(id).content.get("listing", {})
        return Path(listing[IMAGE]) if listing.get(IMAGE) else None


def open_queue(settings: ServeSettings, current: CurrentIndex) -> ReviewQueue | None:
    """Return the queue of a service that has one: where it may fill, decide or show it."""
    asked = settings.writable or settings.reviews or settings.audit or settings.journal.exists()
    return ReviewQueue(settings, current) if asked else None
