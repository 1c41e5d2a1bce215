"""Numbers that people wrote: prices with currencies, groups of digits, commas and points."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prodcat_index.cards.numbers import read_numbers


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("5 000,50 руб.", 5000.5),
        ("5\u00a0000 ₽", 5000),
        ("$1,299.00", 1299),
        ("US$ 5", 5),
        ("1.299,00 €", 1299),
        ("EUR 12", 12),
        ("Rs.500", 500),
        ("от 500 руб.", 500),
        ("1,00,000", 100000),
        ("1'234.50", 1234.5),
        ("10.–", 10),
        ("1.299,-€", 1299),
        ("-5", -5),
        ("−5 °C", -5),
        ("0.500", 0.5),
        ("0,500 kg", 0.5),
        ("15%", 15),
        ("1e-05", 1e-05),
        ("1e+16", 1e16),
    ],
)
def test_a_price_is_read_as_people_write_it(text: str, number: float) -> None:
    """`price < 5000` would leave most of a shop out, or let in what costs a hundred times more."""
    assert read_numbers([text]).tolist() == [number]


@pytest.mark.parametrize(
    "text",
    [
        *("", "по запросу", "nan", "inf", "1_000", "12-15", "20x30", "1/2", "A17", "iPhone 4"),
        *("12 34", "1.2.3", "1,234,56", "5 руб. 50 коп.", "9" * 400, "2025-01-01", "1e999"),
    ],
)
def test_what_is_not_one_number_is_none(text: str) -> None:
    """A range, a size or a name would be compared as one of its numbers."""
    assert np.isnan(read_numbers([text])).all()


def test_a_doubtful_mark_is_that_of_the_column() -> None:
    """1.234 € would be a little more than one euro in a shop that writes 5,50 €."""
    assert read_numbers(["1.234 €", "5,50 €"]).tolist() == [1234, 5.5]
    assert read_numbers(["1.234", "5.50"]).tolist() == [1.234, 5.5]
    assert read_numbers(["1,234", "5.50"]).tolist() == [1234, 5.5]
    assert read_numbers(["1,234", "5,50", "7,5"]).tolist() == [1.234, 5.5, 7.5]
    # Alone, a point is the decimal mark and a comma is not.
    assert read_numbers(["5.000"]).tolist() == [5]
    assert read_numbers(["5,000"]).tolist() == [5000]


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False)))
def test_numbers_as_python_writes_them_are_read_exactly(values: list[float]) -> None:
    """Columns of numbers would not be equal to themselves."""
    assert read_numbers([repr(value) for value in values]).tolist() == values


@given(st.lists(st.text()))
def test_any_text_is_a_finite_number_or_none(texts: list[str]) -> None:
    """One strange cell would end the search."""
    assert all(math.isnan(number) or math.isfinite(number) for number in read_numbers(texts))
