"""Embeddings that come with the cards are numbers in order, or refused in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from prodcat_index.cards.inputs import check_vectors
from prodcat_index.errors import CatalogueError

ROWS = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]


@pytest.mark.parametrize(
    "given", [ROWS, np.array(ROWS), np.array(ROWS, dtype=np.float16), np.array(ROWS, dtype=int)]
)
def test_rows_of_any_numbers_are_taken_as_they_are(given: Any) -> None:
    checked = check_vectors({"clip": given}, 3)["clip"]
    assert checked.dtype == np.float32
    assert checked.tolist() == ROWS


def test_a_row_of_nan_is_no_vector() -> None:
    """People mark what they could not embed so."""
    checked = check_vectors({"clip": [[np.nan, np.nan], [3, 4], [0, 0]]}, 3)["clip"]
    assert checked.tolist() == [[0, 0], [3, 4], [0, 0]]


def test_a_single_vector_is_that_of_a_single_card() -> None:
    assert check_vectors({"clip": [3, 4]}, 1)["clip"].tolist() == [[3, 4]]


@pytest.mark.parametrize(
    ("vectors", "told"),
    [
        (ROWS, "Vectors are given by name, such as {'title': rows}; this is of the type list."),
        (
            {"clip": [["a", "b"]] * 3},
            "The vectors of clip are not an array of numbers; give zeros or NaN for a card without "
            "a vector.",
        ),
        (
            {"clip": [[1.0], None, [2.0]]},
            "The vectors of clip are not an array of numbers; give zeros or NaN for a card without "
            "a vector.",
        ),
    ],
)
def test_what_is_no_array_is_of_the_wrong_type(vectors: Any, told: str) -> None:
    with pytest.raises(TypeError) as caught:
        check_vectors(vectors, 3)
    assert str(caught.value) == told


@pytest.mark.parametrize(
    ("vectors", "told"),
    [
        (
            {"clip": ROWS[:2]},
            "The vectors of clip have the shape (2, 2), for 3 cards: give one row of "
            "numbers for each card, in their order.",
        ),
        ({"clip": [1.0, 2.0, 3.0]}, "have the shape (3,), for 3 cards"),
        ({"clip": np.zeros((3, 0))}, "have the shape (3, 0), for 3 cards"),
        (
            {"clip": [[1, np.nan], [1, 2], [np.inf, 1]]},
            "The vectors of clip are not finite numbers in row 0, row 2; correct them, or let "
            "whole rows be zeros or NaN.",
        ),
        ({"clip": [[1e60, 1], [1, 2], [1, 1]]}, "not finite numbers in row 0; correct"),
        ({"category": ROWS}, "Vectors cannot be of 'category': name a modality, as"),
        ({3: ROWS}, "Vectors cannot be of 3: name a modality, as"),
    ],
)
def test_what_does_not_fit_the_cards_is_refused(vectors: Any, told: str) -> None:
    """Rows in the place of others would make every answer wrong without a word."""
    with pytest.raises(CatalogueError) as caught:
        check_vectors(vectors, 3)
    assert told in str(caught.value)
