"""New categories: listings that fit no category of the index, put together and named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from prodcat_index.audit.check import CheckName, CheckResult, Item
from prodcat_index.audit.graph import AuditGraph, NewCards
from prodcat_index.cards.card import Catalogue
from prodcat_index.encoders.ngrams import NgramVectorizer, split_words
from prodcat_index.errors import QueryError
from prodcat_index.findings import counted
from prodcat_index.index.familiarity import hidden_categories
from prodcat_index.index.learned import as_queries
from prodcat_index.index.parts import IndexParts, equal_weights
from prodcat_index.types import (
    CATEGORY_SEPARATOR,
    BoolArray,
    Float32Array,
    Float64Array,
    FloatingArray,
    Int64Array,
    evenly_spaced,
)

# Cards that are compared pair by pair, at most: 32 MB of similarities.
MOST = 2000
# Cards of the index that show how alike the cards of one category are, at most.
SAMPLE = 1000
# Levels of similarity that are tried on them.
LEVELS = 60
# Words of a name, and words that are shown.
NAME_WORDS, SHOWN_WORDS = 2, 8
# The parent of fewer answers than this share is not the place for all cards of a group.
MAJORITY = 0.75
# Words that texts of more than this share of the categories have name none of them, by so many
# cards of the index.
COMMON, COMMON_CARDS = 1 / 3, 10_000


@dataclass(frozen=True)
class NewCategories:
    """Find listings of a new catalogue that are of no category of the index, and group them.

    A listing is new where `predict` calls it so: of the listings of known categories, at most 5 %
    are. Groups are clusters by average linkage of their words and pictures, at the level at which
    cards of the index fall into their own categories best. A group is named by the words that
    it has and the index has not (c-TF-IDF: M. Grootendorst, "BERTopic", 2022), without those that
    many categories of the index have in their texts.

    Parameters
    ----------
    least_cards
        Number of cards that make a category; smaller groups are listed as single cards.
    """

    least_cards: int = 3
    name: CheckName = field(default="novelty", init=False)

    def run(self, graph: AuditGraph, new: NewCards | None = None) -> CheckResult:
        """Check the new cards; the score of each is its probability of a known category.

        Raises QueryError without new cards, or where the index does not tell how likely they are
        to be of a known category.
        """
        if new is None:
            raise QueryError("New categories are looked for among new cards: name a new catalogue.")
        known, of_none = new.decision.known, new.decision.of_none
        if known is None or of_none is None:
            raise QueryError(
                "This index does not tell new categories from its own, which takes 100 labelled "
                "cards with texts or pictures; build it again with as many."
            )
        parts, ids = graph.parts, new.catalogue.ids
        # In the order of their ids: the result does not depend on that of the cards.
        rows = np.array(sorted(np.flatnonzero(of_none), key=lambda row: (known[row], ids[row])))
        rows = rows[:MOST].astype(np.int64)
        groups = group_cards(parts, new, rows)
        chosen = [rows[groups == group] for group in np.unique(groups)]
        chosen = [own for own in chosen if len(own) >= self.least_cards]
        # The more cards, and the surer that they are new, the more there is to gain.
        chosen.sort(key=lambda own: (-float((1 - known[own]).sum()), ids[own[0]]))
        named = zip(chosen, _name_words(parts, new.catalogue, chosen), strict=True)
        items = [_item(parts, new, known, own, words) for own, words in named]
        clustered = {card for item in items for card in item.cards}
        alone = (row for row in rows if ids[row] not in clustered)
        items += [_item(parts, new, known, np.array([row])) for row in alone]
        count, categories = int(of_none.sum()), sum(len(item.cards) > 1 for item in items)
        note = f"of {count:,} new listings, the {MOST:,} least known were compared and are listed"
        return CheckResult(
            name=self.name,
            ids=ids,
            scores=known,
            flagged=of_none,
            items=items,
            summary=(
                f"{count:,} of {counted(len(ids), 'listings')} fit no category of the index; "
                f"{len(clustered):,} of them make {counted(categories, 'new categories')}."
            ),
            details={"new": count, "categories": categories},
            notes=(note,) if count > MOST else (),
        )


def group_cards(parts: IndexParts, new: NewCards, rows: Int64Array) -> Int64Array:
    """Put cards at some rows, (n,), into groups of like ones: their numbers, (n,), from 1."""
    if len(rows) < 2:
        return np.ones(len(rows), dtype=np.int64)
    count = len(parts.encoder_blocks)
    vectors = [own[rows] for own in new.queries.vectors[:count]]
    similar = _similarities(parts, vectors, new.queries.present[rows, :count], new.catalogue, rows)
    return cut(tree_of(similar), _level(parts))


def _level(parts: IndexParts) -> float:
    """Return the distance at which cards of the index fall into their own categories best."""
    codes, blocks = parts.labels.codes, parts.encoder_blocks
    # As many kinds as may be new, rather than all.
    usual = np.isin(codes, hidden_categories(parts.labels.sizes)) & parts.found
    if len(np.unique(codes[usual])) < 2:
        usual = (codes >= 0) & parts.found
    rows = np.flatnonzero(usual)
    rows = rows[evenly_spaced(len(rows), SAMPLE)]
    present = np.stack([block.present[rows] for block in blocks], axis=1)
    vectors = [as_queries(block, rows) for block in blocks]
    similar = _similarities(parts, vectors, present, parts.catalogue, rows)
    return best_level(tree_of(similar), codes[rows])


def best_level(tree: Float64Array, codes: Int64Array) -> float:
    """Return the distance at which a tree of labelled cards falls into their categories best."""
    from sklearn.metrics import adjusted_rand_score

    levels = np.unique(np.quantile(tree[:, 2], np.linspace(0, 1, LEVELS)))
    scores = np.array([adjusted_rand_score(codes, cut(tree, level)) for level in levels])
    # Where categories are well apart, many levels are best: the middle of these.
    best = np.flatnonzero(scores == scores.max())
    return float(levels[best[0]] + levels[min(best[-1] + 1, len(levels) - 1)]) / 2


def _similarities(
    parts: IndexParts,
    vectors: Sequence[Float32Array],
    present: BoolArray,
    catalogue: Catalogue,
    rows: Int64Array,
) -> Float64Array:
    """Compare n cards, (n, n), by the words of each text and the encoders' rows of the rest.

    Words are weighed by how rare they are among these cards: what an encoder was fitted to are
    those of the index, and the new ones, which tell most, are left out of its rows.
    """
    blocks = parts.encoder_blocks
    texts = {
        name: _compare_words(catalogue.values_at(name, rows))
        for name in {block.modality for block in blocks if block.kind == "text"}
    }
    cosines = (
        texts[block.modality] if block.kind == "text" else own @ own.T
        for block, own in zip(blocks, vectors, strict=True)
    )
    return weighted_mean(cosines, present, equal_weights(blocks).values())


def weighted_mean(
    cosines: Iterable[FloatingArray], present: BoolArray, weights: Iterable[float]
) -> Float64Array:
    """Return the weighted mean of the cosines, each (n, n), of the blocks that two cards have."""
    total, weight = (np.zeros((len(present), len(present))) for _ in range(2))
    for own, there, share in zip(cosines, present.T, weights, strict=True):
        both = share * (there[:, None] & there)
        total += both * own
        weight += both
    return np.divide(total, weight, out=np.zeros_like(total), where=weight > 0)


def _compare_words(texts: Sequence[str]) -> FloatingArray:
    from scipy.sparse import csr_matrix

    rows = NgramVectorizer.fit({"": texts}).transform([{"": text} for text in texts])
    matrix = csr_matrix((rows.values, rows.features, rows.starts), shape=(len(rows), rows.width))
    # The words and the runs of characters are of unit length each.
    return np.asarray((matrix @ matrix.T).toarray() / 2)


def tree_of(similarities: Float64Array) -> Float64Array:
    """Join like cards into a tree by average linkage, as `scipy` has it."""
    from scipy.cluster.hierarchy import linkage

    upper = np.triu_indices(len(similarities), 1)
    return np.asarray(linkage(np.maximum(1 - similarities[upper], 0), "average"))


def cut(tree: Float64Array, level: float) -> Int64Array:
    """Return the group of each card of a tree at a distance, from 1."""
    from scipy.cluster.hierarchy import fcluster

    return np.asarray(fcluster(tree, level, "distance"), dtype=np.int64)


def _name_words(
    parts: IndexParts, catalogue: Catalogue, groups: Sequence[Int64Array]
) -> list[list[str]]:
    """Return the words of each group's titles, those first that tell it from all other cards."""
    title = "title" if "title" in parts.modalities else next(iter(catalogue.text_modalities), "")
    if not title or title not in parts.catalogue.text_modalities:
        return [[] for _ in groups]

    def count(texts: Sequence[str]) -> Counter[str]:
        return Counter(word for text in texts for word in _naming(text))

    theirs = count(parts.catalogue.values(title))
    own = [count(catalogue.values_at(title, rows)) for rows in groups]
    common = _common_words(parts)
    # Each category of the index counts as one class, and so does each group.
    classes = len(parts.labels.names) + len(groups)
    everywhere = theirs + sum(own, Counter())
    usual = sum(everywhere.values()) / max(1, classes)
    return [
        sorted(
            counts.keys() - common,
            key=lambda word: (-counts[word] * np.log1p(usual / everywhere[word]), word),
        )
        for counts in own
    ]


def _common_words(parts: IndexParts) -> set[str]:
    """Return the words, such as *with*, that texts of many categories have: titles may be short."""
    codes = parts.labels.codes
    rows = np.flatnonzero(codes >= 0)
    rows = rows[evenly_spaced(len(rows), COMMON_CARDS)]
    pairs = {
        (word, code)
        for name in parts.catalogue.text_modalities
        for text, code in zip(parts.catalogue.values_at(name, rows), codes[rows], strict=True)
        for word in _naming(text)
    }
    found = Counter(word for word, _ in pairs)
    least = max(2, COMMON * len(parts.labels.names))
    return {word for word, count in found.items() if count > least}


def _naming(text: str) -> set[str]:
    return {word for word in split_words(text) if word.isalpha() and len(word) > 1}


def _item(
    parts: IndexParts,
    new: NewCards,
    known: Float64Array,
    rows: Int64Array,
    words: Sequence[str] | None = None,
) -> Item:
    """Return the item of a new category, named by its words, or of a card that is in none."""
    codes, near = new.result.vote.categories[rows, 0], new.neighbours[rows, 0]
    parent, nearest = _place([parts.labels.names[code] for code in codes[codes >= 0]], len(rows))
    mean = float(known[rows].mean())
    kind, proposal = "fits no category", ""
    why = f"Its probability of a known category is {mean:.2f}; the likeliest is {nearest}."
    if words is not None:
        kind, name = "new category", " ".join(words[:NAME_WORDS])

        proposal = CATEGORY_SEPARATOR.join(part for part in (parent, name) if part) if name else ""
        where = f"look like a new child of {parent}" if parent else f"are nearest to {nearest}"
        why = (
            f"{counted(len(rows), 'listings')} are alike and like no category of the index: "
            f"their mean probability of a known one is {mean:.2f}. They {where}."
        )
    return Item(
        check="novelty",
        kind=kind,
        score=mean,
        cards=tuple(new.catalogue.ids[row] for row in rows),
        subject=nearest,
        proposal=proposal,
        why=why,
        # The card that is nearest to each of the first few, once each.
        neighbours=tuple(
            dict.fromkeys(parts.catalogue.values_at("id", near[near >= 0][:SHOWN_WORDS]))
        ),
        words=tuple((words or ())[:SHOWN_WORDS]),
    )


def _place(answers: Sequence[str], cards: int) -> tuple[str, str]:
    """Return the longest parent of nearly all answers to some cards, or none; the usual answer."""
    ranked = sorted(Counter(answers).items(), key=lambda pair: (-pair[1], pair[0]))
    nearest = ranked[0][0] if ranked else ""
    path = nearest.split(CATEGORY_SEPARATOR)
    for depth in range(len(path) - 1, 0, -1):
        parent = CATEGORY_SEPARATOR.join(path[:depth])
        inside = sum(name.startswith(parent + CATEGORY_SEPARATOR) for name in answers)
        if inside >= MAJORITY * cards:
            return parent, nearest
    return "", nearest
