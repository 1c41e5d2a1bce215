"""The check ``duplicates``: one product listed twice, and one product in several categories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from prodcat_index.audit.check import CheckName, CheckResult, Item
from prodcat_index.audit.graph import AuditGraph, NewCards
from prodcat_index.audit.same_pictures import SAME, PictureMatches, match_pictures, nearest_pictures
from prodcat_index.cards.card import DIGEST, IMAGE, Catalogue
from prodcat_index.cards.codes import components, encode, join_codes, without_placeholders
from prodcat_index.cards.duplicates import normalised_texts
from prodcat_index.cards.variants import TitlePairs, compare_titles
from prodcat_index.index.search import order_by_id
from prodcat_index.types import MISSING, BoolArray, Float64Array, Int64Array, evenly_spaced

# Nearest cards, and nearest pictures, that each card is compared with.
NEAR_CARDS, NEAR_PICTURES = 10, 5
# Titles are alike if no more than this share of those of far cards, of which so many are compared,
# are as much alike; but within bounds.
FAR_SHARE, FAR_PAIRS, LEAST_ALIKE, MOST_ALIKE = 0.005, 5000, 0.6, 0.9
# Probability that cards with equal texts, with alike titles, are one listing where no pictures can
# be compared; and what is left of it where these differ.
EQUAL_TEXTS, ALIKE_TITLES, OTHER_PICTURE = 0.95, 0.7, 0.6
# No more near duplicates are in one group, so that chains end; of equal cards there may be more.
MOST_NEAR = 20

VARIANTS, PICTURE, TEXTS = "variants", "same picture", "same texts"
NEAR, EXACT = "near duplicates", "exact duplicates"
CATEGORIES = "same product, different category"
KINDS = ("", VARIANTS, PICTURE, TEXTS, NEAR, EXACT)
ORDER = (CATEGORIES, EXACT, NEAR, TEXTS, PICTURE)


class Pairs(NamedTuple):
    """P pairs of cards that may be one product, and what speaks for it."""

    first: Int64Array  # (P,): rows
    second: Int64Array
    titles: TitlePairs
    equal_texts: BoolArray  # (P,)
    pictures: PictureMatches
    probability: Float64Array  # (P,): that they are one listing twice
    kind: Int64Array  # (P,): place in KINDS

    def why(self, several: Int64Array) -> str:
        """Return the evidence of the likeliest of some pairs, MISSING among them, in clauses."""
        known = several[several != MISSING]
        if not len(known):
            return ""
        pair = int(known[self.probability[known].argmax()])
        alike = self.titles.alike[pair]
        texts = "" if np.isnan(alike) else f"titles {alike:.0%} alike"
        if texts and (self.equal_texts[pair] or self.titles.is_equal[pair]):
            texts = "equal texts" if self.equal_texts[pair] else "equal titles"
        return "; ".join(filter(None, (self.pictures.describe(pair), texts)))


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
        pairs, notes = _compare(graph, self.pictures)
        is_twice = pairs.probability >= self.flagged_from
        is_one = is_twice | (pairs.kind == KINDS.index(VARIANTS))
        listings, families = (_join(pairs, each, len(catalogue)) for each in (is_twice, is_one))
        products = join_codes([graph.groups, families])
        strongest = _strongest(pairs, is_one, len(catalogue))
        scores = np.where(_is_empty(catalogue), np.nan, 1.0)
        for rows in (pairs.first, pairs.second):
            np.minimum.at(scores, rows[is_twice], 1 - pairs.probability[is_twice])
        flagged = scores <= 1 - self.flagged_from
        items = []
        for rows in _groups(products):
            if _differ(labels[rows]):
                item, wrong, own = _one_category(graph, rows, pairs.why(strongest[rows]))
                scores[wrong], flagged[wrong] = np.fmin(scores[wrong], own), True
                items.append(item)
        split, repeated, place = len(items), _groups(listings), _fullest_first(catalogue)
        for rows in repeated:
            if not _differ(labels[rows]):
                rows = rows[np.argsort(place[rows])]
                items.append(_one_listing(graph, rows, pairs, strongest[rows]))
        items.sort(key=lambda item: (ORDER.index(item.kind), item.score, item.cards))
        superfluous = sum(len(rows) - 1 for rows in repeated)
        varied = [rows for rows in _groups(products) if len(set(listings[rows].tolist())) > 1]
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
    """Return a code for the cards that some pairs join, the likeliest first.

    Near ones join no more than MOST_NEAR cards, counting equal cards once.
    """
    is_exact = joined & (pairs.kind == KINDS.index(EXACT))
    codes = components(pairs.first[is_exact], pairs.second[is_exact], count)
    parent, size = np.arange(count).tolist(), [1] * count

    def root(code: int) -> int:
        while parent[code] != code:
            parent[code] = parent[parent[code]]
            code = parent[code]
        return code

    near = np.flatnonzero(joined & ~is_exact)
    for pair in near[np.argsort(-pairs.probability[near], kind="stable")].tolist():
        a, b = root(int(codes[pairs.first[pair]])), root(int(codes[pairs.second[pair]]))
        if a != b and size[a] + size[b] <= MOST_NEAR:
            parent[max(a, b)] = min(a, b)
            size[min(a, b)] += size[max(a, b)]
    return np.array([root(code) for code in codes.tolist()], dtype=np.int64)


def _strongest(pairs: Pairs, joined: BoolArray, count: int) -> Int64Array:
    """Return the likeliest pair that each card is in, MISSING where it is in none: (N,)."""
    found = np.full(count, MISSING, dtype=np.int64)
    some = np.flatnonzero(joined)
    some = some[np.argsort(pairs.probability[some], kind="stable")]
    for rows in (pairs.first, pairs.second):
        found[rows[some]] = some
    return found


def _groups(codes: Int64Array) -> list[Int64Array]:
    """Return the rows of each code that several have."""
    order = np.argsort(codes, kind="stable")
    cuts = np.flatnonzero(np.diff(codes[order])) + 1
    return [rows for rows in np.split(order, cuts) if len(rows) > 1]


def _differ(labels: Int64Array) -> bool:
    return len(np.unique(labels[labels != MISSING])) > 1


def _is_empty(catalogue: Catalogue) -> BoolArray:
    """Find the cards with nothing that can be compared: (N,)."""
    has_any = [catalogue.has(name) for name in (IMAGE, *catalogue.text_modalities)]
    return ~np.any(has_any, axis=0)


def _fullest_first(catalogue: Catalogue) -> Int64Array:
    """Return the place of each card by how much it says, and then by id: (N,)."""
    filled = np.sum([catalogue.has(name) for name in (IMAGE, *catalogue.text_modalities)], axis=0)
    said = np.array([len(text) for text in normalised_texts(catalogue)])
    place = order_by_id(catalogue.ids).argsort()
    return np.lexsort((place, -said, -filled)).argsort()


def _compare(graph: AuditGraph, with_pictures: bool) -> tuple[Pairs, tuple[str, ...]]:
    """Compare the cards that are near one another, and those that share a text or a picture."""
    parts, catalogue = graph.parts, graph.parts.catalogue
    paths = catalogue.values(IMAGE) if with_pictures else [""] * len(catalogue)
    # Without digests, equal files are found as equal pixels.
    files = encode(catalogue.values(DIGEST) if any(paths) else paths)
    texts, _ = without_placeholders(encode(normalised_texts(catalogue)), parts.labels.codes)
    pictured = [
        _with_nearest(nearest_pictures(block.vectors, block.present, NEAR_PICTURES))
        for block in parts.encoder_blocks
        if block.modality == IMAGE and any(paths)
    ]
    near_cards = _with_nearest(graph.neighbours[:, :NEAR_CARDS])
    near_pictures = np.concatenate([_in_turn(files), *pictured])
    found = np.concatenate([near_cards, _in_turn(texts), near_pictures])
    # By ids, so that the result does not depend on the order of cards.
    by_id = order_by_id(catalogue.ids)
    place = by_id.argsort()
    first, second = by_id[np.unique(np.sort(place[found], axis=1), axis=0)].T
    titles = compare_titles(_titles(catalogue), first, second)
    equal = (texts[first] == texts[second]) & (texts[first] != MISSING)
    keys = np.sort(place[near_pictures], axis=1) @ [len(catalogue), 1]
    asked = np.isin(place[first] * len(catalogue) + place[second], keys)
    asked |= equal | (titles.alike >= LEAST_ALIKE)
    pictures = match_pictures(paths, files, first, second, asked)
    has_picture = np.array([bool(path) for path in paths])
    asked &= has_picture[first] & has_picture[second]
    notes = []
    if unread := int((asked & np.isnan(pictures.alike)).sum()):
        notes.append(
            "pairs of cards with a picture that cannot be read, or is of one colour, compared by "
            f"their texts alone: {unread:,}"
        )
    if any(paths) and not pictured:
        notes.append(
            "this index has no embeddings of pictures: only those of cards that are near one "
            "another by their texts are compared"
        )
    pictures = _without_placeholders(pictures, first, second, parts.labels.codes)
    probability, kind = _judge(titles, equal, pictures, _alike_from(graph, _titles(catalogue)))
    pairs = Pairs(first, second, titles, equal, pictures, probability, kind)
    return pairs, tuple(notes)


def _without_placeholders(
    pictures: PictureMatches, first: Int64Array, second: Int64Array, categories: Int64Array
) -> PictureMatches:
    """Count pictures that many cards of several categories share as not compared."""
    is_same = pictures.probability >= SAME
    codes = components(first[is_same], second[is_same], len(categories))
    _, shared = without_placeholders(codes, categories)
    unknown = is_same & shared[first]
    return pictures._replace(
        alike=np.where(unknown, np.float32(np.nan), pictures.alike), exact=pictures.exact & ~unknown
    )


def _judge(
    titles: TitlePairs, equal: BoolArray, pictures: PictureMatches, alike_from: float
) -> tuple[Float64Array, Int64Array]:
    """Return the probability that each pair is one listing twice, and its kind."""
    picture, has_titles = pictures.probability, ~np.isnan(titles.alike)
    is_same, is_other = picture >= SAME, picture < SAME
    are_alike = titles.alike >= alike_from
    differ = titles.codes | (titles.sizes > 0)
    are_near = are_alike & ~titles.of_both & ~differ
    text = np.where(equal, EQUAL_TEXTS, np.where(are_near, ALIKE_TITLES, 0.0))
    # With one picture, titles may be worded in other ways, and one may say more, but they may not
    # name another code or size.
    common = np.where(titles.of_both, titles.alike, np.sqrt(titles.alike))
    worded = np.where(differ & ~equal, 0, 1 - (1 - text) * (1 - common))
    joint = picture * np.where(has_titles, worded, 1)
    probability = np.where(is_same, joint, np.where(is_other, text * OTHER_PICTURE, text))
    is_variant = are_alike & differ & (is_same | ~titles.of_both)
    conditions = {
        EXACT: np.where(has_titles, equal & (pictures.exact | np.isnan(picture)), pictures.exact),
        PICTURE: is_same & ~has_titles,
        NEAR: (is_same & (probability >= SAME)) | (are_near & np.isnan(picture)),
        TEXTS: (equal | are_near) & is_other,
        VARIANTS: is_variant,
    }
    kind = np.select(list(conditions.values()), [KINDS.index(name) for name in conditions])
    return probability, kind


def _alike_from(graph: AuditGraph, titles: Sequence[str]) -> float:
    """Return how much alike titles are that few titles of far cards are: no less, no more."""
    far = graph.neighbours[:, -1]
    row = np.flatnonzero(far != MISSING)[evenly_spaced(int((far != MISSING).sum()), FAR_PAIRS)]
    alike = compare_titles(titles, row, far[row]).alike
    alike = alike[~np.isnan(alike)]
    bar = np.quantile(alike, 1 - FAR_SHARE) if len(alike) else LEAST_ALIKE
    return float(np.clip(bar, LEAST_ALIKE, MOST_ALIKE))


def _with_nearest(neighbours: Int64Array) -> Int64Array:
    """Return pairs of each card and its neighbours: (P, 2)."""
    row, column = np.nonzero(neighbours >= 0)
    return np.stack([row, neighbours[row, column]], axis=1)


def _in_turn(codes: Int64Array) -> Int64Array:
    """Return pairs of each card and the next that has the same code: (P, 2)."""
    order = np.argsort(codes, kind="stable")
    order = order[codes[order] != MISSING]
    is_same = codes[order[1:]] == codes[order[:-1]]
    return np.stack([order[:-1][is_same], order[1:][is_same]], axis=1)


def _titles(catalogue: Catalogue) -> list[str]:
    """Return the titles, of cards without one the first text that is there."""
    columns = [catalogue.values(name) for name in catalogue.text_modalities]
    return [next(filter(None, texts), "") for texts in zip(*columns, strict=True)] or [""] * len(
        catalogue
    )
