"""One catalogue after another."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from prodcat_index.cards.card import Catalogue

if TYPE_CHECKING:
    import pandas as pd


def join_catalogues(first: Catalogue, second: Catalogue) -> Catalogue:
    """Put the cards of one catalogue after those of another.

    Parameters
    ----------
    first
        Gives its text modalities and its source.
    second
        With ids of its own. A further column that only one of them has is missing in the cards
        of the other.
    """
    import pandas as pd

    lacked = set(first.cards.columns) ^ set(second.cards.columns)
    tables = [_with_missing(catalogue.cards, lacked) for catalogue in (first, second)]
    joined = pd.concat(tables, ignore_index=True)
    loose = [name for name in lacked if joined[name].dtype == object]
    return replace(first, cards=joined.fillna(dict.fromkeys(loose, "")), findings=())


def _with_missing(cards: pd.DataFrame, lacked: set[str]) -> pd.DataFrame:
    """Let whole numbers stay whole and truth stay truth beside missing values."""
    own = [name for name in cards.columns if name in lacked]
    return cards.assign(**{name: cards[name].convert_dtypes() for name in own})
