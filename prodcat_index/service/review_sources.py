"""What fills the review queue: tables of audits, and unsure predictions of new listings."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from itertools import groupby
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np

from prodcat_index.audit.audit import BETWEEN, LATER
from prodcat_index.audit.check import Item, undecided
from prodcat_index.audit.duplicate_cards import CATEGORIES
from prodcat_index.audit.label_errors import CERTAIN
from prodcat_index.audit.new_categories import best_level, cut, tree_of, weighted_mean
from prodcat_index.cards.catalogue import read_catalogue
from prodcat_index.cards.lists import read_review
from prodcat_index.index.answers import LazyAnswers
from prodcat_index.index.delivery import check_delivery
from prodcat_index.index.learned import as_queries
from prodcat_index.index.parts import IndexParts
from prodcat_index.index.product_index import ProductIndex
from prodcat_index.index.review import HEX_DIGITS, MERGE, is_of_labels
from prodcat_index.service.review_apply import plain_rows
from prodcat_index.service.review_records import QueueItem
from prodcat_index.types import BoolArray, Float32Array, Float64Array, evenly_spaced, rounded
from prodcat_index.voting.prediction import ACCEPT, NEW

PREDICTION = "prediction"
UNSURE, NEW_CATEGORY = "unsure prediction", "new category"
# Categories that one key chooses, and neighbours that are shown.
CHOICES, SHOWN = 9, 6
# Items that are compared pair by pair, at most, and cards that show how near those of one category
# are.
MOST, SAMPLE = 2000, 1000


def read_source(path: Path, index: ProductIndex, precision: float) -> list[QueueItem]:
    """Read the items of a table of an audit, or of the listings in any other catalogue file."""
    rows = read_review(path, more=("confidence", "score", "why", "neighbours", "words"))
    if rows is None:
        return _listings(path, index, precision)
    return audit_items(str(path.absolute()), rows, index.parts)


def audit_items(
    source: str, rows: Iterable[Mapping[str, Any]], parts: IndexParts
) -> list[QueueItem]:
    """Return the items of an audit about cards of the index, and categories to merge."""
    items: list[QueueItem] = []
    for _, group in groupby(rows, key=lambda row: str(row["item"])):
        own = list(group)
        if any(row["decision"] for row in own):
            continue
        cards = [
            {"id": row["id"], "category": row["category"]}
            for row in own
            if row["id"] in parts.row_of
        ]
        if cards or (not own[0]["id"] and own[0]["proposal"].startswith(MERGE)):
            items.append(_audit_item(source, own[0], cards, len(items)))
    return _with_clusters(parts, items)


def _audit_item(
    source: str, first: Mapping[str, Any], cards: list[dict[str, str]], place: int
) -> QueueItem:
    confidence, score = (_number(first.get(name)) for name in ("confidence", "score"))
    certainty = confidence if confidence is not None else 1.0 - (1.0 if score is None else score)
    check, kind, proposal = first["check"], first["kind"], first["proposal"]
    # As the audit orders: what is answered wrongly today comes first. A doubtful label is more
    # likely right than wrong, whatever its score.
    if check == "labels":
        is_likely = (confidence or 0.0) >= CERTAIN
        urgency, gain = (0, certainty) if is_likely else (2, min(certainty, CERTAIN))
    elif kind == CATEGORIES:
        urgency, gain = 0, certainty
    else:
        urgency, gain = 3 + (LATER.index(check) if check in LATER else len(LATER)), 0.0
    content = {
        "check": check,
        "kind": kind,
        "cards": cards,
        "subject": first["category"],
        "confidence": confidence,
        "why": first.get("why", ""),
        "words": [word for word in first.get("words", "").split(BETWEEN) if word],
        "neighbours": [card for card in first.get("neighbours", "").split(BETWEEN) if card],
    }
    named = [check, kind, proposal, first["category"], sorted(card["id"] for card in cards)]
    return QueueItem(
        id=_name(named),
        source=source,
        content=content,
        own=first["category"],
        proposal=proposal,
        is_new=False,
        gain=gain,
        urgency=urgency,
        certainty=certainty,
        cards=len(cards),
        place=place,
    )


def _number(value: Any) -> float | None:
    """Return a number of a table, whose empty cells are none."""
    try:
        number = float(str(value).replace(",", "."))
    except ValueError:
        return None
    return number if isfinite(number) else None


def _name(about: Any) -> str:
    return sha256(json.dumps(about, ensure_ascii=False).encode()).hexdigest()[:HEX_DIGITS]


def _listings(path: Path, index: ProductIndex, precision: float) -> list[QueueItem]:
    source = str(path.absolute())
    read = read_catalogue(path, like=index.catalogue)
    check_delivery(index.parts, read, is_whole=False)
    is_calibrated = index.parts.calibration is not None
    predictions = index.predict(read, precision=precision if is_calibrated else None)
    answers = predictions.answers
    assert isinstance(answers, LazyAnswers), "they were just made"
    words, items = answers.decision.words, list[QueueItem]()
    places = [n for n in range(len(read)) if words is None or words[n] != ACCEPT]
    for place, listing in zip(places, plain_rows(read.select(places)), strict=True):
        prediction = predictions[place]
        gain = 1.0 - prediction.confidence
        is_new = prediction.decision == NEW
        nearest = prediction.neighbours[:SHOWN]
        content = {
            "check": PREDICTION,
            "kind": NEW_CATEGORY if is_new else UNSURE,
            "cards": [{"id": prediction.id, "category": read.values("category")[place]}],
            "listing": listing,
            "subject": prediction.category,
            "confidence": rounded(prediction.confidence),
            "why": prediction.note,
            "words": [],
            "neighbours": [each.id for each in nearest],
            "similarities": [each.similarity for each in nearest],
            "choices": [
                {"category": name, "share": share} for name, share in prediction.ranked[:CHOICES]
            ],
        }
        items.append(
            QueueItem(
                id=_name([PREDICTION, prediction.id]),
                source=source,
                content=content,
                own=prediction.category,
                proposal="" if is_new else prediction.category,
                is_new=True,
                gain=gain,
                urgency=0 if gain >= CERTAIN else 2,
                certainty=gain,
                cards=1,
                place=len(items),
            )
        )
    count = len(index.parts.encoder_blocks)
    vectors = [own[places] for own in answers.queries.vectors[:count]]
    return _with_clusters(index.parts, items, vectors, answers.queries.present[places, :count])


def _with_clusters(
    parts: IndexParts,
    items: Sequence[QueueItem],
    vectors: Sequence[Float32Array] | None = None,
    present: BoolArray | None = None,
) -> list[QueueItem]:
    """Put items that ask the same about near cards into clusters, and near ones side by side.

    Near are those that average linkage joins, by the weights of a search, below the distance at
    which cards of the index fall into their own categories best.
    """
    from scipy.cluster.hierarchy import leaves_list

    blocks = parts.encoder_blocks
    together: dict[tuple[Any, ...], list[int]] = {}
    for place, item in enumerate(items):
        check = item.content["check"]
        if item.is_new or (item.cards and is_of_labels(check, item.proposal)):
            own = "" if item.is_new else item.own
            together.setdefault((check, item.content["kind"], own, item.proposal), []).append(place)
    several = [group[:MOST] for group in together.values() if len(group) > 1]
    if not several:
        return list(items)
    if vectors is None or present is None:
        firsts = (item.content["cards"][0]["id"] if item.cards else None for item in items)
        rows = np.array([parts.row_of[card] if card is not None else 0 for card in firsts])
        vectors = [as_queries(block, rows) for block in blocks]
        present = np.stack([block.present[rows] for block in blocks], axis=1)
    level = _usual_level(parts)
    clustered = list(items)
    for group in several:
        tree = tree_of(_compare(parts, [own[group] for own in vectors], present[group]))
        clusters, orders = cut(tree, level).tolist(), np.argsort(leaves_list(tree)).tolist()
        for place, cluster, order in zip(group, clusters, orders, strict=True):
            first = items[group[0]].id
            clustered[place] = replace(
                items[place], cluster=f"{first}-{cluster}", place=group[0] + order
            )
    return clustered


def _usual_level(parts: IndexParts) -> float:
    rows = np.flatnonzero(parts.voter_codes >= 0)
    rows = rows[evenly_spaced(len(rows), SAMPLE)]
    blocks = parts.encoder_blocks
    present = np.stack([block.present[rows] for block in blocks], axis=1)
    similar = _compare(parts, [as_queries(block, rows) for block in blocks], present)
    return best_level(tree_of(similar), parts.labels.codes[rows])


def _compare(
    parts: IndexParts, vectors: Sequence[Float32Array], present: BoolArray
) -> Float64Array:
    """Compare cards, (n, n), by the blocks that both have, with the weights of a search."""
    weights = parts.weight_vector(parts.search_weights)[: len(vectors)]
    return weighted_mean((own @ own.T for own in vectors), present, weights)


def find_resolved(items: Sequence[QueueItem], parts: IndexParts) -> list[str]:
    """Return the items that need no decision any more, by the cards as they are now."""
    cards = parts.catalogue
    now = dict(zip(cards.ids, cards.values("category"), strict=True))
    asked = {item.id: _as_audited(item) for item in items if not item.is_new}
    open_items = {id(each) for each in undecided([*asked.values()], cards, parts.decided)}

    def is_resolved(item: QueueItem) -> bool:
        own = item.content["cards"]
        if item.is_new:
            return bool(now.get(own[0]["id"]))
        if id(asked[item.id]) not in open_items:
            return True
        if not own:
            return item.own not in parts.labels.code_of
        return not any(now.get(card["id"]) == card["category"] for card in own)

    return [item.id for item in items if is_resolved(item)]


def _as_audited(item: QueueItem) -> Item:
    """Return an item as a check made it."""
    content = item.content
    return Item(
        content["check"],
        content["kind"],
        0.0,
        tuple(card["id"] for card in content["cards"]),
        content["subject"],
        item.proposal,
    )
