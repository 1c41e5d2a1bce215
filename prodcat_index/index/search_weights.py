"""Weights that find similar products, chosen on pairs of cards that are known to belong together.

Where the cards have groups, a card is to find the other variants of its group. Where they have
none and several encoders embed the same text, the text with words left out is to find its card.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from prodcat_index.cards.duplicates import read_group_column
from prodcat_index.index.block import Block
from prodcat_index.index.fusion import effective_weights, weight_vector
from prodcat_index.index.parts import IndexParts, equal_weights
from prodcat_index.types import (
    MISSING,
    BoolArray,
    Float32Array,
    Float64Array,
    Int64Array,
    evenly_spaced,
)

# Cards that are looked for, at most: a few hundred tell weights apart, and cost about a second.
SAMPLE = 300
# Other cards that they are looked for among.
CANDIDATES = 5000
# Variants of a card that count, at most.
MOST_MATES = 10
# Of fewer pairs, the best weights are the best by chance.
FEWEST_PAIRS = 40
# What the weight of a block is multiplied by, in turn; never 0: a query may have that block alone.
FACTORS = (0.25, 0.5, 2.0, 4.0)
ROUNDS = 2
DROPPED_WORDS = 1 / 3


@dataclass(frozen=True)
class Pairs:
    """n queries, and the M cards at most that each is to find before all others."""

    similarities: Float32Array  # (B, n, C): with candidates, absent ones included
    present: BoolArray  # (n, B)
    excluded: Int64Array  # (n,): place of the query itself, MISSING if it counts
    mates: Int64Array  # (n, M): places of the cards to find, MISSING after the last
    halves: BoolArray  # (n,): weights are chosen on one half and must win on the other

    def found(self, weights: Float64Array) -> Float64Array:
        """Return for each query which share of its mates is among as many nearest cards."""
        shared = effective_weights(weights, self.present).astype(np.float32)
        total = np.einsum("nb,bnc->nc", shared, self.similarities)
        own = np.flatnonzero(self.excluded >= 0)
        total[own, self.excluded[own]] = -np.inf
        known = self.mates >= 0
        wanted, hits = known.sum(axis=1), np.zeros(len(total))
        for mate, here in zip(self.mates.T, known.T, strict=True):
            nearer = total > np.take_along_axis(total, np.maximum(mate, 0)[:, None], axis=1)
            hits += here & (nearer.sum(axis=1) < wanted)
        return hits * shared.any(axis=1) / wanted


def choose_search_weights(parts: IndexParts) -> Mapping[str, float]:
    """Return the weights that find known pairs best, if they are clearly better than equal."""
    blocks, equal = parts.encoder_blocks, equal_weights(parts.blocks)
    rng = np.random.default_rng(0)
    pairs = (_variants(parts, rng) or _shortened(parts, rng)) if len(blocks) > 1 else None
    if pairs is None:
        return equal
    start = weight_vector(equal, [block.name for block in blocks])
    best = _climb(pairs, start)
    gain = (pairs.found(best) - pairs.found(start))[~pairs.halves]
    # By more than chance: the other half has not been seen.
    if not len(gain) or gain.mean() <= gain.std() / np.sqrt(len(gain)):
        return equal
    return dict(zip(equal, best.tolist(), strict=True))


def _climb(pairs: Pairs, start: Float64Array) -> Float64Array:
    """Change the weight of one block after the other for the better."""
    best, value = start, float(pairs.found(start)[pairs.halves].mean())
    seen = pairs.present.any(axis=0)
    for _ in range(ROUNDS):
        for block in np.flatnonzero(seen):
            for factor in FACTORS:
                tried = best.copy()
                tried[block] *= factor
                # What no query has keeps its share.
                tried[seen] *= start[seen].sum() / tried[seen].sum()
                found = float(pairs.found(tried)[pairs.halves].mean())
                if found > value:
                    best, value = tried, found
    return best


def _variants(parts: IndexParts, rng: np.random.Generator) -> Pairs | None:
    """Return cards whose variants are to be found; None where there are too few."""
    blocks = parts.encoder_blocks
    groups, _ = read_group_column(parts.catalogue)
    there = np.stack([block.present for block in blocks], axis=1).any(axis=1)
    groups[~there] = MISSING
    sizes = np.bincount(groups[groups >= 0], minlength=1)
    rows = _sampled(np.flatnonzero((groups >= 0) & (sizes[groups] > 1)), rng)
    if len(rows) < FEWEST_PAIRS:
        return None
    mates = [np.flatnonzero((groups == groups[row]) & (groups >= 0)) for row in rows]
    mates = [own[own != row][:MOST_MATES] for own, row in zip(mates, rows, strict=True)]
    vectors = [block.vectors[rows].astype(np.float32) for block in blocks]
    present = np.stack([block.present[rows] for block in blocks], axis=1)
    _, number = np.unique(groups[rows], return_inverse=True)
    return _pairs(parts, vectors, present, rows, mates, number % 2 == 0)


def _shortened(parts: IndexParts, rng: np.random.Generator) -> Pairs | None:
    """Return texts with words left out, of the first modality that several encoders embed.

    They say nothing about other modalities: the longest text would always win. None where there
    are too few.
    """
    blocks = parts.encoder_blocks
    counts = Counter(block.modality for block in blocks)
    several = [name for name in parts.catalogue.text_modalities if counts[name] > 1]
    if not several:
        return None
    texts = parts.catalogue.values(several[0])
    rows = _sampled(np.flatnonzero([bool(text) for text in texts]), rng)
    if len(rows) < FEWEST_PAIRS:
        return None
    values = [_without_words(texts[row], rng) for row in rows]
    encoded = [
        block.encode_queries(values if block.modality == several[0] else [""] * len(rows))
        for block in blocks
    ]
    vectors, present = [e.vectors for e in encoded], np.stack([e.present for e in encoded], axis=1)
    own = [np.array([row]) for row in rows]
    halves = np.arange(len(rows)) % 2 == 0
    return _pairs(parts, vectors, present, np.full(len(rows), MISSING), own, halves)


def _sampled(rows: Int64Array, rng: np.random.Generator) -> Int64Array:
    return np.sort(rng.choice(rows, SAMPLE, replace=False)) if len(rows) > SAMPLE else rows


def _without_words(text: str, rng: np.random.Generator) -> str:
    words = text.split()
    return " ".join(word for word in words if rng.random() >= DROPPED_WORDS) or text


def _pairs(
    parts: IndexParts,
    vectors: Sequence[Float32Array],
    present: BoolArray,
    rows: Int64Array,
    mates: Sequence[Int64Array],
    halves: BoolArray,
) -> Pairs | None:
    """Compare queries, of which `rows` are cards, with the cards to find and with some others."""
    some = evenly_spaced(len(parts.catalogue), CANDIDATES)
    candidates = np.unique(np.concatenate([some, rows[rows >= 0], *mates]))
    wanted = np.full((len(mates), max(map(len, mates))), MISSING, dtype=np.int64)
    for own, place in zip(mates, wanted, strict=True):
        place[: len(own)] = np.searchsorted(candidates, own)
    blocks = parts.encoder_blocks
    expected = parts.space_of(blocks).expected_similarities(vectors)
    similarities = [
        _compare(block, queries, candidates, absent)
        for block, queries, absent in zip(blocks, vectors, expected.T, strict=True)
    ]
    return Pairs(
        similarities=np.stack(similarities),
        present=present,
        excluded=np.where(rows >= 0, np.searchsorted(candidates, rows), MISSING),
        mates=wanted,
        halves=halves,
    )


def _compare(
    block: Block, queries: Float32Array, candidates: Int64Array, expected: Float64Array
) -> Float32Array:
    cosines = queries @ block.vectors[candidates].astype(np.float32).T
    return np.where(block.present[candidates], cosines, expected[:, None]).astype(np.float32)
