"""Other categories for the cards of an index: deliveries, renames, merges and splits."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.cards.card import Catalogue
from prodcat_index.cards.pieces import LABELLING
from prodcat_index.types import BoolArray, Int64Array
from prodcat_index.voting.calibration import Calibration
from prodcat_index.voting.thresholds import CategoryThresholds, merge_thresholds

ObjectArray = npt.NDArray[Any]


@dataclass(frozen=True)
class Labelling:
    """The category of each card, and the shop's own key of it, to be changed in place: (N,)."""

    categories: ObjectArray
    keys: ObjectArray
    key_of: Mapping[str, str]  # key of each category that has one, as it was

    @classmethod
    def of(cls, cards: Catalogue) -> Labelling:
        """Return those of some cards."""
        categories, keys = (np.array(cards.values(part), dtype=object) for part in LABELLING)
        named = zip(categories.tolist(), keys.tolist(), strict=True)
        return cls(categories, keys, {category: key for category, key in named if key})

    def move(self, new: ObjectArray, renamed: Mapping[str, str]) -> None:
        """Give cards other categories, (N,). A category that gets a new name keeps its key."""
        before, there = self.categories.copy(), set(self.categories)
        for row in np.flatnonzero(before != new):
            if new[row] in there or renamed.get(before[row]) != new[row]:
                self.keys[row] = self.key_of.get(new[row], "")
        self.categories[:] = new

    def deliver(
        self, rows: Int64Array, cards: Catalogue, differing: Mapping[str, BoolArray]
    ) -> None:
        """Take over the labels of the m cards that differ in them, (m,)."""
        nowhere = np.zeros(len(rows), dtype=bool)
        is_moved, has_key = (differing.get(part, nowhere) for part in LABELLING)
        categories, keys = (np.array(cards.values(part), dtype=object) for part in LABELLING)
        new = self.categories.copy()
        new[rows[is_moved]] = categories[is_moved]
        self.move(new, find_renamed(self.categories, new))
        self.keys[rows[has_key]] = keys[has_key]


def find_renamed(before: ObjectArray, after: ObjectArray) -> dict[str, str]:
    """Return the new category of each one whose cards are all of one other from now on: (n,)."""
    targets: dict[str, set[str]] = {}
    for one, other in zip(before.tolist(), after.tolist(), strict=True):
        targets.setdefault(one, set()).add(other)
    return {
        one: other
        for one, others in sorted(targets.items())
        for other in others
        if len(others) == 1 and one and other and one != other
    }


def follow_names(aliases: Mapping[str, str], renamed: Mapping[str, str]) -> dict[str, str]:
    """Return the aliases of fitted names after another renaming; a name that is its own is left.

    Names that were fitted are those of the aliases, and any that is renamed and is no alias.
    """
    names = {*aliases, *renamed}
    now = {name: aliases.get(name, name) for name in names}
    new = {name: renamed.get(current, current) for name, current in now.items()}
    return {name: current for name, current in sorted(new.items()) if name != current}


def rename_thresholds(
    calibration: Calibration, names: Collection[str], renamed: Mapping[str, str]
) -> Calibration:
    """Return a calibration with the figures of the categories, `names`, once they are renamed.

    Merged categories need all their thresholds: what one cannot show, they cannot show together.
    """
    if calibration.answered is not None and renamed:
        answered: dict[str, float] = {}
        for name, share in calibration.answered.items():
            now = renamed.get(name, name)
            answered[now] = min(answered.get(now, 0.0) + share, 1.0)
        calibration = replace(calibration, answered=answered)
    if calibration.categories is None or not renamed:
        return calibration
    merged: dict[str, list[CategoryThresholds | None]] = {}
    for name in sorted({*names, *calibration.categories}):
        own = calibration.categories.get(name)
        merged.setdefault(renamed.get(name, name), []).append(own)
    shown = {name: merge_thresholds(every) for name, every in merged.items()}
    found = {name: thresholds for name, thresholds in shown.items() if thresholds}
    return replace(calibration, categories=found)
