"""How far the cards of an index are from those that it was fitted on: facts, not advice."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from prodcat_index.index.block import Block
from prodcat_index.index.fusion import REFERENCES
from prodcat_index.index.learned import LearnedBlock
from prodcat_index.index.manifest import LEARNED, SCORES, BlockDrift, DriftRecord
from prodcat_index.index.parts import IndexParts
from prodcat_index.types import MISSING, evenly_spaced


def measure_drift(parts: IndexParts, record: DriftRecord) -> DriftRecord:
    """Return a record with the new categories and the distances of the cards that came later."""
    fitted, encoded = record.fitted_cards, record.encoded
    codes = parts.labels.codes
    added = codes[fitted:]
    head = parts.learned.model.head if parts.learned else None
    # What is fitted to a category stays, also when all cards of it have other texts since.
    known = codes[:fitted] if head is None else np.append(codes[:fitted], head.categories)
    new = added[(added != MISSING) & ~np.isin(added, known)]
    first = dict.fromkeys((LEARNED, SCORES), fitted)
    drifts = [block_drift(block, first.get(block.name, encoded)) for block in parts.all_blocks]
    return replace(
        record,
        new_categories=len(np.unique(new)),
        new_category_cards=len(new),
        blocks=tuple(drift for drift in drifts if drift),
    )


def block_drift(block: Block | LearnedBlock, first: int) -> BlockDrift | None:
    """Compare the mean of a block's references with that of the cards after the first ones.

    Of these, some are taken, so that it costs the same however many there are; None without any.
    """
    later = first + np.flatnonzero(block.present[first:])
    if block.references is None or not len(block.references) or not len(later):
        return None
    width = block.model.projection.dim if isinstance(block, LearnedBlock) else block.dim
    some = block.vectors[later[evenly_spaced(len(later), REFERENCES)]]
    # In float16 a sum of unit rows stands still at 2048.
    mean, other = (
        np.asarray(rows)[:, :width].mean(axis=0, dtype=np.float64)
        for rows in (block.references, some)
    )
    # The squared distance of the means of two samples of one population is so large on average.
    spread = 1 / len(block.references) + 1 / len(some)
    variance = max(0.0, 1.0 - float(mean @ mean)) * spread
    shift, chance = float(np.linalg.norm(other - mean)), float(np.sqrt(variance))
    return BlockDrift(block=block.name, cards=len(later), shift=shift, chance=chance)
