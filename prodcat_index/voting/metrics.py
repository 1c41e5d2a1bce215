"""How good predictions are. Pure functions over sequences of labels."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass


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
    """

    cards: int
    categories: int
    unreachable: int
    accuracy: float
    weighted_f1: float
    macro_f1: float

    def __str__(self) -> str:
        """Return the sentence that people read."""
        return (
            f"weighted F1 {self.weighted_f1:.3f}, macro F1 {self.macro_f1:.3f}, accuracy "
            f"{self.accuracy:.3f} on {self.cards} cards of {self.categories} categories "
            f"({self.unreachable} cards are of categories that the index does not have)"
        )


def score_predictions(
    y_true: Sequence[str], y_pred: Sequence[str], known: Collection[str]
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
    """
    import numpy as np
    from sklearn.metrics import accuracy_score, f1_score

    true, predicted = np.asarray(y_true, dtype=object), np.asarray(y_pred, dtype=object)
    known = set(known)
    return Score(
        cards=len(true),
        categories=len(set(y_true)),
        unreachable=sum(label not in known for label in y_true),
        accuracy=float(accuracy_score(true, predicted)),
        weighted_f1=float(f1_score(true, predicted, average="weighted", zero_division=0)),
        macro_f1=float(
            f1_score(
                true,
                predicted,
                average="macro",
                labels=np.unique(true.astype(str)),
                zero_division=0,
            )
        ),
    )
