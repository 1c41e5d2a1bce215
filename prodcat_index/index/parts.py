"""The parts that an index consists of, and queries of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TypeAlias

import numpy as np

from prodcat_index.cards.card import Catalogue
from prodcat_index.index.approximate import ApproximateSearcher, build_searcher, is_due
from prodcat_index.index.block import Block, block_values, listing_values
from prodcat_index.index.encoded_listings import Queries
from prodcat_index.index.folder import OpenIndex
from prodcat_index.index.fusion import check_weights, weight_vector
from prodcat_index.index.kinds import IndexChoice, Kind
from prodcat_index.index.learned import FittedModel, LearnedBlock, head_log_proba
from prodcat_index.index.manifest import (
    LEARNED,
    SCORES,
    Choices,
    Decided,
    DriftRecord,
    JournalEntry,
)
from prodcat_index.index.search import SearchSpace
from prodcat_index.index.searchers import FlatSearcher
from prodcat_index.learning.head import add_up, first_columns_of
from prodcat_index.learning.text_scores import TextScoresEncoder, log_probabilities
from prodcat_index.types import (
    MISSING,
    BoolArray,
    Float32Array,
    Float64Array,
    FloatingArray,
    Int64Array,
)
from prodcat_index.voting.calibration import Calibration
from prodcat_index.voting.tuning import Setting, Tuning
from prodcat_index.voting.vote import VoteParameters

AnySearcher: TypeAlias = FlatSearcher | ApproximateSearcher
NOT_EMBEDDED = "cards have nothing that this index can embed (not found, without a vote)"


@dataclass(frozen=True)
class Labels:
    """The categories of the cards as numbers."""

    names: tuple[str, ...]  # the C categories, sorted
    codes: Int64Array  # (N,): position in names, MISSING for an unlabelled card
    keys: tuple[str, ...]  # the shop's own key of each category, or empty

    @classmethod
    def from_catalogue(cls, catalogue: Catalogue) -> Labels:
        """Give numbers to the categories of a catalogue."""
        coded = catalogue.coded_labels
        last = np.full(len(coded.pairs), MISSING)
        last[coded.codes] = np.arange(len(coded.codes))
        # Pairs in the order of their last cards: the last key of a category counts.
        pairs = [coded.pairs[place] for place in np.argsort(last) if last[place] != MISSING]
        keys = {category: key for category, key in pairs if key}
        names = tuple(sorted({category for category, _ in pairs} - {""}))
        code = {name: number for number, name in enumerate(names)}
        codes = np.array([code.get(name, MISSING) for name, _ in coded.pairs], dtype=np.int64)
        return cls(names, codes[coded.codes], tuple(keys.get(name, "") for name in names))

    @cached_property
    def code_of(self) -> dict[str, int]:
        """Number of each category by its name."""
        return {name: code for code, name in enumerate(self.names)}

    @cached_property
    def sizes(self) -> Int64Array:
        """Number of cards of each category: (C,)."""
        return np.bincount(self.codes[self.labelled], minlength=len(self.names)).astype(np.int64)

    @cached_property
    def labelled(self) -> BoolArray:
        """Mask of the cards that have a category: (N,)."""
        return self.codes != MISSING


@dataclass(frozen=True)
class IndexParts:
    """What an index folder stores. Row i is the same card in every part."""

    catalogue: Catalogue
    blocks: Sequence[Block]
    weights: Mapping[str, float]  # of all blocks by name in votes, summing to 1
    vote: VoteParameters
    searcher: AnySearcher | None = None  # None before it is built
    covered: Sequence[str] = ()  # names of the blocks that the searcher is made of
    # Of all encoders' blocks, to find similar products; None where these are compared as they are.
    similar: ApproximateSearcher | None = None
    asked: IndexChoice = field(default_factory=IndexChoice)  # of the searchers
    learned: LearnedBlock | None = None
    tuning: Tuning | None = None  # None where weights and vote were given
    calibration: Calibration | None = None
    drift: DriftRecord | None = None  # None where no card was added since the index was built
    # Of the encoders' blocks in a search; empty in indexes of earlier formats.
    chosen_search_weights: Mapping[str, float] = field(default_factory=dict)
    # Name that a category was fitted by -> its name now, where that is another one.
    aliases: Mapping[str, str] = field(default_factory=dict)
    choices: Choices = field(default_factory=Choices)
    decided: Sequence[Decided] = ()  # about items of audits, in the order of the decisions
    # What was done to the parts since they were read: one entry for all of it.
    pending: JournalEntry | None = None
    opened: OpenIndex | None = None  # what the parts, or their origin, were read from

    @cached_property
    def labels(self) -> Labels:
        """The cards' categories."""
        return Labels.from_catalogue(self.catalogue)

    @cached_property
    def row_of(self) -> dict[str, int]:
        """Id of each card -> its row."""
        return {card: row for row, card in enumerate(self.catalogue.ids)}

    @cached_property
    def found(self) -> BoolArray:
        """Mask of the cards that have anything that is embedded: (N,).

        The others would be as near to every query as is expected of a card.
        """
        found: BoolArray = np.any([block.present for block in self.all_blocks], axis=0)
        return found

    @cached_property
    def voter_codes(self) -> Int64Array:
        """Category of each card that votes, MISSING for the others: (N,)."""
        return np.where(self.found, self.labels.codes, MISSING)

    @cached_property
    def space(self) -> SearchSpace:
        """The arrays and the searcher that a search reads."""
        covered = [self.block_names.index(name) for name in self.covered]
        similar = None
        if self.similar:
            names = [block.name for block in self.encoder_blocks]
            similar = [self.block_names.index(name) for name in names], self.similar
        every = self.space_of(self.all_blocks)
        return replace(every, searcher=self.searcher, covered=covered, similar=similar)

    def space_of(self, blocks: Sequence[Block | LearnedBlock]) -> SearchSpace:
        """Return other blocks of these cards as a space without a searcher."""
        present = np.stack([block.present for block in blocks], axis=1)
        vectors, references = zip(*((b.vectors, b.references) for b in blocks), strict=True)
        ids = partial(self.catalogue.values_at, "id")
        return SearchSpace(None, vectors, present, ids, references=references)

    @property
    def all_blocks(self) -> list[Block | LearnedBlock]:
        """The blocks and, last, the learned one where there is one."""
        return [*self.blocks, *([self.learned] if self.learned else [])]

    @property
    def is_stored(self) -> bool:
        """Whether the rows are in a table of a store, which searches all blocks."""
        return self.opened is not None and self.opened.table is not None

    @property
    def block_names(self) -> list[str]:
        """Names of all blocks, in order."""
        return [block.name for block in self.all_blocks]

    @property
    def modalities(self) -> list[str]:
        """Modalities that are embedded, in order."""
        return list(dict.fromkeys(block.modality for block in self.encoder_blocks))

    @property
    def vector_dims(self) -> dict[str, int]:
        """Modality -> length of the vectors that came with the cards."""
        return {block.modality: block.dim for block in self.blocks if block.kind == "vector"}

    @property
    def scores(self) -> Block | None:
        """The block of text scores, where there is one."""
        return self.blocks[-1] if self.blocks[-1].name == SCORES else None

    @property
    def encoder_blocks(self) -> Sequence[Block]:
        """The blocks that say what a product is like, whatever its category: all but the scores."""
        return self.blocks[:-1] if self.scores else self.blocks

    @property
    def text_scores(self) -> TextScoresEncoder:
        """The encoder of the text scores, loaded when it is first needed."""
        assert self.scores is not None, "there are text scores"
        encoder = self.scores.slot.load()
        assert isinstance(encoder, TextScoresEncoder)
        return encoder

    @cached_property
    def score_columns(self) -> Int64Array:
        """First column of each category in the text scores, MISSING for one added later: (C,)."""
        columns = np.full(len(self.labels.names), MISSING, dtype=np.int64)
        there = np.flatnonzero(self._score_codes >= 0)[::-1]
        columns[self._score_codes[there]] = there
        return columns

    @cached_property
    def _score_codes(self) -> Int64Array:
        names = [self.aliases.get(name, name) for name in self.text_scores.categories]
        code = self.labels.code_of
        return np.array([code.get(name, MISSING) for name in names], dtype=np.int64)

    def merged_scores(self, rows: FloatingArray) -> FloatingArray:
        """Add up the probabilities of merged categories in rows of the text scores, (n, H)."""
        if not self.aliases:
            return rows
        first = first_columns_of(self._score_codes)
        return np.sqrt(add_up(np.square(rows, dtype=np.float32), first))

    def score_words(self, text: str, category: str) -> list[tuple[str, float]]:
        """Return the words of a text and what they add to a category's score, largest first.

        Of merged categories, it is the one that they add most to.
        """
        names = [n for n in self.text_scores.categories if self.aliases.get(n, n) == category]
        found = [self.text_scores.words(text, name) for name in names]
        return max(found, key=lambda words: sum(added for _, added in words), default=[])

    @property
    def search_weights(self) -> Mapping[str, float]:
        """Weights that find similar products.

        Where none were chosen, those of votes, unless they weigh what is fitted to labels.
        """
        if self.chosen_search_weights:
            return self.chosen_search_weights
        fitted = sum(self.weights.get(name, 0.0) for name in (LEARNED, SCORES))
        if fitted == 0.0:
            return self.weights
        return equal_weights(self.blocks)

    @cached_property
    def log_reliability(self) -> Float32Array:
        """Logarithm of what the vote of each card counts, at most 0: (N,)."""
        stored = self.learned.log_reliability if self.learned else None
        if stored is None:
            return np.zeros(len(self.catalogue), dtype=np.float32)
        return np.asarray(stored, dtype=np.float32)

    @property
    def head_blocks(self) -> int:
        """Number of the last blocks whose weight decides how much the linear head counts."""
        return 2 if self.scores else 1

    def head_log_proba(
        self, vectors: Sequence[Float32Array], codes: Int64Array, model: FittedModel | None = None
    ) -> Float32Array:
        """Return the linear head's log probability of some categories, codes (n, k), by query.

        The text scores are the head; the one of the fitted model, by default the own, answers
        for queries without texts.
        """
        model = model or (self.learned.model if self.learned else None)
        if not self.scores:
            return head_log_proba(model, vectors, codes)
        log_proba, known = self._text_log_proba(vectors, codes)
        others = np.flatnonzero(~known)
        if len(others):
            log_proba[others] = head_log_proba(model, [vectors[-1][others]], codes[others])
        return log_proba

    def mean_log_proba(
        self,
        vectors: Sequence[Float32Array],
        codes: Int64Array,
        model: FittedModel | None,
        least: float | None = None,
    ) -> Float32Array:
        """Return the logarithm of the mean probability by both heads, where a query has both.

        With a `least` logarithm, it is the mean of the logarithms, none of which counts as less.
        """
        if not self.scores or model is None or model.head is None:
            return self.head_log_proba(vectors, codes, model)
        learned = head_log_proba(model, vectors, codes)
        text, known = self._text_log_proba(vectors, codes)
        both = known & np.any(vectors[-1], axis=1)
        if least is None:
            mean = np.logaddexp(text, learned) - np.float32(np.log(2))
        else:
            mean = (np.maximum(text, least) + np.maximum(learned, least)) / 2
        # A query without one of them has zeros there.
        return np.where(both[:, None] & (codes >= 0), mean, text + learned)

    def _text_log_proba(
        self, vectors: Sequence[Float32Array], codes: Int64Array
    ) -> tuple[Float32Array, BoolArray]:
        rows = vectors[len(self.blocks) - 1]
        logarithms = log_probabilities(self.merged_scores(rows), self.score_columns, codes)
        return logarithms, np.any(rows, axis=1)

    def voted_by(self, voters: BoolArray) -> IndexParts:
        """Return these parts with all cards but some, (N,), as if they had no category.

        The nearest of these are exact.
        """
        other = copy(self)
        codes = np.where(voters, self.labels.codes, MISSING)
        vars(other)["labels"] = replace(self.labels, codes=codes)
        vars(other)["space"] = replace(self.space, is_exact=True)
        vars(other).pop("voter_codes", None)
        return other

    def weighed(self, weights: Mapping[str, float]) -> IndexParts:
        """Return these parts with other weights of their blocks; those not named weigh nothing."""
        named = {name: float(weights.get(name, 0.0)) for name in self.block_names}
        return replace(self, weights=named)

    def with_setting(self, setting: Setting) -> IndexParts:
        """Return these parts with the weights and the vote of a setting."""
        weights = dict(zip(self.block_names, setting.weights, strict=True))
        return replace(self.weighed(weights), vote=setting.vote)

    def weight_vector(self, weights: Mapping[str, float] | None) -> Float64Array:
        """Return weights of modalities or blocks, by default the index's own, as an array: (B,).

        The blocks of a modality share its weight.
        """
        expanded: dict[str, float] = {}
        check_weights(weights or {})
        for name, weight in (self.weights if weights is None else weights).items():
            of_modality = [b.name for b in self.blocks if b.modality == name] or [name]
            for block in of_modality:
                expanded[block] = expanded.get(block, 0.0) + weight / len(of_modality)
        return weight_vector(expanded, self.block_names)

    def weighed_modalities(self, weights: Mapping[str, float] | None) -> list[str]:
        """Return the modalities that count under some weights; the learned block reads them all."""
        blocks = zip(self.all_blocks, self.weight_vector(weights), strict=True)
        weighed = dict.fromkeys(block.modality for block, weight in blocks if weight)
        if LEARNED in weighed:
            return self.modalities
        texts = self.catalogue.text_modalities if SCORES in weighed else ()
        return [m for m in self.modalities if m in weighed or m in texts]

    def indexed(self, *, is_fitted: bool = False, spill: Path | None = None) -> IndexParts:
        """Return these parts with a searcher of the blocks that are weighed, and of no other.

        Where similar products are found by other blocks, of too many values to be compared one by
        one, they have a searcher of their own. With `spill`, a folder, large codes lie there.
        """
        if self.is_stored:
            return self
        # Codes take long to make: only parts that were just fitted get them, or have some already.
        coded = is_fitted or self.similar or isinstance(self.searcher, ApproximateSearcher)
        weighed = [block for block in self.all_blocks if self.weights[block.name] > 0]
        names = tuple(block.name for block in weighed)
        searcher, similar, searched = self.searcher, self.similar, self.encoder_blocks
        if tuple(self.covered) != names or is_due(searcher):
            searcher = self._build_searcher(weighed, self.weights, spill, is_flat=not coded)
        if {block.name for block in searched} <= set(names):
            similar = None
        elif coded and is_due(similar) and self.kind_of(searched).name != "flat":
            built = self._build_searcher(searched, self.search_weights, spill)
            similar = built if isinstance(built, ApproximateSearcher) else None
        if searcher is self.searcher and similar is self.similar:
            return self
        return replace(self, searcher=searcher, covered=names, similar=similar)

    def kind_of(self, blocks: Sequence[Block | LearnedBlock]) -> Kind:
        """Return the kind of index that some blocks are to have, by their share of the memory.

        Votes and similar products share it, unless one search serves both.
        """
        searched = [block for block in self.all_blocks if self.weights[block.name] > 0]
        if not {b.name for b in self.encoder_blocks} <= {b.name for b in searched}:
            searched = [*searched, *self.encoder_blocks]
        dim, total = (sum(b.dim + 1 for b in several) for several in (blocks, searched))
        return self.asked.choose(len(self.catalogue), dim, dim / total)

    def _build_searcher(
        self,
        blocks: Sequence[Block | LearnedBlock],
        weights: Mapping[str, float],
        spill: Path | None = None,
        *,
        is_flat: bool = False,
    ) -> AnySearcher:
        space, kind = self.space_of(blocks), self.kind_of(blocks).name
        if is_flat or kind == "flat":
            return FlatSearcher.build(space.blocks, space.present)
        named = {block.name: weights.get(block.name, 0.0) for block in blocks}
        vector = weight_vector(named, list(named))
        return build_searcher(kind, blocks, space, vector, self.asked.recall, spill)

    def encode(self, listings: Catalogue, *, scored: bool = True) -> Queries:
        """Embed listings in all blocks; as absent in the text scores if they are not `scored`."""
        values = [block_values(listings, block) for block in self.blocks]
        texts = listing_values(listings, SCORES) if self.scores and scored else []
        if self.scores and not scored:
            values[-1] = [""] * len(listings)
        label = "embedding {}" if len(listings) > 1 else ""
        encoded = [
            block.encode_queries(own, label.format(block.name))
            for block, own in zip(self.blocks, values, strict=True)
        ]
        vectors = [each.vectors for each in encoded]
        present = np.stack([each.present for each in encoded], axis=1)
        problems = {why: rows for each in encoded for why, rows in each.problems.items()}
        return self.with_learned(vectors, present)._replace(texts=texts, problems=problems)

    def with_learned(self, vectors: Sequence[Float32Array], present: BoolArray) -> Queries:
        """Complete queries, given in the other blocks, by the learned block."""
        projection = self.learned and self.learned.model.projection
        n = len(self.encoder_blocks)
        parts = projection.parts(vectors[:n], present[:, :n]) if projection else []
        return self._complete(vectors, present, parts)

    def without(self, queries: Queries, modality: str) -> Queries:
        """Return queries as if they lacked a modality. Only text scores are computed again."""
        lacked = np.array([block.modality == modality for block in self.blocks])
        if self.scores and queries.texts and modality in self.catalogue.text_modalities:
            return self._without_text(queries, modality, lacked)

        def zeroed(arrays: Sequence[Float32Array]) -> list[Float32Array]:
            pairs = zip(arrays, lacked, strict=False)
            return [np.zeros_like(array) if out else array for array, out in pairs]

        present = queries.present[:, : len(lacked)] & ~lacked
        return self._complete(zeroed(queries.vectors), present, zeroed(queries.parts))

    def _without_text(self, queries: Queries, modality: str, lacked: BoolArray) -> Queries:
        assert self.scores is not None
        kept = [{**json.loads(value or "{}"), modality: ""} for value in queries.texts]
        texts = [json.dumps(texts) if any(texts.values()) else "" for texts in kept]
        scores = self.scores.encode_queries(texts)
        pairs = list(zip(queries.vectors, lacked, strict=False))
        vectors = [np.zeros_like(rows) if out else rows for rows, out in pairs[:-1]]
        present = queries.present[:, : len(lacked)] & ~lacked
        present[:, -1] = scores.present
        return self.with_learned([*vectors, scores.vectors], present)._replace(texts=texts)

    def _complete(
        self, vectors: Sequence[Float32Array], present: BoolArray, parts: Sequence[Float32Array]
    ) -> Queries:
        if self.learned is None:
            return Queries(vectors, present)
        rows, known = self.learned.model.query_rows(parts)
        return Queries([*vectors, rows], np.column_stack([present, known]), parts)


def equal_weights(blocks: Sequence[Block]) -> dict[str, float]:
    """Weigh every modality the same, and share a modality's weight among its blocks."""
    blocks = [block for block in blocks if block.name != SCORES]
    modalities = [block.modality for block in blocks]
    share = 1.0 / len(set(modalities))
    return {block.name: share / modalities.count(block.modality) for block in blocks}
