"""The review journal as tables: for people, and as `prodcat relabel` reads it."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from prodcat_index.service.review_journal import ReviewJournal
from prodcat_index.service.review_records import HOLDING


def list_decisions(journal: ReviewJournal, limit: int | None = None) -> list[dict[str, Any]]:
    """Return the journal, the newest decision first.

    Returns
    -------
    list of dict
        ``decision_id``, ``who``, ``when``, ``decision``, ``category``, ``title``, ``cards``,
        their number, ``ids``, ``state``, ``note`` and the ``version`` of the index.
    """
    return [
        {
            "decision_id": entry.id,
            "who": entry.who,
            "when": datetime.fromtimestamp(entry.at, timezone.utc).isoformat("T", "seconds"),
            "decision": entry.said,
            "category": entry.category,
            "title": entry.title,
            "cards": entry.cards,
            "ids": [
                card["id"] for item, _ in journal.decided(entry) for card in item.content["cards"]
            ],
            "state": entry.state,
            "note": entry.note,
            "version": entry.version,
        }
        for entry in journal.entries(limit)
    ]


def as_review(journal: ReviewJournal) -> list[dict[str, Any]]:
    """Return the decisions that hold as the rows of a table that `prodcat relabel` reads.

    Those about new listings, which are no cards of the index, are not among them.
    """
    rows = []
    number = 0
    for entry in reversed(journal.entries()):
        if entry.state not in HOLDING:
            continue
        for item, becomes in journal.decided(entry):
            if item.is_new:
                continue
            number += 1
            content = item.content
            row = {"item": number, "check": content["check"], "kind": content["kind"]}
            for card in content["cards"] or [{"id": "", "category": item.own}]:
                own = {"id": card["id"], "category": card["category"]}
                rows.append({**row, **own, "proposal": item.proposal, "decision": becomes})
    return rows
