"""Test cards with a near-duplicate in the training part, which no rule joined with them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from prodcat_index.cards.card import Catalogue
from prodcat_index.types import BoolArray, Int64Array, chunks, evenly_spaced
from prodcat_index.voting.metrics import Outcome

# Cosine of the TF-IDF of all words from which two cards are near-duplicates, and the share of test
# cards with one from which a note is given; docs/decisions/evaluation.md says why.
NEAR = 0.8
MANY = 0.25
# Test cards of a split that are compared, at most.
SAMPLE = 1000
ROWS_AT_ONCE = 128


class NearDuplicates(NamedTuple):
    """Some test cards of a split, and which of them have a near-duplicate in training."""

    rows: Int64Array  # (m,): positions among the test cards
    have_one: BoolArray  # (m,)


def find_near_duplicates(train: Catalogue, test: Catalogue) -> NearDuplicates:
    """Compare the words of some test cards with those of all training cards."""
    rows = evenly_spaced(len(test), SAMPLE)
    found = weigh_words(texts_of(train), texts_of(test.select(rows.tolist())))
    nearest = np.zeros(len(rows))
    if found is not None:
        known, tested = found
        for part in chunks(len(rows), ROWS_AT_ONCE):
            nearest[part] = (tested[part] @ known.T).max(axis=1).toarray().ravel()
    return NearDuplicates(rows, nearest >= NEAR)


def texts_of(cards: Catalogue) -> list[str]:
    """Return all texts of each card as one."""
    columns = [cards.values(name) for name in cards.text_modalities]
    return [" ".join(texts) for texts in zip(*columns, strict=True)]


def weigh_words(known: list[str], tested: list[str]) -> tuple[Any, Any] | None:
    """Return the TF-IDF of the words of both, unit rows; None where there is no word."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(token_pattern=r"\w+", dtype=np.float32)
    try:
        rows = vectorizer.fit_transform(known + tested)
    except ValueError:
        return None
    return rows[: len(known)], rows[len(known) :]


def note_near_duplicates(
    found: Sequence[NearDuplicates], outcomes: Sequence[Outcome]
) -> tuple[str, ...]:
    """Return a note on the accuracy with and without a near-duplicate, if many cards have one."""
    have_one = np.concatenate([each.have_one for each in found])
    if have_one.mean() < MANY:
        return ()
    pairs = zip(found, outcomes, strict=True)
    right = np.concatenate([(o.true == o.predicted)[each.rows] for each, o in pairs])
    others = f" and {right[~have_one].mean():.0%} of the others" if not have_one.all() else ""
    return (
        f"{have_one.mean():.0%} of {len(have_one)} test cards have a near-duplicate in training "
        f"(cosine {NEAR:g} or more of the TF-IDF of their words): the tuned index is right about "
        f"{right[have_one].mean():.0%} of them{others}. If they are variants of one product, the "
        "scores are too good; name the column that joins them with --group-column.",
    )
