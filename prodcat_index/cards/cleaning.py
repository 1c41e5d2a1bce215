"""Cleaning of texts and categories: HTML, control characters, white space, words for nothing."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# Encoders read some thousand characters at most; the parser is not given more than ten times that.
MAX_TEXT = 20_000
MAX_RAW_TEXT = 200_000

# What other programs write for a missing value.
LEFTOVERS = frozenset({"nan", "NaN", "None", "null", "NULL"})
# HTML that was escaped several times is unescaped that often; then its marks are dropped.
PASSES = 5
NESTING = 8

TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
NOT_A_TAG = re.compile(r"<(?!/?[a-zA-Z][^<>]*>)")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
DECLARATION = re.compile(r"<!\[CDATA\[|\]\]>|<[!?][^<>]*>")
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
INLINE = "a|abbr|b|big|code|em|font|i|ins|del|mark|s|small|span|strike|strong|sub|sup|tt|u|wbr"
BLOCK_TAG = re.compile(rf"<(?=/?(?!(?:{INLINE})\b)[a-z])", re.IGNORECASE)
INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
ARROW = re.compile("->|→")
SEPARATOR = re.compile(r"(?<!\S)[>»](?!\S)")


def clean_text(text: str) -> str:
    """Return a text from a catalogue as a person would read it, on one line."""
    text = text[:MAX_RAW_TEXT]
    for _ in range(PASSES):
        cleaner = _clean_once(text)
        if cleaner == text:
            return text
        text = cleaner
    return _clean_once(re.sub("[<&]", " ", text))


def was_cut(raw: str, cleaned: str) -> bool:
    """Check whether `clean_text` left out the end of a text."""
    # A cut just after a space drops that space as well.
    is_full = len(raw) > MAX_TEXT and len(cleaned) >= MAX_TEXT - 1
    return is_full or len(raw) > MAX_RAW_TEXT


def clean_category(text: str) -> str:
    """Return a category path in the form ``Electronics > Phones``."""
    # Not at the top, which the command line loads: it would load numpy.
    from prodcat_index.types import CATEGORY_SEPARATOR

    spaced = ARROW.sub(CATEGORY_SEPARATOR, tidy(text))
    parts = (tidy(part) for part in SEPARATOR.split(spaced))
    return CATEGORY_SEPARATOR.join(part for part in parts if part)


def tidy(text: str) -> str:
    """Remove invisible characters, compose Unicode and collapse white space."""
    return " ".join(unicodedata.normalize("NFC", without_invisible(text)).split())


def without_invisible(text: str) -> str:
    """Remove control and zero-width characters and lone surrogates."""
    return INVISIBLE.sub("", text.encode("utf-8", "ignore").decode("utf-8"))


def column_texts(column: pd.Series[Any]) -> list[str]:
    """Return a column of any type as stripped texts, empty where a value is missing."""
    values = column.astype(object).where(column.notna(), None)
    texts = (join_values(value).strip() for value in values)
    return ["" if text in LEFTOVERS else text for text in texts]


def join_values(value: Any, nesting: int = NESTING) -> str:
    """Return the value of a JSON or Parquet cell as one text, without what is nested deeper."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if value is None or nesting == 0:
        return ""
    if isinstance(value, Mapping):
        named = ((str(name), join_values(part, nesting - 1)) for name, part in value.items())
        return ", ".join(f"{name}: {text}" for name, text in named if text)
    if isinstance(value, (list, tuple, set)) or (hasattr(value, "tolist") and value.ndim):
        return ", ".join(filter(None, (join_values(part, nesting - 1) for part in value)))
    # A column of whole numbers with a gap is read as fractions: 7.0 is written as 7.
    is_whole = getattr(value, "is_integer", None)
    if is_whole and not isinstance(value, bool) and is_whole():
        return str(int(value))
    return str(value)


def _clean_once(text: str) -> str:
    # Only up to the last end of a comment: the pattern takes quadratic time where none follows.
    commented, end, rest = without_invisible(text).rpartition("-->")
    text = DECLARATION.sub(" ", COMMENT.sub(" ", commented + end) + rest)
    if TAG.search(text):
        from bs4 import BeautifulSoup

        # The parser needs minutes for thousands of tags that never close: it gets closed ones only.
        closed = BLOCK_TAG.sub(" <", NOT_A_TAG.sub("&lt;", text))
        text = BeautifulSoup(closed, "html.parser").get_text()
    elif ENTITY.search(text):
        text = html.unescape(text)
    return tidy(text)[:MAX_TEXT].rstrip()
