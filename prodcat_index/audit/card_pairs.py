"""Pairs of cards that may be one product, judged by their titles, texts and pictures."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from prodcat_index.audit.graph import AuditGraph
from prodcat_index.audit.same_pictures import SAME, PictureMatches, match_pictures, nearest_pictures
from prodcat_index.audit.same_titles import TitlePairs, compare_titles
from prodcat_index.cards.card import DIGEST, IMAGE, Catalogue
from prodcat_index.cards.codes import components, encode, without_placeholders
from prodcat_index.cards.duplicates import normalised_texts
from prodcat_index.index.search import order_by_id
from prodcat_index.types import (
    MISSING,
    BoolArray,
    Float32Array,
    Float64Array,
    Int64Array,
    RowsLike,
    chunks,
    evenly_spaced,
)

# Nearest cards, and nearest pictures, that each card is compared with.
NEAR_CARDS, NEAR_PICTURES = 10, 5
# Pictures around one, of which the last says how dense they are there; and the most pairs that are
# laid over one another, which takes a core one to two minutes.
AROUND, MOST_COMPARED, ROWS_AT_ONCE = 10, 30_000, 8192
# Titles are alike if no more than this share of those of far cards, of which so many are compared,
# are as much alike; but within bounds.
FAR_SHARE, FAR_PAIRS, LEAST_ALIKE, MOST_ALIKE = 0.005, 5000, 0.6, 0.9
# Probability that cards with equal texts, with alike titles, are one listing where no pictures can
# be compared; and what is left of it where these differ.
EQUAL_TEXTS, ALIKE_TITLES, OTHER_PICTURE = 0.95, 0.7, 0.6
# Pairs of one picture that say little of how often variants share one.
FEW_PAIRS = 10

VARIANTS, PICTURE, TEXTS = "variants", "same picture", "same texts"
NEAR, EXACT = "near duplicates", "exact duplicates"
KINDS = ("", VARIANTS, PICTURE, TEXTS, NEAR, EXACT)


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
        # Titles that differ are never 100 % alike.
        texts = "" if np.isnan(alike) else f"titles {min(int(100 * alike), 99)}% alike"
        if texts and (self.equal_texts[pair] or self.titles.is_equal[pair]):
            texts = "equal texts" if self.equal_texts[pair] else "equal titles"
        return "; ".join(filter(None, (self.pictures.describe(pair), texts)))


def compare_cards(graph: AuditGraph, with_pictures: bool) -> tuple[Pairs, tuple[str, ...]]:
    """Compare the cards that are near one another, and those that share a text or a picture."""
    parts, catalogue = graph.parts, graph.parts.catalogue
    paths = catalogue.values(IMAGE) if with_pictures else [""] * len(catalogue)
    # Without digests, equal files are found as equal pixels.
    files = encode(catalogue.values(DIGEST) if any(paths) else paths)
    texts, _ = without_placeholders(encode(normalised_texts(catalogue)), parts.labels.codes)
    blocks = [block for block in parts.encoder_blocks if block.modality == IMAGE and any(paths)]
    around = [nearest_pictures(block.vectors, block.present, AROUND) for block in blocks]
    near_pictures = np.concatenate(
        [_in_turn(files), *(_with_nearest(rows[:, :NEAR_PICTURES]) for rows in around)]
    )
    near_cards = _with_nearest(graph.neighbours[:, :NEAR_CARDS])
    found = np.concatenate([near_cards, _in_turn(texts), near_pictures])
    # By ids, so that the result does not depend on the order of cards.
    by_id = order_by_id(catalogue.ids)
    place = by_id.argsort()
    first, second = by_id[np.unique(np.sort(place[found], axis=1), axis=0)].T
    far = _with_nearest(graph.neighbours[:, -1:])
    far = far[evenly_spaced(len(far), FAR_PAIRS)].T
    of_all = compare_titles(_titles(catalogue), *np.concatenate([[first, second], far], axis=1))
    titles = TitlePairs._make(column[: len(first)] for column in of_all)
    equal = (texts[first] == texts[second]) & (texts[first] != MISSING)
    by_texts = _judge_texts(titles, equal, _alike_from(of_all.alike[len(first) :]))
    keys = np.sort(place[near_pictures], axis=1) @ [len(catalogue), 1]
    asked = np.isin(place[first] * len(catalogue) + place[second], keys)
    asked |= equal | (titles.alike >= LEAST_ALIKE)
    has_picture = np.array([bool(path) for path in paths])
    asked &= has_picture[first] & has_picture[second]
    # Nothing is read where no picture could make one listing of the two.
    is_file = (files[first] == files[second]) & (files[first] != MISSING)
    asked &= is_file | ~by_texts.has_titles | (by_texts.common >= SAME) | by_texts.are_alike
    notes = []
    read = np.flatnonzero(asked & ~is_file)
    if len(read) > MOST_COMPARED:
        distances = [
            _distances(block.vectors, block.present, rows[:, -1], first[read], second[read])
            for block, rows in zip(blocks, around, strict=True)
        ]
        distance = np.min([*distances, np.full(len(read), np.inf)], axis=0)
        order = np.lexsort((-titles.alike[read], distance, ~equal[read]))
        asked[read[order[MOST_COMPARED:]]] = False
        notes.append(
            f"of {len(read):,} pairs of pictures, the {MOST_COMPARED:,} nearest for their "
            "surroundings were compared, those of equal texts first; the others by their texts"
        )
    pictures = match_pictures(paths, files, first, second, asked)
    if unread := int((asked & np.isnan(pictures.alike)).sum()):
        notes.append(
            "pairs of cards with a picture that cannot be read, or is of one colour, compared by "
            f"their texts alone: {unread:,}"
        )
    if any(paths) and not blocks:
        notes.append(
            "this index has no embeddings of pictures: only those of cards that are near one "
            "another by their texts are compared"
        )
    pictures = _without_placeholders(pictures, first, second, parts.labels.codes)
    probability, kind = _judge(by_texts, titles, equal, pictures)
    pairs = Pairs(first, second, titles, equal, pictures, probability, kind)
    return pairs, tuple(notes)


def _distances(
    vectors: RowsLike, present: BoolArray, around: Int64Array, first: Int64Array, second: Int64Array
) -> Float64Array:
    """Return how far P pairs are apart, for what is usual around each; infinite without vectors."""
    rows = np.flatnonzero(around != MISSING)
    width = np.ones(len(around))
    width[rows] = _apart(vectors, rows, around[rows])
    apart = _apart(vectors, first, second)
    apart /= np.maximum(np.sqrt(width[first] * width[second]), 1e-6)
    return np.where(present[first] & present[second], apart, np.inf)


def _apart(vectors: RowsLike, first: Int64Array, second: Int64Array) -> Float64Array:
    found = np.empty(len(first))
    for part in chunks(len(first), ROWS_AT_ONCE):
        gap = np.asarray(vectors[first[part]], dtype=np.float32) - vectors[second[part]]
        found[part] = np.sqrt(np.square(gap).sum(axis=1))
    return found


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


class ByTexts(NamedTuple):
    """What the texts of P pairs of cards say."""

    text: Float64Array  # (P,): probability that they are one listing twice, without pictures
    common: Float64Array  # (P,): the same where the picture is, if no variants share pictures
    are_alike: BoolArray  # (P,)
    are_near: BoolArray  # (P,): alike, and nothing of a size, code, or of both differs
    differ: BoolArray  # (P,): in a size, colour, number or code
    has_titles: BoolArray  # (P,)


def _judge_texts(titles: TitlePairs, equal: BoolArray, alike_from: float) -> ByTexts:
    """Judge each pair by its texts."""
    are_alike, differ = titles.alike >= alike_from, titles.codes | (titles.sizes > 0)
    are_near = are_alike & ~titles.of_both & ~differ
    text = np.where(equal, EQUAL_TEXTS, np.where(are_near, ALIKE_TITLES, 0.0))
    # With one picture, titles may be worded in other ways, and one may say more, but they may not
    # name another code or size.
    common = np.where(titles.of_both, titles.alike, np.sqrt(titles.alike))
    common = np.where(differ & ~equal, 0, common)
    return ByTexts(text, common, are_alike, are_near, differ, ~np.isnan(titles.alike))


def _judge(
    said: ByTexts, titles: TitlePairs, equal: BoolArray, pictures: PictureMatches
) -> tuple[Float64Array, Int64Array]:
    """Return the probability that each pair is one listing twice, and its kind."""
    picture = pictures.probability
    is_same, is_other = picture >= SAME, picture < SAME
    # The more often one photo stands for several sizes or colours, the less does it say of titles
    # that differ in words.
    reworded = is_same & said.has_titles & ~equal
    shared = (reworded & said.differ).sum() / (FEW_PAIRS + reworded.sum())
    common = said.common * np.where(equal, 1, 1 - shared)
    joint = picture * np.where(said.has_titles, 1 - (1 - said.text) * (1 - common), 1)
    alone = np.where(is_other, said.text * OTHER_PICTURE, said.text)
    probability = np.where(is_same, joint, alone)
    is_exact = equal & (pictures.exact | np.isnan(picture))
    # Other words may be those that tell the categories apart.
    is_variant = (titles.alike == 1) | (is_same & ~titles.of_both)
    is_variant &= said.are_alike & said.differ
    conditions = {
        EXACT: np.where(said.has_titles, is_exact, pictures.exact),
        PICTURE: is_same & ~said.has_titles,
        NEAR: (is_same & (probability >= SAME)) | (said.are_near & np.isnan(picture)),
        TEXTS: (equal | said.are_near) & is_other,
        VARIANTS: is_variant,
    }
    kind = np.select(list(conditions.values()), [KINDS.index(name) for name in conditions])
    return probability, kind


def _alike_from(far: Float32Array) -> float:
    """Return how much alike titles are that few titles of far cards are: no less, no more."""
    known = far[~np.isnan(far)]
    bar = np.quantile(known, 1 - FAR_SHARE) if len(known) else LEAST_ALIKE
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
    return [next(filter(None, texts), "") for texts in zip(*columns, strict=True)]
