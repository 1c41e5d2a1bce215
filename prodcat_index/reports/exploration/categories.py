"""Sizes and depths of the categories."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from prodcat_index.cards.cleaning import CATEGORY_SEPARATOR

LISTED = 20
FEW = 4


@dataclass(frozen=True)
class Categories:
    """The categories of a catalogue.

    Attributes
    ----------
    sizes
        Category -> number of cards, largest first, equal ones by name.
    """

    sizes: Mapping[str, int]

    @property
    def cards(self) -> int:
        """Number of labelled cards."""
        return sum(self.sizes.values())

    @property
    def largest(self) -> dict[str, int]:
        """The largest ``LISTED`` categories, largest first."""
        return dict(list(self.sizes.items())[:LISTED])

    @property
    def smallest(self) -> dict[str, int]:
        """The smallest ``LISTED`` categories, smallest first."""
        return dict(list(self.sizes.items())[::-1][:LISTED])

    @property
    def singletons(self) -> int:
        """Number of categories with one card."""
        return sum(size == 1 for size in self.sizes.values())

    @property
    def small(self) -> int:
        """Number of categories with fewer than ``FEW`` cards."""
        return sum(size < FEW for size in self.sizes.values())

    @property
    def holding_half(self) -> int:
        """How many of the largest categories hold half of the cards together."""
        sums = accumulate(self.sizes.values())
        return next((n for n, held in enumerate(sums, start=1) if 2 * held >= self.cards), 0)

    @property
    def depths(self) -> dict[int, tuple[int, int]]:
        """Parts of the path -> number of categories and of cards, shallowest first."""
        categories, cards = Counter[int](), Counter[int]()
        for category, size in self.sizes.items():
            parts = len(category.split(CATEGORY_SEPARATOR))
            categories[parts] += 1
            cards[parts] += size
        return {parts: (categories[parts], cards[parts]) for parts in sorted(categories)}

    def as_dict(self) -> dict[str, Any]:
        """Return the counts by name."""
        return {
            "count": len(self.sizes),
            "largest": self.largest,
            "smallest": self.smallest,
            "with_one_card": self.singletons,
            f"with_fewer_than_{FEW}_cards": self.small,
            "largest_that_hold_half_of_the_cards": self.holding_half,
            "by_depth": {
                str(parts): {"categories": categories, "cards": cards}
                for parts, (categories, cards) in self.depths.items()
            },
        }


def count_categories(labels: Iterable[str]) -> Categories:
    """Count the cards of every category.

    Parameters
    ----------
    labels
        One a card, empty where it is unlabelled.

    Returns
    -------
    Categories
        Of the labelled cards.
    """
    sizes = Counter(label for label in labels if label)
    return Categories(dict(sorted(sizes.items(), key=lambda item: (-item[1], item[0]))))
