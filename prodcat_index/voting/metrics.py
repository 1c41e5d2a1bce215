"""How good predictions are. Pure functions over category codes, or over sequences of labels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from prodcat_index.voting import objectives
from prodcat_index.voting.bootstrap import (
    Interval,
    Sample,
    cluster_codes,
    draw_weighted_f1,
    percentile_interval,
)

IntArray = npt.NDArray[np.int64]
NOTHING = -1


@dataclass(frozen=True)
class Outcome:
    """What was answered for n cards, in codes of C categories.

    Attributes
    ----------
    true
        int64, shape (n,); n at least 1.
    predicted
        int64, shape (n,); -1 where nothing was predicted.
    reachable
        bool, shape (C,): categories that could have been predicted.
    ranked
        int64, shape (n, r): best category first, each once; -1 after the last. None where
        answers are not ranked.
    neighbours
        int64, shape (n, k): categories of the neighbours; -1 where there is none. None where
        nobody voted.
    """

    true: IntArray
    predicted: IntArray
    reachable: npt.NDArray[np.bool_]
    ranked: IntArray | None = None
    neighbours: IntArray | None = None

    @property
    def categories(self) -> int:
        """C, the number of categories that codes may stand for."""
        return len(self.reachable)


@dataclass(frozen=True)
class Score:
    """The quality of some predictions.

    Attributes
    ----------
    cards
        Number of predictions.
    categories
        Number of different true categories.
    unreachable
        Predictions whose true category the index does not have; no setting can get them right.
    accuracy, weighted_f1, macro_f1
        From 0 to 1; weighted by the number of true cards, and every category alike.
    top3, top5
        Share of cards whose category is among the best 3 or 5; None where answers are not ranked.
    oracle
        Share of cards with a neighbour of the true category, which no vote can exceed; None
        where there are no neighbours.
    interval
        95 % interval of the weighted F1; None where none was drawn.
    """

    cards: int
    categories: int
    unreachable: int
    accuracy: float
    weighted_f1: float
    macro_f1: float
    top3: float | None = None
    top5: float | None = None
    oracle: float | None = None
    interval: Interval | None = None

    @property
    def unreachable_share(self) -> float:
        """Share of the predictions that no setting can get right."""
        return self.unreachable / self.cards

    def as_dict(self) -> dict[str, Any]:
        """Return the fields for JSON, rounded to 4 digits; the interval as two numbers."""
        fields = vars(self) | {"unreachable_share": self.unreachable_share}
        ends = [self.interval.low, self.interval.high] if self.interval else None
        rounded = {
            name: round(value, 4) if isinstance(value, float) else value
            for name, value in fields.items()
        }
        return rounded | {"interval": ends and [round(end, 4) for end in ends]}

    def __str__(self) -> str:
        """Return the sentence that people read."""
        interval = self.interval
        within = f" ({interval.low:.3f} to {interval.high:.3f})" if interval else ""
        be = "card is of a category" if self.unreachable == 1 else "cards are of categories"
        return (
            f"weighted F1 {self.weighted_f1:.3f}{within}, macro F1 {self.macro_f1:.3f}, accuracy "
            f"{self.accuracy:.3f} on {_count(self.cards, 'card', 'cards')} of "
            f"{_count(self.categories, 'category', 'categories')} "
            f"({self.unreachable} {be} that the index does not have)"
        )


def _count(number: int, one: str, many: str) -> str:
    return f"{number} {one if number == 1 else many}"


def score_outcome(outcome: Outcome, interval: Interval | None = None) -> Score:
    """Judge answers.

    Parameters
    ----------
    outcome
        True and predicted categories.
    interval
        95 % interval of the weighted F1, if it was drawn.
    """
    true, predicted, categories = outcome.true, outcome.predicted, outcome.categories
    return Score(
        cards=len(true),
        categories=len(np.unique(true)),
        unreachable=int(np.sum(~outcome.reachable[true])),
        accuracy=objectives.accuracy(true, predicted),
        weighted_f1=objectives.weighted_f1(true, predicted, categories),
        macro_f1=objectives.macro_f1(true, predicted, categories),
        top3=_share_among(true, outcome.ranked, 3),
        top5=_share_among(true, outcome.ranked, 5),
        oracle=_share_among(true, outcome.neighbours, None),
        interval=interval,
    )


def _share_among(true: IntArray, candidates: IntArray | None, first: int | None) -> float | None:
    if candidates is None:
        return None
    return float(np.any(candidates[:, :first] == true[:, None], axis=1).mean())


def score_predictions(
    y_true: Sequence[str],
    y_pred: Sequence[str],
    known: Collection[str],
    *,
    ranked: Sequence[Sequence[str]] | None = None,
    neighbours: Sequence[Sequence[str]] | None = None,
    groups: Sequence[str] | None = None,
    seed: int = 0,
) -> Score:
    """Compare predicted with true categories.

    Parameters
    ----------
    y_true
        True categories; at least one.
    y_pred
        Predicted categories, in the same order; empty where nothing was predicted.
    known
        Categories that could have been predicted.
    ranked
        Each card's categories, best first.
    neighbours
        Categories of each card's neighbours.
    groups
        Equal for variants of one product, which are then drawn together for the interval; by
        default every card is drawn alone.
    seed
        Of the draws for the interval.

    Returns
    -------
    Score
        With its interval.
    """
    code = _codes({*y_true, *y_pred, *known, *_flat(ranked), *_flat(neighbours)})
    outcome = Outcome(
        true=_encode(y_true, code),
        predicted=_encode(y_pred, code),
        reachable=np.isin(np.arange(len(code)), [code[name] for name in known if name]),
        ranked=_encode_rows(ranked, code),
        neighbours=_encode_rows(neighbours, code),
    )
    clusters = cluster_codes(groups if groups is not None else [""] * len(y_true))
    sample = Sample(outcome.true, outcome.predicted, clusters)
    drawn = draw_weighted_f1([sample], outcome.categories, seed=seed)
    return score_outcome(outcome, percentile_interval(drawn))


def _flat(rows: Sequence[Sequence[str]] | None) -> list[str]:
    return [name for row in rows or () for name in row]


def _codes(names: Collection[str]) -> dict[str, int]:
    return {name: place for place, name in enumerate(sorted(set(names) - {""}))}


def _encode(names: Sequence[str], code: dict[str, int]) -> IntArray:
    return np.array([code.get(name, NOTHING) for name in names], dtype=np.int64)


def _encode_rows(rows: Sequence[Sequence[str]] | None, code: dict[str, int]) -> IntArray | None:
    if rows is None:
        return None
    longest = max((len(row) for row in rows), default=0)
    return np.stack([_encode([*row, *[""] * (longest - len(row))], code) for row in rows])
