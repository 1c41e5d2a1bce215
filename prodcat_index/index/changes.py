"""Differences put into effect: rows that stay are kept, and only what is new is embedded.

What is fitted stays as it is; :mod:`prodcat_index.index.refit` fits it again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np

from prodcat_index.cards.card import DIGEST, Catalogue, join_catalogues
from prodcat_index.cards.catalogue import UNLABELLED
from prodcat_index.cards.pieces import LABELLING
from prodcat_index.errors import CatalogueError, QueryError
from prodcat_index.findings import Finding, list_findings
from prodcat_index.index.block import Block, block_values, unusable_pictures, with_digests
from prodcat_index.index.delivery import find_new_categories
from prodcat_index.index.difference import Difference, Update
from prodcat_index.index.differing import vectors_of
from prodcat_index.index.drift import measure_drift
from prodcat_index.index.labelling import follow_names, rename_thresholds
from prodcat_index.index.learned import LearnedBlock, project_cards
from prodcat_index.index.manifest import SCORES, DriftRecord, JournalEntry
from prodcat_index.index.parts import NOT_EMBEDDED, AnySearcher, IndexParts
from prodcat_index.index.review import follow_decided
from prodcat_index.index.rows import as_rows
from prodcat_index.index.searchers import FlatSearcher
from prodcat_index.types import MISSING, BoolArray, FloatingArray, Int64Array

AnyBlock = TypeVar("AnyBlock", Block, LearnedBlock)


def with_references(parts: IndexParts) -> IndexParts:
    """Return parts whose blocks have references, which those of formats 1 to 4 lack."""
    if all(block.references is not None for block in parts.all_blocks):
        return parts
    learned = parts.learned and parts.learned.referenced()
    return replace(parts, blocks=[b.referenced() for b in parts.blocks], learned=learned)


def apply_difference(
    parts: IndexParts, difference: Difference
) -> tuple[IndexParts, tuple[Finding, ...]]:
    """Return the parts after a change that was worked out for them, and what was noticed."""
    update = difference.update
    if update is None or update.base is not parts:
        raise QueryError(
            "This difference is not of this index, or of what it was before another change; "
            "compare again."
        )
    if not difference:
        return parts, difference.findings
    if not any((*update.categories, *update.fresh.values("category"))):
        raise CatalogueError(
            f"After {difference.source}, no card with a category would be left, and an index has "
            "one at least; to begin anew, build an index. Nothing was changed."
        )
    findings = [*difference.findings, *_notice(parts, difference, update)]
    # Fresh cards that are new to an encoder come after all that was fitted; others, such as those
    # with a new price, keep their place: (n,).
    stays: BoolArray = ~np.any([_new_in(block, update) for block in parts.blocks], axis=0)
    whole = with_references(parts)
    fresh, blocks, learned, noticed = embed_fresh(whole, update)
    findings += noticed
    aliases = follow_names(parts.aliases, difference.renamed)
    names = sorted({*update.categories, *fresh.values("category")} - {""})
    code_of = {name: code for code, name in enumerate(names)}
    calibration = parts.calibration and rename_thresholds(
        parts.calibration, parts.labels.names, difference.renamed
    )
    every: list[Block | LearnedBlock] = [*blocks, *([learned] if learned else [])]
    searcher = _searcher(parts.searcher, parts.covered, every, update)
    similar = _searcher(parts.similar, [b.name for b in parts.encoder_blocks], every, update)
    assert not isinstance(similar, FlatSearcher), "a searcher keeps its kind"
    changed = replace(
        whole,
        catalogue=_joined_cards(parts.catalogue, update, fresh),
        blocks=[_joined(*pair, update) for pair in zip(whole.blocks, blocks, strict=True)],
        learned=whole.learned
        and learned
        and _joined_learned(whole.learned, learned, update, stays).recoded(code_of, aliases),
        aliases=aliases,
        calibration=calibration,
        decided=follow_decided(parts, difference),
        searcher=searcher,
        similar=similar,
        pending=note_change(parts.pending, difference.verb, difference.counts),
    )
    if stays.any():
        after = len(parts.catalogue) + np.arange(len(stays))
        places = np.concatenate([update.kept, np.where(stays, update.sources, after)])
        changed = _ordered(changed, np.argsort(places))
    return replace(changed, drift=_drift(changed, update, stays)).indexed(), tuple(findings)


def embed_fresh(
    parts: IndexParts, update: Update
) -> tuple[Catalogue, list[Block], LearnedBlock | None, list[Finding]]:
    """Return the fresh cards of an update, their blocks alone, and what was noticed about them."""
    fresh, findings = update.fresh, list[Finding]()
    if any(block.kind == "picture" for block in parts.blocks):
        fresh = with_digests(fresh)
    blocks = [_fresh_block(block, update, findings) for block in parts.blocks]
    if len(fresh):
        present = np.any([block.present for block in blocks], axis=0)
        findings += list_findings({NOT_EMBEDDED: ~present}, fresh.ids)
    return fresh, blocks, parts.learned and _fresh_learned(parts.learned, blocks, update), findings


def note_change(pending: JournalEntry | None, verb: str, counts: Mapping[str, int]) -> JournalEntry:
    """Return the entry of the journal for what was done before, and for one change more."""
    verbs = dict.fromkeys([*(pending.verb.split(", ") if pending else ()), verb])
    total = Counter(pending.counts if pending else {}) + Counter(counts)
    return JournalEntry(", ".join(verbs), dict(total))


def _notice(parts: IndexParts, difference: Difference, update: Update) -> list[Finding]:
    fresh = update.fresh
    labels = [*update.categories, *fresh.values("category")]
    findings = [*find_new_categories(labels, {*parts.labels.names, *difference.renamed.values()})]
    unlabelled = [not label for label in fresh.values("category")]
    if all(unlabelled):
        findings += list_findings({UNLABELLED: unlabelled}, fresh.ids)
    unused = {
        f"cards have {name}, which this index does not embed": fresh.has(name)
        for name in fresh.modalities
        if name not in parts.modalities
    }
    return [*findings, *list_findings(unused, fresh.ids)]


def _joined_cards(old: Catalogue, update: Update, fresh: Catalogue) -> Catalogue:
    kept = old if update.keeps_all else old.select(update.kept)
    labels = [update.categories, update.keys]
    if [kept.coded_labels.values(part) for part in LABELLING] != labels:
        kept = kept.relabelled(*labels)
    if DIGEST in fresh.pieces.names and DIGEST not in kept.pieces.names:
        kept = with_digests(kept)
    return join_catalogues(kept, fresh) if len(fresh) else kept


def _fresh_block(block: Block, update: Update, findings: list[Finding]) -> Block:
    """Return the block of the fresh cards alone: embedded where they are new in it, else copied."""
    is_new = _new_in(block, update)
    vectors, present = _copied_rows(block, update.sources, is_new)
    if is_new.any():
        cards = update.fresh.select(is_new)
        encoded = block.encode_queries(block_values(cards, block), block.name)
        findings.extend(unusable_pictures(cards.ids, encoded.problems))
        vectors[is_new], present[is_new] = encoded.vectors.astype(np.float16), encoded.present
    return replace(block, vectors=vectors, present=present)


def _copied_rows(
    block: Block | LearnedBlock, sources: Int64Array, is_new: BoolArray
) -> tuple[FloatingArray, BoolArray]:
    """Return the rows that fresh cards have already, zeros where they are new, and which are there.

    Arrays of (n, dim) and (n,).
    """
    vectors = np.zeros((len(sources), block.dim), dtype=np.float16)
    present = np.zeros(len(sources), dtype=bool)
    own = sources[~is_new]
    vectors[~is_new], present[~is_new] = block.vectors[own], block.present[own]
    return vectors, present


def _new_in(block: Block, update: Update) -> BoolArray:
    """Return the fresh cards that are other ones than before to the encoder of a block: (n,)."""
    read: Sequence[str] = [block.modality]
    if block.kind == "vector":
        read = [vectors_of(block.modality)]
    elif block.name == SCORES:
        read = update.fresh.text_modalities
    is_new: BoolArray = update.sources == MISSING
    for part in read:
        is_new = is_new | update.embedded.get(part, False)
    return is_new


def _fresh_learned(learned: LearnedBlock, blocks: Sequence[Block], update: Update) -> LearnedBlock:
    """Return the learned block of the fresh cards: projected where they are new, else copied."""
    read = [block for block in blocks if block.name != SCORES]
    is_new: BoolArray = np.any([_new_in(block, update) for block in read], axis=0)
    vectors, present = _copied_rows(learned, update.sources, is_new)
    if is_new.any():
        new = [replace(b, vectors=b.vectors[is_new], present=b.present[is_new]) for b in read]
        projected = project_cards(learned.model, new)
        vectors[is_new], present[is_new] = projected.vectors, projected.present
    return replace(learned, vectors=vectors, present=present)


def _ordered(parts: IndexParts, order: Int64Array) -> IndexParts:
    """Return the parts with their cards in another order: (N,). No row is copied."""

    def ordered(block: AnyBlock) -> AnyBlock:
        rows = as_rows(block.vectors).select(order)
        return replace(block, vectors=rows, present=block.present[order])

    learned = parts.learned and ordered(parts.learned)
    if learned and learned.log_reliability is not None:
        learned = replace(learned, log_reliability=learned.log_reliability[order])
    return replace(
        parts,
        catalogue=parts.catalogue.select(order),
        blocks=[ordered(block) for block in parts.blocks],
        learned=learned,
        searcher=parts.searcher and parts.searcher.select(order),
        similar=parts.similar and parts.similar.select(order),
    )


def _joined(old: AnyBlock, fresh: AnyBlock, update: Update) -> AnyBlock:
    # Rows that all stay are not even looked at.
    kept = old.vectors if update.keeps_all else as_rows(old.vectors).select(update.kept)
    return replace(
        old,
        vectors=as_rows(kept).extended(fresh.vectors) if len(update.sources) else kept,
        present=np.concatenate([old.present[update.kept], fresh.present]),
    )


def _joined_learned(
    old: LearnedBlock, fresh: LearnedBlock, update: Update, stays: BoolArray
) -> LearnedBlock:
    reliability = None
    if old.log_reliability is not None:
        # Nothing that has not seen them contradicts the labels of fresh cards, or other labels.
        own = np.where(update.moved, 0, old.log_reliability)
        parts = [own[update.kept], np.where(stays, own[update.sources], 0)]
        reliability = np.concatenate(parts).astype(np.float16)
    return replace(_joined(old, fresh, update), log_reliability=reliability)


def _searcher(
    searcher: AnySearcher | None,
    covered: Sequence[str],
    fresh: Sequence[Block | LearnedBlock],
    update: Update,
) -> AnySearcher | None:
    """Return the searcher of the rows that stay and of the fresh ones; none is fused again."""
    if searcher is None:
        return None
    kept = searcher if update.keeps_all else searcher.select(update.kept)
    if not len(update.sources):
        return kept
    own = [block for block in fresh if block.name in covered]
    present = np.stack([block.present for block in own], axis=1)
    return kept.extended([block.vectors for block in own], present)


def _drift(changed: IndexParts, update: Update, stays: BoolArray) -> DriftRecord:
    """Count what changed since the index was fitted, and compare the cards that came later."""
    base, sources = update.base, update.sources[~stays]
    kept = np.concatenate([update.kept, update.sources[stays]])
    before = base.drift or DriftRecord.without_change(len(base.catalogue))

    def left(prefix: int) -> int:
        return int(np.sum(kept < prefix))

    fitted = before.fitted_cards
    replaced = int(np.sum((sources >= 0) & (sources < fitted)))
    return measure_drift(
        changed,
        replace(
            before,
            fitted_cards=left(fitted),
            tuned_cards=left(before.tuned_cards),
            encoded_cards=None if before.encoded_cards is None else left(before.encoded_cards),
            removed_cards=before.removed_cards + fitted - left(fitted) - replaced,
            changed_cards=before.changed_cards + replaced,
            relabelled_cards=before.relabelled_cards
            + int(np.sum(update.moved[kept] & (kept < fitted))),
        ),
    )
