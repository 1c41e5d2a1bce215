"""Cleaning of texts: HTML, control characters, white space, words for nothing."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Mapping
from html.entities import name2codepoint
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

# Encoders read some thousand characters at most; the parser is not given more than ten times that.
MAX_TEXT = 20_000
MAX_RAW_TEXT = 200_000

# What other programs write for a missing value, perhaps between brackets or quotes.
MISSING_WORDS = {
    *("", "nan", "NaN", "NaT", "None", "null", "Null", "NULL", "N/A", "n/a", "#N/A", "<NA>", "\\N"),
    *("-", "--", "–", "—", "#REF!", "#VALUE!", "#NAME?", "#NULL!", "#DIV/0!", "#NUM!"),
}
ENCLOSING = "[](){}'\" "
# HTML that was escaped several times is unescaped that often; then its marks are dropped.
PASSES = 5
NESTING = 8

TAG = re.compile(r"</?[a-zA-Z][^<>]*>")
NOT_A_TAG = re.compile(r"<(?!/?[a-zA-Z][^<>]*>)")
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
DECLARATION = re.compile(r"<!\[CDATA\[|\]\]>|<[!?][^<>]*>")
ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
# Python refuses to read the longest of them. No character has a number of so many digits.
LONG_REFERENCE = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9a-fA-F]{7,});?")
INLINE = "a|abbr|b|big|code|em|font|i|ins|del|mark|s|small|span|strike|strong|sub|sup|tt|u|wbr"
BLOCK_TAG = re.compile(rf"<(?=/?(?!(?:{INLINE})\b)[a-z])", re.IGNORECASE)
PLAIN_TAG = re.compile(
    r"</?[a-zA-Z][a-zA-Z0-9:-]*"
    r"""(?:\s+[^\s"'<>/=`]+(?:\s*=\s*(?:"[^"<>]*"|'[^'<>]*'|[^\s"'<>=`]+))?)*\s*/?>"""
)
# Tags whose content is no plain text, and what is no usual entity.
PARSED_TAG = re.compile(
    r"<(?:script|style|template|textarea|title|xmp|iframe|noembed|noframes|noscript|plaintext|rt|rp)"
    r"\b",
    re.IGNORECASE,
)
PARSED_ENTITY = re.compile(
    rf"&(?!(?:{'|'.join(name2codepoint)}|#(?!1[2-5]\d;|5\d{{4}};)\d{{2,5}});)"
)
INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\xad\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)


def clean_text(text: str) -> str:
    """Return a text from a catalogue as a person would read it, on one line."""
    text = text[:MAX_RAW_TEXT]
    for _ in range(PASSES):
        cleaner = _clean_once(text)
        if cleaner == text:
            break
        text = cleaner
    else:
        text = _clean_once(re.sub("[<&]", " ", text))
    return "" if is_nothing(text) else text


def is_nothing(text: str) -> bool:
    """Check whether a text is empty, or a word that other programs write for nothing."""
    return text.strip(ENCLOSING) in MISSING_WORDS


def was_cut(raw: str, cleaned: str) -> bool:
    """Check whether `clean_text` left out the end of a text."""
    # A cut just after a space drops that space as well.
    is_full = len(raw) > MAX_TEXT and len(cleaned) >= MAX_TEXT - 1
    return is_full or len(raw) > MAX_RAW_TEXT


def tidy(text: str) -> str:
    """Remove invisible characters, compose Unicode and collapse white space."""
    return " ".join(unicodedata.normalize("NFC", without_invisible(text)).split())


def without_invisible(text: str) -> str:
    """Remove control and zero-width characters and lone surrogates."""
    return INVISIBLE.sub("", text.encode("utf-8", "ignore").decode("utf-8"))


def clean_id(text: str) -> str:
    """Return an id without what is not seen, which would tell equal ones apart."""
    return without_invisible(text).strip()


def column_texts(column: pd.Series[Any]) -> list[str]:
    """Return a column of any type as stripped texts, empty where a value is missing."""
    return [raw_text(value) for value in column.astype(object)]


def raw_text(value: Any) -> str:
    """Return a value of any type as a stripped text, empty where it is missing."""
    text = join_values(value).strip()
    return "" if is_nothing(text) else text


def join_values(value: Any, nesting: int = NESTING) -> str:
    """Return the value of a JSON or Parquet cell as one text, without what is nested deeper."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if value is None or nesting == 0:
        return ""
    if isinstance(value, Mapping):
        if len(value) == 1 and str(next(iter(value))).startswith("$"):
            # The type of a value in a dump of MongoDB, such as {"$oid": "…"}.
            return join_values(next(iter(value.values())), nesting - 1)
        named = ((str(name), join_values(part, nesting - 1)) for name, part in value.items())
        return ", ".join(f"{name}: {text}" for name, text in named if text)
    if isinstance(value, (list, tuple, set)) or (hasattr(value, "tolist") and value.ndim):
        return ", ".join(filter(None, (join_values(part, nesting - 1) for part in value)))
    # A column of whole numbers with a gap is read as fractions: 7.0 is written as 7.
    is_whole = getattr(value, "is_integer", None)
    if is_whole and not isinstance(value, bool) and is_whole():
        return str(int(value))
    text = str(value)
    return "" if is_nothing(text) else text


def _clean_once(text: str) -> str:
    # Only up to the last end of a comment: the pattern takes quadratic time where none follows.
    text = LONG_REFERENCE.sub(" ", without_invisible(text))
    commented, end, rest = text.rpartition("-->")
    text = DECLARATION.sub(" ", COMMENT.sub(" ", commented + end) + rest)
    if TAG.search(text):
        # The parser needs minutes for thousands of tags that never close: it gets closed ones only.
        text = _without_tags(BLOCK_TAG.sub(" <", NOT_A_TAG.sub("&lt;", text)))
    elif ENTITY.search(text):
        text = html.unescape(text)
    return tidy(text)[:MAX_TEXT].rstrip()


def _without_tags(text: str) -> str:
    plain = PLAIN_TAG.sub("", text)
    # Many times faster than the parser, where both find the same.
    if "<" not in plain and not (PARSED_TAG.search(text) or PARSED_ENTITY.search(plain)):
        return html.unescape(plain)
    from bs4 import BeautifulSoup

    return BeautifulSoup(text, "html.parser").get_text()
