"""The check ``duplicates``: one product listed twice, and one product in several categories."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from prodcat_index.audit.card_pairs import EXACT, KINDS, VARIANTS, Pairs, compare_cards
from prodcat_index.audit.check import CheckName, CheckResult, Item
from prodcat_index.audit.graph import AuditGraph, NewCards
from prodcat_index.cards.card import DIGEST, IMAGE, Catalogue
from prodcat_index.cards.codes import components, join_codes, rows_together
from prodcat_index.cards.pieces import LABELLING
from prodcat_index.types import MISSING, BoolArray, Float64Array, Int64Array

# No more near duplicates are in one group, so that chains end; equal cards count once.
MOST_NEAR = 20

CATEGORIES = "same product, different category"
# The kinds of items, the surest first; variants are none.
ORDER = (CATEGORIES, *reversed(KINDS[KINDS.index(VARIANTS) + 1 :]))


@dataclass(frozen=True)
class DuplicateCards:
    """Find cards that are one listing twice, and products whose cards differ in category.

    Each card is compared with the nearest by all it has, and with those of the nearest pictures:
    titles word by word, pictures pixel by pixel. Cards whose titles differ in a size, colour,
    number or code are variants, or other products, and are not flagged.

    Parameters
    ----------
    pictures
        Whether to compare pictures, which reads those of cards that are near one another.
    flagged_from
        Probability from which two cards count as one listing.
    """

    pictures: bool = True
    flagged_from: float = 0.5
    name: CheckName = field(default="duplicates", init=False)

    def run(self, graph: AuditGraph, new: NewCards | None = None) -> CheckResult:
        """Check the cards of the index."""
        catalogue, labels = graph.parts.catalogue, graph.parts.labels.codes
        pairs, notes = compare_cards(graph, self.pictures)
        is_twice = pairs.probability >= self.flagged_from
        is_one = is_twice | (pairs.kind == KINDS.index(VARIANTS))
        listings, families = (_join(pairs, each, len(catalogue)) for each in (is_twice, is_one))
        products = join_codes([graph.groups, families])
        strongest = _strongest(pairs, is_one, len(catalogue))
        compared = (IMAGE, *catalogue.text_modalities)
        filled = np.sum([catalogue.has(name) for name in compared], axis=0)
        scores = np.where(filled > 0, 1.0, np.nan)
        for rows in (pairs.first, pairs.second):
            np.minimum.at(scores, rows[is_twice], 1 - pairs.probability[is_twice])
        flagged = scores <= 1 - self.flagged_from
        items = []
        for rows in rows_together(products):
            if _differ(labels[rows]):
                item, wrong, own = _one_category(graph, rows, pairs.why(strongest[rows]))
                scores[wrong], flagged[wrong] = np.fmin(scores[wrong], own), True
                items.append(item)
        split, repeated = len(items), rows_together(listings)
        place = _fullest_first(catalogue, filled)
        for rows in repeated:
            if not _differ(labels[rows]):
                rows = rows[np.argsort(place[rows])]
                items.append(_one_listing(graph, rows, pairs, strongest[rows]))
        items.sort(key=lambda item: (ORDER.index(item.kind), item.score, item.cards))
        superfluous = sum(len(rows) - 1 for rows in repeated)
        varied = [rows for rows in rows_together(products) if len(set(listings[rows].tolist())) > 1]
        return CheckResult(
            self.name,
            graph.ids,
            scores,
            flagged,
            items,
            f"Cards that repeat another one: {superfluous:,}; products that have cards in several "
            f"categories: {split:,}.",
            {
                "repeated": superfluous,
                "in_several_categories": split,
                "items": {kind: sum(item.kind == kind for item in items) for kind in ORDER},
                "variants": {"products": len(varied), "cards": sum(map(len, varied))},
            },
            notes,
        )


def _one_category(
    graph: AuditGraph, rows: Int64Array, why: str
) -> tuple[Item, Int64Array, Float64Array]:
    """Return the item of a product in several categories, the cards to change and their scores."""
    labels, names = graph.parts.labels.codes[rows], graph.parts.labels.names
    predicted, confidence = graph.predicted[rows], graph.confidence[rows]
    votes = np.bincount(labels[labels != MISSING], minlength=len(names)).astype(np.float64)
    np.add.at(votes, predicted[predicted != MISSING], confidence[predicted != MISSING])
    votes[np.setdiff1d(np.arange(len(names)), labels)] = 0
    best = int(votes.argmax())
    is_wrong = (labels != best) & (labels != MISSING)
    agree = confidence[predicted == best]
    scores = votes[labels[is_wrong]] / votes.sum()
    own = Counter(names[label] for label in labels[is_wrong].tolist())
    item = Item(
        "duplicates",
        CATEGORIES,
        float(scores.min()),
        tuple(graph.parts.catalogue.values_at("id", rows[is_wrong])),
        subject=own.most_common(1)[0][0],
        proposal=names[best],
        confidence=float(agree.mean()) if len(agree) else None,
        why=why or "variants of one product",
        neighbours=tuple(graph.parts.catalogue.values_at("id", rows[~is_wrong])),
    )
    return item, rows[is_wrong], scores


def _one_listing(graph: AuditGraph, rows: Int64Array, pairs: Pairs, strongest: Int64Array) -> Item:
    """Return the item of cards that are one listing, the one to keep first."""
    catalogue = graph.parts.catalogue
    kept, *others = catalogue.values_at("id", rows)
    pair = strongest[pairs.probability[strongest].argmax()]
    return Item(
        "duplicates",
        KINDS[pairs.kind[pair]],
        float(1 - pairs.probability[pair]),
        tuple(others),
        subject=catalogue.values_at("category", rows[:1])[0],
        proposal="remove",
        why=pairs.why(strongest),
        neighbours=(kept,),
    )


def _join(pairs: Pairs, joined: BoolArray, count: int) -> Int64Array:
    """Return a code for the cards that some pairs join, the likeliest first: (N,)."""
    from scipy.cluster.hierarchy import DisjointSet

    is_exact = joined & (pairs.kind == KINDS.index(EXACT))
    codes = components(pairs.first[is_exact], pairs.second[is_exact], count)
    sets = DisjointSet(range(count))
    near = np.flatnonzero(joined & ~is_exact)
    near = near[np.argsort(-pairs.probability[near], kind="stable")]
    for a, b in zip(
        codes[pairs.first[near]].tolist(), codes[pairs.second[near]].tolist(), strict=True
    ):
        if sets.connected(a, b) or sets.subset_size(a) + sets.subset_size(b) > MOST_NEAR:
            continue
        sets.merge(a, b)
    return np.array([sets[code] for code in codes.tolist()], dtype=np.int64)


def _strongest(pairs: Pairs, joined: BoolArray, count: int) -> Int64Array:
    """Return the likeliest pair that each card is in, MISSING where it is in none: (N,)."""
    found = np.full(count, MISSING, dtype=np.int64)
    some = np.flatnonzero(joined)
    some = some[np.argsort(pairs.probability[some], kind="stable")]
    for rows in (pairs.first, pairs.second):
        found[rows[some]] = some
    return found


def _differ(labels: Int64Array) -> bool:
    return len(np.unique(labels[labels != MISSING])) > 1


def _fullest_first(catalogue: Catalogue, filled: Int64Array) -> Int64Array:
    """Return the place of each card by whether it has a category, filled columns, and row: (N,).

    How long a text is plays no part: what is listed again is often longer by a few words.
    """
    import pandas as pd

    counted = {"id", IMAGE, *catalogue.text_modalities, *LABELLING, DIGEST}
    for name in catalogue.pieces.names:
        if name not in counted:
            column = pd.Series(catalogue.pieces.read(name), dtype=object)
            filled = filled + (column.notna() & column.ne("")).to_numpy()
    return np.lexsort((-filled, ~catalogue.has("category"))).argsort()
