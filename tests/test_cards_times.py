"""A column is taken for times only when it holds times."""

from __future__ import annotations

import numpy as np
import pytest

from prodcat_index.cards.splitting import read_times

MAY_31 = 1717113600.0
JAN_1 = 1672531200.0


@pytest.mark.parametrize(
    "texts",
    [
        ("2024-05-31", "2023-01-01"),
        ("2024-05-31T00:00:00Z", "2023-01-01 00:00:00"),
        ("2024-05-31 03:00:00+03:00", "2023-01-01"),
        ("20240531", "20230101"),
        ("31.05.2024", "01.01.2023"),
        ("31.05.2024 00:00", "01.01.2023 00:00"),
        ("1717113600", "1672531200"),
        ("1717113600000", "1672531200000"),
    ],
)
def test_times_of_every_kind_are_read(texts: tuple[str, str]) -> None:
    """The newest cards would not be the test, but cards of whole days by chance."""
    times = read_times([texts[0], "", texts[1]])
    assert times is not None
    np.testing.assert_array_equal(times, [MAY_31, np.nan, JAN_1])


def test_years_are_times() -> None:
    times = read_times(["2023", "2024"])
    assert times is not None and times[0] == JAN_1 and times[1] > times[0]


@pytest.mark.parametrize(
    "texts",
    [
        ("123", "4567"),
        ("12", "2024"),
        ("1", "2"),
        ("shop", "2024-05-31"),
        ("4.5", "5"),
        ("20241301", "20240101"),
        ("9" * 30, "1"),
        ("", ""),
        ("2024-05-31", "0999-01-01"),
    ],
)
def test_keys_and_names_are_no_times(texts: tuple[str, str]) -> None:
    """Shops with high numbers would be the test."""
    assert read_times(texts) is None
