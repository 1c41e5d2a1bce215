"""A small shop whose review queue is full: wrong labels by hand, duplicates and new listings."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
from test_index_learned import shop

from prodcat_index.audit.audit import COLUMNS
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.service.current_index import CurrentIndex
from prodcat_index.service.review_queue import ReviewQueue
from prodcat_index.service.review_records import Caller, QueueItem
from prodcat_index.service.settings import ServeSettings

ANNA, BORIS = Caller("anna", "tab-a"), Caller("boris", "tab-b")
TOKENS = {"a" * 20: "anna", "b" * 20: "boris"}
NEW = (
    "id,title,description\nn1,red boots,boots in red\nn2,green boots,boots in green\n"
    "n3,quantum flux capacitor,zzz\n"
)


class Clock:
    """A time that a test moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@cache
def _built() -> ProductIndex:
    return ProductIndex.build(shop())


def saved_shop(folder: Path) -> Path:
    """Save the index of a shop, built once: 120 cards c000 to c119 of five categories, by turns."""
    return _built().save(folder / "shop")


def row(item: int, card: str, category: str, proposal: str, **more: Any) -> dict[str, Any]:
    """Make a row of the table of an audit."""
    named = {"check": "labels", "kind": "wrong label", "confidence": 0.9, "score": 0.1, **more}
    row = dict.fromkeys(COLUMNS, "")
    return {**row, "item": item, "id": card, "category": category, "proposal": proposal, **named}


def item(id: str, gain: float = 0.5, cluster: str = "", **more: Any) -> QueueItem:
    """Make an item of the journal, which does not look at what it is about."""
    named = {"content": {"cards": []}, "own": "boots", "proposal": "kettle", "is_new": False}
    order = {"gain": gain, "urgency": 0, "certainty": gain, "cards": 1}
    return QueueItem(id, "a file", cluster=cluster, **{**named, **order, **more})


# What an audit might say: three boots are kettles, one lamp may be a mug, a scarf is there twice,
# and mugs and scarfs are one category.
AUDIT: Sequence[Mapping[str, Any]] = (
    row(1, "c000", "boots", "kettle", why="its neighbours are kettles", neighbours="c001, c006"),
    row(2, "c005", "boots", "kettle", confidence=0.8, words="steel, boils"),
    row(3, "c010", "boots", "kettle", confidence=0.7),
    row(4, "c002", "lamp", "mug", kind="doubtful label", confidence=0.3),
    row(5, "c003", "scarf", "remove", check="duplicates", kind="near duplicates", confidence=0.95),
    row(5, "c008", "scarf", "remove", check="duplicates", kind="near duplicates", confidence=0.95),
    row(6, "", "mug", "merge into scarf", check="coverage", kind="two names of one category"),
    row(7, "", "mug", "add 3 cards", check="coverage", kind="too few products"),
)


def queue_of(
    folder: Path,
    index: Path,
    rows: Sequence[Mapping[str, Any]] = AUDIT,
    listings: str = "",
    **more: Any,
) -> ReviewQueue:
    """Return the queue of a copy of an index, filled by a table of an audit and by listings."""
    own = folder / "index"
    if not own.exists():
        shutil.copytree(index, own)
    files = []
    if rows:
        pd.DataFrame(rows, columns=COLUMNS).to_csv(folder / "audit.csv", index=False)
        files.append(folder / "audit.csv")
    if listings:
        (folder / "new.csv").write_text(listings, encoding="utf-8")
        files.append(folder / "new.csv")
    settings = ServeSettings(own, writable=True, tokens=TOKENS, reviews=tuple(files))
    queue = ReviewQueue(settings, CurrentIndex(own), **more)
    for file in files:
        queue.fill(file)
    return queue


def labels_of(folder: Path) -> dict[str, str]:
    """Return the categories of the cards that an index folder holds now."""
    cards = ProductIndex.load(folder).parts.catalogue
    return dict(zip(cards.ids, cards.values("category"), strict=True))
