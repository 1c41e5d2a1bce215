"""Folds of cards, groups kept together: what is fitted for one fold has not seen its cards."""

from __future__ import annotations

import numpy as np

from prodcat_index.types import MISSING, Int64Array

FOLDS = 4
# With few cards, more folds: each leaves out a smaller part of what is fitted otherwise.
FOLDS_OF_FEW_CARDS = 10
FEW_CARDS = 3000


def assign_folds(groups: Int64Array, asked: Int64Array | None = None) -> Int64Array:
    """Deal the groups of cards, (n,), into folds of about equal size, large groups first: (n,).

    Where only a few rows of many cards will be asked for, one fold of their groups suffices; the
    other cards are in no fold, MISSING.
    """
    if asked is not None and len(groups) > FEW_CARDS and len(asked) * FOLDS <= len(groups):
        return np.where(np.isin(groups, groups[asked]), 0, MISSING)
    _, group, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    count = FOLDS_OF_FEW_CARDS if len(groups) <= FEW_CARDS else FOLDS
    loads = np.zeros(count, dtype=np.int64)
    fold_of = np.zeros(len(sizes), dtype=np.int64)
    order = np.random.default_rng(0).permutation(len(sizes))
    for place in order[np.argsort(-sizes[order], kind="stable")]:
        fold_of[place] = int(np.argmin(loads))
        loads[fold_of[place]] += sizes[place]
    return fold_of[group]
