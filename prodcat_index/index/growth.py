"""How the cards that were added differ from those that an index was fitted on."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from prodcat_index.encoders.base import BoolArray
from prodcat_index.index.block import Block
from prodcat_index.index.learned import LearnedBlock
from prodcat_index.index.manifest import DriftRecord, GrowthRecord
from prodcat_index.index.parts import IndexParts

ROWS_AT_ONCE = 8192


def measure_growth(parts: IndexParts, fitted_cards: int, tuned_cards: int) -> GrowthRecord:
    """Compare the cards that an index was fitted on with those that came later.

    Parameters
    ----------
    parts
        Of all cards.
    fitted_cards
        The first so many are those that everything was fitted on.
    tuned_cards
        The first so many are those that tuning has seen.
    """
    codes = parts.labels.codes
    added = codes[fitted_cards:]
    new = added[(added >= 0) & ~np.isin(added, codes[:fitted_cards])]
    drifts = [measure_drift(block, fitted_cards) for block in parts.all_blocks]
    return GrowthRecord(
        fitted_cards=fitted_cards,
        tuned_cards=tuned_cards,
        new_categories=len(np.unique(new)),
        new_category_cards=len(new),
        drifts=tuple(drift for drift in drifts if drift is not None),
    )


def after_tuning(growth: GrowthRecord | None, cards: int) -> GrowthRecord | None:
    """Note that tuning has seen all cards.

    Parameters
    ----------
    growth
        Of the index; None where nothing was added, for then it has seen them anyway.
    cards
        Number of all cards.
    """
    return growth and growth.model_copy(update={"tuned_cards": cards})


def measure_drift(block: Block | LearnedBlock, fitted_cards: int) -> DriftRecord | None:
    """Measure how far apart the mean rows of the first and of the other cards are.

    Parameters
    ----------
    block
        Of all cards.
    fitted_cards
        Number of the first.

    Returns
    -------
    DriftRecord or None
        None where either have no row.
    """
    rows = block.unit_rows if isinstance(block, LearnedBlock) else block.vectors
    first, n = _total(rows[:fitted_cards], block.present[:fitted_cards])
    other, m = _total(rows[fitted_cards:], block.present[fitted_cards:])
    if n == 0 or m == 0:
        return None
    mean = first / n
    # The squared distance of the means of two samples of one population is so large on average.
    variance = max(0.0, 1.0 - float(mean @ mean)) * (1 / n + 1 / m)
    return DriftRecord(
        block=block.name,
        cards=m,
        shift=float(np.linalg.norm(other / m - mean)),
        chance=float(np.sqrt(variance)),
    )


def _total(
    rows: npt.NDArray[np.float16], present: BoolArray
) -> tuple[npt.NDArray[np.float64], int]:
    total = np.zeros(rows.shape[1])
    for start in range(0, len(rows), ROWS_AT_ONCE):
        total += rows[start : start + ROWS_AT_ONCE].sum(axis=0, dtype=np.float64)
    return total, int(present.sum())
