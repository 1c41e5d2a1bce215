"""Numbers written as texts, such as prices: ``"5 000,50 руб."`` is 5000.5."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prodcat_index.types import Float64Array

SIGNS = "$€£¥₽₴₸₹₺₩₪₫₦฿¢"
# One number with a currency or unit. Other digits beside it make it a range, a size or a name.
WRITTEN = re.compile(
    rf"(?:[^\W\d_]{{0,3}}[{SIGNS}]\s*|[^\W\d_]{{1,3}}(?:\.\s*|\s+))?"
    r"(?P<sign>[-+−]?)(?P<body>\d+(?:[\s.,'’]\d+)*(?:[.,](?=[-–—]))?)\D{0,20}"
)
# As Python writes a very large or small one.
SCIENTIFIC = re.compile(r"-?\d(?:\.\d+)?e[-+]\d+")
BETWEEN_DIGITS = re.compile(r"[\s.,'’]")
# Thousands, and the pairs of digits above them in India.
GROUPS = re.compile(r"\d{1,3}(?:(?P<mark>[\s.,'’])\d{2,3}(?:(?P=mark)\d{2,3})*(?<=\d{3}))?|\d+")


def read_numbers(texts: Sequence[str]) -> Float64Array:
    """Return the number that each text of a column is, NaN for what is not one number: (n,).

    The decimal mark of a number with one mark before three digits is that of most others.
    """
    import numpy as np

    found = [None if SCIENTIFIC.fullmatch(text) else WRITTEN.fullmatch(text) for text in texts]
    own = [_decimal_mark(each["body"]) if each else "" for each in found]
    counts = Counter(own)
    usual = "," if counts[","] > counts["."] else "."
    numbers = np.full(len(texts), np.nan)
    for place, (text, each) in enumerate(zip(texts, found, strict=True)):
        if each:
            number = _read(each["body"], own[place] or usual)
            numbers[place] = -number if each["sign"] in ("-", "−") else number
        elif SCIENTIFIC.fullmatch(text):
            numbers[place] = float(text)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def _decimal_mark(body: str) -> str:
    """Return the decimal mark of a number, or nothing where it does not show."""
    marks = [mark for mark in body if mark in ".,"]
    if not marks:
        return ""
    if len(set(marks)) == 2:
        return marks[-1]
    if len(marks) > 1:
        return "." if marks[0] == "," else ","
    whole, _, fraction = body.partition(marks[0])
    is_group = len(fraction) == 3 and len(whole) <= 3 and whole != "0"
    return "" if is_group else marks[0]


def _read(body: str, mark: str) -> float:
    whole, _, fraction = body.partition(mark)
    if not GROUPS.fullmatch(whole) or BETWEEN_DIGITS.search(fraction):
        return float("nan")
    return float(f"{BETWEEN_DIGITS.sub('', whole)}.{fraction}")
