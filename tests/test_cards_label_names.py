"""Labels that may be two names of one category."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prodcat_index.cards.label_names import find_label_issues, spelling_key


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Shoes > Boots", "shoes > BOOTS"),
        ("Ёлки", "Елки"),
        ("Чайники", "Чайники."),
        ("T-shirts", "T shirts"),
        ("Kids > Toys", "Kids > Toys!"),
    ],
)
def test_spellings_of_one_label_have_one_key(one: str, other: str) -> None:
    """Two halves of one category would vote against each other, and nobody would see why."""
    assert spelling_key(one) == spelling_key(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Труба 1/2", "Труба 12"),
        ("C++", "C#"),
        ("Boots > Kids", "Boots Kids"),
        ("Size 4 2", "Size 42"),
        ("---", "***"),
    ],
)
def test_different_labels_keep_different_keys(one: str, other: str) -> None:
    assert spelling_key(one) != spelling_key(other)


@settings(deadline=None)
@given(st.text(max_size=30))
def test_a_key_is_its_own_key(label: str) -> None:
    assert spelling_key(spelling_key(label)) == spelling_key(label)


def test_labels_that_differ_in_spelling_are_grouped_with_their_sizes() -> None:
    found = find_label_issues(
        {"Home > Lamps": 3, "home > lamps ": 1, "Home > Lamps.": 5, "Mugs": 2}
    )
    assert list(found["spelling"]) == [{"Home > Lamps.": 5, "Home > Lamps": 3, "home > lamps ": 1}]
    assert found["leaf"] == () and found["alike"] == ()


def test_the_same_leaf_under_two_paths_is_named() -> None:
    found = find_label_issues({"Home > Lamps": 3, "Garden > lamps": 1, "Home > Mugs": 2})
    assert list(map(tuple, found["leaf"])) == [("Home > Lamps", "Garden > lamps")]
    assert found["spelling"] == () and found["alike"] == ()


def test_nearly_equal_names_are_named_but_not_sizes_and_short_words() -> None:
    """Laptop and Laptops are one shelf; a 20 and a 25 mm pipe, or a tap and a cap, are not."""
    sizes = {"Laptop": 9, "Laptops": 2, "Pipe 20 mm": 1, "Pipe 25 mm": 1, "Taps": 1, "Caps": 1}
    found = find_label_issues({f"All > {label}": size for label, size in sizes.items()})
    assert list(map(tuple, found["alike"])) == [("All > Laptop", "All > Laptops")]


def test_alike_names_are_found_across_chunks() -> None:
    """In a shop of more than 500 categories most pairs would be missed."""
    letters = "bcdfghjklm"
    names = [a * 4 + b * 4 + c * 4 for a in letters for b in letters for c in letters]
    found = find_label_issues(dict.fromkeys(["kettlewares", *names, "kettleware"], 1))
    assert list(map(tuple, found["alike"])) == [("kettleware", "kettlewares")]
