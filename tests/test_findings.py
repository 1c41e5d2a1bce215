"""What was noticed, in words: one card has, two cards have."""

from __future__ import annotations

import pytest

from prodcat_index.findings import Finding, agree, counted, name_findings


@pytest.mark.parametrize(
    ("what", "one"),
    [
        ("cards have no id", "1 card has no id"),
        ("ids occur more than once", "1 id occurs more than once"),
        ("categories share their name", "1 category shares its name"),
        ("rows are empty (left out)", "1 row is empty (left out)"),
        ("cards name a picture outside", "1 card names a picture outside"),
        ("rows hold a translation of a product", "1 row holds a translation of a product"),
        ("new categories", "1 new category"),
        ("cards", "1 card"),
        (
            "sheets are not read (only the first one with rows is)",
            "1 sheet is not read (only the first one with rows is)",
        ),
    ],
)
def test_one_thing_is_told_in_the_singular(what: str, one: str) -> None:
    """``1 ids occur`` reads like a fault of the program."""
    assert counted(1, what) == one
    assert counted(2, what) == f"2 {what}"
    assert counted(0, what) == f"0 {what}"
    assert agree(1.5, what) == what


def test_a_large_count_has_commas() -> None:
    assert counted(12_345, "cards") == "12,345 cards"


def test_findings_without_a_name_are_left_out() -> None:
    assert name_findings({"rows are empty": [], "lines are bad": iter(["line 2"])}) == (
        Finding("lines are bad", ("line 2",)),
    )
